"""What a run has left in its cluster: asked of the API server itself, kind by kind, whatever was watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from planebench.kube.client import ApiError, Client
from planebench.kube.discovery import served
from planebench.plan import RUN_LABEL

_EVENTS: Final = "events"
"""They say what has happened, and end by themselves after an hour."""
_HARNESS: Final = ("namespaces", "nodes")
"""planebench's own preparation."""
_OF_A_NAMESPACE: Final = {("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")}
"""What Kubernetes keeps in every namespace."""


async def find(client: Client, run_id: str, namespaces: Sequence[str], *, everywhere: bool = True) -> list[str]:
    """Every object in the run's namespaces or with its label that should not be there, as ``pods planebench-0/x``.

    A kind that the API server cannot list counts as one: nobody knows what is left of it.

    Args:
        everywhere: look at every object. Without, only at those with the run's label, and not at kinds that the
            user may not list: a cluster of others holds more, and it is none of ours.
    """
    resources = [resource async for resource in _resources(client)]
    found = await asyncio.gather(
        *(_of(client, run_id, set(namespaces), *resource, everywhere=everywhere) for resource in resources)
    )
    return sorted(line for lines in found for line in lines)


async def _resources(client: Client) -> AsyncIterator[tuple[str, str]]:
    """``root, plural`` of everything that can be listed."""
    async for root, item in served(client):
        name = item["name"]
        if "/" not in name and name != _EVENTS and "list" in (item["verbs"] or ()):
            yield root, name


async def _of(
    client: Client, run_id: str, namespaces: set[str], root: str, plural: str, *, everywhere: bool
) -> list[str]:
    selector = {} if everywhere else {"labelSelector": f"{RUN_LABEL}={run_id}"}
    try:
        items = await client.list_metadata(f"{root}/{plural}", **selector)
    except ApiError as error:
        if error.status == 403 and not everywhere:
            return []
        return [f"{plural}: cannot be listed: {error}"]
    return list(_left(items, run_id, namespaces, plural))


def _left(items: Sequence[Mapping[str, Any]], run_id: str, namespaces: set[str], plural: str) -> Iterator[str]:
    for item in items:
        metadata = item["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        labelled = (metadata.get("labels") or {}).get(RUN_LABEL) == run_id
        if plural in _HARNESS or (plural, name) in _OF_A_NAMESPACE:
            continue
        if namespace in namespaces or (labelled and not namespace):
            yield f"{plural} {namespace}/{name}" if namespace else f"{plural} {name}"
