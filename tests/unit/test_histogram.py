from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from planebench.kube.histogram import Histogram


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_quantiles_are_within_a_bucket(values: list[int], q: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(math.ceil(q * len(values)), 1) - 1]
    assert exact <= histogram.quantile(q) <= exact * (1 + 1 / 31)
    assert (histogram.count(), histogram.maximum) == (len(values), max(values))


def test_an_empty_one_has_no_quantiles() -> None:
    assert Histogram().quantile(0.5) == 0
    assert Histogram().summary_ms() == {}


def test_milliseconds() -> None:
    histogram = Histogram()
    histogram.add(2_000_000)
    assert histogram.summary_ms() == {"p50": 2.0, "p99": 2.0, "max": 2.0}
