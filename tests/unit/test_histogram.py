from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.kube.histogram import Histogram


def of(*values: int) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_quantiles_are_within_a_bucket(values: list[int], q: float) -> None:
    histogram = of(*values)
    exact = sorted(values)[max(math.ceil(q * len(values)), 1) - 1]
    assert exact <= histogram.quantile(q) <= exact * (1 + 1 / 31)
    assert (histogram.count(), histogram.maximum) == (len(values), max(values))


@given(st.lists(st.lists(st.integers(0, 10**13), max_size=20), max_size=10))
def test_when_it_is_counted_makes_no_difference(batches: list[list[int]]) -> None:
    often = Histogram()
    for batch in batches:
        for value in batch:
            often.add(value)
        often.count()
    once = of(*(value for batch in batches for value in batch))
    assert often.count() == once.count() == sum(map(len, batches))
    assert often.summary_ms() == once.summary_ms()


@pytest.mark.parametrize("value", [0, 1, 31, 32, 33, 63, 64, 65, 2**20 - 1, 2**20, 2**62, 2**63 - 1])
def test_the_ends_of_buckets(value: int) -> None:
    """A single value is its own maximum, which no quantile exceeds."""
    assert of(value).quantile(0.5) == value
    assert value <= of(value, 2**63 - 1).quantile(0.5) <= value * (1 + 1 / 31)


def test_below_zero_is_zero() -> None:
    """A clock step; the raw records keep it."""
    histogram = of(-5, -1)
    assert (histogram.count(), histogram.quantile(1.0), histogram.maximum) == (2, 0, 0)


def test_values_that_come_later_count() -> None:
    histogram = of(10)
    assert histogram.count() == 1
    histogram.add(20)
    assert (histogram.count(), histogram.maximum, histogram.quantile(0.5)) == (2, 20, 10)


def test_an_empty_one_has_no_quantiles() -> None:
    assert Histogram().quantile(0.5) == 0
    assert Histogram().summary_ms() == {}
    assert (Histogram().count(), Histogram().maximum) == (0, 0)


def test_milliseconds() -> None:
    assert of(2_000_000).summary_ms() == {"p50": 2.0, "p99": 2.0, "max": 2.0}
