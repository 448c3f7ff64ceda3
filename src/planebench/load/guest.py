"""An engine on another machine: what a Dask worker holds for a run, and what it says.

It is a Dask actor: its methods run on the worker's event loop, each answers soon, and the run asks again for what
goes on. What the engine writes is handed over as it grows: a worker that is lost takes along what it had not told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from planebench import __version__
from planebench.kube.private import write_private
from planebench.load.engine import Engine
from planebench.load.protocol import PhaseFile
from planebench.model import Access, PlanebenchError, Progress

LEASE_S: Final = 30.0
"""An engine that nobody asks for so long has lost its run: it ends."""
MOST_BYTES: Final = 4 << 20
"""Of a file in one answer."""
_FILES: Final = ("layout.json", "requests.bin", "strings.jsonl")
"""In this order: a row's strings are written before it."""
_ACCESS: Final = "access"


@dataclass(frozen=True, slots=True)
class Luggage:
    """An :class:`Access` on its way: files by their contents."""

    access: Access
    """Without files."""
    ca: bytes | None = field(repr=False)
    certificate: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)

    @classmethod
    def pack(cls, access: Access) -> Luggage:
        identity = access.identity
        return cls(
            replace(access, ca=None, identity=identity and replace(identity, certificate=Path(), key=Path())),
            access.ca.read_bytes() if access.ca else None,
            identity.certificate.read_bytes() if identity else None,
            identity.key.read_bytes() if identity else None,
        )

    def unpack(self, folder: Path) -> Access:
        """The access again, its files in a folder that is its own."""
        paths = {}
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, content in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            if content is not None:
                paths[name] = write_private(folder / f"{name}.pem", content)
        identity = self.access.identity
        if identity is not None:
            identity = replace(identity, certificate=paths["certificate"], key=paths["key"])
        return replace(self.access, ca=paths.get("ca"), identity=identity)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a worker is."""

    version: str
    host: str
    clock: str
    """The same in processes that share a monotonic clock."""


@dataclass(frozen=True, slots=True)
class News:
    """What a worker's engine has done and written since it was asked last."""

    progress: Progress
    executed: int
    """Number of phases."""
    failure: str
    """Why it is of no more use; empty: it is."""
    unauthorized: bool
    files: Mapping[str, bytes]
    """What came to each file."""


class Guest:
    """An engine on a Dask worker."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._stack = contextlib.AsyncExitStack()
        self._folder = Path()
        self._sending: asyncio.Task[Progress] | None = None
        self._executed = 0
        self._unauthorized = False
        self._failure = ""
        self._lease: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    async def hello(self) -> Hello:
        return Hello(__version__, socket.gethostname(), clock_id())

    async def clock_ns(self) -> int:
        """The worker's monotonic clock."""
        return time.monotonic_ns()

    async def start(self, name: str, luggage: Luggage, t0_ns: int, connections: int, audit_id: str) -> None:
        """Start the engine; ``t0_ns`` is the trial's start on this machine's clock.

        Raises:
            PlanebenchError: it cannot reach the API server, or did not start.
        """
        from distributed import get_worker  # an extra, and on a worker for certain

        # Dask removes the folder of a worker that was killed when it starts the next one.
        self._folder = Path(tempfile.mkdtemp(prefix="planebench-", dir=get_worker().local_directory))
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._renew()
        try:
            self._engine = await self._stack.enter_async_context(
                Engine.start(
                    luggage.unpack(self._folder / _ACCESS),
                    self._folder,
                    t0_ns,
                    name=name,
                    connections=connections,
                    audit_id=audit_id,
                )
            )
        except BaseException:
            await self.end()
            raise
        self._engine.on_unauthorized = self._refused

    async def authorize(self, luggage: Luggage) -> None:
        await self._running().authorize(luggage.unpack(self._folder / _ACCESS))

    async def prepare(self, number: int, plan: PhaseFile) -> None:
        await self._running().prepare(number, plan)

    async def begin(self, number: int, start_ns: int) -> None:
        """Send what was prepared; :meth:`news` tells when that is done."""
        self._sending = asyncio.create_task(self._running().send(number, start_ns))
        self._sending.add_done_callback(self._sent)

    async def news(self, known: Mapping[str, int]) -> News:
        """What is new to somebody who has so many bytes of each file."""
        engine = self._running()
        return News(
            engine.progress,
            self._executed,
            self._failure or str(engine.failure or ""),
            self._was_unauthorized(),
            {name: _tail(engine.folder / name, known.get(name, 0)) for name in _FILES},
        )

    async def stop(self) -> dict[str, Any]:
        """Stop the engine, its files whole; returns its health."""
        return await self._running().stop()

    async def end(self) -> None:
        """Remove everything."""
        if self._lease is not None:
            self._lease.cancel()
        self._engine = None
        await self._stack.aclose()

    def _running(self) -> Engine:
        if self._engine is None:
            raise PlanebenchError(f"the run did not ask for {LEASE_S:g} s: its load process has ended")
        self._renew()
        return self._engine

    def _renew(self) -> None:
        if self._lease is not None:
            self._lease.cancel()
        self._lease = asyncio.get_running_loop().call_later(LEASE_S, self._expire)

    def _expire(self) -> None:
        self._ending = asyncio.get_running_loop().create_task(self.end())

    def _sent(self, sending: asyncio.Task[Progress]) -> None:
        if sending.cancelled():
            return
        if (error := sending.exception()) is not None:
            self._failure = self._failure or str(error)
        else:
            self._executed += 1

    def _refused(self) -> None:
        self._unauthorized = True

    def _was_unauthorized(self) -> bool:
        told, self._unauthorized = self._unauthorized, False
        return told


def clock_id() -> str:
    """Processes for which this is the same read the same monotonic clock: one boot, one time namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/time').readlink()}"
    except OSError:
        return f"unknown {socket.gethostname()} {os.getpid()}"


def _tail(path: Path, known: int) -> bytes:
    with path.open("rb") as file:
        file.seek(known)
        return file.read(MOST_BYTES)
