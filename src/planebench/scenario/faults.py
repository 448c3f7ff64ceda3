"""Faults that a scenario can bring about: what is to fail, when, and for how long."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field

from planebench.scenario.part import Part
from planebench.scenario.values import Name, NodeCount, Seconds, SecondsOrNone

FaultStage = Literal["creation", "management", "monitoring"]


class _Fault(Part):
    """What all faults have in common. ``target`` names what one strikes, ``duration`` is in seconds."""

    kind: str
    """The kind of fault."""
    name: Name | None = None
    """Names it in results; without it its kind and what it strikes do, with a number from the second one on."""
    stage: FaultStage = "creation"
    """The stage that it falls in."""
    at: SecondsOrNone = 0.0
    """When, from the stage's start. Where another fault that was to end before takes longer, it waits for its end
    and keeps its distance, up to 15s."""


class NodeSilence(_Fault):
    """Nodes fall silent: their leases are renewed no more and their pods are left alone, until they come back. The
    stage that it falls in does not end before."""

    kind: Literal["node-silence"]
    """The kind of fault."""
    stage: FaultStage = "monitoring"
    """The stage that it falls in."""
    nodes: NodeCount
    """How many nodes, or which share of all; which ones is drawn by the seed."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long; then they come back."""

    @property
    def target(self) -> str:
        return "nodes"

    def count(self, nodes: int) -> int:
        """How many of so many nodes."""
        wanted = self.nodes if isinstance(self.nodes, int) else math.ceil(self.nodes * nodes - 1e-9)
        return min(wanted, nodes)


class _OfComponent(_Fault):
    component: Name
    """etcd, kube-apiserver, kube-scheduler, kube-controller-manager, kwok, or a process of the plane."""

    @property
    def target(self) -> str:
        return self.component


class Kill(_OfComponent):
    """A component is killed (SIGKILL) and started again."""

    kind: Literal["kill"]
    """The kind of fault."""
    duration: Annotated[SecondsOrNone, Field(alias="for")] = 0.0
    """How long it stays away before it is started again."""


class Pause(_OfComponent):
    """A component is stopped (SIGSTOP): it keeps its connections and does nothing, until it goes on (SIGCONT)."""

    kind: Literal["pause"]
    """The kind of fault."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long; then it goes on."""


class Restart(_OfComponent):
    """A component is told to end (SIGTERM), which it does in order, and is started again. Where it takes longer
    than the 30 s that a kubelet gives it, it is killed."""

    kind: Literal["restart"]
    """The kind of fault."""
    duration: Annotated[SecondsOrNone, Field(alias="for")] = 0.0
    """How long it stays away, from its end on."""


ProcessFault = Kill | Pause | Restart
Fault = NodeSilence | ProcessFault
FAULT_KINDS: tuple[str, ...] = tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(Fault))


def fault_names(faults: Iterable[Fault]) -> list[str]:
    """A name for each, all different: its own, or its kind and target, numbered from the second one on."""
    return list(_numbered(fault.name or f"{fault.kind}-{fault.target}" for fault in faults))


def _numbered(names: Iterable[str]) -> Iterator[str]:
    times: Counter[str] = Counter()
    for name in names:
        times[name] += 1
        yield name if times[name] == 1 else f"{name}-{times[name]}"
