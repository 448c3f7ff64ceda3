"""Watch frames: one JSON document per line, whatever pieces the lines come in."""

from __future__ import annotations

from collections.abc import Sequence


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
