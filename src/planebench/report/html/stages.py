"""The stages' parts of the page: their figures, in first and in second place, and the charts of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from planebench.report import figures
from planebench.report.html import charts, legend
from planebench.report.html.charts import Chart
from planebench.report.html.distributions import Histogram, curve, histogram
from planebench.report.html.legend import Chip
from planebench.results.document import Result, Row, SLOResult
from planebench.slis.evaluation import indicators_by_stage
from planebench.slis.indicator import Indicator
from planebench.slis.monitoring import node_times_s
from planebench.slis.observations import Observations

MOST_LINES: Final = 8
"""In one chart: more cannot be told apart."""
_ALONE: Final = ("management.transition", "management.change")
"""Indicators that exist in parts only."""


@dataclass(frozen=True, slots=True)
class Curves:
    """A chart of percentile curves."""

    element: str
    title: str
    chips: tuple[Chip, ...]
    summary: str
    """In words, for those who do not see it."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram."""

    element: str
    row: Row
    summary: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage's part of the page."""

    name: str
    rows: tuple[Row, ...]
    parts: tuple[Row, ...]
    """Rows of parts, that are told in second place."""
    curves: tuple[Curves, ...]
    bars: tuple[Bars, ...]


def stages(seen: Observations, result: Result, made: list[Chart]) -> list[StageView]:
    """All stages, after the preparation where there is one; their charts are added to ``made``."""
    nodes = node_times_s(seen)
    indicators: dict[str, list[Indicator]] = {"preparation": [nodes] if nodes else []}
    indicators |= {stage.value: found for stage, found in indicators_by_stage(seen).items()}
    rows: dict[str, Sequence[Row]] = {"preparation": result.preparation}
    rows |= {stage.stage.value: stage.rows for stage in result.stages}
    slos: dict[str, list[SLOResult]] = {}
    for slo in result.slos:
        slos.setdefault(slo.sli, []).append(slo)
    return [
        _stage(name, found, {indicator.name: indicator for indicator in indicators.get(name, [])}, slos, made)
        for name, found in rows.items()
        if found or name != "preparation"
    ]


def _stage(
    name: str,
    rows: Sequence[Row],
    indicators: Mapping[str, Indicator],
    slos: Mapping[str, Sequence[SLOResult]],
    made: list[Chart],
) -> StageView:
    first = tuple(row for row in rows if _is_first(row, slos))
    lines: list[charts.Line] = []
    for row in first:
        indicator = indicators.get(row.sli)
        sample = indicator.sample if indicator else None
        drawn = curve(sample) if sample and row.unit == "s" else None
        if sample and drawn:
            lines.append(charts.Line(row, drawn, sample, tuple(slos.get(row.sli, ()))))
    groups = _groups(lines)
    return StageView(
        name=name,
        rows=first,
        parts=tuple(row for row in rows if row not in first),
        curves=tuple(_curves(name, groups, made)),
        bars=tuple(_bars([line for group in groups for line in group], made)),
    )


def _is_first(row: Row, slos: Mapping[str, Sequence[SLOResult]]) -> bool:
    """Whole indicators, parts that are all there is, and whatever an SLO is held against."""
    if row.sli in slos:
        return True
    if row.part_of == "management.transition":
        return bool(row.max or row.missing)  # milestones that always come together are no step
    return not row.part_of or (row.part_of in _ALONE and row.sli.count(".") == 2)


def _curves(name: str, groups: Sequence[Sequence[charts.Line]], made: list[Chart]) -> Iterable[Curves]:
    for number, group in enumerate(groups):
        element = f"chart-curves-{name}-{number}"
        logarithmic = all(line.sample.values[0] > 0 for line in group)
        made.append(charts.curves(element, group, logarithmic=logarithmic))
        left_out = sum(line.curve.left_out for line in group)
        notes = [] if logarithmic else ["Some values are not above zero: the axis is linear."]
        if left_out:
            values = sum(len(line.sample.values) for line in group)
            notes.append(f"Drawn: {values - left_out:,} of {values:,} values.")
        yield Curves(
            element=element,
            title=", ".join(line.row.title for line in group),
            chips=tuple(legend.of_line(line) for line in group),
            summary="Percentile curves. " + " ".join(_in_words(line.row) for line in group),
            notes=tuple(notes),
        )


def _groups(lines: Sequence[charts.Line]) -> list[list[charts.Line]]:
    """What goes into one chart: steps between milestones apart, and what needs a linear axis apart."""
    groups: dict[tuple[bool, bool], list[charts.Line]] = {}
    for line in lines:
        key = (line.row.part_of == "management.transition", bool(line.sample.values[0] <= 0))
        groups.setdefault(key, []).append(line)
    return [
        [replace(line, place=place) for place, line in enumerate(groups[key][start : start + MOST_LINES])]
        for key in sorted(groups)
        for start in range(0, len(groups[key]), MOST_LINES)
    ]


def _bars(lines: Sequence[charts.Line], made: list[Chart]) -> Iterable[Bars]:
    for line in lines:
        found = histogram(line.sample)
        if found is None:
            continue
        element = f"chart-bars-{line.row.sli.replace('.', '-')}"
        made.append(charts.histogram(element, line, found))
        yield Bars(element, line.row, f"Histogram. {_in_words(line.row)}", tuple(_bar_notes(line, found)))


def _bar_notes(line: charts.Line, found: Histogram) -> Iterable[str]:
    if found.missing:
        yield f"{found.missing:,} {'failed' if line.row.errors is not None else 'never came'}: not drawn"
    if found.left_out:
        low_bars = found.left_out + found.rare.size
        yield f"of {low_bars:,} values in low bars, the {found.rare.size:,} largest are marked"
    for slo in line.slos:
        low, high = float(found.edges[0]), float(found.edges[-1])
        if slo.at_most is not None and not low <= slo.at_most <= high:
            yield f"{charts.demand(slo, short=True)} is beyond the axis"


def _in_words(row: Row) -> str:
    told = [("p50", row.p50), ("p90", row.p90), ("p99", row.p99), ("max", row.max)]
    return (
        f"{row.title}: n {row.n:,}, "
        + ", ".join(f"{name} {figures.percentile(row, amount) or 'none'}" for name, amount in told)
        + "."
    )
