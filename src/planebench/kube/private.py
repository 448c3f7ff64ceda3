"""Files that nobody else is to read: credentials, and what names them."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(file: Path, content: bytes) -> Path:
    """For the owner's eyes only; a reader sees all of it or what was there before."""
    aside = file.with_name(f".{file.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    aside.replace(file)
    return file
