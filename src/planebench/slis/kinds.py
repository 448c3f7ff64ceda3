"""Indicators that go from a creation due to a milestone, by kind of object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from planebench.model import ADDED, Stage
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, durations, pooled
from planebench.slis.observations import Created, Observations

Goal = tuple[str, str]
"""A watch and a milestone."""


def from_due(seen: Observations, sli: str, goal: Callable[[Created], Goal | None]) -> list[Indicator]:
    """From each creation due to the goal of its kind, by all of its objects: as a whole, and by kind where there
    are several."""
    definition = CATALOG[sli]
    return pooled(
        definition,
        [
            durations(
                definition,
                made.due_s,
                seen.reached_s(made.index, watch, milestone, made.count(watch)),
                until_s=seen.end_s(Stage.CREATION),
                measured_in=Stage.CREATION,
                part=(made.kind,),
                title=f"{made.kind}: {definition.title}",
                watches=(watch,),
            )
            for made, (watch, milestone) in _with_goal(seen, goal)
        ],
    )


def _with_goal(seen: Observations, goal: Callable[[Created], Goal | None]) -> Sequence[tuple[Created, Goal]]:
    """What is to find no node shows all the same, and that is all."""
    goals = ((made, goal(made)) for made in seen.created)
    return [
        (made, found)
        for made, found in goals
        if found is not None and (made.expected or (not made.refused and found == (made.workload.tracked, ADDED)))
    ]
