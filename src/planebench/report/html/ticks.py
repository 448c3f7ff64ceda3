"""Ticks of axes, in words."""

from __future__ import annotations

import math
from typing import Final

SHARES: Final[dict[float, str]] = {
    0.0: "0",
    math.log10(2): "50%",
    1.0: "90%",
    2.0: "99%",
    3.0: "99.9%",
    4.0: "99.99%",
    5.0: "99.999%",
}
"""-log10(1 - share) -> share: the axis of a percentile curve."""


def durations(low_s: float, high_s: float, *, room: float = 2.5) -> dict[float, str]:
    """Ticks of a logarithmic axis of durations: decades, with 2 and 5 in between up to ``room`` decades."""
    decades = range(math.floor(math.log10(low_s)) - 1, math.ceil(math.log10(high_s)) + 2)
    few = math.log10(high_s / low_s) < room
    steps = (1, 2, 5) if few else (1,)
    return {step * 10.0**decade: _duration(step * 10.0**decade) for decade in decades for step in steps}


def linear_durations(low_s: float, high_s: float, about: int = 5) -> dict[float, str]:
    """Ticks of a linear axis of durations."""
    span = (high_s - low_s) or abs(high_s) or 1e-3
    raw = span / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw)
    first, last = math.floor(low_s / step), math.ceil(high_s / step)
    return {number * step: _duration(number * step) for number in range(first, last + 1)}


def _duration(seconds: float) -> str:
    size = abs(seconds)
    if size < 1e-12:
        return "0"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")):
        if size >= scale * 0.999999:
            return f"{seconds / scale:,.4g} {unit}"
    return f"{seconds:g} s"
