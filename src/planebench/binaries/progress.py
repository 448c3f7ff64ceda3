"""How far a build is, and how long it will take still."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

BuildStage = Literal["wait", "pull", "download", "compile", "link"]


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """A moment of ``resolve``; told at least once a second while something is going on."""

    component: str
    """What is being built; the names of several components that are built together are joined by commas."""
    graph: str
    done: int
    """Counts MiB of an image while pulling it, modules while downloading; packages compiled and binaries linked,
    of all graphs, afterwards."""
    total: int
    """Zero where nothing can be counted. A download's total is an upper bound, a build's is exact."""
    eta_s: float | None
    """The estimated time until everything is built; None while there is no ground for an estimate."""
    stage: BuildStage
    """``wait``: another process builds the same."""


ProgressListener = Callable[[BuildProgress], None]


class Forecast:
    """Estimates the time left of a build from the share of its work that is done.

    Work is measured in bytes of Go source: every other cost is given as the bytes that compile in the same time.
    """

    _MIN_ELAPSED_S = 5.0
    _MIN_SHARE = 0.02

    def __init__(self, work: float, *, started_s: float) -> None:
        self._left = work
        self._done = 0.0
        self._started_s = started_s
        self._estimated_s: float | None = None
        self._estimated_at_s = started_s

    def advance(self, work: float, *, now_s: float) -> None:
        """Notes that work is done."""
        self._done += work
        self._left = max(self._left - work, 0.0)
        elapsed_s = now_s - self._started_s
        enough = self._done > 0 and self._done >= self._MIN_SHARE * (self._done + self._left)
        if enough and elapsed_s >= self._MIN_ELAPSED_S:
            self._estimated_s = self._left * elapsed_s / self._done
            self._estimated_at_s = now_s

    def skip(self, work: float) -> None:
        """Takes work off that turned out not to be needed."""
        self._left = max(self._left - work, 0.0)

    def left_s(self, *, now_s: float) -> float | None:
        """Seconds left, counting down between two advances; None where too little is done to tell."""
        if self._estimated_s is None:
            return None
        return max(self._estimated_s - (now_s - self._estimated_at_s), 0.0)


def joined(names: Iterable[str]) -> str:
    """Component names as :attr:`BuildProgress.component` shows them."""
    return ", ".join(names)
