"""How an indicator's values are distributed: a percentile curve with a stretched tail, and a histogram.

Both keep what is rare: the curve holds every one of the largest values, the histogram names those whose bars are
too low to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planebench.stats import Sample, Values

MOST_POINTS: Final = 300
"""Of a curve, evenly spaced along its axis; the tail comes on top."""
TAIL: Final = 100
"""So many of the largest values are all drawn."""
MOST_BINS: Final = 40
LOW: Final = 0.02
"""A bar of less than this share of the highest one cannot be seen: its values are drawn one by one."""
_DECADE: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The nearest-rank percentiles of a sample, as a step function.

    The value of rank r of n is the percentile of every share in ((r - 1) / n, r / n]: its step begins at
    ``tail`` = -log10(1 - (r - 1) / n), that is 0 for the smallest, 1 at 90%, 2 at 99% and so on.
    """

    tail: Values
    values: Values
    """Measured ones, ascending, in the indicator's unit."""
    end: float
    """Where the last step ends: at the share of what is missing; where nothing is, a third of a step further."""
    n: int
    missing: int

    @property
    def left_out(self) -> int:
        """How many values lie between those that are drawn."""
        return self.n - self.missing - len(self.values)


def curve(sample: Sample) -> Curve | None:
    """None where there are no values."""
    n, present = sample.n, len(sample.values)
    if not present:
        return None
    ranks = _ranks(n, present)
    end = np.log10(n / sample.missing) if sample.missing else np.log10(n) + 0.1
    return Curve(
        tail=_tail(ranks, n),
        values=sample.values[ranks - 1],
        end=float(end),
        n=n,
        missing=sample.missing,
    )


def _ranks(n: int, present: int) -> NDArray[np.int64]:
    """The ranks that are drawn, from 1: the smallest, the tail, and others evenly along the axis."""
    if present <= MOST_POINTS + TAIL:
        return np.arange(1, present + 1)
    even = np.linspace(0.0, float(_tail(np.array([present]), n)[0]), MOST_POINTS)
    between = np.clip(np.rint(n * (1 - 10.0**-even)).astype(np.int64) + 1, 1, present)
    return np.unique(np.concatenate([[1], between, np.arange(present - TAIL + 1, present + 1)]))


def _tail(ranks: NDArray[np.int64], n: int) -> Values:
    return np.asarray(np.log10(n / (n - ranks + 1)), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts between edges; the first and the last edge are the smallest and the largest value."""

    edges: Values
    counts: NDArray[np.int64]
    logarithmic: bool
    """The edges are: each bin is as many times wider than the one before."""
    rare: Values
    """Values of bars that are too low to be seen, the largest ones."""
    left_out: int
    """How many values of such bars are smaller than the rare ones."""
    missing: int


def histogram(sample: Sample, *, most_rare: int = TAIL) -> Histogram | None:
    """None where there are no values."""
    values = sample.values
    if not values.size:
        return None
    low, high = float(values[0]), float(values[-1])
    logarithmic = is_wide(sample)
    bins = min(
        MOST_BINS, max(int(np.ceil(2 * values.size ** (1 / 3))), 1)
    )  # Rice's rule, as far as it is drawable
    if low == high:
        edges = np.array([low, np.nextafter(high, np.inf)])
    elif logarithmic:
        edges = np.geomspace(low, high, bins + 1)
    else:
        edges = np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = low, max(high, edges[-1])
    counts, _ = np.histogram(values, edges)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(counts) - 1)
    rare = values[counts[place] < LOW * counts.max()]
    return Histogram(
        edges=edges,
        counts=counts.astype(np.int64),
        logarithmic=logarithmic,
        rare=rare[-most_rare:],
        left_out=max(len(rare) - most_rare, 0),
        missing=sample.missing,
    )


def is_wide(sample: Sample) -> bool:
    """Whether values are best drawn on a logarithmic axis: all above zero, and from one decade to another."""
    return bool(sample.values.size and sample.values[0] > 0 and sample.values[-1] >= _DECADE * sample.values[0])
