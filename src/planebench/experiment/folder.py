"""The experiment folder: written as trials go, read by every comparison.

=============================  ==========================================================================
``experiment.json``            factors, schedule and state; rewritten at every change
``scenario.yaml``              the scenario before any level changed it
``trials/NNN-VARIANT/``        a run folder for each trial
``trials/.cut-off/``           what trials left that were cut off and are run again
=============================  ==========================================================================

An experiment that was interrupted goes on where it was: the state is on disk before a trial starts and after it
ends, and a trial that has no outcome is run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from planebench.experiment.plan import SCHEMA_VERSION, Experiment, PlannedTrial, Variant
from planebench.model import PlanebenchError, UsageError
from planebench.results.folder import read_json, write_text
from planebench.scenario import Scenario, dump, load

RECORD: Final = "experiment.json"


class ExperimentFolder:
    """Paths and state of an experiment folder. Made by :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path, experiment: Experiment) -> None:
        self.path = path
        self.experiment = experiment

    @classmethod
    def create(cls, path: Path, experiment: Experiment, scenario: Scenario) -> ExperimentFolder:
        """A new experiment folder; parents are made.

        Raises:
            UsageError: it exists and is not empty, or cannot be made.
        """
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                what = "is not empty" if path.is_dir() else "is a file"
                raise UsageError(
                    f"--out {path}: {what}; give a new folder, or --resume to go on with an experiment"
                )
            (path / "trials").mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"--out {path}: cannot be made: {error.strerror or error}") from None
        write_text(path / "scenario.yaml", dump(scenario))
        folder = cls(path, experiment)
        folder._save()
        return folder

    @classmethod
    def open(cls, path: Path) -> ExperimentFolder:
        """An experiment folder that exists.

        Raises:
            UsageError: there is none, or it is of another version.
            PlanebenchError: ``experiment.json`` is damaged.
        """
        record = path / RECORD
        if not is_experiment(path):
            raise UsageError(f"{path}: is no experiment, it has no {RECORD}")
        content = read_json(record)
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UsageError(f"{record}: is of version {version}, this planebench reads version {SCHEMA_VERSION}")
        try:
            return cls(path, Experiment.model_validate(content))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise PlanebenchError(f"{record}: is damaged: {where or 'the document'}: {first['msg']}") from None

    def scenario(self) -> Scenario:
        """The scenario before any level changed it."""
        return load(self.path / "scenario.yaml")

    def run_folder(self, trial: PlannedTrial) -> Path:
        """Where a trial's run folder is, or is to be."""
        return self.path / "trials" / trial.folder

    # --- going through the schedule ---

    def start(self, trial: PlannedTrial) -> Path:
        """Note that a trial starts, and give its run folder, which is not there yet.

        What an earlier attempt has left is put aside.

        Raises:
            PlanebenchError: the folder cannot be moved, or the state cannot be saved.
        """
        place = self.run_folder(trial)
        if place.exists():
            self._put_aside(place, trial.attempts)
        self.experiment = self.experiment.started(trial.number)
        self._save()
        return place

    def end(self, trial: PlannedTrial, *, completed: bool) -> None:
        """Note a trial's outcome. One that was interrupted has none: leave it as it is."""
        self.experiment = self.experiment.ended(trial.number, "completed" if completed else "broken")
        self._save()

    def extend(self, blocks: int) -> None:
        """Plan more trials, see :meth:`planebench.experiment.plan.Experiment.extended`."""
        self.experiment = self.experiment.extended(blocks)
        self._save()

    # --- reading the trials back ---

    def finished(self, variant: Variant) -> list[tuple[int, Path]]:
        """Block and run folder of each of a variant's trials that has an outcome, in the blocks' order.

        Broken ones are among them: a comparison has to say that it leaves them out.
        """
        return [
            (trial.block, self.run_folder(trial))
            for trial in sorted(self.experiment.trials, key=lambda trial: trial.block)
            if trial.variant == variant.name and trial.state in ("completed", "broken")
        ]

    def _put_aside(self, place: Path, attempt: int) -> None:
        aside = self.path / "trials" / ".cut-off"
        try:
            aside.mkdir(exist_ok=True)
            number = max(attempt, 1)
            while (target := aside / f"{place.name}.{number}").exists():
                number += 1
            place.rename(target)
        except OSError as error:
            raise PlanebenchError(f"{place}: cannot be put aside: {error.strerror or error}") from None

    def _save(self) -> None:
        write_text(self.path / RECORD, self.experiment.model_dump_json(indent=1) + "\n")


def is_experiment(path: Path) -> bool:
    return (path / RECORD).is_file()
