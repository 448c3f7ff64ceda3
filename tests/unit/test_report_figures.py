"""Figures as people read them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.model import Judgement
from planebench.report import figures
from planebench.results.document import Row, SLOResult


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00ms"),
        (0.000001, "0.00ms"),
        (0.00085, "0.85ms"),
        (0.009994, "9.99ms"),
        (0.009996, "10.0ms"),
        (0.0123, "12.3ms"),
        (0.09994, "99.9ms"),
        (0.09996, "100ms"),
        (0.5, "500ms"),
        (0.9994, "999ms"),
        (0.9996, "1.00s"),
        (1.234, "1.23s"),
        (9.994, "9.99s"),
        (9.996, "10.0s"),
        (62.14, "62.1s"),
        (99.96, "100s"),
        (1250, "1,250s"),
        (-0.000001, "0.00ms"),
        (-0.000005, "-0.01ms"),
        (-0.0012, "-1.20ms"),
        (-2, "-2.00s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100%"), (0.99999, "99.99%"), (0.9, "90%"), (0.29, "29%"), (0, "0%"), (0.12345, "12.34%"), (1.5, "150%")],
)
def test_shares_are_rounded_down(share: float, text: str) -> None:
    assert figures.share(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (12, "12"), (0.953, "0.953"), (12.54, "12.5"), (1250, "1,250"), (1234.5, "1,234.5")],
)
def test_numbers(number: float, text: str) -> None:
    assert figures.number(number) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9999, "9,999"),
        (10_000, "10.0k"),
        (52_140, "52.1k"),
        (99_940, "99.9k"),
        (99_960, "100k"),
        (999_499, "999k"),
        (1_300_000, "1.3M"),
        (99_960_000, "100M"),
        (2_500_000_000, "2.5G"),
    ],
)
def test_counts(count: float, text: str) -> None:
    assert figures.count(count) == text


@given(st.integers(0, 10**11))
def test_a_count_has_at_most_five_signs(count: int) -> None:
    assert len(figures.count(count)) <= 5


@given(st.floats(0, 9999))
def test_a_duration_has_at_most_six_signs(seconds: float) -> None:
    assert len(figures.duration(seconds)) <= 6


@pytest.mark.parametrize(
    ("per_s", "text"), [(0.5, "0.50"), (9.996, "10.0"), (12.34, "12.3"), (99.96, "100"), (1250, "1,250")]
)
def test_rates(per_s: float, text: str) -> None:
    assert figures.rate(per_s) == text


@pytest.mark.parametrize(
    ("amount", "unit", "value", "bound"),
    [
        (1.5, "s", "1.50s", "1.5s"),
        (60, "s", "60.0s", "1m"),
        (0.0123456, "s", "12.3ms", "12.3456ms"),
        (20, "/s", "20.0/s", "20/s"),
        (0.995, "share", "99.5%", "99.5%"),
        (2**20 * 1.5, "bytes", "1.5MiB", "1.5MiB"),
        (512, "bytes", "512B", "512B"),
        (3, "count", "3", "3"),
        (0.125, "ratio", "0.125", "0.125"),
    ],
)
def test_values_are_rounded_and_bounds_are_exact(amount: float, unit: Any, value: str, bound: str) -> None:
    assert figures.value(amount, unit) == value
    assert figures.bound(amount, unit) == bound


def row(**fields: Any) -> Row:
    return Row(**{"sli": "creation.startup", "title": "startup", "unit": "s", "n": 10, **fields})


@pytest.mark.parametrize(
    ("of", "amount", "text"),
    [
        (row(), 0.5, "500ms"),
        (row(), None, ""),
        (row(missing=2, beyond_s=62.5), None, ">62.5s"),
        (row(missing=2), None, "never"),
        (row(missing=2, errors=2), None, "failed"),
        (row(missing=2, errors=2), 0.5, "500ms"),
        (row(p99_low=1.0), None, "?"),
    ],
)
def test_percentiles_say_what_is_known_of_the_missing(of: Row, amount: float | None, text: str) -> None:
    assert figures.percentile(of, amount) == text


def slo(**fields: Any) -> SLOResult:
    whole: dict[str, Any] = {
        "sli": "creation.startup",
        "percentile": 99,
        "at_most": 5.0,
        "at_least": None,
        "unit": "s",
        "value": 1.234,
        "n": 1000,
        "verdict": Judgement.PASS,
        "reason": "",
    }
    return SLOResult(**whole | fields)


@pytest.mark.parametrize(
    ("of", "demand", "found"),
    [
        (slo(), "creation.startup p99 <= 5s", "1.23s (n 1,000)"),
        (slo(percentile=100, at_least=0.1), "creation.startup max <= 5s >= 100ms", "1.23s (n 1,000)"),
        (slo(percentile=99.9, value=None), "creation.startup p99.9 <= 5s", "never"),
        (slo(value=None, n=0), "creation.startup p99 <= 5s", "no data"),
        (
            slo(sli="creation.reached", percentile=None, at_most=None, at_least=1, unit="share", value=0.5),
            "creation.reached >= 100%",
            "50%",
        ),
    ],
)
def test_demands_in_words(of: SLOResult, demand: str, found: str) -> None:
    assert figures.demand(of) == demand
    assert figures.found(of) == found


@pytest.mark.parametrize(
    ("sli", "part_of", "fields", "shown"),
    [
        ("creation.response", "", {}, True),
        ("creation.response.pods", "creation.response", {}, False),
        ("management.change.patch", "management.change", {}, True),
        ("management.change.patch.vmi", "management.change", {}, False),
        ("management.transition.pods.a-b", "management.transition", {"max": 0.1}, True),
        ("management.transition.pods.a-b", "management.transition", {"max": 0.0}, False),
        ("management.transition.pods.a-b", "management.transition", {"missing": 1}, True),
    ],
)
def test_what_stands_in_a_summary(sli: str, part_of: str, fields: dict[str, Any], shown: bool) -> None:
    assert figures.is_step(row(sli=sli, part_of=part_of, **fields)) is shown
