"""Clients that come back all at once, before an API server that answers as scripted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from fake_api_server import Request, fake_api_server

from planebench.kube.client import ApiError
from planebench.run import herd as herds
from planebench.run.herd import Herd

POD = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
LISTED = b'{"type":"BOOKMARK","object":{"metadata":{"annotations":{"k8s.io/initial-events-end":"true"}}}}\n'


async def stream(request: Request, *lines: bytes) -> None:
    await request.start_watch()
    for line in lines:
        await request.send(b"%x\r\n%s\r\n" % (len(line), line))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herds, "_FIRST_WAIT_S", 0)


async def test_each_lists_and_goes_on_watching(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        assert (request.path, request.query["sendInitialEvents"]) == ("/api/v1/pods", "true")
        await stream(request, POD, LISTED, POD)

    told: list[int] = []
    async with fake_api_server(tmp_path, script) as server, Herd(3, 1, told.append) as herd:
        herd.begin(server.access)
        await herd.synced()
    assert told == [1, 2, 3]
    assert len({request.connection for request in server.requests}) == 3, "each has its own"


async def test_who_is_sent_away_or_cut_off_comes_again(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        match len(server.requests):
            case 1:
                await request.refuse(429, "TooManyRequests", "later")
            case 2:
                request.hang_up()
            case 3:
                await stream(request, POD)
                await request.end_watch()
            case _:
                await stream(request, POD, LISTED, LISTED)

    told: list[int] = []
    async with fake_api_server(tmp_path, script) as server, Herd(1, 1, told.append) as herd:
        herd.begin(server.access)
        await herd.synced()
    assert told == [1]
    assert len(server.requests) == 4


async def test_who_may_not_list(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.refuse(403, "Forbidden", "pods is forbidden")

    async with fake_api_server(tmp_path, script) as server, Herd(2, 1, lambda _: None) as herd:
        herd.begin(server.access)
        with pytest.raises(ApiError, match="pods is forbidden"):
            await herd.synced()


async def test_nobody() -> None:
    async with Herd(0, 1, lambda _: None) as herd:
        async with asyncio.timeout(5):
            await herd.synced()
