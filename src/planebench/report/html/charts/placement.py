"""Nodes and their pods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool

from planebench.report.html.charts.plot import Chart, between, chart, lean, new_figure, numbers, themed, tooltip
from planebench.report.html.placement import Placement

_TOLD: Final = (
    ("pool, zone", "@where"),
    ("pods", "@pods{0,0} of @room{0,0}"),
    ("CPU asked for", "@cpu"),
    ("memory asked for", "@memory"),
)


def _part_of(amount: float | None, whole: float) -> str:
    return "not known" if amount is None or not whole else f"{amount / whole:.0%}"


def placement(element: str, found: Placement, palette: Sequence[str]) -> Chart:
    """A map of nodes; ``palette`` goes from the fewest to the most pods."""
    low, high = found.fewest, found.most
    place = np.arange(len(found.nodes))
    shades = [(max(node.pods, low) - low) * len(palette) // (high - low + 1) for node in found.nodes]
    source = ColumnDataSource(
        {
            "x": place % found.columns + 0.5,
            "y": place // found.columns + 0.5,
            "node": [node.node for node in found.nodes],
            "pods": [node.pods for node in found.nodes],
            "room": [node.pods_allocatable for node in found.nodes],
            "cpu": [_part_of(node.cpu, node.cpu_allocatable) for node in found.nodes],
            "memory": [_part_of(node.memory_bytes, node.memory_allocatable_bytes) for node in found.nodes],
            "where": [" ".join(part for part in (node.pool, node.zone) if part) for node in found.nodes],
            "color": [
                palette[shade] if node.eligible or node.pods else "transparent"
                for node, shade in zip(found.nodes, shades, strict=True)
            ],
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
    cells = lean(plot.rect("x", "y", 1 - gap, 1 - gap, source=source, fill_color="color", line_width=1))
    themed(cells.glyph, line_color="--line")
    plot.add_tools(HoverTool(renderers=[cells], tooltips=tooltip("@node", _TOLD), attachment="vertical"))
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
