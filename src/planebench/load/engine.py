"""The parent's side of the load engine: starts its process and speaks with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from planebench.load.protocol import (
    Authorize,
    Command,
    Execute,
    Executed,
    Failed,
    Health,
    PhaseFile,
    Prepare,
    Prepared,
    Ready,
    Refused,
    Report,
    Start,
    Stop,
    Synced,
    Unauthorized,
    Watch,
    decode_message,
    encode,
    phase_file,
    write_phase,
)
from planebench.model import Access, ComponentError, LoadPhase, PlanebenchError, Progress, UsageError, WatchSpec

RAW_FOLDER: Final = Path("raw", "engine")
LOGS: Final = Path("logs")
NAME: Final = "load-engine"
_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 5.0
_LOG_TAIL_LINES: Final = 10
_ANSWER_S: Final = 0.8
_FEWEST_CONNECTIONS: Final = 64
_MOST_CONNECTIONS: Final = 256


def connections_for(rate_per_s: float) -> int:
    """How many connections a load wants: as many as are busy where answers take 0.8 s (Little's law).

    More would be opened when they are needed; but a handshake costs more than a request, and comes late.
    """
    return min(max(round(rate_per_s * _ANSWER_S), _FEWEST_CONNECTIONS), _MOST_CONNECTIONS)


class EngineError(ComponentError):
    """The load engine could not start, or ended unasked."""

    def __init__(self, message: str, *, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__(message, component="load-engine", log_tail=log_tail)


class Engine:
    """A running load engine. Made by :meth:`start`."""

    def __init__(
        self,
        name: str,
        process: Process,
        folder: Path,
        log: Path,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.name = name
        self.progress = Progress(t_ns=0)
        """The newest report."""
        self.on_progress = on_progress
        """Called with every report."""
        self.on_unauthorized: Callable[[], None] = lambda: None
        """Called when the API server no longer takes the credentials; :meth:`authorize` gives it others."""
        self.health: dict[str, Any] | None = None
        """How well the engine worked; known once it has stopped."""
        self._process = process
        self._stdin = cast(asyncio.StreamWriter, process.stdin)
        self._stdout = cast(asyncio.StreamReader, process.stdout)
        self.folder = folder
        """Where it writes its records."""
        self._log = log
        self._phases = 0
        self._news = asyncio.Condition()
        self._ready = False
        self._prepared = -1
        self._begun = 0
        self._executed = 0
        self._synced: dict[str, int] = {}
        self._refused: dict[str, PlanebenchError] = {}
        self._failure: PlanebenchError | None = None
        self._ended = False
        self._stopping = False
        self._reader = asyncio.create_task(self._read(), name="load engine's reports")

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        access: Access,
        out: Path,
        t0_ns: int,
        *,
        name: str = "",
        connections: int = 64,
        max_connections: int = 768,
        user_agent: str = "planebench-load",
        audit_id: str = "",
        on_progress: Callable[[Progress], None] | None = None,
    ) -> AsyncIterator[Engine]:
        """Start an engine and open its connections; stop it at the end, killed if it must be.

        Args:
            access: the API server, and the user that sends the load.
            out: the run's folder; the engine writes ``raw/engine`` and ``logs/load-engine.log`` in it.
            t0_ns: ``time.monotonic_ns()`` at the trial's start.
            name: of one of several engines in one run: it writes ``raw/engine/NAME`` and ``logs/NAME.log``.
            connections: how many are opened beforehand; see :func:`connections_for`.
            max_connections: how many at most, where all are busy.
            user_agent: as the API server's audit log and metrics shall name the load.
            audit_id: requests name themselves ``ID-PHASE-OPERATION`` in the audit log; empty: they do not.
            on_progress: called with every report, about five times a second while something changes.

        Raises:
            EngineError: the API server cannot be reached, or the process did not start.
        """
        folder = out / RAW_FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        log = out / LOGS / f"{name or NAME}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "planebench.load",
                stdin=PIPE,
                stdout=PIPE,
                stderr=stderr,
                limit=1 << 22,
                start_new_session=True,  # Ctrl-C is for the parent to decide
            )
        engine = cls(name or NAME, process, folder, log, on_progress)
        try:
            await engine._command(
                Start(
                    access,
                    str(folder.resolve()),
                    t0_ns,
                    connections,
                    max(connections, max_connections),
                    user_agent,
                    os.getpid(),
                    audit_id,
                )
            )
            await engine._wait(lambda: engine._ready, _START_TIMEOUT_S, "open its connections")
            yield engine
        finally:
            await engine._shut()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def processes(self) -> Mapping[str, int]:
        """Name -> process id."""
        return {self.name: self.pid}

    async def watch(self, spec: WatchSpec) -> int:
        """Watch a resource from now on.

        Returns:
            How many objects there were already, once they are listed and the watch is open.

        Raises:
            UsageError: a field path of the spec is malformed.
            EngineError: the API server refuses the watch, in its own words.
        """
        await self._command(Watch(spec))
        await self._wait(
            lambda: spec.name in self._synced or spec.name in self._refused, None, f"watch {spec.name}"
        )
        refusal = self._refused.pop(spec.name, None)
        if refusal is not None:
            raise refusal
        return self._synced[spec.name]

    async def authorize(self, access: Access) -> None:
        """Use the credentials of ``access`` from now on. Raises EngineError where the engine has ended."""
        await self._command(Authorize(access))

    async def execute(self, phase: LoadPhase) -> Progress:
        """Execute a phase.

        Returns:
            The report at its end: every operation was answered, or failed for good.

        Raises:
            EngineError: the engine broke.
        """
        number = self._phases
        await self.prepare(number, await asyncio.to_thread(phase_file, phase))
        return await self.send(number)

    async def prepare(self, number: int, plan: PhaseFile) -> None:
        """Let the engine read a phase, or its share of one, for :meth:`send`; ``number`` is new to the engine.

        Raises:
            EngineError: the engine broke, or another phase has not ended.
        """
        if self._executed < self._begun:
            raise EngineError(f"cannot execute {plan.name}: another phase has not ended")
        self._phases, self._prepared = number + 1, -1
        await asyncio.to_thread(write_phase, self.folder, number, plan)
        await self._command(Prepare(number))
        await self._wait(lambda: self._prepared == number, None, f"prepare {plan.name}")

    async def send(self, number: int, start_ns: int = -1) -> Progress:
        """Execute the phase that was prepared, otherwise as :meth:`execute`.

        Args:
            start_ns: on the trial's clock, what due times count from; -1: as soon as the first can be on time.
        """
        self._begun += 1
        await self._command(Execute(number, start_ns))
        await self._wait(lambda: self._executed == self._begun, None, f"execute phase {number}")
        return self.progress

    def next_phase(self) -> int:
        """A number for a phase that other engines execute."""
        self._phases += 1
        return self._phases - 1

    @property
    def failure(self) -> PlanebenchError | None:
        """Why the engine is of no more use; None: it is."""
        return self._failure

    async def until(self, predicate: Callable[[Progress], bool], timeout_s: float) -> bool:
        """Wait until a report fulfils the predicate; False where none does in time.

        Raises:
            EngineError: the engine broke.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait(lambda: predicate(self.progress), None, "report")
        except TimeoutError:
            return False
        return True

    async def stop(self) -> dict[str, Any]:
        """Write everything to disk and end the process.

        Returns:
            The engine's health; empty where it had to be killed.
        """
        if not self._stopping:
            self._stopping = True
            with contextlib.suppress(EngineError):
                await self._command(Stop())
            self._stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._process.wait()
                await self._reader
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        return self.health or {}

    async def _shut(self) -> None:
        """Stop, also while being cancelled: the process must not outlive us."""
        stopping = asyncio.ensure_future(self.stop())
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            if not stopping.done():
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            raise
        finally:
            if not stopping.done():
                await asyncio.wait([stopping])
            self._reader.cancel()

    async def _command(self, command: Command) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended or (self._stopping and not isinstance(command, Stop)):
            raise EngineError("the load engine has been stopped")
        try:
            self._stdin.write(encode(command))
            await self._stdin.drain()
        except (ConnectionError, RuntimeError):
            await self._wait(lambda: self._ended, _STOP_TIMEOUT_S, "take a command")

    async def _wait(self, done: Callable[[], bool], timeout_s: float | None, what: str) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._news:
                while not done():
                    if self._failure is not None:
                        raise self._failure
                    await self._news.wait()
        except TimeoutError:
            if timeout_s is None:
                raise
            raise EngineError(f"the load engine did not {what} within {timeout_s:g} s") from None

    async def _read(self) -> None:
        while line := await self._stdout.readline():
            try:
                self._take(decode_message(line))
            except Exception as error:  # whoever waits for a report must hear of it, and go on reading the rest
                self._failure = self._failure or EngineError(
                    f"a report of the load engine cannot be taken: {type(error).__name__}: {error}"
                )
            async with self._news:
                self._news.notify_all()
        code = await self._process.wait()
        self._ended = True
        if self._failure is None and not (self._stopping and code == 0):
            self._failure = EngineError(
                f"the load engine ended unasked (exit code {code}): see {self._log}",
                log_tail=self._log_tail(),
            )
        async with self._news:
            self._news.notify_all()

    def _take(self, message: Any) -> None:
        if isinstance(message, Report | Executed):
            self.progress = message.progress
            if self.on_progress is not None:
                self.on_progress(self.progress)
        if isinstance(message, Executed):
            self._executed += 1
        elif isinstance(message, Prepared):
            self._prepared = message.phase
        elif isinstance(message, Synced):
            self._synced[message.watch] = message.objects
        elif isinstance(message, Ready):
            self._ready = True
        elif isinstance(message, Unauthorized):
            self.on_unauthorized()
        elif isinstance(message, Health):
            self.health = message.health
        elif isinstance(message, Refused):
            text = f"watch {message.watch}: {message.message}"
            self._refused[message.watch] = UsageError(text) if message.usage else EngineError(text)
        elif isinstance(message, Failed):
            self._failure = EngineError(message.message, log_tail=self._log_tail())

    def _log_tail(self) -> tuple[str, ...]:
        lines = self._log.read_text(errors="replace").splitlines()
        return tuple(lines[-_LOG_TAIL_LINES:])
