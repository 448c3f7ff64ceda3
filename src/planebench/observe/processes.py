"""CPU and memory of every process of a run, once a second.

Each sample is written as it is taken, so that a run that is cut off keeps all of them.
"""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from planebench.model import ComponentProcess, Role

COLUMNS = (
    "t_ns",
    "process",
    "component",
    "role",
    "cpu_s",
    "rss_bytes",
    "peak_rss_bytes",
    "threads",
    "read_bytes",
    "write_bytes",
)


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """What one process had used at a time: CPU seconds (user and system) and bytes since its start."""

    t_ns: int
    process: str
    component: str
    role: Role
    cpu_s: float
    rss_bytes: int
    peak_rss_bytes: int
    threads: int
    read_bytes: int
    write_bytes: int


def harness_process(name: str, pid: int) -> ComponentProcess:
    """One of planebench's own processes, to be sampled like the others."""
    return ComponentProcess(name, "planebench", Role.HARNESS, pid, (), Path())


class ProcessSampler:
    """Samples processes into a CSV file and keeps the newest sample of each.

    ``processes`` is called at each round, so processes that start later are seen; ``also`` after each round, for
    what has to be sampled at the same time.
    """

    def __init__(
        self,
        processes: Callable[[], Sequence[ComponentProcess]],
        path: Path,
        t0_ns: int,
        period_s: float = 1.0,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._processes = processes
        self._path = path
        self._t0_ns = t0_ns
        self._period_s = period_s
        self._also = also
        self._known: dict[int, psutil.Process] = {}
        self.newest: dict[str, ProcessSample] = {}
        self.cpu_cores: dict[str, float] = {}
        """Cores in use by each process over the last period."""

    async def run(self) -> None:
        """Sample until cancelled; a last sample is taken on the way out."""
        with self._path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            try:
                while True:
                    self._round(rows)
                    file.flush()
                    await asyncio.sleep(self._period_s)
            finally:
                self._round(rows)

    def _round(self, rows: csv.writer) -> None:  # type: ignore[valid-type]  # csv has no public type for it
        for process in self._processes():
            sample = self._sample(process)
            if sample is None:
                continue
            before = self.newest.get(process.name)
            if before is not None and sample.t_ns > before.t_ns:
                self.cpu_cores[process.name] = (sample.cpu_s - before.cpu_s) / (sample.t_ns - before.t_ns) * 1e9
            self.newest[process.name] = sample
            rows.writerow([getattr(sample, column) for column in COLUMNS])  # type: ignore[attr-defined]
        self._also()

    def _sample(self, process: ComponentProcess) -> ProcessSample | None:
        try:
            handle = self._known.get(process.pid)
            if handle is None:
                handle = self._known[process.pid] = psutil.Process(process.pid)
            with handle.oneshot():
                cpu = handle.cpu_times()
                io = handle.io_counters() if hasattr(handle, "io_counters") else None
                return ProcessSample(
                    t_ns=time.monotonic_ns() - self._t0_ns,
                    process=process.name,
                    component=process.component,
                    role=process.role,
                    cpu_s=round(cpu.user + cpu.system, 3),
                    rss_bytes=(rss := handle.memory_info().rss),
                    peak_rss_bytes=max(rss, peak_rss_bytes(process.pid)),
                    threads=handle.num_threads(),
                    read_bytes=io.read_bytes if io else 0,
                    write_bytes=io.write_bytes if io else 0,
                )
        except (psutil.Error, OSError):
            return None  # it has ended: its supervisor tells


def peak_rss_bytes(pid: int) -> int:
    """The kernel's own high-water mark (VmHWM, proc(5)); 0 where there is none."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0
    _, found, rest = status.partition(b"VmHWM:")
    return int(rest.split(None, 1)[0]) * 1024 if found else 0
