"""The objects of a scenario's workload: which is of which kind, how they are named and what is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planebench.model import Manifest, Resource
from planebench.plan.arrivals import permutation, stream
from planebench.plan.operations import Naming
from planebench.planes import Plane, Workload
from planebench.planes.plane import INDEX_LABEL
from planebench.scenario import ObjectKind, Scenario, apportion

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
    mixed = permutation(stream(seed, "kinds"), count)
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
        )
        for source, size, end in zip(objects, sizes, ends.tolist(), strict=True)
    )


def manifest_of(kind: Kind, plane: Plane, run_id: str) -> Manifest:
    """The object to create, its number and name still to be filled in, with planebench's labels.

    An object of one's own may come from a cluster (``kubectl get -o yaml``): what the server had set is left out.
    Where it is a template for further objects (``spec.template``), those carry the labels, too.
    """
    source = plane.manifest(kind.template) if kind.source.manifest is None else kind.source.manifest
    manifest = {key: value for key, value in source.items() if key != "status"}
    identity = {"name": "__NAME__"}
    if kind.workload.resource.namespaced:
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
