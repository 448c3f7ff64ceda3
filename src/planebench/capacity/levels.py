"""A level of a search as a scenario of its own."""

from __future__ import annotations

import math

from planebench import scenario as scenarios
from planebench import units
from planebench.capacity.document import Load, Plan
from planebench.capacity.search import show
from planebench.model import UsageError
from planebench.scenario import Constant, Poisson, Scenario, with_nodes


def check(scenario: Scenario, plan: Plan) -> None:
    """Whether a search makes sense.

    Raises:
        UsageError: it does not; names the flag or the field.
    """
    unit = plan.of.unit
    if not 0 < plan.start < plan.end:
        raise UsageError(f"--from {plan.start:g}{unit}: must be more than 0 and less than --to {plan.end:g}{unit}")
    if plan.of.whole and (plan.start != int(plan.start) or plan.end != int(plan.end)):
        raise UsageError(f"--from, --to: {plan.of} are counted in whole numbers")
    if not isinstance(scenario.lifecycle.creation.arrival, Constant | Poisson):
        raise UsageError(
            "lifecycle.creation.arrival: a search takes a steady rate, pattern constant or poisson; "
            f"this scenario has {scenario.lifecycle.creation.arrival.pattern}"
        )
    if not scenario.slos:
        raise UsageError(f"scenario {scenario.name}: it demands nothing, so everything holds; give it slos")
    for level in (plan.start, plan.end):
        at(scenario, plan, level)
    highest = at(scenario, plan, plan.end)
    lowest = at(scenario, plan, plan.start)
    room = min(_room(highest), _room(lowest) if plan.of is Load.NODES else _room(highest))
    count = max(highest.workload.count, lowest.workload.count)
    if count > room:
        raise UsageError(
            f"--to {show(plan.of, plan.end).strip()}: a step has up to {count:,} objects, but the nodes hold "
            f"{room:,} pods; lower it, shorten --step-duration, or raise --nodes"
        )


def at(scenario: Scenario, plan: Plan, level: float) -> Scenario:
    """The scenario as it is run at a level.

    Raises:
        UsageError: the level is beyond what a scenario can have.
    """
    changed = scenario
    count = max(plan.step_objects, 1)
    match plan.of:
        case Load.RATE:
            arrival = scenario.lifecycle.creation.arrival.model_copy(update={"rate": level})
            creation = scenario.lifecycle.creation.model_copy(update={"arrival": arrival})
            lifecycle = scenario.lifecycle.model_copy(update={"creation": creation})
            changed = changed.model_copy(update={"lifecycle": lifecycle})
            count = max(count, math.ceil(level * plan.step_duration_s - 1e-9))
        case Load.OBJECTS:
            count = int(level)
        case Load.NODES:
            try:
                changed = with_nodes(changed, int(level))
            except UsageError as error:
                raise UsageError(f"--from, --to: {str(error).removeprefix('--nodes ')}") from None
    workload = scenario.workload.model_copy(update={"count": count})
    changed = changed.model_copy(update={"workload": workload, "seed": plan.seed})
    # A copy is not checked: a document is.
    return scenarios.parse(scenarios.dump(changed), name=f"{scenario.name} at {show(plan.of, level)}")


def _room(scenario: Scenario) -> int:
    """Pods that all nodes hold."""
    return sum(int(units.parse_quantity(pool.capacity["pods"])) * pool.count for pool in scenario.nodes)
