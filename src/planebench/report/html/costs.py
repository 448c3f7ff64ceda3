"""What the run cost, by whose cost it is: the subject's, the simulator's or the harness'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from planebench.model import Role
from planebench.results.document import Component

WORDS: Final = {
    Role.SUBJECT: "the control plane under test",
    Role.SIMULATOR: "what plays the nodes",
    Role.HARNESS: "planebench itself",
}


@dataclass(frozen=True, slots=True)
class Part:
    """CPU seconds of a component in one stage."""

    stage: str
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """A component's cost; ``parts`` add up to its CPU seconds."""

    component: Component
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class RoleCost:
    """A role's components, and what they cost together."""

    role: Role
    words: str
    costs: tuple[Cost, ...]
    cpu_s: float
    share: float
    """Of all CPU seconds of the run."""


def costs(components: Sequence[Component]) -> tuple[RoleCost, ...]:
    """By role; components that were never sampled are left out. Empty where none was."""
    sampled = [component for component in components if component.cpu_s is not None]
    total_s = sum(component.cpu_s or 0.0 for component in sampled)
    found = []
    for role in Role:
        mine = [component for component in sampled if component.role is role]
        if not mine:
            continue
        cpu_s = sum(component.cpu_s or 0.0 for component in mine)
        found.append(
            RoleCost(
                role,
                WORDS[role],
                tuple(Cost(component, _parts(component)) for component in mine),
                cpu_s,
                cpu_s / total_s if total_s else 0.0,
            )
        )
    return tuple(found)


def _parts(component: Component) -> tuple[Part, ...]:
    return tuple(Part(stage, cpu_s) for stage, cpu_s in component.cpu_by_stage_s.items() if cpu_s > 0)
