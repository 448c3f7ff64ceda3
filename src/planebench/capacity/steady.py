"""Is a step in a steady state? Tests on arrivals and departures of objects, all times in seconds.

An object arrives when it is due and departs when it is up; in between it is part of the backlog. One that never
came up (NaN) has arrived and stays in the backlog.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

from planebench.stats import Values

BATCHES: Final = 20
"""Of a backlog over time: neighbouring moments are alike, means over a twentieth of the window hardly are."""
CONFIDENCE: Final = 0.99
"""Of a slope's interval: a search has a dozen steps, of which none should fail by chance."""
_MSER_BATCH: Final = 5


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Where the warm-up of a series ends."""

    cut: int
    """So many of the first values belong to it."""
    ended: bool
    """False: it seems to last for more than half of the series, of which the first half is cut."""


def mser5(values: ArrayLike) -> WarmUp:
    """The warm-up of a series of observations by MSER-5.

    Means of five observations each are taken; of these the first d are cut that minimise the squared standard
    error of the mean of the rest, sum of (y - mean)^2 / (k - d)^2. A minimum in the second half means that the
    series is not steady.

    Source: White, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69(6),
    1997; White, Cobb and Spratt, "A comparison of five steady-state truncation heuristics for simulation",
    Proceedings of the Winter Simulation Conference, 2000.
    """
    series = np.asarray(values, dtype=np.float64)
    count = len(series) // _MSER_BATCH
    if count < 2:
        return WarmUp(0, True)
    means = series[: count * _MSER_BATCH].reshape(count, _MSER_BATCH).mean(axis=1)
    means = means - means.mean()  # cancellation: what the formula needs is spread, not level
    rest = np.arange(count, 0, -1)
    tail_sum = np.cumsum(means[::-1])[::-1]
    tail_squares = np.cumsum(means[::-1] ** 2)[::-1]
    errors = np.maximum(tail_squares - tail_sum**2 / rest, 0.0) / rest**2
    # The last few have no spread to speak of, whatever the series.
    best = int(np.argmin(errors[: max(count - _MSER_BATCH, 1)]))
    ended = best <= count // 2
    return WarmUp((best if ended else count // 2) * _MSER_BATCH, ended)


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through a series over time, by least squares."""

    slope: float
    """Per second."""
    low: float
    """Of its :data:`CONFIDENCE` interval."""
    high: float

    def grows(self, negligible: float = 0.0) -> bool:
        """Whether growth of more than ``negligible`` per second is shown."""
        return self.low > 0 and self.slope > negligible


def trend(times_s: ArrayLike, values: ArrayLike) -> Trend:
    """The trend of a series, with an interval from Student's t distribution.

    Raises:
        ValueError: there are fewer than three values.
    """
    times, series = np.asarray(times_s, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if len(times) < 3:
        raise ValueError("a trend takes three values at least")
    found = scipy_stats.linregress(times, series)
    half = float(scipy_stats.t.ppf((1 + CONFIDENCE) / 2, len(times) - 2)) * float(found.stderr)
    slope = float(found.slope)
    return Trend(slope, slope - half, slope + half)


@dataclass(frozen=True, slots=True, eq=False)
class Backlog:
    """The number of objects that have arrived and not departed."""

    arrivals_s: Values
    departures_s: Values
    """NaN: never."""

    def at(self, at_s: ArrayLike) -> Values:
        """How many there are just before each of these times."""
        at = np.asarray(at_s, dtype=np.float64)
        arrived = np.searchsorted(np.sort(self.arrivals_s), at, side="left")
        departed = np.searchsorted(np.sort(self.departures_s[~np.isnan(self.departures_s)]), at, side="left")
        return np.asarray(arrived - departed, dtype=np.float64)

    def integral(self, at_s: ArrayLike) -> Values:
        """Object seconds until each of these times."""
        at = np.atleast_1d(np.asarray(at_s, dtype=np.float64))
        ends = np.where(np.isnan(self.departures_s), np.inf, self.departures_s)
        waited = np.minimum(ends, at[:, None]) - self.arrivals_s
        return np.asarray(np.maximum(waited, 0.0).sum(axis=1), dtype=np.float64)

    def mean(self, start_s: float, end_s: float) -> float:
        """The mean over a time."""
        total = self.integral([start_s, end_s])
        return float(total[1] - total[0]) / (end_s - start_s)

    def trend(self, start_s: float, end_s: float) -> Trend:
        """How it grows over a time: through the means of :data:`BATCHES` equal parts of it."""
        edges = np.linspace(start_s, end_s, BATCHES + 1)
        means = np.diff(self.integral(edges)) / np.diff(edges)
        return trend((edges[1:] + edges[:-1]) / 2, means)


@dataclass(frozen=True, slots=True)
class Little:
    """Little's law, L = lambda W: in a steady state, what is there is what comes times how long it stays.

    Source: Little, "A proof for the queuing formula L = lambda W", Operations Research 9(3), 1961.
    """

    backlog: float
    """L: the mean number of objects that were there."""
    arrivals_per_s: float
    """lambda."""
    stay_s: float
    """W: the mean stay of the objects that arrived; infinite where one never departed."""

    @property
    def ratio(self) -> float:
        """L / (lambda W); 1 in a steady state, NaN where it cannot be told."""
        expected = self.arrivals_per_s * self.stay_s
        return self.backlog / expected if math.isfinite(expected) and expected > 0 else math.nan


def little(backlog: Backlog, start_s: float, end_s: float) -> Little:
    """Little's law over a time, from its three parts, each measured for itself."""
    inside = (backlog.arrivals_s >= start_s) & (backlog.arrivals_s < end_s)
    stays = backlog.departures_s[inside] - backlog.arrivals_s[inside]
    stay_s = math.inf if np.isnan(stays).any() else float(stays.mean()) if len(stays) else math.nan
    return Little(backlog.mean(start_s, end_s), float(inside.sum()) / (end_s - start_s), stay_s)
