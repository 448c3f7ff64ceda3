"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from planebench import units
from planebench.model import UsageError

ComponentPaths = Annotated[
    list[str] | None,
    typer.Option(
        "--component",
        metavar="NAME=PATH",
        help="Use this binary for a component, for instance kube-apiserver=./kube-apiserver. Repeatable.",
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
