"""The timeline: panels with one time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    HoverTool,
    Model,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.plotting import figure

from planebench.report import figures
from planebench.report.html.charts.plot import (
    Chart,
    between,
    chart,
    color,
    dash,
    font,
    lean,
    new_figure,
    numbers,
    stage_color,
    themed,
    tooltip,
)
from planebench.report.html.panels import Panel, Series
from planebench.report.html.timeline import Band, Timeline

MOST_GAPS: Final = 50
_HATCHED: Final[Mapping[str, Any]] = {
    "hatch_pattern": "right_diagonal_line",
    "hatch_scale": 10.0,
    "hatch_weight": 1.0,
    "hatch_alpha": 0.45,
}
"""How faults are marked."""


def timeline(found: Timeline) -> Chart:
    """One part for the phases and one for each panel, with one time axis and one crosshair."""
    roots: dict[str, Model] = {}
    shared = Range1d(
        start=0, end=found.end_s, bounds=(0, found.end_s), name="time", min_interval=found.end_s / 500
    )
    cursor = themed(Span(dimension="height", line_width=1), line_color="--muted")
    roots["chart-phases"] = _phases(found, shared)
    for place, panel in enumerate(found.panels):
        plot = _panel(panel, found, shared, last=place == len(found.panels) - 1)
        plot.add_tools(CrosshairTool(dimensions="height", overlay=cursor))
        roots[f"chart-{panel.id}"] = plot
    return chart(roots)


def _phases(found: Timeline, shared: Range1d) -> figure:
    phases = [band for band in found.bands if band.kind == "phase"]
    faults = [band for band in found.bands if band.kind == "fault"]
    lanes = pack(phases)
    below = max(lanes, default=-1) + 1
    fault_lanes = [below + lane for lane in pack(faults)]
    depth = max([*lanes, *fault_lanes], default=0) + 1
    plot = new_figure(26 * depth + 8, x_range=shared, y_range=between(depth, 0))
    plot.yaxis.visible = plot.xaxis.visible = False
    plot.xgrid.visible = plot.ygrid.visible = False
    long_enough = 0.08 * found.end_s
    short = [
        str(place) if band.end_s - band.start_s >= 0.012 * found.end_s else ""
        for place, band in enumerate(phases, 1)
    ]
    source = ColumnDataSource(
        {
            "left": [band.start_s for band in phases],
            "right": [band.end_s for band in phases],
            "top": [lane + 0.08 for lane in lanes],
            "bottom": [lane + 0.92 for lane in lanes],
            "middle": [lane + 0.5 for lane in lanes],
            "number": short,
            "label": [
                f"{place} {band.name}" if band.end_s - band.start_s >= long_enough else number
                for place, (band, number) in enumerate(zip(phases, short, strict=True), 1)
            ],
            "text": [f"{place} {band.name}" for place, band in enumerate(phases, 1)],
            "took": [figures.duration(band.end_s - band.start_s) for band in phases],
            "ended": ["" if band.completed else ", not completed" for band in phases],
        }
    )
    bars = []
    for stage in dict.fromkeys(band.stage for band in phases):
        mine = [place for place, band in enumerate(phases) if band.stage == stage]
        part = ColumnDataSource({name: [values[place] for place in mine] for name, values in source.data.items()})
        bar = plot.quad("left", "right", "top", "bottom", source=part, line_width=0)
        themed(bar.glyph, fill_color=stage_color(stage))
        bars.append(lean(bar))
    for column, name in (("label", "wide"), ("number", "narrow")):
        text = plot.text(
            "left", "middle", column, source=source, x_offset=5, text_baseline="middle", name=name, **font(12)
        )
        themed(text.glyph, text_color="--on-stage")
        lean(text)
    if faults:
        bars.append(_fault_bars(plot, faults, fault_lanes))
    plot.add_tools(
        HoverTool(
            renderers=bars,
            tooltips=tooltip("@text", [("from", "@left{0,0.0} s"), ("took", "@took@ended")]),
            point_policy="follow_mouse",
        )
    )
    return plot


def _fault_bars(plot: figure, faults: Sequence[Band], lanes: Sequence[int]) -> Any:
    """Faults lie below the phases, hatched: in grey and with any colour vision they are no phases."""
    source = ColumnDataSource(
        {
            "left": [band.start_s for band in faults],
            "right": [band.end_s for band in faults],
            "top": [lane + 0.08 for lane in lanes],
            "bottom": [lane + 0.92 for lane in lanes],
            "text": [f"fault: {band.name}" for band in faults],
            "took": [figures.duration(band.end_s - band.start_s) for band in faults],
            "ended": ["" if band.completed else ", not ended" for band in faults],
        }
    )
    bars = plot.quad(
        "left", "right", "top", "bottom", source=source, name="faults", fill_alpha=0.16, **_HATCHED, line_width=1
    )
    themed(bars.glyph, fill_color="--fail", hatch_color="--fail", line_color="--fail")
    return lean(bars)


def pack(bands: Sequence[Band]) -> list[int]:
    """A lane for each band, so that those of one lane do not overlap."""
    ends: list[float] = []
    lanes = []
    for band in bands:
        lane = next((place for place, end_s in enumerate(ends) if end_s <= band.start_s + 1e-9), len(ends))
        ends[lane:] = [band.end_s, *ends[lane + 1 :]]
        lanes.append(lane)
    return lanes


def _panel(panel: Panel, found: Timeline, shared: Range1d, *, last: bool) -> figure:
    plot = new_figure(
        150 + (16 if last else 0), x_range=shared, y_range=between(-0.025 * _top(panel), _top(panel))
    )
    _seconds_axis(plot, labels=last)
    numbers(plot.yaxis[0], _top(panel), about=4)
    _mark(plot, found.bands)
    columns: dict[str, Any] = {"t": panel.times_s, "zero": np.zeros(len(panel.times_s))}
    for number, series in enumerate(panel.series):
        columns[f"s{number}"] = series.values
    source = ColumnDataSource(columns)
    for number, series in enumerate(panel.series):
        _draw(plot, panel, series, f"s{number}", source)
    ruler = lean(plot.line("t", "zero", source=source, line_alpha=0, line_width=1))
    plot.add_tools(
        HoverTool(
            renderers=[ruler],
            mode="vline",
            line_policy="prev" if panel.steps else "nearest",
            point_policy="snap_to_data",
            attachment="horizontal",
            tooltips=tooltip(
                "@t{0,0.0} s",
                [(series.title, f"@s{number}{{0,0.[00]}}") for number, series in enumerate(panel.series)],
                [series.place for series in panel.series],
            ),
        )
    )
    return plot


def _top(panel: Panel) -> float:
    largest = [float(np.nanmax(series.values)) for series in panel.series if not np.isnan(series.values).all()]
    return max(max(largest, default=1.0) * 1.08, 1e-9)


def _draw(plot: figure, panel: Panel, series: Series, column: str, source: ColumnDataSource) -> None:
    name = f"{panel.id}:{series.name}"
    options: dict[str, Any] = {"source": source, "name": name, "line_width": 1.8, "line_dash": dash(series.place)}
    line = plot.step("t", column, mode="after", **options) if panel.steps else plot.line("t", column, **options)
    themed(line.glyph, line_color=color(series.place))
    lean(line)
    if panel.marks:
        dots = plot.scatter("t", column, source=source, name=name, size=5, line_width=0)
        themed(dots.glyph, fill_color=color(series.place))
        lean(dots)


def _mark(plot: figure, bands: Sequence[Band]) -> None:
    for band in bands:
        if band.kind == "phase":
            box = BoxAnnotation(
                left=band.start_s, right=band.end_s, level="underlay", fill_alpha=0.10, line_alpha=0.0
            )
            plot.add_layout(themed(box, fill_color=stage_color(band.stage)))
        elif band.kind == "fault":
            box = BoxAnnotation(
                left=band.start_s,
                right=band.end_s,
                level="underlay",
                fill_alpha=0.05,
                **{**_HATCHED, "hatch_scale": 16.0, "hatch_alpha": 0.16},  # a long one must not hide the lines
                line_width=1,
                line_dash="dashed",
            )
            plot.add_layout(themed(box, fill_color="--fail", hatch_color="--fail", line_color="--fail"))
    gaps = sorted((band for band in bands if band.kind == "gap"), key=lambda band: band.start_s - band.end_s)
    for band in gaps[:MOST_GAPS]:
        line = Span(location=band.start_s, dimension="height", line_width=1, line_dash="dotted")
        plot.add_layout(themed(line, line_color="--fail"))


def _seconds_axis(plot: figure, *, labels: bool) -> None:
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    if not labels:
        plot.xaxis.major_label_text_font_size = "0px"
        plot.xaxis.major_tick_line_color = None
        plot.xaxis.major_label_standoff = 0
