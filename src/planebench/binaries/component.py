"""The components that planebench can provide, and the Go module that pins each one's version.

Every folder in ``go/`` is one dependency graph: a ``go.mod`` that names the main packages as tools, and
its complete ``go.sum``. Graphs stay apart because they need different versions of the same libraries.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from planebench.model import UsageError

_GRAPHS = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """A component in the catalogue."""

    name: str
    graph: str
    """The folder in ``go/`` that pins it; components of one graph are built together."""
    module: str
    version: str
    """The module's version as ``go.mod`` pins it, for instance ``v1.37.2``."""
    package: str
    """The main package's import path."""

    @property
    def module_dir(self) -> Path:
        """The folder with the graph's ``go.mod`` and ``go.sum``."""
        return _GRAPHS / self.graph

    @property
    def version_flags(self) -> str:
        """The linker flags that make the binary tell its version, as upstream's release scripts set them."""
        major, minor, *_ = self.version.removeprefix("v").split(".")
        stamps = {
            # k8s.io/component-base/version/base.go: what /version and --version say
            "kubernetes": {
                "k8s.io/component-base/version.gitVersion": self.version,
                "k8s.io/component-base/version.gitMajor": major,
                "k8s.io/component-base/version.gitMinor": minor,
                "k8s.io/component-base/version.gitCommit": "",
                "k8s.io/component-base/version.gitTreeState": "clean",
            },
            "kwok": {"sigs.k8s.io/kwok/pkg/consts.Version": self.version},
            "kubevirt": {
                "kubevirt.io/client-go/version.gitVersion": self.version,
                "kubevirt.io/client-go/version.gitCommit": "",
                "kubevirt.io/client-go/version.gitTreeState": "clean",
            },
        }
        return " ".join(f"-X {variable}={value}" for variable, value in stamps.get(self.graph, {}).items())


def _spec(name: str, graph: str, module: str, package: str = "") -> ComponentSpec:
    return ComponentSpec(name, graph, module, _pinned_version(graph, module), module + package)


def _pinned_version(graph: str, module: str) -> str:
    text = (_GRAPHS / graph / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"{graph}/go.mod does not require {module}")
    return found[1]


@functools.cache
def catalog() -> Sequence[ComponentSpec]:
    """All components, in the order in which they are built: the quick ones first."""
    return (
        _spec("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        _spec("kwok", "kwok", "sigs.k8s.io/kwok", "/cmd/kwok"),
        _spec("kube-apiserver", "kubernetes", "k8s.io/kubernetes", "/cmd/kube-apiserver"),
        _spec("kube-scheduler", "kubernetes", "k8s.io/kubernetes", "/cmd/kube-scheduler"),
        _spec("kube-controller-manager", "kubernetes", "k8s.io/kubernetes", "/cmd/kube-controller-manager"),
        _spec("virt-api", "kubevirt", "kubevirt.io/kubevirt", "/cmd/virt-api"),
        _spec("virt-controller", "kubevirt", "kubevirt.io/kubevirt", "/cmd/virt-controller"),
    )


def spec(name: str) -> ComponentSpec:
    """The component of that name. Raises UsageError for a name that the catalogue does not hold."""
    for one in catalog():
        if one.name == name:
            return one
    known = ", ".join(one.name for one in catalog())
    raise UsageError(f"no component is called {name!r}; known components: {known}")
