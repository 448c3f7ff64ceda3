"""Experiments: schedules, state and folders."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench import scenario
from planebench.experiment import Experiment, ExperimentFolder, Factor, Level, is_experiment, plan
from planebench.model import PlanebenchError, UsageError

QPS = Factor(
    name="qps",
    levels=(Level(name="50"), Level(name="100", overrides={"limits.kube-scheduler": "{qps: 100, burst: 200}"})),
)
NODES = Factor(
    name="nodes",
    levels=tuple(Level(name=f"{count} nodes", overrides={"nodes.0.count": str(count)}) for count in (10, 20, 40)),
)


def experiment(blocks: int = 4, seed: int = 7, factors: tuple[Factor, ...] = (QPS,)) -> Experiment:
    return plan(id="made-up", scenario="smoke", factors=factors, blocks=blocks, seed=seed)


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    return ExperimentFolder.create(tmp_path / "experiment", experiment(), scenario.load("smoke"))


# --- plans ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 2**63 - 1), st.booleans())
def test_every_block_has_every_variant_once(blocks: int, seed: int, both: bool) -> None:
    found = experiment(blocks, seed, (QPS, NODES) if both else (QPS,))
    names = [variant.name for variant in found.variants]
    assert len(names) == (6 if both else 2)
    for block in range(blocks):
        trials = [trial for trial in found.trials if trial.block == block]
        assert sorted(trial.variant for trial in trials) == sorted(names)
        assert len({trial.seed for trial in trials}) == 1
    assert [trial.block for trial in found.trials] == sorted(trial.block for trial in found.trials)
    assert [trial.number for trial in found.trials] == list(range(1, len(found.trials) + 1))
    assert found == experiment(blocks, seed, (QPS, NODES) if both else (QPS,))
    assert Experiment.model_validate_json(found.model_dump_json()) == found


def test_orders_are_drawn_anew_for_each_block() -> None:
    found = experiment(200)
    firsts = Counter(trial.variant for trial in found.trials if trial.number % 2)
    assert firsts.keys() == {"50", "100"}
    assert 70 <= firsts["50"] <= 130  # fair, within three standard deviations
    assert len({trial.seed for trial in found.trials}) == 200


def test_the_schedule_is_the_seed_s() -> None:
    """Known for ever: an experiment that goes on after an update goes on as it was planned."""
    found = experiment(4, seed=7)
    assert [(trial.folder, trial.block) for trial in found.trials] == SCHEDULE
    assert experiment(4, seed=8).trials != found.trials


SCHEDULE = [
    ("001-50", 0),
    ("002-100", 0),
    ("003-100", 1),
    ("004-50", 1),
    ("005-50", 2),
    ("006-100", 2),
    ("007-100", 3),
    ("008-50", 3),
]


def test_variants_are_all_combinations() -> None:
    found = experiment(1, factors=(QPS, NODES)).variants
    assert [variant.name for variant in found] == [
        "50_10-nodes",
        "50_20-nodes",
        "50_40-nodes",
        "100_10-nodes",
        "100_20-nodes",
        "100_40-nodes",
    ]
    assert found[4].levels == {"qps": "100", "nodes": "20 nodes"}
    assert found[4].overrides == {
        "limits.kube-scheduler": "{qps: 100, burst: 200}",
        "nodes.0.count": "20",
    }


def test_names_are_fit_for_folders_and_differ() -> None:
    levels = tuple(Level(name=name, components={"etcd": name}) for name in ("../a b", "a/b", "x" * 100, "..", "é"))
    names = [variant.name for variant in experiment(1, factors=(Factor(name="f", levels=levels),)).variants]
    assert names == ["a-b", "a-b-2", "x" * 60, "variant", "variant-5"]


@pytest.mark.parametrize(
    ("factors", "blocks", "words"),
    [
        ((Factor(name="f", levels=(Level(name="a"),)),), 4, "at least two variants"),
        ((Factor(name="f", levels=(Level(name="a"), Level(name="a"))),), 4, "factor f: level 'a' stands twice"),
        ((NODES, Factor(name="g", levels=(NODES.levels[0],))), 4, "two factors change the field nodes.0.count"),
        ((QPS,), 0, "--trials 0: with 2 variants it must be from 1 to 5000"),
        ((QPS,), 5001, "--trials 5001"),
    ],
)
def test_plans_that_are_none(factors: tuple[Factor, ...], blocks: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        experiment(blocks, factors=factors)


def test_more_blocks_change_nothing_of_those_that_are() -> None:
    found = experiment(3).started(1).ended(1, "completed")
    more = found.extended(5)
    assert more.trials[:6] == found.trials
    assert [trial.model_copy(update={"state": "planned", "attempts": 0}) for trial in more.trials] == list(
        experiment(5).trials
    )
    with pytest.raises(UsageError, match="--trials 2: the experiment has 3"):
        found.extended(2)


# --- state ---------------------------------------------------------------------------------------------------


def test_trials_run_in_their_order() -> None:
    found = experiment(2)
    seen = []
    while trial := found.next:
        seen.append(trial.number)
        found = found.started(trial.number).ended(trial.number, "broken" if trial.number == 2 else "completed")
    assert seen == [1, 2, 3, 4]
    assert found.done == 4
    assert [trial.state for trial in found.trials] == ["completed", "broken", "completed", "completed"]


def test_a_trial_that_was_cut_off_runs_again() -> None:
    found = experiment(2).started(1).ended(1, "completed").started(2)
    assert found.next == found.trials[1]
    assert found.done == 1
    again = found.started(2)
    assert (again.trials[1].attempts, again.trials[1].state) == (2, "running")


# --- folders -------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(folder: ExperimentFolder) -> None:
    assert is_experiment(folder.path)
    found = ExperimentFolder.open(folder.path)
    assert found.experiment == folder.experiment
    assert found.scenario() == scenario.load("smoke")


def run(folder: ExperimentFolder, count: int) -> None:
    for _ in range(count):
        trial = folder.experiment.next
        assert trial is not None
        place = folder.start(trial)
        place.mkdir()
        (place / "run.json").write_text("{}")
        folder.end(trial, completed=True)


def test_an_interrupted_experiment_goes_on(folder: ExperimentFolder) -> None:
    run(folder, 3)
    cut_off = folder.experiment.next
    assert cut_off is not None
    place = folder.start(cut_off)
    place.mkdir()
    (place / "half").write_text("")

    resumed = ExperimentFolder.open(folder.path)
    assert resumed.experiment.done == 3
    trial = resumed.experiment.next
    assert trial is not None
    assert trial.number == cut_off.number
    assert resumed.start(trial) == place
    assert not place.exists()
    assert (folder.path / "trials" / ".cut-off" / f"{place.name}.1" / "half").exists()
    assert resumed.experiment.trials[trial.number - 1].attempts == 2
    resumed.end(trial, completed=True)
    run(resumed, 4)
    assert resumed.experiment.next is None


def test_what_was_cut_off_again_and_again_is_kept(folder: ExperimentFolder) -> None:
    trial = folder.experiment.next
    assert trial is not None
    for _ in range(3):
        folder.start(trial).mkdir()  # the attempts that this trial tells of are old
    assert sorted(path.name for path in (folder.path / "trials" / ".cut-off").iterdir()) == [
        f"{trial.folder}.1",
        f"{trial.folder}.2",
    ]


def test_trials_are_read_back_by_variant_and_block(folder: ExperimentFolder) -> None:
    run(folder, 5)
    trial = folder.experiment.next
    assert trial is not None
    folder.start(trial).mkdir()
    folder.end(trial, completed=False)
    found = {variant.name: folder.finished(variant) for variant in folder.experiment.variants}
    assert [block for block, _ in found["50"]] == [block for block, _ in found["100"]] == [0, 1, 2]
    for name, trials in found.items():
        for _, path in trials:
            assert path.is_dir()
            assert path.name.endswith(f"-{name}")


def test_more_trials_of_an_experiment(folder: ExperimentFolder) -> None:
    run(folder, 8)
    folder.extend(6)
    assert ExperimentFolder.open(folder.path).experiment.next == folder.experiment.trials[8]


def test_a_place_that_is_taken(tmp_path: Path, folder: ExperimentFolder) -> None:
    with pytest.raises(UsageError, match=r"--out .*is not empty; .*--resume"):
        ExperimentFolder.create(folder.path, experiment(), scenario.load("smoke"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        ExperimentFolder.create(tmp_path / "file", experiment(), scenario.load("smoke"))
    with pytest.raises(UsageError, match="cannot be made"):
        ExperimentFolder.create(tmp_path / "file" / "below", experiment(), scenario.load("smoke"))


def test_a_damaged_record_is_named(folder: ExperimentFolder) -> None:
    record = folder.path / "experiment.json"
    content = json.loads(record.read_text())
    for text, words in (
        (record.read_text()[:100], r"experiment\.json: is truncated or damaged"),
        ("[]", "it holds no object"),
        (json.dumps({**content, "schema_version": 9}), "is of version 9, this planebench reads version 1"),
        (json.dumps({**content, "blocks": "many"}), "is damaged: blocks: "),
        (json.dumps({**content, "trials": content["trials"][1:]}), "trials are not numbered"),
        (json.dumps({**content, "variants": []}), "a trial is of variant '.*', which there is not"),
    ):
        record.write_text(text)
        with pytest.raises(PlanebenchError, match=words) as raised:
            ExperimentFolder.open(folder.path)
        assert "\n" not in str(raised.value)


def test_no_experiment(tmp_path: Path) -> None:
    assert not is_experiment(tmp_path)
    with pytest.raises(UsageError, match=r"is no experiment, it has no experiment\.json"):
        ExperimentFolder.open(tmp_path)
