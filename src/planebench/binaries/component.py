"""The components that planebench can provide: the Go modules that they are built from, and their official images.

Every folder in ``go/`` is one dependency graph: a ``go.mod`` that names the main packages as tools, and
its complete ``go.sum``. Graphs stay apart because they need different versions of the same libraries. The folder
pins the version that is taken where nobody asks for another one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from planebench.model import UsageError
from planebench.versions import numbers, parse_version

_GRAPHS = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class Graph:
    """What the components of one dependency graph have in common: they are released and built together."""

    name: str
    module: str
    registry: str
    """The host of its official images."""
    oldest: str
    """The oldest version that planebench knows how to start."""
    folder: str = ""
    """Where the module lies in its project's source tree."""
    staging: str = "v{0}.{1}.{2}"
    """The version of modules that it replaces by folders of its own, made of the version's three numbers."""


_KUBERNETES = Graph("kubernetes", "k8s.io/kubernetes", "registry.k8s.io", "1.33.0", staging="v0.{1}.{2}")
# The first one with the health check that planebench asks (/readyz).
_ETCD = Graph("etcd", "go.etcd.io/etcd/server/v3", "quay.io", "3.5.11", folder="server")
# The first one with expressions in CEL, which planebench's stages are written in.
_KWOK = Graph("kwok", "sigs.k8s.io/kwok", "registry.k8s.io", "0.7.0")
_KUBEVIRT = Graph("kubevirt", "kubevirt.io/kubevirt", "quay.io", "1.0.0")
_ALL = (_ETCD, _KWOK, _KUBERNETES, _KUBEVIRT)


@dataclass(frozen=True, slots=True)
class Image:
    """Where an official image has a component's binary. Its tag is the version."""

    repository: str
    """Without the registry's host, for instance ``coreos/etcd``."""
    path: str
    """In the image's file system, without the leading slash."""


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """A component of one version."""

    name: str
    graph: str
    """Components of one graph have one version, and are built together."""
    module: str
    version: str
    """As the module has it, for instance ``v1.37.2``."""
    package: str
    """The main package's import path."""
    module_dir: Path
    """The folder with the ``go.mod`` and ``go.sum`` that it is built with; of a version that is not pinned it has
    to be generated first."""
    image: Image | None = None
    """None for one's own source tree."""
    tree: Path | None = None
    """One's own source tree that takes the module's place."""

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

    def at(self, version: str, modules: Path) -> ComponentSpec:
        """The same component at another version, whose generated module lies in ``modules``."""
        if version == self.version:
            return self
        return replace(self, version=version, module_dir=modules / f"{self.graph}-{version}")

    def of_tree(self, tree: Path, version: str, modules: Path) -> ComponentSpec:
        """The same component, built from one's own source tree."""
        return replace(self.at(version, modules), tree=tree, image=None)


def _spec(name: str, graph: Graph, package: str, image: str, path: str) -> ComponentSpec:
    return ComponentSpec(
        name,
        graph.name,
        graph.module,
        _pinned_version(graph.name, graph.module),
        graph.module + package,
        _GRAPHS / graph.name,
        Image(image, path),
    )


def _pinned_version(graph: str, module: str) -> str:
    text = (_GRAPHS / graph / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"{graph}/go.mod does not require {module}")
    return found[1]


@functools.cache
def catalog() -> Sequence[ComponentSpec]:
    """All components at their pinned versions, in the order in which they are built: the quick ones first.

    Paths in images. Sources: kubernetes, build/server-image/Dockerfile; etcd, Dockerfile; kwok,
    images/kwok/Dockerfile; kubevirt, cmd/virt-api/BUILD.bazel and cmd/virt-controller/BUILD.bazel.
    """
    return (
        _spec("etcd", _ETCD, "", "coreos/etcd", "usr/local/bin/etcd"),
        _spec("kwok", _KWOK, "/cmd/kwok", "kwok/kwok", "usr/local/bin/kwok"),
        *(
            _spec(name, _KUBERNETES, f"/cmd/{name}", name, f"usr/local/bin/{name}")
            for name in ("kube-apiserver", "kube-scheduler", "kube-controller-manager")
        ),
        *(
            _spec(name, _KUBEVIRT, f"/cmd/{name}", f"kubevirt/{name}", f"usr/bin/{name}")
            for name in ("virt-api", "virt-controller")
        ),
    )


def spec(name: str) -> ComponentSpec:
    """The component of that name. Raises UsageError for a name that the catalogue does not hold."""
    for one in catalog():
        if one.name == name:
            return one
    known = ", ".join(one.name for one in catalog())
    raise UsageError(f"no component is called {name!r}; known components: {known}")


def graph(name: str) -> Graph:
    """The graph of that name, or the one of the component of that name. Raises UsageError."""
    for one in _ALL:
        if one.name == name:
            return one
    if any(one.name == name for one in catalog()):
        return graph(spec(name).graph)
    known = ", ".join(one.name for one in _ALL)
    raise UsageError(f"no project is called {name!r}; versions can be given of: {known}")


def wanted_versions(versions: Mapping[str, str]) -> dict[str, str]:
    """Graph -> version as its module has it.

    Raises:
        UsageError: an unknown graph, no version, or one that is too old.
    """
    wanted = {}
    for name, text in versions.items():
        of = graph(name)
        try:
            version = parse_version(text)
        except ValueError as error:
            raise UsageError(f"version of {of.name}: {error}") from None
        if (numbers(version) or ()) < (numbers(of.oldest) or ()):
            raise UsageError(f"version of {of.name}: {text} is too old, {of.oldest} is the oldest that works")
        wanted[of.name] = version
    return wanted
