"""Watch frames, whatever pieces they come in: a JSON document per line, or a length before each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_LENGTH_BYTES: Final = 4


class LineSplitter:
    """Joins the pieces of a stream and cuts it at its newlines (JSON holds none of its own)."""

    __slots__ = ("_partial",)

    def __init__(self) -> None:
        self._partial: list[bytes] = []

    def feed(self, piece: bytes) -> Sequence[bytes]:
        """Take the next bytes; the lines that they complete, without their newlines; empty lines are left out."""
        first = piece.find(b"\n")
        if first < 0:
            self._partial.append(piece)
            return ()
        if self._partial:
            self._partial.append(piece)
            piece = b"".join(self._partial)
            self._partial = []
            first = piece.find(b"\n")
        if first == len(piece) - 1:
            return (piece[:-1],) if first else ()
        lines = piece.split(b"\n")
        rest = lines.pop()
        if rest:
            self._partial.append(rest)
        return [line for line in lines if line]


class FrameSplitter:
    """Joins the pieces of a stream and cuts it into frames: four bytes of length, big-endian, and so many more."""

    __slots__ = ("_partial",)

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, piece: bytes) -> Sequence[bytes]:
        """Take the next bytes; the frames that they complete, without their lengths."""
        if self._partial:
            piece = self._partial + piece
        frames: list[bytes] = []
        position, end = 0, len(piece)
        while end - position >= _LENGTH_BYTES:
            start = position + _LENGTH_BYTES
            stop = start + int.from_bytes(piece[position:start], "big")
            if stop > end:
                break
            frames.append(piece[start:stop])
            position = stop
        self._partial = piece[position:]
        return frames
