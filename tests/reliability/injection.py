"""One fault, injected into a run of planebench at a random time, and what must hold whatever it was.

A case is drawn by its number alone: ``PLANEBENCH_FAULTS=100 pytest tests/reliability -k 'case-42'`` repeats one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE_S = 120.0
LONGEST_DELAY_S = 16.0
"""About as long as an undisturbed run takes: some faults come after its end."""
MARK = "PLANEBENCH_RELIABILITY_CASE"
"""In the environment of all processes of a run: who still has it is an orphan."""

SCENARIO = """
apiVersion: planebench.dev/v1
name: reliability
nodes: [{name: node, count: 4}]
workload: {count: 30, objects: [{template: pod}]}
lifecycle:
  creation: {arrival: {pattern: constant, rate: 15/s}}
  management: {patch: {share: 50%, rate: 15/s}}
  monitoring: {duration: 2s, lists: 2}
  cleanup: {rate: 15/s}
settings: {pod_cpu: 10m, pod_memory: 16Mi}
timeouts: {running: 20s, management: 20s, cleanup: 20s, run: 90s}
slos: [{sli: creation.reached, min: 100%}]
"""

COMPONENTS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok")
ENGINE, HARNESS = "planebench.load", "planebench"
SIGNALS = {
    **dict.fromkeys(COMPONENTS, (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)),
    ENGINE: (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV),
    HARNESS: (signal.SIGKILL, signal.SIGTERM, signal.SIGINT),
}


@dataclass(frozen=True)
class Case:
    """What is done to whom, and when."""

    number: int
    victim: str
    signal: signal.Signals
    delay_s: float

    @classmethod
    def drawn(cls, number: int) -> Case:
        draw = random.Random(number)
        victim = draw.choice(list(SIGNALS))
        return cls(number, victim, draw.choice(SIGNALS[victim]), draw.uniform(0.0, LONGEST_DELAY_S))

    def __str__(self) -> str:
        return f"case-{self.number}-{self.victim}-{self.signal.name}-after-{self.delay_s:.1f}s"


@dataclass(frozen=True)
class Outcome:
    """How a run has ended."""

    code: int
    output: str
    errors: str
    folder: Path
    struck: bool
    """The victim was there to be struck."""
    orphans: list[str]

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.errors.splitlines() if line.startswith("planebench: ")]


def run(case: Case, base: Path) -> Outcome:
    """A run with the case's fault."""
    (base / "scenario.yaml").write_text(SCENARIO)
    stdout, stderr = base / "stdout", base / "stderr"
    mark = f"{os.getpid()}-{case.number}"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "planebench", "run", "scenario.yaml", "--out", "run"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=base,
            env={**os.environ, MARK: mark, "PLANEBENCH_STATE": str(base / "state"), "TMPDIR": str(base)},
        )
    try:
        struck = _strike(case, process)
        process.wait(PATIENCE_S)
        return Outcome(
            process.returncode, stdout.read_text(), stderr.read_text(), base / "run", struck, _orphans(mark)
        )
    finally:
        for orphan in _marked(mark):
            orphan.kill()


def _strike(case: Case, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the time, then, as long as the run goes on, for the victim."""
    time.sleep(case.delay_s)
    while process.poll() is None:
        for candidate in _family(process.pid):
            try:
                line = candidate.cmdline()
                own = case.victim == HARNESS and candidate.pid == process.pid
                if (
                    own
                    or Path(line[0]).name == case.victim
                    or (case.victim in line[:3] and case.victim != HARNESS)
                ):
                    candidate.send_signal(case.signal)
                    return True
            except (psutil.Error, IndexError):
                continue
        time.sleep(0.02)
    return False


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _orphans(mark: str) -> list[str]:
    """Who is still there after three seconds: a parent's death needs a moment to come through."""
    limit_s = time.monotonic() + 3.0
    while (found := list(_marked(mark))) and time.monotonic() < limit_s:
        time.sleep(0.05)
    return [f"{process.pid} {process.name()}" for process in found if process.is_running()]


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue
