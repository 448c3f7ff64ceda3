"""Faults that a scenario asks for, brought about beside its stages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from planebench.kube.client import ApiError, Client
from planebench.load import Engine
from planebench.model import FaultRecord
from planebench.nodes import SIMULATOR, SIMULATOR_LABEL
from planebench.plan import NODES, Planner
from planebench.run.record import Recorder
from planebench.scenario import NodeSilence, Scenario


class Faults:
    """Each fault happens at its time from its stage's start, and the stage does not end before it is over."""

    def __init__(
        self, scenario: Scenario, planner: Planner, engine: Engine, record: Recorder, client: Client
    ) -> None:
        self._scenario = scenario
        self._planner = planner
        self._engine = engine
        self._record = record
        self._client = client

    def any(self, stage: str) -> bool:
        """Whether any falls in a stage."""
        return any(fault.stage == stage for fault in self._scenario.faults)

    @contextlib.asynccontextmanager
    async def during(self, stage: str) -> AsyncIterator[None]:
        """The stage's faults go on meanwhile; on the way out all are over, and the nodes Ready again.

        Raises ApiError where a fault cannot be brought about.
        """
        if not self.any(stage):
            yield
            return
        # A TaskGroup would wrap the stage's own errors.
        going_on = [
            asyncio.create_task(self._silence(number, fault), name=f"fault {number}")
            for number, fault in enumerate(self._scenario.faults)
            if fault.stage == stage
        ]
        try:
            yield
            await asyncio.gather(*going_on)
            await self._recovered()
        finally:
            for task in going_on:
                task.cancel()
            await asyncio.gather(*going_on, return_exceptions=True)

    async def _silence(self, number: int, fault: NodeSilence) -> None:
        """KWOK plays a node only as long as it has its label: without it the node falls silent."""
        names = self._planner.silenced(number)
        simulators = {
            f"{pool.name}-{place:06d}": pool.labels.get(SIMULATOR_LABEL, SIMULATOR)
            for pool in self._scenario.nodes
            for place in range(pool.count)
        }
        await asyncio.sleep(fault.at)
        self._record.listener.status(f"{len(names):,} nodes fall silent")
        start_ns, end_ns = self._record.now_ns(), -1
        try:
            await self._label(names, dict.fromkeys(names))
            await asyncio.sleep(fault.duration)
            end_ns = self._record.now_ns()
            await self._label(names, simulators)
            self._record.listener.status(f"{len(names):,} nodes are back")
        finally:
            self._record.fault(FaultRecord(fault.kind, names, start_ns, end_ns))

    async def _label(self, names: Iterable[str], values: dict[str, str] | dict[str, None]) -> None:
        """Set the label, or take it away (None), of all at once."""
        done = await asyncio.gather(
            *(
                self._client.patch(
                    f"/api/v1/nodes/{name}", {"metadata": {"labels": {SIMULATOR_LABEL: values[name]}}}
                )
                for name in names
            ),
            return_exceptions=True,
        )
        for failure in done:
            if isinstance(failure, ApiError):
                raise failure

    async def _recovered(self) -> None:
        count = self._scenario.node_count
        if not await self._engine.until(
            lambda progress: progress.current[NODES]["ready"] >= count, self._scenario.timeouts.nodes
        ):
            self._record.mark_incomplete("timeouts.nodes")
