"""What a run tells while it goes on; the command line's display is one listener."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from planebench.binaries import BuildProgress
from planebench.model import Progress, Stage
from planebench.observe.processes import ProcessSample


class Listener(Protocol):
    """Told of every step; must return at once, for it shares the run's event loop."""

    def building(self, progress: BuildProgress) -> None:
        """A component is being built. Called from another thread."""

    def status(self, text: str) -> None:
        """A step has been reached, in a few words."""

    def phase(self, name: str, stage: Stage | None, planned: int) -> None:
        """A phase has begun; ``planned`` is how many operations or objects it handles."""

    def progress(self, progress: Progress) -> None:
        """The load engine's newest figures."""

    def processes(self, newest: Mapping[str, ProcessSample], cores: Mapping[str, float]) -> None:
        """CPU and memory of every process, each second."""


class Silent:
    """A listener for those who do not listen."""

    def building(self, progress: BuildProgress) -> None: ...

    def status(self, text: str) -> None: ...

    def phase(self, name: str, stage: Stage | None, planned: int) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def processes(self, newest: Mapping[str, ProcessSample], cores: Mapping[str, float]) -> None: ...
