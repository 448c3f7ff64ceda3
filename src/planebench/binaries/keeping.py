"""What the cache holds beside the pinned versions, and taking binaries in and out of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from planebench.binaries import archive
from planebench.binaries.artifact import Artifact
from planebench.binaries.cache import BinaryCache, Entry, default_dir
from planebench.binaries.component import catalog
from planebench.binaries.resolution import cached


def others(chosen: Iterable[Artifact | None], *, cache_dir: Path | None = None) -> list[Entry]:
    """What the cache holds beside the binaries that were ``chosen``."""
    used = {artifact.path.parent for artifact in chosen if artifact is not None}
    return [entry for entry in BinaryCache(cache_dir or default_dir()).entries() if entry.folder not in used]


def prune(*, everything: bool = False, dry_run: bool = False, cache_dir: Path | None = None) -> list[Entry]:
    """Removes what a run with the pinned versions would not take, or everything; returns what it is.

    Raises ComponentError where the cache cannot be written.
    """
    cache = BinaryCache(cache_dir or default_dir())
    chosen = [] if everything else cached([spec.name for spec in catalog()], cache_dir=cache_dir).values()
    found = others(chosen, cache_dir=cache_dir)
    if not dry_run:
        cache.remove([*(entry.folder for entry in found), *cache.modules.glob("*")])
    return found


def export_archive(file: Path, artifacts: Iterable[Artifact]) -> None:
    """Writes binaries into an archive. Raises UsageError."""
    archive.write(file, artifacts)


def import_archive(file: Path, *, cache_dir: Path | None = None) -> list[Artifact]:
    """Takes an archive's binaries into the cache, all or none. Raises UsageError or ComponentError."""
    return archive.read(file, BinaryCache(cache_dir or default_dir()))
