"""Failing nodes: when the control plane notices, acts, and all is well again; net of what is configured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from planebench import units
from planebench.constraints import pod_of
from planebench.model import DELETED, DELETING, REVISION_PREFIX, FaultRecord, Stage
from planebench.plan import LEASES, NODES, source_of
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, durations, pooled, single
from planebench.slis.observations import Observations
from planebench.slis.successors import Successors
from planebench.stats import Values

_STRUCK: Final = ("node-silence", "node-flapping", "slow-heartbeats")
_UNKNOWN: Final = f"{REVISION_PREFIX}Unknown"
_TRUE: Final = f"{REVISION_PREFIX}True"
"""What Ready turned to: the revision field of the nodes' watch."""
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
    """One row for each node and fault."""

    def __init__(self, seen: Observations, faults: list[FaultRecord]) -> None:
        self._seen = seen
        rows = [(name, fault) for fault in faults for name in fault.nodes]
        self._nodes = [name for name, _ in rows]
        self._faults = [fault.name or fault.kind for _, fault in rows]
        self._silent = np.array([fault.kind == "node-silence" for _, fault in rows], dtype=bool)
        self._start_s = np.array([fault.start_ns for _, fault in rows]) / 1e9
        self._end_s = np.array([fault.end_ns if fault.end_ns >= 0 else np.nan for _, fault in rows]) / 1e9
        self._until_s = seen.end_s(Stage.CREATION, Stage.MANAGEMENT, Stage.MONITORING)
        self._to_s = np.where(np.isnan(self._end_s), self._until_s, self._end_s)

    def indicators(self) -> Iterator[Indicator]:
        unknown_s = self._during(_UNKNOWN)
        last_s = self._last_renewed(unknown_s)
        grace_s = self._grace_s()
        # What was too short to be noticed is no failure to notice it.
        long_enough = self._silent & (self._to_s - last_s > grace_s * 2 + 10)
        noticed = ~np.isnan(unknown_s) | long_enough
        last_s = np.where(noticed, last_s, np.nan)
        yield from self._told("node_unknown", self._faults, last_s, unknown_s, NODES, LEASES)
        yield from self._told(
            "node_unknown_net",
            self._faults,
            last_s + grace_s,
            unknown_s,
            NODES,
            LEASES,
            notes=(f"{grace_s:g} s (node-monitor-grace-period) subtracted",),
            signed=True,  # the controller may have seen the last renewal before us
        )
        noexecute_s = self._during("noexecute")
        for name, tainted_s in (
            ("node_noschedule", self._during("noschedule")),
            ("node_noexecute", noexecute_s),
        ):
            yield from self._told(name, self._faults, unknown_s, tainted_s, NODES, signed=True)
        yield from self._evictions(noexecute_s)
        # Some are lost and back before the fault is over.
        lost = self._last_word(self._to_s) == _UNKNOWN
        back_s = np.where(lost, self._end_s, np.nan)
        yield from self._told("node_recovered", self._faults, back_s, self._after(back_s, _TRUE), NODES)
        yield from self._losses()

    def _told(
        self,
        name: str,
        faults: Sequence[str],
        start_s: Values,
        end_s: Values,
        *watches: str,
        notes: tuple[str, ...] = (),
        signed: bool = False,
    ) -> Iterator[Indicator]:
        """Over all faults, then by fault where there are several; ``faults`` has each value's."""
        definition = CATALOG[f"monitoring.{name}"]
        of = np.array(faults, dtype=object)
        yield from pooled(
            definition,
            [
                durations(
                    definition,
                    start_s[of == fault],
                    end_s[of == fault],
                    until_s=self._until_s,
                    measured_in=Stage.MONITORING,
                    part=(fault,),
                    title=f"{fault}: {definition.title}",
                    from_due=False,
                    watches=watches,
                    notes=notes,
                    signed=signed,
                )
                for fault in dict.fromkeys(faults)
                if not np.isnan(start_s[of == fault]).all() or len(set(faults)) == 1
            ],
        )

    # --- times of nodes ---

    def _during(self, milestone: str) -> Values:
        """The first time in each silence."""
        found = self._after(self._start_s, milestone)
        return np.where(found <= self._to_s, found, np.nan)

    def _after(self, after_s: Values, milestone: str) -> Values:
        by_node = _times_s(self._of_nodes.filter(pl.col("milestone") == milestone))
        return np.array(
            [_first_from(by_node.get(name), float(t_s)) for name, t_s in zip(self._nodes, after_s, strict=True)]
        )

    def _last_renewed(self, until_s: Values) -> Values:
        """The last event of each node's lease before it was called Unknown, or in its silence; its start where
        there is none."""
        leases = self._seen.objects.filter(pl.col("watch") == LEASES).select("object", "name")
        events = self._seen.events.join(leases, on="object", how="inner")
        by_node = _times_s(events)
        found = []
        for name, start_s, until, to_s in zip(self._nodes, self._start_s, until_s, self._to_s, strict=True):
            times = by_node.get(name, np.empty(0))
            before = times[times <= (to_s if np.isnan(until) else until)]
            found.append(float(before[-1]) if len(before) else float(start_s))
        return np.array(found)

    def _losses(self) -> Iterator[Indicator]:
        """How often nodes were called Unknown while they were struck."""
        rows = zip(self._faults, self._nodes, self._start_s, self._to_s, strict=True)
        counts = Counter(
            {(fault, node): self._said(node, _UNKNOWN, start_s, to_s) for fault, node, start_s, to_s in rows}
        )
        faults = dict.fromkeys(self._faults)
        told = (f"{fault} {sum(n for (of, _), n in counts.items() if of == fault)}" for fault in faults)
        yield single(
            CATALOG["monitoring.node_losses"],
            counts.total(),
            measured_in=Stage.MONITORING,
            of=len(counts),
            watches=(NODES,),
            notes=("by fault: " + ", ".join(told),) if len(faults) > 1 else (),
        )

    def _said(self, node: str, milestone: str, from_s: float, to_s: float) -> int:
        mine = self._of_nodes.filter((pl.col("name") == node) & (pl.col("milestone") == milestone))
        return mine.filter(pl.col("t_ns").is_between(int(from_s * 1e9), int(to_s * 1e9))).height

    @cached_property
    def _of_nodes(self) -> pl.DataFrame:
        return self._seen.milestones.filter(pl.col("watch") == NODES).sort("t_ns")

    def _last_word(self, before_s: Values) -> Any:
        """What each node's Ready condition had said last before a time."""
        words = []
        for node, until_s in zip(self._nodes, before_s, strict=True):
            mine = self._of_nodes.filter(
                (pl.col("name") == node)
                & pl.col("milestone").str.starts_with(REVISION_PREFIX)
                & (pl.col("t_ns") <= int(until_s * 1e9))
            )
            words.append(str(mine["milestone"][-1]) if mine.height else "")
        return np.array(words, dtype=object)

    # --- evictions ---

    def _evictions(self, noexecute_s: Values) -> Iterator[Indicator]:
        seen = self._seen
        due: list[tuple[str, float, float, float]] = []
        off: list[tuple[str, float, float]] = []
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
            successors = Successors(seen, pods, watch)
            struck = zip(self._faults, self._nodes, noexecute_s, self._to_s, off_s, strict=True)
            for fault, node, tainted_s, to_s, node_off_s in sorted(struck, key=lambda row: float(row[2])):
                # Those that were due to be evicted before the node was back.
                if np.isnan(tainted_s) or tainted_s + waits_s >= to_s:
                    continue
                there = (pods["node"] == node).to_numpy() & (bound_s < tainted_s) & ~(going_s < tainted_s)
                for place in np.flatnonzero(there):
                    next_s = successors.next_s(pods["index"][int(place)], tainted_s)
                    due.append((fault, tainted_s + waits_s, going_s[place], next_s))
                    if not np.isnan(node_off_s):
                        off.append((fault, node_off_s, gone_s[place]))
        if due:
            faults = [fault for fault, *_ in due]
            start_s, evicted_s, replaced_s = (np.array([row[place] for row in due]) for place in (1, 2, 3))
            for name, end_s in (("eviction_net", evicted_s), ("replacement_net", replaced_s)):
                yield from self._told(
                    name,
                    faults,
                    start_s,
                    end_s,
                    NODES,
                    notes=("tolerationSeconds subtracted",),
                    signed=True,  # two watches, two connections
                )
        if off:
            faults = [fault for fault, *_ in off]
            start_s, end_s = (np.array([row[place] for row in off]) for place in (1, 2))
            yield from self._told("out_of_service", faults, start_s, end_s, NODES, signed=True)

    def _grace_s(self) -> float:
        options = self._seen.scenario.components.get("kube-controller-manager")
        text = options.flags.get("node-monitor-grace-period") if options else None
        try:
            return units.parse_duration_s(text) if text else _GRACE_PERIOD_S
        except ValueError:  # Go knows more ways to write it: 1m30s
            return _GRACE_PERIOD_S


def _times_s(rows: pl.DataFrame) -> dict[str, Values]:
    """Name -> the times of its rows, in order."""
    return {str(name): np.sort(mine["t_ns"].to_numpy()) / 1e9 for (name,), mine in rows.group_by("name")}


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
