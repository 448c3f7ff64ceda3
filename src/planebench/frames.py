"""Runs as polars frames, for one's own analysis and plots.

    frames = planebench.frames.read("my-run", "another-run")
    frames["requests"].filter(pl.col("verb") == "create")

They are the tables of ``planebench export --format parquet``; docs/results.md has their columns. Observations
are in ``requests``, ``objects``, ``milestones``, ``events``, ``gaps``, ``samples`` and more; the figures made of
them in ``rows``, ``components``, ``slos``, ``runs``. Each begins with the column ``run``. Times that are called
``*_ns`` are nanoseconds since the start of their run.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from planebench import slis
from planebench.report import parquet
from planebench.results import RunFolder


def read(*runs: Path | str) -> dict[str, pl.DataFrame]:
    """All tables of one run folder, or of several together, by their names.

    Raises:
        UsageError: there is no run folder, or it is of another version.
        PlanebenchError: a file is missing or damaged; names it.
    """
    folders = [Path(run) for run in runs]
    found = [(RunFolder.open(folder), slis.evaluate(folder)) for folder in folders]
    return dict(parquet.frames(found))


__all__ = ["read"]
