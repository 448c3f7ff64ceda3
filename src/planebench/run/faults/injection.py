"""Brings faults about at their times, takes them back, and writes down when what happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Final

from planebench.cluster.local import LocalCluster
from planebench.kube.client import ApiError
from planebench.load.spread import Load
from planebench.model import ComponentError, EvictionRecord, FaultRecord
from planebench.plan import NODES
from planebench.run.faults.again import play_again
from planebench.run.faults.drain import Drained
from planebench.run.faults.etcd import Filled, Moved
from planebench.run.faults.failover import Failover
from planebench.run.faults.fault import Conditions, Fault, Surroundings
from planebench.run.faults.links import Cut, Delayed, Throttled
from planebench.run.faults.nodes import Flapping, Silenced, Slowed
from planebench.run.faults.processes import Killed, Paused, Restarted
from planebench.run.record import Recorder
from planebench.scenario import (
    Bandwidth,
    ConnectionLoss,
    Drain,
    EtcdFull,
    Kill,
    Latency,
    MoveLeader,
    NodeFlapping,
    NodeSilence,
    Pause,
    Restart,
    Scenario,
    SlowHeartbeats,
    fault_names,
)
from planebench.scenario import Fault as Wanted

_DISTANCE_S: Final = 15.0
"""From one fault's end to the next one's start: enough for what was before that one to be told."""
_UNDO_S: Final = 10.0
"""The most that is spent on taking a fault back where the run has to end."""


def unavailable(scenario: Scenario, conditions: Conditions) -> Iterator[str]:
    """Which of a scenario's faults cannot be brought about, and why; one line each."""
    for number, wanted in enumerate(scenario.faults):
        if reason := _KINDS[type(wanted)].available(conditions):
            yield f"faults[{number}]: {wanted.kind} is not available: {reason}"


_KINDS: Final[Mapping[type[Wanted], type[Fault]]] = {
    NodeSilence: Silenced,
    NodeFlapping: Flapping,
    SlowHeartbeats: Slowed,
    Drain: Drained,
    Kill: Killed,
    Pause: Paused,
    Restart: Restarted,
    Latency: Delayed,
    Bandwidth: Throttled,
    ConnectionLoss: Cut,
    EtcdFull: Filled,
    MoveLeader: Moved,
}


def make(number: int, wanted: Wanted, around: Surroundings) -> Fault:
    """A fault of a scenario, ready to be brought about; ``number`` is its own."""
    match wanted:
        case NodeSilence():
            return Silenced(number, wanted, around)
        case NodeFlapping():
            return Flapping(number, wanted, around)
        case SlowHeartbeats():
            return Slowed(number, wanted, around)
        case Drain():
            return Drained(number, wanted, around)
        case Kill():
            return Killed(wanted, around)
        case Pause():
            return Paused(wanted, around)
        case Restart():
            return Restarted(wanted, around)
        case Latency():
            return Delayed(wanted, around)
        case Bandwidth():
            return Throttled(wanted, around)
        case ConnectionLoss():
            return Cut(wanted, around)
        case EtcdFull():
            return Filled(wanted, around)
        case MoveLeader():
            return Moved(around)


class Faults:
    """Each fault happens at its time from its stage's start, and the stage does not end before it is over.

    A fault that was to come after the end of another one does: where that takes longer than planned, it waits, and
    keeps its distance from it, up to :data:`_DISTANCE_S`. Those that were to go on together do.
    """

    def __init__(self, around: Surroundings, engine: Load, record: Recorder) -> None:
        self._around = around
        self._engine = engine
        self._record = record
        self._faults = around.scenario.faults
        self._names = fault_names(self._faults)
        self._again: list[asyncio.Task[int]] = []
        if isinstance(around.cluster, LocalCluster):
            around.cluster.supervisor.on_restart = record.restart

    def any(self, stage: str) -> bool:
        """Whether any falls in a stage."""
        return any(fault.stage == stage for fault in self._faults)

    @contextlib.asynccontextmanager
    async def during(self, stage: str) -> AsyncIterator[None]:
        """The stage's faults go on meanwhile; on the way out all are over, and the nodes Ready again.

        Raises ApiError or ComponentError where a fault cannot be brought about.
        """
        if not self.any(stage):
            yield
            return
        # A TaskGroup would wrap the stage's own errors.
        mine = [(number, wanted) for number, wanted in enumerate(self._faults) if wanted.stage == stage]
        loop = asyncio.get_running_loop()
        over: dict[int, asyncio.Future[float]] = {number: loop.create_future() for number, _ in mine}

        async def in_turn(number: int, wanted: Wanted) -> None:
            await asyncio.sleep(wanted.at)
            for other, before in mine:
                if (distance_s := wanted.at - before.at - before.duration) > 0:
                    from_s = await over[other] + min(distance_s, _DISTANCE_S)
                    await asyncio.sleep(max(from_s - loop.time(), 0.0))
            try:
                await self._play(number, wanted)
            finally:
                over[number].set_result(loop.time())

        going_on = [
            asyncio.create_task(in_turn(number, wanted), name=f"fault {number}") for number, wanted in mine
        ]
        try:
            yield
            await asyncio.gather(*going_on)
            await asyncio.gather(*self._again)
            await self._recovered()
        finally:
            everything = [*going_on, *self._again]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _play(self, number: int, wanted: Wanted) -> None:
        fault = make(number, wanted, self._around)
        record = FaultRecord(
            wanted.kind, (), -1, name=self._names[number], target=wanted.target, stage=wanted.stage
        )
        tell, now_ns = self._record.listener.status, self._record.now_ns
        failover = Failover(wanted, self._around)
        following: asyncio.Task[tuple[str, int] | None] | None = None
        try:
            record = replace(record, prepared_ns=now_ns())
            await fault.prepare()
            await failover.look()
            record = replace(record, start_ns=now_ns())
            struck = await fault.strike()
            record = replace(
                record,
                struck_ns=now_ns(),
                nodes=struck.nodes,
                processes=struck.processes,
                evictions=tuple(self._on_our_clock(item) for item in struck.evictions),
            )
            following = asyncio.create_task(failover.follow(struck.processes))
            tell(f"fault {record.name}: in effect")
            await asyncio.sleep(wanted.duration)
            record = replace(record, end_ns=now_ns())
            await fault.undo()
            async with self._patience():
                await fault.recovered()
                record = replace(record, ready_ns=now_ns())
            failover.over.set()
            async with self._patience():
                if (found := await following) is not None:
                    record = replace(record, leader=found[0], leader_ns=found[1] - self._record.t0_ns)
            if isinstance(self._around.cluster, LocalCluster):
                self._again.append(asyncio.create_task(play_again(self._around)))
            ready = record.ready_ns >= 0
            tell(f"fault {record.name}: {'over' if ready else 'what it struck is not ready again'}")
        finally:
            if following is not None:
                following.cancel()
            if record.start_ns >= 0:
                self._record.fault(record)
            if record.end_ns < 0:
                await _undo(fault)

    def _on_our_clock(self, eviction: EvictionRecord) -> EvictionRecord:
        t0_ns = self._record.t0_ns
        granted_ns = eviction.granted_ns - t0_ns if eviction.granted_ns >= 0 else -1
        return replace(eviction, asked_ns=eviction.asked_ns - t0_ns, granted_ns=granted_ns)

    @contextlib.asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """So long, and no longer, is waited for what is to recover; it is no error where it does not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._around.scenario.timeouts.cluster):
                yield

    async def _recovered(self) -> None:
        count = self._around.scenario.node_count
        if not await self._engine.until(
            lambda progress: progress.current[NODES]["ready"] >= count, self._around.scenario.timeouts.nodes
        ):
            self._record.mark_incomplete("timeouts.nodes")


async def _undo(fault: Fault) -> None:
    """Whatever ends the run: it may go on elsewhere on the same cluster, or the cluster is ended next."""
    with contextlib.suppress(ApiError, ComponentError, TimeoutError):
        async with asyncio.timeout(_UNDO_S):
            await fault.undo()
