"""Processes that are ended, paused and started anew on purpose, and those that end by themselves meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from planebench.cluster import process as supervision
from planebench.cluster.process import Running, Supervisor
from planebench.components.process import Probe, ProcessSpec
from planebench.model import Endpoint, RestartRecord

SHELL = Path("/bin/sh")
SLEEPS = "exec sleep 60"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def spec(name: str, script: str = SLEEPS) -> ProcessSpec:
    return ProcessSpec(name, "sleeper", ("-c", script), Probe(Endpoint("https://127.0.0.1:1/")))


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    found = Supervisor(tmp_path / "logs", tmp_path, time.monotonic_ns())
    yield found
    found.kill()


def status(running: Running) -> str:
    return psutil.Process(running.record.pid).status()


async def until_log(running: Running, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in running.record.log.read_text():  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(0.01)


async def test_what_is_ended_on_purpose_is_no_failure_and_starts_again(supervisor: Supervisor) -> None:
    seen: list[RestartRecord] = []
    supervisor.on_restart = seen.append
    first = supervisor.start(spec("one"), SHELL)
    await supervisor.end("one", signal.SIGKILL, 5)
    assert first.exited.is_set()
    assert supervisor.answering == []
    assert [process.pid for process in supervisor.processes] == [first.record.pid], "it keeps its place"
    again = supervisor.again("one")
    assert again.record.pid != first.record.pid
    assert again.record.log == first.record.log
    assert supervisor.named("one") is again
    assert supervisor.failure is None
    [record] = seen
    assert (record.process, record.component, record.how, record.asked) == (
        "one",
        "sleeper",
        "was killed by SIGKILL",
        True,
    )
    assert 0 < record.ended_ns <= record.started_ns


async def test_what_does_not_end_in_order_is_killed(supervisor: Supervisor) -> None:
    running = supervisor.start(spec("stubborn", STUBBORN), SHELL)
    await until_log(running, "ready")
    await supervisor.end("stubborn", signal.SIGTERM, 0.2)
    assert running.how_it_ended() == "was killed by SIGKILL"


async def test_a_paused_process_keeps_its_place_goes_on_and_can_be_ended(supervisor: Supervisor) -> None:
    running = supervisor.start(spec("one"), SHELL)
    other = supervisor.start(spec("other"), SHELL)
    running.pause()
    async with asyncio.timeout(20):
        while status(running) != psutil.STATUS_STOPPED:  # noqa: ASYNC110 (the kernel does not tell)
            await asyncio.sleep(0.01)
    assert [process.name for process in supervisor.answering] == ["other"]
    running.resume()
    assert status(running) != psutil.STATUS_STOPPED
    running.pause()
    supervisor.kill()
    assert not psutil.pid_exists(running.record.pid) and not psutil.pid_exists(other.record.pid)


async def test_what_ends_by_itself_is_a_failure(supervisor: Supervisor) -> None:
    supervisor.start(spec("other", "exit 4"), SHELL)
    async with asyncio.timeout(20):
        await supervisor.failed.wait()
    assert supervisor.failure is not None
    assert "other ended with exit status 4" in str(supervisor.failure)


async def test_what_ends_by_itself_after_a_fault_is_started_anew(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "_BACK_OFF_S", 0.2)
    seen: list[RestartRecord] = []
    supervisor.on_restart = seen.append
    supervisor.reviving = True
    supervisor.start(spec("short", "exit 3"), SHELL)
    async with asyncio.timeout(20):
        while len(seen) < 2:  # noqa: ASYNC110 (nobody is told but the callback)
            await asyncio.sleep(0.01)
    assert supervisor.failure is None
    assert [(record.how, record.asked) for record in seen[:2]] == [("ended with exit status 3", False)] * 2
    assert seen[1].started_ns - seen[1].ended_ns >= 200_000_000, "the second time it waits"
