"""The vocabulary of planebench: frozen types that every other module speaks.

All times named ``*_ns`` are integer nanoseconds on the trial's clock: ``time.monotonic_ns()`` minus the trial's
start, so they can be subtracted from one another and never from a server's time. A name that says ``wall``
holds Unix time instead.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Manifest = Mapping[str, Any]
"""A Kubernetes object as plain data."""

ADDED: Final = "added"
DELETING: Final = "deleting"
DELETED: Final = "deleted"
"""The milestones that every object has, whatever a plane's rules name besides."""

REVISION_PREFIX: Final = "revision:"
"""What a milestone begins with that is a new value of a watch's revision field; the value follows."""

INDEX_LABEL: Final = "planebench.dev/index"
"""Carries an object's number in its workload; planes pass it on to the objects that theirs give rise to."""


class ExitCode(enum.IntEnum):
    """What the ``planebench`` command's exit code says."""

    PASS = 0
    FAIL = 1
    """At least one SLO failed."""
    USAGE = 2
    """Wrong usage or input; nothing was started."""
    INCONCLUSIVE = 3
    """The run ended, but its figures do not permit a verdict."""
    BROKEN = 4
    """The run broke: a build, a component or a time limit."""
    INTERRUPTED = 130


class PlanebenchError(Exception):
    """An error for people: its text is one line that names the cause and the way out."""

    exit_code = ExitCode.BROKEN


class UsageError(PlanebenchError):
    """Wrong usage or input: the text names the file, field or flag."""

    exit_code = ExitCode.USAGE


class ComponentError(PlanebenchError):
    """A component could not be built, started or kept running."""

    def __init__(self, message: str, *, component: str | None = None, log_tail: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.component = component
        self.log_tail = tuple(log_tail)
        """The component's last log lines, shown below the message."""


class Stage(enum.StrEnum):
    """The five lifecycle stages that a run evaluates."""

    CREATION = "creation"
    SCHEDULING = "scheduling"
    MANAGEMENT = "management"
    MONITORING = "monitoring"
    CLEANUP = "cleanup"


class Role(enum.StrEnum):
    """Whose cost something is."""

    SUBJECT = "subject"
    """The control plane under test."""
    SIMULATOR = "simulator"
    """What plays the nodes (KWOK)."""
    HARNESS = "harness"
    """planebench itself."""


class Profiler(enum.StrEnum):
    """How a process serves profiles of itself."""

    NONE = "none"
    PPROF = "pprof"
    """Go's net/http/pprof: CPU and heap below /debug/pprof."""
    HEAP = "heap"
    """The heap only, below /debug/pprof."""


# --- reaching a cluster ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """A client certificate: files in PEM, and the user it names."""

    user: str
    groups: tuple[str, ...]
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an API server as one user."""

    host: str
    port: int
    ca: Path | None = None
    """The authorities that its certificate is checked against; None: the system's."""
    identity: Identity | None = None
    """None: it is shown no client certificate."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Of every request: a token, or whom to act as."""
    server_name: str = ""
    """What its certificate is to name; empty: the host."""
    prefix: str = ""
    """What stands before every API path, for instance ``/k8s/clusters/c-1``."""
    proxy: str = field(default="", repr=False)
    """URL of a proxy on the way: http, https, socks5 or socks5h, perhaps with user and password."""
    tls: bool = True
    verified: bool = True
    """False: its certificate is not checked."""

    @property
    def authority(self) -> str:
        """Host and port as in URLs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL of a component, and the client certificate or token that opens it."""

    url: str
    ca: Path | None = None
    """None: the server's certificate is not checked (a component that signs its own)."""
    identity: Identity | None = None
    server_hostname: str | None = None
    token: str = field(default="", repr=False)
    """A bearer token that opens it; empty: none is shown."""


@dataclass(frozen=True, slots=True)
class ComponentProcess:
    """A running component: what it is, where it runs, how to look into it."""

    name: str
    """For instance ``kube-apiserver`` or ``kwok-2``: unique in its cluster."""
    component: str
    """The catalogue's name, for instance ``kwok``."""
    role: Role
    pid: int
    argv: tuple[str, ...]
    log: Path
    metrics: Endpoint | None = None
    started_ns: int = 0
    profiler: Profiler = Profiler.NONE
    """Its profiles are where its metrics are."""


# --- intent: what a scenario becomes -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resource:
    """A Kubernetes resource type."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def id(self) -> str:
        """``pods`` or ``virtualmachineinstances.kubevirt.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The API path of its group and version: ``/api/v1`` or ``/apis/GROUP/VERSION``."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The API path of the collection, or of one object or subresource."""
        parts = [self.root]
        if self.namespaced and namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


@dataclass(frozen=True, slots=True)
class MilestoneRule:
    """When an object has reached a milestone, told from the object alone.

    ``field`` is a dotted path; ``conditions[Ready].status`` reads the list item whose ``type`` is ``Ready``;
    keys with dots are quoted: ``metadata.labels["kubevirt.io/nodeName"]``. It holds where the field equals
    ``equals``, is one of ``one_of``, is a number of ``at_least`` or a list of so many items, is a list with an
    item that has all values of ``contains``, or (with none of these) is present and not empty. An empty ``field``
    holds from the first sight of the object. Deletion needs no rule: ``deleting`` (a deletionTimestamp) and
    ``deleted`` are always recorded.
    """

    name: str
    field: str = ""
    equals: str | None = None
    one_of: tuple[str, ...] = ()
    failure: bool = False
    """A terminal failure: an object here never reaches what it was to reach."""
    simulated: bool = False
    """Played by the simulator, not reached by the control plane's own work."""
    at_least: int = 0
    """0: does not count."""
    contains: tuple[tuple[str, str], ...] = ()
    """Keys and values; empty: does not count."""
    again: bool = False
    """It is noted each time that it begins to hold; False: only the first time."""


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """A resource to watch and what to note of each object."""

    name: str
    """Unique in the run, for instance ``pods``: the name that milestones and SLIs refer to."""
    resource: Resource
    milestones: tuple[MilestoneRule, ...]
    label_selector: str = ""
    namespaces: tuple[str, ...] = ()
    """Empty: all namespaces in one watch."""
    owner_field: str = ""
    """Field path of the owner's UID, for instance ``metadata.labels["kubevirt.io/created-by"]``."""
    node_field: str = ""
    """Field path of the node's name."""
    revision_field: str = ""
    """Field path of a revision that changes by patches; each new value is recorded as ``revision:VALUE``."""


def json_body(value: Any) -> bytes:
    """A request's body: JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request that many operations share; ``__NAME__``, ``__NAMESPACE__`` and ``__INDEX__`` (decimal, no
    padding) in path and body are replaced for each operation."""

    verb: str
    """As in Kubernetes' metrics: create, get, list, update, patch, delete, deletecollection."""
    resource: str
    """A resource id, see :class:`Resource`."""
    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    subresource: str = ""
    accept: str = "application/json"
    """The form of the reply, for instance with ``;as=PartialObjectMetadataList``."""
    until: str = ""
    """The reply is a stream without an end: it has answered once this text has come."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One planned request: its due time is an offset from its phase's start."""

    due_ns: int
    template: int
    """Index into the phase's templates."""
    index: int
    """The object's number in the workload; -1 where there is none."""
    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class LoadPhase:
    """A phase of open-loop load: every operation is sent when it is due, whatever came of the earlier ones."""

    name: str
    stage: Stage | None
    """None: preparation, no part of what is evaluated."""
    templates: tuple[RequestTemplate, ...]
    operations: Sequence[Operation]
    """Ordered by ``due_ns``."""
    request_timeout_s: float = 60.0


# --- raw: what was seen ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """A phase as it was: offsets on the trial's clock."""

    name: str
    stage: Stage | None
    start_ns: int
    end_ns: int
    completed: bool = True
    """False: ended by its time limit, an error or an interruption."""
    planned: int = 0
    """How many operations, or objects, it was to handle."""


@dataclass(frozen=True, slots=True)
class EvictionRecord:
    """A pod that was asked to leave its node: offsets on the trial's clock, -1 for what was not."""

    node: str
    namespace: str
    name: str
    asked_ns: int
    """When its eviction was asked for, for the first time."""
    granted_ns: int = -1
    """When that was granted."""
    refusals: int = 0
    """How often it was refused before: a budget, or a webhook that sees to it otherwise."""
    reason: str = ""
    """What the last refusal said."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault that was brought about on purpose, as it was: offsets on the trial's clock, -1 for what was not."""

    kind: str
    nodes: tuple[str, ...]
    """Those that it struck."""
    start_ns: int
    """When the first request, or signal, that brings it about was sent."""
    end_ns: int = -1
    """When the first one that ends it was sent."""
    name: str = ""
    """Unique in its run."""
    target: str = ""
    """What it struck: a component, connections (``kube-apiserver to etcd``), or nodes."""
    processes: tuple[str, ...] = ()
    """The target's processes that it struck."""
    stage: str = ""
    """The lifecycle stage that it fell in."""
    struck_ns: int = -1
    """From when on it was in effect."""
    ready_ns: int = -1
    """When what it had struck said that it was ready again."""
    prepared_ns: int = -1
    """When its preparation began, which may take its time but does no harm yet; -1: it had none."""
    leader: str = ""
    """The member that led in place of the one that it had struck; empty: none had to."""
    leader_ns: int = -1
    """When that one was first seen to lead."""
    evictions: tuple[EvictionRecord, ...] = ()
    """Of nodes that were drained: their pods."""

    @property
    def label(self) -> str:
        """For people: ``kill etcd-2``, ``latency kube-apiserver to etcd``, ``node-silence of 3 nodes``."""
        if self.nodes:
            return f"{self.kind} of {len(self.nodes):,} node{'s' if len(self.nodes) > 1 else ''}"
        alone = len(self.processes) == 1 and " to " not in self.target
        return f"{self.kind} {self.processes[0] if alone else self.target}".rstrip()


@dataclass(frozen=True, slots=True)
class RestartRecord:
    """A component's process that ended and was started anew: offsets on the trial's clock."""

    process: str
    component: str
    ended_ns: int
    started_ns: int
    how: str
    """How it ended, in words."""
    asked: bool
    """A fault did it; False: it ended by itself after one."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the load engine reports several times a second."""

    t_ns: int
    phase: str = ""
    planned: int = 0
    sent: int = 0
    answered: int = 0
    failed: int = 0
    """Answers that were no success after all retries, time-outs and lost connections."""
    failed_by_verb: Mapping[str, int] = field(default_factory=dict)
    """The same, by what was asked; verbs without any are left out."""
    in_flight: int = 0
    milestones: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """watch -> milestone -> number of objects (UIDs) that have reached it."""
    alive: Mapping[str, int] = field(default_factory=dict)
    """watch -> number of objects that exist now, as watched."""
    current: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """watch -> milestone -> number of existing objects whose rule holds now."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """message -> how often, the API server's own words."""
    response_ms: Mapping[str, float] = field(default_factory=dict)
    """p50, p99 and max of the phase so far, in milliseconds from due to done."""


class Judgement(enum.StrEnum):
    """FAIL > INCONCLUSIVE > PASS. No data is never a PASS."""

    PASS = "PASS"  # noqa: S105 (a verdict, not a password)
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
