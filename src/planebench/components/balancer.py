"""A TCP load balancer in front of several API servers: etcd's own gateway, which forwards to any TCP server.

Each connection goes to the next server in turn; one that refuses it is left out until it takes connections again.
TLS passes through it. Source: etcd v3.7.3, server/etcdmain/gateway.go and server/proxy/tcpproxy/userspace.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planebench.components.layout import LOOPBACK, Layout
from planebench.components.process import Probe, ProcessSpec
from planebench.model import Endpoint, Identity, Role

NAME = "load-balancer"
_RETRY = "500ms"
"""After which a server that refused is tried again."""


@dataclass(frozen=True, slots=True)
class Balancer:
    """What clients of the API servers connect to."""

    layout: Layout
    port: int
    servers: Sequence[int]
    """The ports that the API servers listen on."""
    prober: Identity

    def spec(self) -> ProcessSpec:
        endpoints = ",".join(f"{LOOPBACK}:{port}" for port in self.servers)
        return ProcessSpec(
            name=NAME,
            component=NAME,
            arguments=(
                "gateway",
                "start",
                f"--listen-addr={LOOPBACK}:{self.port}",
                f"--endpoints={endpoints}",
                f"--retry-delay={_RETRY}",
            ),
            ready=Probe(Endpoint(f"https://{LOOPBACK}:{self.port}/readyz", self.layout.ca, self.prober)),
            role=Role.SUBJECT,
            ports=(self.port,),
            binary="etcd",
            deviations=(f"{NAME}: etcd's gateway spreads connections over {len(self.servers)} API servers",),
        )
