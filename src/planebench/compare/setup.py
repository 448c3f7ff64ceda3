"""What a run was run with, and whether two runs may be compared at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from planebench import units
from planebench.results import Result
from planebench.scenario import Scenario

_LOAD: Final = ("name", "plane", "nodes", "workload", "lifecycle")
"""Fields of a scenario that say what is asked of a control plane; the others say how it is set up and judged."""
_NO_MATTER: Final = ("seed", "description", "slos", "timeouts", "apiVersion")
_NONE: Final = "-"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run was run with, as text by name, so that two can be held against each other."""

    load: Mapping[str, str] = field(default_factory=dict)
    """What was asked of the control plane."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """How it was set up, and of which binaries."""
    machine: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same on both sides."""

    what: str
    baseline: str
    candidate: str

    def __str__(self) -> str:
        return f"{self.what}: {self.baseline} -> {self.candidate}"


def of_run(scenario: Scenario, result: Result) -> Setup:
    """The setup of a run, from its scenario and the environment that it noted."""
    fields = dict(_flat(scenario.model_dump(mode="json", by_alias=True)))
    kept = {name: value for name, value in fields.items() if _top(name) not in _NO_MATTER}
    return Setup(
        load={name: value for name, value in kept.items() if _top(name) in _LOAD},
        settings={
            **{name: value for name, value in kept.items() if _top(name) not in _LOAD},
            **_binaries(result.environment),
            **_flags(result.environment),
            "planebench": result.planebench_version,
        },
        machine=_machine(result.environment),
    )


def differences(baseline: Mapping[str, str], candidate: Mapping[str, str]) -> tuple[Difference, ...]:
    """What is not the same, in the order of its names; what one side has not is ``-``."""
    return tuple(
        Difference(name, before, after)
        for name in sorted(baseline.keys() | candidate.keys())
        if (before := baseline.get(name, _NONE)) != (after := candidate.get(name, _NONE))
    )


def _top(name: str) -> str:
    return name.partition(".")[0].partition("[")[0]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path -> value; what is empty or None is left out."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _flat(item, f"{name}[{number}]")
    elif value not in (None, ""):
        yield name, str(value)


def _binaries(environment: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    components = environment.get("components")
    for component in components if isinstance(components, list) else ():
        if isinstance(component, Mapping) and component.get("name"):
            digest = str(component.get("sha256") or "")
            found[str(component["name"])] = " ".join(
                part
                for part in (str(component.get("version") or "unknown"), f"({digest[:12]})" if digest else "")
                if part
            )
    return found


def _flags(environment: Mapping[str, Any]) -> dict[str, str]:
    """Which flags each component was started with. Their values that matter are in the scenario; others are paths
    and ports, which are new in every run. An audit log or profiles are seen by their flags' names."""
    found: dict[str, str] = {}
    processes = environment.get("processes")
    for process in processes if isinstance(processes, list) else ():
        if isinstance(process, Mapping) and isinstance(process.get("argv"), list):
            for word in process["argv"]:
                flag = str(word).partition("=")[0]
                if flag.startswith("--"):
                    found[f"{process.get('component') or process.get('name')} {flag}"] = "set"
    return found


def _machine(environment: Mapping[str, Any]) -> dict[str, str]:
    """What makes figures of two machines incomparable; memory in whole GiB, for kernels keep a little of it."""
    machine = environment.get("machine")
    if not isinstance(machine, Mapping):
        return {}
    found = {name: str(machine[name]) for name in ("processor", "usable_cores", "architecture") if name in machine}
    memory = machine.get("memory_bytes")
    if isinstance(memory, int):
        found["memory"] = units.format_bytes(round(memory / 2**30) * 2**30)
    return found
