"""The statistics of a comparison: thin over scipy, vectorised over figures.

Everywhere ``a`` and ``b`` are natural logarithms of the trials' figures, of shape (trials, figures): differences
are logarithms of ratios. Trials are independent of one another; requests within one are not, so a trial is one
value.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Logs = NDArray[np.float64]

CONFIDENCE: Final = 0.95
LEAST_TRIALS: Final = 4
"""On each side, for anything to be said: three against three cannot reach p <= 0.05 (their smallest p is 0.10),
and a bootstrap interval of three holds the truth in four of five cases only (docs/compare.md)."""
_END: Final = 1e4
"""Stands for the logarithm of infinity, and negative for that of zero: finite, so that differences of two are
zero, and far outside of any logarithm of a float (at most 745 away from zero)."""
_BEYOND: Final = 700.0
"""Logarithms farther away are no ratio of two finite values."""
_PERMUTATIONS: Final = 9_999
_SIGNS_UP_TO_3: Final = 5
"""Ranks that are contrary: none, the 1st, the 2nd, the 3rd, the 1st and the 2nd."""

_Method = Literal["exact"] | stats.PermutationMethod


def logarithms(values: ArrayLike) -> Logs:
    """Logarithms of values that are not negative; zero and infinity go to the scale's ends."""
    with np.errstate(divide="ignore"):
        return np.clip(np.log(np.asarray(values, dtype=np.float64)), -_END, _END)


def ratio(logarithm: float) -> float:
    """The ratio of a difference of logarithms: 0 and infinity where one side is zero or never came."""
    if abs(logarithm) <= _BEYOND:
        return math.exp(logarithm)
    return math.inf if logarithm > 0 else 0.0


def shift(a: Logs, b: Logs, axis: int = 0) -> Logs:
    """The Hodges-Lehmann estimate of how far ``b`` is above ``a``: the median of all pairwise differences.

    Source: Hodges and Lehmann, "Estimates of Location Based on Rank Tests", Ann. Math. Statist. 34 (1963).
    """
    a, b = np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1)
    differences = b[..., :, None] - a[..., None, :]
    flat = differences.reshape(*differences.shape[:-2], math.prod(differences.shape[-2:]))
    return np.asarray(np.median(flat, axis=-1))


def centre(differences: Logs, axis: int = 0) -> Logs:
    """The Hodges-Lehmann estimate of the centre of paired differences: the median of all Walsh averages.

    A Walsh average is that of two values, or of one with itself.
    Source: Hodges and Lehmann, "Estimates of Location Based on Rank Tests", Ann. Math. Statist. 34 (1963).
    """
    differences = np.moveaxis(differences, axis, -1)
    first, second = np.triu_indices(differences.shape[-1])
    return np.asarray(np.median((differences[..., first] + differences[..., second]) / 2, axis=-1))


def interval(a: Logs, b: Logs, *, paired: bool, resamples: int, seed: int) -> tuple[Logs, Logs]:
    """The 95% percentile bootstrap interval of the estimate, lower and upper end by figure.

    Whole trials are drawn, the same ones for all figures. The percentile interval and not BCa: for a median of few
    trials both hold the truth equally often (docs/compare.md has the shares), and BCa is undefined where resamples
    agree. Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    found = stats.bootstrap(
        (b - a,) if paired else (a, b),
        centre if paired else shift,
        n_resamples=resamples,
        batch=500,
        vectorized=True,
        axis=0,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return np.asarray(found.confidence_interval.low), np.asarray(found.confidence_interval.high)


def p_values(a: Logs, b: Logs, *, paired: bool, seed: int) -> Logs:
    """Two-sided p by figure: Mann-Whitney's U, or Wilcoxon's signed ranks for pairs.

    Exact: by the statistic's own distribution; where values are tied, by all permutations, of which 9,999 are
    drawn where there are more.
    Sources: Mann and Whitney, Ann. Math. Statist. 18 (1947); Wilcoxon, Biometrics Bulletin 1 (1945).
    """
    p = np.ones(a.shape[1])
    tied = _tied_pairs(b - a) if paired else _tied(np.concatenate([a, b]))
    if not tied.all():
        p[~tied] = _exact(a[:, ~tied], b[:, ~tied], paired, "exact")
    for number in np.flatnonzero(tied):
        if paired and not (b - a)[:, number].any():
            continue  # no pair differs: there is nothing to rank
        p[number] = _exact(a[:, number], b[:, number], paired, _permutations(seed))
    return p


def _exact(a: Logs, b: Logs, paired: bool, method: _Method) -> Logs:
    if paired:
        return np.asarray(stats.wilcoxon(b - a, alternative="two-sided", method=method, axis=0).pvalue)
    return np.asarray(stats.mannwhitneyu(a, b, alternative="two-sided", method=method, axis=0).pvalue)


def _tied(values: Logs) -> NDArray[np.bool_]:
    """By figure, whether two values are the same."""
    ascending = np.sort(values, axis=0)
    return np.asarray(np.any(ascending[1:] == ascending[:-1], axis=0))


def _tied_pairs(differences: Logs) -> NDArray[np.bool_]:
    """By figure, whether two pairs differ by the same, or one not at all."""
    return np.logical_or(_tied(np.abs(differences)), np.any(differences == 0, axis=0))


def _permutations(seed: int) -> stats.PermutationMethod:
    return stats.PermutationMethod(n_resamples=_PERMUTATIONS, rng=np.random.default_rng(seed))


def least_p(n_a: int, n_b: int, *, paired: bool) -> float:
    """The smallest two-sided p that so many trials can reach: 0.10 for 3 against 3, 0.029 for 4, 0.008 for 5.

    One arrangement in each tail, of all that are equally likely without a difference.
    """
    return min(2 / (2**n_a if paired else math.comb(n_a + n_b, n_a)), 1.0)


def trials_needed(figures: int, alpha: float, *, paired: bool) -> int:
    """How many trials each side needs so that a difference of one among so many figures can be shown."""
    n = LEAST_TRIALS
    while least_p(n, n, paired=paired) * figures > alpha:
        n += 1
    return n


def enough_pairs(pairs: int, figures: int, alpha: float) -> bool:
    """Whether pairs are the better choice where there are any: they see through what drifts, but their smallest p
    is larger. They are where a difference of one figure among so many is still shown although the two smallest of
    its differences point the other way: rank sums of up to 3 come of 5 of the 2^n signs that are equally likely.
    """
    return pairs >= LEAST_TRIALS and 2 * _SIGNS_UP_TO_3 / 2**pairs * figures <= alpha


def holm(p: ArrayLike) -> Logs:
    """Adjusted p: where it is at most alpha, the chance of one false find among all is at most alpha, too.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 6 (1979).
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def noise_floor(trials: Logs, *, seed: int) -> Logs:
    """How far two halves of trials of the same thing come apart, as a logarithm, by figure.

    That is the 95th percentile of the estimate's size over all ways to halve them; where there are more than 9,999
    of them, so many are drawn.

    Raises:
        ValueError: fewer than four trials: no two halves.
    """
    half = len(trials) // 2
    if half < 2:
        raise ValueError("a noise floor takes at least four trials of the same thing")
    halves = stats.permutation_test(
        (trials[:half], trials[half : 2 * half]),
        shift,
        permutation_type="independent",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        batch=500,
        axis=0,
        rng=np.random.default_rng(seed),
    )
    return np.asarray(np.percentile(np.abs(halves.null_distribution), CONFIDENCE * 100, axis=0))
