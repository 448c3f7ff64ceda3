"""Management: the way of objects through their phases, and what changes of running objects take."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from planebench.model import ADDED, DELETED, REVISION_PREFIX, Stage
from planebench.planes import Convergence, Seen
from planebench.planes.plane import CHURN
from planebench.slis import drain
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, durations, pooled, responses
from planebench.slis.kinds import Goal, from_due
from planebench.slis.observations import Created, Observations, seconds
from planebench.stats import Values


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``management.*``."""
    yield from from_due(seen, "management.running", lambda made: _goal(seen, made, "running"))
    yield from from_due(seen, "management.ready", lambda made: _goal(seen, made, "ready"))
    changes = seen.scenario.lifecycle.management
    for watch in sorted({watch for made in seen.created for watch in made.workload.watched(changes)}):
        yield from _transitions(seen, watch)
    yield from _changes(seen)
    yield from _churned(seen)
    yield from _controllers(seen)
    yield from drain.indicators(seen)


def _goal(seen: Observations, made: Created, milestone: str) -> Goal | None:
    watch = made.workload.tracked
    known = [rule.name for rule in seen.plane.watches[watch].milestones]
    return (watch, milestone) if milestone in known else None


# --- phases --------------------------------------------------------------------------------------------------


def _transitions(seen: Observations, watch: str) -> Iterator[Indicator]:
    first = seen.firsts(watch, seen.expected)
    if not first.height:
        return

    def reached(milestone: str) -> Values:
        return seen.times_s(first["object"], milestone)

    before, start_s = ADDED, reached(ADDED)
    for rule in seen.plane.startup_path(watch):
        end_s = reached(rule.name)
        yield durations(
            CATALOG["management.transition"],
            start_s,
            end_s,
            until_s=seen.end_s(Stage.CREATION),
            measured_in=Stage.CREATION,
            part=(watch, f"{before}-{rule.name}"),
            title=f"{watch}: {before} to {rule.name}",
            from_due=False,
            watches=(watch,),
            simulated=rule.simulated,
            signed=True,
            notes=("below zero: reached in another order",) if (end_s < start_s).any() else (),
        )
        before, start_s = rule.name, end_s


# --- changes -------------------------------------------------------------------------------------------------


def _changes(seen: Observations) -> Iterator[Indicator]:
    requests = seen.of_stage(Stage.MANAGEMENT)
    names = [name for name in seen.scenario.lifecycle.management if (requests["phase"] == name).any()]
    yield from pooled(
        CATALOG["management.response"],
        [
            responses(
                CATALOG["management.response"],
                requests.filter(pl.col("phase") == name),
                measured_in=Stage.MANAGEMENT,
                part=(name,),
                title=f"{name}: response",
            )
            for name in names
        ],
        together=False,
    )
    for name in names:
        parts = list(_change(seen, name, requests.filter(pl.col("phase") == name)))
        yield from _as_one(name, parts)


def _change(seen: Observations, name: str, requests: pl.DataFrame) -> Iterator[Indicator]:
    """The change's effect, for each kind of object that it changes."""
    ends = [phase.end_ns for phase in seen.run.phases if phase.name == name and phase.stage is Stage.MANAGEMENT]
    for made in seen.created:
        change = made.workload.offered.get(name)
        mine = requests.filter(pl.col("index").is_in(made.index.implode()))
        if name == CHURN:
            mine = mine.filter(_of(made, "create"))
        if change is None or not mine.height:
            continue
        yield durations(
            CATALOG["management.change"],
            seconds(mine["due_ns"]),
            _effect_s(seen, name, made, change.converged, mine["index"], seconds(mine["due_ns"])),
            until_s=max(ends) / 1e9 if ends else seen.end_s(Stage.MANAGEMENT),
            measured_in=Stage.MANAGEMENT,
            part=(name, made.kind),
            title=f"{made.kind}: {name} in effect",
            watches=(change.converged.watch,),
        )


def _of(made: Created, verb: str) -> pl.Expr:
    """Requests of the objects themselves, not of their companions."""
    return (pl.col("verb") == verb) & (pl.col("resource") == made.workload.resource.resource().id)


def _churned(seen: Observations) -> Iterator[Indicator]:
    """How long what was deleted stayed."""
    requests = seen.of_stage(Stage.MANAGEMENT).filter(pl.col("phase") == CHURN)
    parts = []
    for made in seen.created:
        mine = requests.filter(pl.col("index").is_in(made.index.implode())).filter(_of(made, "delete"))
        if mine.height:
            due_s = seconds(mine["due_ns"])
            parts.append(
                durations(
                    CATALOG["management.churned"],
                    due_s,
                    seen.reached_after_s(mine["index"], due_s, made.workload.tracked, DELETED),
                    until_s=seen.end_s(Stage.MANAGEMENT),
                    measured_in=Stage.MANAGEMENT,
                    part=(made.kind,),
                    title=f"{made.kind}: {CATALOG['management.churned'].title}",
                    watches=(made.workload.tracked,),
                )
            )
    yield from pooled(CATALOG["management.churned"], parts)


def _effect_s(
    seen: Observations, name: str, made: Created, converged: Convergence, index: pl.Series, due_s: Values
) -> Values:
    match converged.seen:
        case Seen.REVISION:  # the planner writes the change's name as the new revision
            return seen.reached_after_s(index, due_s, converged.watch, f"{REVISION_PREFIX}{name}")
        case Seen.DELETED:
            return seen.reached_after_s(index, due_s, converged.watch, DELETED)
        case Seen.SUCCESSOR:
            count = made.count(converged.watch) if converged.objects == "all" else converged.objects
            return seen.succeeded_s(index, due_s, converged.watch, converged.milestone, count)


# --- controllers ---------------------------------------------------------------------------------------------


def _controllers(seen: Observations) -> Iterator[Indicator]:
    """What controllers make of an object: its children, and the endpoints of those."""
    until_s = seen.end_s(Stage.CREATION)
    children = [
        durations(
            CATALOG["management.children"],
            made.due_s,
            seen.reached_s(made.index, watch, ADDED, made.count(watch)),
            until_s=until_s,
            measured_in=Stage.CREATION,
            part=(made.kind,),
            title=f"{made.kind}: {CATALOG['management.children'].title}",
            watches=(watch,),
        )
        for made in seen.expected
        for watch in made.children
    ]
    endpoints = []
    for made in seen.expected:
        if made.workload.endpoints is not None:
            pods, shown = made.workload.bound.watch, made.workload.endpoints
            endpoints.append(
                durations(
                    CATALOG["management.endpoints"],
                    seen.reached_s(made.index, pods, "ready", made.count(pods)),
                    seen.reached_s(made.index, shown.watch, shown.milestone),
                    until_s=until_s,
                    measured_in=Stage.CREATION,
                    part=(made.kind,),
                    title=f"{made.kind}: {CATALOG['management.endpoints'].title}",
                    from_due=False,
                    watches=(pods, shown.watch),
                    signed=True,  # two watches, two connections
                )
            )
    yield from pooled(CATALOG["management.children"], children)
    yield from pooled(CATALOG["management.endpoints"], endpoints)


def _as_one(name: str, parts: list[Indicator]) -> Iterator[Indicator]:
    """A change over all kinds under its own name, then by kind where there are several."""
    definition = CATALOG["management.change"]
    for position, found in enumerate(pooled(definition, parts)):
        if position == 0:
            yield found.renamed(definition.part(name), f"{name} in effect")
        else:
            yield found
