"""Percentiles that know of what never arrived, and how far a sample can support them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

CONFIDENCE = 0.95
"""Of two-sided intervals."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Measured values, and how many are missing because what they would measure never came.

    A missing value counts as larger than every other, in every percentile: leaving it out would let the survivors
    speak for all.
    """

    values: Values
    """Ascending and finite, any unit."""
    missing: int = 0

    @classmethod
    def of(cls, values: ArrayLike, missing: int = 0) -> Sample:
        """A sample from values in any order.

        Raises:
            ValueError: one is not finite.
        """
        array = np.sort(np.asarray(values, dtype=np.float64).reshape(-1))
        if array.size and not np.isfinite(array).all():
            raise ValueError("values of a sample must be finite; count what never came as missing")
        return cls(array, missing)

    @classmethod
    def pooled(cls, samples: Iterable[Sample]) -> Sample:
        """All values of several samples as one."""
        parts = list(samples)
        return cls.of(
            np.concatenate([np.empty(0), *(part.values for part in parts)]), sum(part.missing for part in parts)
        )

    @property
    def n(self) -> int:
        """How many values there should be: the missing ones count."""
        return len(self.values) + self.missing

    @property
    def negative(self) -> int:
        """How many values are below zero: of a duration, a fault of the measurement."""
        return int(np.searchsorted(self.values, 0.0, side="left"))

    @property
    def mean(self) -> float:
        """The mean; infinite where some are missing, NaN where there are none."""
        if self.missing:
            return math.inf
        return float(self.values.mean()) if self.values.size else math.nan

    def percentile(self, percent: float) -> float:
        """The nearest-rank percentile: the smallest value that at least ``percent`` of all are not above.

        That is the value of rank ceil(percent / 100 * n), a value that was measured, never one in between
        (definition 1 in Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996). Infinite where that
        rank falls among the missing, NaN where there are no values at all.
        """
        return self._of_rank(rank(percent, self.n))

    def upper_bound(self, percent: float) -> float:
        """The upper end of the 95% interval of a percentile, from order statistics; infinite where n is too small.

        Assumes independent values, which requests of one run are not quite.
        """
        if not self.n:
            return math.nan
        q = percent / 100
        if q >= 1:
            return math.inf
        below = np.cumsum(_binomial(self.n, q))
        index = int(np.searchsorted(below, 1 - (1 - CONFIDENCE) / 2 - 1e-12))
        return self._of_rank(index + 1) if index < self.n else math.inf

    def _of_rank(self, number: int) -> float:
        if not self.n:
            return math.nan
        return float(self.values[number - 1]) if number <= len(self.values) else math.inf


def rank(percent: float, n: int) -> int:
    """The rank (from 1) of the nearest-rank percentile among ``n`` values.

    Raises:
        ValueError: ``percent`` is not above 0 and at most 100.
    """
    if not 0 < percent <= 100:
        raise ValueError(f"a percentile is above 0 and at most 100, not {percent:g}")
    # Binary fractions: 99.9 / 100 * 1000 must be rank 999, not 1000.
    return max(math.ceil(round(percent * n / 100, 9)), 1)


def least_n(percent: float) -> int:
    """How many values a percentile needs so that its 95% interval has an upper end.

    The largest of n values lies above the true percentile q with probability 1 - q^n, which has to be 97.5%.
    """
    q = percent / 100
    if q >= 1:
        raise ValueError("no number of values bounds the maximum")
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(q))


def _binomial(n: int, q: float) -> Values:
    """P(X = k) for k = 0..n - 1 of X ~ Bin(n, q), by the ratio of neighbours in logarithms."""
    k = np.arange(n - 1, dtype=np.float64)
    ratios = np.log((n - k) / (k + 1)) + math.log(q / (1 - q))
    return np.exp(np.concatenate([[0.0], np.cumsum(ratios)]) + n * math.log1p(-q))


def most_within(times_s: ArrayLike, window_s: float) -> int:
    """The most events in any window of that length, its end not included."""
    times = np.sort(np.asarray(times_s, dtype=np.float64))
    if not times.size:
        return 0
    ends = np.searchsorted(times, times + window_s, side="left")
    return int((ends - np.arange(len(times))).max())


def rate_between(times_s: ArrayLike, low: float, high: float) -> float:
    """Events per second from the share ``low`` of all events to the share ``high``: the even part of their run.

    NaN where there are too few.
    """
    times = np.sort(np.asarray(times_s, dtype=np.float64))
    if len(times) < 2:
        return math.nan
    first, last = rank(low * 100, len(times)) - 1, rank(high * 100, len(times)) - 1
    took_s = float(times[last] - times[first])
    return (last - first) / took_s if took_s > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Evenness:
    """How evenly amounts are spread over places; 0 or 1 is even, as told."""

    mean: float
    sd: float
    """Of the population: over all places."""
    smallest: float
    largest: float
    cv: float
    """sd / mean; 0 is even."""
    gini: float
    """Mean absolute difference of all pairs / (2 * mean): 0 is even, 1 - 1 / places is all in one.

    Source: Sen, "On Economic Inequality", 1973, in the form over ascending x_i, i from 1:
    sum((2 i - places - 1) x_i) / (places * sum(x))."""
    jain: float
    """See :attr:`Spread.jain`."""


def evenness(amounts: ArrayLike) -> Evenness | None:
    """The evenness of amounts by place, empty places included; None where there is no place, or nothing in any."""
    values = np.asarray(amounts, dtype=np.float64)
    if not values.size or values.sum() <= 0:
        return None
    cv, gini, jain = (float(measure[0]) for measure in unevenness(values[np.newaxis, :]))
    return Evenness(
        mean=float(values.mean()),
        sd=float(values.std()),
        smallest=float(values.min()),
        largest=float(values.max()),
        cv=cv,
        gini=gini,
        jain=jain,
    )


def unevenness(amounts: Values) -> tuple[Values, Values, Values]:
    """CV, Gini coefficient and Jain's index of each row; every row must hold more than nothing."""
    ordered = np.sort(amounts, axis=1)
    places = ordered.shape[1]
    total = ordered.sum(axis=1)
    weights = 2 * np.arange(1, places + 1) - places - 1
    gini = np.maximum((ordered * weights).sum(axis=1) / (places * total), 0.0)
    jain = total**2 / (places * (ordered**2).sum(axis=1))
    return ordered.std(axis=1) * places / total, gini, np.minimum(jain, 1.0)


def placed_at_random(
    groups: Sequence[tuple[int, NDArray[np.int64], Values]], places: int, repetitions: int, seed: int
) -> Values:
    """What places would hold if each item took one of its group's places at random, whatever is there already.

    Args:
        groups: for each, how many items; the places they may take; what one item is at each of these places.

    Returns:
        One row for each repetition, one column for each place (a sum of multinomials).
    """
    chance = np.random.default_rng(seed)
    found = np.zeros((repetitions, places))
    for items, allowed, amount in groups:
        if items and len(allowed):
            drawn = chance.multinomial(items, np.full(len(allowed), 1 / len(allowed)), size=repetitions)
            found[:, allowed] += drawn * amount
    return found


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly something is spread over places."""

    places: int
    total: int
    mean: float
    sd: float
    """Of the population: over all places."""
    smallest: int
    largest: int
    cv: float
    """sd / mean; 0 is even."""
    random_cv: float
    """The CV to be expected where each item takes a place at random (multinomial): sqrt((places - 1) / total)."""
    jain: float
    """Jain's fairness index, (sum x)^2 / (places * sum x^2): 1 is even, 1 / places is all in one.

    Source: Jain, Chiu, Hawe, "A Quantitative Measure of Fairness", DEC TR-301, 1984."""


def spread(counts: ArrayLike) -> Spread | None:
    """The spread of counts by place, empty places included; None where there is no place or no item."""
    values = np.asarray(counts, dtype=np.int64)
    total = int(values.sum()) if values.size else 0
    if not total:
        return None
    mean, sd = float(values.mean()), float(values.std())
    return Spread(
        places=len(values),
        total=total,
        mean=mean,
        sd=sd,
        smallest=int(values.min()),
        largest=int(values.max()),
        cv=sd / mean,
        random_cv=math.sqrt((len(values) - 1) / total),
        jain=total**2 / (len(values) * float((values.astype(np.float64) ** 2).sum())),
    )
