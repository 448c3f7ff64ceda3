"""etcd. Source: kubernetes v1.37.2, cmd/kubeadm/app/phases/etcd/local.go (getEtcdCommand)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from planebench.components.layout import LOOPBACK, Layout
from planebench.components.process import ALONE, Change, Flags, Member, Probe, ProcessSpec, for_version
from planebench.model import Endpoint, Identity, Profiler

NAME = "etcd"
_RENAMED = {
    (3, 6, 0): {
        "feature-gates": ("experimental-initial-corrupt-check", "true"),
        "watch-progress-notify-interval": ("experimental-watch-progress-notify-interval", "5s"),
    },
}
"""What older versions call a flag, and its value there, by the first version that does not.
Source: kubernetes v1.33.0, cmd/kubeadm/app/phases/etcd/local.go; etcd v3.5.21, server/etcdmain/config.go."""
QUOTA_BYTES = 8 * 1024**3
"""The most that etcd's documentation suggests for normal environments.
Source: https://etcd.io/docs/v3.6/dev-guide/limit/"""


@dataclass(frozen=True, slots=True)
class Etcd:
    """One etcd member, alone or of several, with TLS for clients and peers, its data on disk, fsync on."""

    layout: Layout
    client_port: int
    peer_port: int
    client: Identity
    """Who may look into it: a certificate of etcd's own authority."""
    flags: Mapping[str, str] = field(default_factory=dict)
    version: str = "unknown"
    """Where it is not known, flags are as the pinned version has them."""
    profiling: bool = False
    member: Member = ALONE
    cluster: Mapping[str, int] = field(default_factory=dict)
    """Of several members: each one's name and peer port."""

    @property
    def name(self) -> str:
        return self.member.named(NAME)

    @property
    def data(self) -> Path:
        """Its data's folder."""
        return self.layout.etcd_data if self.member.alone else self.layout.folder / self.name

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.client_port}"

    def spec(self) -> ProcessSpec:
        layout = self.layout
        peer_url = f"https://{LOOPBACK}:{self.peer_port}"
        ca = layout.certificate("etcd/ca")
        own_name = "planebench" if self.member.alone else self.name
        cluster = self.cluster or {own_name: self.peer_port}
        kubeadm = {
            "name": own_name,
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": peer_url,
            "initial-advertise-peer-urls": peer_url,
            "initial-cluster": ",".join(f"{name}=https://{LOOPBACK}:{port}" for name, port in cluster.items()),
            "data-dir": str(self.data),
            "cert-file": str(layout.certificate("etcd/server")),
            "key-file": str(layout.key("etcd/server")),
            "trusted-ca-file": str(ca),
            "client-cert-auth": "true",
            "peer-cert-file": str(layout.certificate("etcd/peer")),
            "peer-key-file": str(layout.key("etcd/peer")),
            "peer-trusted-ca-file": str(ca),
            "peer-client-cert-auth": "true",
            "snapshot-count": "10000",
            "feature-gates": "InitialCorruptCheck=true",
            "watch-progress-notify-interval": "5s",
        }
        changes = {
            "listen-metrics-urls": Change(
                None, "metrics are served to client certificates only, on the client port"
            ),
            "quota-backend-bytes": Change(str(QUOTA_BYTES), "large runs outgrow the default of 2 GiB"),
        }
        if self.profiling:
            changes["enable-pprof"] = Change("true", "profiles were asked for")
        flags = Flags(NAME, for_version(kubeadm, _RENAMED, self.version), changes, self.flags)
        return ProcessSpec(
            name=self.name,
            component=NAME,
            arguments=flags.arguments,
            ready=Probe(self._endpoint("/readyz")),
            metrics=self._endpoint("/metrics"),
            profiler=Profiler.PPROF if self.profiling else Profiler.NONE,
            ports=(self.client_port, self.peer_port),
            hostname=self.member.hostname(NAME),
            deviations=flags.deviations,
        )

    def _endpoint(self, path: str) -> Endpoint:
        return Endpoint(self.url + path, self.layout.certificate("etcd/ca"), self.client)
