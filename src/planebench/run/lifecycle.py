"""The workload's way through the five stages on a running cluster."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planebench import nodes
from planebench.kube.client import ApiError, Client
from planebench.load.spread import Load
from planebench.model import DELETED, REVISION_PREFIX, ComponentError, LoadPhase, PlanebenchError, Progress, Stage
from planebench.plan import CANARY, NODES, Kind, Planner
from planebench.planes import Convergence, Plane, Seen
from planebench.run.faults import Faults
from planebench.run.record import Recorder
from planebench.scenario import Scenario

Goal = tuple[str, str]
"""A watch and a milestone."""

Boundary = Callable[[str], Awaitable[None]]
"""Called between stages, with a name for that time: the components' metrics are read then."""

START: Final = "start"
"""The time right before the first stage."""
_POLL_S: Final = 0.1
_CANARY_WAIT_S: Final = 5.0
_LEFTOVERS_POLL_S: Final = 0.5


class Lifecycle:
    """Runs a scenario's stages one after the other; each waits for what it set going, within its time limit.

    A time limit that passes is no error: the objects that did not arrive are counted as such by the analysis.
    """

    def __init__(
        self,
        scenario: Scenario,
        plane: Plane,
        planner: Planner,
        engine: Load,
        record: Recorder,
        boundary: Boundary,
        leftovers: Callable[[], Awaitable[list[str]]],
        client: Client,
        faults: Faults,
        settled: Callable[[], Awaitable[None]],
        waiting: Callable[[Stage], Awaitable[None]],
    ) -> None:
        """``leftovers`` asks the API server for everything of the run that it has; ``client`` is for set-up;
        ``settled`` is called when nothing changes any more, and everything is still there; ``waiting`` asks why
        objects are not up, at the end of a stage after which some are not."""
        self._scenario = scenario
        self._plane = plane
        self._planner = planner
        self._engine = engine
        self._record = record
        self._boundary = boundary
        self._leftovers = leftovers
        self._client = client
        self._set_up: list[str] = []
        """The paths of the scenario's further objects, as they were created."""
        self._faults = faults
        self._settled = settled
        self._waiting = waiting

    # --- before the stages ---

    async def prepare(self, *, again: bool = False) -> None:
        """Watch everything; create namespaces, nodes and the scenario's further objects, and wait until objects
        can be created in the former.

        ``again``: on a control plane that has been used before, what is there already is not created.

        Raises ComponentError where not all nodes get Ready in time.
        """
        for spec in self._planner.watches():
            await self._engine.watch(spec)
        there = self._client if again else None
        await self._prepare(await _missing(self._planner.namespaces(), there))
        await self.add_nodes(there)
        async with asyncio.timeout(self._scenario.timeouts.cluster):
            await self._service_accounts(self._client)
        await self._create_setup()
        await self._prepare(await _missing(self._planner.canaries(), there))

    async def add_nodes(self, there: Client | None = None) -> None:
        """Create the nodes, without those that are ``there`` already, and wait until all are Ready; ComponentError
        where they do not get so in time."""
        count = self._scenario.node_count
        limit_s = self._scenario.timeouts.nodes
        by = nodes.simulators(self._scenario.topology)
        every = self._planner.nodes(list(nodes.manifests(self._scenario.nodes, self._plane, by)))
        phase = await _missing(every, there)
        with self._record.phase("nodes", None, count):
            if phase.operations:
                self._demand(phase, await self._engine.execute(phase))
            if not await self._engine.until(lambda p: p.current[NODES]["ready"] >= count, limit_s):
                ready = self._engine.progress.current[NODES]["ready"]
                raise ComponentError(
                    f"{ready:,} of {count:,} nodes Ready within {limit_s:g} s (time limit: timeouts.nodes); "
                    "see the logs of kwok in the run folder",
                    component="kwok",
                )

    async def _create_setup(self) -> None:
        """One after the other: later ones may refer to earlier ones. Raises ApiError where one is refused."""
        for item in self._planner.setup():
            collection = await self._client.collection(item)
            if "/namespaces/" not in collection:
                item = {**item, "metadata": {**item["metadata"], "namespace": None}}
            await self._client.create(item)
            self._set_up.append(await self._client.path(item))

    async def _delete_setup(self) -> None:
        while self._set_up:
            with contextlib.suppress(ApiError):  # what is left is found by those who look for leftovers
                await self._client.delete(self._set_up.pop(), propagationPolicy="Background")

    async def _prepare(self, phase: LoadPhase) -> None:
        if not phase.operations:
            return
        with self._record.phase(phase.name, phase.stage, len(phase.operations)):
            self._demand(phase, await self._engine.execute(phase))

    def _demand(self, phase: LoadPhase, done: Progress) -> None:
        if done.failed:
            raise PlanebenchError(
                f"{phase.name}: {done.failed:,} of {len(phase.operations):,} could not be created: {_worst(done)}"
            )

    async def _service_accounts(self, client: Client) -> None:
        """A pod is admitted once its namespace has the service account that the controller manager makes."""
        waiting = set(self._scenario.namespaces)
        while True:
            found = await client.list("/api/v1/serviceaccounts", fieldSelector="metadata.name=default")
            waiting -= {item["metadata"]["namespace"] for item in found}
            if not waiting:
                return
            await asyncio.sleep(_POLL_S)

    # --- the stages ---

    async def run(self) -> list[str]:
        """All stages; returns what is left over at the end.

        Raises PlanebenchError where not a single object could be created.
        """
        await self._boundary(START)
        async with self._faults.during("creation"):
            await self.create()
        await self._boundary("created")
        await self._ask_why(Stage.CREATION)
        disturbed = self._faults.any("management") and not self._scenario.lifecycle.management
        with self._record.phase("faults", Stage.MANAGEMENT) if disturbed else contextlib.nullcontext():
            async with self._faults.during("management"):
                await self.manage()
        await self._boundary("managed")
        if self._scenario.lifecycle.management or self._faults.any("management"):
            await self._ask_why(Stage.MANAGEMENT)
        await self.monitor()
        await self._boundary("monitored")
        if self._faults.any("monitoring"):
            await self._ask_why(Stage.MONITORING)
        await self._settled()
        left = await self.clean_up()
        await self._boundary("end")
        return left

    async def create(self) -> None:
        phase = self._planner.creation()
        with self._record.phase(phase.name, phase.stage, len(phase.operations)):
            done = await self._engine.execute(phase)
            failed = done.failed_by_verb.get("create", 0)
            if failed == sum(
                phase.templates[operation.template].verb == "create" for operation in phase.operations
            ):
                raise PlanebenchError(f"no object could be created: {_worst(done)}")
            failed = max(failed - self._to_be_refused, 0)
            goals = self._up_goals(failed)
            await self._wait(lambda p: _all_up(p, goals, failed), "running")

    async def manage(self) -> None:
        for phase in self._planner.management():
            before = self._engine.progress
            goals = self._change_goals(phase.name, self._planner.selected[phase.name], before)
            with self._record.phase(phase.name, phase.stage, len(phase.operations)):
                done = await self._engine.execute(phase)
                await self._wait(
                    lambda p, goals=goals, failed=done.failed: all(  # type: ignore[misc]
                        _reached(p, goal) >= count - failed for goal, count in goals.items()
                    ),
                    "management",
                )

    async def monitor(self) -> None:
        phase = self._planner.monitoring()
        if not phase.operations and not self._faults.any("monitoring"):
            return
        writes = [
            operation.index
            for operation in phase.operations
            if phase.templates[operation.template].verb == "patch"
        ]
        with self._record.phase(phase.name, phase.stage, len(phase.operations)):
            async with self._faults.during("monitoring"):
                await self._engine.execute(phase)
            if writes:
                last: Goal = (CANARY, f"{REVISION_PREFIX}{max(writes)}")
                await self._engine.until(lambda p: _reached(p, last) > 0, _CANARY_WAIT_S)
        for storm in self._planner.storms():
            with self._record.phase(storm.name, storm.stage, len(storm.operations)):
                await self._engine.execute(storm)

    async def clean_up(self) -> list[str]:
        """Ends when nothing is left of what is watched, nor of anything else that came along with it; returns what
        is left all the same.
        """
        phase = self._planner.cleanup()
        changes = self._scenario.lifecycle.management
        watches = {watch for kind in self._planner.kinds for watch in kind.workload.watched(changes)}
        with self._record.phase(phase.name, phase.stage, len(phase.operations)):
            await self._engine.execute(phase)
            limit_s = time.monotonic() + self._scenario.timeouts.cleanup
            await self._wait(lambda p: not any(p.alive.get(watch, 0) for watch in watches), "cleanup")
            await self._delete_setup()
            # The garbage collector has a say in the rest.
            while (left := await self._leftovers()) and time.monotonic() < limit_s:  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(_LEFTOVERS_POLL_S)
        return left

    async def _ask_why(self, stage: Stage) -> None:
        """Nothing is asked where everything that is there is up."""
        progress = self._engine.progress
        for kind in self._planner.kinds:
            for reach in (kind.workload.bound, kind.workload.up):
                well = progress.current.get(reach.watch, {}).get(reach.milestone, 0)
                if well < progress.alive.get(reach.watch, 0):
                    await self._waiting(stage)
                    return

    # --- goals ---

    @property
    def _to_be_refused(self) -> int:
        """Creations that are to fail."""
        kinds = self._planner.kinds
        return sum(len(kind.indices) for kind in kinds if kind.refused and kind.workload.refused is None)

    def _up_goals(self, failed: int) -> dict[Goal, int]:
        """How many objects reach which milestone when all are up, or have found no node as they were to. An object
        gives rise to objects in each of its workload's watches, so kinds that share a watch add up."""
        expected = [kind for kind in self._planner.kinds if kind.expected]
        wanted: Counter[Goal] = Counter()
        for goal in {(kind.workload.up.watch, kind.workload.up.milestone) for kind in expected}:
            wanted[goal] = sum(
                len(kind.indices) * kind.children.get(goal[0], 1)
                for kind in expected
                if goal[0] in kind.workload.watches
            )
        for kind in self._planner.kinds:
            if kind.workload.endpoints is not None:
                wanted[kind.workload.endpoints.watch, kind.workload.endpoints.milestone] += len(kind.indices)
            if kind.refused:
                if (refused := kind.workload.refused) is not None:
                    wanted[refused.watch, refused.milestone] += len(kind.indices)
            elif not kind.expected and (none := kind.workload.unschedulable) is not None:
                wanted[none.watch, none.milestone] += len(kind.indices) * kind.children.get(none.watch, 1)
        return {goal: max(count - failed, 0) for goal, count in wanted.items()}

    def _change_goals(
        self, name: str, selected: Sequence[tuple[Kind, NDArray[np.int32]]], before: Progress
    ) -> dict[Goal, int]:
        wanted: Counter[Goal] = Counter()
        for kind, indices in selected:
            converged = kind.workload.offered[name].converged
            wanted[_shown(name, converged)] += len(indices) * kind.successors(converged)
        return {goal: count + _reached(before, goal) for goal, count in wanted.items()}

    async def _wait(self, done: Callable[[Progress], bool], limit: str) -> None:
        limit_s: float = getattr(self._scenario.timeouts, limit)
        if not await self._engine.until(done, limit_s):
            self._record.mark_incomplete(f"timeouts.{limit}")


async def _missing(phase: LoadPhase, there: Client | None) -> LoadPhase:
    """A phase that creates objects of one collection, without those that are there already."""
    if there is None or not phase.operations:
        return phase
    found = {item["metadata"]["name"] for item in await there.list_metadata(phase.templates[0].path)}
    return replace(phase, operations=[operation for operation in phase.operations if operation.name not in found])


def _shown(name: str, converged: Convergence) -> Goal:
    match converged.seen:
        case Seen.REVISION:
            return converged.watch, f"{REVISION_PREFIX}{name}"
        case Seen.DELETED:
            return converged.watch, DELETED
        case Seen.SUCCESSOR:
            return converged.watch, converged.milestone


def _reached(progress: Progress, goal: Goal) -> int:
    watch, milestone = goal
    return progress.milestones.get(watch, {}).get(milestone, 0)


def _all_up(progress: Progress, goals: Mapping[Goal, int], failed: int) -> bool:
    """Every goal is reached by as many as it takes. Where creations ``failed``, nobody knows of which kind those
    were, and whether they took effect all the same: then also every object that exists is where it was to get."""
    if not all(_up(progress, goal, count) for goal, count in goals.items()):
        return False
    arrived: Counter[str] = Counter()
    for watch, milestone in goals:
        arrived[watch] += progress.current.get(watch, {}).get(milestone, 0)
    return not failed or all(
        count + _reached(progress, (watch, "failed")) >= progress.alive.get(watch, 0)
        for watch, count in arrived.items()
    )


def _up(progress: Progress, goal: Goal, count: int) -> bool:
    """Reached, or failed for good: who waits for the latter waits in vain."""
    return _reached(progress, goal) + _reached(progress, (goal[0], "failed")) >= count


def _worst(progress: Progress) -> str:
    """The most frequent error in the API server's own words, once, with how often it was said."""
    if not progress.errors:
        return "no reason was given"
    message, count = max(progress.errors.items(), key=lambda item: item[1])
    return f"{message} ({count:,} times)"
