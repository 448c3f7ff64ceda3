"""Percentile curves and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from bokeh.models import ColumnDataSource, CrosshairTool, HoverTool
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from planebench.report import figures
from planebench.report.html import ticks
from planebench.report.html.charts.plot import (
    Chart,
    between,
    chart,
    color,
    dash,
    fixed,
    font,
    lean,
    new_figure,
    numbers,
    themed,
    tooltip,
)
from planebench.report.html.distributions import Curve, Histogram
from planebench.results.document import Row, SLOResult
from planebench.stats import Sample, Values

NEAR: Final = 8.0
"""A bound is drawn among the values up to so many times the largest of them."""


_LABEL: Final = {**font(11), "background_fill_color": "white", "background_fill_alpha": 0.8, "padding": 2}
"""Words on top of curves."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A curve with what it stands for."""

    row: Row
    curve: Curve
    sample: Sample
    slos: tuple[SLOResult, ...]
    place: int = 0
    """Its number in its chart."""


def curves(element: str, lines: Sequence[Line], *, logarithmic: bool) -> Chart:
    """Percentile curves of durations; bounds of SLOs as lines, marked at their percentile."""
    low_s, high_s = _bounds(lines, logarithmic=logarithmic)
    end = max(line.curve.end for line in lines)
    plot = new_figure(
        290,
        x_range=between(0, end + 0.02 * end),
        y_range=between(low_s, high_s),
        y_axis_type="log" if logarithmic else "linear",
    )
    fixed(plot.yaxis[0], (ticks.durations if logarithmic else ticks.linear_durations)(low_s, high_s))
    shares = {at: text for at, text in ticks.SHARES.items() if at <= end}
    fixed(plot.xaxis[0], shares)
    for line in lines:
        _curve(plot, line, high_s)
    above = 0
    for line in lines:
        for slo in line.slos:
            if slo.at_most is not None and slo.at_most >= high_s:
                _bound_above(plot, line, slo, high_s, above)
                above += 1
            else:
                _bound(plot, line, slo, low_s, end)
    _compare(plot, lines, end, low_s)
    return chart({element: plot})


def _bounds(lines: Sequence[Line], *, logarithmic: bool) -> tuple[float, float]:
    low = min(float(line.curve.values[0]) for line in lines)
    high = max(float(line.curve.values[-1]) for line in lines)
    bounds = [slo.at_most for line in lines for slo in line.slos if slo.at_most is not None]
    if logarithmic:
        near = [bound for bound in bounds if low / NEAR <= bound <= high * NEAR]
        low, high = min([low, *near]), max([high, *near])
        margin = max((high / low) ** 0.1, 1.1)
        return low / margin, high * margin
    near = [bound for bound in bounds if abs(bound) <= NEAR * max(abs(low), abs(high))]
    low, high = min([low, *near]), max([high, *near])
    room = (high - low or abs(high) or 1e-3) * 0.1
    return low - room, high + room


def _curve(plot: figure, line: Line, high_s: float) -> None:
    curve, name = line.curve, f"curve:{line.row.sli}"
    source = ColumnDataSource(
        {"tail": np.append(curve.tail, curve.end), "value": np.append(curve.values, curve.values[-1])}
    )
    drawn = plot.step(
        "tail", "value", source=source, mode="after", line_width=2, line_dash=dash(line.place), name=name
    )
    themed(drawn.glyph, line_color=color(line.place))
    lean(drawn)
    if curve.missing:
        at = {"x": [curve.end], "low": [curve.values[-1]], "high": [high_s]}
        rest = plot.segment(
            "x", "low", "x", "high", source=ColumnDataSource(at), line_width=2, line_dash="dotted", name=name
        )
        cross = plot.scatter("x", "low", source=ColumnDataSource(at), marker="x", size=10, line_width=2, name=name)
        for part in (rest, cross):
            themed(part.glyph, line_color=color(line.place))
            lean(part)


def _bound_above(plot: figure, line: Line, slo: SLOResult, high_s: float, place: int) -> None:
    """A bound that is too far from the values to be drawn without making them small."""
    source = ColumnDataSource({"x": [0.0], "y": [high_s], "text": [f"↑ {demand(slo, short=True)}"]})
    text = plot.text(
        "x",
        "y",
        "text",
        source=source,
        x_offset=6,
        y_offset=15 + 15 * place,
        name=f"curve:{line.row.sli}",
        **_LABEL,
    )
    themed(text.glyph, text_color=color(line.place), background_fill_color="--surface")
    lean(text)


def _bound(plot: figure, line: Line, slo: SLOResult, low_s: float, end: float) -> None:
    if slo.at_most is None or slo.at_most <= low_s:
        return
    name = f"curve:{line.row.sli}"
    share = slo.percentile if slo.percentile is not None else 100.0
    at = min(float(-np.log10(max(1 - share / 100, 1e-12))), end)
    source = ColumnDataSource(
        {
            "left": [0.0],
            "right": [end],
            "y": [slo.at_most],
            "at": [at],
            "text": [demand(slo, short=True)],
        }
    )
    ruler = plot.segment("left", "y", "right", "y", source=source, line_width=1.2, line_dash=[2, 3], name=name)
    point = plot.scatter("at", "y", source=source, marker="diamond", size=11, line_width=0, name=name)
    text = plot.text("left", "y", "text", source=source, x_offset=4, y_offset=-4, name=name, **_LABEL)
    themed(ruler.glyph, line_color=color(line.place))
    themed(point.glyph, fill_color=color(line.place))
    themed(text.glyph, text_color="--text", background_fill_color="--surface")
    for part in (ruler, point, text):
        lean(part)


def demand(slo: SLOResult, *, short: bool = False) -> str:
    """``creation.startup p99 <= 5s``; ``short``: without the first parts of the name."""
    what = slo.sli.partition(".")[2] if short else slo.sli
    if slo.percentile is not None:
        what += " max" if slo.percentile == 100 else f" p{slo.percentile:g}"
    bounds = [("≤", slo.at_most), ("≥", slo.at_least)]
    return what + "".join(
        f" {sign} {figures.bound(bound, slo.unit)}" for sign, bound in bounds if bound is not None
    )


def _compare(plot: figure, lines: Sequence[Line], end: float, low_s: float) -> None:
    """One tooltip that tells every curve's value at a share."""
    at = np.unique(np.append(np.linspace(0.0, end, 120), [tick for tick in ticks.SHARES if tick <= end]))
    columns: dict[str, Any] = {
        "x": at,
        "y": np.full(len(at), low_s),
        "share": [_share(float(place)) for place in at],
    }
    for number, line in enumerate(lines):
        columns[f"s{number}"] = [_at(line, float(place)) for place in at]
    ruler = lean(plot.line("x", "y", source=ColumnDataSource(columns), line_alpha=0))
    entries = [(line.row.title, f"@s{number}") for number, line in enumerate(lines)]
    plot.add_tools(
        HoverTool(
            renderers=[ruler],
            mode="vline",
            line_policy="nearest",
            attachment="horizontal",
            tooltips=tooltip("@share", entries, [line.place for line in lines]),
        ),
        CrosshairTool(
            dimensions="height", overlay=themed(Span(dimension="height", line_width=1), line_color="--muted")
        ),
    )


def _share(tail: float) -> str:
    percent = 100 * (1 - 10.0**-tail)
    return f"p{percent:.{max(0, int(np.ceil(tail)) - 1) + 1}f}".rstrip("0").rstrip(".")


def _at(line: Line, tail: float) -> str:
    """The nearest-rank percentile in words; the smallest value for a share of nothing."""
    percent = min(max(100 * (1 - 10.0**-tail), 1e-9), 100.0)
    found = line.sample.percentile(percent)
    return figures.duration(found) if np.isfinite(found) else "never"


def histogram(element: str, line: Line, found: Histogram) -> Chart:
    """Bars, a mark for each value in bars too low to be seen, and lines at the percentiles and bounds."""
    left, right, ends = _ends(found)
    top = float(found.counts.max())
    plot = new_figure(
        168,
        x_range=between(*ends),
        y_range=between(-0.09 * top, top * 1.16),
        x_axis_type="log" if found.logarithmic else "linear",
    )
    if found.logarithmic:
        fixed(plot.xaxis[0], ticks.durations(*ends, room=1.4))
    else:
        fixed(plot.xaxis[0], ticks.linear_durations(*ends, about=4))
    numbers(plot.yaxis[0], top, about=3, whole=True)
    edges = found.edges.tolist()
    source = ColumnDataSource(
        {
            "left": left,
            "right": right,
            "top": found.counts.astype(np.float64),
            "bottom": np.zeros(len(left)),
            "from": [figures.duration(edge) for edge in edges[:-1]],
            "to": [figures.duration(edge) for edge in edges[1:]],
        }
    )
    bars = lean(plot.quad("left", "right", "top", "bottom", source=source, line_width=0.8))
    themed(bars.glyph, fill_color=color(line.place), line_color="--surface")
    if found.rare.size:
        rug = {
            "x": found.rare,
            "low": np.full(found.rare.size, -0.075 * top),
            "high": np.full(found.rare.size, 0.0),
        }
        marks = plot.segment("x", "low", "x", "high", source=ColumnDataSource(rug), line_width=1)
        themed(marks.glyph, line_color=color(line.place))
        lean(marks)
    _percentiles(plot, line, ends, top)
    plot.add_tools(
        HoverTool(
            renderers=[bars],
            mode="vline",
            tooltips=tooltip("@from to @to", [("values", "@top{0,0}")]),
            point_policy="follow_mouse",
        )
    )
    return chart({element: plot})


def _ends(found: Histogram) -> tuple[Values, Values, tuple[float, float]]:
    """Left and right sides of the bars, and the axis' ends: a single value gets a bar that can be seen."""
    left, right = found.edges[:-1].copy(), found.edges[1:].copy()
    low, high = float(left[0]), float(right[-1])
    if len(left) == 1:
        half = abs(low) * 0.02 or 1e-5
        left, right = np.array([low - half]), np.array([low + half])
        return left, right, (low - 10 * half, low + 10 * half)
    if found.logarithmic:
        room = (high / low) ** 0.06
        return left, right, (low / room, high * room)
    margin = (high - low) * 0.06
    return left, right, (low - margin, high + margin)


def _percentiles(plot: figure, line: Line, ends: tuple[float, float], top: float) -> None:
    row = line.row
    named = [("p50", row.p50), ("p90", row.p90), ("p99", row.p99)]
    known = [(name, value) for name, value in named if value is not None and ends[0] <= value <= ends[1]]
    source = ColumnDataSource(
        {
            "x": [value for _, value in known],
            "low": [0.0] * len(known),
            "high": [top * 1.02] * len(known),
            "name": _spaced(known, ends),
        }
    )
    lines = lean(plot.segment("x", "low", "x", "high", source=source, line_width=1, line_dash=[3, 3]))
    text = lean(plot.text("x", "high", "name", source=source, text_align="center", y_offset=-1, **font(10)))
    themed(lines.glyph, line_color="--text")
    themed(text.glyph, text_color="--text")
    bounds = [slo.at_most for slo in line.slos if slo.at_most is not None and ends[0] < slo.at_most < ends[1]]
    for bound in bounds:
        span = Span(location=bound, dimension="height", line_width=2)
        plot.add_layout(themed(span, line_color="--fail"))


def _spaced(known: Sequence[tuple[str, float]], ends: tuple[float, float]) -> list[str]:
    """Names of percentiles; of two that would stand in one another, the first one's."""
    logs = ends[0] > 0 and ends[1] / ends[0] > 5

    def axis(value: float) -> float:
        return float(np.log(value)) if logs else value

    length = axis(ends[1]) - axis(ends[0])
    names: list[str] = []
    last = -np.inf
    for name, value in known:
        free = axis(value) - last > 0.14 * length
        names.append(name if free else "")
        last = axis(value) if free else last
    return names
