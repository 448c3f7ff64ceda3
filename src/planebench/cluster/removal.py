"""What runs have made on clusters of others: found by its label, and removed for certain, also later.

Every run has an owner there: a namespace of its own that holds nothing but is the owner of the nodes, of the other
namespaces and of whatever else belongs to no namespace. Whoever deletes it (``kubectl delete namespace``) makes
Kubernetes' garbage collector remove all of them; :func:`remove` does the same, and looks whether it has worked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from planebench.kube.client import ApiError, Client
from planebench.kube.discovery import served
from planebench.model import Manifest
from planebench.nodes import LEASES_PATH, is_ready
from planebench.plan import RUN_LABEL

OWNER_LABEL: Final = "planebench.dev/owner"
_NAMESPACES: Final = "/api/v1/namespaces"
_NODES: Final = "/api/v1/nodes"
_AT_ONCE: Final = 32
_POLL_S: Final = 0.5
_MOST_UNANSWERED: Final = 3
_DELETE_NOW: Final = {"gracePeriodSeconds": "0"}
_NO_OBJECTS: Final = frozenset({"events", "componentstatuses", "bindings"})
"""What ends by itself, and what is none of the kind."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What a run has on a cluster."""

    run_id: str
    started: str
    """When its first object was created, RFC 3339."""
    namespaces: int
    nodes: int
    nodes_ready: int
    """Of a run that goes on: its simulator lives."""


def owner(run_id: str, annotations: Mapping[str, str]) -> Manifest:
    """The namespace that owns what a run makes."""
    labels = {RUN_LABEL: run_id, OWNER_LABEL: ""}
    metadata = {"name": owner_name(run_id), "labels": labels, "annotations": dict(annotations)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def owner_name(run_id: str) -> str:
    """The name of a run's owner."""
    return "planebench-" + "".join(sign if sign.isalnum() else "-" for sign in run_id.lower())


def reference(found: Manifest) -> Manifest:
    """What its dependents say of an owner."""
    metadata = found["metadata"]
    return {"apiVersion": "v1", "kind": "Namespace", "name": metadata["name"], "uid": metadata["uid"]}


async def find(client: Client) -> list[Remains]:
    """Everything that runs have there, the oldest run first. Raises ApiError where it cannot be listed."""
    namespaces, nodes = await asyncio.gather(
        client.list(_NAMESPACES, labelSelector=RUN_LABEL), client.list(_NODES, labelSelector=RUN_LABEL)
    )
    by_run: dict[str, tuple[list[Manifest], list[Manifest]]] = {}
    for number, items in enumerate((namespaces, nodes)):
        for item in items:
            by_run.setdefault(item["metadata"]["labels"][RUN_LABEL], ([], []))[number].append(item)
    found = [
        Remains(
            run_id=run_id,
            started=min(item["metadata"]["creationTimestamp"] for item in (*mine, *its_nodes)),
            namespaces=len(mine),
            nodes=len(its_nodes),
            nodes_ready=sum(is_ready(node) for node in its_nodes),
        )
        for run_id, (mine, its_nodes) in by_run.items()
    ]
    return sorted(found, key=lambda item: (item.started, item.run_id))


async def remove(
    client: Client,
    run_id: str,
    timeout_s: float,
    *,
    played: bool = False,
    on_status: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Delete everything that carries a run's label, and wait until it is gone.

    Args:
        played: the run's simulator lives. Pods on nodes that nobody plays any more are deleted without grace.

    Returns:
        What is left after ``timeout_s``, as ``nodes x`` or ``namespaces y: the API server's words``; empty:
        nothing.
    """
    limit_s = time.monotonic() + timeout_s
    removing = _Removing(client, run_id, played=played)
    told = unanswered = 0
    while True:
        try:
            left = await removing.step()
            unanswered = 0
        except ApiError as error:
            removing.forbidden["everything"] = str(error)
            left = ["everything"]
            unanswered += 1
        hopeless = all(item in removing.forbidden for item in left) and unanswered in (0, _MOST_UNANSWERED)
        if hopeless or time.monotonic() >= limit_s:
            return [f"{item}: {removing.forbidden.get(item, 'is still there')}" for item in left]
        if len(left) != told:
            told = len(left)
            on_status(f"removing {run_id}: {told:,} nodes and namespaces are still there")
        await asyncio.sleep(_POLL_S)


class _Removing:
    def __init__(self, client: Client, run_id: str, *, played: bool) -> None:
        self.forbidden: dict[str, str] = {}
        """What may not be deleted -> the API server's words."""
        self._client = client
        self._run_id = run_id
        self._played = played
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._asked: set[str] = set()
        """UIDs of what has been deleted: some of it takes its time to go."""
        self._searched = False

    async def step(self) -> list[str]:
        """Delete what there is; what there was. All at once where that is no harm: a namespace takes 5 s or more.

        Source: kubernetes v1.37.2, pkg/controller/namespace/namespace_controller.go, namespaceDeletionGracePeriod.
        """
        selector = f"{RUN_LABEL}={self._run_id}"
        nodes = await self._client.list(_NODES, labelSelector=selector)
        namespaces = await self._client.list(_NAMESPACES, labelSelector=selector)
        owners = [item for item in namespaces if OWNER_LABEL in item["metadata"]["labels"]]
        others = [item for item in namespaces if item not in owners]
        if not self._searched:
            await self._everything_else(selector, {item["metadata"]["name"] for item in namespaces})
            self._searched = True
        if not self._played:
            await self._all(self._free(item["metadata"]["name"]) for item in others)
        # Whoever plays the last pods' end needs their nodes, and the owner takes the nodes along.
        needed = self._played and await self._have_pods(others)
        await self._all(self._delete(_NAMESPACES, item) for item in others)
        if not needed:
            await self._all(self._delete(_NODES, item) for item in nodes)
            await self._all(self._forget_lease(item) for item in nodes)
            await self._all(self._delete(_NAMESPACES, item) for item in owners)
        left = [f"nodes {item['metadata']['name']}" for item in nodes]
        return left + [f"namespaces {item['metadata']['name']}" for item in (*others, *owners)]

    async def _everything_else(self, selector: str, namespaces: set[str]) -> None:
        """What is in no namespace of the run: it would go with its owner, too."""
        async for collection in _collections(self._client):
            with contextlib.suppress(ApiError):  # what may not be listed was not made either
                items = await self._client.list_metadata(collection, labelSelector=selector)
                for item in items:
                    namespace = item["metadata"].get("namespace", "")
                    if namespace not in namespaces:
                        root, _, plural = collection.rpartition("/")
                        place = f"{root}/namespaces/{namespace}/{plural}" if namespace else collection
                        await self._delete(place, item)

    async def _have_pods(self, namespaces: Iterable[Manifest]) -> bool:
        try:
            for item in namespaces:
                if await self._client.list(f"{_NAMESPACES}/{item['metadata']['name']}/pods", limit="1"):
                    return True
        except ApiError:  # who may not see them must take them to be there
            return True
        return False

    async def _free(self, namespace: str) -> None:
        """Delete the pods of a namespace without grace."""
        pods = f"{_NAMESPACES}/{namespace}/pods"
        with contextlib.suppress(ApiError):
            for pod in await self._client.list_metadata(pods):
                await self._delete(pods, pod, **_DELETE_NOW)

    async def _forget_lease(self, node: Manifest) -> None:
        with contextlib.suppress(ApiError):
            await self._client.delete(f"{LEASES_PATH}/{node['metadata']['name']}")

    async def _delete(self, collection: str, item: Manifest, **query: str) -> None:
        metadata = item["metadata"]
        if metadata["uid"] in self._asked:
            return
        name = f"{collection.rpartition('/')[2]} {metadata['name']}"
        try:
            async with self._slots:
                await self._client.delete(
                    f"{collection}/{metadata['name']}", propagationPolicy="Background", **query
                )
        except ApiError as error:
            if error.status == 403:
                self.forbidden[name] = str(error)
            elif error.status != 404:
                return  # asked again in the next round
        self._asked.add(metadata["uid"])

    async def _all(self, work: Iterable[Any]) -> None:
        await asyncio.gather(*work)


async def _collections(client: Client) -> AsyncIterator[str]:
    """The paths of everything that can be listed and deleted, but for nodes and namespaces."""
    async for root, item in served(client):
        path = f"{root}/{item['name']}"
        known = {"list", "delete"} <= set(item.get("verbs") or ())
        if known and "/" not in item["name"] and item["name"] not in _NO_OBJECTS and path not in _OWN:
            yield path


_OWN: Final = frozenset({_NODES, _NAMESPACES})
