"""The report's charts, as documents of Bokeh: data in, JSON for the page out."""

from planebench.report.html.charts.distributions import Line, curves, demand, histogram
from planebench.report.html.charts.placement import nodes_by_pods, placement
from planebench.report.html.charts.plot import PALETTE, Chart, color, dash
from planebench.report.html.charts.timeline import timeline

__all__ = [
    "PALETTE",
    "Chart",
    "Line",
    "color",
    "curves",
    "dash",
    "demand",
    "histogram",
    "nodes_by_pods",
    "placement",
    "timeline",
]
