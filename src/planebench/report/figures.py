"""Figures as people read them: three digits and a unit, and never better than they are."""

from __future__ import annotations

import math

from planebench import units
from planebench.results.document import Row, SLOResult, Unit

_ALONE = ("management.transition", "management.change")
"""Indicators that exist in parts only: the parts are what is shown."""
_OF_THE_PLACEMENT = (
    "scheduling.distribution_gini",
    "scheduling.cpu_cv",
    "scheduling.memory_cv",
    "scheduling.zone_skew",
    "scheduling.packing",
    "scheduling.stranded_cpu",
    "scheduling.stranded_memory",
    "scheduling.violations",
)


def duration(seconds: float) -> str:
    """``0.85ms``, ``12.3ms``, ``1.23s``, ``62.1s``, ``1,250s``."""
    ms = abs(seconds) * 1e3
    sign = "-" if seconds < 0 and ms >= 0.005 else ""  # no "-0.00ms"
    if ms < 999.5:
        decimals = 2 if ms < 9.995 else 1 if ms < 99.95 else 0
        return f"{sign}{ms:.{decimals}f}ms"
    decimals = 2 if ms < 9995 else 1 if ms < 99950 else 0
    return f"{sign}{ms / 1e3:,.{decimals}f}s"


def share(value: float) -> str:
    """In percent; rounded down, so that 100% says all."""
    return f"{math.floor(value * 10_000 + 1e-9) / 100:g}%"


def number(value: float) -> str:
    """``0``, ``12``, ``0.953``, ``12.5``, ``1,250``."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


def count(value: float) -> str:
    """A count in at most five signs: ``12``, ``9,999``, ``52.1k``, ``1.3M``."""
    if value < 10_000:
        return f"{round(value):,}"
    scale, suffix = (1e3, "k") if value < 1e6 else (1e6, "M") if value < 1e9 else (1e9, "G")
    scaled = value / scale
    return f"{scaled:.{1 if scaled < 99.95 else 0}f}{suffix}"


def rate(per_s: float) -> str:
    """Without its unit: ``0.5``, ``12.3``, ``1,250``."""
    return f"{per_s:.2f}" if per_s < 9.995 else f"{per_s:.1f}" if per_s < 99.95 else f"{per_s:,.0f}"


def value(amount: float, unit: Unit) -> str:
    """An amount with its unit."""
    match unit:
        case "s":
            return duration(amount)
        case "/s":
            return f"{rate(amount)}/s"
        case "share":
            return share(amount)
        case "bytes":
            return units.format_bytes(amount).replace(" ", "")
        case "count" | "ratio":
            return number(amount)


def bound(amount: float, unit: Unit) -> str:
    """A bound as it was demanded: exact, and no longer than needed."""
    match unit:
        case "s":
            return units.format_duration(amount)
        case "/s":
            return units.format_rate(amount)
        case "share":
            return units.format_share(amount)
        case _:
            return value(amount, unit)


def percentile(row: Row, amount: float | None) -> str:
    """A percentile of a row; among the missing, what is known of those."""
    if amount is not None:
        return value(amount, row.unit)
    if row.p99_low is not None:
        return "?"  # a histogram's last bucket has no end
    if not row.missing:
        return ""
    if row.errors is not None:
        return "failed"
    return f">{duration(row.beyond_s)}" if row.beyond_s is not None else "never"


def percentile_name(percent: float) -> str:
    """``p99``, ``max``."""
    return "max" if percent == 100 else f"p{percent:g}"


def demand(slo: SLOResult) -> str:
    """What an SLO asks: ``creation.startup p99 <= 5s``."""
    what = slo.sli if slo.percentile is None else f"{slo.sli} {percentile_name(slo.percentile)}"
    bounds = [("<=", slo.at_most), (">=", slo.at_least)]
    return what + "".join(f" {sign} {bound(limit, slo.unit)}" for sign, limit in bounds if limit is not None)


def found(slo: SLOResult) -> str:
    """What was found of it: ``1.23s (n 1,000)``, ``never``, ``no data``."""
    if slo.value is None:
        return "never" if slo.n else "no data"
    many = f" (n {slo.n:,})" if slo.percentile is not None else ""
    return value(slo.value, slo.unit) + many


def is_step(row: Row) -> bool:
    """Whether a row stands in a summary: parts of a whole that is shown do not, nor do milestones that always come
    together, nor what the section of the placement tells."""
    if row.sli in _OF_THE_PLACEMENT:
        return False
    if row.sli.startswith("management.transition."):
        return bool(row.max or row.missing)
    return not row.part_of or (row.part_of in _ALONE and row.sli.count(".") == 2)
