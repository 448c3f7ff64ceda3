"""What happened when: everything that has a time, on one time axis.

All panels share the trial's clock in seconds. Where there are more readings than pixels, a panel holds the
smallest and the largest reading of each piece of time: peaks stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import polars as pl

from planebench.model import Stage
from planebench.results.document import Component, Result
from planebench.results.folder import RunFolder, ScrapeEntry
from planebench.slis.observations import DELETED, Observations, seconds
from planebench.slis.exposition import parse
from planebench.stats import Values

MOST_ROWS: Final = 700
"""Of a panel: about as many as a screen has pixels for."""
_WIDTHS_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_MIB: Final = 2**20
_FEWEST_SCRAPES: Final = 3

Kind = Literal["phase", "gap"]


@dataclass(frozen=True, slots=True)
class Band:
    """Something that lasted: a phase of the run, or a gap of a watch."""

    kind: Kind
    name: str
    stage: Stage | None
    start_s: float
    end_s: float
    completed: bool = True
    planned: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One line of a panel; NaN where there is nothing to tell."""

    name: str
    title: str
    values: Values
    place: int
    """Its number among those that have the same colours, for instance of a component."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Lines over the same times."""

    id: str
    title: str
    unit: str
    definition: str
    times_s: Values
    series: tuple[Series, ...]
    steps: bool = False
    """A value holds until the next time; else it is read at its time."""
    marks: bool = False
    """There are so few readings that each is drawn as a point."""
    thinned: int = 0
    """How many readings became the two of each piece of time; 0: all are drawn."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run's panels and what to mark on all of them."""

    end_s: float
    bands: tuple[Band, ...]
    panels: tuple[Panel, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Panel -> why it is not there."""


def timeline(seen: Observations, result: Result) -> Timeline | None:
    """None where the run has not come to any phase, nor to any reading."""
    found: list[Panel] = []
    absent: dict[str, str] = {}
    for title, panel, reason in (
        ("Objects", objects(seen), "no object was created"),
        ("Requests", requests(seen), "no request was recorded"),
        ("CPU", cpu(seen, result.components), "no process was sampled twice"),
        ("Memory", memory(seen, result.components), "no process was sampled twice"),
        ("Queues", queues(seen.folder, result.components), "metrics were scraped less than three times"),
    ):
        if panel is None:
            absent[title] = reason
        else:
            found.append(panel)
    bands = _bands(seen)
    if not bands and not found:
        return None
    ends = [band.end_s for band in bands] + [float(panel.times_s[-1]) for panel in found]
    return Timeline(max([seen.run.end_ns / 1e9, *ends]), bands, tuple(found), absent)


def _bands(seen: Observations) -> tuple[Band, ...]:
    phases = [
        Band(
            "phase",
            phase.name,
            phase.stage,
            phase.start_ns / 1e9,
            phase.end_ns / 1e9,
            phase.completed,
            phase.planned,
        )
        for phase in seen.run.phases
    ]
    gaps = [
        Band("gap", f"watch of {row['watch']}: {row['reason']}", None, row["t_ns"] / 1e9, row["end_ns"] / 1e9)
        for row in seen.gaps.filter(pl.col("end_ns") >= 0).iter_rows(named=True)
    ]
    return (*phases, *gaps)


# --- objects and requests ------------------------------------------------------------------------------------


def objects(seen: Observations) -> Panel | None:
    """How many objects have reached what, over time; the last values are the result's counts."""
    if not seen.created:
        return None
    answered = seen.of_stage(Stage.CREATION, "create").filter(pl.col("ok")).unique("index", keep="first")
    lines: list[tuple[str, str, Values]] = [
        ("planned", "creation due", np.concatenate([made.due_s for made in seen.created])),
        ("created", "created", seconds(answered["done_ns"])),
        ("scheduled", "scheduled", _reached(seen, "bound")),
        ("up", "up", _reached(seen, "up")),
        (
            "deleted",
            "deleted",
            np.concatenate(
                [seen.last_reached_s(made.index, made.workload.tracked, DELETED) for made in seen.created]
            ),
        ),
    ]
    # A count only rises: a grid loses nothing but the place of a rise within one step of it.
    times = np.linspace(0.0, max(_end_s(seen), *(_last(line) for _, _, line in lines)), MOST_ROWS)
    return Panel(
        "objects",
        "Objects",
        "count",
        "how many objects of the workload have come so far: their creation was due, was answered with success, a "
        "node was bound, they were up, they were gone",
        times,
        tuple(
            Series(name, title, cumulative(line, times), place) for place, (name, title, line) in enumerate(lines)
        ),
    )


def _reached(seen: Observations, what: Literal["bound", "up"]) -> Values:
    parts = []
    for made in seen.created:
        goal = made.workload.bound if what == "bound" else made.workload.up
        parts.append(seen.reached_s(made.index, goal.watch, goal.milestone))
    return np.concatenate(parts)


def cumulative(events_s: Values, times_s: Values) -> Values:
    """How many events there were until each time; NaN ones never were."""
    events = np.sort(events_s[~np.isnan(events_s)])
    return np.searchsorted(events, times_s, side="right").astype(np.float64)


def requests(seen: Observations) -> Panel | None:
    """Requests per second: due, answered with success, and failed."""
    found = seen.requests
    if not found.height:
        return None
    due = seconds(found["due_ns"])
    done_ns = found.select(pl.when(pl.col("done_ns") >= 0).then(pl.col("done_ns")).otherwise(pl.col("due_ns")))
    done, ok = seconds(done_ns.to_series()), found["ok"].to_numpy()
    width_s = width(float(max(due.max(), done.max())))
    edges = np.arange(0.0, max(due.max(), done.max()) + 2 * width_s, width_s)
    lines = [("due", "due", due), ("answered", "answered", done[ok]), ("failed", "failed", done[~ok])]
    return Panel(
        "requests",
        "Requests",
        "per second",
        f"planebench's own requests, counted over {width_s:g} s: due by the plan, answered with success, and "
        "failed (at their end; without an answer, at their due time)",
        edges[:-1],
        tuple(
            Series(name, title, np.histogram(times, edges)[0] / width_s, place)
            for place, (name, title, times) in enumerate(lines)
            if name != "failed" or times.size
        ),
        steps=True,
    )


def width(length_s: float) -> float:
    """Of the pieces of time in which something is counted."""
    return next((width for width in _WIDTHS_S if length_s / width <= MOST_ROWS / 2), _WIDTHS_S[-1])


# --- processes -----------------------------------------------------------------------------------------------


def cpu(seen: Observations, components: Sequence[Component]) -> Panel | None:
    """Cores in use, from one sample to the next."""
    edges = _rounds(seen.samples)
    if edges is None:
        return None
    lines = []
    for place, component in enumerate(components):
        mine = seen.samples.filter(pl.col("component") == component.name)
        parts = [cores(part, edges) for part in _by_process(mine)]
        if parts:
            lines.append(Series(component.name, component.title, _sum(parts), place))
    return _thin(
        Panel(
            "cpu",
            "CPU",
            "cores",
            f"cores in use by all of a component's processes: growth of their CPU time (user and system) from one "
            f"sample to the next, {_period(edges)} apart",
            edges[:-1],
            tuple(lines),
            steps=True,
        )
    )


def memory(seen: Observations, components: Sequence[Component]) -> Panel | None:
    """Resident memory."""
    times = _rounds(seen.samples)
    if times is None:
        return None
    lines = []
    for place, component in enumerate(components):
        mine = seen.samples.filter(pl.col("component") == component.name)
        parts = [_latest(seconds(part["t_ns"]), part["rss_bytes"] / _MIB, times) for part in _by_process(mine)]
        if parts:
            lines.append(Series(component.name, component.title, _sum(parts), place))
    return _thin(
        Panel(
            "memory",
            "Memory",
            "MiB",
            f"resident memory of all of a component's processes (shared pages count in each), sampled "
            f"{_period(times)} apart",
            times,
            tuple(lines),
            steps=True,
        )
    )


def _by_process(samples: pl.DataFrame) -> list[pl.DataFrame]:
    return [part.sort("t_ns") for part in samples.partition_by("process")]


def _rounds(samples: pl.DataFrame) -> Values | None:
    """The times of the sampler's rounds: those of the process that was sampled most often."""
    if not samples.height:
        return None
    parts = _by_process(samples)
    longest = max(parts, key=lambda part: part.height)
    return seconds(longest["t_ns"]) if longest.height > 1 else None


def _period(times_s: Values) -> str:
    return f"{float(np.median(np.diff(times_s))):.3g} s"


def cores(samples: pl.DataFrame, edges_s: Values) -> Values:
    """A process's cores in use between edges; NaN where it was not there.

    CPU time is taken as growing evenly between samples; where a new process of the same name began at zero, that
    one's time counts from there.
    """
    times, used = seconds(samples["t_ns"]), samples["cpu_s"].to_numpy().astype(np.float64)
    grown = np.diff(used)
    total = np.concatenate([[0.0], np.cumsum(np.where(grown < 0, used[1:], grown))])
    found = np.diff(np.interp(edges_s, times, total)) / np.diff(edges_s)
    found[(edges_s[1:] <= times[0]) | (edges_s[:-1] >= times[-1])] = np.nan
    return np.asarray(found, dtype=np.float64)


def _latest(times_s: Values, values: pl.Series, at_s: Values) -> Values:
    """The last value at or before each time, up to a round after the last one; else NaN."""
    half = float(np.median(np.diff(at_s))) / 2
    place = np.searchsorted(times_s, at_s + half, side="right") - 1
    found = values.to_numpy().astype(np.float64)[np.maximum(place, 0)]
    found[(place < 0) | (at_s > times_s[-1] + half)] = np.nan
    return np.asarray(found, dtype=np.float64)


def _sum(parts: Sequence[Values]) -> Values:
    """The sum, of what there is; NaN where there is nothing."""
    stacked = np.stack(parts)
    return np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))


# --- queues --------------------------------------------------------------------------------------------------

_QUEUES: Final[Sequence[tuple[str, str, str]]] = (
    ("kube-apiserver", "apiserver_current_inflight_requests", "API server: requests in flight"),
    ("etcd", "etcd_server_proposals_pending", "etcd: proposals pending"),
    ("kube-scheduler", "scheduler_pending_pods", "scheduler: pods pending"),
    ("", ".*workqueue_depth", "work items queued"),
)
"""Component (empty: any other), metric family, title."""


def queues(folder: RunFolder, components: Sequence[Component]) -> Panel | None:
    """What waits in the components, as they told at each scrape; None where they were asked too seldom."""
    titles = {component.name: component.title for component in components}
    readings: dict[tuple[str, str], dict[str, float]] = {}
    times: dict[str, float] = {}
    for entry in folder.scrape_index():
        if entry.error:
            continue
        times[entry.label] = min(times.get(entry.label, np.inf), entry.t_ns / 1e9)
        for title, level in _levels(folder, entry, titles):
            line = readings.setdefault((entry.component or entry.process, title), {})
            line[entry.label] = line.get(entry.label, 0.0) + level
    labels = sorted(times, key=lambda label: times[label])
    order = {component.name: place for place, component in enumerate(components)}
    lines = [
        Series(f"{name}: {title}", title, np.array([line.get(label, np.nan) for label in labels]), place)
        for place, ((name, title), line) in enumerate(
            sorted(readings.items(), key=lambda item: order.get(item[0][0], len(order)))
        )
        if any(line.values())
    ]
    if len(labels) < _FEWEST_SCRAPES or not lines:
        return None
    return _thin(
        Panel(
            "queues",
            "Queues",
            "waiting",
            "gauges of the components' own metrics at each scrape: what happened between two scrapes is not seen",
            np.array([times[label] for label in labels]),
            tuple(lines),
            marks=True,
        )
    )


def _levels(folder: RunFolder, entry: ScrapeEntry, titles: Mapping[str, str]) -> Iterable[tuple[str, float]]:
    component = entry.component or entry.process
    known = [name for name, _, _ in _QUEUES]
    for name, family, title in _QUEUES:
        if name != component and (name or component in known):
            continue
        found = parse(folder.scrape(entry), [family], protobuf=entry.format == "protobuf")
        levels = [value for (key, _), value in found.samples.items() if re.fullmatch(family, key)]
        if levels:
            yield (title if name else f"{titles.get(component, component)}: {title}"), float(sum(levels))


# --- thinning ------------------------------------------------------------------------------------------------


def _thin(panel: Panel) -> Panel:
    times, lines, thinned = envelope(panel.times_s, [line.values for line in panel.series])
    if not thinned:
        return panel
    series = tuple(
        Series(line.name, line.title, values, line.place) for line, values in zip(panel.series, lines, strict=True)
    )
    return Panel(
        panel.id, panel.title, panel.unit, panel.definition, times, series, panel.steps, panel.marks, thinned
    )


def envelope(times_s: Values, lines: Sequence[Values], most: int = MOST_ROWS) -> tuple[Values, list[Values], int]:
    """At most ``most`` rows: of each piece of time, first the smallest, then the largest value of every line.

    Returns times, lines, and how many rows became two (0: there were few enough, nothing has changed).
    """
    if len(times_s) <= most:
        return times_s, list(lines), 0
    size = -(-len(times_s) // (most // 2))
    starts = np.arange(0, len(times_s), size)
    middle = np.minimum(starts + size // 2, len(times_s) - 1)
    times = np.stack([times_s[starts], times_s[middle]], axis=1).reshape(-1)
    thinned = [
        np.stack([np.fmin.reduceat(line, starts), np.fmax.reduceat(line, starts)], axis=1).reshape(-1)
        for line in lines
    ]
    return times, thinned, size


def _end_s(seen: Observations) -> float:
    return seen.run.end_ns / 1e9


def _last(times_s: Values) -> float:
    known = times_s[~np.isnan(times_s)]
    return float(known.max()) if known.size else 0.0
