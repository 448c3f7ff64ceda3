"""Takes a component's binary out of its official image: no Docker, no root, nothing else is unpacked.

Source: https://github.com/opencontainers/image-spec, v1.1.1: image-index.md, manifest.md, layer.md (whiteouts).
"""

from __future__ import annotations

import io
import json
import platform
import posixpath
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, Literal

from planebench.binaries.component import ComponentSpec
from planebench.binaries.registry import (
    INDEX_TYPES,
    Document,
    ImageUnavailableError,
    Registry,
)
from planebench.model import ComponentError

_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_MACHINES: Final = {62: "amd64", 183: "arm64"}
"""ELF's e_machine. Source: System V ABI, EM_X86_64 and EM_AARCH64."""
_PT_INTERP: Final = 3
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_LINKS: Final = 8

Counter = Callable[[int, int], None]
"""Told of the bytes that were downloaded, and of those that there are."""


@dataclass(frozen=True, slots=True)
class PulledBinary:
    """A binary out of an image."""

    path: Path
    image: str
    """The image's name with the digest of this platform's manifest."""


def local_platform() -> str:
    """This machine as Go and images name it, for instance ``linux/amd64``."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}/{_ARCHITECTURES.get(machine, machine)}"


def pull(
    spec: ComponentSpec, registry: Registry, work_dir: Path, on_bytes: Counter, *, wanted: str | None = None
) -> PulledBinary:
    """Downloads the layers that it takes to find the component's binary; leaves it in ``work_dir``.

    Args:
        spec: a component with an image.
        wanted: the platform; None: this machine's.

    Raises:
        ImageUnavailableError: the registry does not answer, or has no such image, platform or binary.
        ComponentError: what came is damaged, or not what its digest says.
    """
    if spec.image is None:
        raise ImageUnavailableError(f"there is no official image of {spec.name} {spec.version}")
    wanted = wanted or local_platform()
    repository = spec.image.repository
    tag = spec.image.tag(spec.version)
    name = f"{registry.name}/{repository}:{tag}"
    registry.demand_reachable()
    manifest = _for_platform(registry, repository, tag, wanted, name)
    layers = _layers(manifest, name)
    finder = _Finder(registry, repository, layers, work_dir, name, on_bytes)
    binary = finder.find(PurePosixPath(spec.image.path))
    target = work_dir / spec.name
    binary.rename(target)
    _demand_static(target, wanted, f"image {name}: {spec.image.path}")
    target.chmod(0o755)
    return PulledBinary(target, f"{registry.name}/{repository}@{manifest.digest}")


def _for_platform(registry: Registry, repository: str, tag: str, wanted: str, name: str) -> Document:
    """The manifest of one platform, by the index or, where the image has none, by its configuration."""
    document = registry.manifest(repository, tag)
    if document.media_type in INDEX_TYPES:
        found: dict[str, str] = {}
        for entry in _items(document.content, "manifests", name):
            of = entry.get("platform") or {}
            found.setdefault(f"{of.get('os')}/{of.get('architecture')}", str(entry.get("digest")))
        if wanted not in found:
            known = ", ".join(sorted(name for name in found if "unknown" not in name)) or "nothing"
            raise ImageUnavailableError(f"image {name} is not for {wanted}: it has {known}")
        document = registry.manifest(repository, found[wanted])
        if document.media_type in INDEX_TYPES:
            raise ComponentError(f"image {name}: an index within an index")
        return document
    configuration = _configuration(registry, repository, document, name)
    has = f"{configuration.get('os')}/{configuration.get('architecture')}"
    if has != wanted:
        raise ImageUnavailableError(f"image {name} is not for {wanted}: it is for {has}")
    return document


def _configuration(registry: Registry, repository: str, manifest: Document, name: str) -> Mapping[str, Any]:
    config = manifest.content.get("config") or {}
    target = io.BytesIO()
    registry.blob(repository, str(config.get("digest")), _size(config, name), target, lambda _: None)
    try:
        content = json.loads(target.getvalue())
    except ValueError:
        content = None
    if not isinstance(content, Mapping):
        raise ComponentError(f"image {name}: its configuration is no JSON document")
    return content


@dataclass(frozen=True, slots=True)
class _Layer:
    digest: str
    size_bytes: int
    media_type: str


def _layers(manifest: Document, name: str) -> list[_Layer]:
    return [
        _Layer(str(entry.get("digest")), _size(entry, name), str(entry.get("mediaType", "")))
        for entry in _items(manifest.content, "layers", name)
    ]


def _items(content: Mapping[str, Any], key: str, name: str) -> list[Mapping[str, Any]]:
    items = content.get(key)
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise ComponentError(f"image {name}: its manifest has no {key}")
    return items


def _size(descriptor: Mapping[str, Any], name: str) -> int:
    size = descriptor.get("size")
    if not isinstance(size, int) or size < 0:
        raise ComponentError(f"image {name}: its manifest tells no size of {descriptor.get('digest')}")
    return size


class _Finder:
    """Looks for one file through an image's layers, the topmost first, since it hides those below."""

    def __init__(
        self,
        registry: Registry,
        repository: str,
        layers: Sequence[_Layer],
        work_dir: Path,
        name: str,
        on_bytes: Counter,
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._layers = layers
        self._folder = work_dir
        self._name = name
        self._on_bytes = on_bytes
        self._done = 0
        self._total = sum(layer.size_bytes for layer in layers)

    def find(self, path: PurePosixPath) -> Path:
        """The file's content, in the work folder. Raises ImageUnavailableError or ComponentError."""
        asked = path
        for _ in range(_LINKS):
            found = self._look(path)
            if isinstance(found, Path):
                return found
            if found is None:
                break
            path = found
        raise ImageUnavailableError(f"image {self._name} has no {asked}")

    def _look(self, path: PurePosixPath) -> Path | PurePosixPath | None:
        """The file; or what it is a link to; or None."""
        for number in reversed(range(len(self._layers))):
            found = self._in_layer(number, path)
            if found is not None:
                return found or None
        return None

    def _in_layer(self, number: int, path: PurePosixPath) -> Path | PurePosixPath | Literal[False] | None:
        """What one layer says about a path; False where it deletes it, None where it says nothing."""
        file = self._layer(number)
        hidden = False
        parents = {str(parent) for parent in path.parents if str(parent) != "."}
        removals = {str(one.parent / f"{_WHITEOUT}{one.name}") for one in (path, *path.parents) if one.name}
        removals |= {str(parent / _OPAQUE) for parent in path.parents}
        target = self._folder / "found"
        kept: Path | PurePosixPath | None = None
        try:
            with tarfile.open(file) as archive:
                for member in archive:
                    name = posixpath.normpath(member.name.lstrip("/"))
                    if name in removals:
                        hidden = True
                    elif name in parents and member.issym():
                        return _target(member, PurePosixPath(name)) / path.relative_to(name)
                    elif name == str(path):
                        kept = self._take(archive, member, path, target)
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            layer = self._layers[number].digest
            words = str(error).partition(":\n")[0]
            raise ComponentError(f"image {self._name}: layer {layer} is damaged: {words}") from None
        return kept or (False if hidden else None)

    def _take(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: PurePosixPath, target: Path
    ) -> Path | PurePosixPath | None:
        if member.issym():
            return _target(member, path)
        if member.islnk():
            return PurePosixPath(posixpath.normpath(member.linkname.lstrip("/")))
        content = archive.extractfile(member)
        if content is None:  # a folder, a device
            return None
        with content, target.open("wb") as output:
            shutil.copyfileobj(content, output)
        return target

    def _layer(self, number: int) -> Path:
        """A layer on disk, its digest verified before anything looks into it."""
        layer = self._layers[number]
        file = self._folder / f"layer-{number}"
        if file.exists():
            return file
        if layer.media_type.endswith("zstd"):
            raise ImageUnavailableError(f"image {self._name} is compressed by zstd, which cannot be read here")

        def count(size: int) -> None:
            self._done += size
            self._on_bytes(self._done, self._total)

        with file.open("wb") as output:
            self._registry.blob(self._repository, layer.digest, layer.size_bytes, output, count)
        return file


def _target(link: tarfile.TarInfo, path: PurePosixPath) -> PurePosixPath:
    joined = posixpath.join("/", str(path.parent), link.linkname)
    return PurePosixPath(posixpath.normpath(joined).lstrip("/"))


def _demand_static(binary: Path, wanted: str, what: str) -> None:
    """Raises ImageUnavailableError for a binary that needs the image's libraries, or another machine."""
    with binary.open("rb") as file:
        machine, interpreted = _elf(file, what)
    has = _MACHINES.get(machine, f"machine {machine}")
    if has != wanted.partition("/")[2]:
        raise ImageUnavailableError(f"{what} is a binary for {has}, not for {wanted}")
    if interpreted:
        raise ImageUnavailableError(f"{what} is not static: it needs the image's own libraries")


def _elf(file: BinaryIO, what: str) -> tuple[int, bool]:
    """The machine that a binary is for, and whether a loader has to prepare it."""
    header = file.read(64)
    if len(header) < 64 or header[:6] != b"\x7fELF\x02\x01":
        raise ImageUnavailableError(f"{what} is no 64-bit Linux binary")
    (machine,) = struct.unpack_from("<H", header, 18)
    (offset,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    file.seek(offset)
    table = file.read(size * count)
    kinds = (struct.unpack_from("<I", table, size * number)[0] for number in range(len(table) // max(size, 1)))
    return machine, _PT_INTERP in kinds
