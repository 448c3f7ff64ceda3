"""A checkpoint's record, without its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planebench.cluster.checkpoint import Checkpoint, StoredFile
from planebench.cluster.named import ServedConfig


def saved(plane: str = "core", files: Mapping[str, str] | None = None, **settings: Any) -> Checkpoint:
    """``files``: path -> SHA-256."""
    return Checkpoint(
        format=1,
        name="full",
        cluster="default",
        plane=plane,
        planebench="0.1.0",
        saved_wall_s=0.0,
        pause_s=0.1,
        nodes=1000,
        pods=5000,
        served=ServedConfig("default", plane, {"settings": settings}, {}),
        files=[StoredFile(path, 1, sha256) for path, sha256 in (files or {}).items()],
    )
