"""Tests of steady states on made-up series whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.capacity.steady import Backlog, Trend, little, mser5, trend

# --- MSER-5 --------------------------------------------------------------------------------------------------


def noise(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, count)


@pytest.mark.parametrize("warm_up", [50, 100, 200])
def test_a_warm_up_that_decays_is_cut_off(warm_up: int) -> None:
    series = 10 + noise(1000)
    series[:warm_up] += np.linspace(40, 5, warm_up)
    found = mser5(series)
    assert found.ended
    assert warm_up - 10 <= found.cut <= warm_up + 50


@pytest.mark.parametrize("seed", range(10))
def test_a_steady_series_keeps_most_of_itself(seed: int) -> None:
    assert mser5(10 + noise(1000, seed)).cut <= 500


def test_a_constant_series_has_no_warm_up() -> None:
    assert mser5(np.full(500, 3.5)) == mser5([]) == mser5([1.0, 2.0])
    assert mser5(np.full(500, 3.5)).cut == 0


def test_a_series_that_keeps_rising_is_not_steady() -> None:
    found = mser5(np.arange(1000.0))
    assert not found.ended
    assert found.cut == 500


def test_the_formula_is_whites() -> None:
    """Against the definition, written out."""
    series = np.concatenate([noise(60, 3) + 8, noise(240, 4)])
    means = series.reshape(-1, 5).mean(axis=1)
    errors = [((rest := means[cut:]) - rest.mean()).var() / len(rest) for cut in range(len(means) - 5)]
    assert mser5(series).cut == 5 * int(np.argmin(errors))


@given(st.lists(st.floats(-1e6, 1e6), max_size=200))
def test_at_most_half_is_cut(values: list[float]) -> None:
    found = mser5(values)
    assert 0 <= found.cut <= len(values) / 2 + 5
    assert found.cut % 5 == 0


# --- trends --------------------------------------------------------------------------------------------------


def test_a_straight_line_has_its_slope_and_no_doubt() -> None:
    found = trend(np.arange(20), 3 + 2.5 * np.arange(20))
    assert found.slope == pytest.approx(2.5)
    assert found.low == pytest.approx(2.5)
    assert found.grows()


def test_an_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    chance = np.random.default_rng(7)
    times = np.arange(20.0)
    held = 0
    for _ in range(1000):
        found = trend(times, 0.3 * times + chance.normal(0, 5, 20))
        held += found.low <= 0.3 <= found.high
    assert 980 <= held <= 998  # 99%


@pytest.mark.parametrize(
    ("found", "negligible", "grows"),
    [
        (Trend(1.0, 0.5, 1.5), 0.0, True),
        (Trend(1.0, -0.1, 2.1), 0.0, False),
        (Trend(-1.0, -1.5, -0.5), 0.0, False),
        (Trend(0.01, 0.005, 0.015), 0.02, False),
    ],
)
def test_only_shown_growth_that_matters_counts(found: Trend, negligible: float, grows: bool) -> None:
    assert found.grows(negligible) is grows


def test_two_values_make_no_trend() -> None:
    with pytest.raises(ValueError, match="three"):
        trend([1, 2], [1, 2])


# --- backlog and Little's law --------------------------------------------------------------------------------


def test_a_backlog_is_counted_exactly() -> None:
    backlog = Backlog(np.array([0.0, 1.0, 2.0]), np.array([4.0, 2.5, np.nan]))
    assert backlog.at([0.5, 1.5, 2.2, 3.0, 5.0]).tolist() == [1, 2, 3, 2, 1]
    assert backlog.integral([1, 2, 10]).tolist() == [1.0, 3.0, 4 + 1.5 + 8]
    assert backlog.mean(1, 2) == 2.0


def steady(rate: float, stay_s: float, count: int, seed: int = 1) -> Backlog:
    """Arrivals at even distances, exponential stays, all from long before the window on."""
    due = np.arange(count) / rate
    return Backlog(due, due + np.random.default_rng(seed).exponential(stay_s, count))


@pytest.mark.parametrize(("rate", "stay_s"), [(20, 0.05), (100, 0.2), (400, 0.5)])
def test_littles_law_holds_in_a_steady_state(rate: float, stay_s: float) -> None:
    backlog = steady(rate, stay_s, int(rate * 30))
    found = little(backlog, 5, 29)
    assert found.ratio == pytest.approx(1, abs=0.05)
    assert found.backlog == pytest.approx(rate * stay_s, rel=0.1)
    assert not backlog.trend(5, 29).grows(0.001 * rate)


def overloaded(offered: float, served: float, seconds: float) -> Backlog:
    """One server that works through what is due, one after the other."""
    due = np.arange(int(offered * seconds)) / offered
    return Backlog(due, (np.arange(len(due)) + 1) / served)


@pytest.mark.parametrize("share", [1.02, 1.1, 2.0])
def test_too_much_load_shows_in_the_backlog(share: float) -> None:
    found = overloaded(100 * share, 100, 10).trend(2, 9.9)
    assert found.grows(0.1)
    assert found.slope == pytest.approx(100 * (share - 1), rel=0.02, abs=0.1)


def test_littles_law_does_not_hold_while_the_backlog_grows() -> None:
    found = little(overloaded(150, 100, 10), 2, 9.9)
    assert abs(found.ratio - 1) > 0.05


def test_little_is_unknown_where_one_never_came() -> None:
    backlog = Backlog(np.array([0.0, 1.0]), np.array([0.5, np.nan]))
    found = little(backlog, 0, 2)
    assert math.isinf(found.stay_s)
    assert math.isnan(found.ratio)
