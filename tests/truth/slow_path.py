"""Ways to make something slow: a proxy that holds what it is given, and pulses of standstill."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable
from typing import Self

import psutil


class SlowProxy:
    """Passes TCP on to a port of this machine; what comes from the client is held for ``delay_s``.

    A context manager; it runs in a thread of its own.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        """``target`` is asked at the first connection."""
        self.delay_s = 0.0
        self.port = 0
        self.held_s: list[float] = []
        """How long pieces were held that had to be, as this proxy saw it."""
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target())
        except (OSError, AssertionError):
            writer.close()
            return
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                self._copy(reader, there_writer, lambda: self.delay_s),
                self._copy(there_reader, writer, lambda: 0.0),
            )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: Callable[[], float]
    ) -> None:
        """In the order in which it came, each piece after its own delay."""
        pieces: asyncio.Queue[tuple[float, float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                came_s, delay_s, piece = await pieces.get()
                await asyncio.sleep(max(came_s + delay_s - self._loop.time(), 0))
                writer.write(piece)
                if delay_s:
                    self.held_s.append(self._loop.time() - came_s)

        sending = asyncio.create_task(send())
        try:
            while piece := await reader.read(1 << 16):
                pieces.put_nowait((self._loop.time(), delay_s(), piece))
        finally:
            sending.cancel()
            writer.close()


class Pulses:
    """Stops a process again and again, for ``stop_s`` of every ``period_s``."""

    def __init__(self, stop_s: float, period_s: float) -> None:
        self._stop_s, self._run_s = stop_s, period_s - stop_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, process: psutil.Process) -> None:
        self._thread = threading.Thread(target=self._pulse, args=(process,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _pulse(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while not self._ended.wait(self._run_s):
                process.send_signal(signal.SIGSTOP)
                time.sleep(self._stop_s)
                process.send_signal(signal.SIGCONT)
