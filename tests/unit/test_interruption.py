"""A signal that comes while the command is still being imported, or before a run has begun."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from planebench.model import ExitCode
from planebench.run.interrupt import run_interruptibly

COMMAND = """
import os, signal, sys

class Striker:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            exec("os.kill(os.getpid(), {number}); pass")

signal.signal({number}, signal.SIG_DFL if {number} != signal.SIGINT else signal.default_int_handler)
{before}
sys.meta_path.insert(0, Striker())
from planebench.__main__ import main
sys.argv = ["planebench", *{argv!r}]
main()
"""
"""The command in a process that gets a signal from itself as soon as it imports a module, whatever nohup and the
like have set aside for the tests. It comes within an exec of text, as in dataclasses: CPython remembers that."""


def struck(
    folder: Path, module: str, number: signal.Signals, argv: Sequence[str], before: str = ""
) -> subprocess.CompletedProcess[str]:
    (folder / "struck.py").write_text(
        COMMAND.format(module=module, number=int(number), argv=list(argv), before=before)
    )
    command = [sys.executable, "-m", "struck"]  # the way in which an interrupt's memory outlasts the exit code
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("planebench.cli", signal.SIGINT),
        ("numpy", signal.SIGINT),
        ("planebench.cli.evaluate", signal.SIGTERM),
        ("planebench.model", signal.SIGHUP),
    ],
)
def test_an_interruption_of_the_import_is_told_in_one_line(
    module: str, number: signal.Signals, tmp_path: Path
) -> None:
    found = struck(tmp_path, module, number, ["run", "smoke", "--dry-run"])
    assert (found.returncode, found.stdout, found.stderr) == (
        ExitCode.INTERRUPTED,
        "",
        "planebench: interrupted\n",
    )


def test_what_nohup_has_set_aside_stays_so(tmp_path: Path) -> None:
    ignored = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    found = struck(tmp_path, "planebench.cli", signal.SIGHUP, ["--version"], ignored)
    assert (found.returncode, found.stderr) == (0, "") and found.stdout.startswith("planebench ")


def test_an_interruption_of_a_command_is_told_in_one_line(tmp_path: Path) -> None:
    """What is imported only when the command is carried out."""
    found = struck(tmp_path, "planebench.run.trial", signal.SIGINT, ["run", "smoke", "--dry-run"])
    assert (found.returncode, found.stderr) == (ExitCode.INTERRUPTED, "planebench: interrupted\n")


def test_what_follows_the_loop_is_told_as_before() -> None:
    """The analysis of a run."""

    async def work() -> None:
        pass

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        for number in before:
            signal.signal(number, signal.default_int_handler)
        run_interruptibly(work())
        assert {signal.getsignal(number) for number in before} == {signal.default_int_handler}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
