"""What the run itself, its machine and its simulator say about whether its figures can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from planebench import verdict
from planebench.model import ADDED, DELETED, DELETING, Stage
from planebench.results.document import Finding
from planebench.slis import simulator
from planebench.slis.indicator import Indicator
from planebench.slis.machine import Outside, outside, pressure
from planebench.slis.observations import Created, Observations, earliest, seconds
from planebench.stats import Sample, Values
from planebench.verdict import Doubt

_LEAST_RECEIPTS: Final = 20
_GOING: Final = (DELETING, DELETED)


class Certificate:
    """The checks beyond the harness' own, and the doubts that follow where one does not hold."""

    def __init__(self, seen: Observations, health: Mapping[str, Any]) -> None:
        self._seen = seen
        self._health = health

    def findings(self) -> list[Finding]:
        """In the order of the report; what was not noted yet when the run was made is left out."""
        apart = verdict.check_worker_clocks(self.apart_s)
        found = [
            *self.clock(),
            *([apart] if apart else []),
            verdict.check_observation({stage: sample.percentile(99) for stage, sample in self.staleness.items()}),
            self._simulator,
            verdict.check_outside(
                {stage: (found.worst, found.worst_steal) for stage, found in self.outside.items()}
            ),
        ]
        if (waited := pressure(self._seen)) is not None:
            found.append(verdict.check_pressure(waited.cpu, waited.io, waited.memory))
        return [finding for finding in found if finding]

    def clock(self) -> list[Finding]:
        """Whether receipts were stamped by a clock that was left alone; nothing where nobody looked."""
        finding = verdict.check_clock(self._health)
        return [finding] if finding else []

    def doubts(self, indicator: Indicator) -> list[Doubt]:
        """What these checks make of an indicator."""
        return [
            *self._of_machine(indicator),
            *self._of_receipts(indicator),
            *self._of_simulator(indicator),
            *self._of_clocks(indicator),
        ]

    # --- clocks of other machines

    @cached_property
    def apart_s(self) -> dict[str, float]:
        """Worker on another machine -> by how much what we know of its clock may be wrong."""
        senders = self._health.get("senders") or {}
        clocks = {name: told["clock"] for name, told in senders.items() if "clock" in told}
        return {name: clock["error_ms"] / 1e3 for name, clock in clocks.items() if not clock["shared"]}

    def _of_clocks(self, indicator: Indicator) -> list[Doubt]:
        """A time from a worker's request to an event spans two clocks, a response does not."""
        if not self.apart_s or not indicator.watches or indicator.definition.unit != "s":
            return []
        worst = max(self.apart_s.values())
        return [Doubt(worst, f"workers' clocks are known to {worst * 1e3:.1f} ms only")]

    # --- receipts

    @cached_property
    def staleness(self) -> dict[Stage, Sample]:
        """How long after a write's answer its watch event came, in seconds: below zero where it came first.

        While the cluster is at rest the canary tells. While objects are created and deleted, each of them does:
        by its own answer and its own event, on the watch that is measured.
        """
        seen = self._seen
        # After a fault, a watch comes back later than answers do: that is no fault of the measurement.
        found = {
            Stage.CREATION: [
                self._after_answers(Stage.CREATION, "create", made, (ADDED,)) for made in seen.created
            ],
            Stage.MONITORING: [self._of_canary()],
            Stage.CLEANUP: [self._after_answers(Stage.CLEANUP, "delete", made, _GOING) for made in seen.created],
        }
        samples = {stage: Sample.of(np.concatenate([np.empty(0), *parts])) for stage, parts in found.items()}
        return {stage: sample for stage, sample in samples.items() if sample.n >= _LEAST_RECEIPTS}

    def _after_answers(self, stage: Stage, verb: str, made: Created, milestones: tuple[str, ...]) -> Values:
        requests = self._seen.of_stage(stage, verb).filter(
            pl.col("ok")
            & pl.col("index").is_in(made.index.implode())
            & (pl.col("resource") == made.workload.resource.resource().id)
        )
        requests = self._seen.undisturbed(requests, "due_ns", "done_ns")
        requests = requests.unique("index", keep="first", maintain_order=True)
        tracked = made.workload.tracked
        receipts = earliest(
            self._seen.reached_s(requests["index"], tracked, milestone) for milestone in milestones
        )
        after_s = receipts - seconds(requests["done_ns"])
        return after_s[~np.isnan(after_s)]

    def _of_canary(self) -> Values:
        writes = self._seen.of_stage(Stage.MONITORING, "patch").filter(pl.col("ok"))
        writes = self._seen.undisturbed(writes, "due_ns", "done_ns")
        after_s = self._seen.canary_s(writes["index"]) - seconds(writes["done_ns"])
        return after_s[~np.isnan(after_s)]

    def _of_receipts(self, indicator: Indicator) -> list[Doubt]:
        sample = self.staleness.get(indicator.measured_in) if indicator.measured_in else None
        if sample is None or not indicator.watches or indicator.definition.unit != "s":
            return []
        late_s = sample.percentile(99)
        if late_s <= verdict.MOST_STALE_S:
            return []
        return [
            Doubt(
                late_s,
                f"watch events came {late_s * 1e3:.0f} ms (p99) after their writes' answers",
                worse_only=True,
            )
        ]

    # --- simulator

    @cached_property
    def played(self) -> simulator.Played | None:
        return simulator.played(self._seen)

    @cached_property
    def _simulator(self) -> Finding | None:
        played = self.played
        if played is None:
            return None
        cores = self._seen.folder.environment().get("machine", {}).get("usable_cores")
        return verdict.check_simulator(
            step=f"{played.watch}, {played.step}",
            p50_s=played.sample.percentile(50),
            p99_s=played.sample.percentile(99),
            unloaded_s=played.unloaded_s,
            workers=played.workers,
            queued=played.queued,
            growth_s=played.growth_s,
            busy_cores=played.cores,
            cores=cores if isinstance(cores, int) else None,
        )

    def _of_simulator(self, indicator: Indicator) -> list[Doubt]:
        rests = indicator.simulated or indicator.definition.id in simulator.RESTS_ON_IT
        if indicator.definition.unit != "s" or not rests:
            return []
        finding = self._simulator
        if finding is None or finding.ok:
            return []
        return [Doubt(math.inf, f"not so: {finding.title} ({finding.value})")]

    # --- machine

    @cached_property
    def outside(self) -> dict[Stage, Outside]:
        return outside(self._seen)

    def _of_machine(self, indicator: Indicator) -> list[Doubt]:
        found = self.outside.get(indicator.measured_in) if indicator.measured_in else None
        if found is None or found.worst <= verdict.MOST_OUTSIDE or indicator.definition.unit not in ("s", "/s"):
            return []
        return [
            Doubt(
                found.worst,
                f"others took {found.worst * 100:.0f}% of the machine's CPU meanwhile",
                relative=True,
                worse_only=True,
            )
        ]
