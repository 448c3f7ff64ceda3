"""The Universal Scalability Law: how throughput follows concurrency, and where that leads.

X(N) = gamma N / (1 + sigma (N - 1) + kappa N (N - 1)), with N objects under way at a time and X of them done per
second. gamma is the throughput of one alone, sigma the share that has to wait in line (contention), kappa the cost
of agreeing on shared data (coherency); with kappa above 0 throughput has a peak, and falls after it.

Source: Gunther, "Guerrilla Capacity Planning", Springer, 2007, chapters 4 to 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit

from planebench.capacity.document import Interval, Projection, ScalabilityLaw
from planebench.stats import CONFIDENCE, Values

LEAST_STEPS: Final = 5
"""Three parameters, and something left to tell their uncertainty by."""
_LEAST_SPREAD: Final = 2.0
"""Between the smallest and the largest concurrency: less is one point, not a curve."""
_RESAMPLES: Final = 200
_AHEAD: Final = (1.0, 1.5, 2.0, 4.0)
"""Projections: multiples of the largest concurrency that was measured."""
_NONE: Final = 1e-9
"""A coefficient below this is none."""


def throughput(concurrency: ArrayLike, gamma: float, sigma: float, kappa: float) -> Values:
    """X(N)."""
    n = np.asarray(concurrency, dtype=np.float64)
    return np.asarray(gamma * n / (1 + sigma * (n - 1) + kappa * n * (n - 1)), dtype=np.float64)


def peak(gamma: float, sigma: float, kappa: float) -> tuple[float, float]:
    """The greatest throughput and the concurrency where it is: infinite where it is only approached, or where
    there is none."""
    if kappa > _NONE:
        at = math.sqrt(max((1 - sigma) / kappa, 1.0))
        return float(throughput(at, gamma, sigma, kappa)), at
    return (gamma / sigma if sigma > _NONE else math.inf), math.inf


def fit(concurrency: Sequence[float], per_s: Sequence[float], *, seed: int = 1) -> ScalabilityLaw | str:
    """The law that fits measured steps best, or why there is none.

    Errors are taken as relative: the logarithm of the throughput is fitted. Intervals are percentiles of a
    bootstrap of the residuals, seeded.
    """
    n, x = np.asarray(concurrency, dtype=np.float64), np.asarray(per_s, dtype=np.float64)
    used = np.isfinite(n) & np.isfinite(x) & (n > 0) & (x > 0)
    n, x = n[used], x[used]
    if len(n) < LEAST_STEPS:
        return f"it takes {LEAST_STEPS} steps, there are {len(n)}"
    if n.max() < _LEAST_SPREAD * n.min():
        return "the steps have all about the same number of objects under way"
    try:
        best = _fitted(n, np.log(x))
        expected = _log(n, *best)
        residuals = np.log(x) - expected
        # Three parameters have taken their part of the spread.
        residuals *= math.sqrt(len(n) / max(len(n) - 3, 1))
        chance = np.random.default_rng(seed)
        samples = [_fitted(n, expected + chance.choice(residuals, len(n)), best) for _ in range(_RESAMPLES)]
    except (RuntimeError, ValueError) as error:
        return f"no curve fits: {error}"
    found = np.asarray([best, *samples])
    laws = np.column_stack([np.exp(found[:, 0]), found[:, 1:]])
    peaks = np.asarray([peak(*law) for law in laws.tolist()])
    largest = float(n.max())
    total = float(((np.log(x) - np.log(x).mean()) ** 2).sum())
    return ScalabilityLaw(
        steps=len(n),
        gamma=_interval(laws[:, 0]),
        sigma=_interval(laws[:, 1]),
        kappa=_interval(laws[:, 2]),
        r_squared=1 - float(((np.log(x) - expected) ** 2).sum()) / total if total > 0 else None,
        measured_up_to=largest,
        peak_per_s=_interval(peaks[:, 0]),
        peak_at=_interval(peaks[:, 1]),
        peak_extrapolated=bool(peaks[0, 1] > largest),
        projections=tuple(
            Projection(
                concurrency=largest * ahead,
                per_s=_interval(np.asarray([float(throughput(largest * ahead, *law)) for law in laws.tolist()])),
                extrapolated=ahead > 1,
            )
            for ahead in _AHEAD
        ),
    )


def _log(n: Values, log_gamma: float, sigma: float, kappa: float) -> Values:
    cost = np.maximum(1 + sigma * (n - 1) + kappa * n * (n - 1), 1e-12)
    return np.asarray(log_gamma + np.log(n) - np.log(cost), dtype=np.float64)


def _fitted(n: Values, log_x: Values, start: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    guess = [float((log_x - np.log(n)).max()), 0.05, 1e-4] if start is None else start.tolist()
    low, high = [-30.0, 0.0, 0.0], [30.0, 1.0, 1.0]
    inside = [min(max(value, a + 1e-12), b - 1e-12) for value, a, b in zip(guess, low, high, strict=True)]
    found, _ = curve_fit(_log, n, log_x, p0=inside, bounds=(low, high), x_scale=[1.0, 0.1, 0.01], max_nfev=2000)
    return np.asarray(found, dtype=np.float64)


def _interval(values: NDArray[np.float64]) -> Interval:
    """The first value with the interval of the others; infinity is None."""
    tail = (1 - CONFIDENCE) / 2
    # Values that are there: between a number and infinity there is nothing to interpolate.
    low = float(np.quantile(values[1:], tail, method="lower"))
    high = float(np.quantile(values[1:], 1 - tail, method="higher"))
    value = float(values[0])
    return Interval(value=_finite(value), low=_finite(min(low, value)), high=_finite(max(high, value)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
