"""Percentile curves, histograms and ticks: the data behind the charts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.report.html import ticks
from planebench.report.html.distributions import LOW, MOST_BINS, MOST_POINTS, TAIL, curve, histogram, is_wide
from planebench.stats import Sample

VALUES = st.lists(st.floats(-1e3, 1e6, allow_nan=False), min_size=1, max_size=80)


@given(VALUES, st.integers(0, 20))
def test_every_step_is_the_nearest_rank_percentile(values: list[float], missing: int) -> None:
    sample = Sample.of(values, missing)
    found = curve(sample)
    assert found is not None
    ends = [*found.tail[1:], found.end]
    for start, end, value in zip(found.tail, ends, found.values, strict=True):
        inside = 1 - 10 ** -((start + end) / 2)
        assert value == sample.percentile(100 * inside) or inside <= 0 or math.isclose(start, end)


@given(VALUES, st.integers(0, 20))
def test_a_curve_ends_where_the_missing_begin(values: list[float], missing: int) -> None:
    sample = Sample.of(values, missing)
    found = curve(sample)
    assert found is not None
    if missing:
        assert found.end == pytest.approx(math.log10(sample.n / missing))
    assert found.end > found.tail[-1]
    assert (np.diff(found.tail) > 0).all()


def test_a_large_sample_keeps_its_extremes() -> None:
    values = np.random.default_rng(1).lognormal(size=10_000)
    found = curve(Sample.of(values))
    assert found is not None
    ordered = np.sort(values)
    assert len(found.values) <= MOST_POINTS + TAIL + 1
    assert found.values[0] == ordered[0]
    assert found.values[-TAIL:].tolist() == ordered[-TAIL:].tolist()
    assert set(found.values.tolist()) <= set(values.tolist())
    assert found.left_out == 10_000 - len(found.values)


def test_a_small_sample_is_drawn_whole() -> None:
    found = curve(Sample.of([3.0, 1.0, 2.0], missing=1))
    assert found is not None
    assert found.values.tolist() == [1.0, 2.0, 3.0]
    assert found.tail.tolist() == pytest.approx([0.0, math.log10(4 / 3), math.log10(2)])
    assert found.end == pytest.approx(math.log10(4))
    assert found.left_out == 0


def test_nothing_has_no_curve_and_no_histogram() -> None:
    assert curve(Sample.of([], missing=3)) is None
    assert histogram(Sample.of([], missing=3)) is None


@given(VALUES)
def test_a_histogram_holds_every_value(values: list[float]) -> None:
    found = histogram(Sample.of(values, missing=2))
    assert found is not None
    assert int(found.counts.sum()) == len(values)
    assert found.edges[0] == min(values)
    assert found.edges[-1] >= max(values)
    assert len(found.counts) <= MOST_BINS
    assert found.missing == 2


def test_rare_values_of_a_histogram_are_named() -> None:
    values = np.concatenate([np.linspace(1.0, 1.1, 1_000), [1.9, 2.0]])
    found = histogram(Sample.of(values))
    assert found is not None
    assert found.rare.tolist() == [1.9, 2.0]
    low = found.counts[found.counts < LOW * found.counts.max()]
    assert int(low.sum()) == len(found.rare) + found.left_out


def test_the_largest_of_many_rare_values_are_named_and_the_others_counted() -> None:
    values = np.concatenate([np.full(100_000, 1.0), np.linspace(2, 30, 300)])
    found = histogram(Sample.of(values), most_rare=50)
    assert found is not None
    assert found.rare.tolist() == values[-50:].tolist()
    assert found.left_out == 250


def test_equal_values_make_one_bar() -> None:
    found = histogram(Sample.of([0.25] * 5))
    assert found is not None
    assert found.counts.tolist() == [5]
    assert not found.logarithmic


@pytest.mark.parametrize(
    ("values", "wide"), [([0.001, 0.01], True), ([0.001, 0.009], False), ([0.0, 1.0], False), ([-1.0, 9.0], False)]
)
def test_a_logarithmic_axis_needs_a_decade_above_zero(values: list[float], wide: bool) -> None:
    assert is_wide(Sample.of(values)) is wide


def test_ticks_of_a_logarithmic_axis() -> None:
    assert set(ticks.durations(0.002, 0.05).values()) >= {"1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms"}
    wide = ticks.durations(1e-4, 10)
    assert "100 µs" in wide.values()
    assert "1 s" in wide.values()
    assert "2 s" not in wide.values()


@given(st.floats(-100, 100), st.floats(1e-6, 100))
def test_ticks_of_a_linear_axis_span_it(low: float, length: float) -> None:
    found = list(ticks.linear_durations(low, low + length))
    assert found[0] <= low + 1e-9 * max(abs(low), 1)
    assert found[-1] >= low + length - 1e-9 * max(abs(low), 1)
    assert 2 <= len(found) <= 9


def test_ticks_of_shares_are_where_their_percentiles_are() -> None:
    for place, text in ticks.SHARES.items():
        share = 0.0 if text == "0" else float(text.rstrip("%")) / 100
        assert 1 - 10.0**-place == pytest.approx(share)
