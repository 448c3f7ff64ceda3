"""The controller manager. Source: kubernetes v1.37.2, cmd/kubeadm/app/phases/controlplane/manifests.go
(getControllerManagerCommand)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planebench.components.layout import LOOPBACK, Layout
from planebench.components.process import (
    ALONE,
    ALONE_REASON,
    Change,
    ClientLimits,
    Flags,
    Member,
    Probe,
    ProcessSpec,
)
from planebench.model import Endpoint, Identity, Profiler

NAME = "kube-controller-manager"


@dataclass(frozen=True, slots=True)
class KubeControllerManager:
    """The controller manager, with its clients' limits where they are given; of several members one works."""

    layout: Layout
    port: int
    api_url: str
    prober: Identity
    observer: Identity
    limits: ClientLimits | None = None
    """For each of its controllers."""
    flags: Mapping[str, str] = field(default_factory=dict)
    member: Member = ALONE

    def spec(self) -> ProcessSpec:
        layout = self.layout
        ca = str(layout.ca)
        kubeconfig = str(layout.kubeconfig(f"controller-manager{self.member.suffix}"))
        kubeadm = {
            "bind-address": LOOPBACK,
            "leader-elect": "true",
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "client-ca-file": ca,
            "requestheader-client-ca-file": str(layout.certificate("front-proxy-ca")),
            "root-ca-file": ca,
            "service-account-private-key-file": str(layout.key("sa")),
            "cluster-signing-cert-file": ca,
            "cluster-signing-key-file": str(layout.key("ca")),
            "use-service-account-credentials": "true",
            "controllers": "*,bootstrapsigner,tokencleaner",
            "cluster-name": "kubernetes",
        }
        changes = {
            "secure-port": Change(str(self.port), "several clusters run side by side"),
            **({"leader-elect": Change("false", ALONE_REASON)} if self.member.alone else {}),
            "tls-cert-file": Change(
                str(layout.certificate("controller-manager-server")), "its metrics come over verified TLS"
            ),
            "tls-private-key-file": Change(
                str(layout.key("controller-manager-server")), "its metrics come over verified TLS"
            ),
        }
        if self.limits is not None:
            reason = "client limits of each controller, as the scenario says"
            changes["kube-api-qps"] = Change(f"{self.limits.qps:g}", reason)
            changes["kube-api-burst"] = Change(str(self.limits.burst), reason)
        flags = Flags(NAME, kubeadm, changes, self.flags)
        return ProcessSpec(
            name=self.member.named(NAME),
            component=NAME,
            arguments=flags.arguments,
            # Its own /healthz is 200 before any controller runs. This one is what every pod has to wait for.
            ready=Probe(
                Endpoint(
                    f"{self.api_url}/api/v1/namespaces/default/serviceaccounts/default", layout.ca, self.prober
                )
            ),
            again=Probe(self._endpoint("/healthz")),
            metrics=self._endpoint("/metrics"),
            profiler=Profiler.PPROF,
            ports=(self.port,),
            hostname=self.member.hostname(NAME),
            deviations=flags.deviations,
        )

    def _endpoint(self, path: str) -> Endpoint:
        return Endpoint(f"https://{LOOPBACK}:{self.port}{path}", self.layout.ca, self.observer)
