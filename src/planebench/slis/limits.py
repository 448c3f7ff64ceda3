"""Limits by design that bound a run's figures: what its components really ran with.

A value comes from the configuration file of the process that ran, as the run noted it, else from its flags, else
from the scenario, else from the plane, else it is the component's own default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from planebench.planes import Limit as PlaneLimit
from planebench.planes import Plane
from planebench.planes.plane import substitute
from planebench.results.document import Limit
from planebench.slis.observations import Observations
from planebench.slis.unseen import elsewhere


@dataclass(frozen=True, slots=True)
class _Known:
    """A limit that a component is known to have."""

    meaning: str
    flag: str = ""
    field: tuple[str, ...] = ()
    """Where its configuration file has it."""
    default: str = ""
    """The component's own, as its ``--help`` says; empty: without, it is not told."""


# Defaults are those of ``--help`` of Kubernetes 1.37.2; the scheduler's are those of
# KubeSchedulerConfiguration v1 (pkg/scheduler/apis/config/v1/defaults.go).
_QPS: Final = "client requests per second"
_BURST: Final = "client burst"
_KNOWN: Final[Mapping[str, Sequence[_Known]]] = {
    "kube-apiserver": (
        _Known("requests in flight, read only", "max-requests-inflight", default="400"),
        _Known("requests in flight, mutating", "max-mutating-requests-inflight", default="200"),
    ),
    "etcd": (_Known("bytes of its database", "quota-backend-bytes", default="2147483648"),),
    "kube-scheduler": (
        _Known(_QPS, "kube-api-qps", ("clientConnection", "qps"), "50"),
        _Known(_BURST, "kube-api-burst", ("clientConnection", "burst"), "100"),
        _Known("workers of its algorithm", "", ("parallelism",), "16"),
    ),
    "kube-controller-manager": (
        _Known(f"{_QPS} of each controller", "kube-api-qps", default="20"),
        _Known(f"{_BURST} of each controller", "kube-api-burst", default="30"),
        _Known("workers for ReplicaSets", "concurrent-replicaset-syncs", default="5"),
        _Known("workers for Deployments", "concurrent-deployment-syncs", default="5"),
        _Known("workers for Jobs", "concurrent-job-syncs", default="5"),
        _Known("workers for DaemonSets", "concurrent-daemonset-syncs", default="2"),
        _Known("workers for EndpointSlices", "concurrent-service-endpoint-syncs", default="5"),
        _Known("workers for garbage collection", "concurrent-gc-syncs", default="20"),
        _Known("workers for namespaces", "concurrent-namespace-syncs", default="10"),
    ),
    "kwok": (
        _Known("workers for pods", "", ("options", "podPlayStageParallelism")),
        _Known("workers for nodes", "", ("options", "nodePlayStageParallelism")),
        _Known("workers for leases", "", ("options", "nodeLeaseParallelism")),
    ),
}
_SCENARIO: Final = "scenario"


def limits(seen: Observations) -> dict[str, list[Limit]]:
    """Component -> its limits, of those that ran."""
    processes = _processes(seen.folder.environment())
    given = _given(seen)
    found: dict[str, list[Limit]] = {}
    # What bounds components that planebench has not started, it does not know.
    of_plane = () if elsewhere(seen) else tuple(limit.component for limit in seen.plane.limits)
    for component in dict.fromkeys([*processes, *of_plane]):
        process = processes.get(component, {})
        known = list(_known(component, process, given.get(component, {})))
        told = {limit.meaning for limit in known}
        known += [
            _of_plane(limit, process, seen.plane)
            for limit in seen.plane.limits
            if limit.component == component and limit.meaning not in told
        ]
        if known:
            found[component] = known
    return found


def in_words(found: Mapping[str, Sequence[Limit]], plane: Plane) -> Iterator[str]:
    """Those of clients, and others that are not at their defaults, one line for each component."""
    for component, bounded in found.items():
        defaults = {known.meaning: known.default for known in _KNOWN.get(component, ()) if known.default}
        defaults |= {
            limit.meaning: str(limit.default)
            for limit in plane.limits
            if limit.component == component and limit.default is not None
        }
        told = []
        for limit in bounded:
            changed = limit.value != defaults.get(limit.meaning, limit.value)
            if changed or "client" in limit.meaning:
                told.append(f"{limit.meaning} {limit.value}{' (set)' if changed else ''}")
        if told:
            yield f"{component}: {', '.join(told)}"


def _known(component: str, process: Mapping[str, Any], given: Mapping[str, str]) -> Iterator[Limit]:
    flags = _flags(process.get("argv") or ())
    configuration = process.get("configuration")
    for known in _KNOWN.get(component, ()):
        value, source = known.default, "default"
        if (configured := _at(configuration, known.field)) is not None:
            value, source = (
                f"{configured:g}" if isinstance(configured, float) else str(configured),
                "configuration",
            )
        elif known.flag in flags and configuration is None:  # beside a file, the scheduler ignores them
            value, source = flags[known.flag], f"--{known.flag}"
        elif known.meaning in given:
            value = given[known.meaning]
        if given.get(known.meaning) == value:
            source = _SCENARIO
        if value:
            yield Limit(component=component, meaning=known.meaning, value=value, source=source)


def _of_plane(limit: PlaneLimit, process: Mapping[str, Any], plane: Plane) -> Limit:
    flags = _flags(process.get("argv") or ())
    if limit.flag in flags:
        value, source = flags[limit.flag], f"--{limit.flag}"
    elif limit.value is not None:
        value, source = str(substitute(limit.value, plane.settings)), "plane"
    else:
        value, source = str(limit.default), "default"
    return Limit(component=limit.component, meaning=limit.meaning, value=value, source=source)


def _given(seen: Observations) -> dict[str, dict[str, str]]:
    """What the scenario sets: component -> meaning -> value."""
    wanted = seen.scenario.limits
    found = {}
    for component, client, suffix in (
        ("kube-scheduler", wanted.kube_scheduler, ""),
        ("kube-controller-manager", wanted.kube_controller_manager, " of each controller"),
    ):
        if client is not None:
            found[component] = {f"{_QPS}{suffix}": f"{client.qps:g}", f"{_BURST}{suffix}": str(client.burst)}
    return found


def _processes(environment: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Component -> its first process, as the run noted it."""
    found: dict[str, Mapping[str, Any]] = {}
    for process in environment.get("processes") or ():
        if isinstance(process, Mapping):
            found.setdefault(str(process.get("component", "")), process)
    return found


def _flags(argv: Sequence[str]) -> dict[str, str]:
    """``--flag=value`` arguments; of a flag that stands twice, the last one."""
    pairs = (argument.removeprefix("--").partition("=") for argument in argv if argument.startswith("--"))
    return {name: value for name, sign, value in pairs if sign}


def _at(configuration: Any, path: Sequence[str]) -> Any:
    if not path:
        return None
    for key in path:
        if not isinstance(configuration, Mapping):
            return None
        configuration = configuration.get(key)
    return configuration
