"""Experiments: the trials of a plan, one after the other, each on a control plane of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from planebench import scenario as scenarios
from planebench import slis
from planebench.experiment import ExperimentFolder, PlannedTrial
from planebench.model import ExitCode, PlanebenchError
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
    on_trial: OnTrial = lambda *_: None,
) -> None:
    """Run all trials that have no outcome yet; every one has a fresh etcd and processes of its own.

    A trial that breaks is an outcome and does not end the experiment; one that is interrupted has none and is run
    again by the next call. ``components`` are binaries of one's own for all trials.

    Raises:
        UsageError: a level does not fit the scenario, told before the first trial starts.
    """
    for variant in folder.experiment.variants:
        _scenario(folder, variant.overrides)
    while (trial := folder.experiment.next) is not None:
        variant = folder.experiment.variant(trial.variant)
        wanted = _scenario(folder, variant.overrides)
        place = folder.start(trial)
        on_trial(trial, "started")
        paths = {name: Path(path) for name, path in variant.components.items()}
        options = RunOptions(seed=trial.seed, components={**(components or {}), **paths})
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


def _scenario(folder: ExperimentFolder, overrides: Mapping[str, str]) -> Scenario:
    """The experiment's scenario with a variant's changes. Raises UsageError that names them."""
    return scenarios.load(folder.path / "scenario.yaml", overrides)


def _evaluate(place: Path) -> None:
    with contextlib.suppress(PlanebenchError):  # a comparison says what cannot be read
        if (place / "run.json").exists():
            RunFolder(place).write_result(slis.evaluate(place))
