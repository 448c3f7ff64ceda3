"""Legends: the names, colours and dashes of a chart's lines."""

from __future__ import annotations

from dataclasses import dataclass

from planebench.report.html import charts
from planebench.report.html.panels import Panel


@dataclass(frozen=True, slots=True)
class Chip:
    """A line of a chart's legend."""

    name: str
    """Of the lines that it shows and hides."""
    title: str
    color: str
    dash: str
    note: str = ""


def of_panel(panel: Panel) -> list[Chip]:
    """A panel of the timeline."""
    return [
        Chip(f"{panel.id}:{series.name}", series.title, charts.color(series.place), charts.dash(series.place))
        for series in panel.series
    ]


def of_line(line: charts.Line) -> Chip:
    """A percentile curve; tells what it leaves out."""
    row = line.row
    note = f"{row.missing:,} never came" if row.missing else ""
    if row.missing and row.errors is not None:
        note = f"{row.missing:,} failed"
    return Chip(f"curve:{row.sli}", row.title, charts.color(line.place), charts.dash(line.place), note)
