"""Toxiproxy: stands between two components and spoils their connections when it is told to.

Source: github.com/Shopify/toxiproxy/v2 v2.12.0, cmd/server/server.go and proxy_collection.go (the file).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from planebench.components.etcd import NAME as ETCD
from planebench.components.layout import LOOPBACK, Layout
from planebench.components.process import Probe, ProcessSpec
from planebench.model import Endpoint, Role

NAME = "toxiproxy"


@dataclass(frozen=True, slots=True)
class Link:
    """A way from a client to a server that goes through the proxy."""

    component: str
    """Of the client."""
    client: str
    """The process: of several members, one of them."""
    server: str
    """The process, or ``kube-apiserver`` for all of them."""
    port: int
    """Where the client connects to, on loopback."""
    upstream: int
    """Where the server listens, on loopback."""

    @property
    def name(self) -> str:
        return f"{self.client}-{self.server}"

    @property
    def server_component(self) -> str:
        return ETCD if self.server.startswith(ETCD) else self.server


@dataclass(frozen=True, slots=True)
class Toxiproxy:
    """One process for all links of a cluster. TLS passes through it: it sees no content."""

    layout: Layout
    port: int
    """Of its API, which whoever is on this machine can use."""
    links: Sequence[Link]
    seed: int = 1
    """Of what is drawn by chance: jitter."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def spec(self) -> ProcessSpec:
        file = self.layout.folder / "config" / f"{NAME}.json"
        proxies = [
            {
                "name": link.name,
                "listen": f"{LOOPBACK}:{link.port}",
                "upstream": f"{LOOPBACK}:{link.upstream}",
                "enabled": True,
            }
            for link in self.links
        ]
        return ProcessSpec(
            name=NAME,
            component=NAME,
            arguments=(f"-host={LOOPBACK}", f"-port={self.port}", f"-config={file}", f"-seed={self.seed}"),
            ready=Probe(Endpoint(f"{self.url}/proxies"), f'"{self.links[-1].name}"'),
            role=Role.HARNESS,
            environment={"LOG_LEVEL": "warn"},  # otherwise it tells of every connection
            files={file: json.dumps(proxies, indent=1)},
            ports=(self.port, *(link.port for link in self.links)),
            deviations=tuple(
                f"{link.client} reaches {link.server} through {NAME}: its connections are to be struck by faults"
                for link in self.links
            ),
        )
