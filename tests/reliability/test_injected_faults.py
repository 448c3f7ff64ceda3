"""Whatever happens to a run: one clear error, a documented exit code, nothing left running, a readable record.

A few cases belong to the usual suite; ``PLANEBENCH_FAULTS=100 pytest tests/reliability`` runs a hundred,
``PLANEBENCH_FAULTS=25-50`` those from number 25 to 49.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from injection import ENGINE, HARNESS, PATIENCE_S, SCENARIO, Case, Outcome, run

from planebench.model import ExitCode


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has happened to."""
    base = tmp_path_factory.mktemp("whole")
    found = run(Case(0, "nobody", signal.SIGTERM, 0.0), base)
    assert found.code == ExitCode.PASS, found
    return found.folder


def _numbers(wanted: str) -> range:
    """``100``: the first hundred; ``25-50``: from 25 on, before 50."""
    first, _, last = wanted.rpartition("-")
    return range(int(first or 0), int(last))


NUMBERS = _numbers(os.environ.get("PLANEBENCH_FAULTS", "2"))
CASES = [Case.drawn(number) for number in NUMBERS]


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


def _show(folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "planebench", "show", str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


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
    shown = _show(found.folder)
    assert shown.returncode in (*ExitCode,), f"{told}\n{shown.stderr}"
    assert "Traceback" not in shown.stderr, f"{told}\n{shown.stderr}"
    assert shown.stdout.strip(), f"{told}\n{shown.stderr}"


@pytest.mark.parametrize("size_mib", [20])
def test_a_disk_that_gets_full(size_mib: int, tmp_path: Path) -> None:
    """On a small tmpfs of a mount namespace of its own, as its own root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    mount = f"mount -t tmpfs -o size={size_mib}m none {disk}"
    script = f'{mount} && "$@"; code=$?; cp -r {disk}/run {tmp_path}/kept; exit $code'
    argv = [sys.executable, "-m", "planebench", "run", "scenario.yaml", "--out", str(disk / "run")]
    found = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *argv],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=tmp_path,
    )
    told = f"exit code {found.returncode}\n{found.stderr}\n{found.stdout[-2000:]}"
    assert found.returncode == ExitCode.BROKEN, told
    (complaint,) = [line for line in found.stderr.splitlines() if line.startswith("planebench: ")]
    assert "etcd" in complaint and f"the disk of {disk / 'run'} is full" in complaint, told
    assert "Traceback" not in found.stderr, told
    assert not list(disk.iterdir()), "nothing was written beside it"
    shown = _show(tmp_path / "kept")
    assert shown.returncode == ExitCode.PASS and "the run came to its end" in shown.stdout, shown


@pytest.mark.parametrize("number", NUMBERS)
def test_a_damaged_record(number: int, tmp_path: Path, whole_run: Path) -> None:
    """Any file of a run folder, cut off, emptied, overwritten or removed: one line, and no traceback."""
    draw = random.Random(number)
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    file = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    content = file.read_bytes()
    damage = draw.choice(["cut", "empty", "noise", "gone"])
    if damage == "gone":
        file.unlink()
    else:
        noise = bytes(draw.randrange(256) for _ in range(len(content) // 2))
        file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": noise}[damage])
    (folder / "result.json").unlink(missing_ok=True)
    shown = _show(folder)
    told = f"{damage} {file.relative_to(folder)}: exit code {shown.returncode}\n{shown.stderr}"
    assert "Traceback" not in shown.stderr and "internal error" not in shown.stderr, told
    assert shown.returncode in (*ExitCode,), told
    if shown.returncode != ExitCode.PASS:
        assert shown.stderr.startswith("planebench: ") and len(shown.stderr.splitlines()) == 1, told
