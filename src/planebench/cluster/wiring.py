"""Who reaches whom at which port: members of components, a load balancer, proxies where faults are to strike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from planebench.cluster.ports import Ports
from planebench.components import Link, Member
from planebench.components.layout import LOOPBACK
from planebench.planes import Plane

ETCD: Final = "etcd"
API_SERVER: Final = "kube-apiserver"
LOAD: Final = "load"
CLIENTS: Final = "clients"
"""Stands for all clients of the API servers."""
_BASE_CLIENTS: Final = ("kube-scheduler", "kube-controller-manager", "kwok", LOAD)


def clients(plane: Plane) -> tuple[str, ...]:
    """Whose connections to the API servers can go through a proxy each."""
    return (*_BASE_CLIENTS, *(process.name for process in plane.processes))


@dataclass(frozen=True, slots=True)
class EtcdPorts:
    """Where a member of etcd listens."""

    client: int
    peer: int


class Wiring:
    """The ports of one cluster, all of them on loopback.

    Args:
        topology: component -> how many members; those that it does not name are alone.
        links: pairs of a client and a server that go through a proxy; the client may be :data:`CLIENTS`.
    """

    def __init__(
        self, ports: Ports, plane: Plane, topology: Mapping[str, int], links: Iterable[tuple[str, str]]
    ) -> None:
        self._topology = topology
        self.etcd = [EtcdPorts(ports.take(), ports.take()) for _ in self.members(ETCD)]
        self.api_servers = [ports.take() for _ in self.members(API_SERVER)]
        self.balancer = ports.take() if len(self.api_servers) > 1 else None
        self.links: list[Link] = []
        wanted = set(links)
        if (API_SERVER, ETCD) in wanted:
            for server in self.members(API_SERVER):
                for member, own in zip(self.members(ETCD), self.etcd, strict=True):
                    self._add(ports, API_SERVER, server, member.named(ETCD), own.client)
        for client in clients(plane):
            if not wanted.isdisjoint({(client, API_SERVER), (CLIENTS, API_SERVER)}):
                for member in self.members(client):
                    self._add(ports, client, member, API_SERVER, self.front)
        self.proxy = ports.take() if self.links else None
        """Of the proxy's API."""

    def members(self, component: str) -> list[Member]:
        """A component's members; one that the topology does not name is alone."""
        count = self._topology.get(component, 1)
        return [Member(number, count) for number in range(1, count + 1)]

    @property
    def front(self) -> int:
        """Where clients reach the API servers, if nothing is between."""
        return self.balancer if self.balancer is not None else self.api_servers[0]

    @property
    def etcd_cluster(self) -> dict[str, int]:
        """Each member of etcd and its peer port; empty where it is alone."""
        if len(self.etcd) == 1:
            return {}
        names = [member.named(ETCD) for member in self.members(ETCD)]
        return {name: own.peer for name, own in zip(names, self.etcd, strict=True)}

    def etcd_url(self, server: Member) -> str:
        """The members of etcd as an API server reaches them, with commas between them."""
        ports = [
            self._port(server.named(API_SERVER), member.named(ETCD)) or own.client
            for member, own in zip(self.members(ETCD), self.etcd, strict=True)
        ]
        return ",".join(f"https://{LOOPBACK}:{port}" for port in ports)

    def api_port(self, client: str, member: Member) -> int:
        """Where a client reaches the API servers."""
        return self._port(member.named(client), API_SERVER) or self.front

    def between(self, client: str, server: str) -> list[Link]:
        """The links of a client, or of :data:`CLIENTS`, to a server."""
        return [
            link
            for link in self.links
            if (link.server_component == server) and client in (link.component, CLIENTS)
        ]

    def _add(self, ports: Ports, component: str, member: Member, server: str, upstream: int) -> None:
        self.links.append(Link(component, member.named(component), server, ports.take(), upstream))

    def _port(self, client: str, server: str) -> int | None:
        return next((link.port for link in self.links if (link.client, link.server) == (client, server)), None)
