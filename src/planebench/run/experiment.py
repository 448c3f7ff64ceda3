"""Experiments: the trials of a plan, one after the other, each on a control plane of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from planebench import scenario as scenarios
from planebench import slis
from planebench.binaries.sources import Sources
from planebench.experiment import Experiment, ExperimentFolder, PlannedTrial
from planebench.model import ExitCode, PlanebenchError, UsageError
from planebench.results import RunFolder
from planebench.run.listener import Listener
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
    on_trial: OnTrial = lambda *_: None,
) -> None:
    """Run all trials that have no outcome yet; every one has a fresh etcd and processes of its own.

    A trial that breaks is an outcome and does not end the experiment; one that is interrupted has none and is run
    again by the next call. ``components`` are binaries of one's own for all trials, ``sources`` tells where all
    others may come from.

    Raises:
        UsageError: a level does not fit the scenario, told before the first trial starts.
    """
    check(folder.experiment, folder.scenario())
    while (trial := folder.experiment.next) is not None:
        variant = folder.experiment.variant(trial.variant)
        wanted = scenarios.load(folder.path / "scenario.yaml", variant.overrides)
        place = folder.start(trial)
        on_trial(trial, "started")
        own = {name: Path(path) for name, path in variant.components.items()}
        trees = {name: path for name, path in own.items() if path.is_dir()}
        binaries = {name: path for name, path in own.items() if name not in trees}
        allowed = sources or Sources()
        options = RunOptions(
            seed=trial.seed,
            components={**(components or {}), **binaries},
            sources=replace(allowed, trees={**allowed.trees, **trees}),
        )
        try:
            await run(wanted, place, options, listener)
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


def check(experiment: Experiment, scenario: Scenario) -> None:
    """Raises UsageError where a variant does not fit the scenario, or a binary or source tree is missing."""
    text = scenarios.dump(scenario)
    for variant in experiment.variants:
        scenarios.parse(text, name=scenario.name, overrides=variant.overrides)
        for name, path in variant.components.items():
            if not Path(path).exists():
                raise UsageError(f"--vary-component {name}: {path}: no such file or source tree")


def _evaluate(place: Path) -> None:
    with contextlib.suppress(PlanebenchError):  # a comparison says what cannot be read
        if (place / "run.json").exists():
            RunFolder(place).write_result(slis.evaluate(place))
