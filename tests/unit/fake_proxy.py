"""Proxies as they stand between clients and clusters: HTTP's CONNECT, with TLS or without, and SOCKS 5."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Greeting = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[tuple[str, int] | None]]
USER, PASSWORD = "user", "pass word"


@dataclass
class FakeProxy:
    """Where it listens, and what it was asked for."""

    port: int = 0
    targets: list[tuple[str, int]] = field(default_factory=list)


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int] | None:
    """CONNECT for one user."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, authority, _ = head.split("\r\n", 1)[0].split(" ")
    expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if method != "CONNECT" or f"Proxy-Authorization: Basic {expected}" not in head:
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        return None
    writer.write(b"HTTP/1.1 200 OK\r\nX-Proxy: ")
    await writer.drain()
    await asyncio.sleep(0.01)  # in two parts
    writer.write(b"fake\r\n\r\n")
    host, _, port = authority.rpartition(":")
    return host.strip("[]"), int(port)


async def socks5(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int] | None:
    """SOCKS 5 for one user."""
    _, count = await reader.readexactly(2)
    if 2 not in await reader.readexactly(count):
        writer.write(b"\x05\xff")
        return None
    writer.write(b"\x05\x02")
    _, length = await reader.readexactly(2)
    user = (await reader.readexactly(length)).decode()
    password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    if (user, password) != (USER, PASSWORD):
        writer.write(b"\x01\x01")
        return None
    writer.write(b"\x01\x00")
    _, _, _, kind = await reader.readexactly(4)
    if kind == 1:
        host = ".".join(str(part) for part in await reader.readexactly(4))
    else:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
    return host, port


@contextlib.asynccontextmanager
async def fake_proxy(greeting: Greeting, context: ssl.SSLContext | None = None) -> AsyncIterator[FakeProxy]:
    """Run one on a free port of the loopback."""
    proxy = FakeProxy()
    writers: list[asyncio.StreamWriter] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            target = await greeting(reader, writer)
            if target is None:
                writer.close()
                return
            proxy.targets.append(target)
            server_reader, server_writer = await asyncio.open_connection(*target)
            writers.append(server_writer)
            await asyncio.gather(forward(reader, server_writer), forward(server_reader, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for writer in writers:
            writer.transport.abort()
