"""The statistics of comparisons against what is known of them: tables, examples, their definitions."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from planebench.compare import statistics
from planebench.compare.statistics import Logs


def column(*values: float) -> Logs:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


sizes = st.integers(1, 8)
numbers = st.floats(-50, 50).map(lambda value: round(value, 3))


@st.composite
def samples(draw: st.DrawFn) -> Logs:
    return draw(arrays(np.float64, (draw(sizes), 1), elements=numbers))


# --- estimates -----------------------------------------------------------------------------------------------


def test_shift_is_the_median_of_pairwise_differences() -> None:
    a, b = column(1, 2, 4), column(2, 7)
    assert statistics.shift(a, b).item() == np.median([1, 6, 0, 5, -2, 3])


def test_centre_is_the_median_of_walsh_averages() -> None:
    assert statistics.centre(column(1, 2, 6)).item() == np.median([1, 2, 6, 1.5, 3.5, 4])


@given(samples(), samples(), st.floats(-10, 10))
def test_shift_follows_a_shift_and_turns_with_the_sides(a: Logs, b: Logs, by: float) -> None:
    assert statistics.shift(a, b + by).item() == pytest.approx(statistics.shift(a, b).item() + by, abs=1e-9)
    assert statistics.shift(b, a).item() == pytest.approx(-statistics.shift(a, b).item(), abs=1e-9)
    assert statistics.shift(a, a).item() == pytest.approx(0, abs=1e-9)


@given(samples(), st.floats(-10, 10))
def test_centre_follows_a_shift(differences: Logs, by: float) -> None:
    assert statistics.centre(differences + by).item() == pytest.approx(
        statistics.centre(differences).item() + by, abs=1e-9
    )
    assert differences.min() - 1e-9 <= statistics.centre(differences).item() <= differences.max() + 1e-9


def test_estimates_work_by_figure() -> None:
    a, b = np.array([[0.0, 10.0], [1.0, 11.0]]), np.array([[5.0, 10.0], [6.0, 11.0]])
    assert statistics.shift(a, b).tolist() == [5, 0]


def test_zero_and_never_are_the_ends_of_the_scale() -> None:
    zero, one, never = statistics.logarithms([0.0, 1.0, math.inf])
    assert one == 0
    assert statistics.ratio(never - never) == statistics.ratio(zero - zero) == 1
    assert statistics.ratio(never - one) == statistics.ratio(one - zero) == math.inf
    assert statistics.ratio(one - never) == statistics.ratio(zero - one) == 0
    smallest, largest = statistics.logarithms([5e-324, 1.7e308])
    assert zero < smallest < largest < never


# --- tests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_a", "n_b", "paired", "expected"),
    [
        (1, 1, False, 1.0),
        (3, 3, False, 0.10),
        (4, 4, False, 0.029),
        (5, 5, False, 0.008),
        (3, 5, False, 0.036),
        (5, 5, True, 0.0625),
        (6, 6, True, 0.031),
    ],
)
def test_smallest_p(n_a: int, n_b: int, paired: bool, expected: float) -> None:
    least = statistics.least_p(n_a, n_b, paired=paired)
    assert least == pytest.approx(expected, abs=5e-4)
    if n_a > 1:  # what the test itself gives where all of b lies above all of a
        a, b = column(*range(n_a)), column(*(100 + 2 * n for n in range(n_b)))
        assert statistics.p_values(a, b, paired=paired, seed=0).item() == pytest.approx(least)


@pytest.mark.parametrize(
    ("figures", "paired", "expected"), [(1, False, 4), (2, False, 5), (6, False, 5), (18, False, 6), (1, True, 6)]
)
def test_trials_needed(figures: int, paired: bool, expected: int) -> None:
    assert statistics.trials_needed(figures, 0.05, paired=paired) == expected


def test_mann_whitney_by_its_definition() -> None:
    """All ways to choose b's places among all, and how many of them are as far out as what was found."""
    a, b = (1.0, 3.0, 4.0, 9.0), (2.0, 6.0, 7.0, 8.0, 10.0)
    together = sorted((*a, *b))
    found = sum(together.index(value) for value in b)
    sums = [sum(chosen) for chosen in combinations(range(9), 5)]
    mean = float(np.mean(sums))
    expected = np.mean([abs(total - mean) >= abs(found - mean) for total in sums])
    assert statistics.p_values(column(*a), column(*b), paired=False, seed=0).item() == pytest.approx(expected)


def test_ties_are_permuted() -> None:
    a, b = (1.0, 1.0, 2.0, 3.0), (3.0, 4.0, 4.0, 5.0)
    values = np.array([*a, *b])
    ranks = np.array([(np.sum(values < value) + np.sum(values <= value) + 1) / 2 for value in values])
    sums = np.array([ranks[list(chosen)].sum() for chosen in combinations(range(8), 4)])
    found = ranks[4:].sum()
    expected = min(2 * np.mean(sums >= found), 1.0)
    assert statistics.p_values(column(*a), column(*b), paired=False, seed=0).item() == pytest.approx(expected)


def test_pairs_that_are_all_equal() -> None:
    a = column(1, 2, 3, 4, 5, 6)
    assert statistics.p_values(a, a, paired=True, seed=0).item() == 1


def test_pairs_with_ties_and_zeros() -> None:
    a = column(*[0.0] * 8)
    b = column(0, 1, 1, 1, 1, 2, 2, 2)
    p = statistics.p_values(a, b, paired=True, seed=0).item()
    assert p == pytest.approx(2 / 2**7)  # a pair without a difference says nothing


def test_what_is_the_same_is_no_find() -> None:
    same = np.ones((5, 1))
    assert statistics.p_values(same, same, paired=False, seed=0).item() == 1
    low, high = statistics.interval(same, same, paired=False, resamples=99, seed=0)
    assert low == high == 0


def test_holm_s_own_steps() -> None:
    # Smallest p times how many there are, the next one times one fewer, and never below the one before.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert statistics.holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_p_and_bonferroni(p: list[float]) -> None:
    adjusted = statistics.holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= -1e-12).all()


# --- intervals and noise -------------------------------------------------------------------------------------


@given(samples(), samples())
def test_intervals_hold_within_the_samples(a: Logs, b: Logs) -> None:
    assume(len(a) > 1 and len(b) > 1)
    low, high = statistics.interval(a, b, paired=False, resamples=49, seed=1)
    differences = b[:, 0][:, None] - a[:, 0][None, :]
    tiny = 1e-9  # what interpolation between equal numbers may add
    assert differences.min() - tiny <= low.item() <= high.item() + tiny <= differences.max() + 2 * tiny


def test_intervals_are_the_same_each_time() -> None:
    chance = np.random.default_rng(3)
    a, b = chance.normal(size=(6, 2)), chance.normal(size=(5, 2))
    first, again = (statistics.interval(a, b, paired=False, resamples=199, seed=4) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_hold_the_truth_about_as_often_as_they_say(paired: bool) -> None:
    """Of 500 made-up comparisons of 8 trials with a true difference of 0.2, and pairs that share their luck."""
    chance = np.random.default_rng(11)
    shared = chance.normal(size=(8, 500)) if paired else np.zeros((8, 500))
    a, b = shared + chance.normal(size=(8, 500)), shared + chance.normal(size=(8, 500)) + 0.2
    low, high = statistics.interval(a, b, paired=paired, resamples=499, seed=2)
    assert 0.88 <= np.mean((low <= 0.2) & (high >= 0.2)) <= 0.98


def test_noise_is_what_halves_differ_by() -> None:
    trials = column(0.0, 0.1, 0.2, 0.5)
    splits = [
        abs(statistics.shift(trials[list(first)], np.delete(trials, first, axis=0)).item())
        for first in combinations(range(4), 2)
    ]
    assert statistics.noise_floor(trials, seed=0).item() == pytest.approx(np.percentile(splits, 95))


def test_noise_takes_four_trials() -> None:
    with pytest.raises(ValueError, match="at least four"):
        statistics.noise_floor(column(1, 2, 3), seed=0)
    assert statistics.noise_floor(column(1, 1, 1, 1), seed=0).item() == 0
