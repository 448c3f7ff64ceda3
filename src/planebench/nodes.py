"""Simulated nodes: manifests from a scenario's pools, with what the plane adds to each."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Final

from planebench.constraints import ZONE
from planebench.model import Manifest
from planebench.planes import Plane

if TYPE_CHECKING:  # in `model` terms only: a scenario is read, never made, here
    from planebench.scenario import NodePool

POOL_LABEL: Final = "planebench.dev/pool"
SIMULATOR_LABEL: Final = "planebench.dev/simulator"
"""Names the simulator that plays a node; without the label the node is released and falls silent."""
SIMULATOR: Final = "kwok"
"""The simulator of a control plane of planebench's own; of several, the nodes are shared out among them."""

LEASES_PATH: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
"""Where the API server has the nodes' leases."""

_EPHEMERAL_STORAGE = "500Gi"
"""Every node has some, and some pods ask for it."""
_FIRST_ADDRESS = ipaddress.IPv4Address("10.64.0.1")


def simulators(topology: Mapping[str, int]) -> tuple[str, ...]:
    """The processes that play a control plane's nodes, as :data:`SIMULATOR_LABEL` names them: ``kwok``, or
    ``kwok-1`` and so on.

    ``topology``: component -> how many members it has; one where nothing is said.
    """
    count = topology.get(SIMULATOR, 1)
    return (SIMULATOR,) if count == 1 else tuple(f"{SIMULATOR}-{number}" for number in range(1, count + 1))


def played_by(pools: Iterable[NodePool], by: Sequence[str] = (SIMULATOR,)) -> dict[str, str]:
    """Node -> who plays it: its pool's label, or else one of ``by`` after the other, so that each has its share of
    every pool."""
    return {
        pool.node(number): pool.labels.get(SIMULATOR_LABEL, simulator)
        for pool in pools
        for number, simulator in zip(range(pool.count), cycle(by), strict=False)
    }


def manifests(pools: Iterable[NodePool], plane: Plane, by: Sequence[str] = (SIMULATOR,)) -> Iterator[Manifest]:
    """The nodes of all pools in order, named ``POOL-000000`` and so on; not Ready until KWOK says so.

    Capacity and allocatable are the same: nothing is reserved for a system that does not exist. A pool's own
    labels and capacity win over the plane's. ``by``: see :func:`played_by`.
    """
    address = _FIRST_ADDRESS
    for pool in pools:
        simulator = played_by([pool], by)
        for number in range(pool.count):
            yield _manifest(pool, number, plane, str(address), simulator[pool.node(number)])
            address += 1


def _manifest(pool: NodePool, number: int, plane: Plane, address: str, simulator: str) -> Manifest:
    name = pool.node(number)
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        # A kubelet brings the former names, too; the controller manager would add them, with two requests a node
        # (kubernetes v1.37.2, pkg/kubelet/kubelet_node_status.go and labelReconcileInfo of nodelifecycle).
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "node-role.kubernetes.io/worker": "",
        POOL_LABEL: pool.name,
        SIMULATOR_LABEL: simulator,
        **plane.nodes.labels,
    }
    if zone := pool.zone(number):
        labels[ZONE] = zone
    labels |= pool.labels
    capacity = {"ephemeral-storage": _EPHEMERAL_STORAGE, **plane.nodes.capacity, **pool.capacity}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": dict(plane.nodes.annotations)},
        "spec": {"taints": [taint.model_dump() for taint in pool.taints]} if pool.taints else {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "simulated by KWOK",
                "kernelVersion": "",
                "kubeletVersion": "kwok",
                "kubeProxyVersion": "",
                "containerRuntimeVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


def is_ready(node: Manifest) -> bool:
    """Whether a node's kubelet, or what plays it, says so."""
    conditions = node.get("status", {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
