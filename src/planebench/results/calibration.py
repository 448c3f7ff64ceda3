"""What ``planebench calibrate`` has found on a machine, and what it says of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from planebench.results.folder import write_text
from planebench.scenario import Arrival, Constant, Poisson, Ramp, Scenario

FILE = "calibration.json"
_SAME_MACHINE = ("system", "processor", "cores", "usable_cores", "memory_bytes")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EngineLimit(_Part):
    """The greatest rate at which the load engine sent p99 of its requests within 1 ms and had a core to spare."""

    rate_per_s: float
    lateness_p99_s: float
    core_share: float
    """Of one core, while it sent."""
    ended_by: str
    """What did not hold any more at the next higher rate; empty: none was tried."""


class Receipts(_Part):
    """How late observations are with little load."""

    staleness_p50_s: float
    """From a write's answer to its watch event."""
    staleness_p99_s: float
    read_delay_p50_s: float
    """From the kernel's stamp to the engine's reading."""
    read_delay_p99_s: float


class SimulatorLimit(_Part):
    """The greatest rate of pods that the simulator played without a queue for its workers."""

    pods_per_s: float
    workers: int
    unloaded_p50_s: float
    """From a pod's receipt with its node to its receipt as running, when pods come one by one."""
    unloaded_p99_s: float
    ended_by: str


class Disk(_Part):
    """What it takes to write 2 KiB and have them on the disk (fdatasync), as etcd does with entries of its log."""

    file_system: str
    fsync_p50_s: float
    fsync_p99_s: float


class Calibration(_Part):
    """``calibration.json``."""

    schema_version: Literal[1] = 1
    planebench_version: str
    measured_wall: str
    """ISO 8601."""
    machine: Mapping[str, Any]
    engine: EngineLimit
    receipts: Receipts
    simulator: SimulatorLimit
    disk: Disk

    def is_of(self, machine: Mapping[str, Any]) -> bool:
        """Whether it was made on a machine like this one."""
        return all(self.machine.get(key) == machine.get(key) for key in _SAME_MACHINE)


def write(calibration: Calibration, folder: Path) -> Path:
    """Write it into a folder, which is made; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    write_text(path, calibration.model_dump_json(indent=1) + "\n")
    return path


def read(folder: Path, machine: Mapping[str, Any]) -> Calibration | None:
    """What was found on this machine; None where nothing was, or by another version or on another machine."""
    try:
        found = Calibration.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.is_of(machine) else None


def warnings(scenario: Scenario, calibration: Calibration) -> Iterator[str]:
    """What a scenario asks beyond what was calibrated; one line each."""
    sent, played = calibration.engine.rate_per_s, calibration.simulator.pods_per_s
    for field, rate_per_s in _rates(scenario):
        if rate_per_s > sent:
            yield (
                f"{field}: {rate_per_s:,.0f}/s is more than the {sent:,.0f}/s that the load engine sent on time "
                "when this machine was calibrated: expect an inconclusive run"
            )
    arrival = _peak_per_s(scenario.lifecycle.creation.arrival)
    if arrival is not None and arrival > played:
        yield (
            f"lifecycle.creation.arrival: {arrival:,.0f}/s is more than the {played:,.0f} pods/s that KWOK played "
            "when this machine was calibrated: expect an inconclusive run if the scheduler keeps up"
        )


def _rates(scenario: Scenario) -> Iterator[tuple[str, float]]:
    lifecycle = scenario.lifecycle
    if (creation := _peak_per_s(lifecycle.creation.arrival)) is not None:
        yield "lifecycle.creation.arrival", creation
    for name, load in lifecycle.management.items():
        yield f"lifecycle.management.{name}", load.rate
    yield "lifecycle.monitoring", lifecycle.monitoring.reads + lifecycle.monitoring.canary
    yield "lifecycle.cleanup", lifecycle.cleanup.rate


def _peak_per_s(arrival: Arrival) -> float | None:
    """The highest rate that is meant to last; a burst has none."""
    match arrival:
        case Constant() | Poisson():
            return arrival.rate
        case Ramp():
            return max(arrival.start, arrival.end)
    return None
