"""What every kind of fault can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from planebench.cluster.existing import ExistingCluster
from planebench.cluster.local import LocalCluster
from planebench.cluster.named import NamedCluster
from planebench.kube.client import Client
from planebench.model import EvictionRecord
from planebench.plan import Planner
from planebench.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Struck:
    """What a fault has struck."""

    nodes: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    evictions: tuple[EvictionRecord, ...] = ()
    """Their times are this process's monotonic ones."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is known of a run before anything of it is started."""

    kept: bool = False
    """It runs on a cluster that stays up."""
    elsewhere: bool = False
    """It runs on a cluster that planebench has not started."""


def not_ours(conditions: Conditions) -> str:
    """Why what strikes the cluster's own processes cannot be brought about; empty: it can."""
    if conditions.elsewhere:
        return "planebench has not started the cluster's processes: leave --kubeconfig and --context out"
    return (
        "the processes of a cluster that stays up are not the run's: leave --keep-up out"
        if conditions.kept
        else ""
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where faults are brought about."""

    scenario: Scenario
    planner: Planner
    cluster: LocalCluster | NamedCluster | ExistingCluster
    client: Client


class Fault(Protocol):
    """A fault that is brought about once, and taken back."""

    @staticmethod
    def available(conditions: Conditions) -> str:
        """Why it cannot be brought about in a run; empty: it can."""

    async def prepare(self) -> None:
        """What takes its time and does no harm yet."""

    async def strike(self) -> Struck:
        """Bring it about; it is in effect when this returns. Raises ApiError, or ComponentError."""

    async def undo(self) -> None:
        """Take it back. It can be called again, or after half a strike, and must not leave anything of it."""

    async def recovered(self) -> None:
        """Wait until what it had struck says that it is ready again."""
