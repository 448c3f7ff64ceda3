"""A component's binary on disk, and its digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Source = Literal["path", "cache", "image", "go build"]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A component's binary: what it is, where it lies, where it came from."""

    name: str
    """The catalogue's name, for instance ``kube-apiserver``."""
    module: str
    version: str
    """The module's version; ``unknown`` for a binary that was handed over by path and does not tell it."""
    package: str
    path: Path
    size_bytes: int
    sha256: str
    source: Source
    go_version: str = "unknown"
    """The toolchain that built it, for instance ``go1.26.8``."""
    image: str = ""
    """The official image that it was taken from, by digest; empty for one that was built."""
    reason: str = ""
    """Why it came from there, in a few words."""


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
