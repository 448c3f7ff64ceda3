"""What each fault of a component did: what was lost, and when what was as before again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np

from planebench.model import Stage
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator
from planebench.slis.observations import Observations
from planebench.slis.resilience.consistency import inconsistencies
from planebench.slis.resilience.service import Service
from planebench.slis.resilience.surplus import surplus
from planebench.slis.resilience.work import Work, work_of
from planebench.slis.windows import Window
from planebench.stats import Sample

COUNTS: Final = ("lost", "errors")
"""What is counted of each fault: requests."""
TIMES: Final = ("first_write", "first_read", "as_before", "ready", "failover", "first_work", "caught_up")
"""What is a time of each fault, from its start on."""
RECOVERED: Final = "recovered"
"""The latest of them."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """One fault and what came of it."""

    window: Window
    work: str
    """What counts as work of the component, in words; empty: nothing that can be told apart."""
    times_s: Mapping[str, float | None] = field(default_factory=dict)
    """Each of :data:`TIMES` and :data:`RECOVERED` on the trial's clock; NaN: it never came; None: not known."""
    counts: Mapping[str, int | None] = field(default_factory=dict)
    """Each of :data:`COUNTS`; None: no request was due."""
    told: Mapping[str, int] = field(default_factory=dict)
    """What lost requests were told -> how many."""

    @property
    def name(self) -> str:
        return self.window.fault.name or self.window.fault.kind


class Resilience:
    """All faults of components in a run."""

    def __init__(self, seen: Observations) -> None:
        self._seen = seen

    @cached_property
    def recoveries(self) -> tuple[Recovery, ...]:
        """In the order of the faults' starts."""
        found = self._seen.faults
        if not found:
            return ()
        service = Service(self._seen)
        work = {target: work_of(self._seen, target) for target in {window.fault.target for window in found}}
        recoveries: list[Recovery] = []
        for window in found:
            apart = _apart(window, recoveries[-1]) if recoveries else window
            recoveries.append(_recovery(apart, service, work[window.fault.target]))
        return tuple(recoveries)

    def indicators(self) -> list[Indicator]:
        """``faults.*``: over all faults, and by fault; empty where there were none."""
        recoveries = self.recoveries
        if not recoveries:
            return []
        found = [indicator for name in (*TIMES, RECOVERED) for indicator in _times(name, recoveries)]
        counts = [indicator for name in COUNTS for indicator in _counts(name, recoveries)]
        return [*counts, *found, *self._never_up(), *self._surplus(), *self._inconsistent()]

    def _never_up(self) -> list[Indicator]:
        """Work that was lost: what had been promised, and never came."""
        seen, missing, of = self._seen, [], 0
        created = seen.of_stage(Stage.CREATION, "create")
        for made in seen.expected:
            mine = created.filter(created["ok"] & created["index"].is_in(made.index.implode()))
            mine = mine.filter(mine["resource"] == made.workload.resource.resource().id).unique("index")
            up = made.workload.up
            came_s = seen.reached_s(mine["index"], up.watch, up.milestone, made.count(up.watch))
            of += len(came_s)
            missing += mine["name"].filter(np.isnan(came_s)).to_list()
        if not of:
            return []
        return [_count("faults.never_up", len(missing), of, sorted(missing))]

    def _surplus(self) -> list[Indicator]:
        names, of = surplus(self._seen)
        return [_count("faults.surplus", len(names), of, names)] if of else []

    def _inconsistent(self) -> list[Indicator]:
        found = inconsistencies(self._seen)
        if found is None:
            return []
        differ = [*found.cache, *found.watch]
        return [
            _count("faults.lost_writes", len(found.lost), 1, found.lost),
            _count("faults.inconsistent", len(differ), 1, differ),
        ]


def _apart(window: Window, last: Recovery) -> Window:
    """What was before a fault is not the aftermath of the last one: it counts from when all was well again, if it
    was."""
    well_s = last.times_s[RECOVERED]
    if well_s is None or math.isnan(well_s):
        well_s = window.calm_s
    return replace(window, before_s=min(max(window.before_s, well_s), window.calm_s))


def _recovery(window: Window, service: Service, work: Work | None) -> Recovery:
    times_s: dict[str, float | None] = {
        "first_write": service.first_success_s(window, reads=False),
        "first_read": service.first_success_s(window, reads=True),
        "as_before": service.as_before_s(window),
        # Connections have no readiness of their own.
        "ready": None if " to " in window.fault.target else window.ready_s,
        "failover": window.fault.leader_ns / 1e9 if window.fault.leader else None,
        "first_work": work.first_s(window) if work else None,
        "caught_up": work.caught_up_s(window) if work else None,
    }
    known = [t_s for t_s in times_s.values() if t_s is not None]
    times_s[RECOVERED] = math.nan if any(map(math.isnan, known)) else max(known, default=None)
    counts = {"lost": service.lost(window), "errors": service.errors(window)}
    return Recovery(window, work.what if work else "", times_s, counts, service.told(window))


def _times(name: str, recoveries: Iterable[Recovery]) -> list[Indicator]:
    definition = CATALOG[f"faults.{name}"]
    parts = []
    for recovery in recoveries:
        t_s, window = recovery.times_s[name], recovery.window
        if t_s is None:
            continue
        never = math.isnan(t_s)
        parts.append(
            Indicator(
                definition=definition,
                measured_in=_stage(recovery),
                id=definition.part(recovery.name),
                title=f"{recovery.window.fault.label}: {definition.title}",
                sample=Sample.of([] if never else [round(t_s - window.start_s, 9)], int(never)),
                beyond_s=max(window.until_s - window.start_s, 0.0) if never else None,
            )
        )
    if not parts:
        return []
    beyond = [part.beyond_s for part in parts if part.beyond_s is not None]
    whole = Indicator(
        definition=definition,
        measured_in=_common_stage(parts),
        sample=Sample.pooled(part.sample for part in parts if part.sample),
        beyond_s=min(beyond) if beyond else None,
    )
    return [whole, *parts]


def _counts(name: str, recoveries: Iterable[Recovery]) -> list[Indicator]:
    definition = CATALOG[f"faults.{name}"]
    parts = [
        Indicator(
            definition=definition,
            measured_in=_stage(recovery),
            id=definition.part(recovery.name),
            title=f"{recovery.window.fault.label}: {definition.title}",
            sample=Sample.of([count]),
        )
        for recovery in recoveries
        if (count := recovery.counts[name]) is not None
    ]
    if not parts:
        return []
    sample = Sample.pooled(part.sample for part in parts if part.sample)
    return [Indicator(definition, _common_stage(parts), sample=sample), *parts]


def _count(sli: str, count: int, of: int, names: Iterable[str]) -> Indicator:
    shown = list(names)[:3]
    return Indicator(
        definition=CATALOG[sli],
        measured_in=None,
        value=float(count),
        of=of,
        notes=(", ".join(shown) + (", ..." if count > len(shown) else ""),) if shown else (),
    )


def _stage(recovery: Recovery) -> Stage | None:
    stage = recovery.window.fault.stage
    return Stage(stage) if stage else None


def _common_stage(parts: Iterable[Indicator]) -> Stage | None:
    stages = {part.measured_in for part in parts}
    return stages.pop() if len(stages) == 1 else None
