"""Faults that a scenario can bring about: what is to fail, when, and for how long."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from planebench import units
from planebench.scenario.part import Part, as_tuple
from planebench.scenario.values import Name, NodeCount, Quantity, Seconds, SecondsOrNone

SMALLEST_QUOTA: Final = 16 * 2**20
"""etcd has written several MB before it holds its first object."""
FaultStage = Literal["creation", "management", "monitoring"]


def _a_pair(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) != 2:
        raise ValueError("expected a client and a server, for instance [kube-apiserver, etcd]")
    return names


def _a_rate(rate: str) -> str:
    if units.parse_quantity(rate) < 1000:
        raise ValueError(f"must be at least 1k (1,000 bytes per second), got {rate}")
    return rate


def _a_quota(quota: str) -> str:
    if units.parse_quantity(quota) < SMALLEST_QUOTA:
        raise ValueError(f"must be at least 16Mi, got {quota}")
    return quota


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


class _OfNodes(_Fault):
    stage: FaultStage = "monitoring"
    """The stage that it falls in."""
    nodes: NodeCount = 1.0
    """How many nodes, or which share; which ones is drawn by the seed. Without it all nodes of the zone."""
    zone: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Only nodes of this zone (label topology.kubernetes.io/zone): `zone-0`, ... where pools have `zones`."""

    @property
    def target(self) -> str:
        return "nodes"

    def count(self, nodes: int) -> int:
        """How many of so many nodes."""
        wanted = self.nodes if isinstance(self.nodes, int) else math.ceil(self.nodes * nodes - 1e-9)
        return min(wanted, nodes)

    @model_validator(mode="after")
    def _some_nodes(self) -> Self:
        if self.zone is None and "nodes" not in self.model_fields_set:
            raise ValueError("needs nodes (3, or 10%) or a zone")
        return self


class NodeSilence(_OfNodes):
    """Nodes fall silent: their leases are renewed no more and their pods are left alone, until they come back. The
    stage that it falls in does not end before."""

    kind: Literal["node-silence"]
    """The kind of fault."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long; then they come back."""
    out_of_service: Annotated[Seconds | None, Field(alias="outOfService")] = None
    """After so long each gets the taint node.kubernetes.io/out-of-service, by which an operator says that a node
    is off: its pods are removed, what they ran comes up elsewhere. Without it they go when the node is back."""

    @model_validator(mode="after")
    def _taint_comes_in_time(self) -> Self:
        if self.out_of_service is not None and self.out_of_service >= self.duration:
            raise ValueError("outOfService must come before the nodes are back (for)")
        return self


class NodeFlapping(_OfNodes):
    """Nodes fall silent and come back, again and again."""

    kind: Literal["node-flapping"]
    """The kind of fault."""
    silent: Seconds
    """How long they are silent each time."""
    back: Seconds
    """How long they are back between."""
    times: Annotated[int, Field(ge=2, le=1000)]
    """How many times."""

    @property
    def duration(self) -> float:
        return self.times * (self.silent + self.back) - self.back


class SlowHeartbeats(_OfNodes):
    """Nodes' heartbeats come rarely, as from an overloaded kubelet: a lease and a Ready condition every so often,
    and their pods are left alone."""

    kind: Literal["slow-heartbeats"]
    """The kind of fault."""
    every: Seconds
    """The time from one heartbeat to the next; the first one is due after it."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long; then they come as before."""


MemberOf = Annotated[int, Field(ge=1, le=100)] | Literal["leader", "all"] | None


class _OfComponent(_Fault):
    component: Name
    """etcd, kube-apiserver, kube-scheduler, kube-controller-manager, kwok, or a process of the plane."""
    member: MemberOf = None
    """Which one, where `topology` has several: its number, `leader`, or `all`. Without it the leader, or the first
    one where there is none."""

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


class _OfLink(_Fault):
    between: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), AfterValidator(_a_pair)]
    """A client and a server: `[kube-apiserver, etcd]`, or one of the API servers' clients and kube-apiserver:
    kube-scheduler, kube-controller-manager, kwok, a process of the plane, `load` (planebench's own) or `clients`
    (all of them)."""
    member: Annotated[int, Field(ge=1, le=100)] | Literal["leader"] | None = None
    """Of a client that has several members in `topology`: its number, or `leader`. Without it all of them."""

    @property
    def target(self) -> str:
        return " to ".join(self.between)


class Latency(_OfLink):
    """Everything that a server sends to a client comes later."""

    kind: Literal["latency"]
    """The kind of fault."""
    latency: Seconds
    """By how much."""
    jitter: SecondsOrNone = 0.0
    """At most so much more or less, evenly drawn for each piece of data."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long."""


class Bandwidth(_OfLink):
    """A connection carries so much and no more."""

    kind: Literal["bandwidth"]
    """The kind of fault."""
    rate: Annotated[Quantity, AfterValidator(_a_rate)]
    """How many bytes per second, each way, for each connection: from 1k."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long."""

    @property
    def bytes_per_s(self) -> int:
        return int(units.parse_quantity(self.rate))


class ConnectionLoss(_OfLink):
    """Connections are lost."""

    kind: Literal["connection-loss"]
    """The kind of fault."""
    how: Literal["refused", "silent"] = "refused"
    """`refused`: they are closed, and new ones refused. `silent`: nothing comes through any more, and nobody is
    told, until the fault is over; then they are closed."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long."""


class EtcdFull(_Fault):
    """etcd's database is filled up to its quota: it raises the alarm NOSPACE and refuses writes. Then it is
    repaired as an operator does: deleted, compacted, defragmented, the alarm disarmed."""

    kind: Literal["etcd-full"]
    """The kind of fault."""
    quota: Annotated[Quantity, AfterValidator(_a_quota)] = "128Mi"
    """The quota that etcd runs with all the time (quota-backend-bytes): large enough for the workload, and small
    enough to be filled in seconds."""
    duration: Annotated[Seconds, Field(alias="for")]
    """How long it stays full before it is repaired."""

    @property
    def target(self) -> str:
        return "etcd"

    @property
    def quota_bytes(self) -> int:
        return int(units.parse_quantity(self.quota))


class MoveLeader(_Fault):
    """etcd's leader hands its leadership over to another member."""

    kind: Literal["move-leader"]
    """The kind of fault."""

    @property
    def target(self) -> str:
        return "etcd"

    @property
    def duration(self) -> float:
        return 0.0


class Drain(_OfNodes):
    """Nodes are drained for maintenance, all at once, as `kubectl drain` does: cordoned, and their pods evicted by
    the Eviction API, but those of DaemonSets; what is refused is asked for again every 5 s. Then they are
    uncordoned."""

    kind: Literal["drain"]
    """The kind of fault."""
    stage: FaultStage = "management"
    """The stage that it falls in."""
    patience: Seconds = 120.0
    """How long evictions are asked for; what is still there is told with the reason."""
    duration: Annotated[SecondsOrNone, Field(alias="for")] = 0.0
    """How long the nodes stay cordoned when they are empty."""


NodeFault = NodeSilence | NodeFlapping | SlowHeartbeats | Drain
ProcessFault = Kill | Pause | Restart
LinkFault = Latency | Bandwidth | ConnectionLoss
Fault = NodeFault | ProcessFault | LinkFault | EtcdFull | MoveLeader
FAULT_KINDS: tuple[str, ...] = tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(Fault))


def fault_names(faults: Iterable[Fault]) -> list[str]:
    """A name for each, all different: its own, or its kind and target, numbered from the second one on."""
    return list(_numbered(fault.name or f"{fault.kind}-{fault.target.replace(' to ', '-')}" for fault in faults))


def _numbered(names: Iterable[str]) -> Iterator[str]:
    times: Counter[str] = Counter()
    for name in names:
        times[name] += 1
        yield name if times[name] == 1 else f"{name}-{times[name]}"
