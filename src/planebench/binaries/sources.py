"""Which sources components may come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from planebench.model import UsageError

Origin = Literal["cache", "image", "go"]
ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)
"""In the order in which they are asked; a binary that is given by its path comes before all of them."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where components may come from, beside paths that are given.

    ``cache``: whatever is kept. ``image``: official images; a kept one counts. ``go``: builds; a kept one counts.
    """

    allowed: Sequence[Origin] = ORIGINS
    registry: str | None = None
    """A mirror for all official images, ``HOST[:PORT][/PREFIX]``; None: ``$PLANEBENCH_REGISTRY``, else their own
    registries."""
    trees: Mapping[str, Path] = field(default_factory=dict)
    """Graph or component -> one's own source tree."""

    @classmethod
    def read(cls, allowed: Sequence[str] | None, registry: str | None, trees: Mapping[str, Path]) -> Sources:
        """Checked as a person gave it. Raises UsageError."""
        chosen: list[Origin] = []
        for name in allowed or ORIGINS:
            match = next((origin for origin in ORIGINS if origin == name), None)
            if match is None:
                raise UsageError(f"--source {name}: there are {', '.join(ORIGINS)}")
            chosen.append(match)
        return cls(chosen, registry, trees)

    @property
    def mirror(self) -> str | None:
        return self.registry or os.environ.get("PLANEBENCH_REGISTRY") or None

    def permits(self, origin: Origin) -> bool:
        return origin in self.allowed

    @property
    def kept(self) -> frozenset[str]:
        """The origins whose binaries may be taken out of the cache."""
        return frozenset(("image", "go")) if self.permits("cache") else frozenset(self.allowed)
