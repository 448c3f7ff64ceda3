"""A capacity search as a page: one file that needs nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.models.annotations import Span
from bokeh.plotting import figure
from bokeh.resources import Resources

from planebench.capacity.document import Capacity, ScalabilityLaw
from planebench.capacity.usl import throughput
from planebench.model import Judgement
from planebench.report.capacity import words
from planebench.report.capacity.curve import Curve, Point, curve
from planebench.report.html import ticks
from planebench.report.html.charts import Chart
from planebench.report.html.charts.plot import (
    between,
    chart,
    color,
    fixed,
    lean,
    new_figure,
    numbers,
    themed,
    tooltip,
)
from planebench.report.html.legend import Chip
from planebench.report.html.template import asset, environment

_BOKEH: Final = Resources(mode="absolute", components=["bokeh"])
_AHEAD: Final = 2.0
"""The law is drawn to so many times the largest concurrency that was measured."""
_HIGHEST: Final = 2.0
"""An interval that ends above so many times the largest throughput goes beyond the axis."""
_HEIGHT: Final = 300
_LEGEND: Final = (
    Chip("curve:p99", "p99", "--series-1", "solid"),
    Chip("curve:p50", "p50", "--series-2", "solid"),
)


def render(found: Capacity) -> str:
    """The whole page."""
    drawn = curve(found)
    charts = {}
    if (course := _curve(drawn)) is not None:
        charts["curve"] = course
    if found.law and (gamma := found.law.gamma.value) is not None:
        charts["law"] = _law(found.law, gamma, drawn)
    return (
        environment()
        .get_template("capacity.html")
        .render(
            found=found,
            verdict=words.verdict(found),
            limits=list(words.limits(found)),
            law=list(words.law(found.law)) if found.law else [],
            judgement=words.judgement(found),
            headline=words.headline(found),
            chips=_LEGEND,
            interval=words.interval,
            bound=drawn.bound_s,
            drawn=set(charts),
            show=lambda level: words.level(found, level),
            latency=words.latency,
            charts=[{"document": made.document, "roots": made.roots} for made in charts.values()],
            library=[Path(path).read_text(encoding="utf-8") for path in _BOKEH.js_files],
            style=asset("report.css"),
            script=asset("report.js"),
            terms={},
        )
    )


def _curve(found: Curve) -> Chart | None:
    """Latency over throughput; None: there are fewer than two steps to draw."""
    points = [point for point in found.points if point.p50_s and point.p99_s and point.goodput_per_s > 0]
    if len(points) < 2:
        return None
    latencies = [seconds for point in points for seconds in (point.p50_s, point.p99_s) if seconds]
    most = max(point.goodput_per_s for point in points)
    bounds = [found.bound_s] if found.bound_s else []
    low, high = min(latencies) / 1.5, max(*latencies, *bounds) * 1.5
    plot = new_figure(_HEIGHT, x_range=between(0, most * 1.08), y_range=between(low, high), y_axis_type="log")
    numbers(plot.xaxis[0], most, about=6)
    fixed(plot.yaxis[0], {10**place: label for place, label in _ticks(low, high).items()})
    source = ColumnDataSource(
        {
            "x": [point.goodput_per_s for point in points],
            "p50": [point.p50_s for point in points],
            "p99": [point.p99_s for point in points],
            "level": [f"step {point.number}: {point.verdict}" for point in points],
            "p50_told": [words.latency(point.p50_s) for point in points],
            "p99_told": [words.latency(point.p99_s) for point in points],
        }
    )
    for column, place in (("p50", 1), ("p99", 0)):
        line = plot.line("x", column, source=source, name=f"curve:{column}", line_width=1.8)
        themed(line.glyph, line_color=color(place))
        lean(line)
    dots = [_dot(plot, point) for point in points]
    if found.bound_s:
        slo = Span(location=found.bound_s, dimension="width", line_dash="dashed", line_width=1)
        plot.add_layout(themed(slo, line_color="--text"))
    ruler = lean(plot.scatter("x", "p99", source=source, size=16, fill_alpha=0, line_alpha=0))
    told = [("goodput", "@x{0,0.0}/s"), ("p50", "@p50_told"), ("p99", "@p99_told")]
    plot.add_tools(HoverTool(renderers=[ruler, *dots], tooltips=tooltip("@level", told)))
    return chart({"chart-curve": plot})


def _ticks(low_s: float, high_s: float) -> dict[float, str]:
    """Logarithms of ticks within a range, with their labels."""
    return {math.log10(at): label for at, label in ticks.durations(low_s, high_s).items() if low_s <= at <= high_s}


def _dot(plot: figure, point: Point) -> Any:
    """A level's p99: filled where it holds, larger at the knee."""
    source = ColumnDataSource(
        {
            "x": [point.goodput_per_s],
            "p99": [point.p99_s],
            "level": [f"step {point.number}: {point.verdict}{', the knee' if point.knee else ''}"],
            "p50_told": [words.latency(point.p50_s)],
            "p99_told": [words.latency(point.p99_s)],
        }
    )
    dot = plot.scatter("x", "p99", source=source, name="curve:p99", size=14 if point.knee else 8, line_width=1.5)
    filled = "--series-1" if point.verdict is Judgement.PASS else "--surface"
    themed(dot.glyph, line_color="--series-1", fill_color=filled)
    return lean(dot)


def _law(law: ScalabilityLaw, gamma: float, found: Curve) -> Chart:
    """Measured steps and the fitted law, dashed beyond what was measured."""
    parameters = (gamma, law.sigma.value or 0.0, law.kappa.value or 0.0)
    end = law.measured_up_to
    measured = [point for point in found.points if point.verdict is not Judgement.INCONCLUSIVE]
    start = min([point.backlog for point in measured if point.backlog > 0], default=min(1.0, end))
    inside, ahead = np.linspace(start, end, 200), np.linspace(end, end * _AHEAD, 100)
    most = max(
        *(point.goodput_per_s for point in measured),
        float(throughput(inside, *parameters).max()),
        float(throughput(ahead, *parameters).max()),
    )
    shown = [one for one in law.projections if one.concurrency <= end * _AHEAD]
    highest = max([most, *(min(one.per_s.high or most, most * _HIGHEST) for one in shown)])
    plot = new_figure(_HEIGHT, x_range=between(0, end * _AHEAD * 1.03), y_range=between(0, highest * 1.06))
    numbers(plot.xaxis[0], end * _AHEAD, about=6)
    numbers(plot.yaxis[0], most, about=5)
    for n, dash in ((inside, "solid"), (ahead, "dashed")):
        line = plot.line(n.tolist(), throughput(n, *parameters).tolist(), line_width=1.5, line_dash=dash)
        themed(line.glyph, line_color="--series-2")
    dots = plot.scatter(
        [point.backlog for point in measured], [point.goodput_per_s for point in measured], size=8, line_width=1.5
    )
    themed(dots.glyph, line_color="--series-1", fill_color="--series-1")
    for one in shown:
        if (low := one.per_s.low) is not None:
            high = one.per_s.high if one.per_s.high is not None else highest * 2  # no end: beyond the axis
            whisker = plot.segment([one.concurrency], [low], [one.concurrency], [high], line_width=1.8)
            themed(whisker.glyph, line_color="--series-2")
    return chart({"chart-law": plot})
