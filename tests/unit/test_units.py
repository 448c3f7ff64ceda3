from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("10m", 600.0),
        ("1.5s", 1.5),
        ("200ms", 0.2),
        ("1h30m", 5400.0),
        ("1m0.5s", 60.5),
        ("50us", 5e-5),
        ("50µs", 5e-5),
        ("7ns", 7e-9),
        (" 2s ", 2.0),
        (".5s", 0.5),
    ],
)
def test_durations_in_go_notation(text: str, seconds: float) -> None:
    assert units.parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (600.0, "10m"),
        (5400.0, "1h30m"),
        (1.5, "1.5s"),
        (0.2, "200ms"),
        (90.5, "90.5s"),
        (3e-6, "3us"),
    ],
)
def test_durations_are_written_as_people_do(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize("text", ["20/s", "1200/m", "72000/h", "20 / s"])
def test_rates_of_any_period(text: str) -> None:
    assert units.parse_rate_per_s(text) == 20.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("1Gi", str(2**30)),
        ("2Ei", str(2 * 2**60)),
        ("2E", str(2 * 10**18)),
        ("129e6", "129000000"),
        ("12E2", "1200"),
        ("1k", "1000"),
        ("-3", "-3"),
        (32, "32"),
    ],
)
def test_kubernetes_quantities_are_exact(text: str | int, value: str) -> None:
    assert units.parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    ("value", "binary", "text"),
    [
        ("32", False, "32"),
        ("0", False, "0"),
        ("0.5", False, "500m"),
        ("2000", False, "2k"),
        (str(256 * 2**30), True, "256Gi"),
        ("0.0000000001", False, "1n"),
    ],
)
def test_quantities_are_written_as_kubernetes_does(value: str, binary: bool, text: str) -> None:
    assert units.format_quantity(Decimal(value), binary=binary) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (200 * 2**20, "200 MiB"), (2.5 * 2**40, "2.5 TiB")]
)
def test_bytes_for_people(size: float, text: str) -> None:
    assert units.format_bytes(size) == text


PARSERS: list[Callable[[str], Any]] = [
    units.parse_duration_s,
    units.parse_rate_per_s,
    units.parse_quantity,
    units.parse_share,
]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("text", ["", "ten", "-", "1.2.3s", "1d", "nan", "inf", "1e", "10 %%", "٣s", "9" * 5000])
def test_nonsense_is_refused_with_what_was_expected(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


@pytest.mark.parametrize("text", ["5", "-5s", "10x"])
def test_a_duration_needs_a_unit_and_no_sign(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration with a unit"):
        units.parse_duration_s(text)


@pytest.mark.parametrize("number", [-1.0, float("nan"), float("inf")])
def test_impossible_numbers_are_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        units.format_duration(number)
    with pytest.raises(ValueError, match="not a rate"):
        units.format_rate(number)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text(max_size=80) | st.from_regex(r"[-+.0-9eEinumkKMGTPsh/%]{1,12}", fullmatch=True))
def test_any_text_gives_a_value_or_a_value_error(parse: Callable[[str], Any], text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert "expected" in str(error)


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_durations_survive_a_round_trip(seconds: float) -> None:
    assert units.parse_duration_s(units.format_duration(seconds)) == seconds


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_rates_survive_a_round_trip(per_s: float) -> None:
    assert units.parse_rate_per_s(units.format_rate(per_s)) == per_s


@given(st.floats(min_value=0, max_value=1).filter(lambda share: share == 0 or share > 1e-12))
def test_shares_survive_a_round_trip(share: float) -> None:
    assert units.parse_share(units.format_share(share)) == share


@given(st.decimals(min_value=0, max_value=10**18, places=9), st.booleans())
def test_quantities_survive_a_round_trip(value: Decimal, binary: bool) -> None:
    assert units.parse_quantity(units.format_quantity(value, binary=binary)) == value
