"""The descriptor of a control plane: a strict model of ``plane.yaml``, and how to load one."""

from __future__ import annotations

import enum
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from planebench.model import (
    ADDED,
    INDEX_LABEL,
    Manifest,
    MilestoneRule,
    RequestTemplate,
    Resource,
    Role,
    UsageError,
    WatchSpec,
    json_body,
)

DELETE_OPTIONS: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "DeleteOptions",
    "propagationPolicy": "Background",
}
"""As kubectl deletes: children go, too; the API server's own default for Jobs is to keep them."""

CHURN = "churn"
"""The change by which an object is deleted and another one like it created at the same time."""

REVISION = "__REVISION__"
"""Stands for the new value in the body of a change."""

PROCESS_PLACEHOLDERS = ("port", "kubeconfig", "cert", "key", "cert_folder", "ca", "folder")
"""What ``${...}`` may name in a process's arguments and files, beside the plane's settings and ``NAME_port`` for
each further port: its port, its user's kubeconfig, its serving certificate and key, a folder with both as
``tls.crt`` and ``tls.key`` (as a pod has a mounted Secret), the cluster's CA, and a folder of its own."""

Setting = str | int | bool


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class User(_Part):
    """Whom a client certificate names."""

    name: str
    groups: tuple[str, ...] = ()


class ManifestFile(_Part):
    """Objects of a file: YAML documents or JSON, perhaps gzipped, at any depth of lists and mappings."""

    file: str
    kinds: tuple[str, ...] = ()
    """Only these kinds; empty: all."""
    with_status: bool = False
    """The objects' status is written too."""


class Service(_Part):
    """A Service that webhooks and aggregated APIs refer to, and the process that stands for it."""

    name: str
    namespace: str
    process: str
    port: str = ""
    """One of the process's further ports; empty: its own."""


class Ready(_Part):
    """A process is ready when this path answers 200 and, if ``contains`` is given, with that text."""

    path: str
    contains: str = ""
    port: str = ""
    """One of the process's further ports; empty: its own."""
    tls: bool = True
    """False: plain HTTP."""


class Metrics(_Part):
    """Where a process serves its metrics."""

    path: str = "/metrics"
    port: str = ""
    """One of the process's further ports; empty: its own."""
    tls: bool = True
    """False: plain HTTP."""
    own_certificate: bool = False
    """It signs its own certificate, which is not checked."""
    account: str = ""
    """``NAMESPACE/NAME`` of the service account whose token opens them; empty: none is needed."""


class Lease(_Part):
    """The Lease by which several members of a component agree on one that acts."""

    namespace: str
    name: str
    standby: Ready
    """How a member says that it is up, whether it acts or not."""


class Process(_Part):
    """A component of the control plane, run as a local process that serves HTTPS on a port of its own."""

    name: str
    component: str
    """The name in the catalogue of binaries, or in the plane's own ``binaries``."""
    user: User
    argv: tuple[str, ...]
    """Arguments with ``${...}`` for the plane's settings and :data:`PROCESS_PLACEHOLDERS`."""
    ports: tuple[str, ...] = ()
    """Names of further ports that it listens on: ``${NAME_port}`` stands for each."""
    files: tuple[str, ...] = ()
    """Files of the plane that are put into the process's folder, with ``${...}`` as in its arguments."""
    environment: Mapping[str, str] = Field(default_factory=dict)
    certificate_names: tuple[str, ...] = ("localhost", "127.0.0.1")
    """DNS names and IP addresses of the serving certificate."""
    ready: Ready
    metrics: Metrics | None = Metrics()
    """A path alone means the process's own port; null: it serves none."""
    role: Role = Role.SUBJECT
    lease: Lease | None = None
    """It is a controller, and acts while it holds this one; None: it is none."""

    @field_validator("metrics", mode="before")
    @classmethod
    def _by_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @property
    def placeholders(self) -> frozenset[str]:
        """What ``${...}`` may name beside the plane's settings."""
        return frozenset((*PROCESS_PLACEHOLDERS, *(f"{port}_port" for port in self.ports)))


class Nodes(_Part):
    """What every simulated node has in addition to its pool's own description."""

    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    capacity: Mapping[str, str] = Field(default_factory=dict)


class Simulator(_Part):
    """How KWOK plays the nodes and what runs on them."""

    user: User | None = None
    """Whom KWOK acts as; None: the cluster's own user for it."""
    stages: tuple[str, ...] = ()
    """Stage files. A stage that has a built-in stage's name changes that one as a JSON merge patch; the others are
    added."""


class Milestone(_Part):
    """See :class:`planebench.model.MilestoneRule`."""

    name: str
    field: str = ""
    equals: str | None = None
    one_of: tuple[str, ...] = ()
    failure: bool = False
    simulated: bool = False
    at_least: int = Field(0, ge=0)
    contains: Mapping[str, str] = Field(default_factory=dict)

    def rule(self) -> MilestoneRule:
        return MilestoneRule(**{**self.model_dump(), "contains": tuple(self.contains.items())})


class ResourceType(_Part):
    """See :class:`planebench.model.Resource`."""

    group: str = ""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    def resource(self) -> Resource:
        return Resource(**self.model_dump())


class Watch(_Part):
    """See :class:`planebench.model.WatchSpec`."""

    resource: ResourceType
    milestones: tuple[Milestone, ...]
    label_selector: str = INDEX_LABEL
    owner_field: str = ""
    node_field: str = ""
    revision_field: str = ""

    def spec(self, name: str, namespaces: tuple[str, ...] = ()) -> WatchSpec:
        """This watch as the load engine takes it."""
        return WatchSpec(
            name=name,
            resource=self.resource.resource(),
            milestones=tuple(milestone.rule() for milestone in self.milestones),
            label_selector=self.label_selector,
            namespaces=namespaces,
            owner_field=self.owner_field,
            node_field=self.node_field,
            revision_field=self.revision_field,
        )


class Reach(_Part):
    """A milestone of a watch."""

    watch: str
    milestone: str


class Seen(enum.StrEnum):
    """How the effect of a change shows in a watch."""

    REVISION = "revision"
    """The object's revision field has the new value."""
    DELETED = "deleted"
    """The object is gone."""
    SUCCESSOR = "successor"
    """Another object with the same index reaches the milestone."""


class Convergence(_Part):
    """When a change has taken effect."""

    watch: str
    seen: Seen
    milestone: str = ""
    """For a successor."""
    objects: int | Literal["all"] = 1
    """How many successors have to reach it; ``all``: as many as each object has children there."""


class Change(_Part):
    """One request that changes an object of a workload. ``__NAME__``, ``__NAMESPACE__``, ``__INDEX__`` and
    ``__REVISION__`` in path and body stand for the object and the new value."""

    verb: str = "patch"
    method: str = "PATCH"
    path: str = ""
    """Empty: the object's own path."""
    body: Mapping[str, Any] = Field(default_factory=dict)
    content_type: str = "application/merge-patch+json"
    resource: str = ""
    """The resource id it counts under; empty: the workload's."""
    subresource: str = ""
    converged: Convergence
    needs: str = ""
    """A change that must have come before: ``start`` needs ``stop``."""


class Companion(_Part):
    """An object that is created and deleted along with each object of a workload, under the same name."""

    resource: ResourceType
    manifest: str


class Workload(_Part):
    """Objects to create, and how to follow them."""

    description: str
    resource: ResourceType
    manifest: str
    """A file with the object; ``__NAME__``, ``__NAMESPACE__`` and ``__INDEX__`` stand for its name, namespace and
    number, ``${...}`` for the plane's settings."""
    tracked: str
    """The watch that follows the created objects."""
    watches: tuple[str, ...]
    bound: Reach
    """The scheduler has chosen a node."""
    up: Reach
    """The object does what it was created for."""
    children: Mapping[str, int | Literal["nodes"]] = Field(default_factory=dict)
    """Watch -> how many objects of it each object gives rise to, where that is not one; ``nodes``: one on each
    node that takes its pods."""
    companions: tuple[Companion, ...] = ()
    unschedulable: Reach | None = None
    """The scheduler has found no node; None: that cannot be told."""
    refused: Reach | None = None
    """What it is made of is refused (by a quota); None: it is refused itself."""
    endpoints: Reach | None = None
    """All its pods are endpoints of its Service; None: it has none."""
    deletion_delay_s: float = Field(0.0, ge=0)
    """How long a controller waits by design before it acts on a deletion."""
    changes: Mapping[str, Change] = Field(default_factory=dict)

    @property
    def offered(self) -> Mapping[str, Change]:
        """Its changes, and the one that every workload offers: churn."""
        return {
            CHURN: Change(
                verb="create",
                method="POST",
                converged=Convergence(
                    watch=self.up.watch, seen=Seen.SUCCESSOR, milestone=self.up.milestone, objects="all"
                ),
            ),
            **self.changes,
        }

    def watched(self, changes: Iterable[str]) -> tuple[str, ...]:
        """Its watches, and those that only these changes need, in a fixed order."""
        needed = (self.changes[name].converged.watch for name in changes if name in self.changes)
        return tuple(dict.fromkeys((*self.watches, *needed)))


class Limit(_Part):
    """A limit that bounds the plane's throughput by design, to be reported beside the results."""

    component: str
    meaning: str
    value: Setting | None = None
    """What the plane sets; None: nothing, the component's own default holds."""
    flag: str = ""
    """The component's flag for it, without dashes: what its process ran with goes before ``value``."""
    default: Setting | None = None
    """The component's own; None: it is not known."""

    @model_validator(mode="after")
    def _says_something(self) -> Limit:
        if self.value is None and self.default is None:
            raise ValueError(f"{self.component}: {self.meaning}: needs a value or a default")
        return self


class Figure(_Part):
    """A family of a component's own metrics, and what is told of it: see :class:`planebench.slis.metrics.Metric`,
    which has the same fields."""

    id: str
    title: str
    kind: Literal["histogram", "mean", "counter", "rate", "gauge"]
    family: str
    unit: Literal["s", "/s", "share", "bytes", "count", "ratio"] = "s"
    only: Mapping[str, str] = Field(default_factory=dict)
    unless: Mapping[str, str] = Field(default_factory=dict)
    by: tuple[str, ...] = ()
    most_parts: int = Field(12, ge=1)
    scale: float = 1.0
    largest: bool = False
    late: bool = False
    always: bool = True
    headline: bool = False

    @model_validator(mode="after")
    def _patterns_hold(self) -> Figure:
        for pattern in (self.family, *self.only.values(), *self.unless.values()):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{self.id}: {pattern!r} is no regular expression: {error}") from None
        return self


class Figures(_Part):
    """What a component serves of metrics: what it lacks of these is told."""

    sets: tuple[Literal["client", "queues", "process"], ...] = ("client", "queues", "process")
    """Of those that components written with client-go have in common: as a client of the API server, of its work
    queues, of Go's runtime and the process."""
    metrics: tuple[Figure, ...] = ()
    """Its own."""
    per_object: Figure | None = None
    """A counter that is told per object of the workload, too."""
    told_by: Mapping[str, tuple[Figure, ...]] = Field(default_factory=dict)
    """What another component tells of this one: that component's name -> its metrics."""


class _Descriptor(_Part):
    name: str
    description: str
    versions: Mapping[str, str] = Field(default_factory=dict)
    settings: Mapping[str, Setting] = Field(default_factory=dict)
    binaries: Mapping[str, str] = Field(default_factory=dict)
    install: tuple[ManifestFile, ...] = ()
    processes: tuple[Process, ...] = ()
    services: tuple[Service, ...] = ()
    expose: tuple[ManifestFile, ...] = ()
    namespace: tuple[ManifestFile, ...] = ()
    nodes: Nodes = Nodes()
    simulator: Simulator = Simulator()
    watches: Mapping[str, Watch]
    workloads: Mapping[str, Workload]
    limits: tuple[Limit, ...] = ()
    figures: Mapping[str, Figures] = Field(default_factory=dict)
    packages: tuple[str, ...] = ()
    unfaithful: tuple[str, ...] = ()


class Plane(_Descriptor):
    """A control plane beside Kubernetes' own; everything that is particular to it.

    ``versions`` are those that its objects belong to, by project: its components are taken of these versions.
    One that is nothing but ``${name}`` can be chosen, where the folder has files of it.
    ``settings`` are values that its files refer to as ``${name}``. ``binaries`` are components that the
    catalogue does not have, by the paths of their binaries, relative to the plane's folder.

    ``install`` names the objects that are created first, in this order; then ``processes`` are started. When
    all are ready, the objects of ``expose`` follow: webhooks and aggregated APIs, whose ``services`` are turned
    into the processes' URLs, and what is to go through them. ``namespace`` names the objects that every
    namespace with a workload gets before its first object. ``nodes`` and ``simulator`` tell how KWOK plays the
    rest, ``watches`` and ``workloads`` what can be run, and ``unfaithful`` what is not as in a real cluster.

    ``figures`` say what a component serves of metrics; one that has none here is read as any client with work
    queues, and may lack what it likes. ``packages`` are what import paths of the plane's own Go code begin with.
    """

    _folder: Traversable = PrivateAttr()
    _source: str = PrivateAttr("")
    _manifests: Mapping[str, Manifest] = PrivateAttr(default_factory=dict)

    @property
    def source(self) -> str:
        """What :func:`load_plane` finds it by, from anywhere: a built-in name, or an absolute path."""
        return self._source

    def watch_specs(
        self, workload: str, namespaces: tuple[str, ...] = (), *, changes: Iterable[str] = ()
    ) -> tuple[WatchSpec, ...]:
        """The watches of a workload as the load engine takes them; with those that only these changes need."""
        watched = self.workload(workload).watched(changes)
        return tuple(self.watches[name].spec(name, namespaces) for name in watched)

    def workload(self, name: str) -> Workload:
        """A workload by its name; raises UsageError with the known names."""
        try:
            return self.workloads[name]
        except KeyError:
            known = ", ".join(sorted(self.workloads))
            raise UsageError(f"plane {self.name} has no workload {name!r}; it has: {known}") from None

    def startup_path(self, watch: str) -> list[Milestone]:
        """A watch's milestones in order up to the one that counts as up, or to the last one; failures left out."""
        path = [rule for rule in self.watches[watch].milestones if not rule.failure]
        ups = {workload.up.milestone for workload in self.workloads.values() if workload.up.watch == watch}
        ends = [place for place, rule in enumerate(path) if rule.name in ups]
        return path[: max(ends) + 1] if ends else path

    def first_played(self, watch: str) -> tuple[str, str] | None:
        """The milestones before and after the first step of a watch's objects that the simulator plays; None where
        nothing is played."""
        before = ADDED
        for rule in self.startup_path(watch):
            if rule.simulated:
                return before, rule.name
            before = rule.name
        return None

    def manifests(self, source: ManifestFile) -> list[Manifest]:
        """The objects of a manifest file, in the file's order."""
        found = [found for document in self._documents(source.file) for found in _objects(document)]
        return [item for item in found if not source.kinds or item["kind"] in source.kinds]

    def own_binaries(self) -> dict[str, Path]:
        """Component -> the path of its binary, for those that the plane brings along."""
        folder = self._folder if isinstance(self._folder, Path) else Path()
        return {name: folder / Path(path).expanduser() for name, path in self.binaries.items()}

    def files(self, process: Process, values: Mapping[str, Setting]) -> dict[str, str]:
        """File -> its content for a process's folder; ``values`` are those of its placeholders."""
        found = {}
        for name in process.files:
            found[name] = str(substitute(_text(self._folder / name), {**self.settings, **values}))
        return found

    def stages(self) -> list[Manifest]:
        """The plane's own KWOK stages; :func:`planebench.stages.stages` puts them over the built-in ones."""
        return [stage for name in self.simulator.stages for stage in self._documents(name)]

    def manifest(self, workload: str) -> Manifest:
        """The object of a workload, its ``__NAME__`` and the like not yet filled in."""
        found = self._manifests.get(workload)
        return self._object(self.workload(workload).manifest) if found is None else found

    def _object(self, name: str) -> Manifest:
        documents = self._documents(name)
        if len(documents) != 1 or not isinstance(documents[0], dict):
            found = f"{len(documents)} documents" if len(documents) != 1 else type(documents[0]).__name__
            raise UsageError(f"{self._folder / name}: a workload's manifest holds one object, not {found}")
        manifest: Manifest = documents[0]
        return manifest

    def as_json(self) -> str:
        """The descriptor with its workloads' objects: :func:`read_plane` needs no folder."""
        manifests = {name: self.manifest(name) for name in self.workloads}
        return json.dumps({**self.model_dump(mode="json"), "manifests": manifests}, indent=1)

    def create(self, workload: str) -> RequestTemplate:
        """The request that creates an object of a workload."""
        resource = self.workload(workload).resource.resource()
        return RequestTemplate(
            "create", resource.id, "POST", resource.path("__NAMESPACE__"), json_body(self.manifest(workload))
        )

    def companion(self, companion: Companion) -> Manifest:
        """The object of a companion, its ``__NAME__`` and the like not yet filled in."""
        return self._object(companion.manifest)

    def delete(self, workload: str, grace_period_s: int | None = None) -> RequestTemplate:
        """The request that deletes an object of a workload."""
        resource = self.workload(workload).resource.resource()
        options = DELETE_OPTIONS
        body = options if grace_period_s is None else {**options, "gracePeriodSeconds": grace_period_s}
        return RequestTemplate(
            "delete", resource.id, "DELETE", resource.path("__NAMESPACE__", "__NAME__"), json_body(body)
        )

    def change(self, workload: str, name: str, revision: str = "") -> RequestTemplate:
        """The request of a change; raises UsageError with the known changes."""
        changes = self.workload(workload).changes
        if name not in changes:
            known = ", ".join(changes) or "none"
            raise UsageError(f"workload {workload} of plane {self.name} has no change {name!r}; it has: {known}")
        change = changes[name]
        resource = self.workload(workload).resource.resource()
        return RequestTemplate(
            verb=change.verb,
            resource=change.resource or resource.id,
            method=change.method,
            path=change.path or resource.path("__NAMESPACE__", "__NAME__"),
            body=json_body(change.body).replace(REVISION.encode(), revision.encode()),
            content_type=change.content_type,
            subresource=change.subresource,
            # As kubectl and client-go do: an aggregated API may have nothing else to say than "done".
            accept="application/json, */*",
        )

    def process(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def _documents(self, name: str) -> list[Any]:
        documents = _read(self._folder / name)
        # JSON is upstream's own and taken as it is.
        return documents if ".json" in name else [substitute(document, self.settings) for document in documents]

    @model_validator(mode="after")
    def _references_hold(self) -> Plane:
        names = [process.name for process in self.processes]
        for service in self.services:
            if service.process not in names:
                raise ValueError(f"services: {service.name} refers to an unknown process {service.process!r}")
        ports = {process.name: ("", *process.ports) for process in self.processes}
        for service in self.services:
            if service.port not in ports[service.process]:
                raise ValueError(
                    f"services: {service.name}: process {service.process} has no port {service.port!r}"
                )
        for process in self.processes:
            for field, port in (("ready", process.ready.port), ("metrics", (process.metrics or Metrics()).port)):
                if port not in ports[process.name]:
                    raise ValueError(f"processes: {process.name}: {field}: there is no port {port!r}")
            if process.metrics and process.metrics.account and process.metrics.account.count("/") != 1:
                raise ValueError(f"processes: {process.name}: metrics.account must be NAMESPACE/NAME")
            known = process.placeholders | self.settings.keys()
            for argument in process.argv:
                if unknown := sorted(set(_PLACEHOLDER.findall(argument)) - known):
                    raise ValueError(
                        f"processes: {process.name} has ${{{unknown[0]}}} in its argv, which is unknown"
                    )
        for name, workload in self.workloads.items():
            where = f"workloads.{name}"
            for watch in (workload.tracked, *workload.watches):
                if watch not in self.watches:
                    raise ValueError(f"{where} refers to an unknown watch {watch!r}")
            if workload.tracked not in workload.watches:
                raise ValueError(f"{where}: the tracked watch {workload.tracked!r} is not among its watches")
            self._check_reach(f"{where}.bound", workload, workload.bound.watch, workload.bound.milestone)
            self._check_reach(f"{where}.up", workload, workload.up.watch, workload.up.milestone)
            for reach in (workload.unschedulable, workload.refused, workload.endpoints):
                if reach is not None:
                    self._check_reach(where, workload, reach.watch, reach.milestone)
            if unknown := sorted(workload.children.keys() - set(workload.watches)):
                raise ValueError(f"{where}.children refers to {unknown[0]!r}, which is not among its watches")
            for key, change in workload.changes.items():
                converged = change.converged
                if converged.watch not in self.watches:
                    raise ValueError(f"{where}.changes.{key} refers to an unknown watch {converged.watch!r}")
                self._check_milestone(f"{where}.changes.{key}", converged.watch, converged.milestone)
                if change.needs and change.needs not in workload.changes:
                    raise ValueError(f"{where}.changes.{key} needs an unknown change {change.needs!r}")
        return self

    def _check_reach(self, where: str, workload: Workload, watch: str, milestone: str) -> None:
        if watch not in workload.watches:
            raise ValueError(f"{where} refers to {watch!r}, which is not among the workload's watches")
        self._check_milestone(where, watch, milestone)

    def _check_milestone(self, where: str, watch: str, milestone: str) -> None:
        known = [rule.name for rule in self.watches[watch].milestones]
        if milestone and milestone not in known:
            raise ValueError(f"{where} refers to an unknown milestone {milestone!r} of {watch}")


def builtin_names() -> list[str]:
    """The planes that come with planebench."""
    return sorted(entry.name for entry in files(__package__).iterdir() if (entry / "plane.yaml").is_file())


def load_plane(
    name: str, settings: Mapping[str, Setting] | None = None, versions: Mapping[str, str] | None = None
) -> Plane:
    """A plane by its name or by its folder's path, with some of its settings changed.

    ``versions`` are wanted ones by project. Where the plane says its own as a setting, they take its place; the
    others are left to :func:`planebench.run.provision.versions`.

    Raises UsageError that names the file and the field: an unknown plane or setting, a missing file, a key that
    the model does not know, a reference to nothing.
    """
    folder = _folder(name)
    source = folder / "plane.yaml"
    documents = _read(source)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise UsageError(f"{source}: must hold one mapping")
    document = documents[0]
    known = document.get("settings") or {}
    if not isinstance(known, dict):
        raise UsageError(f"{source}: settings: must be a mapping")
    for key, value in (settings or {}).items():
        if key not in known:
            raise UsageError(f"plane {name} has no setting {key!r}; it has: {', '.join(sorted(known)) or 'none'}")
        if type(value) is not type(known[key]):
            kind = type(known[key]).__name__
            raise UsageError(f"setting {key!r} of plane {name} must be of type {kind}, not {value!r}")
    effective = {**known, **(settings or {}), **_chosen(document, versions or {})}
    try:
        document = {**substitute(document, effective, partial=True), "settings": effective}
        # By way of JSON, where a strict model still takes lists as tuples.
        plane = Plane.model_validate_json(json.dumps(document, default=str))
    except (TypeError, RecursionError):  # a key that is no text, an alias within itself
        raise UsageError(
            f"{source}: must be plain data: mappings with text as keys, lists, texts, numbers"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(part if part.isprintable() else repr(part) for part in map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{source}: {where + ': ' if where else ''}{message}") from None
    plane._folder = folder
    plane._source = str(folder.absolute()) if isinstance(folder, Path) and "/" in name else name
    _check_files(plane, folder)
    return plane


def read_plane(text: str | bytes) -> Plane:
    """A plane from what :meth:`Plane.as_json` wrote, for analysis: it has no other files.

    Raises:
        ValidationError: it is none.
    """
    data = json.loads(text)
    manifests = data.pop("manifests", None)
    plane = Plane.model_validate_json(json.dumps(data))
    plane._manifests = load_manifests(plane) if manifests is None else manifests
    return plane


def load_manifests(plane: Plane) -> Mapping[str, Manifest]:
    """Its workloads' objects by its name, where it was written down without them."""
    loaded = load_plane(plane.name, plane.settings)
    return {name: loaded.manifest(name) for name in plane.workloads if name in loaded.workloads}


def substitute(value: Any, values: Mapping[str, Setting], *, partial: bool = False) -> Any:
    """Puts ``values`` where strings say ``${name}``; a string that is nothing but ``${name}`` takes the value's
    type. ``partial`` leaves unknown names as they are, otherwise they raise UsageError."""

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name in values:
            return str(values[name])
        if partial:
            return match[0]
        raise UsageError(f"${{{name}}} is unknown here; known are: {', '.join(sorted(values)) or 'none'}")

    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        return values[whole[1]] if whole and whole[1] in values else _PLACEHOLDER.sub(one, value)
    if isinstance(value, Mapping):
        return {key: substitute(item, values, partial=partial) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [substitute(item, values, partial=partial) for item in value]
    return value


_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def _chosen(document: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Setting]:
    """Setting -> the version wanted, of the settings by which a plane says what its objects belong to."""
    said = document.get("versions")
    placeholders = {
        project: _PLACEHOLDER.fullmatch(text) if isinstance(text, str) else None
        for project, text in (said if isinstance(said, dict) else {}).items()
    }
    return {
        placeholder[1]: versions[project].removeprefix("v")
        for project, placeholder in placeholders.items()
        if placeholder and project in versions
    }


def _folder(name: str) -> Traversable:
    builtin = files(__package__) / name
    if "/" not in name and (builtin / "plane.yaml").is_file():
        return builtin
    folder = Path(name)
    if (folder / "plane.yaml").is_file():
        return folder
    raise UsageError(
        f"plane {name!r} is neither built in ({', '.join(builtin_names())}) nor a folder with a plane.yaml"
    )


def _check_files(plane: Plane, folder: Traversable) -> None:
    named = [("install", source.file) for source in plane.install]
    named += [("expose", source.file) for source in plane.expose]
    named += [("namespace", source.file) for source in plane.namespace]
    named += [("simulator.stages", name) for name in plane.simulator.stages]
    named += [(f"processes.{process.name}.files", name) for process in plane.processes for name in process.files]
    named += [(f"binaries.{name}", path) for name, path in plane.binaries.items()]
    named += [(f"workloads.{key}.manifest", workload.manifest) for key, workload in plane.workloads.items()]
    named += [
        (f"workloads.{key}.companions", companion.manifest)
        for key, workload in plane.workloads.items()
        for companion in workload.companions
    ]
    for field, name in named:
        if not (folder / name).is_file():
            _demand_version(plane, folder, name)
            raise UsageError(f"{folder / 'plane.yaml'}: {field}: there is no file {name}")
    for process in plane.processes:
        known = process.placeholders | plane.settings.keys()
        for name in process.files:
            if unknown := sorted(set(_PLACEHOLDER.findall(_text(folder / name))) - known):
                raise UsageError(f"{folder / name}: ${{{unknown[0]}}} is unknown to process {process.name}")


def _demand_version(plane: Plane, folder: Traversable, missing: str) -> None:
    """Raises UsageError where a missing file is one of a version; it names the versions that there are."""
    for project, version in plane.versions.items():
        place, _, name = missing.rpartition("/")
        before, found, after = name.partition(version)
        if not found:
            continue
        beside = folder / place if place else folder
        names = [entry.name for entry in beside.iterdir()] if beside.is_dir() else []
        there = sorted(
            each.removeprefix(before).removesuffix(after)
            for each in names
            if each.startswith(before) and each.endswith(after)
        )
        setting = next((key for key, value in plane.settings.items() if value == place), "")
        named = f" and name their folder by --set settings.{setting}=/FOLDER" if setting else ""
        raise UsageError(
            f"plane {plane.name} has no definitions, rights and webhooks of {project} {version} "
            f"({missing}), but those of {', '.join(there) or 'no version'}; choose one of these, or make others "
            f"(docs/versions.md){named}"
        )


def _text(source: Traversable) -> str:
    try:
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: cannot be read: {error}") from None


def _read(source: Traversable) -> list[Any]:
    """The documents of a YAML or JSON file, perhaps gzipped."""
    name = source.name
    try:
        data = source.read_bytes()
        if name.endswith(".gz"):
            data = gzip.decompress(data)
            name = name.removesuffix(".gz")
        if name.endswith(".json"):
            return [json.loads(data)]
        return [document for document in yaml.safe_load_all(data) if document is not None]
    except (OSError, EOFError, zlib.error, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{source}: cannot be read: {' '.join(str(error).split())}") from None


def _objects(value: Any) -> Iterator[Manifest]:
    """Every Kubernetes object in a document; what is inside an object is its own, except for a List's items."""
    if isinstance(value, dict):
        if "kind" in value and "apiVersion" in value and "items" not in value:
            yield value
        else:
            for item in value.values():
                yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)
