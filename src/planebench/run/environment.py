"""What a run ran on: machine, versions, components with their flags."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from planebench import __version__, stages
from planebench.binaries import Artifact
from planebench.binaries.cache import default_dir
from planebench.components.kwok import Parallelism
from planebench.model import ComponentProcess
from planebench.planes import Plane
from planebench.results.calibration import read

_LIBRARIES: Final = ("msgspec", "aiohttp", "polars", "numpy")


def machine(data: Path | None) -> dict[str, Any]:
    """This machine, and the file system that etcd's ``data`` lies on; None: it lies elsewhere."""
    memory = psutil.virtual_memory()
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "load_average_1m": round(os.getloadavg()[0], 2),
        "etcd_file_system": None if data is None else _file_system(data),
    }


def components(artifacts: Iterable[Artifact]) -> list[dict[str, Any]]:
    """Which binaries ran, and where they came from."""
    return [
        {
            "name": artifact.name,
            "version": artifact.version,
            "module": artifact.module,
            "source": artifact.source,
            "reason": artifact.reason,
            "image": artifact.image,
            "sha256": artifact.sha256,
            "size_bytes": artifact.size_bytes,
            "go_version": artifact.go_version,
        }
        for artifact in artifacts
    ]


def processes(running: Iterable[ComponentProcess]) -> list[dict[str, Any]]:
    """Which processes ran, with their arguments and what their configuration file says."""
    return [
        {
            "name": process.name,
            "component": process.component,
            "role": process.role,
            "argv": process.argv,
            "configuration": _configuration(process.argv),
        }
        for process in running
    ]


def _configuration(argv: Iterable[str]) -> Any:
    """The first document of the file that ``--config`` names; None: there is none, or it cannot be read."""
    path = next((argument.removeprefix("--config=") for argument in argv if argument.startswith("--config=")), "")
    try:
        return next(iter(yaml.safe_load_all(Path(path).read_text(encoding="utf-8"))), None) if path else None
    except (OSError, ValueError, yaml.YAMLError):
        return None


def simulator(plane: Plane, shards: int = 1) -> dict[str, Any]:
    """How many objects of each kind the simulator plays at once, with all its processes."""
    parallelism = Parallelism()
    played = stages.stages(plane)
    return {"workers": stages.workers(played, shards * parallelism.pod_stages, shards * parallelism.node_stages)}


def calibration() -> dict[str, Any] | None:
    """What ``planebench calibrate`` has found on this machine; None where it was never asked."""
    found = read(default_dir(), machine(Path.cwd()))
    return found.model_dump(exclude={"machine"}) if found else None


def harness() -> Mapping[str, Any]:
    """planebench's own versions."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"planebench": __version__, "python": platform.python_version(), "libraries": libraries}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _file_system(path: Path) -> str:
    """Its type and device: the mount whose folder is nearest."""
    mounts = [
        mount for mount in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(mount.mountpoint)
    ]
    if not mounts:
        return "unknown"
    nearest = max(mounts, key=lambda mount: len(mount.mountpoint))
    return f"{nearest.fstype} on {nearest.device}"
