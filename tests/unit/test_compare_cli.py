"""The commands ``compare`` and ``gate``, from run folders to exit codes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from trial_folders import write_trial, write_trials
from typer.testing import CliRunner

from planebench import scenario
from planebench.cli import compare as commands
from planebench.compare.document import Comparisons
from planebench.experiment import ExperimentFolder, Factor, Level, plan
from planebench.model import ExitCode, PlanebenchError, UsageError

SLOW = {"slower": 1.3, "dearer": 1.2}


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of trials: ``base`` and ``same`` are of one variant, ``slow`` is slower, ``few`` are three."""
    folder = tmp_path_factory.mktemp("trials")
    write_trials(folder / "base", 5)
    write_trials(folder / "same", 5, first_seed=50)
    write_trials(folder / "slow", 5, first_seed=100, **SLOW)
    write_trials(folder / "few", 3, first_seed=150)
    return folder


def invoke(*arguments: str | Path) -> Any:
    app = typer.Typer()
    app.command("compare")(commands.compare)
    app.command("gate")(commands.gate)
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "100"})


def refused(*arguments: str | Path) -> PlanebenchError:
    error = invoke(*arguments).exception
    assert isinstance(error, PlanebenchError), error
    assert "\n" not in str(error)
    return error


# --- compare -------------------------------------------------------------------------------------------------


def test_faster_and_slower(trials: Path) -> None:
    done = invoke("compare", trials / "base", trials / "slow")
    assert done.exit_code == 0
    assert "2 slower, 1 dearer, 5 no difference shown." in done.stdout
    back = invoke("compare", trials / "slow", trials / "base")
    assert "2 faster, 1 cheaper, 5 no difference shown." in back.stdout


def test_no_difference_is_none_shown(trials: Path) -> None:
    assert "8 no difference shown." in invoke("compare", trials / "base", trials / "same").stdout


def test_one_run_each_is_too_few(trials: Path) -> None:
    done = invoke("compare", trials / "base" / "000", trials / "slow" / "000")
    assert done.exit_code == 0
    assert "8 too few trials." in done.stdout
    assert re.search(r"creation.startup p99 .* \+(29|30|31)% +too few trials", done.stdout)  # told all the same


def test_several_candidates(trials: Path) -> None:
    done = invoke("compare", trials / "base", trials / "same", trials / "slow", "--format", "json")
    found = Comparisons.model_validate_json(done.stdout)
    assert [Path(part.candidate.name).name for part in found.comparisons] == ["same", "slow"]


def test_chosen_figures_and_margin(trials: Path) -> None:
    sides = (trials / "base", trials / "slow")
    arguments = ("compare", *sides, "--format", "json", "--sli", "creation.startup")
    found = Comparisons.model_validate_json(invoke(*arguments, "--margin", "50%").stdout)
    assert found.margin == 0.5
    assert [(figure.figure, figure.word) for figure in found.comparisons[0].figures] == [
        ("creation.startup:p50", "no difference shown"),
        ("creation.startup:p99", "no difference shown"),
    ]


def test_noise_and_pairs(trials: Path) -> None:
    done = invoke(
        "compare", trials / "base", trials / "slow", "--noise", trials / "same", "--paired", "--format", "json"
    )
    found = Comparisons.model_validate_json(done.stdout)
    assert found.paired
    assert found.noise_from is not None
    assert len(found.noise_from.trials) == 5
    startup = next(figure for figure in found.comparisons[0].figures if figure.figure == "creation.startup:p99")
    assert startup.noise is not None
    assert 1 < startup.noise < 1.1
    assert startup.word == "too few trials"  # five pairs


def test_to_a_file(trials: Path, tmp_path: Path) -> None:
    for form, begin in (("text", "synthetic  plane core"), ("json", "{"), ("markdown", "### synthetic")):
        out = tmp_path / form
        done = invoke("compare", trials / "base", trials / "same", "--format", form, "--out", out)
        assert (done.exit_code, done.stdout) == (0, "")
        assert out.read_text().startswith(begin)
    assert json.loads((tmp_path / "json").read_text())["schema_version"] == 1
    assert max(map(len, (tmp_path / "text").read_text().splitlines())) <= 100
    assert "is a folder; give a file" in str(
        refused("compare", trials / "base", trials / "same", "--out", tmp_path)
    )


def test_an_experiment_compares_its_variants(trials: Path, tmp_path: Path) -> None:
    factor = Factor(name="size", levels=(Level(name="small"), Level(name="large")))
    wanted = plan(id="x", scenario="smoke", factors=[factor], blocks=5, seed=3)
    folder = ExperimentFolder.create(tmp_path / "experiment", wanted, scenario.load("smoke"))
    sources = {"small": trials / "base", "large": trials / "slow"}
    while trial := folder.experiment.next:
        shutil.copytree(sources[trial.variant] / f"{trial.block:03d}", folder.start(trial))
        folder.end(trial, completed=True)
    found = Comparisons.model_validate_json(invoke("compare", folder.path, "--format", "json").stdout)
    (one,) = found.comparisons
    assert (one.baseline.name, one.candidate.name) == ("small", "large")
    assert {figure.word for figure in one.figures if figure.worse} == {"slower", "dearer"}


def test_an_experiment_without_trials(tmp_path: Path) -> None:
    factor = Factor(name="size", levels=(Level(name="small"), Level(name="large")))
    wanted = plan(id="x", scenario="smoke", factors=[factor], blocks=5, seed=3)
    ExperimentFolder.create(tmp_path / "experiment", wanted, scenario.load("smoke"))
    assert "variant small has no trial yet" in str(refused("compare", tmp_path / "experiment"))


def test_an_experiment_may_vary_the_load(tmp_path: Path) -> None:
    factor = Factor(name="nodes", levels=(Level(name="4"), Level(name="8")))
    wanted = plan(id="x", scenario="smoke", factors=[factor], blocks=1, seed=3)
    folder = ExperimentFolder.create(tmp_path / "experiment", wanted, scenario.load("smoke"))
    while trial := folder.experiment.next:
        write_trial(folder.start(trial), trial.number, overrides={"nodes.0.count": trial.variant})
        folder.end(trial, completed=True)
    assert "nodes[0].count 4 -> 8" in invoke("compare", folder.path).stdout


# --- gate ----------------------------------------------------------------------------------------------------


def test_the_gate_s_exit_codes(trials: Path) -> None:
    passed = invoke("gate", "--baseline", trials / "base", trials / "same")
    assert (passed.exit_code, passed.stdout.splitlines()[-1]) == (0, "PASS: no figure is shown to be worse.")
    failed = invoke("gate", "--baseline", trials / "base", trials / "slow")
    assert (failed.exit_code, failed.stdout.splitlines()[-1]) == (1, "FAIL: 3 figures are shown to be worse.")
    assert re.search(r"worse: creation.startup p99: slower, \+(29|30|31)% \(95% interval", failed.stdout)
    better = invoke("gate", "--baseline", trials / "slow", trials / "base")
    assert better.exit_code == 0
    unclear = invoke("gate", "--baseline", trials / "base", trials / "few")
    assert unclear.exit_code == 3
    assert "unclear: too few trials (5 and 3): it takes 5 on each side" in unclear.stdout


def test_the_gate_takes_runs_one_by_one(trials: Path) -> None:
    runs = sorted((trials / "slow").iterdir())
    assert invoke("gate", "--baseline", trials / "base", *runs).exit_code == 1


def test_the_gate_s_margin_and_figures(trials: Path) -> None:
    gate = ("gate", "--baseline", trials / "base", trials / "slow")
    assert invoke(*gate, "--margin", "60%").exit_code == 0
    assert invoke(*gate, "--sli", "cleanup.deleted").exit_code == 0
    assert invoke(*gate, "--sli", "cost.*.cpu").exit_code == 1


def test_the_gate_for_a_pull_request(trials: Path) -> None:
    done = invoke("gate", "--baseline", trials / "base", trials / "slow", "--format", "markdown")
    assert done.exit_code == 1
    assert done.stdout.startswith("### ❌ FAIL: synthetic against its baseline\n\n- creation.startup p50: slower")


def test_a_candidate_that_broke_has_not_passed(trials: Path, tmp_path: Path) -> None:
    shutil.copytree(trials / "same", tmp_path / "b")
    record = tmp_path / "b" / "004" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": "broken", "error": "etcd ended"}))
    done = invoke("gate", "--baseline", trials / "base", tmp_path / "b", "--sli", "creation.startup:p99")
    assert done.exit_code == 3
    assert "etcd ended" in done.stdout


# --- bad input -----------------------------------------------------------------------------------------------


def test_wrong_usage(trials: Path, tmp_path: Path) -> None:
    base = trials / "base"
    for arguments, words in (
        (("compare", base), "takes a baseline and at least one candidate"),
        (("compare", base, tmp_path / "none"), "there is no such folder"),
        (("compare", base, tmp_path), "is no run folder"),
        (("compare", base, base), "every trial is a run of its own"),
        (("compare", base, trials / "same", "--margin", "5"), "--margin 5: expected a percentage"),
        (("compare", base, trials / "same", "--margin", "1000%"), "--margin"),
        (("compare", base, trials / "same", "--sli", "nothing"), "--sli nothing: matches none"),
        (("compare", base, trials / "same", "--noise", trials / "few"), "it takes at least 4"),
        (("gate", "--baseline", tmp_path / "none", base), "there is no such folder"),
    ):
        error = refused(*arguments)
        assert isinstance(error, UsageError)
        assert words in str(error)


def test_no_trial_at_all_is_inconclusive(trials: Path, tmp_path: Path) -> None:
    shutil.copytree(trials / "base" / "000", tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{")
    error = refused("gate", "--baseline", tmp_path / "run", trials / "same")
    assert error.exit_code is ExitCode.INCONCLUSIVE
    assert "run.json: is truncated or damaged" in str(error)


def test_other_loads_only_when_asked(trials: Path, tmp_path: Path) -> None:
    write_trials(tmp_path / "other", 5, first_seed=500, overrides={"nodes.0.count": "8"})
    error = refused("compare", trials / "base", tmp_path / "other")
    assert "nodes[0].count: 4 -> 8" in str(error)
    done = invoke("compare", trials / "base", tmp_path / "other", "--anyway")
    assert done.exit_code == 0
    assert "Not the same: nodes[0].count 4 -> 8." in done.stdout


def test_noise_of_another_load(trials: Path, tmp_path: Path) -> None:
    write_trials(tmp_path / "other", 4, first_seed=500, overrides={"nodes.0.count": "8"})
    error = refused("compare", trials / "base", trials / "same", "--noise", tmp_path / "other")
    assert "is of another load" in str(error)
