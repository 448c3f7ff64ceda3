"""Senders on Dask workers, two processes of this machine, against a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import polars as pl
import psutil
import pytest
import pytest_asyncio
from distributed import LocalCluster
from fake_api_server import FakeAPIServer, Request, Script, fake_api_server
from hypothesis import given
from hypothesis import strategies as st

from planebench.load import Engine, EngineError
from planebench.load.guest import Luggage
from planebench.load.spread import Spread, spread
from planebench.load.workers import Offset, workers
from planebench.model import Access, Identity, LoadPhase, Operation, RequestTemplate, Stage, UsageError
from planebench.results.engine_files import convert

CREATE = RequestTemplate("create", "pods", "POST", "/api/v1/namespaces/__NAMESPACE__/pods", b'{"i":__INDEX__}')


def phase(n: int, name: str = "creation") -> LoadPhase:
    operations = [Operation(i * 1_000_000, 0, i, f"pod-{i:03d}", "load") for i in range(n)]
    return LoadPhase(name, Stage.CREATION, (CREATE,), operations, 20)


async def created(request: Request) -> None:
    await request.answer(201, {"kind": "Pod"})


@pytest_asyncio.fixture(scope="module")
async def scheduler() -> AsyncIterator[str]:
    cluster = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", asynchronous=True, silence_logs=50
    )
    async with cluster:
        yield cluster.scheduler_address


@contextlib.asynccontextmanager
async def load(
    out: Path, script: Script, scheduler: str, access: Access | None = None
) -> AsyncIterator[tuple[Spread, FakeAPIServer]]:
    t0_ns = time.monotonic_ns()
    async with (
        fake_api_server(out / "pki", script) as server,
        Engine.start(server.access, out, t0_ns, connections=2) as observer,
        workers(scheduler, access or server.access, out, t0_ns, connections=lambda count: 4 // count) as senders,
        spread(observer, senders, out, t0_ns, lead_s=0.2) as together,
    ):
        yield together, server


async def test_workers_send_and_bring_home_what_they_saw(tmp_path: Path, scheduler: str) -> None:
    async with load(tmp_path, created, scheduler) as (together, server):
        done = await together.execute(phase(40))
        assert (done.planned, done.sent, done.answered, done.failed) == (40, 40, 40, 0)
        assert {request.headers["user-agent"] for request in server.requests} == {"planebench-load"}
        assert len(server.requests) == 40
    told = json.loads((tmp_path / "raw" / "harness.json").read_bytes())["senders"]
    assert len(told) == 2
    for health in told.values():
        assert health["lost"] == ""
        assert health["clock"] == {"shared": True, "error_ms": 0.0}
    convert(tmp_path)
    rows = pl.read_parquet(tmp_path / "raw" / "requests.parquet").to_dicts()
    assert [row["index"] for row in rows] == [*range(40)]
    assert [row["due_ns"] - rows[0]["due_ns"] for row in rows] == [i * 1_000_000 for i in range(40)]
    assert all(row["status"] == 201 and row["due_ns"] <= row["sent_ns"] <= row["done_ns"] for row in rows)


async def test_a_worker_that_cannot_reach_the_api_server_is_told(tmp_path: Path, scheduler: str) -> None:
    nowhere = Access("127.0.0.1", 1, tls=False)
    with pytest.raises(EngineError, match=r"tcp://.*: cannot connect to http://127.0.0.1:1"):
        async with load(tmp_path, created, scheduler, nowhere):
            pass


async def test_a_scheduler_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planebench.load.workers._CONNECT_S", 0.1)
    access = Access("127.0.0.1", 1)
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        async with workers("tcp://127.0.0.1:1", access, Path(), 0, connections=lambda _: 1):
            pass


async def test_a_run_that_is_interrupted_leaves_nothing_on_workers(tmp_path: Path, scheduler: str) -> None:
    asked = asyncio.Event()

    async def script(request: Request) -> None:
        asked.set()
        await asyncio.Event().wait()

    async def run() -> None:
        async with load(tmp_path, script, scheduler) as (together, _):
            await together.execute(phase(10))

    running = asyncio.create_task(run())
    await asked.wait()
    pids = await _worker_pids(scheduler)
    engines = [child for pid in pids for child in psutil.Process(pid).children() if _is_engine(child)]
    written = [Path(file.path) for engine in engines for file in engine.open_files()]
    folders = [path.parents[3] for path in written if path.name == "requests.bin"]
    assert len(engines) == len(folders) == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE for engine in engines)
    assert not any(folder.exists() for folder in folders)


def _is_engine(process: psutil.Process) -> bool:
    return process.cmdline()[-1:] == ["planebench.load"]


async def test_a_worker_that_is_lost_is_named(
    tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one here: it costs a worker."""
    monkeypatch.setattr("planebench.load.workers._ANSWER_S", 3.0)

    async def script(request: Request) -> None:
        if json.loads(request.body)["i"] == 20:
            os.kill(pids[0], signal.SIGKILL)
        else:
            await created(request)

    pids = await _worker_pids(scheduler)
    async with load(tmp_path, script, scheduler) as (together, _):
        done = await together.execute(phase(40))
        assert done.answered + done.failed == done.planned == 40
        assert done.failed_by_verb == {"create": done.failed}
        again = await together.execute(phase(6, "cleanup"))
        assert (again.planned, again.answered) == (6, 6)
    senders = json.loads((tmp_path / "raw" / "harness.json").read_bytes())["senders"]
    lost = [told["lost"] for told in senders.values() if told["lost"]]
    assert len(lost) == 1
    assert lost[0].startswith("lost in creation, ")
    convert(tmp_path)
    rows = pl.read_parquet(tmp_path / "raw" / "requests.parquet")
    assert rows.filter(pl.col("phase") == "creation").height == 40
    assert rows.filter(pl.col("error") == "unfinished").height >= 1
    assert rows.filter(pl.col("phase") == "cleanup")["status"].to_list() == [201] * 6


async def _worker_pids(scheduler: str) -> list[int]:
    from distributed import Client

    async with Client(scheduler, asynchronous=True) as client:  # type: ignore[no-untyped-call]
        found = await client.run(os.getpid)
    return [found[address] for address in sorted(found)]


def test_credentials_travel_by_content(tmp_path: Path) -> None:
    for name in ("ca", "crt", "key"):
        (tmp_path / name).write_text(f"the {name}")
    identity = Identity("load", ("g",), tmp_path / "crt", tmp_path / "key")
    access = Access("h", 1, tmp_path / "ca", identity, headers=(("Authorization", "Bearer t"),))
    found = Luggage.pack(access).unpack(tmp_path / "there")
    assert (found.host, found.headers) == ("h", access.headers)
    assert found.ca is not None and found.ca.read_text() == "the ca"
    assert found.identity is not None
    assert found.identity.key.read_text() == "the key"
    assert found.identity.key.stat().st_mode & 0o077 == 0
    assert found.ca.parent == tmp_path / "there"
    plain = Access("h", 1)
    assert Luggage.pack(plain).unpack(tmp_path / "plain") == plain


times = st.integers(0, 10**12)


@given(times, times, times, st.integers(-(10**12), 10**12))
def test_the_offset_is_within_its_bound_whatever_the_ways_took(
    sent: int, there: int, back: int, offset: int
) -> None:
    found = Offset.of(sent, sent + there + offset, sent + there + back)
    assert abs(found.offset_ns - offset) <= found.bound_ns


def test_drift_widens_the_bound() -> None:
    before = Offset(1_000, 50)
    assert Offset(1_010, 20).since(before) == 50
    assert Offset(1_200, 20).since(before) == 220
