"""Service level indicators: from a run folder's raw observations to its result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planebench.results.document import Result


def evaluate(folder: Path, *, own_metrics: bool = True) -> Result:
    """The result of a run, from its folder alone; nothing is written but tables that were still to be converted.

    A run that broke or was interrupted gives what it has.

    Args:
        own_metrics: with what the components say of themselves; reading their scrapes takes most of the time.

    Raises:
        UsageError: there is no run folder, or it is of another version.
        PlanebenchError: a file is missing or damaged; names it.
    """
    from planebench.slis.evaluation import evaluate_folder  # polars: 0.2 s that other commands save

    return evaluate_folder(folder, own_metrics=own_metrics)


__all__ = ["evaluate"]
