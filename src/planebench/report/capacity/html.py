"""A capacity search as a page: one file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from bokeh.models.annotations import Span
from bokeh.resources import Resources

from planebench.capacity.document import Capacity, ScalabilityLaw
from planebench.capacity.usl import throughput
from planebench.model import Judgement
from planebench.report import figures
from planebench.report.capacity import words
from planebench.report.capacity.curve import Curve, Point, curve
from planebench.report.html.charts import Chart
from planebench.report.html.charts.plot import between, chart, fixed, new_figure, numbers, themed
from planebench.report.html.template import asset, environment

_BOKEH: Final = Resources(mode="absolute", components=["bokeh"])
_AHEAD: Final = 2.0
"""The law is drawn to so many times the largest concurrency that was measured."""
_HEIGHT: Final = 300
_TICKS_S: Final = tuple(digit * 10.0**power for power in range(-3, 3) for digit in (1, 3))


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
    plot = new_figure(
        _HEIGHT,
        x_range=between(0, most * 1.08),
        y_range=between(min(latencies) / 1.5, max(*latencies, *bounds) * 1.5),
        y_axis_type="log",
    )
    numbers(plot.xaxis[0], most, about=6)
    fixed(plot.yaxis[0], {seconds: figures.bound(seconds, "s") for seconds in _TICKS_S})
    x = [point.goodput_per_s for point in points]
    themed(plot.line(x, [point.p50_s or 0.0 for point in points], line_width=1.5).glyph, line_color="--series-2")
    themed(plot.line(x, [point.p99_s or 0.0 for point in points], line_width=1.5).glyph, line_color="--series-1")
    for point in points:
        dot = plot.scatter([point.goodput_per_s], [point.p99_s or 0.0], size=_size(point), line_width=1.5)
        filled = {"fill_color": "--series-1"} if point.verdict is Judgement.PASS else {"fill_color": "--surface"}
        themed(dot.glyph, line_color="--series-1", **filled)
    if found.bound_s:
        slo = Span(location=found.bound_s, dimension="width", line_dash="dashed", line_width=1)
        plot.add_layout(themed(slo, line_color="--text"))
    return chart({"chart-curve": plot})


def _size(point: Point) -> int:
    return 14 if point.knee else 8


def _law(law: ScalabilityLaw, gamma: float, found: Curve) -> Chart:
    """Measured steps and the fitted law, dashed beyond what was measured."""
    parameters = (gamma, law.sigma.value or 0.0, law.kappa.value or 0.0)
    end = law.measured_up_to
    inside, ahead = np.linspace(min(1.0, end), end, 200), np.linspace(end, end * _AHEAD, 100)
    measured = [point for point in found.points if point.verdict is not Judgement.INCONCLUSIVE]
    most = max(
        *(point.goodput_per_s for point in measured),
        float(throughput(inside, *parameters).max()),
        float(throughput(ahead, *parameters).max()),
    )
    plot = new_figure(_HEIGHT, x_range=between(0, end * _AHEAD), y_range=between(0, most * 1.1))
    numbers(plot.xaxis[0], end * _AHEAD, about=6)
    numbers(plot.yaxis[0], most, about=5)
    for n, dash in ((inside, "solid"), (ahead, "dashed")):
        line = plot.line(n.tolist(), throughput(n, *parameters).tolist(), line_width=1.5, line_dash=dash)
        themed(line.glyph, line_color="--series-2")
    dots = plot.scatter(
        [point.backlog for point in measured], [point.goodput_per_s for point in measured], size=8, line_width=1.5
    )
    themed(dots.glyph, line_color="--series-1", fill_color="--series-1")
    return chart({"chart-law": plot})
