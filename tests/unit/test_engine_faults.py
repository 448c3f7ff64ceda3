"""The load engine against a server that fails in every way we know: what is retried, recorded and reported."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fake_api_server import FakeAPIServer, Request, Script, fake_api_server, torn

from planebench.load import Engine, EngineError
from planebench.model import (
    LoadPhase,
    MilestoneRule,
    Operation,
    Progress,
    RequestTemplate,
    Resource,
    Stage,
    UsageError,
    WatchSpec,
)
from planebench.results.engine_files import convert

PODS = Resource("", "v1", "pods", "Pod")
WATCH = WatchSpec(
    "pods", PODS, (MilestoneRule("running", "status.phase", equals="Running"),), label_selector="app=load,x!=y"
)
CREATE = RequestTemplate(
    "create", "pods", "POST", "/api/v1/namespaces/__NAMESPACE__/pods", b'{"name":"__NAME__","i":__INDEX__}'
)
DELETE = RequestTemplate("delete", "pods", "DELETE", "/api/v1/namespaces/__NAMESPACE__/pods/__NAME__")


def phase(n: int, *templates: RequestTemplate, every_ms: int = 1, timeout_s: float = 20) -> LoadPhase:
    operations = [Operation(i * every_ms * 1_000_000, 0, i, f"pod-{i:03d}", "load") for i in range(n)]
    return LoadPhase("creation", Stage.CREATION, templates or (CREATE,), operations, timeout_s)


def pod(uid: str, version: int, phase: str = "Pending") -> dict[str, Any]:
    meta = {"uid": uid, "name": f"pod-{uid}", "namespace": "load", "resourceVersion": str(version)}
    return {"metadata": meta, "status": {"phase": phase}}


def bookmark(version: int) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}}


class Run:
    """A server, an engine, and what they leave behind."""

    def __init__(self, server: FakeAPIServer, engine: Engine, out: Path) -> None:
        self.server = server
        self.engine = engine
        self.out = out

    async def records(self, table: str) -> list[dict[str, Any]]:
        await self.engine.stop()
        convert(self.out, keep=True)
        return pl.read_parquet(self.out / "raw" / f"{table}.parquet").to_dicts()

    async def until(self, predicate: Callable[[Progress], bool]) -> None:
        assert await self.engine.until(predicate, 20)


@contextlib.asynccontextmanager
async def run(tmp_path: Path, script: Script, *, connections: int = 2, most: int = 8) -> AsyncIterator[Run]:
    t0 = time.monotonic_ns()
    async with (
        fake_api_server(tmp_path / "pki", script) as server,
        Engine.start(server.access, tmp_path, t0, connections=connections, max_connections=most) as engine,
    ):
        yield Run(server, engine, tmp_path)


async def created(request: Request) -> None:
    await request.answer(201, {"kind": "Pod"})


# --- requests


async def test_each_operation_is_rendered_sent_and_recorded(tmp_path: Path) -> None:
    async with run(tmp_path, created) as case:
        progress = await case.engine.execute(phase(20))
        assert (progress.planned, progress.sent, progress.answered, progress.failed) == (20, 20, 20, 0)
        assert case.server.requests[3].body == b'{"name":"pod-003","i":3}'
        rows = await case.records("requests")
    assert [row["index"] for row in rows] == list(range(20))
    for row in rows:
        assert 0 < row["due_ns"] <= row["sent_ns"] <= row["done_ns"]
        assert (row["status"], row["attempts"], row["error"]) == (201, 1, None)
        assert (row["verb"], row["resource"], row["namespace"], row["stage"]) == (
            "create",
            "pods",
            "load",
            "creation",
        )
    assert rows[7]["name"] == "pod-007"


async def test_replies_in_pieces(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.send(
            b"HTTP/1.1 201 Cre", b"ated\r\nTransfer-Encod", b"ing: chunked\r", b"\n\r\n5", b"\r\nab"
        )
        await request.send(b"cde\r", b"\n3\r\nfgh\r\n0\r\n", b"\r", b"\n")

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(5))
        assert (progress.answered, progress.failed) == (5, 0)
        rows = await case.records("requests")
    assert {row["bytes_received"] for row in rows} == {75}


async def test_a_record_whose_last_bytes_come_late_is_read_whole(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.answer(201, {"kind": "Pod", "filling": "x" * 9000})

    async with (
        fake_api_server(tmp_path / "pki", script) as server,
        torn(server.access, 3) as access,
        Engine.start(access, tmp_path, time.monotonic_ns(), connections=1, max_connections=1) as engine,
    ):
        progress = await engine.execute(phase(3, timeout_s=5))
    assert (progress.answered, progress.failed) == (3, 0)


STREAM = RequestTemplate("list", "pods", "GET", "/api/v1/pods?watch=true", until="initial-events-end")


async def test_a_stream_has_answered_with_its_last_initial_event(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.start_watch()
        await request.event("ADDED", pod("a", 1))
        await request.send(b'2e\r\n{"annotations":{"initial-ev')  # the mark comes in two pieces
        await asyncio.sleep(0.05)
        await request.send(b'ents-end":"true"}}\n')
        await asyncio.sleep(3600)

    async with run(tmp_path, script, connections=2, most=2) as case:
        progress = await case.engine.execute(phase(5, STREAM))
        assert progress.errors == {}
        assert (progress.answered, progress.failed) == (5, 0)
        rows = await case.records("requests")
    assert all(row["done_ns"] - row["sent_ns"] >= 50_000_000 for row in rows)
    assert {row["status"] for row in rows} == {200}


async def test_a_stream_that_ends_before_is_a_failure(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.start_watch()
        await request.event("ADDED", pod("a", 1))
        await request.end_watch()

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(2, STREAM))
        assert (progress.answered, progress.failed) == (0, 2)
        assert progress.errors == {"the stream ended too early": 2}


async def test_too_many_requests_are_retried_as_told(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        if len(case.server.requests) == 1:
            await request.refuse(429, "TooManyRequests", "slow down, pod-000", Retry_After="1")
        else:
            await created(request)

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(1))
        assert (progress.answered, progress.failed) == (1, 0)
        assert progress.errors == {"slow down, <name> (retried as told)": 1}
        [row] = await case.records("requests")
    assert (row["status"], row["attempts"], row["error"]) == (201, 2, None)
    assert row["done_ns"] - row["sent_ns"] >= 1_000_000_000


async def test_a_retry_that_would_come_too_late_is_not_made(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.refuse(429, "TooManyRequests", "slow down", Retry_After="30")

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(1))
        assert (progress.answered, progress.failed, progress.errors) == (0, 1, {"slow down": 1})
        [row] = await case.records("requests")
    assert (row["status"], row["attempts"], row["error"]) == (429, 1, "429")
    assert row["done_ns"] > 0


async def test_refusals_keep_the_api_servers_words(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        name = f"pod-{len(case.server.requests) - 1:03d}"
        await request.refuse(403, "Forbidden", f'pods "{name}" is forbidden: no "load" for you')

    async with run(tmp_path, script, connections=1, most=1) as case:
        progress = await case.engine.execute(phase(5))
        assert progress.errors == {'pods "<name>" is forbidden: no "<namespace>" for you': 5}
        rows = await case.records("requests")
    error = 'Forbidden: pods "<name>" is forbidden: no "<namespace>" for you'
    assert {(row["status"], row["error"]) for row in rows} == {(403, error)}


@pytest.mark.parametrize(
    ("template", "status", "reason"), [(CREATE, 409, "AlreadyExists"), (DELETE, 404, "NotFound")]
)
async def test_a_connection_lost_before_the_reply_is_retried_once(
    tmp_path: Path, template: RequestTemplate, status: int, reason: str
) -> None:
    async def script(request: Request) -> None:
        if len(case.server.requests) == 1:
            request.hang_up()  # after it did what it was asked to
        else:
            await request.refuse(status, reason, "so it is")

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(1, template))
        assert (progress.answered, progress.failed) == (1, 0)
        [row] = await case.records("requests")
    assert (row["status"], row["attempts"], row["error"]) == (status, 2, "connection")


async def test_a_second_loss_is_final(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        request.hang_up()

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(3))
        assert (progress.answered, progress.failed) == (0, 3)
        rows = await case.records("requests")
    assert {(row["status"], row["attempts"], row["error"], row["done_ns"]) for row in rows} == {
        (0, 2, "connection", -1)
    }


async def test_a_conflict_without_a_loss_is_a_failure(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.refuse(409, "AlreadyExists", "it exists")

    async with run(tmp_path, script) as case:
        assert (await case.engine.execute(phase(1))).failed == 1


async def test_a_connection_lost_in_a_reply_is_not_retried(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.send(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nabc")
        request.writer.close()

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(1))
        assert (progress.answered, progress.failed) == (0, 1)
        [row] = await case.records("requests")
    assert (row["status"], row["attempts"], row["error"], row["done_ns"]) == (201, 1, "connection", -1)


async def test_no_answer_in_time(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        if b"pod-001" not in request.body:
            await created(request)

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(4, timeout_s=0.5))
        assert (progress.answered, progress.failed) == (3, 1)
        assert progress.errors == {"no answer within 0.5 s": 1}
        rows = await case.records("requests")
    assert [(row["error"], row["done_ns"] > 0) for row in rows] == [
        (None, True),
        ("timeout", False),
        (None, True),
        (None, True),
    ]


async def test_a_server_that_closes_after_each_reply(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.answer(201, Connection="close")
        request.writer.close()

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(20))
        assert (progress.answered, progress.failed) == (20, 0)


async def test_what_is_no_http(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.send(b"220 mail.example ESMTP\r\n\r\n")

    async with run(tmp_path, script) as case:
        progress = await case.engine.execute(phase(1))
        assert progress.failed == 1
        assert "no HTTP/1.1 reply" in next(iter(progress.errors))


async def test_busy_connections_do_not_hold_sends_up(tmp_path: Path) -> None:
    """Open loop: nothing is answered before everything has arrived."""
    everything = asyncio.Event()

    async def script(request: Request) -> None:
        if len(case.server.requests) == 8:
            everything.set()
        await everything.wait()
        await created(request)

    async with run(tmp_path, script, connections=1, most=8) as case:
        progress = await case.engine.execute(phase(8))
        assert (progress.answered, progress.failed) == (8, 0)
        health = await case.engine.stop()
    assert health["connections"] == 8


async def test_more_than_the_most_connections_wait_but_are_sent(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await asyncio.sleep(0.01)
        await created(request)

    async with run(tmp_path, script, connections=1, most=2) as case:
        progress = await case.engine.execute(phase(30))
        assert (progress.sent, progress.answered) == (30, 30)
        rows = await case.records("requests")
    assert max(row["sent_ns"] - row["due_ns"] for row in rows) > 50_000_000


async def test_a_listener_that_breaks_ends_the_wait(tmp_path: Path) -> None:
    """Else whoever waits for the engine would wait for ever."""

    def broken(_: Progress) -> None:
        raise ValueError("no such column")

    async with run(tmp_path, created) as server:
        server.engine.on_progress = broken
        with pytest.raises(EngineError, match="cannot be taken: ValueError: no such column"):
            await server.engine.until(lambda _: False, 20)


async def test_a_server_that_is_gone(tmp_path: Path) -> None:
    t0 = time.monotonic_ns()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(fake_api_server(tmp_path / "pki", created))
        engine_context = Engine.start(server.access, tmp_path, t0, connections=2)
        async with engine_context as engine:
            await engine.execute(phase(2))
            await stack.aclose()
            progress = await engine.execute(phase(5))
            assert (progress.answered, progress.failed) == (0, 5)
            assert progress.errors == {"no connection: Connection refused": 5}
    convert(tmp_path)
    rows = pl.read_parquet(tmp_path / "raw" / "requests.parquet").to_dicts()[2:]
    assert {(row["error"], row["done_ns"]) for row in rows} == {("connection", -1)}


# --- watches


class Watched:
    """Serves LISTs and WATCHes of pods; each watch runs the next script, the last one again and again."""

    def __init__(self, lists: list[list[dict[str, Any]]], *watches: Script) -> None:
        self.lists = lists
        self.watches = list(watches)
        self.versions: list[str] = []
        self.selectors: set[str] = set()
        self.listed = 0

    async def __call__(self, request: Request) -> None:
        self.selectors.add(request.query["labelSelector"])
        if "watch" in request.query:
            assert request.query["allowWatchBookmarks"] == "true"
            self.versions.append(request.query["resourceVersion"])
            script = self.watches.pop(0) if len(self.watches) > 1 else self.watches[0]
            await script(request)
            return
        assert request.query["limit"] == "500"
        page = int(request.query.get("continue", "0"))
        pages = self.lists[min(self.listed, len(self.lists) - 1)]
        more = {"continue": str(page + 1)} if page + 1 < len(pages) else {}
        if not more:
            self.listed += 1
        meta = {"resourceVersion": str(100 * max(self.listed, 1)), **more}
        await request.answer(200, {"metadata": meta, "items": pages[page : page + 1]})


async def silence(request: Request) -> None:
    await request.start_watch()
    await asyncio.sleep(3600)


async def test_a_watch_continues_its_list(tmp_path: Path) -> None:
    async def events(request: Request) -> None:
        await request.start_watch()
        await request.event("ADDED", pod("c", 101))
        await request.event("MODIFIED", pod("a", 102, "Running"))
        await request.event("MODIFIED", pod("b", 103, "Running"))
        await request.event("DELETED", pod("a", 104, "Running"))
        await asyncio.sleep(3600)

    api = Watched([[pod("a", 1), pod("b", 2, "Running")]], events)
    async with run(tmp_path, api) as case:
        assert await case.engine.watch(WATCH) == 2
        await case.until(lambda p: p.milestones["pods"]["deleted"] == 1)
        progress = case.engine.progress
        assert progress.milestones["pods"] == {"added": 1, "running": 1, "deleting": 0, "deleted": 1}
        assert progress.alive == {"pods": 2}
        assert progress.current == {"pods": {"added": 2, "running": 1}}
        assert (api.versions, api.selectors) == (["100"], {"app=load,x!=y"})
        milestones = await case.records("milestones")
        events_seen = await case.records("events")
        objects = await case.records("objects")
        assert await case.records("gaps") == []
    assert [(row["object"], row["milestone"]) for row in milestones] == [
        (2, "added"),
        (0, "running"),
        (0, "deleted"),
    ]
    assert [(row["type"], row["resource_version"]) for row in events_seen] == [
        ("ADDED", 101),
        ("MODIFIED", 102),
        ("MODIFIED", 103),
        ("DELETED", 104),
    ]
    assert all(0 < row["t_ns"] <= row["read_ns"] for row in events_seen)
    assert [(row["object"], row["name"], row["watch"]) for row in objects] == [
        (0, "pod-a", "pods"),
        (1, "pod-b", "pods"),
        (2, "pod-c", "pods"),
    ]


async def end(request: Request) -> None:
    await request.end_watch()


async def hang_up(request: Request) -> None:
    request.hang_up()


async def close(request: Request) -> None:
    request.writer.close()


@pytest.mark.parametrize(
    ("ending", "reasons"),
    [(end, {"timeout"}), (close, {"closed"}), (hang_up, {"closed", "connection"})],
    ids=["timeout", "closed", "connection"],
)
async def test_a_watch_that_ends_is_resumed_without_loss(
    tmp_path: Path, ending: Script, reasons: set[str]
) -> None:
    async def first(request: Request) -> None:
        await request.start_watch()
        await request.event("ADDED", pod("a", 101))
        await request.event("BOOKMARK", bookmark(150))
        await ending(request)

    async def second(request: Request) -> None:
        await request.start_watch()
        await request.event("MODIFIED", pod("a", 151, "Running"))
        await asyncio.sleep(3600)

    api = Watched([[]], first, second)
    async with run(tmp_path, api) as case:
        assert await case.engine.watch(WATCH) == 0
        await case.until(lambda p: p.milestones["pods"]["running"] == 1)
        assert api.versions == ["100", "150"]
        [gap] = await case.records("gaps")
    assert gap["reason"] in reasons
    assert (gap["watch"], gap["resumed"]) == ("pods", True)
    assert 0 < gap["t_ns"] <= gap["end_ns"]


async def gone_by_event(request: Request) -> None:
    await request.start_watch()
    await request.event(
        "ERROR", {"kind": "Status", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired"}
    )
    await asyncio.sleep(3600)


async def gone_by_status(request: Request) -> None:
    await request.refuse(410, "Expired", "too old resource version")


@pytest.mark.parametrize(
    ("gone", "expected_gaps"),
    [(gone_by_event, [("timeout", True), ("410", False)]), (gone_by_status, [("410", False)])],
)
async def test_a_version_that_is_gone_is_listed_again_and_compared(
    tmp_path: Path, gone: Script, expected_gaps: list[tuple[str, bool]]
) -> None:
    async def first(request: Request) -> None:
        await request.start_watch()
        await request.event("ADDED", pod("b", 101))
        await request.end_watch()

    lists = [[pod("a", 1), pod("x", 2)], [pod("a", 190, "Running"), pod("c", 195)]]
    api = Watched(lists, first, gone, silence)
    async with run(tmp_path, api) as case:
        assert await case.engine.watch(WATCH) == 2
        await case.until(lambda p: p.milestones["pods"]["deleted"] == 2)
        await case.until(lambda p: len(api.versions) == 3)
        assert case.engine.progress.alive == {"pods": 2}
        assert case.engine.progress.milestones["pods"] == {"added": 2, "running": 1, "deleting": 0, "deleted": 2}
        assert api.versions == ["100", "101", "200"]
        gaps = await case.records("gaps")
    assert [(gap["reason"], gap["resumed"]) for gap in gaps] == expected_gaps


async def test_a_gap_that_never_ends(tmp_path: Path) -> None:
    async def first(request: Request) -> None:
        await request.start_watch()
        await request.event("ADDED", pod("a", 101))
        await request.end_watch()

    async def never(request: Request) -> None:
        await asyncio.sleep(3600)

    api = Watched([[]], first, never)
    async with run(tmp_path, api) as case:
        await case.engine.watch(WATCH)
        await case.until(lambda p: len(api.versions) == 2)
        [gap] = await case.records("gaps")
    assert gap["end_ns"] == -1


async def test_a_watch_that_is_refused(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.refuse(403, "Forbidden", 'User "load" cannot list pods')

    async with run(tmp_path, script) as case:
        with pytest.raises(EngineError, match='User "load" cannot list pods'):
            await case.engine.watch(WATCH)
        api = Watched([[]], silence)
        case.server.script = api
        assert await case.engine.watch(WATCH) == 0  # the engine goes on


async def test_a_watch_with_a_bad_path(tmp_path: Path) -> None:
    async with run(tmp_path, created) as case:
        with pytest.raises(UsageError, match=r"pods.*status\.\."):
            await case.engine.watch(replace(WATCH, node_field="status..x"))


async def test_an_event_that_cannot_be_read_breaks_the_measurement(tmp_path: Path) -> None:
    async def events(request: Request) -> None:
        await request.start_watch()
        await request.event("ADDED", {"metadata": "none"})
        await asyncio.sleep(3600)

    async with run(tmp_path, Watched([[]], events)) as case:
        await case.engine.watch(WATCH)
        with pytest.raises(EngineError, match="watch pods: an event that cannot be read"):
            await case.engine.until(lambda p: False, 20)


async def test_revisions_come_with_their_times(tmp_path: Path) -> None:
    async def events(request: Request) -> None:
        await request.start_watch()
        for version in range(101, 111):
            obj = pod("a", version)
            obj["metadata"]["annotations"] = {"planebench.dev/canary": str(version // 2)}
            await request.event("MODIFIED", obj)
        await asyncio.sleep(3600)

    spec = replace(WATCH, revision_field='metadata.annotations["planebench.dev/canary"]')
    async with run(tmp_path, Watched([[]], events)) as case:
        await case.engine.watch(spec)
        await case.until(lambda p: p.milestones["pods"].get("revision:55") == 1)
        rows = await case.records("milestones")
    assert [row["milestone"] for row in rows] == ["added", *(f"revision:{number}" for number in range(50, 56))]


# --- the process


async def test_nobody_listens(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", created) as server:
        pass
    with pytest.raises(EngineError, match=r"cannot connect to https://127\.0\.0\.1:\d+: Connection refused"):
        async with Engine.start(server.access, tmp_path, 0):
            pass


async def test_an_untrusted_server(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", created) as server:
        async with fake_api_server(tmp_path / "other", created) as other:
            pass
        with pytest.raises(EngineError, match="TLS failed"):
            async with Engine.start(replace(server.access, ca=other.access.ca), tmp_path, 0):
                pass


async def test_a_missing_certificate(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", created) as server:
        with pytest.raises(EngineError, match="cannot start"):
            async with Engine.start(replace(server.access, ca=tmp_path / "none.crt"), tmp_path, 0):
                pass


async def test_an_engine_that_is_killed_is_an_error_and_leaves_its_records(tmp_path: Path) -> None:
    hanging = asyncio.Event()

    async def script(request: Request) -> None:
        if len(case.server.requests) == 6:
            hanging.set()
        if len(case.server.requests) < 6:
            await created(request)

    async with run(tmp_path, script, connections=8) as case:
        execution = asyncio.create_task(case.engine.execute(phase(10, every_ms=50)))
        await hanging.wait()
        requests = tmp_path / "raw" / "engine" / "requests.bin"
        while requests.stat().st_size < 5 * 10 * 8:  # noqa: ASYNC110 (until the next spill: no event tells of it)
            await asyncio.sleep(0.02)
        os.kill(case.engine.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="ended unasked"):
            await execution
        rows = await case.records("requests")
    assert [(row["status"], row["error"]) for row in rows] == [(201, None)] * 5 + [(0, "unfinished")] * 5


async def test_sigterm_writes_everything(tmp_path: Path) -> None:
    hanging = asyncio.Event()

    async def script(request: Request) -> None:
        if b"pod-000" in request.body:
            await created(request)
        else:
            hanging.set()

    async with run(tmp_path, script) as case:
        execution = asyncio.create_task(case.engine.execute(phase(3, every_ms=100_000)))
        second = asyncio.create_task(case.engine.until(lambda p: p.answered == 1, 20))
        assert await second
        os.kill(case.engine.pid, signal.SIGTERM)
        with pytest.raises(EngineError, match="ended unasked"):
            await execution
        rows = await case.records("requests")
    assert [(row["status"], row["error"], row["sent_ns"] > 0) for row in rows] == [
        (201, None, True),
        (0, "unfinished", False),
        (0, "unfinished", False),
    ]


async def test_cancellation_ends_the_process_and_keeps_what_was_sent(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def script(request: Request) -> None:
        arrived.set()

    async def body() -> None:
        async with run(tmp_path, script) as case:
            pids.append(case.engine.pid)
            await case.engine.execute(phase(1))

    pids: list[int] = []
    task = asyncio.create_task(body())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _alive(pids[0])
    convert(tmp_path)
    [row] = pl.read_parquet(tmp_path / "raw" / "requests.parquet").to_dicts()
    assert (row["error"], row["attempts"], row["done_ns"]) == ("unfinished", 1, -1)
    assert row["sent_ns"] > 0


async def test_one_phase_at_a_time(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await asyncio.sleep(3600)

    async with run(tmp_path, script) as case:
        first = asyncio.create_task(case.engine.execute(phase(1)))
        await case.until(lambda p: p.sent == 1)
        with pytest.raises(EngineError, match="another phase has not ended"):
            await case.engine.execute(phase(1))
        first.cancel()


async def test_a_stopped_engine_takes_no_commands(tmp_path: Path) -> None:
    async with run(tmp_path, created) as case:
        await case.engine.stop()
        with pytest.raises(EngineError, match="has been stopped"):
            await case.engine.execute(phase(1))


async def test_the_engine_does_not_outlive_its_parent(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", created) as server:
        script = f"""
            import asyncio
            from pathlib import Path
            from planebench.load import Engine
            from planebench.model import Access, Identity

            async def main():
                pki = Path({str(tmp_path / "pki")!r})
                user = Identity("load", (), pki / "load.crt", pki / "load.key")
                access = Access("127.0.0.1", {server.access.port}, pki / "ca.crt", user)
                async with Engine.start(access, pki.parent, 0, connections=1) as engine:
                    print(engine.pid, flush=True)
                    await asyncio.sleep(3600)

            asyncio.run(main())
        """
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(script), stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        pid = int(await parent.stdout.readline())
        parent.kill()
        await parent.wait()
        async with asyncio.timeout(20):
            while _alive(pid):  # noqa: ASYNC110 (no event tells of a grandchild's end)
                await asyncio.sleep(0.02)


async def test_the_engines_process_stays_small() -> None:
    """What it imports, it pays for in memory and start-up time."""
    code = "import sys, planebench.load.process; print(*sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    modules = set(output.decode().split())
    assert "planebench.load.dispatch" in modules
    assert not modules & {
        "asyncio",
        "numpy",
        "polars",
        "aiohttp",
        "pydantic",
        "rich",
        "typer",
        "yaml",
        "cryptography",
    }


def _alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not waited for does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
