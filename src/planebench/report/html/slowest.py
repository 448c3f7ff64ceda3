"""The slowest objects, and their way through the milestones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from planebench.model import ADDED, Stage
from planebench.results.attribution import Trace
from planebench.slis.observations import Created, Observations

MOST: Final = 12
REQUEST: Final = "request"
"""The lane of planebench's own request."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an object, or one that came of it, reached next."""

    lane: str
    """Where it shows: ``request``, or the kind of the object that was watched."""
    reached: str
    """Milestones that came with one event are one step: ``running, ready``."""
    start_s: float
    end_s: float
    """Since the creation was due, like the start: the end of the step before."""
    simulated: bool = False

    @property
    def took_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Way:
    """An object's way from its creation due until it was up."""

    name: str
    kind: str
    node: str
    steps: tuple[Step, ...]
    total_s: float | None
    """None: it never came up."""
    waited_s: float
    """Until it was up or, where it never was, until the wait for it ended."""


@dataclass(frozen=True, slots=True)
class Slowest:
    """The slowest objects first, and one of the middle to hold against them."""

    ways: tuple[Way, ...]
    typical: Way | None
    n: int
    never: int
    """How many of all never came up."""

    @property
    def longest_s(self) -> float:
        """What the widest bar stands for."""
        ends = [way.total_s if way.total_s is not None else _last_s(way) for way in self._all]
        return max([*ends, 1e-9])

    @property
    def steps(self) -> tuple[tuple[str, Step], ...]:
        """All steps with their lanes: those of the typical object first, for they come in the usual order."""
        ways = (*([self.typical] if self.typical else []), *self.ways)
        return tuple((step.lane, step) for way in ways for step in way.steps)

    @property
    def _all(self) -> tuple[Way, ...]:
        return (*self.ways, *([self.typical] if self.typical else []))


def _last_s(way: Way) -> float:
    return max([step.end_s for step in way.steps] or [0.0])


def traced(trace: Trace) -> Slowest:
    """The ways of a run that was traced: parts add up to the whole."""
    ways = tuple(
        Way(
            name=way.name,
            kind={"slowest": "among the slowest", "p50": "at p50", "p99": "at p99"}[way.why],
            node="",
            steps=tuple(
                Step(part.component, part.step, part.start_s, part.start_s + part.duration_s) for part in way.parts
            ),
            total_s=way.whole_s,
            waited_s=way.whole_s,
        )
        for way in trace.ways
    )
    return Slowest(ways, None, trace.n, 0)


def slowest(seen: Observations, most: int = MOST) -> Slowest | None:
    """None where no object that is to come up was created. What never came up is slower than all that did."""
    startup: list[tuple[float, int, Created]] = []
    for made in seen.expected:
        up = made.workload.up
        took = seen.reached_s(made.index, up.watch, up.milestone, made.count(up.watch)) - made.due_s
        startup += [
            (math.inf if math.isnan(took_s) else took_s, index, made)
            for took_s, index in zip(took.tolist(), made.index.to_list(), strict=True)
        ]
    if not startup:
        return None
    startup.sort(key=lambda item: (-item[0], item[1]))
    came = [item for item in startup if math.isfinite(item[0])]
    return Slowest(
        ways=tuple(_way(seen, made, index, took_s) for took_s, index, made in startup[:most]),
        typical=_way(seen, came[len(came) // 2][2], came[len(came) // 2][1], came[len(came) // 2][0])
        if len(startup) > most and came
        else None,
        n=len(startup),
        never=len(startup) - len(came),
    )


def _way(seen: Observations, made: Created, index: int, took_s: float) -> Way:
    due_s = float(made.due_s[made.index.to_list().index(index)])
    objects = seen.objects.filter((pl.col("index") == index) & pl.col("watch").is_in(list(made.workload.watches)))
    nodes = sorted({node for node in objects["node"] if node})
    named = seen.requests.filter(
        (pl.col("index") == index) & (pl.col("stage") == Stage.CREATION) & (pl.col("verb") == "create")
    )
    total_s = took_s if math.isfinite(took_s) else None
    events = [
        event for event in _events(seen, made, index, due_s) if total_s is None or event[0] <= total_s + 5e-10
    ]
    return Way(
        name=str(named["name"][0]),
        kind=made.workload.resource.kind,
        node=nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes" if nodes else "",
        steps=tuple(_steps(events)),
        total_s=total_s,
        waited_s=took_s if total_s is not None else max(seen.end_s(Stage.CREATION) - due_s, 0.0),
    )


_Event = tuple[float, str, str, bool]
"""Seconds since due, lane, what was reached, simulated."""


def _events(seen: Observations, made: Created, index: int, due_s: float) -> list[_Event]:
    requests = seen.requests.filter(
        (pl.col("index") == index) & (pl.col("stage") == Stage.CREATION) & (pl.col("verb") == "create")
    )
    first = requests.row(0, named=True)
    events: list[_Event] = []
    if first["sent_ns"] >= 0:
        events.append((first["sent_ns"] / 1e9 - due_s, REQUEST, "sent", False))
    if first["done_ns"] >= 0:
        words = "answered" if first["ok"] else f"failed: {first['error'] or first['status']}"
        events.append((first["done_ns"] / 1e9 - due_s, REQUEST, words, False))
    for watch in made.workload.watches:
        lane = seen.plane.watches[watch].resource.kind
        shown = [(ADDED, False)]
        shown += [(rule.name, rule.simulated) for rule in seen.plane.startup_path(watch)]
        count = made.count(watch)
        for milestone, simulated in shown:
            at_s = float(seen.reached_s(pl.Series([index], dtype=pl.Int32), watch, milestone, count)[0])
            if not np.isnan(at_s):
                events.append((at_s - due_s, lane, milestone if count == 1 else f"all {milestone}", simulated))
    return sorted(events, key=lambda event: event[0])


def _steps(events: Sequence[_Event]) -> Iterator[Step]:
    before_s = 0.0
    place = 0
    while place < len(events):
        at_s, lane, reached, simulated = events[place]
        names = [reached]
        while place + 1 < len(events) and events[place + 1][:2] == (at_s, lane):
            place += 1
            names.append(events[place][2])
            simulated = simulated and events[place][3]
        yield Step(lane, ", ".join(names), before_s, at_s, simulated)
        before_s, place = at_s, place + 1
