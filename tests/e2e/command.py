"""The command as a user runs it: a process of its own, its output, its exit code, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

PATIENCE_S = 180.0
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok", "virt-api")


@dataclass
class Command:
    """A command that runs, or has run."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path
    started_s: float

    @property
    def output(self) -> str:
        return self.stdout.read_text()

    @property
    def errors(self) -> str:
        return self.stderr.read_text()

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until the condition holds; fails where the command ends before."""
        limit_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{self.errors}\n{self.output}"
            assert time.monotonic() < limit_s, f"waited in vain for {what}:\n{self.errors}"
            time.sleep(0.02)

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.errors, repr(text))

    def children(self) -> dict[str, psutil.Process]:
        """Component -> its process, of those that this command has started."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                found[Path(child.exe()).name] = child
            except psutil.Error:
                continue
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


Planebench = Callable[..., Command]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Planebench]:
    """Starts ``planebench`` with arguments; what still runs at the end of the test is killed.

    What has ended by itself must not have left a temporary file behind.
    """
    commands: list[Command] = []
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def start(*arguments: str, **environment: str) -> Command:
        number = len(commands)
        stdout, stderr = tmp_path / f"stdout-{number}", tmp_path / f"stderr-{number}"
        with stdout.open("wb") as out, stderr.open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "planebench", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=tmp_path,
                env={
                    **os.environ,
                    "PLANEBENCH_STATE": str(tmp_path / "state"),
                    "TMPDIR": str(temporary),
                    **environment,
                },
            )
        commands.append(Command(process, stdout, stderr, time.time()))
        return commands[-1]

    yield start
    for command in commands:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()
    if all(command.process.returncode >= 0 for command in commands):
        assert [*temporary.iterdir()] == []


@pytest.fixture
def planebench(start: Planebench) -> Planebench:
    """Runs ``planebench`` to its end."""

    def run(*arguments: str, **environment: str) -> Command:
        command = start(*arguments, **environment)
        command.wait()
        return command

    return run


def left_running(folder: Path) -> list[str]:
    """Processes that have to do with anything below a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and process.pid != os.getpid() and "pytest" not in line:
            found.append(line)
    return found
