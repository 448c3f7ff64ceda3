"""Images for tests, as OCI layouts: made of nothing but files, for a registry of the test's own and for skopeo."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def elf(*, machine: int = 62, interpreted: bool = False, content: bytes = b"") -> bytes:
    """What a binary begins with; ``machine`` 62 is amd64, 183 arm64."""
    headers = 1 if interpreted else 0
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, headers, 0, 0, 0)
    return head + (struct.pack("<II", 3, 4).ljust(56, b"\0") if interpreted else b"") + content


def layer(files: dict[str, bytes | str]) -> bytes:
    """A compressed layer. Bytes are a file's content, text is what a symbolic link points at."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size, member.mode = len(content), 0o755
                archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


@dataclass
class Layout:
    """An image: its blobs by digest, and the digest of what a tag points at."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    top: str = ""
    top_type: str = INDEX

    def add(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def add_json(self, content: dict[str, Any]) -> str:
        return self.add(json.dumps(content).encode())

    def described(self, digest: str, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest, "size": len(self.blobs[digest])}

    def write(self, folder: Path) -> None:
        """As a folder that standard tools read."""
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        for digest, content in self.blobs.items():
            (folder / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(content)
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [self.described(self.top, self.top_type)]}
        (folder / "index.json").write_text(json.dumps(index))


def image(
    *layers: bytes, platforms: tuple[str, ...] = ("linux/amd64",), index: bool = True, media_type: str = LAYER
) -> Layout:
    """An image of these layers, the lowest first, the same for each platform."""
    layout = Layout()
    digests = [layout.add(content) for content in layers]
    entries = []
    for platform in platforms:
        system, _, architecture = platform.partition("/")
        diff_ids = [f"sha256:{hashlib.sha256(_unpacked(content)).hexdigest()}" for content in layers]
        config = layout.add_json(
            {"os": system, "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        )
        manifest = layout.add_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": layout.described(config, "application/vnd.oci.image.config.v1+json"),
                "layers": [layout.described(digest, media_type) for digest in digests],
            }
        )
        place = {"os": system, "architecture": architecture}
        entries.append({**layout.described(manifest, MANIFEST), "platform": place})
    if index:
        layout.top = layout.add_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    else:
        layout.top, layout.top_type = entries[0]["digest"], MANIFEST
    return layout


def _unpacked(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError):
        return content
