"""KWOK's controller: plays the nodes and what runs on them. Source: kwok v0.8.0, pkg/kwok/cmd/root.go."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from planebench.components.layout import LOOPBACK, Layout
from planebench.components.process import ALONE, Member, Probe, ProcessSpec
from planebench.model import Endpoint, Manifest, Profiler, Role, UsageError
from planebench.nodes import SIMULATOR, SIMULATOR_LABEL
from planebench.stages import shard
from planebench.versions import numbers

COMPONENT = "kwok"
POD_CIDR = "10.128.0.0/9"
_IPS, _IP = re.compile(r"\b(Node|Pod)IPsWith ([^}]*?)\s*}}"), r"list (\1IPWith \2) }}"
"""The template functions for addresses: lists since 0.8, one address before."""
NODE_LEASE_S = 40
"""A kubelet's default (nodeLeaseDurationSeconds); renewed at a quarter of it."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How much KWOK does at once; its file has no defaults, and a zero aborts its start."""

    pod_stages: int = 16
    node_stages: int = 8
    node_leases: int = 8
    pods_on_node_sync: int = 4


@dataclass(frozen=True, slots=True)
class Kwok:
    """One KWOK process and the stages that it plays."""

    layout: Layout
    name: str
    port: int
    stages: Sequence[Manifest]
    parallelism: Parallelism = Parallelism()
    flags: Mapping[str, str] = field(default_factory=dict)
    plays: str = SIMULATOR
    """It manages the nodes whose label :data:`planebench.nodes.SIMULATOR_LABEL` says this; one of several, those
    that say this with its number. The first one has those without a number, too."""
    version: str = "unknown"
    """Before 0.8 it knows stages in an older form alone."""
    profiling: bool = False
    kubeconfig: Path | None = None
    """None: the layout's, of its own name."""
    member: Member = ALONE
    """Each has a Lease for every node of its own: a node moves to another one only by its label."""

    def spec(self) -> ProcessSpec:
        layout = self.layout
        name = self.member.named(self.name)
        configuration = layout.configuration(name)
        flags = {
            "kubeconfig": str(self.kubeconfig or layout.kubeconfig(name)),
            "config": str(configuration),
            "manage-nodes-with-label-selector": f"{SIMULATOR_LABEL}{self._own()}",
            "manage-all-nodes": "false",
            "node-lease-duration-seconds": str(NODE_LEASE_S),
            "cidr": POD_CIDR,
            "server-address": f"{LOOPBACK}:{self.port}",
            "tls-cert-file": str(layout.certificate(f"{self.name}-server")),
            "tls-private-key-file": str(layout.key(f"{self.name}-server")),
            **self.flags,
        }
        played = shard(self.stages, self.member.number, self.member.of)
        documents = [self._configuration(), *(_known_to(self.version, stage) for stage in played)]
        return ProcessSpec(
            name=name,
            component=COMPONENT,
            arguments=tuple(f"--{flag}={value}" for flag, value in flags.items()),
            ready=Probe(self._endpoint("/healthz")),
            metrics=self._endpoint("/metrics"),
            role=Role.SIMULATOR,
            profiler=Profiler.HEAP if self.profiling else Profiler.NONE,
            files={configuration: "\n---\n".join(json.dumps(document) for document in documents)},
            ports=(self.port,),
            deviations=tuple(
                f"{name} --{flag}={value}: set by the scenario" for flag, value in self.flags.items()
            ),
        )

    def _own(self) -> str:
        """The label's value that makes a node its own, as a selector tells it."""
        if self.member.alone:
            return f"={self.plays}"
        own = self.member.named(self.plays)
        return f" in ({self.plays}, {own})" if self.member.number == 1 else f"={own}"

    def _configuration(self) -> Manifest:
        return {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokConfiguration",
            "metadata": {"name": self.member.named(self.name)},
            "options": {
                "podPlayStageParallelism": self.parallelism.pod_stages,
                "nodePlayStageParallelism": self.parallelism.node_stages,
                "nodeLeaseParallelism": self.parallelism.node_leases,
                "podsOnNodeSyncParallelism": self.parallelism.pods_on_node_sync,
                "enablePodsOnNodeSyncStreamWatch": True,
                # Its profiles are served along with its debugging handlers, which have nothing to act on here.
                **({"enableDebuggingHandlers": True, "enableProfilingHandler": True} if self.profiling else {}),
            },
        }

    def _endpoint(self, path: str) -> Endpoint:
        return Endpoint(f"https://{LOOPBACK}:{self.port}{path}", self.layout.ca)


def _known_to(version: str, stage: Manifest) -> Manifest:
    """A stage as a version of KWOK knows it: before 0.8 there was one ``next``, no ``steps``, and one IP address.

    Source: kwok v0.7.0 and v0.8.0, pkg/apis/v1alpha1/stage_types.go and pkg/kwok/controllers/pod_controller.go.
    Raises UsageError for what ``next`` cannot say.
    """
    found = numbers(version)
    if found is None or found >= (0, 8, 0) or "steps" not in stage["spec"]:
        return stage
    spec = stage["spec"]
    steps = spec["steps"]
    if all(set(step) == {"patch"} for step in steps):
        patches = [step["patch"] for step in steps]
        following: Manifest = {
            "patches": [{**patch, "template": _IPS.sub(_IP, patch.get("template", ""))} for patch in patches]
        }
    elif len(steps) == 1 and set(steps[0]) <= {"delete", "event", "finalizers"}:
        following = steps[0]
    else:
        name = stage["metadata"]["name"]
        raise UsageError(f"kwok {version}: the stage {name} has steps that need kwok 0.8.0 or newer")
    return {**stage, "spec": {**{key: value for key, value in spec.items() if key != "steps"}, "next": following}}
