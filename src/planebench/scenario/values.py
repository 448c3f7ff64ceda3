"""Field types of a scenario: text with a unit in the document, plain numbers in Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from planebench import units
from planebench.versions import VERSION_PATTERN, parse_version

MAX_DURATION_S = 7 * 24 * 3600.0
MAX_RATE_PER_S = 100_000.0
MAX_QUANTITY = Decimal(2) ** 63 - 1
"""As in Kubernetes, whose quantities must fit a signed 64-bit integer."""

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""An RFC 1123 label, as Kubernetes asks of names."""


def shorten(value: Any) -> str:
    """A value as it is shown in an error: never long."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unexpected(what: str, value: Any) -> ValueError:
    return ValueError(f"expected {what}, got {shorten(value)}")


def _duration(value: Any) -> float:
    if not isinstance(value, str):
        if value == 0 and not isinstance(value, bool):
            return 0.0
        raise _unexpected("a duration with a unit, for instance 10m, 1.5s or 200ms", value)
    seconds = units.parse_duration_s(value)
    if seconds > MAX_DURATION_S:
        raise ValueError(f"must be at most {units.format_duration(MAX_DURATION_S)}")
    return seconds


def _rate(value: Any) -> float:
    if not isinstance(value, str):
        raise _unexpected("a rate, for instance 20/s or 600/m", value)
    per_s = units.parse_rate_per_s(value)
    if per_s > MAX_RATE_PER_S:
        raise ValueError(f"must be at most {units.format_rate(MAX_RATE_PER_S)}")
    return per_s


def _share(value: Any) -> float:
    if isinstance(value, str):
        share = units.parse_share(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    else:
        raise _unexpected("a share, for instance 10% or 0.1", value)
    if not 0 <= share <= 1:
        raise ValueError("must be from 0% to 100%")
    return share


def _node_count(value: Any) -> int | float:
    """A whole number of nodes as int, a share of them as float."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"must be at least 1, got {value}")
        return value
    if not isinstance(value, str | float):
        raise _unexpected("a number of nodes or a share of them, for instance 3 or 10%", value)
    if (share := _share(value)) <= 0:
        raise ValueError("must be more than 0%")
    return share


def _version(value: Any) -> str:
    if not isinstance(value, str):  # YAML takes 1.35 for a number
        raise _unexpected("a whole version, for instance 1.35.4", value)
    return parse_version(value).removeprefix("v")


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _unexpected("a Kubernetes quantity, for instance 500m, 32 or 256Gi", value)
    if not 0 <= units.parse_quantity(value) <= MAX_QUANTITY:
        raise ValueError("must be from 0 to 2^63 - 1")
    return str(value)


def _flag_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("expected text, a number, true or false")


def _text(what: str, *examples: str, pattern: str | None = None) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "description": what, "examples": list(examples)}
    return WithJsonSchema(schema | ({"pattern": pattern} if pattern else {}))


def _positive(number: float) -> float:
    if number <= 0:
        raise ValueError("must be more than 0")
    return number


Seconds = Annotated[
    float,
    BeforeValidator(_duration),
    AfterValidator(_positive),
    PlainSerializer(units.format_duration, return_type=str),
    _text("A duration with a unit.", "10m", "1.5s", "200ms"),
]
"""Seconds; ``10m`` or ``1.5s`` in the document. More than zero."""

SecondsOrNone = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(units.format_duration, return_type=str),
    _text("A duration with a unit; 0s is none.", "10s", "0s"),
]
"""Seconds; zero means that it does not take place."""

PerSecond = Annotated[
    float,
    BeforeValidator(_rate),
    AfterValidator(_positive),
    PlainSerializer(units.format_rate, return_type=str),
    _text("A rate.", "20/s", "600/m"),
]
"""Events per second; ``20/s`` in the document. More than zero."""

PerSecondOrNone = Annotated[
    float,
    BeforeValidator(_rate),
    PlainSerializer(units.format_rate, return_type=str),
    _text("A rate; 0/s is none.", "10/s", "0/s"),
]
"""Events per second; zero means none."""

Share = Annotated[
    float,
    BeforeValidator(_share),
    PlainSerializer(units.format_share, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "description": "A share: a percentage, or a number from 0 to 1.",
            "examples": ["10%", 0.1],
        }
    ),
]
"""From 0 to 1; ``10%`` or ``0.1`` in the document."""

NodeCount = Annotated[
    int | float,
    PlainValidator(_node_count),
    PlainSerializer(lambda count: count if isinstance(count, int) else units.format_share(count)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"},
            ],
            "description": "A number of nodes, or a share of all.",
            "examples": [3, "10%"],
        }
    ),
]
"""A number of nodes (int), or a share of them (float); ``3`` or ``10%`` in the document."""

Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "description": "A Kubernetes quantity.",
            "examples": ["500m", "32", "256Gi"],
        }
    ),
]
"""A Kubernetes quantity as text, checked."""

Version = Annotated[
    str,
    BeforeValidator(_version),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": VERSION_PATTERN,
            "description": "A whole version.",
            "examples": ["1.35.4"],
        }
    ),
]
"""A version as text, without a leading ``v``."""

FlagValue = Annotated[
    str,
    BeforeValidator(_flag_value),
    WithJsonSchema({"type": ["string", "number", "boolean"], "description": "A flag's value."}),
]

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)]


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of an SLO, with its unit: ``s``, ``/s``, ``share``, ``bytes``, or none for a count."""

    value: float
    unit: str

    def __str__(self) -> str:
        match self.unit:
            case "s":
                return units.format_duration(self.value)
            case "/s":
                return units.format_rate(self.value)
            case "share":
                return units.format_share(self.value)
            case "bytes":
                return units.format_quantity(Decimal(repr(self.value)), binary=True)
            case _:
                return repr(int(self.value)) if self.value == int(self.value) else repr(self.value)


def parse_bound(value: Any) -> Bound:
    """A bound from ``1s``, ``20/s``, ``99%``, ``2Gi`` or a bare number; ``10m`` is ten minutes.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, Bound):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= 1e18:  # False for NaN, too
            raise ValueError(f"must be from 0 to 1e18, got {shorten(value)}")
        return Bound(float(value), "")
    if isinstance(value, str):
        parsers = (
            ("/s", units.parse_rate_per_s),
            ("share", units.parse_share),
            ("s", units.parse_duration_s),
        )
        for unit, parse in parsers:
            try:
                bound = Bound(parse(value), unit)
            except ValueError:
                continue
            if math.isfinite(bound.value):
                return bound
        if value.endswith(("Ki", "Mi", "Gi", "Ti")):
            return Bound(float(units.parse_quantity(value)), "bytes")
    raise _unexpected("a duration (1s), a rate (20/s), a share (99%), a size (2Gi) or a number", value)


SLOBound = Annotated[
    Bound,
    BeforeValidator(parse_bound),
    PlainSerializer(lambda bound: str(bound) if bound.unit else bound.value),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "description": "A duration, a rate, a share, a size, or a bare number for a count.",
            "examples": ["1s", "20/s", "99%", "2Gi", 0],
        }
    ),
]
