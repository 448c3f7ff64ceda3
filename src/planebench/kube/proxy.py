"""Ways through proxies, told apart from any socket: a generator that is sent what arrives, and says what to send.

It yields the next bytes to send (perhaps none), and ends when the connection leads to the target.
"""

from __future__ import annotations

import base64
import ipaddress
import socket
import ssl
import struct
from collections.abc import Callable, Generator
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from planebench.model import UsageError

Dialogue = Generator[bytes, bytes, None]

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_RECORD_BYTES: Final = 16 * 1024
_MOST_HEAD_BYTES: Final = 16 * 1024
_SOCKS_REFUSALS: Final = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}
"""RFC 1928, 6."""


class ProxyError(Exception):
    """The proxy refused, or speaks another protocol."""


class Outer:
    """TLS with an https proxy: stands between a connection's socket and the bytes of its own TLS.

    To the connection it is where it writes what has arrived and reads what is to be sent.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.inner_incoming = ssl.MemoryBIO()
        self.inner_outgoing = ssl.MemoryBIO()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    @property
    def pending(self) -> int:
        return self.inner_incoming.pending

    def write(self, data: bytes | memoryview) -> int:
        """Bytes of the socket."""
        self._incoming.write(data)
        self.inner_incoming.write(self._plain())
        return len(data)

    def read(self) -> bytes:
        """Bytes for the socket."""
        if data := self.inner_outgoing.read():
            self._session.write(data)
        return self._outgoing.read()

    def _plain(self) -> bytes:
        parts = []
        try:
            while part := self._session.read(_RECORD_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)

    def secured(self, inner: Dialogue) -> Dialogue:
        """The handshake with the proxy, then a dialogue through it. Raises ssl.SSLError out of the generator."""
        while True:
            try:
                self._session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._incoming.write((yield self._outgoing.read()))
        told = next(inner)
        while True:
            if told:
                self._session.write(told)
            self._incoming.write((yield self._outgoing.read()))
            try:
                told = inner.send(self._plain())
            except StopIteration:
                return


def split(url: str) -> SplitResult:
    """A proxy's URL in its parts; raises UsageError where it is none that can be used."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"proxy-url: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise UsageError(
            f"proxy-url: expected http, https or socks5://HOST:PORT, got {parts._replace(netloc='').geturl()!r}"
        )
    return parts


def address(parts: SplitResult) -> tuple[str, int]:
    """A proxy's host and port."""
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def dialogue(parts: SplitResult, host: str, port: int) -> Dialogue:
    """How to get through a proxy to a host. Raises ProxyError out of the generator."""
    ways: dict[str, Callable[[SplitResult, str, int], Dialogue]] = {"socks5": _socks5, "socks5h": _socks5}
    return ways.get(parts.scheme, _connect)(parts, host, port)


def _connect(parts: SplitResult, host: str, port: int) -> Dialogue:
    """HTTP's CONNECT (RFC 9110, 9.3.6)."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request += f"Proxy-Authorization: Basic {base64.b64encode(secret.encode()).decode()}\r\n"
    reply = yield f"{request}\r\n".encode()
    while b"\r\n\r\n" not in reply:
        if len(reply) > _MOST_HEAD_BYTES or not b"HTTP/1.".startswith(reply[:7]):
            raise ProxyError("the proxy speaks no HTTP")
        reply += yield b""
    words = reply.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if len(words) < 2 or words[1] != "200":
        raise ProxyError(f"the proxy refused: {' '.join(words[1:]) or words[0]}")


def _socks5(parts: SplitResult, host: str, port: int) -> Dialogue:
    """SOCKS 5 (RFC 1928), with a user's password where the URL has one (RFC 1929); the proxy looks the name up."""
    methods = b"\x00\x02" if parts.username else b"\x00"
    reply = yield from _at_least(b"\x05" + bytes([len(methods)]) + methods, 2)
    if reply[0] != 5 or reply[1] not in methods:
        raise ProxyError(
            "the proxy speaks no SOCKS 5" if reply[0] != 5 else "the proxy wants another way to log in"
        )
    if reply[1] == 2:
        user, password = (unquote(text or "").encode()[:255] for text in (parts.username, parts.password))
        told = b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password
        if (yield from _at_least(told, 2))[1] != 0:
            raise ProxyError("the proxy refused: user or password is wrong")
    reply = yield from _at_least(b"\x05\x01\x00" + _socks_address(host) + struct.pack("!H", port), 5)
    if reply[1] != 0:
        raise ProxyError(f"the proxy refused: {_SOCKS_REFUSALS.get(reply[1], f'error {reply[1]}')}")
    length = {1: 4, 3: 1 + reply[4], 4: 16}.get(reply[3], 0)
    while len(reply) < 4 + length + 2:
        reply += yield b""


def _at_least(request: bytes, size: int) -> Generator[bytes, bytes, bytes]:
    reply = yield request
    while len(reply) < size:
        reply += yield b""
    return reply


def _socks_address(host: str) -> bytes:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return b"\x03" + bytes([len(name)]) + name
    return (b"\x01" if found.version == 4 else b"\x04") + socket.inet_pton(
        socket.AF_INET if found.version == 4 else socket.AF_INET6, host
    )
