"""Several engines with one schedule, against a server: nothing is sent twice, and who is lost is named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fake_api_server import FakeAPIServer, Request, Script, fake_api_server

from planebench.load import Engine, EngineError
from planebench.load.spread import Spread, combined, merged, spread
from planebench.model import LoadPhase, Operation, Progress, RequestTemplate, Stage
from planebench.results.engine_files import convert

CREATE = RequestTemplate("create", "pods", "POST", "/api/v1/namespaces/__NAMESPACE__/pods", b'{"i":__INDEX__}')


def phase(n: int, name: str = "creation", stage: Stage | None = Stage.CREATION) -> LoadPhase:
    operations = [Operation(i * 1_000_000, 0, i, f"pod-{i:03d}", "load") for i in range(n)]
    return LoadPhase(name, stage, (CREATE,), operations, 20)


class Several:
    def __init__(self, server: FakeAPIServer, load: Spread, senders: list[Engine], out: Path) -> None:
        self.server = server
        self.load = load
        self.senders = senders
        self.out = out


@contextlib.asynccontextmanager
async def several(out: Path, script: Script, senders: int = 2) -> AsyncIterator[Several]:
    t0_ns = time.monotonic_ns()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(fake_api_server(out / "pki", script))
        engines = [
            await stack.enter_async_context(Engine.start(server.access, out, t0_ns, name=name, connections=2))
            for name in ["", *(f"sender-{number}" for number in range(1, senders + 1))]
        ]
        load = await stack.enter_async_context(spread(engines[0], engines[1:], out, t0_ns))
        yield Several(server, load, engines[1:], out)


def requests(out: Path) -> list[dict[str, Any]]:
    convert(out)
    return pl.read_parquet(out / "raw" / "requests.parquet").to_dicts()


def health(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "raw" / "harness.json").read_bytes())
    return found


async def created(request: Request) -> None:
    await request.answer(201, {"kind": "Pod"})


async def test_each_operation_is_sent_once_on_one_schedule(tmp_path: Path) -> None:
    async with several(tmp_path, created) as case:
        prepared = await case.load.execute(phase(5, "namespaces", None))
        assert (prepared.planned, prepared.answered) == (5, 5)
        done = await case.load.execute(phase(40))
        assert (done.phase, done.planned, done.sent, done.answered, done.failed) == ("creation", 40, 40, 40, 0)
        again = await case.load.execute(phase(7, "cleanup", Stage.CLEANUP))
        assert (again.planned, again.answered) == (7, 7)
        assert set(case.load.processes) == {"load-engine", "sender-1", "sender-2"}
    rows = requests(tmp_path)
    assert [row["index"] for row in rows] == [*range(5), *range(40), *range(7)]
    assert {row["status"] for row in rows} == {201}
    for stage, count in (("creation", 40), ("cleanup", 7)):
        mine = [row for row in rows if row["stage"] == stage]
        assert [row["due_ns"] - mine[0]["due_ns"] for row in mine] == [i * 1_000_000 for i in range(count)]
        assert all(row["due_ns"] <= row["sent_ns"] <= row["done_ns"] for row in mine)
    told = health(tmp_path)
    assert [sender["lost"] for sender in told["senders"].values()] == ["", ""]
    assert told["connections"] >= 6


async def test_who_is_lost_takes_its_share_along_and_the_others_go_on(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        if json.loads(request.body)["i"] == 20:  # sender-1's, the even ones are
            os.kill(case.senders[0].pid, signal.SIGKILL)
        else:
            await created(request)

    async with several(tmp_path, script) as case:
        done = await case.load.execute(phase(40))
        assert done.answered + done.failed == done.planned == 40
        assert done.failed >= 10, "what was due after it, and itself"
        assert done.failed_by_verb == {"create": done.failed}
        again = await case.load.execute(phase(10, "cleanup", Stage.CLEANUP))
        assert (again.planned, again.answered, again.failed) == (10, 10, 0), "the others do it all"
    lost = {name: told["lost"] for name, told in health(tmp_path)["senders"].items()}
    assert lost["sender-2"] == ""
    assert lost["sender-1"].startswith("lost in creation, ")
    assert "of its 20 requests unanswered" in lost["sender-1"]
    rows = [row for row in requests(tmp_path) if row["stage"] == "creation"]
    assert len(rows) == 40
    assert all(row["status"] == 201 for row in rows if row["index"] % 2)
    assert all(row["error"] == "unfinished" for row in rows if row["index"] % 2 == 0 and row["index"] >= 20)


async def test_who_is_lost_before_a_phase_leaves_all_of_it_to_the_others(tmp_path: Path) -> None:
    async with several(tmp_path, created, senders=3) as case:
        os.kill(case.senders[1].pid, signal.SIGKILL)
        done = await case.load.execute(phase(40))
        assert (done.planned, done.answered, done.failed) == (40, 40, 0)
        assert len(case.server.requests) == 40
    lost = {name: told["lost"] for name, told in health(tmp_path)["senders"].items()}
    assert (lost["sender-1"], lost["sender-3"]) == ("", "")
    assert lost["sender-2"].startswith("lost be")
    assert [row["status"] for row in requests(tmp_path)] == [201] * 40


async def test_with_nobody_left_the_run_breaks(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        for sender in case.senders:
            with contextlib.suppress(ProcessLookupError):
                os.kill(sender.pid, signal.SIGKILL)

    with pytest.raises(EngineError, match=r"no load process is left: sender-1 was lost in creation, .*; sender-2"):
        async with several(tmp_path, script) as case:
            await case.load.execute(phase(10))


async def test_an_observer_that_ends_is_noticed_at_once(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        os.kill(case.load.processes["load-engine"], signal.SIGKILL)
        await asyncio.Event().wait()

    with pytest.raises(EngineError, match="ended unasked"):
        async with several(tmp_path, script) as case:
            await case.load.execute(phase(10))


def test_reports_add_up() -> None:
    seen = Progress(t_ns=1, alive={"pods": 3})
    shares = [
        Progress(2, "creation", 5, 4, 2, 1, {"create": 1}, 1, response_ms={"p50": 1.0, "max": 9.0}),
        Progress(3, "creation", 6, 6, 6, 0, {}, 0, response_ms={"p50": 2.0, "max": 3.0}),
    ]
    found = merged(seen, shares)
    assert (found.planned, found.sent, found.answered, found.failed, found.in_flight) == (11, 10, 8, 1, 1)
    assert found.failed_by_verb == {"create": 1}
    assert found.response_ms == {"p50": 2.0, "max": 9.0}
    assert found.alive == {"pods": 3}


def test_health_of_a_lost_one_is_missing_from_sums_only() -> None:
    one = {
        "send_lateness_ms": {"p99": 1.0},
        "loop_lag_ms": {"p99": 0.1},
        "cpu_s": 1.0,
        "peak_rss_bytes": 10,
        "connections": 2,
        "connections_lost": 0,
        "connections_opened": 2,
        "retried_after_connection_loss": 0,
        "retried_as_told": 0,
        "busiest_second": 0.1,
        "kernel_stamps": {"refused": 1, "clock_steps": 1},
        "watches": {"pods": {}},
    }
    worse = {**one, "loop_lag_ms": {"p99": 7.0}, "busiest_second": 0.9, "watches": {}}
    found = combined(one, {"a": {**worse, "lost": ""}, "b": {"lost": "lost in creation"}})
    assert (found["cpu_s"], found["connections"], found["busiest_second"]) == (2.0, 4, 0.9)
    assert found["loop_lag_ms"] == {"p99": 7.0}
    assert found["kernel_stamps"] == {"refused": 2, "clock_steps": 1}
    assert found["watches"] == {"pods": {}}
    assert found["senders"]["b"]["lost"] == "lost in creation"
