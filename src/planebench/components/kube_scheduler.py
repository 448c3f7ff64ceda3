"""The scheduler. Source: kubernetes v1.37.2, cmd/kubeadm/app/phases/controlplane/manifests.go
(getSchedulerCommand)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from planebench.model import Endpoint, Identity, Profiler, UsageError

NAME = "kube-scheduler"


@dataclass(frozen=True, slots=True)
class KubeScheduler:
    """The scheduler, with its client's limits where they are given; of several members one works."""

    layout: Layout
    port: int
    observer: Identity
    limits: ClientLimits | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """A part of its configuration file; planebench adds what it has to set itself."""
    member: Member = ALONE

    def spec(self) -> ProcessSpec:
        """Raises UsageError where limits or a configuration are given along with a file of one's own."""
        layout = self.layout
        kubeconfig = str(layout.kubeconfig(f"scheduler{self.member.suffix}"))
        kubeadm = {
            "bind-address": LOOPBACK,
            "leader-elect": "true",
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
        }
        changes = {
            "secure-port": Change(str(self.port), "several clusters run side by side"),
            **({"leader-elect": Change("false", ALONE_REASON)} if self.member.alone else {}),
            "client-ca-file": Change(
                str(layout.ca), "it starts while the API server, which would tell, still does"
            ),
            "requestheader-client-ca-file": Change(
                str(layout.certificate("front-proxy-ca")),
                "it starts while the API server, which would tell, still does",
            ),
            "tls-cert-file": Change(
                str(layout.certificate("scheduler-server")), "its metrics come over verified TLS"
            ),
            "tls-private-key-file": Change(
                str(layout.key("scheduler-server")), "its metrics come over verified TLS"
            ),
        }
        files: dict[Path, str] = {}
        reasons = []
        if self.limits is not None:
            reasons.append(f"client limits of {self.limits.qps:g} requests/s, burst {self.limits.burst}")
        if self.configuration:
            reasons.append(f"{', '.join(sorted(self.configuration))} as the scenario says")
        if reasons:
            if "config" in self.flags:
                what = "client limits" if self.limits is not None else "a configuration"
                raise UsageError(
                    f"kube-scheduler: {what} and the flag config exclude each other; "
                    "set qps and burst in that file's clientConnection, and what else there is to set"
                )
            file = layout.configuration(self.member.named(NAME))
            files[file] = json.dumps(self._configuration(kubeconfig), indent=1)
            changes["config"] = Change(str(file), "; ".join(reasons))
        flags = Flags(NAME, kubeadm, changes, self.flags)
        return ProcessSpec(
            name=self.member.named(NAME),
            component=NAME,
            arguments=flags.arguments,
            ready=Probe(self._endpoint("/readyz")),
            metrics=self._endpoint("/metrics"),
            files=files,
            profiler=Profiler.PPROF,
            ports=(self.port,),
            hostname=self.member.hostname(NAME),
            deviations=flags.deviations,
        )

    def _endpoint(self, path: str) -> Endpoint:
        return Endpoint(f"https://{LOOPBACK}:{self.port}{path}", self.layout.ca, self.observer)

    def _configuration(self, kubeconfig: str) -> Mapping[str, object]:
        connection = {**(self.configuration.get("clientConnection") or {}), "kubeconfig": kubeconfig}
        if self.limits is not None:
            connection |= {"qps": self.limits.qps, "burst": self.limits.burst}
        election = {} if self.member.alone else self.configuration.get("leaderElection") or {}
        return {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            **self.configuration,
            "clientConnection": connection,
            "leaderElection": {**election, "leaderElect": not self.member.alone},
        }
