"""What each component has cost, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from planebench.model import Role, Stage
from planebench.results.document import Component, Levels, Limit, Row, finite
from planebench.slis.families import figures_of, is_known
from planebench.slis.harness import lateness_row
from planebench.slis.indicator import Indicator
from planebench.slis.limits import limits
from planebench.slis.metrics import Figures, Metric
from planebench.slis.observations import Observations
from planebench.slis.prometheus import Between, Scrapes, joined
from planebench.slis.unseen import unseen
from planebench.stats import Values

_TITLES: Final[Mapping[str, str]] = {
    "kube-apiserver": "API server",
    "kube-scheduler": "scheduler",
    "kube-controller-manager": "controller manager",
    "kwok": "KWOK (simulator)",
    "load-balancer": "load balancer",
    "toxiproxy": "toxiproxy (faults)",
    "planebench": "planebench (harness)",
}
_HARNESS: Final = "planebench"
_ORDER: Final = ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager")
_ROLES: Final = tuple(Role)
OTHER: Final = "other"


def components(
    seen: Observations, scrapes: Scrapes, indicators: Sequence[Indicator], *, own_metrics: bool = True
) -> tuple[Component, ...]:
    """All components: subjects first, then the simulator and the harness; ``own_metrics``: with what they say of
    themselves."""
    processes = _processes(seen, scrapes)
    bounded = limits(seen)
    names = {name: found for name, (_, found) in processes.items()}
    found = [
        _component(
            seen,
            name,
            *processes[name],
            _own_figures(seen, scrapes, name, names) if own_metrics else _Own(),
            indicators,
            tuple(bounded.get(name, ())),
            restarted=any(process in scrapes.restarted for process in names[name]),
        )
        for name in processes
    ]
    return tuple(sorted(found, key=lambda item: (_ROLES.index(item.role), _place(item.name), item.name)))


def _place(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _processes(seen: Observations, scrapes: Scrapes) -> dict[str, tuple[Role, tuple[str, ...]]]:
    """Component -> its role and processes, from samples and scrapes; those that are there but unseen have none."""
    found: dict[str, tuple[Role, list[str]]] = {}
    sampled = seen.samples.select("component", "role", "process").unique(maintain_order=True)
    for component, role, process in sampled.iter_rows():
        found.setdefault(component, (Role(role), []))[1].append(process)
    for process, component in scrapes.components.items():
        processes = found.setdefault(component, (Role.SUBJECT, []))[1]
        if process not in processes:
            processes.append(process)
    for item in unseen(seen):
        found.setdefault(item.component, (Role.SUBJECT, []))
    return {name: (role, tuple(sorted(processes))) for name, (role, processes) in found.items()}


def _component(
    seen: Observations,
    name: str,
    role: Role,
    processes: tuple[str, ...],
    own: _Own,
    indicators: Sequence[Indicator],
    bounded: tuple[Limit, ...],
    *,
    restarted: bool,
) -> Component:
    samples = seen.samples.filter(pl.col("component") == name)
    requests, errors = own.requests, own.errors
    if name == _HARNESS:
        latency = lateness_row(seen)
        asked = seen.requests.filter(pl.col("stage") != "")
        requests, errors = asked.height, asked.height - int(asked["ok"].sum())
    elif role is Role.SIMULATOR:
        latency = _played(seen, indicators)
    else:
        latency = next((row for row in own.rows if row.unit == "s" and row.p99_low is not None), None)
    peaks = samples.group_by("process").agg(pl.col("peak_rss_bytes").max())["peak_rss_bytes"]
    return Component(
        name=name,
        title=_TITLES.get(name, name),
        role=role,
        processes=processes,
        cpu_s=_cpu_total_s(samples),
        cpu_by_stage_s=_cpu_by_stage_s(seen, samples),
        peak_rss_bytes=int(peaks.sum()) if peaks.len() else None,
        requests=requests,
        rate_per_s=own.rate_per_s,
        errors=errors,
        latency=latency,
        metrics=tuple(own.rows),
        headlines=tuple(own.headlines),
        over_time=tuple(own.over_time),
        limits=bounded,
        absent=tuple(own.absent),
        restarted=restarted,
    )


# --- CPU -----------------------------------------------------------------------------------------------------


def _cpu_total_s(samples: pl.DataFrame) -> float | None:
    """All processes' CPU since their start; one that restarted counts anew, on top."""
    if not samples.height:
        return None
    return round(sum(float(growing(mine)[-1]) for mine in of_each_process(samples)), 3)


def _cpu_by_stage_s(seen: Observations, samples: pl.DataFrame) -> dict[str, float]:
    """By stage, linear between samples; the rest is ``other``."""
    total_s = _cpu_total_s(samples)
    if total_s is None:
        return {}
    found: dict[str, float] = {}
    for stage in Stage:
        for phase in seen.run.of_stage(stage):
            used_s = 0.0
            for mine in of_each_process(samples):
                at = np.interp([phase.start_ns, phase.end_ns], mine["t_ns"].to_numpy(), growing(mine))
                used_s += float(at[1] - at[0])
            found[stage] = found.get(stage, 0.0) + used_s
    found[OTHER] = max(total_s - sum(found.values()), 0.0)
    return {name: round(used_s, 3) for name, used_s in found.items()}


def of_each_process(samples: pl.DataFrame) -> list[pl.DataFrame]:
    """A process's samples each, in the order of their times."""
    return [mine.sort("t_ns") for mine in samples.partition_by("process")]


def growing(samples: pl.DataFrame) -> Values:
    """Cumulative CPU that goes on where a new process of the same name began at zero."""
    used = samples["cpu_s"].to_numpy().astype(np.float64)
    carried, offsets = 0.0, [0.0]
    for before, after in pairwise(used.tolist()):
        carried += before if after < before else 0.0
        offsets.append(carried)
    return np.asarray(used + np.asarray(offsets), dtype=np.float64)


# --- figures -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Own:
    """What a component says of itself."""

    rows: list[Row] = field(default_factory=list)
    headlines: list[str] = field(default_factory=list)
    over_time: list[Levels] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    requests: int | None = None
    errors: int | None = None
    rate_per_s: float | None = None

    def add(self, metric: Metric, between: Between) -> None:
        rows = metric.rows(between)
        self.rows += rows
        self.over_time += metric.levels(between)
        if rows and metric.headline:
            self.headlines.append(metric.id)


def _own_figures(seen: Observations, scrapes: Scrapes, name: str, processes: Mapping[str, Sequence[str]]) -> _Own:
    """A component's figures while the stages went on.

    Of several processes, what they counted is added up; levels over time are those of the one with the most
    requests, which of members that elect a leader is the one that led longest.
    """
    own = _Own()
    figures = figures_of(name, seen.plane)
    found = list(_all_between(seen, scrapes, processes[name], figures.families, figures.over_time))
    counts = [figures.count(between) for between in found]
    for between, (count, failed) in zip(found, counts, strict=True):
        if count is not None:
            own.requests, own.errors = (own.requests or 0) + count, (own.errors or 0) + (failed or 0)
            own.rate_per_s = (own.rate_per_s or 0.0) + count / between.took_s
    busiest_first = sorted(range(len(found)), key=lambda place: -(counts[place][0] or 0))
    if together := joined([found[place] for place in busiest_first]):
        for metric in figures.metrics:
            own.add(metric, together)
        own.absent = figures.missing(together) if own.rows and is_known(name, seen.plane) else []
        _add_per_object(own, figures, together, sum(len(made.index) for made in seen.created))
    for teller, metrics in figures.told_by.items():
        families = [metric.family for metric in metrics]
        if told := joined(list(_all_between(seen, scrapes, processes.get(teller, ()), families))):
            for metric in metrics:
                own.add(metric, told)
    return own


def _all_between(
    seen: Observations,
    scrapes: Scrapes,
    processes: Sequence[str],
    families: Sequence[str],
    over_time: Sequence[str] = (),
) -> Iterator[Between]:
    spans = [span for stage in Stage if (span := seen.run.span_ns(stage))]
    if not spans:
        return
    start_ns, end_ns = min(span[0] for span in spans), max(span[1] for span in spans)
    for process in processes:
        between = scrapes.between(process, start_ns, end_ns, families, over_time)
        if between is not None:
            yield between


def _add_per_object(own: _Own, figures: Figures, between: Between, objects: int) -> None:
    """Requests for each object of the workload, over its whole life."""
    if figures.per_object is None or not objects:
        return
    for row in figures.per_object.rows(between):
        per_object = finite((row.value or 0.0) / objects)
        own.rows.append(row.model_copy(update={"n": objects, "value": per_object, "rate_per_s": None}))
    if figures.per_object.headline:
        own.headlines.append(figures.per_object.id)


def _played(seen: Observations, indicators: Sequence[Indicator]) -> Row | None:
    """The simulator's part: from the binding of a pod to what is played next."""
    bound = {(made.workload.bound.watch, made.workload.bound.milestone) for made in seen.created}
    for watch, milestone in sorted(bound):
        for found in indicators:
            if found.simulated and found.name.startswith(f"management.transition.{watch}.{milestone}-"):
                return found.row()
    return None
