"""Nodes that fail: silent ones, for a while or again and again, and those whose heartbeats come rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from planebench import nodes
from planebench.kube.client import ApiError, Client
from planebench.nodes import LEASES_PATH, SIMULATOR_LABEL
from planebench.plan import OUT_OF_SERVICE
from planebench.run.faults.fault import Conditions, Struck, Surroundings
from planebench.scenario import NodeFlapping, NodeSilence, SlowHeartbeats

_ATTEMPTS: Final = 10
"""Of a change to taints: the controller manager changes them, too."""
_STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"

_Wanted = TypeVar("_Wanted", NodeSilence, NodeFlapping, SlowHeartbeats)


class _Released(Generic[_Wanted]):
    """KWOK plays a node only as long as it has its label: without it the node falls silent."""

    def __init__(self, number: int, wanted: _Wanted, around: Surroundings) -> None:
        """``number``: the fault's, in its scenario."""
        self._number = number
        self._wanted: _Wanted = wanted
        self._around = around
        self._simulators: dict[str, str] = {}
        """Those that are struck, and the value of the label that they had."""
        self._going_on: asyncio.Task[None] | None = None

    @staticmethod
    def available(conditions: Conditions) -> str:
        return ""

    async def prepare(self) -> None:
        """The seed has drawn them."""

    async def strike(self) -> Struck:
        names = self._around.planner.silenced(self._number)
        scenario = self._around.scenario
        simulators = nodes.played_by(scenario.nodes, nodes.simulators(scenario.topology))
        self._simulators = {name: simulators[name] for name in names}
        await self._silence()
        self._going_on = asyncio.create_task(self._go_on(), name=f"nodes of fault {self._number}")
        return Struck(nodes=names)

    async def _go_on(self) -> None:
        """What else happens while the fault is in effect."""

    async def undo(self) -> None:
        """Raises ApiError where what went on has failed: the fault was not what it was to be."""
        failure: BaseException | None = None
        if self._going_on is not None:
            self._going_on.cancel()
            await asyncio.wait([self._going_on])
            failure = None if self._going_on.cancelled() else self._going_on.exception()
            self._going_on = None
        await self._bring_back()
        if failure is not None:
            raise failure

    async def recovered(self) -> None:
        """Nodes get Ready on their own: the run waits for all of them at the stage's end."""

    async def _silence(self) -> None:
        await self._label(dict.fromkeys(self._simulators))

    async def _bring_back(self) -> None:
        await self._label(self._simulators)

    async def _label(self, values: Mapping[str, str | None]) -> None:
        """Set the label, or take it away (None), of all at once."""
        await _all(
            self._around.client.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": {SIMULATOR_LABEL: value}}})
            for name, value in values.items()
        )


class Silenced(_Released[NodeSilence]):
    """Silent for a while; perhaps somebody says meanwhile that they are off."""

    async def _go_on(self) -> None:
        if self._wanted.out_of_service is not None:
            await asyncio.sleep(self._wanted.out_of_service)
            await self._taint([{"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}])

    async def _bring_back(self) -> None:
        if self._wanted.out_of_service is not None:
            await self._taint([])
        await super()._bring_back()

    async def _taint(self, wanted: list[dict[str, Any]]) -> None:
        def change(taints: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [taint for taint in taints if taint["key"] != OUT_OF_SERVICE] + wanted

        await _all(change_taints(self._around.client, name, change) for name in self._simulators)


class Flapping(_Released[NodeFlapping]):
    """Silent and back, again and again."""

    async def _go_on(self) -> None:
        for _ in range(self._wanted.times - 1):
            await asyncio.sleep(self._wanted.silent)
            await self._bring_back()
            await asyncio.sleep(self._wanted.back)
            await self._silence()


class Slowed(_Released[SlowHeartbeats]):
    """What a kubelet says of itself, too rarely: its lease, and its Ready condition."""

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._wanted.every)
            await _all(self._beat(name) for name in self._simulators)

    async def _beat(self, name: str) -> None:
        now = datetime.now(UTC)
        client = self._around.client
        await client.patch(f"{LEASES_PATH}/{name}", {"spec": {"renewTime": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}})
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
        await client.patch(
            f"/api/v1/nodes/{name}/status", {"status": {"conditions": [ready]}}, _STRATEGIC_MERGE_PATCH
        )


async def change_taints(
    client: Client, node: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    """Change a node's taints as they are now; raises ApiError."""
    path = f"/api/v1/nodes/{node}"
    for attempt in range(_ATTEMPTS):
        found = await client.get(path)
        taints = change(found["spec"].get("taints") or [])
        version = found["metadata"]["resourceVersion"]
        try:
            await client.patch(path, {"metadata": {"resourceVersion": version}, "spec": {"taints": taints}})
        except ApiError as error:
            if error.status != 409 or attempt == _ATTEMPTS - 1:
                raise
            continue
        return


async def _all(requests: Iterable[Any]) -> None:
    """All at once; raises the first ApiError when all have been answered."""
    for failure in await asyncio.gather(*requests, return_exceptions=True):
        if isinstance(failure, ApiError):
            raise failure
