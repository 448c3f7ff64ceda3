"""Where a cluster's files lie: certificates by kubeadm's names, kubeconfigs, etcd's data, configuration files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of a cluster below one folder."""

    folder: Path

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def etcd_data(self) -> Path:
        return self.folder / "etcd"

    @property
    def ca(self) -> Path:
        """The cluster's certificate authority."""
        return self.certificate("ca")

    def certificate(self, name: str) -> Path:
        """``name`` as kubeadm calls it: ``apiserver``, ``etcd/server``, ..."""
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.pki / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        return self.folder / "kubeconfigs" / f"{name}.conf"

    def configuration(self, name: str) -> Path:
        return self.folder / "config" / f"{name}.yaml"
