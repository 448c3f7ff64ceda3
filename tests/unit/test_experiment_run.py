"""An experiment's run, with made-up trials in the place of real ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from made_checkpoint import saved

from planebench import scenario as scenarios
from planebench.binaries import Sources
from planebench.cluster import checkpoint as checkpoints
from planebench.experiment import ExperimentFolder, Factor, Level, plan
from planebench.model import ComponentError, UsageError
from planebench.results import RunFolder
from planebench.run import experiment as live
from planebench.run.existing import Existing
from planebench.run.listener import Silent
from planebench.run.trial import RunOptions


@dataclass
class Trials:
    """Stands for builds and runs: notes what was asked for, in its order."""

    asked: list[str] = field(default_factory=list)
    options: list[RunOptions] = field(default_factory=list)
    broken_build: str = ""

    async def provide(self, _: Any, paths: Any, *__: Any, sources: Sources, **___: Any) -> dict[str, Any]:
        trees = {name: path.name for name, path in sources.trees.items()}
        self.asked.append(f"provide {trees or ''}".strip())
        if self.broken_build in trees.values():
            raise ComponentError("kwok: go build failed", component="kwok")
        return {}

    async def run(self, _: Any, out: Path, options: RunOptions, *__: Any) -> RunFolder:
        self.asked.append("run")
        self.options.append(options)
        return RunFolder.create(out)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANEBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    found = Trials()
    monkeypatch.setattr(live, "provide", found.provide)
    monkeypatch.setattr(live, "run", found.run)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    """Of KWOK as it is, as a binary, and as a source tree; two trials of each."""
    binary, tree = tmp_path / "kwok", tmp_path / "tree"
    binary.write_text("")
    tree.mkdir()
    (tree / "go.mod").write_text("module sigs.k8s.io/kwok\n")
    levels = (
        Level(name="built"),
        Level(name="kwok", components={"kwok": str(binary)}),
        Level(name="tree", components={"kwok": str(tree)}),
    )
    wanted = plan(id="x", scenario="smoke", factors=[Factor(name="kwok", levels=levels)], blocks=2, seed=1)
    return ExperimentFolder.create(tmp_path / "experiment", wanted, scenarios.load("smoke"))


async def test_everything_is_built_before_the_first_trial(folder: ExperimentFolder, trials: Trials) -> None:
    await live.run_experiment(folder, Silent())
    assert trials.asked == ["provide", "provide", "provide {'kwok': 'tree'}", *["run"] * 6]
    assert folder.experiment.done == 6


async def test_binaries_and_source_trees_are_told_apart(
    folder: ExperimentFolder, trials: Trials, tmp_path: Path
) -> None:
    etcd = tmp_path / "etcd"
    etcd.mkdir()
    (etcd / "go.mod").write_text("module go.etcd.io/etcd/server/v3\n")
    common = Sources(("cache", "go"), registry="mirror", trees={"etcd": etcd})
    await live.run_experiment(folder, Silent(), components={"etcd": Path("mine")}, sources=common)
    for planned, options in zip(folder.experiment.trials, trials.options, strict=True):
        binaries = {"etcd": "mine"} | ({"kwok": "kwok"} if planned.variant == "kwok" else {})
        trees = {"etcd": "etcd"} | ({"kwok": "tree"} if planned.variant == "tree" else {})
        assert {name: path.name for name, path in options.components.items()} == binaries
        assert {name: path.name for name, path in options.sources.trees.items()} == trees
        assert (options.sources.allowed, options.sources.registry) == (("cache", "go"), "mirror")


async def test_what_does_not_build_is_told_before_any_trial(folder: ExperimentFolder, trials: Trials) -> None:
    trials.broken_build = "tree"
    with pytest.raises(ComponentError, match="go build failed"):
        await live.run_experiment(folder, Silent())
    assert "run" not in trials.asked
    assert folder.experiment.done == 0


async def test_variants_without_a_trial_to_run_need_no_build(folder: ExperimentFolder, trials: Trials) -> None:
    await live.run_experiment(folder, Silent())
    trials.asked.clear()
    await live.run_experiment(folder, Silent())
    assert trials.asked == []


async def test_trials_on_a_cluster_of_others(
    tmp_path: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.asynccontextmanager
    async def reach(existing: Existing | None, _: Any) -> AsyncIterator[Any]:
        trials.asked.append("look")
        yield existing

    monkeypatch.setattr(live, "reach_if_any", reach)
    file = tmp_path / "kubeconfig"
    file.write_text("contexts: [{name: dev, context: {cluster: a, user: a}}]")
    kwok = Factor(name="kwok", levels=(Level(name="a"), Level(name="b")))
    planned = plan(id="x", scenario="smoke", factors=[kwok], blocks=1, seed=1, context="dev")
    folder = ExperimentFolder.create(tmp_path / "experiment", planned, scenarios.load("smoke"))
    with pytest.raises(
        UsageError, match=r"its trials run on context dev, not on control planes of.*say --context dev"
    ):
        await live.run_experiment(folder, Silent())
    there = Existing(file)
    await live.run_experiment(folder, Silent(), elsewhere=there)
    assert trials.asked == ["look", "provide"] * 2 + ["look", "run"] * 2, "before any trial, and before each"
    targets: list[object] = [options.target for options in trials.options]
    assert targets == [there, there]


async def test_trials_from_a_checkpoint(tmp_path: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    full = saved()
    fitting: list[str] = []
    monkeypatch.setattr(checkpoints, "get", {full.name: full}.__getitem__)
    monkeypatch.setattr(live, "demand_fitting", lambda _, wanted: fitting.append(wanted.name))
    kwok = Factor(name="kwok", levels=(Level(name="a"), Level(name="b")))

    def planned(folder: str, sha256: str) -> ExperimentFolder:
        wanted = plan(
            id="x",
            scenario="smoke",
            factors=[kwok],
            blocks=1,
            seed=1,
            checkpoint=full.name,
            checkpoint_sha256=sha256,
        )
        return ExperimentFolder.create(tmp_path / folder, wanted, scenarios.load("smoke"))

    with pytest.raises(UsageError, match="'full' is not the one its trials started from"):
        await live.run_experiment(planned("other", saved(files={"db": "1"}).sha256), Silent())
    assert not trials.asked
    begun = planned("experiment", full.sha256)
    await live.run_experiment(ExperimentFolder.open(begun.path), Silent())
    assert fitting == ["smoke", "smoke"], "before any trial"
    assert [options.checkpoint for options in trials.options] == [full, full]


def test_components_of_others_are_not_varied() -> None:
    levels = (Level(name="built"), Level(name="mine", components={"etcd": "mine"}))
    etcd = Factor(name="etcd", levels=levels)
    wanted = plan(id="x", scenario="smoke", factors=[etcd], blocks=1, seed=1, context="dev")
    with pytest.raises(UsageError, match="--vary-component etcd: components of an existing cluster are its own"):
        live.check(wanted, scenarios.load("smoke"))


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("kwook", "file", "--vary-component kwook: there is no such component; known: .*etcd, kwok"),
        ("kwok", "nothing", "nothing: no such file or source tree"),
        ("kwok", ".", "no source tree of sigs.k8s.io/kwok: it has no go.mod"),
        ("kwook", ".", "no project is called 'kwook'"),
    ],
)
def test_what_no_component_can_be_of_is_told_ahead(tmp_path: Path, name: str, path: str, words: str) -> None:
    (tmp_path / "file").write_text("")
    levels = (Level(name="built"), Level(name="mine", components={name: str(tmp_path / path)}))
    wanted = plan(id="x", scenario="smoke", factors=[Factor(name=name, levels=levels)], blocks=1, seed=1)
    with pytest.raises(UsageError, match=words):
        live.check(wanted, scenarios.load("smoke"))
