"""``planebench compare`` and ``planebench gate``."""

from __future__ import annotations

import enum
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer
from rich.console import Console

from planebench import units
from planebench.cli.console import output
from planebench.compare import (
    Group,
    check_alike,
    check_distinct,
    check_same_load,
    group,
    read_group,
    run_folders,
)
from planebench.compare.figures import of_own_metrics
from planebench.experiment import ExperimentFolder, is_experiment
from planebench.model import ExitCode, Judgement, UsageError
from planebench.results.folder import write_text

if TYPE_CHECKING:
    from planebench.compare.comparison import Settings
    from planebench.compare.document import Comparisons
    from planebench.compare.gate import Gate

_FILE_WIDTH = 100


class Format(enum.StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


Margin = Annotated[
    str, typer.Option("--margin", metavar="PERCENT", help="Differences of less than this do not matter.")
]
Figures = Annotated[
    list[str] | None,
    typer.Option(
        "--sli",
        metavar="PATTERN",
        help="Compare these figures only, for instance 'creation.*', creation.startup:p99 or 'cost.*.cpu'. "
        "Repeatable. The fewer, the fewer trials it takes.",
    ),
]
Noise = Annotated[
    Path | None,
    typer.Option(
        "--noise", metavar="DIR", help="Trials of one thing: differences that they show among them do not count."
    ),
]
Paired = Annotated[
    bool | None,
    typer.Option(
        "--paired/--unpaired",
        help="Trials are pairs: the n-th of one side ran beside the n-th of the other. Default: an experiment's "
        "are where there are enough of them; others are not.",
        show_default=False,
    ),
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Compare although scenarios, settings or machines are not the same.")
]
Doubtful = Annotated[
    bool,
    typer.Option(
        "--doubtful", help="Use runs, too, that others on the machine disturbed, or whose measurement is in doubt."
    ),
]
Form = Annotated[Format, typer.Option("--format", help="text, json or markdown (for a pull request).")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write to a file instead.")]


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B...",
            help="Run folders, or folders of several runs (trials of one variant); A is the baseline, all others "
            "are compared with it. Or one experiment.",
        ),
    ],
    margin: Margin = "5%",
    sli: Figures = None,
    noise: Noise = None,
    paired: Paired = None,
    anyway: Anyway = False,
    doubtful: Doubtful = False,
    form: Form = Format.TEXT,
    out: Out = None,
) -> None:
    """Tell what differs between runs: faster, slower, no difference shown, or too few trials to tell."""
    from planebench.compare.comparison import compare as compare_groups  # scipy: half a second

    experiment = len(runs) == 1 and is_experiment(runs[0])
    settings = _settings(margin, sli, paired if experiment else bool(paired))
    reading = _Reading(doubtful=doubtful, own_metrics=of_own_metrics(settings.figures))
    groups = _variants(runs[0], reading) if experiment else [read_group(path, **reading) for path in runs]
    if len(groups) < 2:
        raise UsageError("compare takes a baseline and at least one candidate, or an experiment")
    known = read_group(noise, **reading) if noise else None
    # An experiment may vary the load, too: it says so itself.
    _check(groups, known, anyway=anyway, same_load=not experiment)
    _write(compare_groups(groups[0], groups[1:], settings, noise=known), None, form, out)


def gate(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="The candidate: run folders, or folders of several."),
    ],
    baseline: Annotated[
        Path, typer.Option("--baseline", metavar="DIR", help="The baseline: a run folder, or a folder of several.")
    ],
    margin: Margin = "5%",
    sli: Figures = None,
    noise: Noise = None,
    paired: Paired = None,
    anyway: Anyway = False,
    doubtful: Doubtful = False,
    form: Form = Format.TEXT,
    out: Out = None,
) -> None:
    """Fail where the candidate is shown to be worse than the baseline: for CI.

    Exit codes: 0 nothing is shown to be worse, 1 something is, 2 wrong usage or input, 3 not all can be told.
    """
    from planebench.compare.comparison import compare as compare_groups
    from planebench.compare.gate import judge

    settings = _settings(margin, sli, bool(paired))
    reading = _Reading(doubtful=doubtful, own_metrics=of_own_metrics(settings.figures))
    before = read_group(baseline, **reading)
    folders = [folder for path in runs for folder in run_folders(path)]
    after = group(_named(runs), enumerate(folders), **reading)
    known = read_group(noise, **reading) if noise else None
    _check([before, after], known, anyway=anyway, same_load=True)
    found = compare_groups(before, [after], settings, noise=known)
    judged = judge(found, any_machine=anyway)
    _write(found, judged, form, out)
    raise typer.Exit(_EXIT[judged.judgement])


_EXIT = {
    Judgement.PASS: ExitCode.PASS,
    Judgement.FAIL: ExitCode.FAIL,
    Judgement.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


# --- reading -------------------------------------------------------------------------------------------------


class _Reading(TypedDict):
    """How trials are read, see :func:`planebench.compare.read_group`."""

    doubtful: bool
    own_metrics: bool


def _variants(path: Path, reading: _Reading) -> list[Group]:
    folder = ExperimentFolder.open(path)
    found = []
    for variant in folder.experiment.variants:
        trials = folder.finished(variant)
        if not trials:
            raise UsageError(f"{path}: variant {variant.name} has no trial yet")
        found.append(group(variant.name, trials, **reading))
    return found


def _named(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _settings(margin: str, patterns: list[str] | None, paired: bool | None) -> Settings:
    from planebench.compare.comparison import Settings

    try:
        share = units.parse_share(margin)
    except ValueError as error:
        raise UsageError(f"--margin {margin}: {error}") from None
    return Settings(margin=share, figures=tuple(patterns or ()), paired=paired)


def _check(groups: list[Group], noise: Group | None, *, anyway: bool, same_load: bool) -> None:
    check_distinct([trial for one in groups for trial in one.trials])
    if anyway:
        return
    for one in (*groups, *([noise] if noise else [])):
        check_alike(one)
    if same_load:
        for other in (*groups[1:], *([noise] if noise else [])):
            check_same_load(groups[0], other)


# --- writing -------------------------------------------------------------------------------------------------


def _write(found: Comparisons, judged: Gate | None, form: Format, out: Path | None) -> None:
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out}: is a folder; give a file")
    console = output if out is None else Console(file=io.StringIO(), width=_FILE_WIDTH, color_system=None)
    match form:
        case Format.TEXT:
            from planebench.report.comparison import terminal

            console.print(terminal.render(found))
            if judged:
                console.print(terminal.render_gate(judged))
        case Format.JSON:
            from planebench.report.comparison import json

            console.out(json.render(found), highlight=False)
        case Format.MARKDOWN:
            from planebench.report.comparison import markdown

            console.out(markdown.render(found, judged), end="", highlight=False)
    if out is not None and isinstance(console.file, io.StringIO):
        write_text(out, console.file.getvalue())
