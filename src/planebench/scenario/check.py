"""What a scenario and its plane must agree on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from planebench import units
from planebench.planes import Plane
from planebench.scenario.faults import (
    EtcdFull,
    Fault,
    Latency,
    LinkFault,
    MoveLeader,
    NodeFault,
    ProcessFault,
    fault_names,
)
from planebench.scenario.model import NodePool, ObjectKind, Scenario, apportion

REPLICATED = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok")
"""Kubernetes' components that can have several members."""
_AFTER_S = 10.0
"""How long the load has to go on after a fault, at least, for its recovery to be told."""
API_CLIENTS = ("kube-scheduler", "kube-controller-manager", "kwok", "load", "clients")
"""Those of every plane whose connections to the API servers can be struck; `clients` are all of them."""
KUBERNETES_COMPONENTS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok")


class Problem(NamedTuple):
    """A fault: the field's path in the document, and what was expected."""

    path: tuple[str | int, ...]
    message: str


def suggest(wrong: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the one that was meant, or all there are."""
    names = list(known)
    close = get_close_matches(wrong, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names) or 'none'}"


def check(scenario: Scenario, plane: Plane) -> Iterator[Problem]:
    """Everything in the scenario that the plane does not know."""
    known = _known_components(plane)
    for component in scenario.components:
        if component not in known:
            yield Problem(("components", component), f"unknown component{suggest(component, known)}")
    for component, options in scenario.components.items():
        if options.config and component != "kube-scheduler":
            yield Problem(
                ("components", component, "config"), "only kube-scheduler has one here; use flags for the others"
            )
    for number, kind in enumerate(scenario.workload.objects):
        path = ("workload", "objects", number)
        if kind.template not in plane.workloads:
            yield Problem(
                (*path, "template"), f"unknown in plane {plane.name}{suggest(kind.template, plane.workloads)}"
            )
        else:
            yield from _check_manifest(kind, plane, path)
            if kind.expect == "unschedulable" and plane.workloads[kind.template].unschedulable is None:
                yield Problem((*path, "expect"), f"of a {kind.template}, plane {plane.name} cannot tell that")
    yield from _check_changes(scenario, plane)
    yield from _check_topology(scenario, plane)
    yield from _check_faults(scenario, plane)


def _known_components(plane: Plane) -> list[str]:
    return [*KUBERNETES_COMPONENTS, *(process.name for process in plane.processes)]


def warnings(scenario: Scenario, plane: Plane) -> list[str]:
    """What is allowed, but perhaps not meant; one line each."""
    found = []
    sizes = apportion(scenario.workload.count, [kind.share for kind in scenario.workload.objects])
    count = sum(size for kind, size in zip(scenario.workload.objects, sizes, strict=True) if kind.expect == "up")
    room = sum(int(units.parse_quantity(pool.capacity["pods"])) * pool.count for pool in scenario.nodes)
    if count > room:
        found.append(
            f"workload.count: {count:,} objects, but the nodes hold {room:,} pods: the rest cannot be scheduled"
        )
    for name, load in scenario.lifecycle.management.items():
        offering = (
            size
            for kind, size in zip(scenario.workload.objects, sizes, strict=True)
            if name in plane.workloads[kind.template].offered
        )
        if all(load.share * size < 0.5 for size in offering):
            found.append(f"lifecycle.management.{name}: {units.format_share(load.share)} is not a single object")
    load_s = scenario.lifecycle.creation.arrival.duration_s(scenario.workload.count)
    for number, fault in enumerate(scenario.faults):
        if fault.stage != "creation" or isinstance(fault, NodeFault):
            continue
        if fault.at + fault.duration + _AFTER_S > load_s:
            found.append(
                f"faults[{number}]: the creations end {units.format_duration(round(load_s, 3))} after the stage's "
                f"start, less than {_AFTER_S:g} s after it: too soon to tell when all is as before"
            )
    for slo in scenario.slos:
        smallest = scenario.workload.count * (100 - slo.percentile) / 100 if slo.percentile else 1
        if slo.percentile != 100 and smallest < 1:
            found.append(
                f"slos: {slo.sli}: p{slo.percentile:g} of {scenario.workload.count:,} objects is their maximum"
            )
    return found


def _check_manifest(kind: ObjectKind, plane: Plane, path: tuple[str | int, ...]) -> Iterator[Problem]:
    manifest = kind.manifest
    if manifest is None:
        return
    resource = plane.workload(kind.template).resource.resource()
    wanted = {
        "apiVersion": f"{resource.group}/{resource.version}" if resource.group else resource.version,
        "kind": resource.kind,
    }
    for key, value in wanted.items():
        if manifest.get(key) != value:
            yield Problem((*path, "manifest", key), f"expected {value}, as the template {kind.template} has it")
    for key in ("metadata", "spec"):
        if not isinstance(manifest.get(key, {}), dict):
            yield Problem((*path, "manifest", key), "expected a mapping")


def _check_changes(scenario: Scenario, plane: Plane) -> Iterator[Problem]:
    templates = [
        plane.workloads[kind.template] for kind in scenario.workload.objects if kind.template in plane.workloads
    ]
    offered = {name: change for template in templates for name, change in template.offered.items()}
    before: dict[str, float] = {}
    first_shares = 0.0
    for name, load in scenario.lifecycle.management.items():
        path = ("lifecycle", "management", name)
        if name not in offered:
            yield Problem(path, f"no template of the workload has this change{suggest(name, offered)}")
            continue
        needs = offered[name].needs
        if needs and needs not in before:
            yield Problem(path, f"needs {needs!r} before it")
        if not needs:
            first_shares += load.share
        before[name] = load.share
    if first_shares > 1 + 1e-6:
        yield Problem(
            ("lifecycle", "management"),
            f"different changes take different objects, but their shares add up to {first_shares * 100:.6g}%",
        )


def _check_topology(scenario: Scenario, plane: Plane) -> Iterator[Problem]:
    known = _replicated(plane)
    for component, count in scenario.topology.items():
        path = ("topology", component)
        if component in {process.name for process in plane.processes} - set(known) and count > 1:
            yield Problem(path, "elects no leader among several members, so it has one")
        elif component not in _known_components(plane):
            yield Problem(path, f"unknown component{suggest(component, known)}")


def _replicated(plane: Plane) -> list[str]:
    """Components that can have several members."""
    return [*REPLICATED, *(process.name for process in plane.processes if process.lease)]


def _check_faults(scenario: Scenario, plane: Plane) -> Iterator[Problem]:
    faults, known = scenario.faults, _known_components(plane)
    zones = sorted({zone for pool in scenario.nodes for zone in _zones(pool)})
    for number, fault in enumerate(faults):
        path = ("faults", number)
        if isinstance(fault, ProcessFault):
            if fault.component not in known:
                yield Problem((*path, "component"), f"unknown component{suggest(fault.component, known)}")
            yield from _check_member(fault.member, fault.component, scenario, path)
        if isinstance(fault, NodeFault) and fault.zone is not None and fault.zone not in zones:
            yield Problem((*path, "zone"), f"no node is in it{suggest(fault.zone, zones)}")
        if isinstance(fault, LinkFault):
            yield from _check_link(fault, scenario, plane, path)
        if isinstance(fault, EtcdFull) and "quota-backend-bytes" in _etcd_flags(scenario):
            yield Problem((*path, "quota"), "excludes components.etcd.flags.quota-backend-bytes: give one of them")
        if isinstance(fault, MoveLeader) and scenario.topology.get("etcd", 1) == 1:
            yield Problem((*path, "kind"), "takes several members of etcd, for instance topology: {etcd: 3}")
        if isinstance(fault, Latency) and fault.jitter > fault.latency:
            yield Problem(
                (*path, "jitter"), f"must be at most the latency, {units.format_duration(fault.latency)}"
            )
        for before in faults[:number]:
            if _meet(before, fault):
                yield Problem((*path, "at"), f"another fault of {fault.target} goes on at that time")
                break
    names = fault_names(faults)
    for number, name in enumerate(names):
        if name in names[:number]:
            yield Problem(("faults", number, "name"), f"another fault has the name {name!r}")


def _zones(pool: NodePool) -> Iterator[str]:
    """Of a pool's nodes, as :mod:`planebench.nodes` labels them."""
    return (zone for number in range(pool.count) if (zone := pool.zone(number)))


def _etcd_flags(scenario: Scenario) -> Mapping[str, str]:
    options = scenario.components.get("etcd")
    return options.flags if options else {}


def _check_link(
    fault: LinkFault, scenario: Scenario, plane: Plane, path: tuple[str | int, ...]
) -> Iterator[Problem]:
    client, server = fault.between
    clients = [*API_CLIENTS, *(process.name for process in plane.processes)]
    if (client, server) != ("kube-apiserver", "etcd") and server != "kube-apiserver":
        yield Problem((*path, "between"), "expected [kube-apiserver, etcd], or a client and kube-apiserver")
    elif server == "kube-apiserver" and client not in clients:
        yield Problem((*path, "between"), f"{client} is no client of kube-apiserver{suggest(client, clients)}")
    elif client not in ("load", "clients"):
        yield from _check_member(fault.member, client, scenario, path)
    elif fault.member is not None:
        yield Problem((*path, "member"), f"{client} has no members")


def _check_member(
    member: int | str | None, component: str, scenario: Scenario, path: tuple[str | int, ...]
) -> Iterator[Problem]:
    count = scenario.topology.get(component, 1)
    where = (*path, "member")
    if isinstance(member, int) and member > count:
        yield Problem(where, f"{component} has {count} (topology.{component}), got {member}")
    elif member == "leader" and component == "kube-apiserver":
        yield Problem(where, "API servers have no leader: all of them serve; give a number, or all")
    elif member == "leader" and component == "kwok":
        yield Problem(where, "kwok has no leader: each one plays nodes of its own; give a number, or all")
    elif member == "leader" and count == 1:
        yield Problem(where, f"{component} has one member, and no leader; set topology.{component}")


def _meet(one: Fault, other: Fault) -> bool:
    """Whether two faults of one thing go on at the same time."""
    if one.stage != other.stage or one.target != other.target or isinstance(one, NodeFault):
        return False
    first, second = sorted((one, other), key=lambda fault: fault.at)
    return second.at <= first.at + first.duration
