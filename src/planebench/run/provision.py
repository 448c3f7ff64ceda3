"""What a scenario's cluster is made of: its components' binaries and its configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planebench import binaries
from planebench.binaries import Artifact, BuildProgress, Sources
from planebench.cluster.local import ClusterConfig, component_names
from planebench.components import Audit, ClientLimits
from planebench.model import ComponentError, UsageError
from planebench.planes import Plane
from planebench.run.listener import Listener
from planebench.scenario import ClientLimits as WantedLimits
from planebench.scenario import Scenario


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
        flags={name: options.flags for name, options in scenario.components.items()},
        scheduler_limits=_limits(scenario.limits.kube_scheduler),
        scheduler_configuration=_scheduler_configuration(scenario),
        controller_manager_limits=_limits(scenario.limits.kube_controller_manager),
        audit=audit,
        profiling=profiling,
        timeout_s=scenario.timeouts.cluster,
    )


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
                f"rights and webhooks are of {of_plane}; copy the plane's folder, give it those of "
                f"{wanted[project]} and its `versions`, and name it as the scenario's plane (docs/versions.md)"
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
        raise
