"""The objects of a scenario's workload: which is of which kind, how they are named and what is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planebench import nodes
from planebench.constraints import pod_of, takes
from planebench.model import INDEX_LABEL, Manifest, Resource
from planebench.plan.arrivals import permutation, stream
from planebench.plan.operations import Naming
from planebench.planes import Convergence, Plane, Workload
from planebench.scenario import ObjectKind, Scenario, apportion
from planebench.stages import merge_patch

RUN_LABEL = "planebench.dev/run"
REVISION_LABEL = "planebench.dev/revision"


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A part of the workload: objects that are alike."""

    source: ObjectKind
    workload: Workload
    """What the plane knows of them."""
    indices: NDArray[np.int32]
    """Their numbers in the workload, ascending."""
    naming: Naming

    children: Mapping[str, int]
    """Watch -> how many objects of it each of them gives rise to; a watch that is not here has one."""

    def successors(self, converged: Convergence) -> int:
        """How many objects have to reach a change's milestone for each object that is changed."""
        return self.children.get(converged.watch, 1) if converged.objects == "all" else converged.objects

    @property
    def expected(self) -> bool:
        """They are to come up."""
        return self.source.expect == "up"

    @property
    def refused(self) -> bool:
        """They, or what they are made of, are to be refused."""
        return self.source.expect == "refused"

    @property
    def template(self) -> str:
        return self.source.template

    @property
    def resource(self) -> Resource:
        return self.workload.resource.resource()


def kinds_of(scenario: Scenario, plane: Plane, seed: int) -> tuple[Kind, ...]:
    """The workload's kinds; which number is of which kind is drawn, how many are of each is not."""
    objects, count = scenario.workload.objects, scenario.workload.count
    sizes = apportion(count, [kind.share for kind in objects])
    listed = scenario.workload.order == "listed"
    mixed = np.arange(count, dtype=np.int32) if listed else permutation(stream(seed, "kinds"), count)
    ends = np.cumsum(sizes)
    return tuple(
        Kind(
            source=source,
            workload=plane.workload(source.template),
            indices=np.sort(mixed[end - size : end]),
            naming=Naming(
                f"{source.prefix}-{{:06d}}",
                scenario.namespaces if plane.workload(source.template).resource.namespaced else ("",),
            ),
            children=children_of(source, scenario, plane),
        )
        for source, size, end in zip(objects, sizes, ends.tolist(), strict=True)
    )


def children_of(source: ObjectKind, scenario: Scenario, plane: Plane) -> Mapping[str, int]:
    """Watch -> how many objects of it each object of a kind gives rise to, where that is not one."""
    wanted = plane.workload(source.template).children
    if not any(number == "nodes" for number in wanted.values()):
        return {watch: int(number) for watch, number in wanted.items()}
    _, pod = pod_of(source_of(source, plane))
    fitting = sum(takes(node, pod) for node in nodes.manifests(scenario.nodes, plane))
    return {watch: fitting if number == "nodes" else int(number) for watch, number in wanted.items()}


def source_of(source: ObjectKind, plane: Plane) -> Manifest:
    """The object of a kind as the plane or the scenario gives it."""
    manifest = plane.manifest(source.template) if source.manifest is None else source.manifest
    merged: Manifest = merge_patch(manifest, source.patch or {})
    return merged


def companions_of(kind: Kind, plane: Plane, run_id: str) -> tuple[tuple[Resource, Manifest], ...]:
    """What is created along with each object of a kind: its resource and the object, labelled in the same way."""
    return tuple(
        (companion.resource.resource(), _identified(plane.companion(companion), run_id, namespaced=True))
        for companion in kind.workload.companions
    )


def manifest_of(kind: Kind, plane: Plane, run_id: str) -> Manifest:
    """The object to create, its number and name still to be filled in, with planebench's labels.

    An object of one's own may come from a cluster (``kubectl get -o yaml``): what the server had set is left out.
    Where it is a template for further objects (``spec.template``), those carry the labels, too.
    """
    return _identified(source_of(kind.source, plane), run_id, namespaced=kind.workload.resource.namespaced)


def _identified(source: Manifest, run_id: str, *, namespaced: bool) -> Manifest:
    manifest = {key: value for key, value in source.items() if key != "status"}
    identity = {"name": "__NAME__"}
    if namespaced:
        identity["namespace"] = "__NAMESPACE__"
    kept = {
        key: value
        for key, value in _mapping(source.get("metadata")).items()
        if key in ("annotations", "labels", "finalizers")
    }
    manifest["metadata"] = _labelled(kept, run_id) | identity
    spec = manifest.get("spec")
    if isinstance(spec, Mapping) and isinstance(template := spec.get("template"), Mapping) and "spec" in template:
        metadata = _labelled(_mapping(template.get("metadata")), run_id)
        manifest["spec"] = {**spec, "template": {**template, "metadata": metadata}}
    return manifest


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _labelled(metadata: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    labels = {**_mapping(metadata.get("labels")), RUN_LABEL: run_id, INDEX_LABEL: "__INDEX__"}
    return {**metadata, "labels": labels}
