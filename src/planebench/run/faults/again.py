"""What a kubelet would try again.

KWOK plays a status once. Where the API server answers with an error that is neither a refused connection nor one
of a few (kwok v0.8.0, pkg/kwok/controllers/utils.go, shouldRetry), it gives up, and the object waits for ever; a
kubelet asks again. So whatever still waits for the simulator some time after a fault is touched: KWOK sees an
event of it, and plays it.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from planebench.kube.client import ApiError
from planebench.model import Resource
from planebench.observe.milestones import Reducer
from planebench.run.faults.fault import Surroundings
from planebench.run.faults.members import own_cluster

_WAIT_S: Final = 1.5
"""Longer than anything waits for a simulator that keeps up."""
_ROUNDS: Final = 5
_ANNOTATION: Final = "planebench.dev/again"

_Waiting = dict[tuple[Resource, str, str], str]
"""Resource, namespace and name -> resourceVersion."""


async def play_again(around: Surroundings) -> int:
    """Touch all that waits for the simulator and has not changed for a while, until nothing does.

    Returns how many objects were touched. What the API server refuses is left as it is: it was no retry's fault.
    """
    touched: set[tuple[Resource, str, str]] = set()
    before: _Waiting = {}
    for number in range(_ROUNDS):
        await asyncio.sleep(_WAIT_S)
        try:
            waiting = await _waiting(around)
        except ApiError:
            continue
        stuck = [key for key, version in waiting.items() if before.get(key) == version]
        body = {"metadata": {"annotations": {_ANNOTATION: str(number)}}}
        await asyncio.gather(
            *(around.client.patch(resource.path(namespace, name), body) for resource, namespace, name in stuck),
            return_exceptions=True,
        )
        touched.update(stuck)
        if not waiting:
            break
        before = {key: version for key, version in waiting.items() if key not in stuck}
    return len(touched)


async def _waiting(around: Surroundings) -> _Waiting:
    plane = own_cluster(around).config.plane
    found: _Waiting = {}
    for name in sorted({name for kind in around.planner.kinds for name in kind.workload.watches}):
        step = plane.first_played(name)
        if step is None:
            continue
        before, played = step
        spec = next(spec for spec in around.planner.watches() if spec.name == name)
        reducer = Reducer(spec)
        listed = msgspec.defstruct("List", [("items", list[reducer.object_type] | None, ())])  # type: ignore[name-defined]
        query = {"labelSelector": spec.label_selector} if spec.label_selector else None
        content = await around.client.request("GET", spec.resource.path(), query=query)
        for item in msgspec.json.decode(content, type=listed).items or ():  # type: ignore[attr-defined]
            reducer.listed(item)
        for uid, tracked in reducer.alive.items():
            held = reducer.held(uid)
            if before in held and played not in held:
                found[spec.resource, tracked.namespace, tracked.name] = tracked.version
    return found
