"""One's own source tree of a component: which module it is, and what its content is."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from planebench.binaries.component import ComponentSpec, Graph
from planebench.model import UsageError
from planebench.versions import numbers

_LEFT_OUT = frozenset({".git", "_output", "vendor"})
"""Folders at the top that no build reads: a vendor folder counts in the main module alone."""


def find(folder: Path, of: Graph, flag: str) -> Path:
    """The folder of the graph's module in a source tree: ``folder`` itself, or where the project has it.

    Raises UsageError where it is another project's tree, or none; it names the ``flag``.
    """
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"{flag}: {folder} is no folder")
    found = ""
    for candidate in dict.fromkeys((folder, folder / of.folder)):
        try:
            text = (candidate / "go.mod").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        match = re.search(r"^module\s+(\S+)", text, re.MULTILINE)
        found = match[1].strip('"') if match else ""
        if found == of.module:
            return candidate
    what = f"its go.mod is of {found}" if found else "it has no go.mod"
    raise UsageError(f"{flag}: no source tree of {of.module}: {what}")


def version(spec: ComponentSpec, tree: Path) -> str:
    """The version to build it as: the release that it builds on, and a digest of its content.

    The release is the nearest tag where git knows one, else the pinned version. Raises UsageError for a tree that
    cannot be read.
    """
    tag = _git(tree, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").strip()
    release = tag if numbers(tag) else spec.version
    return f"{release}+source.{content_digest(tree)[:12]}"


def content_digest(tree: Path) -> str:
    """SHA-256 in hex of all files' paths and contents, without what git ignores, if it is git's."""
    digest = hashlib.sha256()
    for name in sorted(_files(tree)):
        path = tree / name
        try:
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        except FileNotFoundError:  # deleted, but not committed so yet
            continue
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def _files(tree: Path) -> Iterator[str]:
    """Paths relative to the tree."""
    listed = _git(tree, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if listed:
        for name in listed.split("\0"):
            if name and name.split("/")[0] not in _LEFT_OUT:
                yield name
        return
    for folder, folders, names in os.walk(tree):
        if Path(folder) == tree:
            folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), tree)  # noqa: PTH118 (many thousands)


def _git(tree: Path, *argv: str) -> str:
    """git's answer about the tree; empty where there is no git, or the tree is not git's."""
    try:
        answer = subprocess.run(["git", "-C", tree, *argv], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return os.fsdecode(answer.stdout)
