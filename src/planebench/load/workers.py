"""Senders on the workers of a Dask scheduler: an existing engine starts processes on machines, we use it.

Each worker holds a :class:`planebench.load.guest.Guest`. Requests are stamped by the worker's own monotonic clock:
a response time never spans two clocks. What that clock has to do with ours, an exchange of pings tells, and how
far that may be wrong goes into the certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from planebench import __version__
from planebench.load.engine import RAW_FOLDER, EngineError
from planebench.load.guest import Guest, Luggage, News, clock_id
from planebench.load.protocol import PhaseFile
from planebench.model import Access, PlanebenchError, Progress, UsageError

LEAD_S: Final = 0.5
"""From the decision to a phase's start: the command goes over the scheduler, and has to be there before."""
_CONNECT_S: Final = 10.0
_START_S: Final = 60.0
_PREPARE_S: Final = 120.0
_ANSWER_S: Final = 10.0
_POLL_S: Final = 0.25
_IDLE_POLL_S: Final = 2.0
_PINGS: Final = 25
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Offset:
    """How far another clock is ahead of ours."""

    offset_ns: int
    bound_ns: int
    """It is wrong by no more than this, whatever the way there and the way back took."""

    @classmethod
    def of(cls, sent_ns: int, told_ns: int, received_ns: int) -> Offset:
        """From one ping: the clock was read between sending and receiving (Cristian 1989, Probabilistic clock
        synchronization: half of the round trip bounds the error)."""
        return cls(told_ns - (sent_ns + received_ns) // 2, (received_ns - sent_ns + 1) // 2)

    def since(self, before: Offset) -> int:
        """How far an offset that was taken before may be wrong by now, in ns: the clocks have drifted since."""
        return max(before.bound_ns, abs(self.offset_ns - before.offset_ns) + self.bound_ns)


class Worker:
    """A sender on a Dask worker; a :class:`planebench.load.spread.Sender`."""

    def __init__(self, address: str, guest: Any, folder: Path, t0_ns: int) -> None:
        self.name = address
        self.progress = Progress(t_ns=0)
        self.on_unauthorized: Callable[[], None] = lambda: None
        self.failure: PlanebenchError | None = None
        self._guest = guest
        self._folder = folder
        self._t0_ns = t0_ns
        self._known: dict[str, int] = {}
        self._begun = 0
        self._executed = 0
        self._host = ""
        self._health: dict[str, Any] = {}
        self._one_clock = False
        self._offset = Offset(0, 0)
        self._news = asyncio.Condition()
        self._busy = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    async def start(self, access: Access, connections: int, audit_id: str) -> None:
        """Start the engine there.

        Raises:
            UsageError: the worker has another planebench.
            EngineError: it does not answer, or cannot reach the API server.
        """
        hello = await self._ask("hello")
        if hello.version != __version__:
            raise UsageError(
                f"--workers: {self.name} has planebench {hello.version}, this is {__version__}; install that there"
            )
        self._host = hello.host
        self._one_clock = hello.clock == clock_id()
        self._offset = await self._compare_clocks()
        self._folder.mkdir(parents=True)
        await self._ask(
            "start",
            self._folder.name,
            Luggage.pack(access),
            self._t0_ns + self._offset.offset_ns,
            connections,
            audit_id,
            timeout_s=_START_S,
        )
        self._polling = asyncio.create_task(self._poll(), name=f"news of {self.name}")

    async def authorize(self, access: Access) -> None:
        await self._ask("authorize", Luggage.pack(access))

    async def prepare(self, number: int, plan: PhaseFile) -> None:
        await self._ask("prepare", number, plan, timeout_s=_PREPARE_S)

    async def send(self, number: int, start_ns: int) -> Progress:
        self._begun += 1
        await self._ask("begin", number, start_ns)
        self._busy.set()
        try:
            async with self._news:
                await self._news.wait_for(lambda: self._executed == self._begun or self.failure is not None)
        finally:
            self._busy.clear()
        if self.failure is not None:
            raise self.failure
        return self.progress

    async def stop(self) -> dict[str, Any]:
        """Stop the engine there, and bring home what it has written."""
        if not self._health:
            if self._polling is not None:
                self._polling.cancel()
                await asyncio.wait([self._polling])
            self._health = {"host": self._host}
            if self.failure is None:
                try:
                    self._health |= await self._last_news()
                except PlanebenchError as error:
                    self.failure = error
        return self._health

    async def _last_news(self) -> dict[str, Any]:
        health: dict[str, Any] = await self._ask("stop")
        while any((await self._take()).files.values()):
            pass
        clock = self._clock(await self._compare_clocks())
        await self._ask("end")
        return {**health, "clock": clock}

    def _clock(self, later: Offset) -> dict[str, Any]:
        """What is known of the worker's clock, in milliseconds."""
        if self._one_clock:
            return {"shared": True, "error_ms": 0.0}
        return {
            "shared": False,
            "offset_ms": round(self._offset.offset_ns / 1e6, 4),
            "error_ms": round(later.since(self._offset) / 1e6, 4),
            "drift_ms": round((later.offset_ns - self._offset.offset_ns) / 1e6, 4),
        }

    async def _compare_clocks(self) -> Offset:
        """The best of several pings; nothing to find out where both read one clock."""
        if self._one_clock:
            return Offset(0, 0)
        found = []
        for _ in range(_PINGS):
            sent_ns = time.monotonic_ns()
            told_ns = await self._ask("clock_ns")
            found.append(Offset.of(sent_ns, told_ns, time.monotonic_ns()))
        return min(found, key=lambda offset: offset.bound_ns)

    async def _poll(self) -> None:
        """Ask for news until it cannot be had any more."""
        try:
            while not (news := await self._take()).failure:
                self.progress, self._executed = news.progress, news.executed
                async with self._news:
                    self._news.notify_all()
                if news.unauthorized:
                    self.on_unauthorized()
                if self._busy.is_set():
                    await asyncio.sleep(_POLL_S)
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._busy.wait(), _IDLE_POLL_S)
            self.progress = news.progress
            self.failure = EngineError(news.failure)
        except PlanebenchError as error:
            self.failure = error
        async with self._news:
            self._news.notify_all()

    async def _take(self) -> News:
        """The newest report, and what was written since the last one, on our disk."""
        news: News = await self._ask("news", self._known)
        for name, content in news.files.items():
            with (self._folder / name).open("ab") as file:
                file.write(content)
            self._known[name] = self._known.get(name, 0) + len(content)
        return news

    async def _ask(self, method: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """Call a method there. Raises EngineError with what it raises, or where there is no answer in time."""
        timeout_s = timeout_s or _ANSWER_S
        try:
            return await asyncio.wait_for(_answer(getattr(self._guest, method)(*arguments)), timeout_s)
        except PlanebenchError as error:
            raise EngineError(f"{self.name}: {error}") from None
        except TimeoutError:
            raise EngineError(f"{self.name}: no answer within {timeout_s:g} s") from None
        except Exception as error:  # of Dask, or of the way there: whatever it is, the worker is of no use
            raise EngineError(f"{self.name}: {type(error).__name__}: {error}") from None


async def _answer(asked: Awaitable[_T]) -> _T:
    return await asked


@contextlib.asynccontextmanager
async def workers(
    scheduler: str,
    access: Access,
    out: Path,
    t0_ns: int,
    *,
    api_host: str = "",
    connections: Callable[[int], int],
    audit_id: str = "",
) -> AsyncIterator[list[Worker]]:
    """A sender on every worker of a Dask scheduler.

    Args:
        scheduler: its address, for instance ``tcp://10.0.0.1:8786``; of a ``tls://`` one, Dask's configuration
            names the certificates.
        access: the API server, and the user that sends the load.
        out: the run's folder; workers' records come into ``raw/engine/worker-N``.
        t0_ns: ``time.monotonic_ns()`` at the trial's start.
        api_host: by which name workers reach the API server; empty: by the same as we.
        connections: how many each of so many workers opens beforehand.
        audit_id: see :meth:`planebench.load.Engine.start`.

    Raises:
        UsageError: Dask is not installed, no scheduler answers, it has no workers, or they lack this planebench.
        EngineError: a worker cannot reach the API server.
    """
    if api_host:
        access = replace(access, host=api_host, server_name=access.server_name or access.host)
    async with contextlib.AsyncExitStack() as stack:
        client = await _connect(scheduler)
        stack.push_async_callback(client.close)
        addresses = sorted(await client.run(os.getpid))  # something that every worker can do
        if not addresses:
            raise UsageError(f"--workers {scheduler}: the scheduler has no workers; see docs/many-machines.md")
        found = []
        for number, address in enumerate(addresses, 1):
            guest = await _place(client, address)
            found.append(Worker(address, guest, out / RAW_FOLDER / f"worker-{number}", t0_ns))
        try:
            await asyncio.gather(*(worker.start(access, connections(len(found)), audit_id) for worker in found))
            yield found
        finally:
            await asyncio.gather(*(worker.stop() for worker in found), return_exceptions=True)


async def _connect(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--workers: needs Dask: pip install 'planebench[dask]'") from None
    try:
        return await Client(scheduler, asynchronous=True, timeout=_CONNECT_S)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"--workers {scheduler}: no Dask scheduler answers: {reason}") from None


async def _place(client: Any, address: str) -> Any:
    """A guest on this worker and no other."""
    placed = client.submit(Guest, actor=True, workers=[address], allow_other_workers=False, pure=False)
    try:
        return await asyncio.wait_for(_answer(placed), _START_S)
    except TimeoutError:
        raise UsageError(f"--workers: {address} does not take anything within {_START_S:g} s") from None
    except Exception as error:
        raise UsageError(
            f"--workers: {address} cannot hold a load process; is planebench[dask] installed there? "
            f"{type(error).__name__}: {error}"
        ) from None
