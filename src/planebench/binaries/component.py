"""The components that planebench can provide: the Go modules that they are built from, and their official images.

Every folder in ``go/`` is one dependency graph: a ``go.mod`` that names the main packages as tools, its complete
``go.sum``, and ``project.yaml``, which says what its components are called and where their images are. Graphs stay
apart because they need different versions of the same libraries. The folder pins the version that is taken where
nobody asks for another one. Nothing in the code knows a project's name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from planebench.model import UsageError
from planebench.versions import numbers, parse_version

_GRAPHS = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class Graph:
    """What the components of one dependency graph have in common: they are released and built together."""

    name: str
    title: str
    """As its project writes it."""
    module: str
    registry: str
    """The host of its official images."""
    oldest: str
    """The oldest version that planebench knows how to start."""
    folder: str = ""
    """Where the module lies in its project's source tree."""
    staging: str = "v{0}.{1}.{2}"
    """The version of modules that it replaces by folders of its own, made of the version's three numbers."""
    stamps: Mapping[str, str] = field(default_factory=dict)
    """Go variable -> what the linker sets it to, with ``{version}``, ``{major}`` and ``{minor}``."""


@dataclass(frozen=True, slots=True)
class Image:
    """Where an official image has a component's binary."""

    repository: str
    """Without the registry's host, for instance ``coreos/etcd``."""
    path: str
    """In the image's file system, without the leading slash."""
    tag_form: str = "{version}"
    """How its tag is made of the version: with its leading v, or as ``{number}`` without."""

    def tag(self, version: str) -> str:
        return self.tag_form.format(version=version, number=version.removeprefix("v"))


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
        return " ".join(
            f"-X {variable}={value.format(version=self.version, major=major, minor=minor)}"
            for variable, value in graph(self.graph).stamps.items()
        )

    def at(self, version: str, modules: Path) -> ComponentSpec:
        """The same component at another version, whose generated module lies in ``modules``."""
        if version == self.version:
            return self
        return replace(self, version=version, module_dir=modules / f"{self.graph}-{version}")

    def of_tree(self, tree: Path, version: str, modules: Path) -> ComponentSpec:
        """The same component, built from one's own source tree."""
        return replace(self.at(version, modules), tree=tree, image=None)


def _spec(name: str, graph: Graph, parts: Mapping[str, str]) -> ComponentSpec:
    return ComponentSpec(
        name,
        graph.name,
        graph.module,
        _pinned_version(graph.name, graph.module),
        graph.module + parts["package"],
        _GRAPHS / graph.name,
        Image(parts["image"], parts["path"], parts.get("tag", "{version}")),
    )


def _pinned_version(graph: str, module: str) -> str:
    text = (_GRAPHS / graph / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"{graph}/go.mod does not require {module}")
    return found[1]


@functools.cache
def _projects() -> Mapping[str, tuple[Graph, Mapping[str, Mapping[str, str]]]]:
    """Every graph with its components, the one with the fewest modules first: it is built most quickly."""
    found = {}
    for folder in sorted(_GRAPHS.iterdir(), key=lambda folder: (folder / "go.sum").stat().st_size):
        data: dict[str, Any] = yaml.safe_load((folder / "project.yaml").read_text(encoding="utf-8"))
        components = data.pop("components")
        found[folder.name] = (Graph(name=folder.name, **data), components)
    return found


def graphs() -> Sequence[Graph]:
    """All projects whose version can be chosen, by name."""
    return tuple(_projects()[name][0] for name in sorted(_projects()))


@functools.cache
def catalog() -> Sequence[ComponentSpec]:
    """All components at their pinned versions, in the order in which they are built: the quick ones first."""
    return tuple(
        _spec(name, graph, parts)
        for graph, components in _projects().values()
        for name, parts in components.items()
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
    if name in _projects():
        return _projects()[name][0]
    if any(one.name == name for one in catalog()):
        return graph(spec(name).graph)
    known = ", ".join(_projects())
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
