"""CPU and memory of a command with all the processes that it starts."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PERIOD_S = 0.05


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one command, from its start to its end."""

    wall_s: float
    cpu_s: float
    """Of the command and its children, but for those left out."""
    apart_cpu_s: float
    """Of those left out, as last seen."""
    peak_bytes: int
    """The largest sum of resident memory of the command and its children but for those left out, looked at every
    50 ms. What processes share counts for each."""
    exit_code: int


def watch(
    argv: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path, apart: Collection[str] = ()
) -> Usage:
    """Run a command to its end in a folder; its output goes to a log. It is ended with the caller.

    Args:
        apart: names of programs that are not the command's own work.
    """
    used: dict[tuple[int, bool], float] = {}
    peak_bytes = 0
    begun_s, waited_s = time.monotonic(), _waited_s()
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            while _runs(process):
                peak_bytes = max(peak_bytes, _look(process.pid, apart, used))
        finally:
            process.terminate()
            process.wait()
    wall_s = time.monotonic() - begun_s
    own, others = (
        sum(cpu_s for (_, is_apart), cpu_s in used.items() if is_apart == wanted) for wanted in (False, True)
    )
    # What the kernel counts of processes that have been waited for is whole; what was seen lacks each one's end.
    return Usage(wall_s, max(own, _waited_s() - waited_s - others), others, peak_bytes, process.returncode)


def cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds of processes until now, by their names."""
    times = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items()}
    return {name: item.user + item.system for name, item in times.items()}


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether it still does, after a while."""
    try:
        process.wait(PERIOD_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _look(pid: int, apart: Collection[str], used: dict[tuple[int, bool], float]) -> int:
    """Note the CPU seconds of each process; the sum of resident bytes of those that are not ``apart``."""
    resident = 0
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in tree:
        try:
            with process.oneshot():
                is_apart = process.name() in apart
                times = process.cpu_times()
                used[process.pid, is_apart] = times.user + times.system
                resident += 0 if is_apart else process.memory_info().rss
        except psutil.Error:
            continue
    return resident


def _waited_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
