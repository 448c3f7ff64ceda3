"""The cache of binaries, checked by digest on every use.

What was built here lies under a key of all that went into it. What was pulled or imported lies under its own
digest, and serves whoever asks for that version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from planebench.binaries.artifact import Artifact, Source, sha256_of
from planebench.binaries.build import BUILD_FLAGS, linker_flags
from planebench.binaries.component import ComponentSpec
from planebench.binaries.image import local_platform
from planebench.binaries.toolchain import Toolchain
from planebench.model import ComponentError

logger = logging.getLogger(__name__)

_RECORD = "artifact.json"
_POLL_S = 0.5


def default_dir() -> Path:
    """``$PLANEBENCH_CACHE``, else ``planebench`` in the user's cache folder."""
    chosen = os.environ.get("PLANEBENCH_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("planebench")


def key(spec: ComponentSpec, toolchain: Toolchain) -> str:
    """SHA-256 in hex of everything that decides the binary's bytes."""
    ingredients = {
        "package": spec.package,
        "go.mod": (spec.module_dir / "go.mod").read_text(encoding="utf-8"),
        "go.sum": (spec.module_dir / "go.sum").read_text(encoding="utf-8"),
        "flags": [*BUILD_FLAGS, linker_flags(spec)],
        "go": toolchain.version,
        "settings": dict(toolchain.settings),
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """A binary in the cache, as its record tells; not verified."""

    name: str
    version: str
    sha256: str
    size_bytes: int
    origin: str
    """``image`` or ``go``: see :class:`planebench.binaries.sources.Sources`."""
    imported: bool
    folder: Path


class BinaryCache:
    """A cache folder. Finding writes nothing, so a complete cache may be read-only.

    Layout: ``binaries/NAME-VERSION-KEY/`` holds a binary and its record; ``building/GRAPH/`` belongs to whoever
    holds ``locks/GRAPH.lock``; both lie in the same file system, so that a finished binary enters by a rename.
    ``modules/GRAPH-VERSION/`` are generated Go modules.
    """

    def __init__(self, root: Path) -> None:
        # Absolute, since Go runs in the module's folder.
        self.root = root.expanduser().absolute()
        self._reported: set[Path] = set()

    @property
    def modules(self) -> Path:
        """Where generated Go modules lie."""
        return self.root / "modules"

    def find(
        self, spec: ComponentSpec, toolchain: Toolchain | None, origins: Collection[str] = ("image", "go")
    ) -> Artifact | None:
        """The component's binary, its digest verified; None where there is none or it is damaged.

        Args:
            toolchain: None where there is none, or the module is not generated yet: then only what was pulled or
                imported is found.
            origins: those that may be taken, of ``image`` and ``go``.
        """
        if toolchain is not None and "go" in origins:
            built = self._verified(spec, self._entry(spec, key(spec, toolchain)), "kept since it was built here")
            if built is not None:
                return built
        for folder in sorted((self.root / "binaries").glob(f"{spec.name}-{spec.version}-*")):
            record = _record(folder)
            foreign = record.get("imported") or record.get("origin") == "image"
            fits = record.get("version") == spec.version and record.get("platform") == local_platform()
            if foreign and fits and record.get("origin") in origins and spec.tree is None:
                came = "imported" if record.get("imported") else f"pulled from {record.get('image')}"
                if (found := self._verified(spec, folder, f"kept since it was {came}")) is not None:
                    return found
        return None

    def _verified(self, spec: ComponentSpec, entry: Path, reason: str) -> Artifact | None:
        if not entry.is_dir():
            return None
        binary = entry / spec.name
        try:
            record = json.loads((entry / _RECORD).read_bytes())
            if sha256_of(binary) == record["sha256"] and os.access(binary, os.X_OK):
                return _artifact(spec, record, binary, "cache", reason)
            damage = "its digest or mode changed"
        except (OSError, ValueError, TypeError, KeyError) as error:
            damage = str(error)
        if binary not in self._reported:
            self._reported.add(binary)
            logger.warning("the cached %s is damaged (%s), to be built again: %s", spec.name, damage, binary)
        return None

    def entries(self) -> list[Entry]:
        """All binaries that have a readable record, by name and version."""
        found = []
        for folder in sorted((self.root / "binaries").glob("*")):
            record = _record(folder)
            try:
                found.append(
                    Entry(
                        record["name"],
                        record["version"],
                        record["sha256"],
                        (folder / record["name"]).stat().st_size,
                        record.get("origin", "go"),
                        bool(record.get("imported")),
                        folder,
                    )
                )
            except (KeyError, TypeError, OSError):
                continue
        return found

    def remove(self, folders: Collection[Path]) -> None:
        """Removes entries or generated modules. Raises ComponentError where the cache cannot be written."""
        with self.explained():
            for folder in folders:
                shutil.rmtree(folder)

    @contextlib.contextmanager
    def building(self, graph: str, on_wait: Callable[[], None]) -> Iterator[Path]:
        """An empty folder to build a graph's components in, for one process at a time; removed afterwards.

        ``on_wait`` is called every half second while another process builds. Raises ComponentError where the cache
        cannot be written.
        """
        work_dir = self.root / "building" / graph
        with self.explained():
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.root / "locks" / f"{graph}.lock")
        self._acquire(lock, graph, on_wait)
        try:
            with self.explained():
                if work_dir.exists():  # left by a build that was killed
                    _remove(work_dir)
                work_dir.mkdir(parents=True)
            yield work_dir
        finally:
            _remove(work_dir)
            lock.release()

    def _acquire(self, lock: filelock.BaseFileLock, graph: str, on_wait: Callable[[], None]) -> None:
        told = False
        while True:
            try:
                with self.explained():
                    lock.acquire(timeout=_POLL_S)
            except filelock.Timeout:
                if not told:
                    logger.info("another process is building %s: waiting for it", graph)
                    told = True
                on_wait()
            else:
                return

    def add(self, spec: ComponentSpec, toolchain: Toolchain, binary: Path, work_dir: Path) -> Artifact:
        """Moves a binary that was built from ``work_dir`` into the cache. Raises ComponentError."""
        digest = key(spec, toolchain)
        record = {"origin": "go", "go": toolchain.version, "key": digest}
        return self._enter(spec, self._entry(spec, digest), record, binary, work_dir, "go build")

    def add_pulled(self, spec: ComponentSpec, image: str, binary: Path, work_dir: Path) -> Artifact:
        """Moves a binary out of an official image from ``work_dir`` into the cache. Raises ComponentError."""
        with self.explained():
            entry = self._entry(spec, sha256_of(binary))
        return self._enter(spec, entry, {"origin": "image", "image": image}, binary, work_dir, "image")

    def add_imported(
        self, spec: ComponentSpec, details: Mapping[str, str], binary: Path, work_dir: Path
    ) -> Artifact:
        """Moves a binary out of an archive from ``work_dir`` into the cache. Raises ComponentError.

        ``details``: ``origin``, ``go`` and ``image`` of the record that it had where it was exported.
        """
        with self.explained():
            entry = self._entry(spec, sha256_of(binary))
        return self._enter(spec, entry, {**details, "imported": True}, binary, work_dir, "cache")

    def _enter(
        self,
        spec: ComponentSpec,
        entry: Path,
        details: Mapping[str, str | bool],
        binary: Path,
        work_dir: Path,
        source: Source,
    ) -> Artifact:
        staged = work_dir / f"{spec.name}.staged"
        with self.explained():
            staged.mkdir()
            binary.rename(staged / spec.name)
            record = {
                "name": spec.name,
                "module": spec.module,
                "version": spec.version,
                "package": spec.package,
                "platform": local_platform(),
                "sha256": sha256_of(staged / spec.name),
                **details,
            }
            (staged / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            entry.parent.mkdir(exist_ok=True)
            if entry.exists():  # a damaged one
                entry.rename(work_dir / f"{spec.name}.damaged")
            staged.rename(entry)
            return _artifact(spec, record, entry / spec.name, source, "")

    def keep_module(self, folder: Path, module_dir: Path) -> None:
        """Moves a generated Go module to its place. Raises ComponentError."""
        with self.explained():
            module_dir.parent.mkdir(exist_ok=True)
            folder.rename(module_dir)

    def _entry(self, spec: ComponentSpec, digest: str) -> Path:
        return self.root / "binaries" / f"{spec.name}-{spec.version}-{digest[:16]}"

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turns a failure to write into the cache into a ComponentError with a way out."""
        try:
            yield
        except filelock.Timeout:  # an OSError too, but no failure
            raise
        except OSError as error:
            raise ComponentError(
                f"cannot write the cache folder {self.root}: {error.strerror or error}; "
                "choose another with PLANEBENCH_CACHE"
            ) from error


def _record(folder: Path) -> dict[str, Any]:
    """An entry's record; empty where there is none or it is damaged."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _artifact(
    spec: ComponentSpec, record: Mapping[str, Any], binary: Path, source: Source, reason: str
) -> Artifact:
    return Artifact(
        name=spec.name,
        module=spec.module,
        version=spec.version,
        package=spec.package,
        path=binary,
        size_bytes=binary.stat().st_size,
        sha256=record["sha256"],
        source=source,
        go_version=record.get("go", "unknown"),
        image=record.get("image", ""),
        reason=reason,
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
