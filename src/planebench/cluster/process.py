"""Processes that never outlive their starter, and whose end never goes unnoticed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from planebench import units
from planebench.cluster.pki import write_secret
from planebench.components.process import ProcessSpec
from planebench.kube.probe import Prober
from planebench.model import ComponentError, ComponentProcess, RestartRecord

_PROBE_PERIOD_S = 0.015
_BACK_OFF_S, _LONGEST_BACK_OFF_S = 10.0, 300.0
"""A kubelet's, between restarts of what ends by itself; the first one comes at once.
Source: kubernetes v1.37.2, pkg/kubelet/kubelet.go (initialCrashLoopBackOff, MaxCrashLoopBackOff)."""
_TAIL_LINES = 10
_TAIL_BYTES = 16 * 1024
_LINE_CHARACTERS = 400
_LITTLE_BYTES = 64 << 20
"""What etcd sets aside for a segment of its log (go.etcd.io/etcd v3.7.3, wal.SegmentSizeBytes)."""

# PR_SET_PDEATHSIG (1) is set in a program of its own: Python code between fork and exec is not safe where there
# are threads. A starter that is gone before the signal is set is seen by getppid.
# A host name of its own takes a UTS namespace (CLONE_NEWUTS, 0x04000000), which only root may make; others make a
# user namespace along with it (CLONE_NEWUSER, 0x10000000), in which they stay who they are. A new user namespace
# takes PR_SET_PDEATHSIG away, so that comes last.
_SHIM = """\
import ctypes, os, sys
parent, hostname, *argv = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
if hostname:
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(0x04000000):
        if libc.unshare(0x14000000): sys.exit(f"no host name of its own: {os.strerror(ctypes.get_errno())}")
        for name, line in ("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"):
            with open(f"/proc/self/{name}", "w") as file: file.write(line)
    name = hostname.encode()
    if libc.sethostname(name, len(name)): sys.exit(f"no host name of its own: {os.strerror(ctypes.get_errno())}")
libc.prctl(1, 9, 0, 0, 0)
if os.getppid() != int(parent): sys.exit(1)
try: os.execv(argv[0], argv)
except OSError as error: sys.exit(f"{argv[0]}: {error.strerror}")
"""


def no_hostnames() -> str:
    """Why processes cannot have host names of their own here; empty: they can."""
    tried = subprocess.run(
        [*_shim("planebench"), "/bin/true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return tried.stderr.strip()


def _shim(hostname: str = "") -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), hostname]


class Running:
    """A process that was started."""

    def __init__(
        self, spec: ProcessSpec, binary: Path, process: subprocess.Popen[bytes], record: ComponentProcess
    ) -> None:
        self.spec = spec
        self.binary = binary
        self.record = record
        self.exited = asyncio.Event()
        self.ended_ns = -1
        """When its end was noticed, monotonic."""
        self.expected = False
        """Its end was asked for."""
        self.paused = False
        self._process = process
        self._pidfd = os.pidfd_open(process.pid)
        self._loop = asyncio.get_running_loop()

    def on_exit(self, callback: Callable[[Running], None]) -> None:
        def ended() -> None:
            self.reap()
            callback(self)

        self._loop.add_reader(self._pidfd, ended)

    def reap(self) -> None:
        """Wait for its end. It must have been killed, or have ended on its own."""
        self._process.wait()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
            self.ended_ns = time.monotonic_ns()
        self.exited.set()

    def send(self, number: signal.Signals) -> None:
        if not self.exited.is_set():
            self.expected = True
            self._process.send_signal(number)

    def pause(self) -> None:
        """Let it do nothing until :meth:`resume`; its connections stay."""
        if not self.exited.is_set():
            self.paused = True
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.paused and not self.exited.is_set():
            self._process.send_signal(signal.SIGCONT)
        self.paused = False

    def how_it_ended(self) -> str:
        code = self._process.returncode
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def _full_disk(folder: Path, lines: Sequence[str]) -> str:
    """Words for a component that could not write; empty where that is not it."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes >= _LITTLE_BYTES and not any("no space left on device" in line for line in lines):
        return ""
    return f"the disk of {folder.parent} is full ({units.format_bytes(free_bytes)} free): free some space"


class Supervisor:
    """Starts processes, notices when one ends unasked, and ends them all.

    Use it from the thread that runs the event loop: Linux ties a process's fate to the *thread* that started it.
    """

    def __init__(self, logs: Path, home: Path, t0_ns: int) -> None:
        self.logs = logs
        self._home = home
        self._t0_ns = t0_ns
        self._running: dict[str, Running] = {}
        self.waiting: dict[str, str] = {}
        """Process that is not ready -> what its probe was answered last."""
        self.failure: ComponentError | None = None
        """Set when a process ended unasked; only the first one counts."""
        self.failed = asyncio.Event()
        self.on_failure: Callable[[], object] = lambda: None
        self.reviving = False
        """What ends unasked is started anew, as a kubelet does, and is no failure."""
        self.on_restart: Callable[[RestartRecord], object] = lambda _: None
        self._back_off_s: dict[str, float] = {}
        self._revivals: list[asyncio.TimerHandle] = []

    @property
    def processes(self) -> list[ComponentProcess]:
        return [running.record for running in self._running.values()]

    @property
    def answering(self) -> list[ComponentProcess]:
        """Those that have not ended and are not paused."""
        alive = (running for running in self._running.values() if not running.exited.is_set())
        return [running.record for running in alive if not running.paused]

    def named(self, name: str) -> Running:
        """The process of that name, as it was started last."""
        return self._running[name]

    def start(self, spec: ProcessSpec, binary: Path) -> Running:
        """Start it; its output goes to its own log. Raises ComponentError where the binary cannot be run."""
        if not os.access(binary, os.X_OK):
            raise ComponentError(f"{spec.name}: {binary} is no executable file", component=spec.name)
        for file, content in spec.files.items():
            write_secret(file, content.encode())
        return self._launch(spec, binary)

    def again(self, name: str, *, asked: bool = True) -> Running:
        """Start a process that has ended anew, as it was started before."""
        before = self._running[name]
        running = self._launch(before.spec, before.binary)
        self.on_restart(
            RestartRecord(
                process=name,
                component=before.spec.component,
                ended_ns=before.ended_ns - self._t0_ns,
                started_ns=running.record.started_ns,
                how=before.how_it_ended(),
                asked=asked,
            )
        )
        return running

    def _launch(self, spec: ProcessSpec, binary: Path) -> Running:
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{spec.name}.log"
        argv = (str(binary), *spec.arguments)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*_shim(spec.hostname), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(spec.environment),
                start_new_session=True,  # a terminal's Ctrl-C is for planebench alone
            )
        record = ComponentProcess(
            name=spec.name,
            component=spec.component,
            role=spec.role,
            pid=process.pid,
            argv=argv,
            log=log,
            metrics=spec.metrics,
            profiler=spec.profiler,
            started_ns=time.monotonic_ns() - self._t0_ns,
        )
        running = Running(spec, binary, process, record)
        self._running[spec.name] = running
        running.on_exit(self._ended)
        return running

    async def wait_ready(self, running: Running, *, again: bool = False) -> None:
        """Wait until its probe succeeds: the one for restarts, where it has been started ``again``.

        Raises ComponentError as soon as any process ends unasked.
        """
        probe = running.spec.again or running.spec.ready if again else running.spec.ready
        async with Prober(probe.endpoint, probe.contains) as prober:
            while not await prober.ready():
                if self.failure is not None:
                    raise self.failure
                self.waiting[running.spec.name] = prober.answer
                await asyncio.sleep(_PROBE_PERIOD_S)
        self.waiting.pop(running.spec.name, None)

    async def end(self, name: str, number: signal.Signals, grace_s: float) -> None:
        """End a process that is to be started again; it is killed where it takes longer than ``grace_s``."""
        running = self._running[name]
        running.send(number)
        try:
            async with asyncio.timeout(grace_s):
                await running.exited.wait()
        except TimeoutError:
            running.send(signal.SIGKILL)
            await running.exited.wait()

    async def stop(self, names: Sequence[str], grace_s: float) -> None:
        """End processes by SIGTERM; those that take longer than ``grace_s`` are killed."""
        chosen = [self._running.pop(name) for name in names if name in self._running]
        try:
            for running in chosen:
                running.send(signal.SIGTERM)
            async with asyncio.timeout(grace_s):
                for running in chosen:
                    await running.exited.wait()
        except TimeoutError:
            pass
        finally:
            _kill(chosen)

    def kill(self) -> None:
        """End all at once, and wait for it: this returns when nothing is left, and cannot be cancelled."""
        for revival in self._revivals:
            revival.cancel()
        _kill(list(self._running.values()))
        self._running.clear()

    def _ended(self, running: Running) -> None:
        if running.expected or self.failure is not None:
            return
        if self.reviving:
            self._revive_later(running)
            return
        lines = tail(running.record.log)
        message = f"{running.spec.name} {running.how_it_ended()}"
        if any("address already in use" in line for line in lines):
            message += ": another program has taken its port in the meantime; start again"
        elif full := _full_disk(self.logs, lines):
            message += f": {full}"
        else:
            message += f"; its log: {running.record.log}"
        self.failure = ComponentError(message, component=running.spec.name, log_tail=lines)
        self.failed.set()
        self.on_failure()

    def _revive_later(self, running: Running) -> None:
        name = running.spec.name
        wait_s = self._back_off_s.get(name, 0.0)
        self._back_off_s[name] = min(max(2 * wait_s, _BACK_OFF_S), _LONGEST_BACK_OFF_S)
        loop = asyncio.get_running_loop()
        self._revivals.append(loop.call_later(wait_s, self._revive, running))

    def _revive(self, running: Running) -> None:
        if self._running.get(running.spec.name) is running:
            self.again(running.spec.name, asked=False)

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        # Nothing of the user's: ETCD_* are flags of etcd, GOGC and GOMAXPROCS change what is measured, and KWOK
        # reads a configuration from the home folder. Temporary files (KubeVirt's certificates) end with it.
        home = str(self._home)
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": home, **extra}


def tail(log: Path, lines: int = _TAIL_LINES) -> list[str]:
    """The last lines of a log, shortened."""
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = stream.read().decode(errors="replace")
    return [line[:_LINE_CHARACTERS] for line in text.splitlines() if line.strip()][-lines:]


def _kill(processes: Sequence[Running]) -> None:
    for running in processes:
        running.send(signal.SIGKILL)
    for running in processes:
        running.reap()
