"""A scenario and a seed become phases of load. Pure: the same seed gives the same operations at the same times."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from planebench.model import (
    LoadPhase,
    Manifest,
    MilestoneRule,
    RequestTemplate,
    Resource,
    Stage,
    WatchSpec,
    json_body,
)
from planebench.plan import canary
from planebench.plan.arrivals import DueTimes, arrivals, constant, permutation, stream, uniform
from planebench.plan.canary import CANARY
from planebench.plan.objects import RUN_LABEL, Kind, companions_of, kinds_of, manifest_of
from planebench.plan.operations import Naming, Operations
from planebench.planes import Plane
from planebench.planes.plane import CHURN, DELETE_OPTIONS
from planebench.scenario import NodeFault, Scenario

NODES: Final = "nodes"
"""The watch of the nodes."""

LIST_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "full": ("", "application/json"),
    "page": ("?limit=500", "application/json"),
    "metadata": ("", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
    "stream": (
        "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        "application/json",
    ),
}
"""Form -> query and media type. 500 is client-go's page size."""

LEASES: Final = "leases"
"""The watch of the nodes' leases, in scenarios with silent nodes."""

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
"""The taint of nodes that somebody knows to be off."""

_READY = "status.conditions[Ready].status"
_UNREACHABLE = "node.kubernetes.io/unreachable"
_LEASE_NAMESPACE = "kube-node-lease"
_LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
STORM: Final = "storm"
"""How the names of LIST storms' phases begin."""

_STREAM_END = "k8s.io/initial-events-end"
"""The bookmark's annotation that ends a stream's initial events (kubernetes v1.37, apimachinery meta/v1)."""
_PREPARATION_PER_S = 200.0
"""Nodes and namespaces come quickly, but not all in one instant: they are not what is measured."""
_NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
_NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


class Planner:
    """The phases of one trial.

    Every object carries the labels ``planebench.dev/run`` (the run's id) and ``planebench.dev/index`` (its number
    in the workload); it is named ``PREFIX-000123`` by that number. Namespaces take their objects in turn.
    """

    def __init__(
        self,
        scenario: Scenario,
        plane: Plane,
        *,
        run_id: str,
        seed: int | None = None,
        owner: Manifest | None = None,
    ) -> None:
        """
        Args:
            seed: None: the scenario's own.
            owner: an owner reference to a cluster-scoped object: all that is not in a namespace of the run goes
                with it. None: nothing has an owner.
        """
        self._scenario = scenario
        self._owned: Mapping[str, Any] = {"ownerReferences": [owner]} if owner else {}
        self._plane = plane
        self._run_id = run_id
        self._seed = scenario.seed if seed is None else seed

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """The workload's objects, by kind."""
        return kinds_of(self._scenario, self._plane, self._seed)

    @cached_property
    def selected(self) -> Mapping[str, tuple[tuple[Kind, NDArray[np.int32]], ...]]:
        """Change -> for each kind that offers it, the numbers of the objects that it changes.

        Changes take disjoint samples of each kind; one that needs another takes part of that one's.
        """
        chosen: dict[str, tuple[tuple[Kind, NDArray[np.int32]], ...]] = {}
        mixed = [
            kind.indices[permutation(stream(self._seed, f"sample {number}"), len(kind.indices))]
            for number, kind in enumerate(self.kinds)
        ]
        taken = [0.0] * len(self.kinds)
        for name, load in self._scenario.lifecycle.management.items():
            samples = []
            for number, kind in enumerate(self.kinds):
                change = kind.workload.offered.get(name)
                if change is None:
                    continue
                if change.needs:
                    pool = next(sample for other, sample in chosen[change.needs] if other is kind)
                    sample = pool[: _part(load.share, len(pool))]
                else:
                    first = _part(taken[number], len(mixed[number]))
                    taken[number] += load.share
                    sample = mixed[number][first : _part(taken[number], len(mixed[number]))]
                samples.append((kind, sample))
            chosen[name] = tuple(samples)
        return chosen

    # --- before the stages ---

    def watches(self) -> tuple[WatchSpec, ...]:
        """What to watch from before the first phase on: nodes, workload (as the plane has it) and canaries."""
        nodes = WatchSpec(
            name=NODES,
            resource=_NODES,
            milestones=(
                MilestoneRule("ready", _READY, equals="True", simulated=True),
                MilestoneRule("noschedule", "spec.taints", contains=_unreachable("NoSchedule"), again=True),
                MilestoneRule("noexecute", "spec.taints", contains=_unreachable("NoExecute"), again=True),
                MilestoneRule("out-of-service", "spec.taints", contains=(("key", OUT_OF_SERVICE),), again=True),
            ),
            label_selector=f"{RUN_LABEL}={self._run_id}",
            revision_field=_READY,
        )
        found = {NODES: nodes}
        if any(isinstance(fault, NodeFault) for fault in self._scenario.faults):
            # Their events tell when a node was last heard of.
            found[LEASES] = WatchSpec(LEASES, _LEASES, (), namespaces=(_LEASE_NAMESPACE,))
        for kind in self.kinds:
            changes = self._scenario.lifecycle.management
            found |= {spec.name: spec for spec in self._plane.watch_specs(kind.template, changes=changes)}
        if canary.names(self._scenario):
            found[CANARY] = canary.watch()
        return tuple(found.values())

    def namespaces(self) -> LoadPhase:
        """Creates the namespaces."""
        names = [*self._scenario.namespaces, *[canary.NAMESPACE] * bool(canary.names(self._scenario))]
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "__NAME__", "labels": {RUN_LABEL: self._run_id}, **self._owned},
        }
        template = RequestTemplate("create", _NAMESPACES.id, "POST", _NAMESPACES.path(), json_body(manifest))
        return self._fixed("namespaces", [template] * len(names), [Naming(name) for name in names])

    def nodes(self, manifests: Sequence[Manifest]) -> LoadPhase:
        """Creates the simulated nodes."""
        labelled = [
            {
                **manifest,
                "metadata": {
                    **metadata,
                    "labels": {**metadata.get("labels", {}), RUN_LABEL: self._run_id},
                    **self._owned,
                },
            }
            for manifest in manifests
            for metadata in [manifest["metadata"]]
        ]
        templates = [
            RequestTemplate("create", _NODES.id, "POST", _NODES.path(), json_body(manifest))
            for manifest in labelled
        ]
        return self._fixed("nodes", templates, [Naming(manifest["metadata"]["name"]) for manifest in manifests])

    def canaries(self) -> LoadPhase:
        """Creates the objects that canary reads and writes go to; without any it has no operations."""
        created = canary.creations(self._scenario, self._run_id)
        return self._fixed(CANARY, [template for template, _ in created], [naming for _, naming in created])

    # --- the stages ---

    def creation(self) -> LoadPhase:
        """Creates every object, in the order of their numbers; its companions are due at the same time. Reads and
        writes of canaries go on beside, where they are wanted.
        """
        templates = [self._creation_of(kind) for kind in self.kinds]
        arrival = self._scenario.lifecycle.creation.arrival
        due_ns = arrivals(arrival, self._scenario.workload.count, stream(self._seed, "creation"))
        companions = [
            (
                number,
                RequestTemplate(
                    "create", resource.id, "POST", resource.path("__NAMESPACE__"), json_body(manifest)
                ),
            )
            for number, kind in enumerate(self.kinds)
            for resource, manifest in companions_of(kind, self._plane, self._run_id)
        ]
        return self._with_canaries(self._of_all("creation", Stage.CREATION, templates, due_ns, companions))

    def management(self) -> tuple[LoadPhase, ...]:
        """One phase for each change, by its name and in the scenario's order.

        The new value of a change that sets a revision is the change's name.
        """
        phases = []
        for name, load in self._scenario.lifecycle.management.items():
            samples = self.selected[name]
            if name == CHURN:
                phases.append(self._churn(load.rate, samples))
                continue
            templates = [self._plane.change(kind.template, name, revision=name) for kind, _ in samples]
            template, index = _columns([sample for _, sample in samples])
            order = permutation(stream(self._seed, f"order {name}"), len(index))
            operations = Operations.ordered(
                constant(load.rate, len(index)),
                template[order],
                index[order],
                [kind.naming for kind, _ in samples],
            )
            phases.append(self._phase(name, Stage.MANAGEMENT, templates, operations))
        return tuple(phases)

    def _churn(self, rate: float, samples: Sequence[tuple[Kind, NDArray[np.int32]]]) -> LoadPhase:
        """Deletes objects, and creates others of the same kinds and numbers under other names at the same time: as
        many are held."""
        templates: list[RequestTemplate] = []
        namings: list[Naming] = []
        columns: list[tuple[DueTimes, NDArray[np.int32], NDArray[np.int32]]] = []
        _, index = _columns([sample for _, sample in samples])
        order = permutation(stream(self._seed, f"order {CHURN}"), len(index))
        due_ns = np.empty(self._scenario.workload.count, np.int64)
        due_ns[index[order]] = constant(rate, len(index))
        options = json_body(DELETE_OPTIONS)
        for kind, sample in samples:
            requests = [
                (self._plane.delete(kind.template), kind.naming),
                (self._creation_of(kind), _churned(kind.naming)),
            ]
            for resource, manifest in companions_of(kind, self._plane, self._run_id):
                path = resource.path("__NAMESPACE__", "__NAME__")
                requests.append((RequestTemplate("delete", resource.id, "DELETE", path, options), kind.naming))
                path = resource.path("__NAMESPACE__")
                created = RequestTemplate("create", resource.id, "POST", path, json_body(manifest))
                requests.append((created, _churned(kind.naming)))
            for template, naming in requests:
                number = np.full(len(sample), len(templates), np.int32)
                columns.append((due_ns[sample], number, sample.astype(np.int32)))
                templates.append(template)
                namings.append(naming)
        due, template_of, indices = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        return self._phase(
            CHURN, Stage.MANAGEMENT, templates, Operations.ordered(due, template_of, indices, namings)
        )

    def _renamed(self, phase: LoadPhase) -> LoadPhase:
        """The phase with the names that objects have after a churn."""
        operations = phase.operations
        samples = self.selected.get(CHURN, ())
        if not samples or not isinstance(operations, Operations):
            return phase
        templates, namings = [*phase.templates], [*operations.namings]
        numbers = operations.templates.copy()
        for kind, sample in samples:
            changed = np.isin(operations.indices, sample)
            for number, naming in enumerate(operations.namings):
                if naming == kind.naming:
                    numbers[changed & (operations.templates == number)] = len(templates)
                    templates.append(phase.templates[number])
                    namings.append(_churned(naming))
        return self._phase(
            phase.name,
            phase.stage,
            templates,
            Operations(operations.due_ns, numbers, operations.indices, tuple(namings)),
        )

    def monitoring(self) -> LoadPhase:
        """LISTs of each watched resource in each form, single reads, and canary writes, all over the same time.

        A LIST's operation is named by its form; a canary write's index is its number, and the revision it writes.
        """
        settings = self._scenario.lifecycle.monitoring
        templates: list[RequestTemplate] = []
        namings: list[Naming] = []
        columns: list[tuple[DueTimes, NDArray[np.int32], NDArray[np.int32]]] = []

        def add(template: NDArray[np.int32], index: NDArray[np.int32], rate_per_s: float) -> None:
            half_a_step = int(0.5e9 / rate_per_s)
            columns.append((constant(rate_per_s, len(index)) + half_a_step, template + len(templates), index))

        if settings.duration and settings.lists and settings.forms:
            own = (CANARY, LEASES)
            resources = {spec.resource.id: spec.resource for spec in self.watches() if spec.name not in own}
            lists = [
                (_list_template(resource, form), Naming(form))
                for resource in resources.values()
                for form in settings.forms
            ]
            count = settings.lists * len(lists)
            add(
                np.arange(count, dtype=np.int32) % len(lists),
                np.full(count, -1, np.int32),
                count / settings.duration,
            )
            templates += [template for template, _ in lists]
            namings += [naming for _, naming in lists]
        if reads := int(settings.duration * settings.reads):
            drawn = uniform(stream(self._seed, "reads"), reads) * self._scenario.workload.count
            index = drawn.astype(np.int32)
            add(self._kind_of[index], index, settings.reads)
            templates += [_read_template(kind.resource) for kind in self.kinds]
            namings += [kind.naming for kind in self.kinds]
        if writes := canary.at_rest(self._scenario):
            index = np.arange(writes, dtype=np.int32) + canary.beside(self._scenario)[1]
            add(np.zeros_like(index), index, settings.canary)
            templates.append(canary.template("patch"))
            namings.append(canary.AT_REST)
        due_ns, template, index = (
            [np.concatenate(parts) for parts in zip(*columns, strict=True)]
            if columns
            else (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int32))
        )
        operations = Operations.ordered(due_ns, template, index, namings)
        return self._renamed(self._phase("monitoring", Stage.MONITORING, templates, operations))

    def storms(self) -> tuple[LoadPhase, ...]:
        """LISTs of the first kind's objects, all due at once: whole ones, then streams if they are wanted."""
        settings = self._scenario.lifecycle.monitoring
        forms = [form for form in ("full", "stream") if form == "full" or form in settings.forms]
        if not settings.storm or not settings.duration:
            return ()
        none = np.zeros(settings.storm, np.int32)
        return tuple(
            self._phase(
                f"{STORM}-{form}",
                Stage.MONITORING,
                [_list_template(self.kinds[0].resource, form)],
                Operations(none.astype(np.int64), none, none - 1, (Naming(form),)),
            )
            for form in forms
        )

    def cleanup(self) -> LoadPhase:
        """Deletes every object, in the order of their numbers; its companions are due at the same time."""
        templates = [self._plane.delete(kind.template) for kind in self.kinds]
        due_ns = constant(self._scenario.lifecycle.cleanup.rate, self._scenario.workload.count)
        options = json_body(DELETE_OPTIONS)
        companions = [
            (
                number,
                RequestTemplate(
                    "delete", resource.id, "DELETE", resource.path("__NAMESPACE__", "__NAME__"), options
                ),
            )
            for number, kind in enumerate(self.kinds)
            for resource, _ in companions_of(kind, self._plane, self._run_id)
        ]
        return self._renamed(self._of_all("cleanup", Stage.CLEANUP, templates, due_ns, companions))

    def setup(self) -> tuple[Manifest, ...]:
        """What the plane puts into every namespace of the workload, then the scenario's further objects, with the
        run's label; the latter's namespace, if they are to have any, is the workload's first one.
        """
        namespaces = self._scenario.namespaces
        of_plane = [item for source in self._plane.namespace for item in self._plane.manifests(source)]
        objects = [
            *((item, {"namespace": namespace}) for namespace in namespaces for item in of_plane),
            *((item, {"namespace": namespaces[0], **item["metadata"]}) for item in self._scenario.setup),
        ]
        return tuple(
            {
                **item,
                "metadata": {
                    **item["metadata"],
                    **identity,
                    "labels": {**(item["metadata"].get("labels") or {}), RUN_LABEL: self._run_id},
                    **self._owned,
                },
            }
            for item, identity in objects
        )

    def silenced(self, fault: int) -> tuple[str, ...]:
        """The names of the nodes that a fault of the scenario strikes, drawn by the seed."""
        struck = self._scenario.faults[fault]
        assert isinstance(struck, NodeFault), "only these strike nodes"  # noqa: S101
        names = [
            pool.node(number)
            for pool in self._scenario.nodes
            for number in range(pool.count)
            if struck.zone in (None, pool.zone(number))
        ]
        count = struck.count(len(names))
        taken = self._struck_meanwhile(fault)
        free = [name for name in names if name not in taken]
        names = free if len(free) >= count else names
        order = permutation(stream(self._seed, f"fault {fault}"), len(names))
        return tuple(sorted(names[place] for place in order[:count]))

    def _struck_meanwhile(self, fault: int) -> set[str]:
        """The nodes of earlier faults that go on meanwhile: this one strikes others, where there are enough."""
        one = self._scenario.faults[fault]
        return {
            name
            for number, before in enumerate(self._scenario.faults[:fault])
            if isinstance(before, NodeFault)
            and before.stage == one.stage
            and before.at <= one.at + one.duration
            and one.at <= before.at + before.duration
            for name in self.silenced(number)
        }

    # --- parts ---

    def _creation_of(self, kind: Kind) -> RequestTemplate:
        return dataclasses.replace(self._plane.create(kind.template), body=json_body(self._manifest(kind)))

    def _manifest(self, kind: Kind) -> Manifest:
        manifest = manifest_of(kind, self._plane, self._run_id)
        if kind.resource.namespaced:
            return manifest
        return {**manifest, "metadata": {**manifest["metadata"], **self._owned}}

    @cached_property
    def _kind_of(self) -> NDArray[np.int32]:
        """Object number -> position of its kind."""
        result = np.empty(self._scenario.workload.count, np.int32)
        for number, kind in enumerate(self.kinds):
            result[kind.indices] = number
        return result

    def _with_canaries(self, phase: LoadPhase) -> LoadPhase:
        """The creation, with reads and writes of canaries beside it."""
        operations = phase.operations
        assert isinstance(operations, Operations)  # noqa: S101 (all phases here have them in columns)
        templates, parts = [*phase.templates], [operations]
        for more, requests in canary.requests(self._scenario):
            parts.append(dataclasses.replace(requests, templates=requests.templates + np.int32(len(templates))))
            templates += more
        if len(parts) == 1:
            return phase
        return self._phase(
            phase.name,
            phase.stage,
            templates,
            Operations.ordered(
                np.concatenate([part.due_ns for part in parts]),
                np.concatenate([part.templates for part in parts]),
                np.concatenate([part.indices for part in parts]),
                [naming for part in parts for naming in part.namings],
            ),
        )

    def _of_all(
        self,
        name: str,
        stage: Stage,
        templates: Sequence[RequestTemplate],
        due_ns: DueTimes,
        companions: Sequence[tuple[int, RequestTemplate]],
    ) -> LoadPhase:
        """One operation for each object, and one for each of its companions: (kind's position, template)."""
        index = np.arange(self._scenario.workload.count, dtype=np.int32)
        namings = tuple(kind.naming for kind in self.kinds)
        if not companions:
            return self._phase(name, stage, templates, Operations(due_ns, self._kind_of, index, namings))
        indices = [index, *(self.kinds[kind].indices for kind, _ in companions)]
        template = [self._kind_of]
        for number, (kind, _) in enumerate(companions, len(templates)):
            template.append(np.full(len(self.kinds[kind].indices), number, np.int32))
        operations = Operations.ordered(
            np.concatenate([due_ns[part] for part in indices]),
            np.concatenate(template),
            np.concatenate(indices),
            [*namings, *(self.kinds[kind].naming for kind, _ in companions)],
        )
        return self._phase(name, stage, [*templates, *(item for _, item in companions)], operations)

    def _fixed(self, name: str, templates: Sequence[RequestTemplate], namings: Sequence[Naming]) -> LoadPhase:
        """A preparation: each template once."""
        number = np.arange(len(templates), dtype=np.int32)
        due_ns = constant(_PREPARATION_PER_S, len(templates))
        return self._phase(
            name, None, templates, Operations(due_ns, number, np.full_like(number, -1), tuple(namings))
        )

    def _phase(
        self, name: str, stage: Stage | None, templates: Sequence[RequestTemplate], operations: Operations
    ) -> LoadPhase:
        return LoadPhase(
            name=name,
            stage=stage,
            templates=tuple(templates),
            operations=operations,
            request_timeout_s=self._scenario.timeouts.request,
        )


def _churned(naming: Naming) -> Naming:
    """How the objects are named that come in place of others."""
    return dataclasses.replace(naming, name=f"{naming.name}-again")


def _part(share: float, count: int) -> int:
    """``share`` of ``count``, rounded; the tolerance lets 0.1 + 0.2 be 0.3."""
    return min(int(share * count + 0.5 + 1e-9), count)


def _columns(samples: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Template and index columns of samples that have one template each."""
    template = np.repeat(np.arange(len(samples), dtype=np.int32), [len(sample) for sample in samples])
    return template, np.concatenate([np.empty(0, np.int32), *samples])


def _unreachable(effect: str) -> tuple[tuple[str, str], ...]:
    return (("key", _UNREACHABLE), ("effect", effect))


def _list_template(resource: Resource, form: str) -> RequestTemplate:
    query, accept = LIST_FORMS[form]
    until = _STREAM_END if form == "stream" else ""
    return RequestTemplate("list", resource.id, "GET", resource.path() + query, accept=accept, until=until)


def _read_template(resource: Resource) -> RequestTemplate:
    return RequestTemplate("get", resource.id, "GET", resource.path("__NAMESPACE__", "__NAME__"))
