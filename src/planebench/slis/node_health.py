"""Failing nodes: when the control plane notices, acts, and all is well again; net of what is configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl

from planebench import units
from planebench.constraints import pod_of
from planebench.model import FaultRecord, Stage
from planebench.plan import LEASES, NODES, source_of
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, durations, single
from planebench.slis.observations import ADDED, DELETED, DELETING, Observations
from planebench.stats import Values

_STRUCK: Final = ("node-silence", "node-flapping", "slow-heartbeats")
_UNREACHABLE: Final = "node.kubernetes.io/unreachable"
_GRACE_PERIOD_S: Final = 50.0
"""node-monitor-grace-period. Source: kubernetes v1.37.2, pkg/controller/nodelifecycle/config/v1alpha1."""
_TOLERATION_S: Final = 300.0
"""By admission. Source: kubernetes v1.37.2, plugin/pkg/admission/defaulttolerationseconds."""


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``monitoring.node_*`` and what became of the pods there, where nodes have been made to fail."""
    silences = [fault for fault in seen.run.faults if fault.kind in _STRUCK]
    if silences:
        yield from _Silences(seen, silences).indicators()


class _Silences:
    """One row for each node and silence."""

    def __init__(self, seen: Observations, faults: list[FaultRecord]) -> None:
        self._seen = seen
        rows = [(name, fault.start_ns, fault.end_ns) for fault in faults for name in fault.nodes]
        self._silent = np.array(
            [fault.kind == "node-silence" for fault in faults for _ in fault.nodes], dtype=bool
        )
        self._nodes = [name for name, _, _ in rows]
        self._start_s = np.array([start for _, start, _ in rows]) / 1e9
        self._end_s = np.array([end if end >= 0 else np.nan for _, _, end in rows]) / 1e9
        self._until_s = seen.end_s(Stage.CREATION, Stage.MANAGEMENT, Stage.MONITORING)
        self._to_s = np.where(np.isnan(self._end_s), self._until_s, self._end_s)

    def indicators(self) -> Iterator[Indicator]:
        unknown_s = self._during("revision:Unknown")
        last_s = self._last_renewed(unknown_s)
        grace_s = self._grace_s()
        # A silence that was too short to be noticed is no failure to notice it.
        long_enough = self._silent & (self._to_s - last_s > grace_s * 2 + 10)
        noticed = ~np.isnan(unknown_s) | long_enough
        last_s = np.where(noticed, last_s, np.nan)
        yield self._told("node_unknown", last_s, unknown_s, NODES, LEASES)
        yield self._told(
            "node_unknown_net",
            last_s + grace_s,
            unknown_s,
            NODES,
            LEASES,
            notes=(f"{grace_s:g} s (node-monitor-grace-period) subtracted",),
            signed=True,  # the controller may have seen the last renewal before us
        )
        yield self._told("node_noschedule", unknown_s, self._during("noschedule"), NODES, signed=True)
        noexecute_s = self._during("noexecute")
        yield self._told("node_noexecute", unknown_s, noexecute_s, NODES, signed=True)
        yield from self._evictions(noexecute_s)
        back_s = np.where(np.isnan(unknown_s), np.nan, self._end_s)
        yield self._told("node_recovered", back_s, self._after(back_s, "revision:True"), NODES)
        yield single(
            CATALOG["monitoring.node_losses"],
            self._losses(),
            measured_in=Stage.MONITORING,
            of=len(self._nodes),
            watches=(NODES,),
        )

    def _told(
        self,
        name: str,
        start_s: Values,
        end_s: Values,
        *watches: str,
        notes: tuple[str, ...] = (),
        signed: bool = False,
    ) -> Indicator:
        return durations(
            CATALOG[f"monitoring.{name}"],
            start_s,
            end_s,
            until_s=self._until_s,
            measured_in=Stage.MONITORING,
            from_due=False,
            watches=watches,
            notes=notes,
            signed=signed,
        )

    # --- times of nodes ---

    def _during(self, milestone: str) -> Values:
        """The first time in each silence."""
        found = self._after(self._start_s, milestone)
        return np.where(found <= self._to_s, found, np.nan)

    def _after(self, after_s: Values, milestone: str) -> Values:
        times = self._seen.milestones.filter((pl.col("watch") == NODES) & (pl.col("milestone") == milestone))
        by_node = {str(name): np.sort(mine["t_ns"].to_numpy()) / 1e9 for (name,), mine in times.group_by("name")}
        return np.array(
            [_first_from(by_node.get(name), float(t_s)) for name, t_s in zip(self._nodes, after_s, strict=True)]
        )

    def _last_renewed(self, until_s: Values) -> Values:
        """The last event of each node's lease before it was called Unknown, or in its silence; its start where
        there is none."""
        leases = self._seen.objects.filter(pl.col("watch") == LEASES).select("object", "name")
        events = self._seen.events.join(leases, on="object", how="inner")
        by_node = {str(name): np.sort(mine["t_ns"].to_numpy()) / 1e9 for (name,), mine in events.group_by("name")}
        found = []
        for name, start_s, until, to_s in zip(self._nodes, self._start_s, until_s, self._to_s, strict=True):
            times = by_node.get(name, np.empty(0))
            before = times[times <= (to_s if np.isnan(until) else until)]
            found.append(float(before[-1]) if len(before) else float(start_s))
        return np.array(found)

    def _losses(self) -> int:
        """How often a node was called Unknown while it was struck."""
        times = self._seen.milestones.filter(
            (pl.col("watch") == NODES) & (pl.col("milestone") == "revision:Unknown")
        )
        struck = zip(self._nodes, self._start_s, self._to_s, strict=True)
        return sum(
            times.filter(
                (pl.col("name") == node) & pl.col("t_ns").is_between(int(start * 1e9), int(end * 1e9))
            ).height
            for node, start, end in struck
        )

    # --- evictions ---

    def _evictions(self, noexecute_s: Values) -> Iterator[Indicator]:
        seen = self._seen
        starts, ends, replaced, off, removed = [], [], [], [], []
        off_s = self._during("out-of-service")
        for source in seen.scenario.workload.objects:
            made = next((kind for kind in seen.created if kind.kind == source.prefix), None)
            if made is None:
                continue
            waits_s = toleration_s(pod_of(source_of(source, seen.plane))[1])
            if waits_s is None:
                continue
            watch = made.workload.bound.watch
            pods = seen.objects.filter((pl.col("watch") == watch) & pl.col("index").is_in(made.index.implode()))
            bound_s = seen.times_s(pods["object"], made.workload.bound.milestone)
            going_s = seen.times_s(pods["object"], DELETING)
            gone_s = seen.times_s(pods["object"], DELETED)
            successors = _Successors(seen, pods, watch)
            struck = zip(self._nodes, noexecute_s, self._to_s, off_s, strict=True)
            for node, tainted_s, to_s, node_off_s in sorted(struck, key=lambda row: float(row[1])):
                # Those that were due to be evicted before the node was back.
                if np.isnan(tainted_s) or tainted_s + waits_s >= to_s:
                    continue
                there = (pods["node"] == node).to_numpy() & (bound_s < tainted_s) & ~(going_s < tainted_s)
                starts += [tainted_s + waits_s] * int(there.sum())
                ends += going_s[there].tolist()
                replaced += [successors.next_s(index, tainted_s) for index in pods["index"].filter(there)]
                if not np.isnan(node_off_s):
                    off += [node_off_s] * int(there.sum())
                    removed += gone_s[there].tolist()
        if starts:
            yield self._told(
                "eviction_net",
                np.array(starts),
                np.array(ends),
                NODES,
                notes=("tolerationSeconds subtracted",),
                signed=True,  # two watches, two connections
            )
            yield self._told(
                "replacement_net",
                np.array(starts),
                np.array(replaced),
                NODES,
                notes=("tolerationSeconds subtracted",),
                signed=True,
            )
        if off:
            yield self._told("out_of_service", np.array(off), np.array(removed), NODES, signed=True)

    def _grace_s(self) -> float:
        options = self._seen.scenario.components.get("kube-controller-manager")
        text = options.flags.get("node-monitor-grace-period") if options else None
        try:
            return units.parse_duration_s(text) if text else _GRACE_PERIOD_S
        except ValueError:  # Go knows more ways to write it: 1m30s
            return _GRACE_PERIOD_S


class _Successors:
    """Pods that come in place of evicted ones, each taken once."""

    def __init__(self, seen: Observations, pods: pl.DataFrame, watch: str) -> None:
        known = [rule.name for rule in seen.plane.watches[watch].milestones]
        up_s = seen.times_s(pods["object"], "ready" if "ready" in known else known[-1])
        added_s = seen.times_s(pods["object"], ADDED)
        self._of: dict[int, list[tuple[float, float]]] = {}
        for index, added, up in sorted(zip(pods["index"], added_s, up_s, strict=True), key=lambda row: row[1:]):
            self._of.setdefault(index, []).append((float(added), float(up)))

    def next_s(self, index: int, after_s: float) -> float:
        """When the next pod of this number that showed after a time was ready; NaN: there is none."""
        mine = self._of.get(index, [])
        for place, (added_s, _) in enumerate(mine):
            if added_s >= after_s:
                return mine.pop(place)[1]
        return float("nan")


def _first_from(times_s: Any, after_s: float) -> float:
    if times_s is None or np.isnan(after_s):
        return float("nan")
    place = int(np.searchsorted(times_s, after_s, side="left"))
    return float(times_s[place]) if place < len(times_s) else float("nan")


def toleration_s(pod: Any) -> float | None:
    """How long a pod stays on a node that is unreachable; None: for ever."""
    waits: list[float] = []
    for toleration in pod.get("tolerations") or ():
        if toleration.get("key") not in (None, "", _UNREACHABLE) or toleration.get("effect") not in (
            None,
            "",
            "NoExecute",
        ):
            continue
        if toleration.get("operator") != "Exists":
            continue
        if toleration.get("tolerationSeconds") is not None:
            waits.append(float(toleration["tolerationSeconds"]))
        else:
            waits.append(float("inf"))
    shortest = min(waits, default=_TOLERATION_S)
    return None if shortest == float("inf") else shortest
