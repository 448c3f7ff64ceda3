"""Whatever happens to a run: one clear error, a documented exit code, nothing left running, a readable record.

A few cases belong to the usual suite; ``PLANEBENCH_FAULTS=100 pytest tests/reliability`` runs a hundred.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from injection import ENGINE, HARNESS, Case, Outcome, run

from planebench.model import ExitCode

CASES = [Case.drawn(number) for number in range(int(os.environ.get("PLANEBENCH_FAULTS", "4")))]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_at_any_time(case: Case, tmp_path: Path) -> None:
    found = run(case, tmp_path)
    told = f"{case}: exit code {found.code}\n{found.errors}\n{found.output[-2000:]}"
    assert not found.orphans, told
    assert "Traceback" not in found.errors and "internal error" not in found.errors, told
    assert found.code in _codes(case, found), told
    if found.code == ExitCode.BROKEN:
        assert len(found.complaints) == 1, told
        # An API server that was told to end takes its time: until then it does not answer, but is not gone.
        named = {ENGINE: ("load engine",), "kube-apiserver": ("kube-apiserver", "the API server does not answer")}
        assert case.victim == HARNESS or any(
            name in found.complaints[0] for name in named.get(case.victim, (case.victim,))
        ), told
    if not (case.victim == HARNESS and case.signal is signal.SIGKILL):
        left = sorted(entry.name for entry in tmp_path.iterdir())
        assert set(left) <= {"run", "scenario.yaml", "state", "stderr", "stdout"}, told
        assert not (found.folder / "cluster").exists(), "keys and data are gone"
    _readable(found, told)


def _codes(case: Case, found: Outcome) -> set[int]:
    """What may come of it: a fault in the last moments finds a run that has done its work."""
    if not found.struck:
        return {ExitCode.PASS, ExitCode.INCONCLUSIVE}
    finished = {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE}
    if case.victim != HARNESS:
        return {ExitCode.BROKEN, *finished} if "Run folder:" in found.output else {ExitCode.BROKEN}
    if case.signal is signal.SIGKILL:
        return {-signal.SIGKILL}
    return {ExitCode.INTERRUPTED, *finished} if "Run folder:" in found.output else {ExitCode.INTERRUPTED}


def _readable(found: Outcome, told: str) -> None:
    """What was observed until then can be shown, if it had come so far that there is a record."""
    if not (found.folder / "run.json").exists():
        assert not found.folder.exists() or found.code in (-signal.SIGKILL, ExitCode.INTERRUPTED), told
        return
    shown = subprocess.run(
        [sys.executable, "-m", "planebench", "show", str(found.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode in (*ExitCode,), f"{told}\n{shown.stderr}"
    assert "Traceback" not in shown.stderr, f"{told}\n{shown.stderr}"
    assert shown.stdout.strip(), f"{told}\n{shown.stderr}"
