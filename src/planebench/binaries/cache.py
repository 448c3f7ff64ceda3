"""The cache of built binaries: each under a key of all that went into it, and checked by digest on every use."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import platformdirs

from planebench.binaries.artifact import Artifact, Source, sha256_of
from planebench.binaries.build import BUILD_FLAGS, linker_flags
from planebench.binaries.component import ComponentSpec
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


class BinaryCache:
    """A cache folder. Finding writes nothing, so a complete cache may be read-only.

    Layout: ``binaries/NAME-VERSION-KEY/`` holds a binary and its record; ``building/GRAPH/`` belongs to whoever
    holds ``locks/GRAPH.lock``; both lie in the same file system, so that a finished binary enters by a rename.
    """

    def __init__(self, root: Path) -> None:
        # Absolute, since Go runs in the module's folder.
        self.root = root.expanduser().absolute()
        self._reported: set[Path] = set()

    def find(self, spec: ComponentSpec, toolchain: Toolchain) -> Artifact | None:
        """The component's binary, its digest verified; None where there is none or it is damaged."""
        entry = self._entry(spec, key(spec, toolchain))
        if not entry.is_dir():
            return None
        binary = entry / spec.name
        try:
            record = json.loads((entry / _RECORD).read_bytes())
            if sha256_of(binary) == record["sha256"] and os.access(binary, os.X_OK):
                return _artifact(spec, toolchain, binary, record["sha256"], "cache")
            damage = "its digest or mode changed"
        except (OSError, ValueError, TypeError, KeyError) as error:
            damage = str(error)
        if binary not in self._reported:
            self._reported.add(binary)
            logger.warning("the cached %s is damaged (%s), to be built again: %s", spec.name, damage, binary)
        return None

    @contextlib.contextmanager
    def building(self, graph: str, on_wait: Callable[[], None]) -> Iterator[Path]:
        """An empty folder to build a graph's components in, for one process at a time; removed afterwards.

        ``on_wait`` is called every half second while another process builds. Raises ComponentError where the cache
        cannot be written.
        """
        work_dir = self.root / "building" / graph
        with self._explained():
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.root / "locks" / f"{graph}.lock")
        self._acquire(lock, graph, on_wait)
        try:
            with self._explained():
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
                with self._explained():
                    lock.acquire(timeout=_POLL_S)
            except filelock.Timeout:
                if not told:
                    logger.info("another process is building %s: waiting for it", graph)
                    told = True
                on_wait()
            else:
                return

    def add(self, spec: ComponentSpec, toolchain: Toolchain, binary: Path, work_dir: Path) -> Artifact:
        """Moves a finished binary from ``work_dir`` into the cache. Raises ComponentError."""
        digest = key(spec, toolchain)
        entry = self._entry(spec, digest)
        staged = work_dir / f"{spec.name}.staged"
        with self._explained():
            staged.mkdir()
            binary.rename(staged / spec.name)
            sha256 = sha256_of(staged / spec.name)
            record = {
                "name": spec.name,
                "module": spec.module,
                "version": spec.version,
                "package": spec.package,
                "go": toolchain.version,
                "key": digest,
                "sha256": sha256,
            }
            (staged / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            entry.parent.mkdir(exist_ok=True)
            if entry.exists():  # a damaged one
                entry.rename(work_dir / f"{spec.name}.damaged")
            staged.rename(entry)
            return _artifact(spec, toolchain, entry / spec.name, sha256, "go build")

    def _entry(self, spec: ComponentSpec, digest: str) -> Path:
        return self.root / "binaries" / f"{spec.name}-{spec.version}-{digest[:16]}"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except filelock.Timeout:  # an OSError too, but no failure
            raise
        except OSError as error:
            raise ComponentError(
                f"cannot write the cache folder {self.root}: {error.strerror or error}; "
                "choose another with PLANEBENCH_CACHE"
            ) from error


def _artifact(spec: ComponentSpec, toolchain: Toolchain, binary: Path, sha256: str, source: Source) -> Artifact:
    return Artifact(
        name=spec.name,
        module=spec.module,
        version=spec.version,
        package=spec.package,
        path=binary,
        size_bytes=binary.stat().st_size,
        sha256=sha256,
        source=source,
        go_version=toolchain.version,
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
