"""Drained nodes: what evictions take, until the pods are gone and others are there in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from planebench.model import DELETED, EvictionRecord, Stage
from planebench.results.document import StuckCount
from planebench.results.stuck import Stuck, grouped
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, durations, single
from planebench.slis.observations import NEVER, Observations
from planebench.slis.successors import Successors

_KIND: Final = "drain"
_NUMBERED: Final = re.compile(r"[a-z0-9.-]+-\d{6}[a-z0-9-]*")
"""Names of the workload's objects, and those that begin with one."""


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``management.drained`` and what evictions took, where nodes were drained."""
    faults = [fault for fault in seen.run.faults if fault.kind == _KIND]
    if not faults:
        return
    asked = sorted(
        ((number, one) for number, fault in enumerate(faults) for one in fault.evictions),
        key=lambda item: item[1].asked_ns,
    )
    evictions = [one for _, one in asked]
    watches = sorted({made.workload.bound.watch for made in seen.created})
    pods = seen.objects.filter(pl.col("watch").is_in(watches))
    by_name = {str(row["name"]): row for row in pods.iter_rows(named=True)}
    gone = dict(zip(pods["object"], seen.times_s(pods["object"], DELETED), strict=True))
    successors = {watch: Successors(seen, pods.filter(pl.col("watch") == watch), watch) for watch in watches}
    asked_s, granted_s, gone_s, replaced_s = [], [], [], []
    left_s: dict[tuple[int, str], list[float]] = {}
    for number, one in asked:
        pod = by_name.get(one.name)
        start_s = one.asked_ns / 1e9
        asked_s.append(start_s)
        granted_s.append(one.granted_ns / 1e9 if one.granted_ns >= 0 else NEVER)
        gone_s.append(gone[pod["object"]] if pod else NEVER)
        left_s.setdefault((number, one.node), []).append(gone_s[-1])
        replaced_s.append(successors[pod["watch"]].next_s(pod["index"], start_s) if pod else NEVER)
    until_s = seen.end_s(Stage.CREATION, Stage.MANAGEMENT, Stage.MONITORING)
    for name, end_s in (("eviction", granted_s), ("evicted", gone_s), ("replaced", replaced_s)):
        yield durations(
            CATALOG[f"management.{name}"],
            np.array(asked_s),
            np.array(end_s),
            until_s=until_s,
            measured_in=Stage.MANAGEMENT,
            from_due=False,
            watches=() if name == "eviction" else watches,
            signed=name != "eviction",
        )
    rows = [
        (fault.start_ns / 1e9, left_s.get((number, node), []))
        for number, fault in enumerate(faults)
        for node in fault.nodes
    ]
    yield durations(
        CATALOG["management.drained"],
        np.array([start_s for start_s, _ in rows]),
        # NaN, a pod that stayed, is the latest of all.
        np.array([np.max(mine, initial=start_s) for start_s, mine in rows]),
        until_s=until_s,
        measured_in=Stage.MANAGEMENT,
        from_due=False,
        watches=watches,
    )
    refusals = sum(eviction.refusals for eviction in evictions)
    yield single(
        CATALOG["management.eviction_refusals"],
        refusals,
        measured_in=Stage.MANAGEMENT,
        of=len(evictions),
        notes=tuple(_reasons(evictions)),
    )


def _reasons(evictions: list[EvictionRecord]) -> Iterator[str]:
    said = sorted({_told_alike(one) for one in evictions if one.reason})
    yield from said[:3]


def _told_alike(eviction: EvictionRecord) -> str:
    """What was said, without the names of the workload's objects."""
    return _NUMBERED.sub("<name>", eviction.reason)


def stuck(seen: Observations) -> tuple[StuckCount, ...]:
    """Pods that were asked to leave and never did, with what was said."""
    return grouped(
        [
            (
                fault.stage or Stage.MANAGEMENT,
                [
                    Stuck("pods", one.namespace, one.name, "not evicted", _told_alike(one))
                    for one in fault.evictions
                    if one.granted_ns < 0 and one.reason
                ],
            )
            for fault in seen.run.faults
            if fault.kind == _KIND
        ]
    )
