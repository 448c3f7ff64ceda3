from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.stats import (
    Sample,
    evenness,
    least_n,
    most_within,
    placed_at_random,
    rank,
    rate_between,
    spread,
    unevenness,
)

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(numbers, min_size=1, max_size=200), st.sampled_from([0.1, 1, 50, 90, 95, 99, 99.9, 100]))
def test_percentile_is_the_smallest_value_that_enough_are_not_above(values: list[float], percent: float) -> None:
    found = Sample.of(values).percentile(percent)
    below = sum(value <= found for value in values) / len(values) * 100
    assert found in values
    assert below >= percent - 1e-6
    smaller = [value for value in values if value < found]
    assert not smaller or len(smaller) / len(values) * 100 < percent


@given(st.lists(numbers, min_size=1, max_size=100))
def test_percentile_is_numpys_inverted_cdf(values: list[float]) -> None:
    for percent in (50, 90, 99):
        expected = np.percentile(np.asarray(values), percent, method="inverted_cdf")
        assert Sample.of(values).percentile(percent) == expected


@given(st.lists(numbers, max_size=50), st.integers(1, 50))
def test_the_missing_are_larger_than_all(values: list[float], missing: int) -> None:
    sample = Sample.of(values, missing)
    assert sample.n == len(values) + missing
    assert sample.percentile(100) == math.inf
    assert sample.mean == math.inf
    as_infinite = np.sort(np.asarray([*values, *[math.inf] * missing]))
    for percent in (10, 50, 90):
        assert sample.percentile(percent) == as_infinite[rank(percent, sample.n) - 1]


def test_no_values_have_no_percentiles() -> None:
    assert math.isnan(Sample.of([]).percentile(50))
    assert math.isnan(Sample.of([]).mean)
    assert math.isnan(Sample.of([]).upper_bound(50))


def test_ranks_do_not_suffer_from_binary_fractions() -> None:
    assert rank(99.9, 1000) == 999
    assert rank(29, 100) == 29
    assert rank(0.001, 10) == 1


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_percentiles_outside_are_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        rank(percent, 10)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="missing"):
        Sample.of([1.0, value])


def test_negative_values_are_kept_and_counted() -> None:
    sample = Sample.of([0.5, -0.2, 0.0])
    assert sample.negative == 1
    assert sample.percentile(1) == -0.2


def test_how_many_values_bound_a_percentile() -> None:
    assert least_n(99) == 368
    assert least_n(50) == 6
    for percent in (50, 90, 99, 99.9):
        needed = least_n(percent)
        values = np.arange(needed, dtype=float)
        assert math.isfinite(Sample.of(values).upper_bound(percent))
        assert Sample.of(values[1:]).upper_bound(percent) == math.inf


@pytest.mark.parametrize(("n", "percent"), [(10, 50), (100, 90), (400, 99), (50_000, 99)])
def test_the_upper_bound_holds_as_often_as_it_says(n: int, percent: float) -> None:
    """The true quantile of a uniform sample is the percentile; the bound is above it in 97.5% of samples."""
    chance = np.random.default_rng(1)
    repeats = 400 if n < 1000 else 100
    held = sum(Sample.of(chance.random(n)).upper_bound(percent) >= percent / 100 for _ in range(repeats))
    assert held / repeats >= 0.94


def test_most_within_a_window() -> None:
    assert most_within([0.0, 0.5, 0.999, 1.0, 1.4, 5.0], 1.0) == 4
    assert most_within([0.0, 1.0, 2.0], 1.0) == 1
    assert most_within([], 1.0) == 0


def test_rate_of_the_even_part() -> None:
    assert rate_between(np.arange(100) / 20, 0.1, 0.9) == pytest.approx(20)
    slow_ends = [0.0, *(50 + np.arange(98) / 10), 500.0]
    assert rate_between(slow_ends, 0.1, 0.9) == pytest.approx(10)
    assert math.isnan(rate_between([1.0], 0.1, 0.9))
    assert math.isnan(rate_between([1.0, 1.0], 0.1, 0.9))


def test_spread() -> None:
    even = spread([5, 5, 5, 5])
    assert even is not None
    assert (even.cv, even.jain, even.sd) == (0, 1, 0)
    one = spread([20, 0, 0, 0])
    assert one is not None
    assert one.jain == 0.25
    assert (one.smallest, one.largest, one.mean) == (0, 20, 5)
    assert spread([]) is None
    assert spread([0, 0]) is None


def test_the_random_base_line_is_what_random_placement_gives() -> None:
    chance = np.random.default_rng(2)
    found = [spread(chance.multinomial(1000, [1 / 50] * 50)) for _ in range(300)]
    assert np.mean([item.cv for item in found if item]) == pytest.approx(math.sqrt(49 / 1000), rel=0.03)
    assert found[0] is not None
    assert found[0].random_cv == math.sqrt(49 / 1000)


# --- evenness ------------------------------------------------------------------------------------------------


def test_evenness_of_known_amounts() -> None:
    even = evenness([1, 2, 3, 4])
    assert even is not None
    assert (even.mean, even.smallest, even.largest) == (2.5, 1, 4)
    assert even.sd == pytest.approx(math.sqrt(1.25))
    assert even.cv == pytest.approx(math.sqrt(1.25) / 2.5)
    assert even.gini == pytest.approx(0.25)
    assert even.jain == pytest.approx(100 / (4 * 30))
    assert evenness([]) is None
    assert evenness([0, 0]) is None


def test_evenness_at_its_ends() -> None:
    all_on_one = evenness([0, 0, 0, 8])
    assert all_on_one is not None
    assert (all_on_one.gini, all_on_one.jain) == pytest.approx((0.75, 0.25))
    same = evenness([7, 7, 7])
    assert same is not None
    assert (same.cv, same.gini, same.jain) == pytest.approx((0, 0, 1))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50).filter(lambda amounts: sum(amounts) > 1e-3))
def test_evenness_is_within_bounds_and_knows_no_order_or_scale(amounts: list[float]) -> None:
    even = evenness(amounts)
    assert even is not None
    assert 0 <= even.gini <= 1 - 1 / len(amounts) + 1e-9
    assert 1 / len(amounts) - 1e-9 <= even.jain <= 1
    assert even.jain == pytest.approx(1 / (1 + even.cv**2), rel=1e-6)
    pairs = sum(abs(a - b) for a in amounts for b in amounts)
    assert even.gini == pytest.approx(pairs / (2 * len(amounts) * sum(amounts)), abs=1e-6)
    scaled = evenness([3 * amount for amount in reversed(amounts)])
    assert scaled is not None
    assert scaled.cv == pytest.approx(even.cv)
    assert scaled.gini == pytest.approx(even.gini, abs=1e-9)


def test_random_placement_is_multinomial() -> None:
    drawn = placed_at_random([(400, np.arange(20), np.ones(20))], 25, 2000, seed=1)
    assert (drawn.sum(axis=1) == 400).all()
    assert not drawn[:, 20:].any(), "places that are not allowed stay empty"
    cv, _, _ = unevenness(drawn[:, :20])
    assert math.sqrt((cv**2).mean()) == pytest.approx(math.sqrt(19 / 400), rel=0.02)
    assert (placed_at_random([(400, np.arange(20), np.ones(20))], 25, 2000, seed=1) == drawn).all()
