"""The machine that a run shares: CPU by kind, pressure, memory, and how far its two clocks are apart.

A process list tells what planebench and the components have used. Only the machine tells what everybody else has:
other programs, and the host that a virtual machine runs on (steal).
"""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Final, TextIO

import psutil

COLUMNS: Final = (
    "t_ns",
    "capacity_s",
    "busy_s",
    "interrupts_s",
    "steal_s",
    "iowait_s",
    "cpu_some_s",
    "io_some_s",
    "io_full_s",
    "memory_some_s",
    "memory_full_s",
    "memory_available_bytes",
    "wall_offset_ns",
)
"""Seconds are cumulative, since the machine's start; -1 stands for what the kernel does not tell."""

_PRESSURE: Final = Path("/proc/pressure")


class MachineSampler:
    """Writes one row at each :meth:`sample`; close it at the end.

    Sampled together with the processes: what they used is subtracted from what the machine used.
    """

    def __init__(self, path: Path, t0_ns: int) -> None:
        self._t0_ns = t0_ns
        self._file: TextIO = path.open("w", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)

    def sample(self) -> None:
        self._rows.writerow([*_row(self._t0_ns)])
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _row(t0_ns: int) -> list[int | float]:
    now_ns = time.monotonic_ns()
    wall_offset_ns = time.time_ns() - now_ns
    cpu = psutil.cpu_times()
    # guest and guest_nice are part of user and nice (proc(5)).
    interrupts = getattr(cpu, "irq", 0.0) + getattr(cpu, "softirq", 0.0)
    steal, iowait = getattr(cpu, "steal", 0.0), getattr(cpu, "iowait", 0.0)
    busy = cpu.user + getattr(cpu, "nice", 0.0) + cpu.system
    return [
        now_ns - t0_ns,
        *(round(part, 2) for part in (busy + interrupts + steal + iowait + cpu.idle, busy, interrupts, steal)),
        round(iowait, 2),
        *(pressure_s(resource, kind) for resource, kind in _KINDS),
        psutil.virtual_memory().available,
        wall_offset_ns,
    ]


_KINDS: Final = (("cpu", "some"), ("io", "some"), ("io", "full"), ("memory", "some"), ("memory", "full"))


def pressure_s(resource: str, kind: str, folder: Path = _PRESSURE) -> float:
    """How long ``some`` task, or all of them at once (``full``), has waited for a resource since the machine's
    start; -1 where the kernel does not tell (PSI, Documentation/accounting/psi.rst)."""
    try:
        lines = (folder / resource).read_text().splitlines()
        line = next(line for line in lines if line.startswith(f"{kind} "))
        return round(int(line.rpartition("total=")[2]) / 1e6, 6)
    except (OSError, StopIteration, ValueError):
        return -1.0
