"""HTTP/1.1 replies, parsed as they arrive: RFC 9112, as far as API servers use it.

The parser takes decrypted bytes in whatever pieces they come and says when a reply is complete. A body is kept
only where somebody will look at it (errors always are): the engine reads thousands of objects it only counts.
"""

from __future__ import annotations

from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024
"""More than any API server sends; what is longer is no HTTP."""

_HEAD, _LENGTH, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _UNTIL_CLOSE, _COMPLETE = range(8)


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1, or spoke out of turn."""


class ReplyParser:
    """One reply after another on one connection.

    Call :meth:`expect` before each request, :meth:`feed` with what arrives, until it returns True.
    """

    __slots__ = ("_body", "_head", "_keep", "_left", "_pending", "_state", "closing", "received", "status")

    def __init__(self) -> None:
        self.status = 0
        """The reply's status code; 0 until its head has arrived."""
        self.received = 0
        """Bytes of this reply so far, head and framing included."""
        self.closing = False
        """The server will close the connection after this reply."""
        self._head = b""
        self._body: list[bytes] = []
        self._pending = b""
        self._left = 0
        self._keep = False
        self._state = _COMPLETE

    def expect(self, *, keep_body: bool = False) -> None:
        """Make ready for the next reply; ``keep_body`` keeps a body whatever its status."""
        self.status = 0
        self.received = 0
        self.closing = False
        self._head = b""
        self._body = []
        self._pending = b""
        self._keep = keep_body
        self._state = _HEAD

    @property
    def complete(self) -> bool:
        return self._state == _COMPLETE

    def header(self, name: str) -> str | None:
        """A header's value in lower case, or None."""
        value = _field(self._head.lower(), b"\r\n" + name.lower().encode() + b":")
        return None if value is None else value.decode("latin-1")

    def take(self) -> list[bytes]:
        """The pieces of the body that have arrived since the last call."""
        body = self._body
        self._body = []
        return body

    def end_of_stream(self) -> bool:
        """The connection has ended: True where that completes the reply."""
        if self._state == _UNTIL_CLOSE:
            self._state = _COMPLETE
            return True
        return False

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; True when the reply is complete.

        Raises:
            ProtocolError: what arrived is no reply, or nobody asked for it.
        """
        self.received += len(data)
        if self._pending:
            data = self._pending + data
            self._pending = b""
        position, end = 0, len(data)
        state = self._state
        while position < end:
            if state in (_LENGTH, _CHUNK_DATA):
                piece = end - position
                if piece > self._left:
                    piece = self._left
                if self._keep:
                    self._body.append(data[position : position + piece])
                position += piece
                self._left -= piece
                if self._left == 0:
                    state = _CHUNK_END if state == _CHUNK_DATA else _COMPLETE
            elif state == _CHUNK_SIZE:
                line_end = data.find(b"\r\n", position)
                if line_end < 0:
                    self._wait(data, position)
                    break
                size = _chunk_size(data[position:line_end])
                position = line_end + 2
                chunk_end = position + size
                if size and chunk_end + 2 <= end and data[chunk_end : chunk_end + 2] == b"\r\n":  # a whole one
                    if self._keep:
                        self._body.append(data[position:chunk_end])
                    position = chunk_end + 2
                    continue
                self._left = size
                state = _CHUNK_DATA if size else _TRAILERS
            elif state == _CHUNK_END:
                if end - position < 2:
                    self._wait(data, position)
                    break
                if data[position : position + 2] != b"\r\n":
                    raise ProtocolError("a chunk is longer than it says")
                position += 2
                state = _CHUNK_SIZE
            elif state == _TRAILERS:
                line_end = data.find(b"\r\n", position)
                if line_end < 0:
                    self._wait(data, position)
                    break
                if line_end == position:
                    state = _COMPLETE
                position = line_end + 2
            elif state == _HEAD:
                head_end = data.find(b"\r\n\r\n", position)
                if head_end < 0:
                    self._wait(data, position)
                    break
                state = self._read_head(data[position : head_end + 2])
                position = head_end + 4
            elif state == _UNTIL_CLOSE:
                if self._keep:
                    self._body.append(data[position:])
                position = end
            else:
                raise ProtocolError("the server sent more than it was asked for")
        self._state = state
        return state == _COMPLETE

    def _wait(self, data: bytes, position: int) -> None:
        self._pending = data[position:]
        if len(self._pending) > MAX_HEAD_BYTES:
            raise ProtocolError("the server sent a head without an end")

    def _read_head(self, head: bytes) -> int:
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit() or head[8:9] != b" ":
            raise ProtocolError(f"no HTTP/1.1 reply: {head[:40]!r}")
        status = int(head[9:12])
        if 100 <= status < 200:
            return _HEAD
        self.status = status
        self._head = head
        lower = head.lower()
        self.closing = b"\r\nconnection: close" in lower or lower.startswith(b"http/1.0")
        if status >= 400:
            self._keep = True
        if status in (204, 304):
            return _COMPLETE
        coding = _field(lower, b"\r\ntransfer-encoding:")
        if coding is not None:
            if coding != b"chunked":
                raise ProtocolError("only chunked transfer coding is understood")
            return _CHUNK_SIZE
        length = _field(lower, b"\r\ncontent-length:")
        if length is None:
            self.closing = True
            return _UNTIL_CLOSE
        if not length.isdigit():
            raise ProtocolError(f"no length: Content-Length: {length!r}")
        self._left = int(length)
        return _LENGTH if self._left else _COMPLETE


def _field(head: bytes, key: bytes) -> bytes | None:
    start = head.find(key)
    if start < 0:
        return None
    start += len(key)
    return head[start : head.find(b"\r\n", start)].strip()


def _chunk_size(line: bytes) -> int:
    digits = line if line.isalnum() else line.split(b";", 1)[0].strip()
    try:
        if digits.isalnum():  # int() takes signs and underscores, too
            return int(digits, 16)
    except ValueError:
        pass
    raise ProtocolError(f"no chunk size: {line[:40]!r}")
