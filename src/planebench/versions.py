"""Versions of components, as people write them and as Go modules have them."""

from __future__ import annotations

import re

VERSION_PATTERN = r"^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(alpha|beta|rc)\.\d+)?$"
_NUMBERS = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def parse_version(text: str) -> str:
    """A whole version, as a Go module has it: ``v1.35.4`` for ``1.35.4`` or ``v1.35.4``.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(VERSION_PATTERN, text, re.ASCII):
        raise ValueError(f"expected a whole version, for instance 1.35.4 or 1.36.0-rc.1, got {text[:40]!r}")
    return text if text.startswith("v") else f"v{text}"


def numbers(version: str) -> tuple[int, int, int] | None:
    """The three numbers of ``v3.6.5`` or ``v3.6.5+source.1a2b``; None for a version that is not known."""
    found = _NUMBERS.match(version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
