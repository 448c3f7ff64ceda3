"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from planebench import units
from planebench.binaries import Sources, graphs
from planebench.model import UsageError

_PROJECTS = {graph.name: graph.title for graph in graphs()}
_PANEL = "Components"
"""What the options about components stand under in --help."""

ComponentPaths = Annotated[
    list[str] | None,
    typer.Option(
        "--component",
        metavar="NAME=PATH",
        rich_help_panel=_PANEL,
        help="Use this binary for a component, for instance kube-apiserver=./kube-apiserver. Repeatable.",
    ),
]
FromCheckpoint = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="CHECKPOINT",
        help="Start from this state (see `planebench checkpoint`) instead of an empty control plane.",
    ),
]
AllowedSources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="cache|image|go",
        rich_help_panel=_PANEL,
        help="Allow only this source of components: the cache, official images, builds by Go. Repeatable; all "
        "are allowed where none is named.",
    ),
]
Registry = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="HOST[/PREFIX]",
        rich_help_panel=_PANEL,
        envvar="PLANEBENCH_REGISTRY",
        help="A mirror that holds the official images.",
    ),
]
SourceTrees = Annotated[
    list[str] | None,
    typer.Option(
        "--component-source",
        metavar="NAME=DIR",
        rich_help_panel=_PANEL,
        help=f"Build a component or project ({', '.join(_PROJECTS)}) from your source tree. Repeatable.",
    ),
]
KubernetesTree = Annotated[
    Path | None,
    typer.Option(
        "--kubernetes-source",
        metavar="DIR",
        rich_help_panel=_PANEL,
        help="Build Kubernetes from your source tree.",
    ),
]
Name = Annotated[str, typer.Option("--name", help="The cluster's name; several run side by side.")]
NodeCount = Annotated[int | None, typer.Option("--nodes", min=1, help="How many nodes to simulate.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a field of the scenario, for instance workload.count=200. Repeatable.",
    ),
]


def pairs(values: Sequence[str] | None, flag: str) -> dict[str, str]:
    """``KEY=VALUE`` strings as a mapping.

    Raises:
        UsageError: one has no ``=``, an empty key, or a key that stands twice.
    """
    result: dict[str, str] = {}
    for value in values or ():
        key, sign, rest = value.partition("=")
        if not sign or not key:
            raise UsageError(f"{flag} {value}: expected KEY=VALUE")
        if key in result:
            raise UsageError(f"{flag} {value}: {key} is set twice")
        result[key] = rest
    return result


def component_paths(values: Sequence[str] | None) -> dict[str, Path]:
    """``--component`` values as component -> binary."""
    return {name: Path(path).expanduser() for name, path in pairs(values, "--component").items()}


def version_settings(wanted: Mapping[str, str]) -> dict[str, str]:
    """Versions by project as fields of a scenario, quoted: YAML takes 1.35 for a number."""
    return {f"versions.{project}": json.dumps(version) for project, version in wanted.items()}


def sources(
    allowed: Sequence[str] | None,
    registry: str | None,
    trees: Sequence[str] | None,
    kubernetes_tree: Path | None,
) -> Sources:
    """Where components may come from. Raises UsageError."""
    given = {name: Path(folder) for name, folder in pairs(trees, "--component-source").items()}
    if kubernetes_tree is not None:
        given["kubernetes"] = kubernetes_tree
    return Sources.read(allowed, registry, given)


@dataclass(frozen=True, slots=True)
class Components:
    """What a command's options about components say."""

    paths: Mapping[str, Path]
    """Component -> a binary of one's own."""
    versions: Mapping[str, str]
    """By project."""
    sources: Sources

    @property
    def settings(self) -> dict[str, str]:
        """The versions as fields of a scenario."""
        return version_settings(self.versions)


def _kept_apart(
    source: AllowedSources = None,
    registry: Registry = None,
) -> tuple[dict[str, Path], Sources]:
    return {}, sources(source, registry, None, None)


def _with_own(
    component: ComponentPaths = None,
    source: AllowedSources = None,
    registry: Registry = None,
    component_source: SourceTrees = None,
    kubernetes_source: KubernetesTree = None,
) -> tuple[dict[str, Path], Sources]:
    return component_paths(component), sources(source, registry, component_source, kubernetes_source)


def _version_options() -> Iterator[inspect.Parameter]:
    """``--PROJECT VERSION`` for every project that planebench has components of."""
    for name, title in _PROJECTS.items():
        option = typer.Option(
            f"--{name}", metavar="VERSION", rich_help_panel=_PANEL, help=f"{title} of this version."
        )
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
        )


def with_components(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options about components: what they say comes as its argument ``components``."""
    return _with_components(command, _with_own)


def with_provided_components(command: Callable[..., None]) -> Callable[..., None]:
    """The same without binaries and source trees of one's own."""
    return _with_components(command, _kept_apart)


def _with_components(
    command: Callable[..., None], read: Callable[..., tuple[dict[str, Path], Sources]]
) -> Callable[..., None]:
    projects = list(_version_options())

    def read_all(**values: Any) -> Components:
        given = {project.name: values.pop(project.name) for project in projects}
        paths, allowed = read(**values)
        versions = {project: version for project, version in given.items() if version is not None}
        return Components(paths, versions, allowed)

    others = inspect.signature(read, eval_str=True).parameters.values()
    return with_options(command, "components", [*others, *projects], read_all)


def with_options(
    command: Callable[..., None], argument: str, options: Sequence[inspect.Parameter], read: Callable[..., Any]
) -> Callable[..., None]:
    """Give a command a group of options: what ``read`` makes of them comes as its ``argument``.

    Typer makes options of a function's parameters, one by one, and has no groups of them.
    """
    own = inspect.signature(command, eval_str=True)
    kept = [parameter for parameter in own.parameters.values() if parameter.name != argument]

    @functools.wraps(command)
    def read_first(**values: Any) -> None:
        found = read(**{option.name: values.pop(option.name) for option in options})
        command(**values, **{argument: found})

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*kept, *options)]
    read_first.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    read_first.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return read_first


def seconds(value: str | None, flag: str) -> float | None:
    """A duration such as ``10m`` in seconds.

    Raises:
        UsageError: it is none; names the flag.
    """
    if value is None:
        return None
    try:
        return units.parse_duration_s(value)
    except ValueError as error:
        raise UsageError(f"{flag} {value}: {error}") from None
