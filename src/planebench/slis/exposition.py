"""What components serve at ``/metrics``, read: text, or protobuf with native histograms.

Only the families that are asked for are decoded: an API server serves megabytes.

The protobuf form is the stream of length-delimited ``MetricFamily`` messages of io/prometheus/client/metrics.proto
(prometheus/client_model v0.6.2); the numbers below are its field numbers. prometheus_client, which reads the text,
has no reader for it, and of a generated one we would need a twentieth.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
"""A series' labels and their values."""


@dataclass(frozen=True, slots=True)
class Native:
    """A native histogram of values that are not negative: counts of exponential buckets.

    Bucket ``i`` of ``schema`` s holds values above ``2**((i - 1) / 2**s)`` and up to ``2**(i / 2**s)``; with
    s = 3, buckets are 9% wide. What is at most ``zero_threshold`` is counted apart.
    """

    schema: int
    zero_threshold: float
    zero_count: float
    buckets: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Exposition:
    """What one scrape of one process has said."""

    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)
    """By name (with ``_bucket`` and the like) and labels."""
    natives: Mapping[str, Mapping[Labels, Native]] = field(default_factory=dict)
    """By the family's name and labels; their ``_count`` and ``_sum`` are among the samples."""


def parse(content: bytes, names: Sequence[str], *, protobuf: bool = False) -> Exposition:
    """The metric families that these regular expressions match whole; nothing where it is torn."""
    try:
        return _protobuf(content, tuple(names)) if protobuf else _text(content, tuple(names))
    except (ValueError, TypeError, IndexError, struct.error):
        return Exposition()


# --- text ----------------------------------------------------------------------------------------------------


def _text(content: bytes, names: tuple[str, ...]) -> Exposition:
    lines = b"\n".join(line[0] for line in _wanted_lines(names).finditer(content)) + b"\n"
    families = text_string_to_metric_families(lines.decode("utf-8", "replace"))
    samples: dict[str, dict[Labels, float]] = {}
    for family in families:
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return Exposition(samples)


@lru_cache
def _wanted_lines(names: tuple[str, ...]) -> re.Pattern[bytes]:
    pattern = rf"^(?!#)(?:{'|'.join(names)})(?:_bucket|_sum|_count)?(?:\{{[^\n]*| [^\n]*)$"
    return re.compile(pattern.encode(), re.MULTILINE)


@lru_cache
def _wanted_names(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{name})" for name in names))


# --- protobuf ------------------------------------------------------------------------------------------------

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DOUBLE: Final = struct.Struct("<d")
_Field = tuple[int, int | bytes]
"""A field's number and value: an integer, or the bytes of a message, string or floating point number."""


def _protobuf(content: bytes, names: tuple[str, ...]) -> Exposition:
    wanted = _wanted_names(names)
    found = _Found()
    at = 0
    while at < len(content):
        length, at = _varint(content, at)
        if at + length > len(content):
            raise ValueError("torn")
        name = _name(content, at)
        if wanted.fullmatch(name):
            for number, value in _fields(content[at : at + length]):
                if number == 4:
                    _metric(name, _message(value), found)
        at += length
    return Exposition(found.samples, found.natives)


@dataclass(slots=True)
class _Found:
    samples: dict[str, dict[Labels, float]] = field(default_factory=dict)
    natives: dict[str, dict[Labels, Native]] = field(default_factory=dict)

    def add(self, name: str, labels: Labels, value: float) -> None:
        self.samples.setdefault(name, {})[labels] = value


def _name(content: bytes, at: int) -> str:
    """A family's name: the first field of its message."""
    if content[at] != (1 << 3 | _BYTES):
        raise ValueError("no name")
    length, at = _varint(content, at + 1)
    return content[at : at + length].decode()


def _metric(name: str, message: bytes, found: _Found) -> None:
    labels: list[tuple[str, str]] = []
    for number, value in _fields(message):
        match number:
            case 1:
                pair = dict(_fields(_message(value)))
                labels.append((_message(pair.get(1, b"")).decode(), _message(pair.get(2, b"")).decode()))
            case 2 | 3 | 5:  # gauge, counter, untyped: the value is their field 1
                level = dict(_fields(_message(value))).get(1, bytes(8))
                found.add(name, frozenset(labels), _double(level))
            case 7:
                _histogram(name, labels, _message(value), found)


def _histogram(name: str, labels: list[tuple[str, str]], message: bytes, found: _Found) -> None:
    count = zero_threshold = zero_count = total = 0.0
    schema: int | None = None
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    classic: list[tuple[float, float]] = []
    for number, value in _fields(message):
        match number:
            case 1:
                count = float(_integer(value))
            case 2:
                total = _double(value)
            case 3:
                bucket = dict(_fields(_message(value)))
                classic.append((_double(bucket.get(2, bytes(8))), float(_integer(bucket.get(1, 0)))))
            case 5:
                schema = _signed(_integer(value))
            case 6:
                zero_threshold = _double(value)
            case 7:
                zero_count = float(_integer(value))
            case 12:
                span = dict(_fields(_message(value)))
                spans.append((_signed(_integer(span.get(1, 0))), _integer(span.get(2, 0))))
            case 13:
                deltas += [_signed(raw) for raw in (_packed(value) if isinstance(value, bytes) else [value])]
    if classic and math.isfinite(classic[-1][0]):  # the last bucket, which has no end, is left out
        classic.append((math.inf, count))
    for bound, number_below in classic:
        text = repr(bound) if math.isfinite(bound) else "+Inf"
        found.add(f"{name}_bucket", frozenset([*labels, ("le", text)]), number_below)
    key = frozenset(labels)
    found.add(f"{name}_count", key, count)
    found.add(f"{name}_sum", key, total)
    if schema is not None and (spans or zero_threshold):
        native = Native(schema, zero_threshold, zero_count, _buckets(spans, deltas))
        found.natives.setdefault(name, {})[key] = native


def _buckets(spans: Sequence[tuple[int, int]], deltas: Sequence[int]) -> dict[int, float]:
    """Spans give the buckets' places, deltas their counts, each against the one before."""
    found: dict[int, float] = {}
    place, count = 0, 0
    remaining = iter(deltas)
    for offset, length in spans:
        place += offset
        for _ in range(length):
            count += next(remaining, 0)
            found[place] = float(count)
            place += 1
    return found


def _fields(message: bytes) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if at + length > len(message):
            raise ValueError("torn")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number in base 128, lowest digits first, and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _packed(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _signed(value: int) -> int:
    """ZigZag: 0, -1, 1, -2, ..."""
    return value >> 1 ^ -(value & 1)


def _double(value: int | bytes) -> float:
    return float(_DOUBLE.unpack(_message(value))[0])


def _integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise TypeError("an integer was expected")
    return value


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("bytes were expected")
    return value
