"""What waits in the components, as they told it themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from planebench.report.html.panels.panel import Panel, Series, thin
from planebench.results.document import Component
from planebench.results.folder import RunFolder, ScrapeEntry
from planebench.slis.exposition import parse

_FEWEST_SCRAPES: Final = 3
_QUEUES: Final[Sequence[tuple[str, str, str]]] = (
    ("kube-apiserver", "apiserver_current_inflight_requests", "API server: requests in flight"),
    ("etcd", "etcd_server_proposals_pending", "etcd: proposals pending"),
    ("kube-scheduler", "scheduler_pending_pods", "scheduler: pods pending"),
    ("", ".*workqueue_depth", "work items queued"),
)
"""Component (empty: any other), metric family, title."""


def queues(folder: RunFolder, components: Sequence[Component]) -> Panel | None:
    """What waits in the components, as they told at each scrape; None where they were asked too seldom."""
    titles = {component.name: component.title for component in components}
    readings: dict[tuple[str, str], dict[str, float]] = {}
    times: dict[str, float] = {}
    for entry in folder.scrape_index():
        if entry.error:
            continue
        times[entry.label] = min(times.get(entry.label, np.inf), entry.t_ns / 1e9)
        for title, level in _levels(folder, entry, titles):
            line = readings.setdefault((entry.component or entry.process, title), {})
            line[entry.label] = line.get(entry.label, 0.0) + level
    labels = sorted(times, key=lambda label: times[label])
    order = {component.name: place for place, component in enumerate(components)}
    lines = [
        Series(f"{name}: {title}", title, np.array([line.get(label, np.nan) for label in labels]), place)
        for place, ((name, title), line) in enumerate(
            sorted(readings.items(), key=lambda item: order.get(item[0][0], len(order)))
        )
        if any(line.values())
    ]
    if len(labels) < _FEWEST_SCRAPES or not lines:
        return None
    return thin(
        Panel(
            "queues",
            "Queues",
            "waiting",
            "gauges of the components' own metrics at each scrape: what happened between two scrapes is not seen",
            np.array([times[label] for label in labels]),
            tuple(lines),
            marks=True,
        )
    )


def _levels(folder: RunFolder, entry: ScrapeEntry, titles: Mapping[str, str]) -> Iterable[tuple[str, float]]:
    component = entry.component or entry.process
    known = [name for name, _, _ in _QUEUES]
    for name, family, title in _QUEUES:
        if name != component and (name or component in known):
            continue
        found = parse(folder.scrape(entry), [family], protobuf=entry.format == "protobuf")
        levels = [
            value
            for key, series in found.samples.items()
            if re.fullmatch(family, key)
            for value in series.values()
        ]
        if levels:
            yield (title if name else f"{titles.get(component, component)}: {title}"), float(sum(levels))
