"""``planebench experiment``: trials that are interrupted, resumed and compared."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from command import Planebench, left_running

SMALL = ("smoke", "--nodes", "3", "--set", "workload.count=6", "--set", "lifecycle.monitoring.duration=1s")


def test_an_interrupted_experiment_goes_on_and_tells_what_few_trials_can(
    start: Planebench, planebench: Planebench, tmp_path: Path
) -> None:
    command = start("experiment", *SMALL, "--trials", "1", "--out", "x", "--vary", "workload.count=6|12")
    command.until_said("trial 2 of 2")
    command.until_said("creation (")
    command.signal(signal.SIGINT)
    assert command.wait() == 130
    assert not left_running(tmp_path / "x")
    states = [trial["state"] for trial in json.loads((tmp_path / "x" / "experiment.json").read_bytes())["trials"]]
    assert states == ["completed", "running"]

    resumed = planebench("experiment", "--resume", "x", "--trials", "1", "--doubtful")
    assert resumed.process.returncode == 0, resumed.errors
    assert "1 trials to run" in resumed.errors
    assert "trial 1 of 2" not in resumed.errors
    assert "too few trials" in resumed.output
    assert "Traceback" not in resumed.errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--vary", "workload.count=6"], "expected at least two values with |"),
        (["--vary", "workload.cuont=6|7"], "workload.cuont: unknown key; did you mean 'count'?"),
        (["--vary", "workload.count=6|6"], "level '6' stands twice"),
        (["--resume", "nowhere"], "nowhere: is no experiment"),
        (["--vary-component", "kwok=built|/no/such/file"], "/no/such/file"),
    ],
)
def test_wrong_factors_are_told(planebench: Planebench, tmp_path: Path, arguments: list[str], words: str) -> None:
    planned = () if "--resume" in arguments else (*SMALL, "--trials", "1", "--out", "x")
    command = planebench("experiment", *planned, *arguments)
    assert not (tmp_path / "x").exists()
    assert command.process.returncode == 2
    assert words in command.errors
    assert "Traceback" not in command.errors
