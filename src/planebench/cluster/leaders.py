"""Which member of a component leads: the holder of its Lease, or etcd's own word."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from planebench.cluster.local import LocalCluster
from planebench.kube.client import ApiError, Client
from planebench.kube.etcd import EtcdClient

_LEASES: Final = {
    "kube-scheduler": "kube-system/kube-scheduler",
    "kube-controller-manager": "kube-system/kube-controller-manager",
}
"""Component -> namespace and name of its Lease.
Source: kubernetes v1.37.2, cmd/kube-scheduler and cmd/kube-controller-manager (--leader-elect-resource-name)."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads."""

    member: str
    """The process."""
    identity: str
    """As whom: another one after each start, and of etcd after each election."""
    renewed: str = ""
    """When it said so last, as it wrote it; empty: it does not."""


def elects(cluster: LocalCluster, component: str) -> bool:
    """Whether a component's members choose one that acts, and there are several of them."""
    return len(cluster.members(component)) > 1 and (component == "etcd" or _lease(cluster, component) is not None)


async def leadership(
    cluster: LocalCluster, client: Client, component: str, but: Collection[str] = ()
) -> Leadership | None:
    """Who leads; None: nobody, or nobody can tell now. Of etcd, all are asked ``but`` these."""
    if component == "etcd":
        members = dict(zip(cluster.members("etcd"), cluster.etcd, strict=True))
        asked = [name for name in members if name not in but]
        async with EtcdClient([members[name] for name in asked]) as etcd:
            leading = await etcd.leader()
        if leading is None:
            return None
        place, term = leading
        return Leadership(asked[place], f"{asked[place]}, term {term}")
    lease = _lease(cluster, component)
    if lease is None:
        return None
    namespace, _, name = lease.partition("/")
    try:
        found = await client.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
    except ApiError:
        return None
    spec = found.get("spec") or {}
    identity = str(spec.get("holderIdentity") or "")
    # Kubernetes' components append an id to their host name, others do not.
    member = identity.partition("_")[0]
    if member not in cluster.members(component):
        return None
    return Leadership(member, identity, str(spec.get("renewTime") or ""))


def _lease(cluster: LocalCluster, component: str) -> str | None:
    for process in cluster.config.plane.processes:
        if process.name == component and process.lease is not None:
            return f"{process.lease.namespace}/{process.lease.name}"
    return _LEASES.get(component)
