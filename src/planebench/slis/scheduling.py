"""Scheduling: how soon pods get a node, how many per second, and how they are spread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from planebench.model import Stage
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, durations, pooled, single
from planebench.slis.kinds import from_due
from planebench.slis.observations import ADDED, Observations
from planebench.stats import Sample, Spread, most_within, rate_between, spread


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``scheduling.*``; binds happen while objects are created."""
    if not seen.created:
        return
    yield from from_due(
        seen, "scheduling.latency", lambda made: (made.workload.bound.watch, made.workload.bound.milestone)
    )
    own, binds = [], []
    for made in seen.created:
        bound = made.workload.bound
        bound_s = seen.reached_s(made.index, bound.watch, bound.milestone)
        binds.append(bound_s[~np.isnan(bound_s)])
        own.append(
            durations(
                CATALOG["scheduling.pod"],
                seen.reached_s(made.index, bound.watch, ADDED),
                bound_s,
                until_s=seen.end_s(Stage.CREATION),
                measured_in=Stage.CREATION,
                from_due=False,
                watches=(bound.watch,),
            )
        )
    watches = sorted({made.workload.bound.watch for made in seen.created})
    times_s = np.concatenate(binds)
    yield pooled(CATALOG["scheduling.pod"], own)[0]
    yield single(
        CATALOG["scheduling.throughput"],
        rate_between(times_s, 0.1, 0.9),
        measured_in=Stage.CREATION,
        of=len(times_s),
        watches=watches,
    )
    if len(times_s):
        yield single(
            CATALOG["scheduling.throughput_peak"],
            most_within(times_s, 1.0),
            measured_in=Stage.CREATION,
            of=len(times_s),
            watches=watches,
        )
    yield from _distribution(seen, watches)


def _distribution(seen: Observations, watches: list[str]) -> Iterator[Indicator]:
    counts = pods_per_node(seen)
    if not counts:
        return
    found = spread(list(counts.values()))
    if found is None:
        return
    yield Indicator(
        definition=CATALOG["scheduling.distribution"],
        measured_in=Stage.CREATION,
        sample=Sample.of(list(counts.values())),
        watches=frozenset(watches),
        notes=(_describe(found),),
    )
    for name, value in (("cv", found.cv), ("jain", found.jain)):
        yield single(
            CATALOG[f"scheduling.distribution_{name}"],
            value,
            measured_in=Stage.CREATION,
            of=found.places,
            watches=watches,
            notes=(f"random placement: {found.random_cv:.3f}",) if name == "cv" else (),
        )


def _describe(found: Spread) -> str:
    return (
        f"{found.total:,} pods on {found.places:,} nodes: mean {found.mean:.2f}, sd {found.sd:.2f}, "
        f"from {found.smallest} to {found.largest}"
    )


def pods_per_node(seen: Observations) -> dict[str, int]:
    """How many first pods each node got; nodes that take pods and got none count 0."""
    counts = {
        f"{pool.name}-{number:06d}": 0
        for pool in seen.scenario.nodes
        if not any(taint.effect in ("NoSchedule", "NoExecute") for taint in pool.taints)
        for number in range(pool.count)
    }
    for watch in sorted({made.workload.bound.watch for made in seen.created}):
        pods = seen.objects.filter((pl.col("watch") == watch) & (pl.col("index") >= 0) & (pl.col("node") != ""))
        first = pods.sort("object").unique("index", keep="first", maintain_order=True)
        for node, number in first.group_by("node").len().iter_rows():
            counts[node] = counts.get(node, 0) + number
    return counts
