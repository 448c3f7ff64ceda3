"""Asks the API server what has failed, or still waits, and why."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

from planebench.kube.client import ApiError, Client
from planebench.load.messages import collapse
from planebench.model import Manifest, WatchSpec
from planebench.results.stuck import stuck, warnings_of

_MOST: Final = 2_000
"""So many objects of one resource are told by name; more do not tell more."""
_PAGE: Final = 500


async def read(client: Client, watches: Iterable[WatchSpec], namespaces: Sequence[str]) -> list[dict[str, Any]]:
    """What of these watches' objects is stuck, see :mod:`planebench.results.stuck`; their names are taken out of
    the reasons, so that equal ones are equal.

    Raises ApiError where the API server does not answer.
    """
    warnings: dict[str, str] = {}
    for namespace in namespaces:
        path = f"/api/v1/namespaces/{namespace}/events"
        with contextlib.suppress(ApiError):  # who may not read them goes without
            warnings |= warnings_of([event async for event in _pages(client, path, fieldSelector="type=Warning")])
    found: list[dict[str, Any]] = []
    for spec in watches:
        mine = 0
        resource = spec.resource
        for path in [resource.path(name) for name in namespaces] if resource.namespaced else [resource.path()]:
            async for item in _pages(client, path, labelSelector=spec.label_selector):
                if mine < _MOST and (one := stuck(resource.id, item, warnings)) is not None:
                    mine += 1
                    found.append(
                        {
                            "resource": one.resource,
                            "namespace": one.namespace,
                            "name": one.name,
                            "state": one.state,
                            "reason": told_alike(one.reason, one.name, one.namespace),
                        }
                    )
    return found


def told_alike(reason: str, name: str, namespace: str) -> str:
    """A reason without what differs from object to object: its name, and those that children have after it."""
    children = re.sub(rf"(?<![\w.-]){re.escape(name)}(-[a-z0-9]+)+", "<name>-<suffix>", reason)
    return collapse(children, name, namespace)


async def _pages(client: Client, path: str, **query: str) -> AsyncIterator[Manifest]:
    token = ""
    while True:
        more = {"continue": token} if token else {}
        page = await client.get(path, limit=str(_PAGE), **query, **more)
        items: Sequence[Manifest] = page.get("items") or ()
        for item in items:
            yield item
        token = page["metadata"].get("continue") or ""
        if not token:
            return
