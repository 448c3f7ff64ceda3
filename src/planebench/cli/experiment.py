"""``planebench experiment``: trials of several variants, interleaved and randomised, then compared."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planebench import scenario
from planebench.binaries import Sources
from planebench.cli import compare
from planebench.cli.console import errors
from planebench.cli.display import Display
from planebench.cli.existing import Elsewhere, with_existing
from planebench.cli.options import Assignments, Components, FromCheckpoint, NodeCount, pairs, with_components
from planebench.experiment import Experiment, ExperimentFolder, Factor, Level, PlannedTrial, plan
from planebench.model import UsageError

if TYPE_CHECKING:
    from planebench.run.existing import Existing

TRIALS = 12
"""So many pairs find a component that is slower by 20%, on a machine that drifts, too (docs/compare.md)."""
_SEPARATOR = "|"
_BUILT = "built"
"""Stands for planebench's own binary among a component's levels."""

Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="FIELD=A|B...",
        help="A factor: a field of the scenario and its values, the baseline's first; for instance "
        "'limits.kube-scheduler={qps: 50, burst: 100}|{qps: 500, burst: 500}'. Repeatable.",
    ),
]
VaryComponent = Annotated[
    list[str] | None,
    typer.Option(
        "--vary-component",
        metavar="NAME=PATH|PATH...",
        help=f"A factor: a component's binaries, or source trees (folders) to build it from; '{_BUILT}' is "
        "planebench's own. Repeatable.",
    ),
]


@with_components
@with_existing
def experiment(
    scenario_name: Annotated[
        str, typer.Argument(metavar="[SCENARIO]", help="A built-in scenario, or a file.")
    ] = "pod-density",
    vary: Vary = None,
    vary_component: VaryComponent = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", min=1, help="How many trials of each variant.", show_default=f"{TRIALS}, or as planned"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The experiment's folder, a new one.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="DIR",
            help="Go on with an interrupted experiment, or add trials to one (--trials).",
        ),
    ] = None,
    nodes: NodeCount = None,
    settings: Assignments = None,
    start: FromCheckpoint = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the order of the trials and of their loads.")] = 1,
    margin: compare.Margin = "5%",
    sli: compare.Figures = None,
    paired: compare.Paired = None,
    doubtful: compare.Doubtful = False,
    *,
    where: Elsewhere,
    components: Components,
) -> None:
    """Compare variants by trials of planebench's own: interleaved, in random order, each on a fresh control plane,
    each on a fork of a checkpoint (--from), or all on an existing cluster.

    Without a factor (--vary, --vary-component) it is an A/A experiment, which shows the noise of this machine.
    """
    from planebench import run as runs  # half a second that other commands save
    from planebench.run.experiment import run_experiment

    elsewhere = where.cluster()
    if resume is not None:
        folder = _resumed(resume, trials, out=out, vary=vary, vary_component=vary_component, start=start)
    else:
        wanted = scenario.load(scenario_name, pairs(settings, "--set") | components.settings)
        if nodes is not None:
            wanted = scenario.with_nodes(wanted, nodes)
        if start is not None and elsewhere is not None:
            raise UsageError(
                "--from is for control planes of planebench's own: leave --kubeconfig and --context out"
            )
        folder = _planned(
            wanted, vary, vary_component, trials or TRIALS, out, seed, components.sources, elsewhere, start or ""
        )
    errors.print(_announce(folder.experiment), highlight=False)
    with Display(errors) as display:

        def on_trial(trial: PlannedTrial, what: str) -> None:
            total = len(folder.experiment.trials)
            display.status(f"trial {trial.number} of {total}, {trial.variant}: {what}")

        runs.run_interruptibly(
            run_experiment(
                folder,
                display,
                components=components.paths,
                sources=components.sources,
                elsewhere=elsewhere,
                on_trial=on_trial,
            )
        )
    compare.compare([folder.path], margin=margin, sli=sli, paired=paired, doubtful=doubtful)
    errors.print(f"experiment folder: {folder.path}", highlight=False, soft_wrap=True)


def _planned(
    wanted: scenario.Scenario,
    vary: Sequence[str] | None,
    vary_component: Sequence[str] | None,
    trials: int,
    out: Path | None,
    seed: int,
    allowed: Sources,
    elsewhere: Existing | None,
    start: str,
) -> ExperimentFolder:
    from planebench.cluster import checkpoint
    from planebench.run.existing import context_of
    from planebench.run.experiment import check

    state = checkpoint.get(start) if start else None
    factors = [*_fields(vary), *_components(vary_component)] or [_same()]
    planned = plan(
        id=secrets.token_hex(4),
        scenario=wanted.name,
        factors=factors,
        blocks=trials,
        seed=seed,
        context=context_of(elsewhere),
        checkpoint=start,
        checkpoint_sha256=state.sha256 if state else "",
    )
    check(planned, wanted, allowed)
    return ExperimentFolder.create(out or _default_folder(wanted.name), planned, wanted)


def _resumed(
    path: Path,
    trials: int | None,
    *,
    out: Path | None,
    vary: Sequence[str] | None,
    vary_component: Sequence[str] | None,
    start: str | None,
) -> ExperimentFolder:
    if out or vary or vary_component or start:
        raise UsageError("--resume goes on as planned: leave --out, --vary, --vary-component and --from out")
    folder = ExperimentFolder.open(path)
    if trials is not None and trials > folder.experiment.blocks:
        folder.extend(trials)
    return folder


def _fields(vary: Sequence[str] | None) -> list[Factor]:
    return [
        Factor(
            name=field,
            levels=tuple(
                Level(name=value, overrides={field: value}) for value in _levels(f"--vary {field}", values)
            ),
        )
        for field, values in pairs(vary, "--vary").items()
    ]


def _components(vary: Sequence[str] | None) -> list[Factor]:
    return [
        Factor(
            name=name,
            levels=tuple(
                Level(name=_BUILT)
                if path == _BUILT
                else Level(name=Path(path).name, components={name: str(Path(path).expanduser().absolute())})
                for path in _levels(f"--vary-component {name}", paths)
            ),
        )
        for name, paths in pairs(vary, "--vary-component").items()
    ]


def _same() -> Factor:
    """Two variants of the same thing."""
    return Factor(name="A/A", levels=(Level(name="a"), Level(name="also-a")))


def _levels(flag: str, values: str) -> list[str]:
    levels = [value.strip() for value in values.split(_SEPARATOR)]
    if len(levels) < 2 or not all(levels):
        raise UsageError(f"{flag}={values}: expected at least two values with {_SEPARATOR} between them")
    return levels


def _default_folder(name: str) -> Path:
    """A new one: experiments of one name get a number each."""
    folder, number = Path("planebench-runs") / f"{name}-experiment", 2
    while folder.exists():
        folder = Path("planebench-runs") / f"{name}-experiment-{number}"
        number += 1
    return folder


def _announce(planned: Experiment) -> str:
    names = ", ".join(variant.name for variant in planned.variants)
    left = len(planned.trials) - planned.done
    start = f", each from checkpoint {planned.checkpoint}" if planned.checkpoint else ""
    return f"{left} trials to run: {planned.blocks} of each of {names}, in random order{start}"
