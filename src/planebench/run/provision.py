"""What a scenario's cluster is made of: its components' binaries and its configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from planebench import binaries
from planebench.binaries import Artifact, BuildProgress, Sources
from planebench.cluster.local import ClusterConfig, component_names
from planebench.cluster.process import no_hostnames
from planebench.components import Audit, ClientLimits
from planebench.model import ComponentError, UsageError
from planebench.planes import Plane
from planebench.run.listener import Listener
from planebench.scenario import ClientLimits as WantedLimits
from planebench.scenario import EtcdFull, LinkFault, Scenario


def cluster_config(
    scenario: Scenario,
    plane: Plane,
    artifacts: Mapping[str, Artifact],
    *,
    audit: Audit | None = None,
    profiling: bool = False,
) -> ClusterConfig:
    """The cluster that a scenario asks for, with what a run wants to see of it."""
    return ClusterConfig(
        plane=plane,
        binaries={name: artifact.path for name, artifact in artifacts.items()},
        versions={name: artifact.version for name, artifact in artifacts.items()},
        flags=_flags(scenario),
        scheduler_limits=_limits(scenario.limits.kube_scheduler),
        scheduler_configuration=_scheduler_configuration(scenario),
        controller_manager_limits=_limits(scenario.limits.kube_controller_manager),
        audit=audit,
        profiling=profiling,
        topology=scenario.topology,
        links=links(scenario),
        seed=scenario.seed,
        timeout_s=scenario.timeouts.cluster,
    )


def links(scenario: Scenario) -> frozenset[tuple[str, str]]:
    """Pairs of a client and a server whose connections a fault strikes."""
    found = (fault.between for fault in scenario.faults if isinstance(fault, LinkFault))
    return frozenset((client, server) for client, server in found)


def wanted_components(scenario: Scenario, plane: Plane) -> list[str]:
    """The components that a scenario's cluster is made of, by the catalogue's names."""
    return [*component_names(plane), *(["toxiproxy"] if links(scenario) else [])]


def no_topology(scenario: Scenario) -> Iterator[str]:
    """Why the scenario's topology cannot be had on this machine, in one line; nothing where it can."""
    several = next((name for name, count in scenario.topology.items() if count > 1 and name != "kwok"), "")
    if several and (reason := no_hostnames()):
        yield (
            f"topology.{several}: its members need a host name each, which takes root or user namespaces "
            f"(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns): {reason}"
        )


def _flags(scenario: Scenario) -> dict[str, Mapping[str, str]]:
    flags: dict[str, Mapping[str, str]] = {name: options.flags for name, options in scenario.components.items()}
    quotas = [fault.quota_bytes for fault in scenario.faults if isinstance(fault, EtcdFull)]
    if quotas:
        flags["etcd"] = {**flags.get("etcd", {}), "quota-backend-bytes": str(min(quotas))}
    return flags


def _scheduler_configuration(scenario: Scenario) -> Mapping[str, Any]:
    options = scenario.components.get("kube-scheduler")
    return options.config if options else {}


def _limits(wanted: WantedLimits | None) -> ClientLimits | None:
    return ClientLimits(wanted.qps, wanted.burst) if wanted else None


def versions(scenario: Scenario, plane: Plane) -> dict[str, str]:
    """Project -> version: the scenario's wishes, and what the plane's objects belong to.

    Raises UsageError where these differ.
    """
    wanted = dict(scenario.versions)
    for project, of_plane in plane.versions.items():
        if wanted.setdefault(project, of_plane) != of_plane:
            raise UsageError(
                f"versions.{project}: {wanted[project]} does not go with plane {plane.name}, whose definitions, "
                f"rights and webhooks are of {of_plane}; take that version, or copy the plane's folder, give it "
                f"those of {wanted[project]} and its `versions`, and name it as the scenario's plane "
                "(docs/versions.md)"
            )
    return wanted


async def provide(
    plane: Plane,
    paths: Mapping[str, Path],
    listener: Listener,
    *,
    names: Sequence[str] | None = None,
    versions: Mapping[str, str] | None = None,
    sources: Sources | None = None,
) -> dict[str, Artifact]:
    """The binaries of a plane's components, or of those named, pulled or built where they must be; that ends when
    this is cancelled."""
    stop = threading.Event()
    loop = asyncio.get_running_loop()

    def tell(progress: BuildProgress) -> None:
        if stop.is_set():
            raise ComponentError("the build was interrupted")
        listener.building(progress)

    def note(text: str) -> None:
        loop.call_soon_threadsafe(listener.status, text)

    def resolve() -> dict[str, Artifact]:
        return binaries.resolve(
            component_names(plane) if names is None else names,
            overrides=paths,
            own=plane.own_binaries(),
            versions=versions,
            sources=sources,
            on_progress=tell,
            on_note=note,
        )

    building = asyncio.create_task(asyncio.to_thread(resolve))
    try:
        return await asyncio.shield(building)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([building])
        building.exception()  # looked at: else asyncio prints what the interruption ended the build with
        raise
