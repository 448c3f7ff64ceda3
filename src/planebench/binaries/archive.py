"""Binaries in one file, for machines without a network: written from one cache, verified into another.

An archive is a tar whose first member, ``planebench-components.json``, tells each binary's name, version,
platform, size and digest; then come the binaries as ``NAME``. It is compressed where its name ends in ``.gz`` or
``.tgz``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from planebench.binaries import component
from planebench.binaries.artifact import Artifact, sha256_of
from planebench.binaries.cache import BinaryCache
from planebench.binaries.component import ComponentSpec
from planebench.binaries.image import local_platform
from planebench.model import UsageError
from planebench.versions import numbers

_INDEX: Final = "planebench-components.json"
_FORMAT: Final = 1
_INDEX_BYTES: Final = 1 << 20


def write(file: Path, artifacts: Iterable[Artifact]) -> None:
    """Writes an archive; nothing is left of one that cannot be finished.

    Raises UsageError where a binary has no version (one that was given by path), or the file cannot be written.
    """
    chosen = list(artifacts)
    for artifact in chosen:
        if artifact.source == "path":
            raise UsageError(f"{artifact.name}: a binary that is given by its path cannot be exported; copy it")
    index = {"format": _FORMAT, "components": [_described(artifact) for artifact in chosen]}
    content = json.dumps(index, indent=2).encode()
    compressed = file.suffix in {".gz", ".tgz"}
    partial = file.with_name(f".{file.name}.partial")
    try:
        with tarfile.open(partial, "w:gz" if compressed else "w") as archive:
            header = tarfile.TarInfo(_INDEX)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
            for artifact in chosen:
                header = tarfile.TarInfo(artifact.name)
                header.size, header.mode = artifact.size_bytes, 0o755
                with artifact.path.open("rb") as binary:
                    archive.addfile(header, binary)
        partial.replace(file)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _described(artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "module": artifact.module,
        "version": artifact.version,
        "platform": local_platform(),
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "origin": "image" if artifact.image else "go",
        "go": artifact.go_version,
        "image": artifact.image,
    }


def read(file: Path, cache: BinaryCache) -> list[Artifact]:
    """Takes all binaries of an archive into the cache; all of them, or none where one is not as it should be.

    Raises:
        UsageError: it is no such archive, damaged, or for another platform.
        ComponentError: the cache cannot be written.
    """
    with cache.building("import", lambda: None) as work_dir:
        try:
            with tarfile.open(file) as archive:
                found = [
                    (spec, details, _extract(archive, spec, details, work_dir, file))
                    for spec, details in _contents(archive, file)
                ]
        except (tarfile.TarError, EOFError, zlib.error) as error:
            words = str(error).partition(":\n")[0]
            raise UsageError(f"{file}: no archive of components, or a damaged one: {words}") from None
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror or error}") from None
        return [cache.add_imported(spec, details, binary, work_dir) for spec, details, binary in found]


def _contents(archive: tarfile.TarFile, file: Path) -> list[tuple[ComponentSpec, Mapping[str, str]]]:
    first = archive.next()
    member = archive.extractfile(first) if first is not None and first.name == _INDEX else None
    if member is None:
        raise UsageError(f"{file}: no archive of components: it does not begin with {_INDEX}")
    try:
        index = json.loads(member.read(_INDEX_BYTES))
        if index["format"] != _FORMAT:
            raise UsageError(f"{file}: format {index['format']} is not known, only {_FORMAT}")
        return [_entry(item, file) for item in index["components"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file}: its {_INDEX} is damaged: {error}") from None


def _entry(item: Mapping[str, Any], file: Path) -> tuple[ComponentSpec, Mapping[str, str]]:
    pinned = component.spec(item["name"])
    version = item["version"]
    if numbers(version) is None or "/" in version:
        raise UsageError(f"{file}: {pinned.name} has no version: {version[:40]!r}")
    if item["platform"] != local_platform():
        raise UsageError(f"{file}: {pinned.name} is for {item['platform']}, this machine is {local_platform()}")
    details = {key: str(item[key]) for key in ("origin", "go", "image", "sha256")}
    # It is not built, so the folder of its module is never asked for.
    return pinned.at(version, Path(os.devnull)), details


def _extract(
    archive: tarfile.TarFile, spec: ComponentSpec, details: Mapping[str, str], work_dir: Path, file: Path
) -> Path:
    target = work_dir / f"{spec.name}-{spec.version}"
    try:
        member = archive.extractfile(spec.name)
    except KeyError:
        member = None
    if member is None:
        raise UsageError(f"{file}: {spec.name} is missing in it")
    with member, target.open("wb") as output:
        shutil.copyfileobj(member, output)
    if (digest := sha256_of(target)) != details["sha256"]:
        raise UsageError(f"{file}: {spec.name} is damaged: its digest is {digest}, not {details['sha256']}")
    target.chmod(0o755)
    return target
