"""Capacity searches made up for tests: what each level does is told by a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from planebench import scenario as scenarios
from planebench.capacity import CapacityFolder, Load, Plan, Step
from planebench.capacity.document import ComponentLimit, EndedBy, StepFigures, Usage, Waiting
from planebench.model import Judgement, Role
from planebench.results.document import SLOResult

Judge = Callable[[int, float], Step]


def plan(**changes: object) -> Plan:
    return Plan.model_validate(
        {
            "of": Load.RATE,
            "start": 20.0,
            "end": 500.0,
            "attempts": 1,
            "step_objects": 400,
            "step_duration_s": 10.0,
            "settle_s": 3.0,
            "fresh": False,
            "seed": 1,
            **changes,
        }
    )


def step(
    number: int,
    level: float,
    verdict: Judgement,
    *,
    served: float = 100.0,
    ended_by: EndedBy = "",
    reason: str = "",
) -> Step:
    """A step of a control plane that serves so many objects per second at most."""
    goodput = min(level, served)
    growth = level - goodput
    stay_s = 0.02 + 0.1 * (goodput / served) ** 8 + growth / 20
    slo = SLOResult(
        sli="creation.startup",
        percentile=99,
        at_most=1.0,
        at_least=None,
        unit="s",
        value=stay_s * 2,
        n=400,
        verdict=Judgement.PASS if stay_s <= 0.5 else Judgement.FAIL,
        reason="",
    )
    figures = StepFigures(
        objects=max(400, round(level * 10)),
        warm_up_objects=20,
        warm_up_ended=True,
        window_s=9.5,
        offered_per_s=level,
        goodput_per_s=goodput,
        never_came=0,
        errors=0.0,
        backlog=goodput * stay_s,
        backlog_growth_per_s=growth,
        backlog_growth_low=growth - 0.2,
        backlog_growth_high=growth + 0.2,
        stay_s=stay_s,
        little=1.001,
        p50_s=stay_s,
        p99_s=stay_s * 2,
        response_p99_s=0.02,
        waiting=(
            Waiting(
                name="binding",
                title="a node",
                component="kube-scheduler",
                role=Role.SUBJECT,
                mean=goodput * stay_s,
                growth_per_s=growth,
                grows=growth > 0,
            ),
        ),
        cores=2,
        busy_cores=1.25,
        usage=(Usage(component="kube-apiserver", role=Role.SUBJECT, cores=0.8),),
    )
    limit = ComponentLimit(
        component="kube-scheduler",
        role=Role.SUBJECT,
        kind="client limiter",
        reason="its requests wait 53 ms on average for its own client limit (900 requests, 100/s)",
    )
    return Step(
        number=number,
        level=level,
        verdict=verdict,
        reason=reason or ("" if verdict is Judgement.PASS else "goodput 90.0%"),
        ended_by=ended_by,
        figures=figures,
        slos=(slo,),
        limits=() if verdict is Judgement.PASS else (limit,),
    )


def threshold(served: float = 100.0) -> Judge:
    """Holds up to what is served."""
    return lambda number, level: step(
        number, level, Judgement.PASS if level <= served else Judgement.FAIL, served=served
    )


def searched(path: Path, judge: Judge, *, steps: int = 1000, **changes: object) -> CapacityFolder:
    """A folder whose search has gone on for so many steps, or to its end."""
    folder = CapacityFolder.create(path, scenarios.load("capacity-pods"), plan(**changes))
    while steps and (level := folder.next_level()) is not None:
        folder.start().mkdir(parents=True)
        folder.end(judge(len(folder.capacity.steps) + 1, level), {"machine": {"cores": 2}})
        steps -= 1
    return folder
