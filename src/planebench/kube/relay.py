"""A way through a proxy for programs that know none, or not every kind: a port of the loopback that leads there.

Of the set-up client: aiohttp takes an https proxy's certificate for one of the cluster's authority, and no SOCKS.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Final

from planebench.kube import proxy
from planebench.model import Access

_HOST: Final = "127.0.0.1"
_PIECE_BYTES: Final = 64 * 1024
_PATIENCE_S: Final = 30.0


class Relay:
    """An open one. Made by :func:`relay`."""

    def __init__(self, access: Access) -> None:
        self.url = ""
        """Where it leads from, without a path."""
        self.complaint = ""
        """What the proxy said against the last connection; empty: nothing."""
        self._access = access
        self._proxy = proxy.split(access.proxy)
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                far_reader, far_writer = await self._through()
        except (OSError, proxy.ProxyError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            self.complaint = f"proxy: {error or type(error).__name__}".replace("proxy: the proxy", "the proxy")
        else:
            self.complaint = ""
            self._open.add(far_writer)
            await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
            self._open.discard(far_writer)
        writer.close()
        self._open.discard(writer)

    async def _through(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = proxy.address(self._proxy)
        context = ssl.create_default_context() if self._proxy.scheme == "https" else None
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        dialogue = proxy.dialogue(self._proxy, self._access.host, self._access.port)
        try:
            writer.write(next(dialogue))
            while answer := await reader.read(_PIECE_BYTES):
                writer.write(dialogue.send(answer))
        except StopIteration:
            return reader, writer
        except BaseException:
            writer.close()
            raise
        writer.close()
        raise proxy.ProxyError("the proxy closed the connection")

    def close(self) -> None:
        for writer in self._open:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def relay(access: Access) -> AsyncIterator[Relay]:
    """Open one to an API server behind a proxy; closed, with all its connections, at the end."""
    opened = Relay(access)
    server = await asyncio.start_server(opened.serve, _HOST, 0)
    opened.url = f"{'https' if access.tls else 'http'}://{_HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield opened
    finally:
        server.close()
        opened.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From one side to the other until it ends."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    writer.close()
