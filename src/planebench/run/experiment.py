"""Experiments: the trials of a plan, one after the other, each on a control plane of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from planebench import binaries, slis
from planebench import scenario as scenarios
from planebench.binaries.sources import Sources
from planebench.cluster import checkpoint as checkpoints
from planebench.cluster import existing as beside
from planebench.cluster.checkpoint import Checkpoint
from planebench.cluster.local import component_names
from planebench.experiment import Experiment, ExperimentFolder, PlannedTrial, Variant
from planebench.model import ExitCode, PlanebenchError, UsageError
from planebench.results import RunFolder
from planebench.run.existing import Existing, context_of, reach_if_any
from planebench.run.listener import Listener
from planebench.run.provision import provide, versions
from planebench.run.restored import demand_fitting
from planebench.run.trial import RunOptions, run
from planebench.scenario import Scenario

OnTrial = Callable[[PlannedTrial, str], None]
"""Told of each trial's start (``started``) and outcome (``completed``, or why it broke)."""


async def run_experiment(
    folder: ExperimentFolder,
    listener: Listener,
    *,
    components: Mapping[str, Path] | None = None,
    sources: Sources | None = None,
    elsewhere: Existing | None = None,
    on_trial: OnTrial = lambda *_: None,
) -> None:
    """Run all trials that have no outcome yet; every one has a fresh etcd and processes of its own, or a fork of
    the experiment's checkpoint, or nodes and objects of its own ``elsewhere``, on a cluster of others.

    A trial that breaks is an outcome and does not end the experiment; one that is interrupted has none and is run
    again by the next call. ``components`` are binaries of one's own for all trials, ``sources`` tells where all
    others may come from.

    Raises:
        UsageError: a level does not fit the scenario, told before the first trial starts.
        ComponentError: a variant's component cannot be had, told before the first trial starts.
    """
    check(folder.experiment, folder.scenario(), sources)
    if (here := context_of(elsewhere)) != (planned := folder.experiment.context):
        raise UsageError(
            f"{folder.path}: its trials run {_place(planned)}, not {_place(here)}: "
            f"{'say --context ' + planned if planned else 'leave --kubeconfig and --context out'}"
        )
    checkpoint = _checkpoint(folder)
    left = {trial.variant for trial in folder.experiment.trials if trial.state in ("planned", "running")}
    variants = {
        variant.name: _Setting.of(
            scenarios.load(folder.path / "scenario.yaml", variant.overrides),
            variant,
            components or {},
            sources or Sources(),
        )
        for variant in folder.experiment.variants
        if variant.name in left
    }
    for setting in variants.values():
        if checkpoint is not None:
            demand_fitting(checkpoint, setting.scenario)
        async with reach_if_any(elsewhere, setting.scenario):
            await setting.provide(listener, beside.COMPONENTS if elsewhere else None)
    while (trial := folder.experiment.next) is not None:
        setting = variants[trial.variant]
        place = folder.start(trial)
        on_trial(trial, "started")
        options = RunOptions(
            seed=trial.seed, components=setting.paths, sources=setting.sources, checkpoint=checkpoint
        )
        try:
            async with reach_if_any(elsewhere, setting.scenario) as target:
                await run(setting.scenario, place, replace(options, target=target), listener)
        except PlanebenchError as error:
            if error.exit_code in (ExitCode.USAGE, ExitCode.INTERRUPTED):
                raise
            _evaluate(place)
            folder.end(trial, completed=False)
            on_trial(trial, str(error))
        else:
            _evaluate(place)
            folder.end(trial, completed=True)
            on_trial(trial, "completed")


def _checkpoint(folder: ExperimentFolder) -> Checkpoint | None:
    """What the trials start from. Raises UsageError where it is gone, or another one than at first."""
    name = folder.experiment.checkpoint
    if not name:
        return None
    checkpoint = checkpoints.get(name)
    if checkpoint.sha256 != folder.experiment.checkpoint_sha256:
        raise UsageError(
            f"{folder.path}: checkpoint {name!r} is not the one its trials started from; begin a new experiment"
        )
    return checkpoint


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all trials of a variant are run with."""

    scenario: Scenario
    paths: Mapping[str, Path]
    """Component -> binary."""
    sources: Sources

    @classmethod
    def of(
        cls, scenario: Scenario, variant: Variant, components: Mapping[str, Path], sources: Sources
    ) -> _Setting:
        own = {name: Path(path) for name, path in variant.components.items()}
        trees = {name: path for name, path in own.items() if path.is_dir()}
        return cls(
            scenario=scenario,
            paths={**components, **{name: path for name, path in own.items() if name not in trees}},
            sources=replace(sources, trees={**sources.trees, **trees}),
        )

    async def provide(self, listener: Listener, names: Sequence[str] | None = None) -> None:
        """Build or pull what is missing, ahead of all trials: what does not build is told at once, and no trial
        has to run on a machine that is still hot from a build."""
        plane = scenarios.plane_of(self.scenario)
        await provide(
            plane,
            self.paths,
            listener,
            names=names,
            versions=versions(self.scenario, plane),
            sources=self.sources,
        )


def check(experiment: Experiment, scenario: Scenario, sources: Sources | None = None) -> None:
    """Whether all variants can be run, as far as that can be told without a build.

    Raises:
        UsageError: a variant does not fit the scenario, or a component, binary or source tree is none.
    """
    text = scenarios.dump(scenario)
    known = [spec.name for spec in binaries.catalog()]
    for variant in experiment.variants:
        wanted = scenarios.parse(text, name=scenario.name, overrides=variant.overrides)
        plane = scenarios.plane_of(wanted)
        for name, path in variant.components.items():
            if experiment.context and name not in beside.COMPONENTS:
                raise UsageError(f"--vary-component {name}: components of an existing cluster are its own")
            if not Path(path).exists():
                raise UsageError(f"--vary-component {name}: {path}: no such file or source tree")
            if not Path(path).is_dir() and name not in known and name not in plane.binaries:
                raise UsageError(f"--vary-component {name}: there is no such component; known: {', '.join(known)}")
        if trees := _Setting.of(wanted, variant, {}, sources or Sources()).sources.trees:
            allowed = replace(sources or Sources(), trees=trees)
            names = [name for name in component_names(plane) if name not in plane.binaries]
            binaries.cached(names, versions=versions(wanted, plane), sources=allowed)


def _place(context: str) -> str:
    return f"on context {context}" if context else "on control planes of planebench's own"


def _evaluate(place: Path) -> None:
    with contextlib.suppress(PlanebenchError):  # a comparison says what cannot be read
        if (place / "run.json").exists():
            RunFolder(place).write_result(slis.evaluate(place))
