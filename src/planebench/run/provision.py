"""What a scenario's cluster is made of: its components' binaries and its configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path

from planebench import binaries
from planebench.binaries import Artifact, BuildProgress
from planebench.cluster.local import ClusterConfig
from planebench.components import ClientLimits
from planebench.model import ComponentError
from planebench.planes import Plane
from planebench.run.listener import Listener
from planebench.scenario import ClientLimits as WantedLimits
from planebench.scenario import Scenario


def cluster_config(scenario: Scenario, plane: Plane, artifacts: Mapping[str, Artifact]) -> ClusterConfig:
    """The cluster that a scenario asks for."""
    return ClusterConfig(
        plane=plane,
        binaries={name: artifact.path for name, artifact in artifacts.items()},
        flags={name: options.flags for name, options in scenario.components.items()},
        scheduler_limits=_limits(scenario.limits.kube_scheduler),
        controller_manager_limits=_limits(scenario.limits.kube_controller_manager),
        timeout_s=scenario.timeouts.cluster,
    )


def _limits(wanted: WantedLimits | None) -> ClientLimits | None:
    return ClientLimits(wanted.qps, wanted.burst) if wanted else None


async def provide(names: list[str], paths: Mapping[str, Path], listener: Listener) -> dict[str, Artifact]:
    """The components' binaries, built where they must be; a build ends when this is cancelled."""
    stop = threading.Event()

    def tell(progress: BuildProgress) -> None:
        if stop.is_set():
            raise ComponentError("the build was interrupted")
        listener.building(progress)

    building = asyncio.create_task(asyncio.to_thread(binaries.resolve, names, overrides=paths, on_progress=tell))
    try:
        return await asyncio.shield(building)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([building])
        raise
