"""A scenario for a cluster that others use, too: its nodes keep others off, and its workload keeps to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planebench.constraints import pod_of
from planebench.model import Manifest
from planebench.nodes import POOL_LABEL, SIMULATOR_LABEL
from planebench.plan.objects import RUN_LABEL, source_of
from planebench.planes import Plane
from planebench.scenario import NodePool, ObjectKind, Scenario, Taint
from planebench.stages import merge_patch

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def pinned(scenario: Scenario, plane: Plane, run_id: str) -> Scenario:
    """The scenario with nodes that carry the run's label and a taint of the same name, and that the run's own
    simulator plays; every pod of the workload tolerates that taint and demands that label by its affinity.

    The nodes' names end with the last part of the run's id, so that no cluster has them already.
    """
    return scenario.model_copy(
        update={
            "nodes": tuple(_pool(pool, run_id) for pool in scenario.nodes),
            "workload": scenario.workload.model_copy(
                update={"objects": tuple(_kind(kind, plane, run_id) for kind in scenario.workload.objects)}
            ),
        }
    )


def _pool(pool: NodePool, run_id: str) -> NodePool:
    name = f"{pool.name}-{run_id.rpartition('-')[2]}"
    labels = {POOL_LABEL: pool.name, **pool.labels, RUN_LABEL: run_id, SIMULATOR_LABEL: run_id}
    taints = (*pool.taints, Taint(key=RUN_LABEL, value=run_id))
    return pool.model_copy(update={"name": name, "labels": labels, "taints": taints})


def _kind(kind: ObjectKind, plane: Plane, run_id: str) -> ObjectKind:
    watches = plane.workload(kind.template).watches
    if not any(plane.watches[name].resource.kind == "Pod" for name in watches):
        return kind  # nothing of it is scheduled
    source = source_of(kind, plane)
    placement: Mapping[str, Any] = _placement(pod_of(source)[1], run_id)
    spec = source.get("spec")
    in_template = isinstance(spec, Mapping) and "spec" in (spec.get("template") or {})
    change: Manifest = {"spec": {"template": {"spec": placement}} if in_template else placement}
    return kind.model_copy(update={"patch": merge_patch(kind.patch or {}, change)})


def _placement(pod: Mapping[str, Any], run_id: str) -> Mapping[str, Any]:
    """What a pod's spec says of its place, and the run's taint and nodes."""
    toleration = {"key": RUN_LABEL, "operator": "Equal", "value": run_id, "effect": "NoSchedule"}
    demand = {"key": RUN_LABEL, "operator": "In", "values": [run_id]}
    affinity: Mapping[str, Any] = pod.get("affinity") or {}
    terms: Sequence[Mapping[str, Any]] = ((affinity.get("nodeAffinity") or {}).get(_REQUIRED) or {}).get(
        "nodeSelectorTerms"
    ) or [{}]
    # One term suffices to be scheduled: each has to demand it.
    demanding = [{**term, "matchExpressions": [*(term.get("matchExpressions") or ()), demand]} for term in terms]
    return {
        "tolerations": [*(pod.get("tolerations") or ()), toleration],
        "affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": demanding}}},
    }
