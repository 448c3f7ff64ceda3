"""What a panel of the timeline is, and how it is thinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from planebench.stats import Values

MOST_ROWS: Final = 700
"""Of a panel: about as many as a screen has pixels for."""


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


def thin(panel: Panel) -> Panel:
    """The panel, or its envelope where it has more rows than can be seen."""
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
