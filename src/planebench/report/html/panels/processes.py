"""What the components' processes used, as it was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from planebench.report.html.panels.panel import Panel, Series, thin
from planebench.results.document import Component
from planebench.slis.observations import Observations, seconds
from planebench.stats import Values

_MIB: Final = 2**20


def cpu(seen: Observations, components: Sequence[Component]) -> Panel | None:
    """Cores in use, from one sample to the next."""
    edges = _rounds(seen.samples)
    if edges is None:
        return None
    lines = []
    for place, component in enumerate(components):
        mine = seen.samples.filter(pl.col("component") == component.name)
        parts = [cores(part, edges) for part in _by_process(mine)]
        if parts:
            lines.append(Series(component.name, component.title, _sum(parts), place))
    return thin(
        Panel(
            "cpu",
            "CPU",
            "cores",
            f"cores in use by all of a component's processes: growth of their CPU time (user and system) from one "
            f"sample to the next, {_period(edges)} apart",
            edges[:-1],
            tuple(lines),
            steps=True,
        )
    )


def memory(seen: Observations, components: Sequence[Component]) -> Panel | None:
    """Resident memory."""
    times = _rounds(seen.samples)
    if times is None:
        return None
    lines = []
    for place, component in enumerate(components):
        mine = seen.samples.filter(pl.col("component") == component.name)
        parts = [_latest(seconds(part["t_ns"]), part["rss_bytes"] / _MIB, times) for part in _by_process(mine)]
        if parts:
            lines.append(Series(component.name, component.title, _sum(parts), place))
    return thin(
        Panel(
            "memory",
            "Memory",
            "MiB",
            f"resident memory of all of a component's processes (shared pages count in each), sampled "
            f"{_period(times)} apart",
            times,
            tuple(lines),
            steps=True,
        )
    )


def _by_process(samples: pl.DataFrame) -> list[pl.DataFrame]:
    return [part.sort("t_ns") for part in samples.partition_by("process")]


def _rounds(samples: pl.DataFrame) -> Values | None:
    """The times of the sampler's rounds: those of the process that was sampled most often."""
    if not samples.height:
        return None
    parts = _by_process(samples)
    longest = max(parts, key=lambda part: part.height)
    return seconds(longest["t_ns"]) if longest.height > 1 else None


def _period(times_s: Values) -> str:
    return f"{float(np.median(np.diff(times_s))):.3g} s"


def cores(samples: pl.DataFrame, edges_s: Values) -> Values:
    """A process's cores in use between edges; NaN where it was not there.

    CPU time is taken as growing evenly between samples; where a new process of the same name began at zero, that
    one's time counts from there.
    """
    times, used = seconds(samples["t_ns"]), samples["cpu_s"].to_numpy().astype(np.float64)
    grown = np.diff(used)
    total = np.concatenate([[0.0], np.cumsum(np.where(grown < 0, used[1:], grown))])
    found = np.diff(np.interp(edges_s, times, total)) / np.diff(edges_s)
    found[(edges_s[1:] <= times[0]) | (edges_s[:-1] >= times[-1])] = np.nan
    return np.asarray(found, dtype=np.float64)


def _latest(times_s: Values, values: pl.Series, at_s: Values) -> Values:
    """The last value at or before each time, up to a round after the last one; else NaN."""
    half = float(np.median(np.diff(at_s))) / 2
    place = np.searchsorted(times_s, at_s + half, side="right") - 1
    found = values.to_numpy().astype(np.float64)[np.maximum(place, 0)]
    found[(place < 0) | (at_s > times_s[-1] + half)] = np.nan
    return np.asarray(found, dtype=np.float64)


def _sum(parts: Sequence[Values]) -> Values:
    """The sum, of what there is; NaN where there is nothing."""
    stacked = np.stack(parts)
    return np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))
