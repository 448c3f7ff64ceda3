"""Nodes that are drained for maintenance."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final

from planebench.kube.client import ApiError
from planebench.model import EvictionRecord, Manifest
from planebench.run.faults.fault import Conditions, Struck, Surroundings
from planebench.scenario import Drain

_AGAIN_S: Final = 5.0
"""As kubectl drain waits after a refusal."""
_LOOK_S: Final = 0.5
_REFUSED: Final = 429


class Drained:
    """Cordons nodes and evicts their pods, as ``kubectl drain --ignore-daemonsets`` does."""

    def __init__(self, number: int, wanted: Drain, around: Surroundings) -> None:
        """``number``: the fault's, in its scenario."""
        self._number = number
        self._wanted = wanted
        self._around = around
        self._cordoned: tuple[str, ...] = ()
        self._evictions: dict[str, EvictionRecord] = {}
        """By the pod's UID."""

    @staticmethod
    def available(conditions: Conditions) -> str:
        return ""

    async def prepare(self) -> None:
        """The seed has drawn them."""

    async def strike(self) -> Struck:
        """In effect when the nodes are empty, or the patience is over."""
        self._cordoned = self._around.planner.silenced(self._number)
        await asyncio.gather(*(self._cordon(name, True) for name in self._cordoned))
        try:
            async with asyncio.timeout(self._wanted.patience):
                await asyncio.gather(*(self._empty(name) for name in self._cordoned))
        except TimeoutError:
            pass  # the records tell what is still there
        return Struck(nodes=self._cordoned, evictions=tuple(self._evictions.values()))

    async def undo(self) -> None:
        await asyncio.gather(*(self._cordon(name, None) for name in self._cordoned))

    async def recovered(self) -> None:
        """A node takes pods as soon as it is uncordoned."""

    async def _cordon(self, name: str, unschedulable: bool | None) -> None:
        await self._around.client.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": unschedulable}})

    async def _empty(self, node: str) -> None:
        """Evict what is on a node until nothing is; what comes meanwhile had been bound before, and goes, too."""
        going: dict[str, asyncio.Task[None]] = {}
        try:
            while pods := [pod for pod in await self._pods(node) if _leaves(pod)]:
                for pod in pods:
                    uid = pod["metadata"]["uid"]
                    if uid not in going and "deletionTimestamp" not in pod["metadata"]:
                        going[uid] = asyncio.create_task(self._evict(node, pod))
                await asyncio.sleep(_LOOK_S)
            await asyncio.gather(*going.values())
        finally:
            for task in going.values():
                task.cancel()
            await asyncio.gather(*going.values(), return_exceptions=True)

    async def _pods(self, node: str) -> list[Manifest]:
        return list(await self._around.client.list("/api/v1/pods", fieldSelector=f"spec.nodeName={node}"))

    async def _evict(self, node: str, pod: Manifest) -> None:
        """Ask until it is granted, or the pod is gone."""
        metadata = pod["metadata"]
        namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
        record = EvictionRecord(node, namespace, name, time.monotonic_ns())
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        while True:
            self._evictions[uid] = record
            try:
                await self._around.client.post(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", eviction)
            except ApiError as error:
                if error.status in (404, 409):  # gone, or another one of its name
                    return
                record = replace(record, refusals=record.refusals + 1, reason=error.words)
                self._evictions[uid] = record
                if error.status != _REFUSED:
                    return
                await asyncio.sleep(_AGAIN_S)
            else:
                self._evictions[uid] = replace(record, granted_ns=time.monotonic_ns())
                return


def _leaves(pod: Manifest) -> bool:
    """Pods of DaemonSets stay: they would come back at once."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return not any(owner["kind"] == "DaemonSet" and owner.get("controller") for owner in owners)
