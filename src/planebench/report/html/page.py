"""The report's page: everything in one file, from templates and assets of this package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
from bokeh.palettes import cividis
from bokeh.resources import Resources

from planebench import units
from planebench.report import figures
from planebench.report.html import charts, terms
from planebench.report.html.charts import PALETTE, Chart
from planebench.report.html.costs import costs
from planebench.report.html.distributions import MOST_POINTS, TAIL, Histogram, curve, histogram
from planebench.report.html.placement import Placement, placement
from planebench.report.html.slowest import Slowest, slowest
from planebench.report.html.timeline import Timeline, timeline
from planebench.report.html.traffic import asked, senders, served
from planebench.results.document import Result, Row, SLOResult
from planebench.slis.catalog import CATALOG, Definition, find
from planebench.slis.evaluation import indicators_by_stage
from planebench.slis.indicator import Indicator
from planebench.slis.monitoring import node_times_s
from planebench.slis.observations import Observations

_PACKAGE: Final = "planebench.report.html"
_ALONE: Final = ("management.transition", "management.change")
"""Indicators that exist in parts only."""
_BOKEH: Final = Resources(mode="absolute", components=["bokeh"])
"""Its script, as its package ships it: the core alone."""
MOST_LINES: Final = 8
"""In one chart: more cannot be told apart."""
FEW: Final = "no finite 95% upper bound"
"""A note that says so becomes a badge."""
SHADES: Final = 3
"""Of a lane's colour, one after the other."""
MOST_SHADES: Final = 9
"""Of nodes, from few pods to many."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A line of a chart's legend."""

    name: str
    """Of the lines that it shows and hides."""
    title: str
    color: str
    dash: str
    note: str = ""


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


class _Charts:
    """Charts as they are made, for the page's script."""

    def __init__(self) -> None:
        self._found: list[Chart] = []

    def add(self, chart: Chart) -> None:
        self._found.append(chart)

    def data(self) -> list[Mapping[str, Any]]:
        return [{"document": chart.document, "roots": chart.roots} for chart in self._found]


def page(seen: Observations, result: Result) -> str:
    """The whole report as HTML."""
    made = _Charts()
    course = timeline(seen, result)
    if course:
        made.add(charts.timeline(course))
    stages = _stages(seen, result, made)
    nodes = placement(seen)
    if nodes:
        made.add(charts.placement("chart-placement", nodes, _shades(nodes)))
        made.add(charts.nodes_by_pods("chart-nodes-by-pods", nodes))
    slow = slowest(seen)
    template = _environment().get_template("page.html")
    return template.render(
        result=result,
        stages=stages,
        course=course,
        course_chips=_course_chips(course),
        nodes=nodes,
        shades=_shades(nodes) if nodes else (),
        slow=slow,
        lanes=_lanes(slow),
        senders=senders(result.components),
        asked=asked(seen),
        served=served(result.components),
        costs=costs(result.components),
        definitions=_definitions(result),
        tail=TAIL,
        points=MOST_POINTS,
        terms=terms.TERMS,
        charts=made.data(),
        library=[Path(path).read_text(encoding="utf-8") for path in _BOKEH.js_files],
        style=_asset("report.css"),
        script=_asset("report.js"),
    )


# --- stages --------------------------------------------------------------------------------------------------


def _stages(seen: Observations, result: Result, made: _Charts) -> list[StageView]:
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
    made: _Charts,
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


def _curves(name: str, groups: Sequence[Sequence[charts.Line]], made: _Charts) -> Iterable[Curves]:
    for number, group in enumerate(groups):
        element = f"chart-curves-{name}-{number}"
        logarithmic = all(line.sample.values[0] > 0 for line in group)
        made.add(charts.curves(element, group, logarithmic=logarithmic))
        left_out = sum(line.curve.left_out for line in group)
        notes = [] if logarithmic else ["Some values are not above zero: the axis is linear."]
        if left_out:
            values = sum(len(line.sample.values) for line in group)
            notes.append(f"Drawn: {values - left_out:,} of {values:,} values.")
        yield Curves(
            element=element,
            title=", ".join(line.row.title for line in group),
            chips=tuple(_chip(line) for line in group),
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


def _chip(line: charts.Line) -> Chip:
    row = line.row
    note = f"{row.missing:,} never came" if row.missing else ""
    if row.missing and row.errors is not None:
        note = f"{row.missing:,} failed"
    return Chip(f"curve:{row.sli}", row.title, charts.color(line.place), charts.dash(line.place), note)


def _bars(lines: Sequence[charts.Line], made: _Charts) -> Iterable[Bars]:
    for line in lines:
        found = histogram(line.sample)
        if found is None:
            continue
        element = f"chart-bars-{line.row.sli.replace('.', '-')}"
        made.add(charts.histogram(element, line, found))
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


# --- other parts ---------------------------------------------------------------------------------------------


def _course_chips(course: Timeline | None) -> dict[str, list[Chip]]:
    if course is None:
        return {}
    return {
        panel.id: [
            Chip(f"{panel.id}:{series.name}", series.title, charts.color(series.place), charts.dash(series.place))
            for series in panel.series
        ]
        for panel in course.panels
    }


def _shades(nodes: Placement) -> tuple[str, ...]:
    """One for each number of pods, as far as they can be told apart: with any colour vision, and in grey."""
    return tuple(cividis(min(max(nodes.pods) - min(nodes.pods) + 1, MOST_SHADES)))


def _lanes(slow: Slowest | None) -> dict[str, dict[str, str]]:
    """Lane -> what is reached -> the classes of its pieces: a colour for each lane, a shade for each step."""
    found: dict[str, dict[str, str]] = {}
    for lane, step in slow.steps if slow else ():
        mine = found.setdefault(lane, {})
        number = list(found).index(lane) % PALETTE + 1
        mine.setdefault(step.reached, f"lane-{number} shade-{len(mine) % SHADES}" + " simulated" * step.simulated)
    return found


def _definitions(result: Result) -> list[Definition]:
    """Of all indicators that the page names, in the catalogue's order."""
    latencies = [component.latency.sli for component in result.components if component.latency]
    named = {
        found.id for sli in (*result.rows(), *(slo.sli for slo in result.slos), *latencies) if (found := find(sli))
    }
    return [definition for name, definition in CATALOG.items() if name in named]


# --- assets --------------------------------------------------------------------------------------------------


def _asset(name: str) -> str:
    return (files(_PACKAGE) / "assets" / name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    def load(name: str) -> str:
        return (files(_PACKAGE) / "templates" / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # unsorted: Bokeh reads it in its order
    environment.filters |= {
        "duration": figures.duration,
        "count": lambda number: f"{number:,}",
        "rate": figures.rate,
        "share": figures.share,
        "bytes": units.format_bytes,
        "amount": figures.value,
        "bound": figures.bound,
        "percentile": lambda amount, row: figures.percentile(row, amount),
        "words": lambda key: re.sub(r"_(s|bytes)$", "", str(key)).replace("_", " "),
        "remarks": lambda notes: [note for note in notes if FEW not in note],
        "slug": lambda text: "".join(sign if sign.isalnum() else "-" for sign in str(text)),
        "own": lambda sli, component: terms.metric(component, sli),
    }
    environment.globals |= {
        "few": lambda notes: any(FEW in note for note in notes),
        "definition": find,
        "demand": charts.demand,
        "gauge": gauge,
        "scalar": is_scalar,
        "described": described,
        "records": is_records,
    }
    environment.tests["mapping"] = lambda value: isinstance(value, Mapping)
    return environment


def gauge(slo: SLOResult) -> float | None:
    """How far a value is on its way to the bound: 1 is at the bound; None: there is nothing to draw."""
    bound = slo.at_most if slo.at_most is not None else slo.at_least
    if slo.value is None or not bound or bound < 0:
        return None
    return max(slo.value, 0.0) / bound


def described(value: Any, key: str) -> str:
    """A value of the environment in words; the key tells its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and key.endswith("_bytes"):
        return units.format_bytes(value)
    if isinstance(value, int | float) and key.endswith("_s"):
        return figures.duration(value)
    return "–" if value is None or value == "" else str(value)


def is_records(value: Any) -> bool:
    """Whether a list of the environment is a table: mappings with the same keys, each with one line."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        return False
    return len({tuple(item) for item in value}) == 1 and all(
        is_scalar(part) for item in value for part in item.values()
    )


def is_scalar(value: Any) -> bool:
    """Whether a value of the environment is shown in one line."""
    return not isinstance(value, Mapping | list | tuple)
