"""What components serve at /metrics, read: text and protobuf."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.slis.exposition import Exposition, Native, parse

RECORDED = Path(__file__).parent.parent / "data" / "scrapes"
EVERYTHING = [".*"]


# --- a writer of the protobuf form, for what no component happens to serve -----------------------------------


def varint(value: int) -> bytes:
    found = b""
    while True:
        value, digit = value >> 7, value & 0x7F
        if not value:
            return found + bytes([digit])
        found += bytes([digit | 0x80])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def family(name: str, *metrics: bytes) -> bytes:
    content = message(1, name.encode()) + b"".join(message(4, metric) for metric in metrics)
    return varint(len(content)) + content


def label(name: str, value: str) -> bytes:
    return message(1, message(1, name.encode()) + message(2, value.encode()))


def native(schema: int, zero: int, buckets: dict[int, int], *, packed: bool = False) -> bytes:
    """A histogram with native buckets only, written as client_golang does: spans, and deltas of their counts."""
    content = integer(1, zero + sum(buckets.values())) + double(2, 1.0)
    content += integer(5, zigzag(schema)) + double(6, 1e-100) + integer(7, zero)
    spans: list[list[int]] = []
    end = 0
    for place in sorted(buckets):
        if spans and place == end:
            spans[-1][1] += 1
        else:
            spans.append([place - end, 1])
        end = place + 1
    content += b"".join(message(12, integer(1, zigzag(offset)) + integer(2, many)) for offset, many in spans)
    counts = [buckets[place] for place in sorted(buckets)]
    deltas = [zigzag(count - before) for before, count in zip([0, *counts], counts, strict=False)]
    if packed:
        return content + message(13, b"".join(varint(delta) for delta in deltas))
    return content + b"".join(integer(13, delta) for delta in deltas)


# --- protobuf ------------------------------------------------------------------------------------------------


def test_counters_and_gauges() -> None:
    content = family("a_total", label("code", "200") + label("x", "") + message(3, double(1, 3.5)))
    content += family("b", message(2, double(1, -1.0)), label("of", "c") + message(5, double(1, 2.0)))
    assert parse(content, EVERYTHING, protobuf=True) == Exposition(
        {
            "a_total": {frozenset({("code", "200"), ("x", "")}): 3.5},
            "b": {frozenset(): -1.0, frozenset({("of", "c")}): 2.0},
        }
    )


def test_a_value_that_is_left_out_is_zero() -> None:
    found = parse(family("a", message(3, b"")), EVERYTHING, protobuf=True)
    assert found.samples == {"a": {frozenset(): 0.0}}


def test_classic_buckets_get_the_last_one_that_protobuf_leaves_out() -> None:
    bucket = message(3, integer(1, 2) + double(2, 0.5))
    content = family("a", label("x", "1") + message(7, integer(1, 3) + double(2, 4.0) + bucket))
    found = parse(content, EVERYTHING, protobuf=True)
    one = ("x", "1")
    assert found.samples == {
        "a_bucket": {frozenset({one, ("le", "0.5")}): 2, frozenset({one, ("le", "+Inf")}): 3},
        "a_count": {frozenset({one}): 3},
        "a_sum": {frozenset({one}): 4},
    }
    assert found.natives == {}


BUCKETS = st.dictionaries(st.integers(-200, 200), st.integers(1, 1000), max_size=20)


@given(st.integers(-4, 8), st.integers(0, 100), BUCKETS, st.booleans())
def test_native_buckets_come_back(schema: int, zero: int, buckets: dict[int, int], packed: bool) -> None:
    content = family("a", message(7, native(schema, zero, buckets, packed=packed)))
    found = parse(content, EVERYTHING, protobuf=True)
    assert found.natives == {"a": {frozenset(): Native(schema, 1e-100, zero, buckets)}}
    assert found.samples["a_count"] == {frozenset(): zero + sum(buckets.values())}


@given(st.binary(max_size=200))
def test_anything_else_gives_nothing_or_something_but_no_error(content: bytes) -> None:
    parse(content, EVERYTHING, protobuf=True)
    parse(content, EVERYTHING)


@given(st.data())
def test_a_torn_scrape_gives_nothing(data: st.DataObject) -> None:
    content = (RECORDED / "kube-scheduler.after.pb").read_bytes()
    whole = parse(content, EVERYTHING, protobuf=True)
    cut = data.draw(st.integers(0, len(content) - 1))
    found = parse(content[:cut], EVERYTHING, protobuf=True)
    # Between two families a cut cannot be told from an end.
    assert found.samples.items() <= whole.samples.items()


# --- as components served it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.pb")), ids=lambda path: path.stem)
def test_recorded_protobuf(path: Path) -> None:
    found = parse(path.read_bytes(), EVERYTHING, protobuf=True)
    assert "process_start_time_seconds" in found.samples
    for name, series in found.natives.items():
        for labels, histogram in series.items():
            counted = histogram.zero_count + math.fsum(histogram.buckets.values())
            assert counted == found.samples[f"{name}_count"][labels]
            assert 2**2**-histogram.schema <= 1.0905077327 or not histogram.buckets, "9% wide"


def test_recorded_text_has_no_native_histograms() -> None:
    found = parse((RECORDED / "etcd.after.txt").read_bytes(), ["etcd_disk_wal_fsync_duration_seconds"])
    assert found.samples.keys() == {
        f"etcd_disk_wal_fsync_duration_seconds_{end}" for end in ("bucket", "count", "sum")
    }
    assert found.natives == {}


def test_only_what_is_asked_for_is_read() -> None:
    content = (RECORDED / "kube-scheduler.after.pb").read_bytes()
    found = parse(content, ["scheduler_pending_pods", "nothing"], protobuf=True)
    assert found.samples.keys() == {"scheduler_pending_pods"}
