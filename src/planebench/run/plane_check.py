"""A trial of a plane's descriptor: a run with one object of each workload, and what was seen of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from planebench.model import UsageError
from planebench.planes import Plane, Setting
from planebench.planes import Workload as PlaneWorkload
from planebench.results import RunFolder
from planebench.run.listener import Listener
from planebench.run.trial import RunOptions, run
from planebench.scenario import Scenario
from planebench.slis.observations import Created, Observations

_SHORTEST_RUN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """When the first object of a watch reached a milestone."""

    watch: str
    milestone: str
    after_s: float | None
    """Seconds after the creation was due; None: it never did."""
    failure: bool


@dataclass(frozen=True, slots=True)
class WorkloadCheck:
    """What became of the object of one workload."""

    name: str
    seen: tuple[Seen, ...]
    faults: tuple[str, ...]
    """What was to come and did not; empty: it is as the descriptor says."""


@dataclass(frozen=True, slots=True)
class PlaneCheck:
    """What a trial of a plane has shown."""

    plane: str
    ready_s: float | None
    """From the start to a healthy control plane."""
    workloads: tuple[WorkloadCheck, ...]
    leftovers: tuple[str, ...]
    """What was still there after everything was deleted."""
    requests_failed: tuple[str, ...] = field(default=())
    """What the API server said to requests that it refused."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is not as it is to be; empty: the descriptor is proven."""
        return (
            *(f"{check.name}: {fault}" for check in self.workloads for fault in check.faults),
            *(f"refused: {words}" for words in self.requests_failed),
            *(f"left behind: {what}" for what in self.leftovers),
        )


async def check_plane(
    plane: Plane,
    listener: Listener,
    *,
    nodes: int,
    timeout_s: float,
    settings: Mapping[str, Setting] | None = None,
    components: Mapping[str, Path] | None = None,
    out: Path | None = None,
) -> PlaneCheck:
    """Start a plane's control plane, create one object of each workload, wait for its milestones, delete it.

    Args:
        nodes: how many nodes to simulate.
        timeout_s: how long the control plane, the objects' milestones and their end may take, each.
        out: keep the run folder there; None: nothing is left.

    Raises:
        UsageError: the descriptor or a binary is wrong; nothing was started.
        ComponentError: a component did not get ready or ended, or an object was refused; names it.
        PlanebenchError: no object could be created.
    """
    if not plane.workloads:
        raise UsageError(f"plane {plane.name} has no workloads: there is nothing to create")
    scenario = scenario_of(plane, nodes, timeout_s, settings or {})
    options = RunOptions(components=components or {}, metrics=out is not None)
    if out is not None:
        return read_check(await run(scenario, out, options, listener))
    with tempfile.TemporaryDirectory(prefix="planebench-check-") as place:
        return read_check(await run(scenario, Path(place) / "run", options, listener))


def scenario_of(plane: Plane, nodes: int, timeout_s: float, settings: Mapping[str, Setting]) -> Scenario:
    """One object of each workload."""
    share = 1 / len(plane.workloads)
    limit = f"{timeout_s:.3f}s"
    return Scenario.model_validate(
        {
            "apiVersion": "planebench.dev/v1",
            "name": "plane-check",
            "plane": plane.source,
            "settings": dict(settings),
            "nodes": [{"count": nodes}],
            "workload": {
                "count": len(plane.workloads),
                "objects": [{"template": name, "share": share} for name in plane.workloads],
            },
            "lifecycle": {"monitoring": {"duration": "0s", "lists": 0, "reads": "0/s", "canary": "0/s"}},
            "timeouts": {
                "cluster": limit,
                "running": limit,
                "cleanup": limit,
                "run": f"{max(4 * timeout_s, _SHORTEST_RUN_S):.3f}s",
            },
        }
    )


def read_check(folder: RunFolder) -> PlaneCheck:
    """What a run folder of such a trial shows."""
    found = Observations(folder)
    refused = found.requests.filter(~found.requests["ok"])["error"].drop_nulls().unique().sort()
    return PlaneCheck(
        plane=found.plane.name,
        ready_s=min((phase.start_ns / 1e9 for phase in found.run.phases), default=None),
        workloads=tuple(_workload(found, made) for made in found.created),
        leftovers=tuple(str(line) for line in folder.leftovers() or ()),
        requests_failed=tuple(words for words in refused.to_list() if words),
    )


def _workload(found: Observations, made: Created) -> WorkloadCheck:
    seen = tuple(
        Seen(watch, rule.name, _after_s(found, made, watch, rule.name), rule.failure)
        for watch in made.workload.watches
        for rule in found.plane.watches[watch].milestones
    )
    return WorkloadCheck(made.kind, seen, tuple(_faults(made.workload, seen)))


def _after_s(found: Observations, made: Created, watch: str, milestone: str) -> float | None:
    reached_s = float(found.reached_s(made.index, watch, milestone)[0] - made.due_s[0])
    return None if np.isnan(reached_s) else reached_s


def _faults(workload: PlaneWorkload, seen: tuple[Seen, ...]) -> list[str]:
    reached = {(one.watch, one.milestone): one.after_s for one in seen}
    faults = [
        f"{one.watch} reached {one.milestone}, a failure, after {one.after_s:.2f} s"
        for one in seen
        if one.failure and one.after_s is not None
    ]
    for meaning, goal in (("bound", workload.bound), ("up", workload.up)):
        if reached.get((goal.watch, goal.milestone)) is None:
            faults.append(f"{goal.watch} never reached {goal.milestone} ({meaning})")
    return faults
