"""Everyone in a cluster who has a certificate, and planebench's own users' rights and priorities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from planebench.cluster import kubeconfig, pki
from planebench.cluster.wiring import Wiring
from planebench.components import users
from planebench.components.kube_apiserver import CERTIFICATE_NAMES, FRONT_PROXY_USER
from planebench.components.layout import LOOPBACK, Layout
from planebench.components.users import ADMIN_USER, LOAD_USER, OBSERVER_USER
from planebench.model import Access, Identity, Manifest
from planebench.planes import Plane
from planebench.planes.plane import User

SIMULATOR_USER: Final = User(name=users.SIMULATOR_USER)
SIMULATOR: Final = "kwok"
"""The simulator's kubeconfig and serving certificate go by this name."""

_SERVER_NAMES: Final = ("localhost", LOOPBACK)
_KUBELET_RULES: Final = (
    {
        "apiGroups": [""],
        "resources": ["nodes", "nodes/status", "pods", "pods/status"],
        "verbs": ["get", "list", "watch", "patch", "update", "delete"],
    },
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
    },
)
_PRECEDENCE: Final = 700
"""After the nodes' and before the controllers' own (kubernetes v1.37.2, pkg/apis/flowcontrol/bootstrap)."""
_SEAT_SHARES: Final = 40
"""As many as the built-in level workload-high has."""


LASTING: Final = (
    *(f"{name}.{ending}" for name in ("ca", "etcd/ca", "front-proxy-ca") for ending in ("crt", "key")),
    "sa.key",
    "sa.pub",
)
"""Files of the PKI folder that a cluster's objects depend on; every other one can be issued anew."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Who acts in a cluster; the components' own certificates are known to the layout."""

    admin: Identity
    """system:masters: for set-up only, it is exempt from API priority and fairness."""
    load: Identity
    observer: Identity
    """Reads metrics and health."""
    etcd_client: Identity

    @classmethod
    def issue(cls, layout: Layout, plane: Plane, wiring: Wiring) -> Identities:
        """Write all certificates, keys and kubeconfigs of a cluster: of each member of a component one of the
        latter, for each may reach the API servers in its own way.

        Authorities that are there already stay: objects of a restored cluster name them.
        """
        ca = pki.Authority.obtain(layout, "ca", "kubernetes")
        etcd_ca = pki.Authority.obtain(layout, "etcd/ca", "etcd-ca")
        front_proxy_ca = pki.Authority.obtain(layout, "front-proxy-ca", "front-proxy-ca")
        if not layout.key("sa").exists():
            pki.write_key_pair(layout.key("sa"), layout.pki / "sa.pub")

        etcd_ca.issue("etcd/server", "planebench", server_names=_SERVER_NAMES)
        etcd_ca.issue("etcd/peer", "planebench", server_names=_SERVER_NAMES)
        etcd_ca.issue("apiserver-etcd-client", "kube-apiserver-etcd-client")
        etcd_client = etcd_ca.issue("etcd/observer", OBSERVER_USER)

        ca.issue("apiserver", "kube-apiserver", server_names=CERTIFICATE_NAMES, client=False)
        ca.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ["kubeadm:cluster-admins"])
        front_proxy_ca.issue("front-proxy-client", FRONT_PROXY_USER)
        ca.issue("scheduler-server", "kube-scheduler", server_names=_SERVER_NAMES, client=False)
        ca.issue("controller-manager-server", "kube-controller-manager", server_names=_SERVER_NAMES, client=False)
        ca.issue(f"{SIMULATOR}-server", SIMULATOR, server_names=_SERVER_NAMES, client=False)

        def client(name: str, user: str, *groups: str, component: str = "") -> Identity:
            identity = ca.issue(name, user, groups)
            for member in wiring.members(component or name):
                access = Access(LOOPBACK, wiring.api_port(component or name, member), layout.ca, identity)
                kubeconfig.write(layout.kubeconfig(f"{name}{member.suffix}"), access, layout.folder.name)
            return identity

        simulator = plane.simulator.user or SIMULATOR_USER
        client("scheduler", "system:kube-scheduler", component="kube-scheduler")
        client("controller-manager", "system:kube-controller-manager", component="kube-controller-manager")
        client(SIMULATOR, simulator.name, *simulator.groups)
        for process in plane.processes:
            client(process.name, process.user.name, *process.user.groups)
            ca.issue(f"{process.name}-server", process.name, server_names=process.certificate_names, client=False)
        return cls(
            admin=client("admin", ADMIN_USER, "system:masters"),
            load=client("load", LOAD_USER),
            observer=client("observer", OBSERVER_USER, "system:monitoring"),
            etcd_client=etcd_client,
        )


def objects(plane: Plane) -> list[Manifest]:
    """What gives planebench's users their rights and a priority level each: load may do everything, and neither
    load nor simulator takes seats of the components under test or of one another."""
    simulator = plane.simulator.user or SIMULATOR_USER
    return [
        *_role("planebench-simulator", list(_KUBELET_RULES), simulator.name),
        _binding("planebench-load", "cluster-admin", LOAD_USER),
        *_role("planebench-observer", [{"nonResourceURLs": ["/debug/pprof/*"], "verbs": ["get"]}], OBSERVER_USER),
        *flow("planebench-load", LOAD_USER),
        *flow("planebench-simulator", simulator.name),
    ]


def _role(name: str, rules: list[dict[str, list[str]]], user: str) -> Iterator[Manifest]:
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }
    yield _binding(name, name, user)


def _binding(name: str, role: str, user: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


def flow(name: str, user: str) -> Iterator[Manifest]:
    """A priority level, and the schema that sends all requests of a user there."""
    yield {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name},
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": _SEAT_SHARES,
                "lendablePercent": 50,
                "limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50},
                },
            },
        },
    }
    yield {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name},
            "matchingPrecedence": _PRECEDENCE,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": user}}],
                    "resourceRules": [
                        {
                            "verbs": ["*"],
                            "apiGroups": ["*"],
                            "resources": ["*"],
                            "clusterScope": True,
                            "namespaces": ["*"],
                        }
                    ],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }
            ],
        },
    }
