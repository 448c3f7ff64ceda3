"""What was asked for, and what came of it."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import polars as pl

from planebench.model import DELETED, Stage
from planebench.report.html.panels.panel import MOST_ROWS, Panel, Series
from planebench.slis.observations import Observations, seconds
from planebench.stats import Values

_WIDTHS_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


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
    times = np.linspace(0.0, max(seen.run.end_ns / 1e9, *(_last(line) for _, _, line in lines)), MOST_ROWS)
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
    """When all objects of each number had; of those that are not to come up, only whether they are bound."""
    parts = [np.empty(0)]
    for made in seen.created if what == "bound" else seen.expected:
        goal = made.workload.bound if what == "bound" else made.workload.up
        parts.append(seen.reached_s(made.index, goal.watch, goal.milestone, made.count(goal.watch)))
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


def _last(times_s: Values) -> float:
    known = times_s[~np.isnan(times_s)]
    return float(known.max()) if known.size else 0.0
