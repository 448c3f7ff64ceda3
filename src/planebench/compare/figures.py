"""What of a run is compared: service level indicators by percentile, and what each component has cost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from planebench.model import Role, Stage
from planebench.results.document import Result, Row, SLOResult, Unit
from planebench.slis import catalog

Kind = Literal["duration", "cost", "other"]

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
_OWN: Final = "component."
_USUAL: Final = ("p50", "p99")
"""The percentiles that a pattern without any selects."""
_MEDIAN: Final = ("p50",)
_EVERY_ONE_COUNTS: Final = frozenset({"creation.reached", "monitoring.node_health"})
MORE_IS_BETTER: Final = _EVERY_ONE_COUNTS | {
    "scheduling.throughput",
    "scheduling.throughput_peak",
    "scheduling.distribution_jain",
}
NEITHER_IS_BETTER: Final = frozenset({"scheduling.distribution", "scheduling.packing", "scheduling.preempted"})
"""Of all others, less is better."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one trial."""

    title: str
    kind: Kind
    unit: Unit
    value: float
    """Infinite: among what never came; NaN: no data."""
    better: Literal["less", "more", ""]
    """Empty: neither is."""
    doubt_s: float = 0.0
    """Of a duration: how late the requests were sent that it rests on (p99)."""
    by_default: bool = False
    """It is compared where nothing is chosen."""
    exact: bool = False
    """No difference is too small to matter: a share of objects, of which every one counts."""


def of_result(result: Result) -> dict[str, Figure]:
    """All figures of a run, by id: ``creation.startup:p99``, ``scheduling.throughput``, ``cost.etcd.cpu``.

    Compared by default is what the scenario demands, and the median of the same indicators, for medians are
    several times less noisy than tails; of a scenario without demands, p50 and p99 of every indicator that is no
    part of another. And the CPU and memory of the components under test.
    """
    late_s = {found.stage: found.p99_s or 0.0 for found in result.harness.lateness}
    found: dict[str, Figure] = {}
    demanded = {slo.sli for slo in result.slos}
    for row in result.rows().values():
        usual = (_USUAL if not row.part_of else ()) if not demanded else _MEDIAN if row.sli in demanded else ()
        found |= _of_row(row, late_s, usual)
    for slo in result.slos:
        found |= _of_slo(slo, late_s)
    found |= _of_components(result)
    return found


def select(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The ids that one of the patterns matches, in their order.

    Patterns are those of a shell (``creation.*``, ``cost.*.cpu``). One without a percentile selects p50 and p99.
    """
    return [name for name in names if any(_matches(name, pattern) for pattern in patterns)]


def of_own_metrics(patterns: Sequence[str]) -> bool:
    """Whether one of the patterns may select what components say of themselves."""
    return any(
        _OWN.startswith(literal := re.split(r"[*?[]", pattern)[0]) or literal.startswith(_OWN)
        for pattern in patterns
    )


def _matches(name: str, pattern: str) -> bool:
    sli, _, percentile = name.partition(":")
    if fnmatchcase(name, pattern) and ":" in pattern:
        return True
    return fnmatchcase(sli, pattern) and (not percentile or percentile in _USUAL)


# --- indicators ----------------------------------------------------------------------------------------------


def _of_row(row: Row, late_s: Mapping[str, float], usual: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """A single value, or all percentiles; ``usual``: those that are compared by default."""
    if _is_single(row):
        value = math.nan if row.value is None else row.value
        yield row.sli, _indicator(row.sli, row.sli, row.unit, value, late_s, bool(usual))
        return
    for name in PERCENTILES:
        value = _value(getattr(row, name), row.n)
        yield (
            f"{row.sli}:{name}",
            _indicator(f"{row.sli} {name}", row.sli, row.unit, value, late_s, name in usual),
        )


def _is_single(row: Row) -> bool:
    definition = catalog.find(row.sli)
    return definition.single if definition else row.value is not None and row.p50 is None


def _of_slo(slo: SLOResult, late_s: Mapping[str, float]) -> Iterator[tuple[str, Figure]]:
    value = _value(slo.value, slo.n)
    if slo.percentile is None:
        yield slo.sli, _indicator(slo.sli, slo.sli, slo.unit, value, late_s, True)
        return
    name = "max" if slo.percentile == 100 else f"p{slo.percentile:g}"
    yield f"{slo.sli}:{name}", _indicator(f"{slo.sli} {name}", slo.sli, slo.unit, value, late_s, True)


def _value(found: float | None, n: int) -> float:
    """None among values that should be there is one that never came."""
    if found is not None:
        return found
    return math.inf if n else math.nan


def _indicator(
    title: str, sli: str, unit: Unit, value: float, late_s: Mapping[str, float], by_default: bool
) -> Figure:
    return Figure(
        title=title,
        kind="duration" if unit == "s" else "other",
        unit=unit,
        value=value,
        better="" if sli in NEITHER_IS_BETTER else "more" if sli in MORE_IS_BETTER else "less",
        doubt_s=late_s.get(_loaded_in(sli), 0.0) if unit == "s" else 0.0,
        by_default=by_default,
        exact=sli in _EVERY_ONE_COUNTS,
    )


def _loaded_in(sli: str) -> str:
    """The stage whose requests an indicator rests on: objects are bound and come up while they are created."""
    stage = sli.partition(".")[0]
    startup = sli.startswith(("management.running", "management.ready", "management.transition"))
    return Stage.CREATION if stage == Stage.SCHEDULING or startup else stage


# --- costs ---------------------------------------------------------------------------------------------------


def _of_components(result: Result) -> Iterator[tuple[str, Figure]]:
    for component in result.components:
        costs: tuple[tuple[str, str, Unit, float | None], ...] = (
            ("cpu", "CPU", "s", component.cpu_s),
            ("memory", "peak memory", "bytes", component.peak_rss_bytes),
        )
        for name, title, unit, value in costs:
            yield (
                f"cost.{component.name}.{name}",
                Figure(
                    title=f"{component.title} {title}",
                    kind="cost",
                    unit=unit,
                    value=math.nan if value is None else value,
                    better="less",
                    by_default=component.role is Role.SUBJECT,
                ),
            )
        for row in component.metrics:
            duration = row.unit == "s" and (row.p99_low is not None or row.kind == "mean")
            if not duration or row.value is None or row.part_of:
                continue  # of counters and gauges, how much there was is no matter of better or worse
            yield (
                f"component.{component.name}.{row.sli}",
                Figure(
                    title=f"{component.title}: {row.title}, mean",
                    kind="duration",
                    unit="s",
                    value=row.value,
                    better="less",
                ),
            )
