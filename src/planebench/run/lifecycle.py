"""The workload's way through the five stages on a running cluster."""

from __future__ import annotations

from collections.abc import Callable

from planebench import plan
from planebench.load import Engine
from planebench.planes import Plane
from planebench.run.record import Recorder
from planebench.scenario import Scenario

Boundary = Callable[[str], "object"]


class Lifecycle:
    """Runs a scenario's stages one after the other; each waits for what it set going, within its time limit.

    A time limit that passes is no error: the objects that did not arrive are counted as such by the analysis.
    """

    def __init__(
        self, scenario: Scenario, plane: Plane, engine: Engine, record: Recorder, run_id: str, seed: int
    ) -> None:
        self._scenario = scenario
        self._plane = plane
        self._engine = engine
        self._record = record
        self._plan = plan.Planner(scenario, plane, run_id=run_id, seed=seed)
