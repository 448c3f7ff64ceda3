"""Durations, rates, Kubernetes quantities and shares as people write them: parse and format.

Every parser raises :class:`ValueError` with what was expected; the caller names the file, field or flag.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_MAX_CHARACTERS = 64
"""More is no number that anyone means, and exact arithmetic on it would take long."""

_SECONDS = {
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("1e-3"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ns": Decimal("1e-9"),
}
_DURATION_PART = re.compile(rf"({_NUMBER})(h|ms|m|s|us|µs|μs|ns)", re.ASCII)
_DURATION = re.compile(rf"(?:{_NUMBER}(?:h|ms|m|s|us|µs|μs|ns))+", re.ASCII)

_PERIOD_S = {"s": 1, "m": 60, "h": 3600}
_RATE = re.compile(rf"({_NUMBER})\s*/\s*([smh])", re.ASCII)

_SCALE = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
_QUANTITY = re.compile(rf"([+-]?{_NUMBER})([eE][+-]?\d{{1,3}}|[KMGTPE]i|[numkMGTPE]?)", re.ASCII)

_PERCENT = re.compile(rf"({_NUMBER})\s*%", re.ASCII)


def parse_duration_s(text: str) -> float:
    """Seconds from a duration in Go's notation, for instance ``10m``, ``1.5s``, ``200ms`` or ``1h30m``.

    Raises:
        ValueError: it is none, or it has no unit.
    """
    text = _short(text)
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError("expected a duration with a unit, for instance 10m, 1.5s or 200ms")
    return float(
        sum((Decimal(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text)), Decimal())
    )


def format_duration(seconds: float) -> str:
    """The shortest usual notation: ``10m``, ``1h30m``, ``1.5s``, ``200ms``. Parsing it gives ``seconds`` back.

    Raises:
        ValueError: ``seconds`` is negative or not finite.
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"not a duration: {seconds}")
    if seconds == 0:
        return "0s"
    if seconds >= 60 and seconds == int(seconds):
        minutes, rest_s = divmod(int(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        parts = ((hours, "h"), (minutes, "m"), (rest_s, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count)
    exact = Decimal(repr(seconds))
    for unit in ("s", "ms", "us"):
        if exact >= _SECONDS[unit]:
            return f"{_plain(exact / _SECONDS[unit])}{unit}"
    return f"{_plain(exact / _SECONDS['ns'])}ns"


def parse_rate_per_s(text: str) -> float:
    """Events per second from ``20/s``, ``600/m`` or ``100/h``.

    Raises:
        ValueError: it is none.
    """
    match = _RATE.fullmatch(_short(text))
    if not match:
        raise ValueError("expected a rate, for instance 20/s or 600/m")
    return float(match[1]) / _PERIOD_S[match[2]]


def format_rate(per_s: float) -> str:
    """``20/s``; parsing it gives ``per_s`` back.

    Raises:
        ValueError: ``per_s`` is negative or not finite.
    """
    if not math.isfinite(per_s) or per_s < 0:
        raise ValueError(f"not a rate: {per_s}")
    return f"{_plain(Decimal(repr(per_s)))}/s"


def parse_quantity(text: str | int) -> Decimal:
    """The exact value of a Kubernetes quantity: ``500m``, ``1Gi``, ``128974848``, ``129e6``.

    Source: k8s.io/apimachinery/pkg/api/resource, type Quantity.

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.fullmatch(_short(str(text)))
    if not match:
        raise ValueError("expected a Kubernetes quantity, for instance 500m, 32 or 256Gi")
    number, suffix = Decimal(match[1]), match[2]
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        return number.scaleb(int(suffix[1:]))
    return number * _SCALE[suffix]


def format_quantity(value: Decimal, *, binary: bool = False) -> str:
    """A whole number with the largest suffix that leaves it whole: ``32``, ``500m``; ``binary``: ``256Gi``.

    Parsing it gives ``value`` back; below one nano it is rounded up to it, as Kubernetes does.
    """
    suffixes = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki", "") if binary else ("E", "P", "T", "G", "M", "k", "")
    if value == value.to_integral_value():
        whole = int(value)
        for suffix in suffixes:
            scale = int(_SCALE[suffix])
            if whole and whole % scale == 0:
                return f"{whole // scale}{suffix}"
        return "0"
    for suffix in ("m", "u"):
        scaled = value / _SCALE[suffix]
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{math.ceil(value / _SCALE['n'])}n"


def parse_share(text: str) -> float:
    """A share from percent: ``10%`` is 0.1.

    Raises:
        ValueError: it is none.
    """
    match = _PERCENT.fullmatch(_short(text))
    if not match:
        raise ValueError("expected a percentage, for instance 10%")
    return float(Decimal(match[1]) / 100)


def format_share(share: float) -> str:
    """``10%`` for 0.1; parsing it gives ``share`` back."""
    return f"{_plain(Decimal(repr(share)) * 100)}%"


def format_bytes(size: float) -> str:
    """About three digits with a binary unit, for people: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _short(text: str) -> str:
    text = text.strip()
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"expected at most {_MAX_CHARACTERS} characters")
    return text


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
