"""Nodes and their pods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool

from planebench.report.html.charts.plot import Chart, between, chart, lean, new_figure, numbers, themed, tooltip
from planebench.report.html.placement import Placement


def placement(element: str, found: Placement, palette: Sequence[str]) -> Chart:
    """A map of nodes; ``palette`` goes from the fewest to the most pods."""
    low, high = min(found.pods), max(found.pods)
    place = np.arange(len(found.nodes))
    shades = [(pods - low) * len(palette) // (high - low + 1) for pods in found.pods]
    source = ColumnDataSource(
        {
            "x": place % found.columns + 0.5,
            "y": place // found.columns + 0.5,
            "node": list(found.nodes),
            "pods": list(found.pods),
            "color": [palette[shade] for shade in shades],
        }
    )
    plot = new_figure(
        int(np.clip(found.rows * 22, 60, 340)) + 10,
        x_range=between(0, found.columns),
        y_range=between(found.rows, 0),
    )
    plot.axis.visible = False
    plot.grid.visible = False
    plot.min_border_left = plot.min_border_right = 2
    gap = 0.1 if found.columns <= 60 else 0.02
    cells = lean(plot.rect("x", "y", 1 - gap, 1 - gap, source=source, fill_color="color", line_color=None))
    plot.add_tools(
        HoverTool(renderers=[cells], tooltips=tooltip("@node", [("pods", "@pods{0,0}")]), attachment="vertical")
    )
    return chart({element: plot})


def nodes_by_pods(element: str, found: Placement) -> Chart:
    """How many nodes have how many pods."""
    counts = found.nodes_by_pods
    plot = new_figure(
        150,
        x_range=between(min(counts) - 0.8, max(counts) + 0.8),
        y_range=between(0, max(counts.values()) * 1.1),
    )
    numbers(plot.xaxis[0], max(counts), about=6, whole=True)
    numbers(plot.yaxis[0], max(counts.values()), about=3, whole=True)
    source = ColumnDataSource({"pods": list(counts), "nodes": list(counts.values())})
    bars = lean(plot.vbar("pods", 0.8, "nodes", source=source, line_width=0))
    themed(bars.glyph, fill_color="--series-1")
    plot.add_tools(
        HoverTool(renderers=[bars], mode="vline", tooltips=tooltip("@pods{0,0} pods", [("nodes", "@nodes{0,0}")]))
    )
    return chart({element: plot})
