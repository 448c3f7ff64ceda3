"""Column files: rows of 64-bit integers, written as a run goes.

A row costs one ``extend`` of an array and no object that lives on. Rows reach their file every second or 64 KiB,
so a crash loses no more; a reader cuts a torn last row off. ``layout.json`` names the columns, ``strings.jsonl``
holds the strings that codes stand for (line number = code): a string is on disk before the first row that uses it.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

_SPILL_VALUES: Final = 64 * 1024 // 8

LAYOUT: Final[Mapping[str, tuple[str, ...]]] = {
    "requests": (
        "phase",
        "operation",
        "due_ns",
        "sent_ns",
        "done_ns",
        "status",
        "bytes_sent",
        "bytes_received",
        "attempts",
        "error",
    ),
    "milestones": ("object", "milestone", "t_ns"),
    "events": ("t_ns", "read_ns", "watch", "object", "type", "resource_version", "bytes"),
    "gaps": ("watch", "t_ns", "end_ns", "reason", "resumed"),
}
"""Columns of each file; -1 stands for none."""


class Table:
    """One column file."""

    __slots__ = ("_file", "_values", "_write_strings")

    def __init__(self, path: Path, strings: Strings) -> None:
        self._values = array("q")
        self._file = path.open("ab", buffering=0)
        self._write_strings = strings.spill

    def add(self, row: Sequence[int]) -> None:
        """Add a row, or several."""
        values = self._values
        values.extend(row)
        if len(values) >= _SPILL_VALUES:
            self.spill()

    def spill(self) -> None:
        if self._values:
            self._write_strings()
            self._file.write(self._values)
            del self._values[:]

    def close(self) -> None:
        self.spill()
        self._file.close()


class Strings:
    """Codes for strings."""

    __slots__ = ("_codes", "_file", "_new")

    def __init__(self, path: Path) -> None:
        self._codes: dict[str, int] = {}
        self._new: list[str] = []
        self._file = path.open("ab", buffering=0)

    def code(self, text: str) -> int:
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self._codes)
            self._new.append(text)
        return code

    def spill(self) -> None:
        if self._new:
            self._file.write(b"".join(msgspec.json.encode(text) + b"\n" for text in self._new))
            self._new.clear()

    def close(self) -> None:
        self.spill()
        self._file.close()


def write_start(folder: Path, number: int, start_ns: int) -> None:
    """Write when a phase has started, at once: its operations' due times count from there."""
    line = msgspec.json.encode({"phase": number, "start_ns": start_ns})
    with (folder / "phases.jsonl").open("ab") as file:
        file.write(line + b"\n")


class Records:
    """Everything that a run's engine writes, in one folder.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        layout = {"byteorder": sys.byteorder, "tables": LAYOUT}
        (folder / "layout.json").write_bytes(msgspec.json.encode(layout))
        self.folder = folder
        self.strings = Strings(folder / "strings.jsonl")
        self.requests = Table(folder / "requests.bin", self.strings)
        self.milestones = Table(folder / "milestones.bin", self.strings)
        self.events = Table(folder / "events.bin", self.strings)
        self.gaps = Table(folder / "gaps.bin", self.strings)
        self._objects = (folder / "objects.jsonl").open("ab", buffering=0)
        self._object_lines: list[bytes] = []

    def phase(self, number: int, start_ns: int) -> None:
        write_start(self.folder, number, start_ns)

    def describe(self, description: msgspec.Struct) -> None:
        """Write what an object is; its last description counts."""
        self._object_lines.append(msgspec.json.encode(description))
        if len(self._object_lines) >= 400:
            self._spill_objects()

    def _spill_objects(self) -> None:
        if self._object_lines:
            self._object_lines.append(b"")
            self._objects.write(b"\n".join(self._object_lines))
            self._object_lines.clear()

    def spill(self) -> None:
        """Write everything that is still in memory."""
        self._spill_objects()
        self.strings.spill()
        for table in (self.requests, self.milestones, self.events, self.gaps):
            table.spill()

    def close(self) -> None:
        self.spill()
        for table in (self.requests, self.milestones, self.events, self.gaps):
            table.close()
        self.strings.close()
        self._objects.close()
