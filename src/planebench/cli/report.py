"""``planebench report``: a run as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planebench import slis
from planebench.cli.console import errors
from planebench.model import UsageError
from planebench.report import html
from planebench.results.folder import write_text

DEFAULT = "report.html"


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help=f"Where to; default: {DEFAULT} in the run folder.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a run's report as one HTML file that needs nothing else, from the run's folder alone."""
    target = out or run / DEFAULT
    if target.is_dir():
        raise UsageError(f"--out {target}: is a folder; give a file")
    write_text(target, html.render(run, slis.evaluate(run)))
    errors.print(str(target), soft_wrap=True, highlight=False)
    if open_:
        typer.launch(target.resolve().as_uri())
