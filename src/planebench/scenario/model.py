"""The scenario document: what is evaluated, under which load, and what is demanded of it.

Every field's description is part of the reference (docs/scenarios.md) and of the JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from planebench import units
from planebench.constraints import ZONE
from planebench.model import UsageError
from planebench.scenario.faults import Fault
from planebench.scenario.part import Part, as_tuple, at_most
from planebench.scenario.values import (
    FlagValue,
    Name,
    PerSecond,
    PerSecondOrNone,
    Quantity,
    Seconds,
    SecondsOrNone,
    Share,
    SLOBound,
    Version,
)

MAX_NODES = 5_000
MAX_OBJECTS = 150_000
"""Both are the largest cluster that Kubernetes supports.
Source: https://kubernetes.io/docs/setup/best-practices/cluster-large/"""
MAX_NAMESPACES = 10_000
"""Source: kubernetes/community, sig-scalability/configs-and-limits/thresholds.md."""

_SHARE_TOLERANCE = 1e-6
_LABEL_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_LABEL_NAME}", re.ASCII)
_LABEL_VALUE = re.compile(rf"({_LABEL_NAME})?", re.ASCII)


# --- nodes ---------------------------------------------------------------------------------------------------


class Taint(Part):
    """A taint of every node of a pool."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """The taint's key."""
    value: Annotated[str, Field(max_length=63)] = ""
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"
    """What it does to pods that do not tolerate it."""


_CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "110"}


class NodePool(Part):
    """Simulated nodes that are alike."""

    name: Name = "node"
    """Names the nodes: `NAME-000000`, `NAME-000001`, ..."""
    count: Annotated[
        int, Field(ge=1, le=MAX_NODES), at_most(MAX_NODES, "the most that Kubernetes supports in a cluster")
    ]
    """How many nodes."""
    capacity: Mapping[str, Quantity] = Field(_CAPACITY)
    """What each node offers, by resource name: cpu, memory and pods at least. All of it is allocatable."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Labels of every node, beside those of the plane."""
    taints: Annotated[tuple[Taint, ...], BeforeValidator(as_tuple)] = ()
    """Taints of every node."""
    zones: Annotated[int, Field(ge=0, le=100)] = 0
    """Over how many zones the nodes are spread (label topology.kubernetes.io/zone); 0: none."""

    def node(self, number: int) -> str:
        """The name of its node of this number."""
        return f"{self.name}-{number:06d}"

    def zone(self, number: int) -> str:
        """The zone of its node of this number; empty: it has none."""
        spread = f"zone-{number % self.zones}" if self.zones else ""
        return self.labels.get(ZONE, spread)

    @field_validator("capacity")
    @classmethod
    def _can_hold_an_object(cls, capacity: Mapping[str, str]) -> Mapping[str, str]:
        for resource in ("cpu", "memory", "pods"):
            if resource not in capacity:
                raise ValueError(f"needs {resource}, for instance {resource}: {_CAPACITY[resource]}")
            if units.parse_quantity(capacity[resource]) <= 0:
                raise ValueError(f"{resource} must be more than 0, or the node can hold no pod at all")
        if units.parse_quantity(capacity["pods"]) % 1:
            raise ValueError("pods must be a whole number")
        return capacity

    @field_validator("labels")
    @classmethod
    def _labels_are_valid(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        for key, value in labels.items():
            if not _LABEL_KEY.fullmatch(key) or len(key) > 317:
                raise ValueError(f"{key!r} is no label key")
            if not _LABEL_VALUE.fullmatch(value):
                raise ValueError(f"{key}: {value!r} is no label value (letters, digits, - _ . and at most 63)")
        return labels


# --- workload ------------------------------------------------------------------------------------------------


class ObjectKind(Part):
    """A part of the workload: objects that are alike."""

    template: Name
    """A workload of the plane: core has `pod`, `deployment`, `web`, `job`, `daemonset` and `namespace`;
    `planebench plane list` tells those of others."""
    share: Share = 1.0
    """Its share of the workload; all shares add up to 100%."""
    name: Name | None = None
    """Names the objects: `NAME-000000`, ...; without it the template's name is taken."""
    manifest: Mapping[str, Any] | None = None
    """An object of one's own instead of the template's, of the same kind. `__NAME__`, `__NAMESPACE__` and
    `__INDEX__` in it stand for each object's name, namespace and number; its metadata's name, namespace and
    planebench's labels are set anyway."""
    file: str | None = None
    """A YAML or JSON file with such an object, relative to the scenario's folder."""
    patch: Mapping[str, Any] | None = None
    """What differs from that object, as a JSON merge patch (RFC 7396): lists are replaced as a whole."""
    expect: Literal["up", "unschedulable", "refused"] = "up"
    """What is to become of the objects. For `unschedulable` the run waits until the scheduler has found no node.
    `refused`: the API server is to refuse them (a quota, an admission policy), or, of Deployments, their pods.
    Neither counts as lost."""

    @property
    def prefix(self) -> str:
        return self.name or self.template

    @model_validator(mode="after")
    def _one_manifest(self) -> ObjectKind:
        if self.manifest is not None and self.file is not None:
            raise ValueError("give either manifest or file, not both")
        return self


class Workload(Part):
    """The objects that go through the lifecycle."""

    count: Annotated[
        int,
        Field(ge=1, le=MAX_OBJECTS),
        at_most(MAX_OBJECTS, "the most pods that Kubernetes supports in a cluster"),
    ]
    """How many objects in all."""
    namespaces: Annotated[
        int,
        Field(ge=1, le=MAX_NAMESPACES),
        at_most(MAX_NAMESPACES, "the most that Kubernetes supports in a cluster"),
    ] = 1
    """Over how many namespaces they are spread, in turn: planebench-0, planebench-1, ..."""
    objects: Annotated[tuple[ObjectKind, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=100)]
    """What they are, and in which shares."""
    order: Literal["mixed", "listed"] = "mixed"
    """The order of creation: `mixed` by the seed, or one kind after the other as they are `listed`."""

    @field_validator("objects")
    @classmethod
    def _shares_add_up(cls, objects: tuple[ObjectKind, ...]) -> tuple[ObjectKind, ...]:
        total = sum(kind.share for kind in objects)
        if abs(total - 1) > _SHARE_TOLERANCE:
            raise ValueError(f"the shares must add up to 100%, they add up to {total * 100:.6g}%")
        names = [kind.prefix for kind in objects]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} stands twice: give each a `name` of its own")
        return objects

    @model_validator(mode="after")
    def _namespaces_are_used(self) -> Workload:
        if self.namespaces > self.count:
            raise ValueError(f"{self.namespaces:,} namespaces are more than the {self.count:,} objects")
        return self


# --- arrivals ------------------------------------------------------------------------------------------------


class Constant(Part):
    """One object after the other at equal distances."""

    pattern: Literal["constant"] = "constant"
    """Equal distances."""
    rate: PerSecond
    """How many objects per second."""

    def duration_s(self, count: int) -> float:
        """How long ``count`` arrivals take."""
        return count / self.rate

    @property
    def peak_per_s(self) -> float:
        """The most arrivals that are due in a second, about."""
        return self.rate


class Poisson(Part):
    """Independent arrivals: exponential distances."""

    pattern: Literal["poisson"]
    """Exponential distances, drawn by the seed."""
    rate: PerSecond
    """How many objects per second on average."""

    def duration_s(self, count: int) -> float:
        """How long ``count`` arrivals take, on average."""
        return count / self.rate

    @property
    def peak_per_s(self) -> float:
        """The most arrivals that are due in a second, about."""
        return self.rate


class Burst(Part):
    """Many at once, again and again."""

    pattern: Literal["burst"]
    """So many at once, then a pause."""
    size: Annotated[int, Field(ge=1, le=MAX_OBJECTS), at_most(MAX_OBJECTS, "the largest workload")]
    """How many objects are due at the same moment."""
    every: Seconds
    """The time from one burst to the next."""

    def duration_s(self, count: int) -> float:
        """How long ``count`` arrivals take."""
        return (-(-count // self.size) - 1) * self.every

    @property
    def peak_per_s(self) -> float:
        """The most arrivals that are due in a second, about."""
        return self.size / min(self.every, 1.0)


class Ramp(Part):
    """A rate that changes evenly from the first arrival to the last."""

    pattern: Literal["ramp"]
    """A rate that rises or falls evenly with time."""
    start: PerSecondOrNone
    """The rate at the beginning."""
    end: PerSecondOrNone
    """The rate when the last object is due."""

    @model_validator(mode="after")
    def _some_rate(self) -> Ramp:
        if self.start + self.end <= 0:
            raise ValueError("start or end must be more than 0/s")
        return self

    def duration_s(self, count: int) -> float:
        """How long ``count`` arrivals take."""
        return 2 * count / (self.start + self.end)

    @property
    def peak_per_s(self) -> float:
        """The most arrivals that are due in a second, about."""
        return max(self.start, self.end)


def _pattern(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get("pattern", "constant")
    return getattr(value, "pattern", None)


Arrival = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Poisson, Tag("poisson")]
    | Annotated[Burst, Tag("burst")]
    | Annotated[Ramp, Tag("ramp")],
    Discriminator(_pattern),
]


# --- lifecycle -----------------------------------------------------------------------------------------------


class Creation(Part):
    """The first stage: all objects are created; scheduling goes along with it."""

    arrival: Arrival = Constant.model_construct(rate=20.0)
    """When the objects are due: `{pattern: constant, rate}`, `{pattern: poisson, rate}`,
    `{pattern: burst, size, every}` or `{pattern: ramp, start, end}`."""
    reads: PerSecondOrNone = 0.0
    """How many small objects are read (GET) per second beside, to tell how the API serves while faults strike."""
    writes: PerSecondOrNone = 0.0
    """How many small writes per second go on beside, to the same objects in turn."""


class ChangeLoad(Part):
    """A change of some of the running objects."""

    share: Share
    """Which share of the objects that can be changed so. Different changes take different objects; one that needs
    another before it (start needs stop) takes its objects from that one's."""
    rate: PerSecond
    """How many objects per second."""

    @field_validator("share")
    @classmethod
    def _some(cls, share: float) -> float:
        if share <= 0:
            raise ValueError("must be more than 0%")
        return share


ListForm = Literal["full", "page", "metadata", "stream"]


class Monitoring(Part):
    """The stage in which the cluster is at rest and is only looked at."""

    duration: SecondsOrNone = 10.0
    """How long; 0s: not at all."""
    lists: Annotated[int, Field(ge=0, le=10_000)] = 5
    """How many LISTs of each watched resource and each form, spread evenly."""
    forms: Annotated[tuple[ListForm, ...], BeforeValidator(as_tuple)] = ("full", "page", "metadata")
    """Forms of LIST: everything at once, the first 500 objects, everything but only the metadata, and everything
    as a stream (WatchList: a watch that begins with all objects), which has answered when its last initial event
    came."""
    storm: Annotated[int, Field(ge=0, le=10_000)] = 0
    """A LIST storm at the stage's end, as after a restart of many clients: so many LISTs of the workload's
    objects, all due at the same moment; then, with the form stream, so many streams. 0: none."""
    reads: PerSecondOrNone = 20.0
    """How many single objects are read (GET) per second."""
    canary: PerSecondOrNone = 10.0
    """How many small writes per second to one watched object: when its watch event comes tells how late watches
    are."""


class Cleanup(Part):
    """The last stage: every object is deleted, until nothing is left."""

    rate: PerSecond = 100.0
    """How many objects are deleted per second."""


class Lifecycle(Part):
    """The stages and their load. Scheduling has none of its own."""

    creation: Creation = Creation()
    """Creation of all objects."""
    management: Mapping[Name, ChangeLoad] = Field(default_factory=dict)
    """Changes, by the names that the plane's templates give them, one after the other: for instance
    `patch` of pods, `rollout` and `scale` of Deployments. Every template has `churn`: objects are deleted, and
    others like them created at the same time, so that as many are held."""
    monitoring: Monitoring = Monitoring()
    """Looking at the cluster at rest."""
    cleanup: Cleanup = Cleanup()
    """Deletion of all objects."""


# --- components ----------------------------------------------------------------------------------------------


class ClientLimits(Part):
    """How many requests a component's own client may send."""

    qps: Annotated[float, Field(gt=0, le=100_000)]
    """Requests per second."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)]
    """Requests at once before that rate holds."""


class Limits(Part):
    """Client limits; what is left out keeps the component's default."""

    kube_scheduler: ClientLimits | None = Field(None, alias="kube-scheduler")
    """The scheduler's (default 50 and 100): it caps bindings per second."""
    kube_controller_manager: ClientLimits | None = Field(None, alias="kube-controller-manager")
    """The controller manager's, for each controller (default 20 and 30)."""


class ComponentOptions(Part):
    """Options of one component."""

    flags: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9]*$", max_length=100)], FlagValue] = Field(
        default_factory=dict
    )
    """Command line flags, without dashes: `max-requests-inflight: 400`. They replace planebench's own."""
    config: Mapping[str, Any] = Field(default_factory=dict)
    """Only kube-scheduler: a part of a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1), such as
    `profiles`. planebench adds the kubeconfig and the client limits."""


# --- demands -------------------------------------------------------------------------------------------------


class Timeouts(Part):
    """How long each step may take; after that the run goes on, or ends, and says what was missing."""

    cluster: Seconds = 120.0
    """From the first process to a healthy control plane; builds are not counted."""
    nodes: Seconds = 60.0
    """From the first node to all nodes Ready."""
    request: Seconds = 60.0
    """One request of the load."""
    running: Seconds = 600.0
    """From the last object due to all objects up."""
    management: Seconds = 300.0
    """From a change's last request due to all changes in effect."""
    cleanup: Seconds = 600.0
    """From the last deletion due to nothing left."""
    run: Seconds = 1800.0
    """The whole run, without builds."""


class SLO(Part):
    """A demand on one service level indicator. A run fails where one fails."""

    sli: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$", max_length=100, examples=["creation.response"])]
    """The indicator's name, see docs/results.md."""
    percentile: Annotated[float, Field(gt=0, le=100)] | None = None
    """Of an indicator that is a distribution: which percentile is compared; 100 is the maximum."""
    max: SLOBound | None = None
    """At most this."""
    min: SLOBound | None = None
    """At least this."""

    @model_validator(mode="after")
    def _some_bound(self) -> SLO:
        if self.max is None and self.min is None:
            raise ValueError("needs max or min, for instance max: 1s")
        if self.max is not None and self.min is not None:
            if self.max.unit != self.min.unit:
                raise ValueError(f"min {self.min} and max {self.max} have different units")
            if self.min.value > self.max.value:
                raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class Scenario(Part):
    """A scenario of planebench: what is evaluated, under which load, and what is demanded of it."""

    api_version: Literal["planebench.dev/v1"] = Field(alias="apiVersion")
    """The version of this format."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]*$", max_length=63, examples=["my-density"])]
    """The scenario's name, for reports."""
    description: Annotated[str, Field(max_length=10_000)] = ""
    """What it is for, in a sentence or two."""
    plane: Annotated[str, Field(min_length=1, max_length=4000)] = "core"
    """The control plane beside Kubernetes' own: core (none), another that `planebench plane list`
    lists, or the path of a plane's folder, with a `/` in it and relative to the scenario's folder."""
    settings: Mapping[str, str | int | bool] = Field(default_factory=dict)
    """Settings of the plane that differ from its defaults."""
    nodes: Annotated[tuple[NodePool, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=100)]
    """The simulated nodes, in pools."""
    workload: Workload
    """What is created, changed and deleted."""
    lifecycle: Lifecycle = Lifecycle()
    """The stages and their load."""
    limits: Limits = Limits()
    """Client limits of components."""
    versions: Mapping[Annotated[str, Field(max_length=100)], Version] = Field(default_factory=dict)
    """Versions of components, by project: kubernetes, etcd, kwok, and those of the plane. What is left out is as
    planebench pins it, see docs/versions.md."""
    components: Mapping[Annotated[str, Field(max_length=100)], ComponentOptions] = Field(default_factory=dict)
    """Options of components: etcd, kube-apiserver, kube-scheduler, kube-controller-manager, kwok, and those of the
    plane."""
    topology: Mapping[Annotated[str, Field(max_length=100)], Annotated[int, Field(ge=1, le=7)]] = Field(
        default_factory=dict
    )
    """How many members components have: etcd, kube-apiserver (behind a load balancer), kube-scheduler,
    kube-controller-manager, kwok (each plays a share of the nodes, and what runs on them), and those of the plane
    that elect a leader. What is left out has one."""
    timeouts: Timeouts = Timeouts()
    """Time limits."""
    setup: Annotated[tuple[Mapping[str, Any], ...], BeforeValidator(as_tuple), Field(max_length=1000)] = ()
    """Kubernetes objects that are created before the workload, in this order, and deleted after it: priority
    classes, quotas, services. Those without a namespace of their own go into the workload's first one."""
    faults: Annotated[
        tuple[Annotated[Fault, Field(discriminator="kind")], ...], BeforeValidator(as_tuple), Field(max_length=100)
    ] = ()
    """What is made to fail, and when."""
    slos: Annotated[tuple[SLO, ...], BeforeValidator(as_tuple), Field(max_length=1000)] = ()
    """What is demanded. Without any, a run tells figures and gives no verdict."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1
    """The same seed gives the same operations at the same due times."""

    @property
    def node_count(self) -> int:
        """Nodes of all pools."""
        return sum(pool.count for pool in self.nodes)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The workload's namespaces."""
        return tuple(f"planebench-{number}" for number in range(self.workload.namespaces))

    @field_validator("setup")
    @classmethod
    def _setup_is_objects(cls, setup: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        for number, item in enumerate(setup):
            metadata = item.get("metadata")
            named = isinstance(metadata, Mapping) and isinstance(metadata.get("name"), str)
            if not (named and isinstance(item.get("apiVersion"), str) and isinstance(item.get("kind"), str)):
                raise ValueError(
                    f"[{number}] needs apiVersion, kind and metadata.name, as every Kubernetes object"
                )
        return setup

    @field_validator("nodes")
    @classmethod
    def _pools_differ(cls, pools: tuple[NodePool, ...]) -> tuple[NodePool, ...]:
        names = [pool.name for pool in pools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two pools have the name {twice[0]!r}")
        if (total := sum(pool.count for pool in pools)) > MAX_NODES:
            raise ValueError(
                f"{total:,} nodes in all, at most {MAX_NODES:,}: the most that Kubernetes supports in a cluster"
            )
        return pools

    @model_validator(mode="after")
    def _fits_its_time(self) -> Scenario:
        count = self.workload.count
        for where, wanted_s in (
            ("lifecycle.creation.arrival", self.lifecycle.creation.arrival.duration_s(count)),
            ("lifecycle.cleanup.rate", count / self.lifecycle.cleanup.rate),
            ("lifecycle.monitoring.duration", self.lifecycle.monitoring.duration),
            *((f"faults[{number}].for", fault.at + fault.duration) for number, fault in enumerate(self.faults)),
        ):
            if wanted_s >= self.timeouts.run:
                raise PydanticCustomError(
                    "takes_too_long",
                    "takes {wanted}, but timeouts.run is {limit}",
                    {
                        "where": where,
                        "wanted": units.format_duration(round(wanted_s)),
                        "limit": units.format_duration(self.timeouts.run),
                    },
                )
        return self


def with_nodes(scenario: Scenario, count: int) -> Scenario:
    """The scenario with ``count`` nodes in all; several pools keep their proportions.

    Raises:
        UsageError: fewer nodes than pools, or more than a cluster may have.
    """
    pools = scenario.nodes
    if not len(pools) <= count <= MAX_NODES:
        raise UsageError(
            f"--nodes {count}: must be from {len(pools)} (one in each pool) to {MAX_NODES}, "
            "the most nodes that Kubernetes supports in a cluster"
        )
    counts = apportion(count - len(pools), [pool.count for pool in pools])
    resized = tuple(
        pool.model_copy(update={"count": 1 + extra}) for pool, extra in zip(pools, counts, strict=True)
    )
    return scenario.model_copy(update={"nodes": resized})


def apportion(total: int, weights: list[int] | list[float]) -> list[int]:
    """Whole numbers in proportion to ``weights`` that add up to ``total``, by largest remainder."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda number: counts[number] - exact[number])
    for number in by_remainder[: total - sum(counts)]:
        counts[number] += 1
    return counts
