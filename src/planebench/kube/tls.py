"""TLS connections over non-blocking sockets, stamped by the kernel at receipt."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import struct
import time
from typing import Final, Protocol

from planebench.kube.http1 import ProtocolError, ReplyParser
from planebench.kube.loop import EPOLLIN, EPOLLOUT, Loop
from planebench.kube.peer import Peer
from planebench.kube.proxy import ProxyError

_SO_TIMESTAMPNS: Final = 35
"""asm-generic/socket.h: x86 and arm64, where its timespec is two 64-bit integers."""
_STAMP: Final = struct.Struct("qq")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_STAMP.size)
_RECEIVE_BYTES: Final = 256 * 1024
_RECORD_BYTES: Final = 16 * 1024
"""The most plain text in a TLS record (RFC 8446, 5.1)."""
_CLOSED: Final = "closed by the server"

_buffer = bytearray(_RECEIVE_BYTES)
_view = memoryview(_buffer)
_buffers = [_view]


class Handler(Protocol):
    """Whom a connection tells."""

    def opened(self, connection: Connection) -> None:
        """The handshake is done."""

    def received(self, connection: Connection, stamp_ns: int, now_ns: int) -> None:
        """The connection's parser took new bytes: they arrived at ``stamp_ns`` and were read at ``now_ns``."""

    def lost(self, connection: Connection, reason: str, now_ns: int) -> None:
        """The connection is over, and closed; never called after :meth:`Connection.close`."""


class Connection:
    """One connection and its reply parser; it opens itself.

    Args:
        patient: it carries one reply at a time, so that what arrives need not be read at once (see :class:`Loop`).
    """

    __slots__ = (
        "_clock",
        "_handler",
        "_incoming",
        "_loop",
        "_outgoing",
        "_partial",
        "_patient",
        "_peer",
        "_session",
        "_socket",
        "_unsent",
        "_way",
        "is_open",
        "owner",
        "parser",
        "sent_ns",
    )

    def __init__(self, loop: Loop, peer: Peer, handler: Handler, *, patient: bool = False) -> None:
        self.parser = ReplyParser()
        self.is_open = False
        self.sent_ns = 0
        """When the last request was sent: nothing can have arrived for it earlier."""
        self.owner: object = None
        """What the handler keeps with a connection: the request it carries."""
        self._loop = loop
        self._clock = loop.clock
        self._handler = handler
        self._peer = peer
        self._patient = patient
        self._unsent = b""
        self._partial = False
        """OpenSSL holds a part of a record: what completes it may be shorter than its plain text."""
        self._session, self._incoming, self._outgoing, self._way = peer.layers()
        family, kind, protocol, _, address = peer.address
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # without it, a receipt is stamped when it is read
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        status = self._socket.connect_ex(address)
        if status not in (0, errno.EINPROGRESS):
            loop.after(0, lambda: self._lose(os.strerror(status)))
        loop.register(self._socket.fileno(), EPOLLOUT, self._connecting, patient=patient)

    def send(self, request: bytes) -> None:
        """Send a whole request now; what the socket does not take follows as soon as it does."""
        self.sent_ns = time.monotonic_ns()
        try:
            self._session.write(request)
        except ssl.SSLError:
            return  # the connection has ended: its reading side says so
        self._flush()

    def close(self) -> None:
        """End it without a word to the handler."""
        if self._socket.fileno() >= 0:
            self._loop.unregister(self._socket.fileno())
            self._socket.close()
        self.is_open = False
        self.owner = None

    def _flush(self) -> None:
        data = self._outgoing.read()
        if self._unsent:
            self._unsent += data
            return
        try:
            n = self._socket.send(data)
        except OSError:  # full: the rest follows; or broken: the reading side says so
            n = 0
        if n < len(data):
            self._unsent = data[n:]
            self._loop.modify(self._socket.fileno(), EPOLLIN | EPOLLOUT)

    def _flush_rest(self) -> None:
        data, self._unsent = self._unsent, b""
        try:
            n = self._socket.send(data)
        except BlockingIOError:
            n = 0
        except OSError:
            n = len(data)
        self._unsent = data[n:]
        if not self._unsent:
            self._loop.modify(self._socket.fileno(), EPOLLIN)

    def _lose(self, reason: str) -> None:
        if self._socket.fileno() < 0:
            return
        now = time.monotonic_ns()
        owner = self.owner
        self.close()
        self.owner = owner
        self._handler.lost(self, reason, now)
        self.owner = None

    def _connecting(self, _events: int) -> None:
        status = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            self._lose(os.strerror(status))
            return
        fd = self._socket.fileno()
        self._loop.unregister(fd)
        if self._way is not None:
            self._loop.register(fd, EPOLLIN, self._on_the_way, patient=self._patient)
            self._say(None)
            return
        self._loop.register(fd, EPOLLIN, self._ready, patient=self._patient)
        self._handshake()

    def _on_the_way(self, _events: int) -> None:
        """The proxy has answered."""
        try:
            answer = self._socket.recv(_RECORD_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"proxy: {error.strerror or error}")
            return
        if answer:
            self._say(answer)
        else:
            self._lose("closed by the proxy")

    def _say(self, answer: bytes | None) -> None:
        """Go on in the dialogue with the proxy; at its end the way is free."""
        assert self._way is not None  # noqa: S101 (there is a proxy)
        try:
            request = next(self._way) if answer is None else self._way.send(answer)
            self._socket.sendall(request)  # a few bytes on a fresh connection
        except StopIteration:
            self._way = None
            fd = self._socket.fileno()
            self._loop.unregister(fd)
            self._loop.register(fd, EPOLLIN, self._ready, patient=self._patient)
            self._handshake()
        except (ProxyError, ssl.SSLError) as error:
            self._lose(_tls_reason(error) if isinstance(error, ssl.SSLError) else str(error))
        except OSError as error:
            self._lose(f"proxy: {error.strerror or error}")

    def _handshake(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the server why
            self._lose(_tls_reason(error))
            return
        self._flush()
        self.is_open = True
        self._handler.opened(self)

    def _ready(self, events: int) -> None:
        if self._unsent and events & EPOLLOUT:
            self._flush_rest()
        if events == EPOLLOUT:
            return
        n = _RECEIVE_BYTES
        while n == _RECEIVE_BYTES:
            try:
                n, ancillary, _, _ = self._socket.recvmsg_into(_buffers, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(os.strerror(error.errno) if error.errno else str(error))
                return
            now = time.monotonic_ns()
            if n == 0:
                self._end(now)
                return
            stamp = now
            if ancillary:
                seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
                stamp = seconds * 1_000_000_000 + nanoseconds - self._clock.offset_ns
                if not self.sent_ns <= stamp <= now:
                    stamp = self._clock.judge(stamp, self.sent_ns, now)
            self._incoming.write(_view[:n])
            if not self.is_open:
                self._handshake()
                if not self.is_open or not self._incoming.pending:
                    continue
            self._decrypt(stamp, now)
            if self._socket.fileno() < 0:
                return

    def _decrypt(self, stamp: int, now: int) -> None:
        incoming = self._incoming
        read = self._session.read
        parts: list[bytes] = []
        ended = ""
        try:
            while pending := incoming.pending:
                # One record, whose plain text is shorter than itself; of one that came in parts, only the rest
                # is pending.
                part = read(_RECORD_BYTES if self._partial else pending)
                if not part:
                    ended = _CLOSED
                    break
                self._partial = False
                parts.append(part)
        except ssl.SSLWantReadError:  # the record's rest has not arrived, or it was a session ticket
            self._partial = True
            if self._peer.session is None:
                self._peer.keep_session(self._session)
        except ssl.SSLError as error:
            ended = _tls_reason(error)
        if parts:
            try:
                self.parser.feed(parts[0] if len(parts) == 1 else b"".join(parts))
            except ProtocolError as error:
                self._lose(str(error))
                return
            self._handler.received(self, stamp, now)
        if ended == _CLOSED:
            self._end(now)
        elif ended:
            self._lose(ended)

    def _end(self, now: int) -> None:
        if self._socket.fileno() >= 0 and self.is_open and self.parser.end_of_stream():
            self._handler.received(self, now, now)
        self._lose(_CLOSED)


def _tls_reason(error: ssl.SSLError) -> str:
    detail = getattr(error, "verify_message", "") or (error.reason or "").replace("_", " ").lower()
    return f"TLS failed: {detail or error}"
