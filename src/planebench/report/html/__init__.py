"""A result as a page: one file that needs nothing else, for people and their browsers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planebench.results import Result, RunFolder


def render(folder: Path | RunFolder, result: Result) -> str:
    """The report of a run as HTML: figures from its result, charts from its raw observations.

    Raises:
        UsageError: there is no run folder, or it is of another version.
        PlanebenchError: a file is missing or damaged; names it.
    """
    # Charts and tables take most of a second to load: only those who want a report wait for them.
    from planebench.report.html.page import page
    from planebench.results import RunFolder
    from planebench.slis.observations import Observations

    return page(Observations(RunFolder.open(folder) if isinstance(folder, Path) else folder), result)


__all__ = ["render"]
