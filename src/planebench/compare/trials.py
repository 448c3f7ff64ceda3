"""Trials: runs of one variant, read from their folders; what cannot be used is left out with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from planebench import slis
from planebench.compare import figures
from planebench.compare.figures import Figure
from planebench.compare.setup import Setup, differences, of_run
from planebench.experiment import is_experiment
from planebench.model import ExitCode, PlanebenchError, UsageError
from planebench.results import Result, RunFolder
from planebench.results.document import Finding
from planebench.verdict import OUTSIDE

_RECORD: Final = "run.json"
_TABLES: Final = ("requests", "objects", "milestones", "gaps")
"""What every run that came to its end has written."""


class NothingToCompareError(PlanebenchError):
    """There are runs, but none that a comparison may rest on."""

    exit_code = ExitCode.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Trial:
    """One run as a comparison sees it."""

    name: str
    run_id: str
    figures: Mapping[str, Figure]
    """By id, see :func:`planebench.compare.figures.of_result`."""
    block: int = 0
    """Trials of the same block are a pair: they ran one after the other."""
    seed: int = 0
    started_wall: str = ""
    setup: Setup = field(default_factory=Setup)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that is no trial, and why."""

    name: str
    reason: str
    kind: Literal["unreadable", "broken", "void"]
    """``broken``: the run did not come to its end, which may be the control plane's doing; ``void``: a check of
    the measurement did not hold, or others were on the machine."""


@dataclass(frozen=True, slots=True)
class Group:
    """The trials of one variant."""

    name: str
    trials: tuple[Trial, ...]
    left_out: tuple[LeftOut, ...] = ()


def run_folders(path: Path) -> list[Path]:
    """The run folder itself, or the run folders in it, ordered by their names; an experiment's are its trials.

    Raises:
        UsageError: there is no such folder, or no run in it.
    """
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such folder")
    if (path / _RECORD).exists():
        return [path]
    place = path / "trials" if is_experiment(path) else path
    found = sorted(entry.parent for entry in place.glob(f"*/{_RECORD}") if not entry.parent.name.startswith("."))
    if not found:
        raise UsageError(f"{path}: is no run folder (it has no {_RECORD}), and holds none")
    return found


def read_group(path: Path, *, doubtful: bool = False, own_metrics: bool = True) -> Group:
    """The trials in a folder, see :func:`run_folders`; the n-th run is of block n.

    Args:
        doubtful: use runs, too, whose measurement is doubtful as a whole, or that others disturbed.
        own_metrics: with the figures of components' own metrics (``component.*``), which take most of the time.

    Raises:
        UsageError: there is no run, or the runs are not of one variant.
        NothingToCompareError: none of the runs can be used.
    """
    return group(str(path), enumerate(run_folders(path)), doubtful=doubtful, own_metrics=own_metrics)


def group(
    name: str, folders: Iterable[tuple[int, Path]], *, doubtful: bool = False, own_metrics: bool = True
) -> Group:
    """The trials in run folders, given with their blocks. Options and errors are those of :func:`read_group`."""
    trials: list[Trial] = []
    left_out: list[LeftOut] = []
    for block, path in folders:
        found = _read(path, block, doubtful=doubtful, own_metrics=own_metrics)
        if isinstance(found, Trial):
            trials.append(found)
        else:
            left_out.append(found)
    if not trials:
        others = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise NothingToCompareError(f"{name}: no run can be compared: {left_out[0].reason}{others}")
    check_distinct(trials)
    return Group(name, tuple(trials), tuple(left_out))


def check_alike(group: Group) -> None:
    """Whether all trials are of one variant.

    Raises:
        UsageError: two differ by more than their seeds.
    """
    first = group.trials[0]
    for other in group.trials[1:]:
        for before, after in (
            (first.setup.load, other.setup.load),
            (first.setup.settings, other.setup.settings),
            (first.setup.machine, other.setup.machine),
        ):
            if found := differences(before, after):
                raise UsageError(
                    f"{group.name}: {first.name} and {other.name} are not of one variant ({found[0]}); "
                    "give a folder for each variant, or --anyway"
                )


def check_distinct(trials: Sequence[Trial]) -> None:
    """Whether every trial is a run of its own.

    Raises:
        UsageError: a run is there twice.
    """
    seen: dict[str, str] = {}
    for trial in trials:
        if trial.run_id in seen:
            raise UsageError(
                f"{trial.name}: is the same run as {seen[trial.run_id]} ({trial.run_id}); "
                "every trial is a run of its own"
            )
        seen[trial.run_id] = trial.name


def check_same_load(baseline: Group, candidate: Group) -> None:
    """Whether the same was asked of both sides.

    Raises:
        UsageError: scenarios, planes or loads differ.
    """
    found = differences(baseline.trials[0].setup.load, candidate.trials[0].setup.load)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise UsageError(
            f"{candidate.name}: is of another load than {baseline.name} ({found[0]}{more}); "
            "run one scenario on both, or give --anyway"
        )


def _read(path: Path, block: int, *, doubtful: bool, own_metrics: bool) -> Trial | LeftOut:
    try:
        folder = RunFolder.open(path)
        result = _result(folder, own_metrics)
        setup = of_run(folder.scenario(), result)
    except PlanebenchError as error:
        return LeftOut(path.name, str(error), "unreadable")
    if result.status != "completed":
        why = f": {result.error}" if result.error else ""
        return LeftOut(path.name, f"{path}: the run did not come to its end ({result.status}){why}", "broken")
    void = next((found for found in result.validity if not found.ok and _voids(found)), None)
    if void and not doubtful:
        return LeftOut(
            path.name, f"{path}: not so: {void.title} ({void.value}); --doubtful takes it anyway", "void"
        )
    return Trial(
        name=path.name,
        run_id=result.run_id,
        figures=figures.of_result(result),
        block=block,
        seed=result.seed,
        started_wall=result.started_wall,
        setup=setup,
    )


def _voids(found: Finding) -> bool:
    """What makes the whole measurement doubtful; and others on the machine, who spare one side and hit the other.
    Leaving such trials out favours neither: what others took is counted apart from the run's own."""
    return found.affects == "run" or found.name == OUTSIDE


def _result(folder: RunFolder, own_metrics: bool) -> Result:
    """The analysis made anew from raw data; a folder that was stripped of them has ``result.json``."""
    if not (folder.raw / "requests.parquet").exists() and not (folder.raw / "engine").exists():
        return folder.result()
    result = slis.evaluate(folder.path, own_metrics=own_metrics)
    if result.status == "completed":
        for table in _TABLES:
            if not (path := folder.raw / f"{table}.parquet").exists():
                raise PlanebenchError(f"{path}: is missing: the folder is not whole")
    return result
