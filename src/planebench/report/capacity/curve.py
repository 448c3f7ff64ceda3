"""Throughput against latency: the data of the curve that every form of the report draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planebench.capacity.document import Capacity, Ending, Step
from planebench.model import Judgement


@dataclass(frozen=True, slots=True)
class Point:
    """A step on the curve."""

    number: int
    level: float
    goodput_per_s: float
    p50_s: float | None
    p99_s: float | None
    """None: among those that never came."""
    backlog: float
    verdict: Judgement
    knee: bool
    """The highest level that holds, where a higher one does not."""


@dataclass(frozen=True, slots=True)
class Curve:
    """All steps that were measured, in order of their levels, and the bound on the latency."""

    points: tuple[Point, ...]
    bound_s: float | None
    """The scenario's demand on the 99th percentile of the startup; None: it has none."""


def curve(found: Capacity) -> Curve:
    """The search's curve."""
    knee = found.outcome.capacity if found.outcome and found.outcome.ending is not Ending.RANGE else None
    points = [
        Point(
            number=step.number,
            level=step.level,
            goodput_per_s=step.figures.goodput_per_s,
            p50_s=step.figures.p50_s,
            p99_s=step.figures.p99_s,
            backlog=step.figures.backlog,
            verdict=step.verdict,
            knee=step.level == knee and step.verdict is Judgement.PASS,
        )
        for step in sorted(found.steps, key=lambda step: step.level)
        if step.figures
    ]
    return Curve(tuple(points), _bound_s(found.steps))


def _bound_s(steps: Sequence[Step]) -> float | None:
    for step in steps:
        for slo in step.slos:
            if slo.sli == "creation.startup" and slo.percentile == 99:
                return slo.at_most
    return None
