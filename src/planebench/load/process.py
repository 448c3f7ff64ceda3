"""The engine's process: commands in, reports out, one loop for everything.

It ends within a second when it is told to, when its stdin ends, when its parent is gone, or at SIGTERM; in each
case what it has seen is on disk. SIGINT is for the parent to decide.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import resource
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from planebench.kube.loop import EPOLLIN, Loop
from planebench.kube.peer import Peer
from planebench.load.dispatch import Dispatcher
from planebench.load.protocol import (
    Authorize,
    Command,
    Execute,
    Executed,
    Failed,
    Health,
    Message,
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
    decode_command,
    encode,
)
from planebench.model import PlanebenchError, Progress, UsageError
from planebench.observe import watches
from planebench.observe.records import Records

_PR_SET_PDEATHSIG: Final = 1
_BATCH_NS: Final = 2_000_000
_STRETCH_NS: Final = 3_500_000
_PATIENCE_NS: Final = 40_000_000
_REPORT_S: Final = 0.2
_IDLE_REPORT_NS: Final = 1_000_000_000
_SPILL_S: Final = 1.0
_LEAD_NS: Final = 20_000_000
"""From the command to a phase's start: the first operation has to be on time, too."""
_BUSIEST: Final = 0.9
"""A real-time process that is busier than this gives its priority back: the machine must stay usable."""


class Process:
    """Everything that the engine's process holds."""

    def __init__(self, start: Start, read_commands: _Commands) -> None:
        self.loop = Loop(batch_ns=_BATCH_NS, stretch_ns=_STRETCH_NS, patience_ns=_PATIENCE_NS)
        self.start = start
        self.records = Records(Path(start.folder))
        self.peer = Peer(start.access)
        self.peer.on_unauthorized = lambda: tell(Unauthorized())
        self.watches: dict[str, watches.Watch] = {}
        self.numbers = itertools.count()
        self.plan: PhaseFile | None = None
        """The phase that is prepared."""
        self.policy = _become_real_time()
        self.reported = b""
        self.report_ns = 0
        self.busiest = 0.0
        self.cpu_s = time.process_time()
        self.tick_ns = time.monotonic_ns()
        self.dispatcher = Dispatcher(
            self.loop,
            self.peer,
            self.records,
            t0_ns=start.t0_ns,
            connections=start.connections,
            max_connections=start.max_connections,
            user_agent=start.user_agent,
            audit_id=start.audit_id,
            connected=self.connected,
            unreachable=self.unreachable,
            executed=self.executed,
        )
        self.commands = read_commands
        self.loop.register(0, EPOLLIN, self.read)
        wake, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGTERM, lambda *_: self.loop.stop())
        self.loop.register(wake, EPOLLIN, lambda _: self.loop.stop())
        self.loop.after(_REPORT_S, self.report)
        self.loop.after(_SPILL_S, self.tick)

    # --- commands

    def read(self, _events: int) -> None:
        commands = self.commands.read()
        if commands is None:
            self.loop.stop()
            return
        for command in commands:
            self.obey(command)

    def obey(self, command: Command) -> None:
        if isinstance(command, Stop):
            self.loop.stop()
        elif isinstance(command, Prepare):
            self.prepare(command)
        elif isinstance(command, Execute):
            self.execute(command)
        elif isinstance(command, Watch):
            self.watch(command)
        elif isinstance(command, Authorize):
            self.peer.authorize(command.access)
            self.dispatcher.authorize()

    def prepare(self, command: Prepare) -> None:
        self.dispatcher.release()
        path = self.records.folder / f"phase-{command.phase}.json"
        self.plan = msgspec.json.decode(path.read_bytes(), type=PhaseFile)
        _settle_memory()
        tell(Prepared(command.phase))

    def execute(self, command: Execute) -> None:
        plan = self.plan
        if plan is None:
            raise PlanebenchError(f"phase {command.phase} was not prepared")
        self.plan = None
        t0_ns = self.start.t0_ns
        start_ns = time.monotonic_ns() + _LEAD_NS if command.start_ns < 0 else t0_ns + command.start_ns
        self.records.phase(command.phase, start_ns - t0_ns)
        self.dispatcher.execute(command.phase, plan, start_ns)

    def watch(self, command: Watch) -> None:
        spec = command.spec
        try:
            self.watches[spec.name] = watches.Watch(
                spec,
                self.loop,
                self.peer,
                self.records,
                user_agent=self.start.user_agent,
                t0_ns=self.start.t0_ns,
                numbers=self.numbers,
                synced=lambda objects: self.synced(spec.name, objects),
                refused=lambda message: self.refused(spec.name, message),
                failed=lambda message: tell(Failed(message)),
            )
        except UsageError as error:
            tell(Refused(spec.name, str(error), usage=True))

    # --- the dispatcher's news

    def connected(self) -> None:
        _settle_memory()
        tell(Ready())

    def unreachable(self, reason: str) -> None:
        tell(Failed(f"cannot connect to {self.start.access.url}: {reason}"))
        self.loop.stop()

    def refused(self, watch: str, message: str) -> None:
        del self.watches[watch]
        tell(Refused(watch, message))

    def synced(self, watch: str, objects: int) -> None:
        tell(Report(self.progress()))  # so that whoever waits for the watch finds it in the newest report
        tell(Synced(watch, objects))

    def executed(self) -> None:
        self.records.spill()
        tell(Executed(self.progress()))

    # --- periodic work

    def report(self) -> None:
        """Tell the parent what has changed; at least once a second."""
        self.loop.after(_REPORT_S, self.report)
        progress = self.progress()
        content = msgspec.json.encode(replace(progress, t_ns=0))
        if progress.t_ns - self.report_ns >= _IDLE_REPORT_NS or content != self.reported:
            self.report_ns = progress.t_ns
            self.reported = content
            tell(Report(progress))

    def tick(self) -> None:
        """Once a second: spill, look whether the parent lives and how busy we are."""
        self.loop.after(_SPILL_S, self.tick)
        self.records.spill()
        for histogram in (self.loop.lag, self.dispatcher.lateness, *(w.read_delay for w in self.watches.values())):
            histogram.count()
        now, cpu_s = time.monotonic_ns(), time.process_time()
        busy = (cpu_s - self.cpu_s) / max((now - self.tick_ns) / 1e9, 1e-3)
        self.busiest = max(self.busiest, busy)
        self.cpu_s, self.tick_ns = cpu_s, now
        if busy > _BUSIEST and self.policy == "fifo":
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            self.policy = "fifo, given back: too busy"
        if os.getppid() != self.start.parent:
            self.loop.stop()

    def progress(self) -> Progress:
        dispatcher = self.dispatcher
        phase = dispatcher.phase
        reducers = {name: watch.reducer for name, watch in self.watches.items()}
        return Progress(
            t_ns=time.monotonic_ns() - self.start.t0_ns,
            phase=phase.plan.name if phase else "",
            planned=phase.planned if phase else 0,
            sent=phase.sent if phase else 0,
            answered=phase.answered if phase else 0,
            failed=phase.failed if phase else 0,
            failed_by_verb=dict(phase.failed_by_verb) if phase else {},
            in_flight=dispatcher.in_flight,
            milestones={name: reducer.reached for name, reducer in reducers.items()},
            alive={name: len(reducer.alive) for name, reducer in reducers.items()},
            current={name: reducer.holding for name, reducer in reducers.items()},
            errors=dict(dispatcher.messages.counts),
            response_ms=phase.responses.summary_ms() if phase else {},
        )

    def health(self) -> dict[str, Any]:
        """How well the engine itself has worked."""
        dispatcher = self.dispatcher
        clock = self.loop.clock
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "send_lateness_ms": dispatcher.lateness.summary_ms(),
            "loop_lag_ms": self.loop.lag.summary_ms(),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 4),
            "busiest_second": round(self.busiest, 4),
            "peak_rss_bytes": _peak_rss_bytes(),
            "connections": dispatcher.most_connections,
            "connections_lost": dispatcher.lost_connections,
            "connections_opened": dispatcher.opened_connections,
            "retried_after_connection_loss": dispatcher.retried,
            "retried_as_told": dispatcher.throttled,
            "scheduling": self.policy,
            "kernel_stamps": {"refused": clock.refused, "clock_steps": clock.steps},
            "read_batch_ms": {"usual": _BATCH_NS / 1e6, "longest": _STRETCH_NS / 1e6},
            "watches": {
                name: {
                    "events": watch.events,
                    "gaps": watch.gaps,
                    "read_delay_ms": watch.read_delay.summary_ms(),
                }
                for name, watch in self.watches.items()
            },
        }

    def close(self) -> dict[str, Any]:
        for watch in self.watches.values():
            watch.stop()
        self.dispatcher.stop()
        health = self.health()
        self.records.close()
        (self.records.folder / "health.json").write_bytes(msgspec.json.encode(health))
        return health


class _Commands:
    """Commands from stdin, which is not blocking."""

    def __init__(self) -> None:
        self._pending = b""
        os.set_blocking(0, False)

    def read(self) -> list[Command] | None:
        """What has arrived; None at the end of stdin."""
        try:
            data = os.read(0, 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            return None
        *lines, self._pending = (self._pending + data).split(b"\n")
        return [decode_command(line) for line in lines]


def tell(message: Message) -> None:
    """One line to the parent; a parent that is gone is noticed elsewhere."""
    line = encode(message)
    try:
        while line:
            line = line[os.write(1, line) :]
    except BrokenPipeError:
        pass


def _settle_memory() -> None:
    """Put what lives on beyond the reach of the collector, which stays off: its pauses would be lateness."""
    gc.collect()
    gc.freeze()


def _peak_rss_bytes() -> int:
    """Of this program: ``ru_maxrss`` still counts the parent's memory from before the exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _become_real_time() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (OSError, AttributeError):
        return "other"
    return "fifo"


def main() -> int:
    """Run until told to stop.

    Returns:
        The exit code: 0, or 1 where the engine could not do its work.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    start = decode_command(_first_line())
    if not isinstance(start, Start):
        sys.exit("planebench.load: the first command must be Start")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != start.parent:
        return 1
    try:
        process = Process(start, _Commands())
    except (OSError, PlanebenchError) as error:  # ssl.SSLError is an OSError
        tell(Failed(f"the load engine cannot start: {error}"))
        return 1
    try:
        process.loop.run()
    except Exception as error:
        tell(Failed(f"the load engine broke: {type(error).__name__}: {error}"))
        raise
    finally:
        health = process.close()
    tell(Health(health))
    return 0


def _first_line() -> bytes:
    """The first command, read byte by byte: what follows is for the loop."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line) or sys.exit("planebench.load is started by planebench, not by hand")
