"""``planebench export``: a run's results in other programs' formats."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from planebench import slis
from planebench.cli.console import errors
from planebench.compare import run_folders
from planebench.model import UsageError
from planebench.results import Result, RunFolder
from planebench.results.folder import write_text


class Format(enum.StrEnum):
    JSON = "json"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    OPENMETRICS = "openmetrics"
    PARQUET = "parquet"


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder; for Parquet also a folder of several.")
    ],
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="json: the whole result; junit: a test case for each SLO and validity check; markdown: for a "
            "pull request; openmetrics: for a time series of runs; parquet: raw data and figures as tables.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE|DIR", help="Where to; a folder for Parquet. Default: standard output."
        ),
    ] = None,
) -> None:
    """Write a run's results in another format, from its folder alone."""
    if form is Format.PARQUET:
        _export_tables(run, out)
        return
    text = _renderer(form)(slis.evaluate(run))
    if out is None:
        print(text, end="" if text.endswith("\n") else "\n")  # plain, for programs
    elif out.is_dir():
        raise UsageError(f"--out {out}: is a folder; give a file")
    else:
        write_text(out, text)


def _renderer(form: Format) -> Callable[[Result], str]:
    from planebench.report import json, junit, markdown, openmetrics

    return {
        Format.JSON: json.render,
        Format.JUNIT: junit.render,
        Format.MARKDOWN: markdown.render,
        Format.OPENMETRICS: openmetrics.render,
    }[form]


def _export_tables(run: Path, out: Path | None) -> None:
    from planebench.report import parquet  # polars: 0.2 s that other commands save

    if out is None:
        raise UsageError("--out is missing: Parquet is written into a folder")
    found = [(RunFolder(path), slis.evaluate(path)) for path in run_folders(run)]
    for path in parquet.write(found, out):
        errors.print(str(path), soft_wrap=True, highlight=False)
