"""Scheduling: how soon pods get a node, how many per second, and how they are spread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planebench.constraints import pod_of
from planebench.model import ADDED, DELETED, DELETING, Stage
from planebench.plan import source_of
from planebench.results.document import Distribution
from planebench.slis.catalog import CATALOG
from planebench.slis.distribution import Placement
from planebench.slis.indicator import Indicator, durations, pooled, single
from planebench.slis.kinds import Goal, from_due
from planebench.slis.observations import Created, Observations, earliest
from planebench.stats import Sample, Spread, most_within, rate_between, spread


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``scheduling.*``; binds happen while objects are created."""
    if not seen.created:
        return
    yield from from_due(seen, "scheduling.latency", lambda made: _bound(seen, made))
    pods = [made for made in seen.expected if _has_nodes(seen, made)]
    if not pods:
        yield from _refusals(seen)
        return
    own, binds = [], []
    for watch, milestone in sorted({(made.workload.bound.watch, made.workload.bound.milestone) for made in pods}):
        first = seen.firsts(watch, [made for made in pods if made.workload.bound.watch == watch])["object"]
        bound_s = seen.times_s(first, milestone)
        binds.append(bound_s[~np.isnan(bound_s)])
        own.append(
            durations(
                CATALOG["scheduling.pod"],
                seen.times_s(first, ADDED),
                bound_s,
                until_s=seen.end_s(Stage.CREATION),
                measured_in=Stage.CREATION,
                from_due=False,
                watches=(watch,),
            )
        )
    watches = sorted({made.workload.bound.watch for made in pods})
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
    yield from _refusals(seen)
    yield from _preemptions(seen)
    yield from _distribution(seen, watches)


def _bound(seen: Observations, made: Created) -> Goal | None:
    return (made.workload.bound.watch, made.workload.bound.milestone) if _has_nodes(seen, made) else None


def _has_nodes(seen: Observations, made: Created) -> bool:
    """Whether a kind comes onto nodes at all."""
    return bool(seen.plane.watches[made.workload.bound.watch].node_field)


def _refusals(seen: Observations) -> Iterator[Indicator]:
    """Of objects that are to find no node."""
    parts, placed = [], 0
    for made in seen.created:
        told = made.workload.unschedulable
        if made.expected or made.refused or told is None:
            continue
        parts.append(
            durations(
                CATALOG["scheduling.refused"],
                made.due_s,
                seen.reached_s(made.index, told.watch, told.milestone, made.count(told.watch)),
                until_s=seen.end_s(Stage.CREATION),
                measured_in=Stage.CREATION,
                part=(made.kind,),
                title=f"{made.kind}: {CATALOG['scheduling.refused'].title}",
                watches=(told.watch,),
            )
        )
        bound = made.workload.bound
        objects = seen.firsts(bound.watch, [made])["object"]
        # The cleanup makes room.
        until_s = seen.end_s(Stage.CREATION, Stage.MANAGEMENT, Stage.MONITORING)
        placed += int((seen.times_s(objects, bound.milestone) <= until_s).sum())
    if parts:
        yield from pooled(CATALOG["scheduling.refused"], parts)
        yield single(CATALOG["scheduling.unexpected"], placed, measured_in=Stage.CREATION, of=len(parts))


def _preemptions(seen: Observations) -> Iterator[Indicator]:
    """Told where the scenario has pods of several priorities."""
    bare = [made for made in seen.created if made.workload.tracked == made.workload.bound.watch]
    priorities = {
        (pod_of(source_of(kind, seen.plane))[1]).get("priorityClassName")
        for kind in seen.scenario.workload.objects
    }
    if len(priorities) < 2 or not bare:
        return
    gone = 0
    for watch in sorted({made.workload.tracked for made in bare}):
        objects = seen.firsts(watch, [made for made in bare if made.workload.tracked == watch])["object"]
        going_s = earliest([seen.times_s(objects, DELETING), seen.times_s(objects, DELETED)])
        gone += int((going_s <= seen.end_s(Stage.CREATION)).sum())
    yield single(CATALOG["scheduling.preempted"], gone, measured_in=Stage.CREATION, of=len(bare))


def _distribution(seen: Observations, watches: list[str]) -> Iterator[Indicator]:
    placement = Placement(seen)
    counts = placement.counts()
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
    whole = placement.distribution()
    if whole is not None:
        yield from _further(whole, watches)


def _further(whole: Distribution, watches: list[str]) -> Iterator[Indicator]:
    """What the distribution section tells, as indicators that can be demanded."""
    even = {found.of: found for found in whole.evenness}
    values: list[tuple[str, float | None, str]] = [
        ("distribution_gini", even["pods"].gini, f"random placement: {even['pods'].random_gini:.3f}"),
        *(
            (f"{resource}_cv", even[resource].cv, f"random placement: {even[resource].random_cv:.3f}")
            for resource in ("cpu", "memory")
            if resource in even
        ),
        ("zone_skew", whole.zone_skew, ""),
        (
            "packing",
            whole.nodes_used / whole.nodes_lower_bound if whole.nodes_lower_bound else None,
            f"{whole.nodes_used:,} nodes used, lower bound {whole.nodes_lower_bound or 0:,}",
        ),
        ("stranded_cpu", whole.stranded_cpu, ""),
        ("stranded_memory", whole.stranded_memory, ""),
        ("violations", sum(found.pods for found in whole.violations), _first(whole)),
    ]
    for name, value, note in values:
        if value is not None:
            yield single(
                CATALOG[f"scheduling.{name}"],
                value,
                measured_in=Stage.CREATION,
                of=whole.nodes,
                watches=watches,
                notes=(note,) if note else (),
            )


def _first(whole: Distribution) -> str:
    return "; ".join(
        f"{item.kind} {item.constraint} at {item.where}: {item.pods:,}" for item in whole.violations[:3]
    )


def _describe(found: Spread) -> str:
    return (
        f"{found.total:,} pods on {found.places:,} nodes: mean {found.mean:.2f}, sd {found.sd:.2f}, "
        f"from {found.smallest} to {found.largest}"
    )


def pods_per_node(seen: Observations) -> dict[str, int]:
    """How many pods each node had when creation ended; nodes that take pods and had none count 0."""
    return Placement(seen).counts()
