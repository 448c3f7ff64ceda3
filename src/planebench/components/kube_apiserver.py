"""The API server. Source: kubernetes v1.37.2, cmd/kubeadm/app/phases/controlplane/manifests.go
(getAPIServerCommand)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planebench.components.audit import Audit
from planebench.components.layout import LOOPBACK, Layout
from planebench.components.process import ALONE, Change, Flags, Member, Probe, ProcessSpec
from planebench.model import Endpoint, Identity, Profiler

NAME = "kube-apiserver"
SERVICE_CIDR = "10.96.0.0/12"
"""kubeadm's default; its first address is the Service ``kubernetes``."""
SERVICE_IP = "10.96.0.1"
CERTIFICATE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    SERVICE_IP,
    LOOPBACK,
)
FRONT_PROXY_USER = "front-proxy-client"


@dataclass(frozen=True, slots=True)
class KubeApiserver:
    """The API server on loopback, for clients with a certificate only."""

    layout: Layout
    port: int
    etcd_url: str
    """Of several members of etcd: all, with commas between them."""
    prober: Identity
    """Asks whether it is ready."""
    observer: Identity
    """Reads its metrics."""
    flags: Mapping[str, str] = field(default_factory=dict)
    audit: Audit | None = None
    member: Member = ALONE

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def spec(self) -> ProcessSpec:
        layout = self.layout
        kubeadm = {
            "advertise-address": LOOPBACK,
            "enable-admission-plugins": "NodeRestriction",
            "service-cluster-ip-range": SERVICE_CIDR,
            "service-account-key-file": str(layout.pki / "sa.pub"),
            "service-account-signing-key-file": str(layout.key("sa")),
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "client-ca-file": str(layout.ca),
            "tls-cert-file": str(layout.certificate("apiserver")),
            "tls-private-key-file": str(layout.key("apiserver")),
            "kubelet-client-certificate": str(layout.certificate("apiserver-kubelet-client")),
            "kubelet-client-key": str(layout.key("apiserver-kubelet-client")),
            "enable-bootstrap-token-auth": "true",
            "secure-port": str(self.port),
            "allow-privileged": "true",
            "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-client-ca-file": str(layout.certificate("front-proxy-ca")),
            "requestheader-allowed-names": FRONT_PROXY_USER,
            "proxy-client-cert-file": str(layout.certificate("front-proxy-client")),
            "proxy-client-key-file": str(layout.key("front-proxy-client")),
            "etcd-servers": self.etcd_url,
            "etcd-cafile": str(layout.certificate("etcd/ca")),
            "etcd-certfile": str(layout.certificate("apiserver-etcd-client")),
            "etcd-keyfile": str(layout.key("apiserver-etcd-client")),
            "authorization-mode": "Node,RBAC",
        }
        changes = {
            "bind-address": Change(LOOPBACK, "nothing outside this machine is to reach it"),
            "endpoint-reconciler-type": Change("none", "a loopback address is no valid endpoint of a Service"),
            "anonymous-auth": Change("false", "nobody without a certificate gets in; probes have one"),
            "enable-aggregator-routing": Change(
                "false", "aggregated APIs are reached by host name: no pod network"
            ),
        }
        policy = layout.configuration(self.member.named("audit-policy"))
        if self.audit is not None:
            reason = "an audit log was asked for: whose requests are whose"
            changes |= {
                name: Change(value, reason) for name, value in self.audit.flags(policy, self.member).items()
            }
        flags = Flags(NAME, kubeadm, changes, self.flags)
        return ProcessSpec(
            name=self.member.named(NAME),
            component=NAME,
            arguments=flags.arguments,
            ready=Probe(Endpoint(self.url + "/readyz", layout.ca, self.prober)),
            metrics=Endpoint(self.url + "/metrics", layout.ca, self.observer),
            files={policy: self.audit.policy()} if self.audit is not None else {},
            profiler=Profiler.PPROF,
            ports=(self.port,),
            hostname=self.member.hostname(NAME),
            deviations=flags.deviations,
        )
