"""A process that can be started, as data; and how its flags come about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from planebench.model import Endpoint, Profiler, Role
from planebench.versions import numbers


@dataclass(frozen=True, slots=True)
class Probe:
    """Ready when a GET answers 200 and, if ``contains`` is given, with that text."""

    endpoint: Endpoint
    contains: str = ""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How many requests a component's own client may send: per second, and at once."""

    qps: float
    burst: int


@dataclass(frozen=True, slots=True)
class Member:
    """One of the processes of a component that are alike."""

    number: int = 1
    of: int = 1

    @property
    def alone(self) -> bool:
        return self.of == 1

    @property
    def suffix(self) -> str:
        """Of its name, and of files of its own; empty where it is alone."""
        return "" if self.alone else f"-{self.number}"

    def named(self, component: str) -> str:
        """Its process's name."""
        return component + self.suffix

    def hostname(self, component: str) -> str:
        """Its own host's name, by which members are told apart; empty where it is alone: this machine's."""
        return "" if self.alone else self.named(component)


ALONE: Final = Member()
ALONE_REASON: Final = "one member, and no kubelet that would restart it after a lost lease"
"""Why it does not compete for a lease."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """Everything that is needed to start a component and to look into it."""

    name: str
    """Unique in its cluster; names its log."""
    component: str
    """What it is; of the catalogue's components, the name."""
    arguments: tuple[str, ...]
    """Without the binary itself."""
    ready: Probe
    """Tells that it is up for the first time."""
    metrics: Endpoint | None = None
    role: Role = Role.SUBJECT
    profiler: Profiler = Profiler.NONE
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to planebench's own."""
    files: Mapping[Path, str] = field(default_factory=dict)
    """Written before it starts, for the owner's eyes only."""
    ports: tuple[int, ...] = ()
    """It listens on these, on loopback."""
    again: Probe | None = None
    """Tells that it is up after a restart; None: as for the first time."""
    binary: str = ""
    """The catalogue's name of its binary; empty: the component's."""
    hostname: str = ""
    """The host name that it is to see; empty: this machine's. Members of one component tell one another apart by
    it."""
    deviations: tuple[str, ...] = ()
    """Where it differs from what kubeadm starts, with the reason."""


@dataclass(frozen=True, slots=True)
class Change:
    """A flag that differs from kubeadm's."""

    value: str | None
    """None: the flag is left out."""
    reason: str


def for_version(
    flags: Mapping[str, str],
    renamed: Mapping[tuple[int, int, int], Mapping[str, tuple[str, str]]],
    version: str,
) -> dict[str, str]:
    """A component's flags as a version knows them.

    ``renamed``: first version with the flags as given -> flag -> name and value before. An unknown version keeps
    all.
    """
    found = numbers(version)
    known = dict(flags)
    for since, before in renamed.items():
        if found is not None and found < since:
            known = dict(before.get(name, (name, value)) for name, value in known.items())
    return known


class Flags:
    """A component's flags: kubeadm's, then planebench's changes, then the user's."""

    def __init__(
        self,
        component: str,
        kubeadm: Mapping[str, str],
        changes: Mapping[str, Change],
        overrides: Mapping[str, str],
    ) -> None:
        self._component = component
        self._changes = changes
        self._overrides = overrides
        changed = {**kubeadm, **{name: change.value for name, change in changes.items()}, **overrides}
        self.values: dict[str, str] = {name: value for name, value in changed.items() if value is not None}

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(f"--{name}={value}" for name, value in self.values.items())

    @property
    def deviations(self) -> tuple[str, ...]:
        """One line for each flag that is not as kubeadm sets it."""
        return tuple(self._deviations())

    def _deviations(self) -> Iterator[str]:
        for name, change in self._changes.items():
            if name not in self._overrides:
                what = f"--{name}" + (" left out" if change.value is None else f"={change.value}")
                yield f"{self._component} {what}: {change.reason}"
        for name, value in self._overrides.items():
            yield f"{self._component} --{name}={value}: set by the scenario"
