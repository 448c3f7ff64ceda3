"""``planebench capacity`` as far as it goes without a control plane."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_searches
import pytest
import typer
from typer.testing import CliRunner

from planebench.capacity import Capacity
from planebench.cli import capacity as commands
from planebench.model import ExitCode, Judgement, UsageError

SAME = ("--attempts", "1", "--out")


def invoke(*arguments: str | Path) -> Any:
    app = typer.Typer()
    app.command("capacity")(commands.capacity)
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "100"})


def doubtful(number: int, level: float) -> Any:
    return made_searches.step(number, level, Judgement.INCONCLUSIVE, ended_by="harness")


@pytest.mark.parametrize(
    ("judge", "code"),
    [
        (made_searches.threshold(), ExitCode.PASS),
        (made_searches.threshold(1000), ExitCode.PASS),
        (made_searches.threshold(5), ExitCode.FAIL),
        (doubtful, ExitCode.INCONCLUSIVE),
    ],
)
def test_a_search_that_has_ended_is_told_again(tmp_path: Path, judge: Any, code: ExitCode) -> None:
    found = made_searches.searched(tmp_path / "search", judge).capacity
    done = invoke(*SAME, tmp_path / "search")
    assert done.exit_code == code, done.output
    assert "capacity-pods  plane core, capacity by rate" in done.stdout
    again = invoke("--json", *SAME, tmp_path / "search")
    assert again.exit_code == code
    assert Capacity.model_validate(json.loads(again.stdout)) == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "20"], "--from 20: expected a rate, for instance 20/s"),
        (["--of", "nodes", "--to", "20/s"], "--to 20/s: expected a whole number of nodes"),
        (["--of", "objects", "--from", "9" * 5000], "expected a whole number of objects"),
        (["--from", "30/s", "--to", "20/s"], "--from 30/s: must be more than 0 and less than --to 20/s"),
        (["--step-duration", "0s"], "--step-duration 0s: must be more than 0"),
        (["--settle", "3"], "--settle 3: expected a duration"),
        (["--nodes", "5"], "but the nodes hold 550 pods"),
        (["nothing"], "neither a built-in scenario nor a file"),
    ],
)
def test_wrong_usage_is_told_in_one_line_and_nothing_is_made(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    error = invoke(*arguments, "--out", tmp_path / "search").exception
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert "\n" not in str(error)
    assert not (tmp_path / "search").exists()
