"""An API server as the load engine's connections see it: its address, TLS, proxies, and the credentials of now."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from planebench.kube import proxy, trust
from planebench.model import Access

_CONNECT_TRY_S: Final = 2.0
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class Layers(Protocol):
    """What a connection does to the bytes that it sends and receives: TLS, or nothing."""

    @property
    def session(self) -> ssl.SSLSession | None: ...

    @property
    def context(self) -> ssl.SSLContext | None: ...

    def do_handshake(self) -> None: ...

    def read(self, length: int) -> bytes: ...

    def write(self, data: bytes) -> int: ...


class _Cleartext:
    """Nothing: for an ``http`` server, such as ``kubectl proxy``."""

    session = None
    context = None

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.read = incoming.read
        self.write = outgoing.write

    def do_handshake(self) -> None:
        """There is none."""


class Peer:
    """An API server's address and how to prove oneself to it.

    Raises:
        OSError, ssl.SSLError: a certificate file is missing or unusable, or no name can be looked up.
        UsageError: the proxy's URL is none.
    """

    def __init__(self, access: Access) -> None:
        self.on_unauthorized: Callable[[], None] = lambda: None
        """Called when the API server no longer takes the credentials."""
        self.proxy = proxy.split(access.proxy) if access.proxy else None
        self.address = _address(*(proxy.address(self.proxy) if self.proxy else (access.host, access.port)))
        self.authorize(access)

    def authorize(self, access: Access) -> None:
        """Take the credentials of ``access`` from now on, for new connections and requests."""
        self.access = access
        self.prefix = access.prefix
        self.headers = "".join(f"{name}: {value}\r\n" for name, value in access.headers)
        self.context = trust.context(access) if access.tls else None
        if self.context is not None:
            self.context.set_alpn_protocols(["http/1.1"])
        self.session: ssl.SSLSession | None = None
        """An earlier connection's session: resuming it spares both sides the signatures."""
        self._told = False
        self._since_ns = time.monotonic_ns()

    def unauthorized(self, sent_ns: int) -> None:
        """A request sent at that time was answered 401: tell it once, and not of earlier credentials."""
        if not self._told and sent_ns > self._since_ns:
            self._told = True
            self.on_unauthorized()

    def keep_session(self, layers: Layers) -> None:
        """Resume this connection's session in later ones; one of earlier credentials cannot be."""
        if layers.context is self.context:
            self.session = layers.session

    def layers(self) -> tuple[Layers, Incoming, Outgoing, proxy.Dialogue | None]:
        """For a new connection: its TLS, where that takes bytes from and leaves them, and what to say to a proxy
        first."""
        access = self.access
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        way = proxy.dialogue(self.proxy, access.host, access.port) if self.proxy else None
        outer = None
        if self.proxy and way and self.proxy.scheme == "https":
            outer = proxy.Outer(ssl.create_default_context(), self.proxy.hostname or "")
            incoming, outgoing, way = outer.inner_incoming, outer.inner_outgoing, outer.secured(way)
        layers: Layers = _Cleartext(incoming, outgoing)
        if self.context is not None:
            name = access.server_name or access.host
            layers = self.context.wrap_bio(incoming, outgoing, server_hostname=name, session=self.session)
        return layers, outer or incoming, outer or outgoing, way


class Incoming(Protocol):
    """Where a connection leaves what has arrived."""

    @property
    def pending(self) -> int: ...

    def write(self, data: memoryview, /) -> int: ...


class Outgoing(Protocol):
    """Where it finds what is to be sent."""

    def read(self) -> bytes: ...


def _address(host: str, port: int) -> _Address:
    """The first of a host's addresses that answers."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for candidate in found[:-1]:
        with contextlib.suppress(OSError), socket.socket(*candidate[:3]) as tried:
            tried.settimeout(_CONNECT_TRY_S)
            tried.connect(candidate[4])
            return candidate
    return found[-1]
