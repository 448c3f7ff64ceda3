"""What waits in the components, as they told it at each scrape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from planebench.report.html.panels.panel import Panel, Series
from planebench.results.document import Component

_FEWEST: Final = 3
"""Of readings: fewer are no course of time."""
QUEUES: Final = (
    "apiserver.queued",
    "apiserver.in_flight",
    "etcd.proposals_pending",
    "scheduler.pending",
    "queue.depth",
)
"""Components' figures that are told over time, and that are queues."""


def queues(components: Sequence[Component]) -> Panel | None:
    """All queues that ever held something; None where they were asked too seldom."""
    found = [
        (place, component, levels)
        for place, component in enumerate(components)
        for levels in component.over_time
        if levels.sli in QUEUES and len(levels.t_s) >= _FEWEST and any(levels.values)
    ]
    if not found:
        return None
    times = np.unique(np.concatenate([levels.t_s for _, _, levels in found]))
    lines = []
    for number, (_, component, levels) in enumerate(found):
        known = [(t_s, value) for t_s, value in zip(levels.t_s, levels.values, strict=True) if value is not None]
        # Components are scraped one after the other: on the way to another's time, a line goes straight.
        at, values = np.array(known, dtype=np.float64).T
        values = np.interp(times, at, values, left=np.nan, right=np.nan)
        lines.append(
            Series(f"{component.name}:{levels.sli}", f"{component.title}: {levels.title}", values, number)
        )
    return Panel(
        "queues",
        "Queues",
        "waiting",
        "gauges of the components' own metrics at each scrape: what happened between two scrapes is not seen",
        times,
        tuple(lines),
        marks=len(times) <= 60,
    )
