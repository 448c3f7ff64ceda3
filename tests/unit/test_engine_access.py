"""The load engine on its way to clusters of others: tokens, proxies, names, paths."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import fake_proxy
import pytest
from fake_api_server import Request, fake_api_server, server_context

from planebench.load import Engine, EngineError
from planebench.model import (
    Access,
    LoadPhase,
    Operation,
    RequestTemplate,
    Resource,
    Stage,
    WatchSpec,
)

PODS = WatchSpec("pods", Resource("", "v1", "pods", "Pod"), ())
CREATE = RequestTemplate("create", "pods", "POST", "/api/v1/namespaces/__NAMESPACE__/pods", b'{"name":"__NAME__"}')
URL_USER = f"{fake_proxy.USER}:{fake_proxy.PASSWORD.replace(' ', '%20')}"


def phase(n: int) -> LoadPhase:
    operations = [Operation(i * 1_000_000, 0, i, f"pod-{i}", "load") for i in range(n)]
    return LoadPhase("creation", Stage.CREATION, (CREATE,), operations, 20)


@contextlib.asynccontextmanager
async def engine(access: Access, out: Path) -> AsyncIterator[Engine]:
    async with Engine.start(access, out, time.monotonic_ns(), connections=2, max_connections=4) as running:
        yield running


async def serve(request: Request) -> None:
    if request.method == "POST":
        await request.answer(201, {"kind": "Pod"})
    elif "watch" in request.query:
        await request.start_watch()
        meta = {"uid": "1", "name": "pod-0", "namespace": "load", "resourceVersion": "2"}
        await request.event("ADDED", {"metadata": meta})
    else:
        await request.answer(200, {"metadata": {"resourceVersion": "1"}, "items": []})


async def test_a_token_goes_with_every_request(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", serve, certificates=False) as server:
        access = replace(server.access, headers=(("Authorization", "Bearer abc"), ("Impersonate-User", "jane")))
        async with engine(access, tmp_path) as running:
            assert await running.watch(PODS) == 0
            done = await running.execute(phase(5))
    assert (done.answered, done.failed) == (5, 0)
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer abc"}
    assert {request.headers["impersonate-user"] for request in server.requests} == {"jane"}
    assert "abc" not in repr(access)


async def test_an_expired_token_is_renewed(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        if request.headers["authorization"] == "Bearer new":
            await serve(request)
        else:
            await request.refuse(401, "Unauthorized", "Unauthorized")

    async with fake_api_server(tmp_path / "pki", script, certificates=False) as server:
        old = replace(server.access, headers=(("Authorization", "Bearer old"),))
        async with engine(old, tmp_path) as running:
            renewals: list[asyncio.Task[None]] = []

            def renew() -> None:
                new = replace(old, headers=(("Authorization", "Bearer new"),))
                renewals.append(asyncio.create_task(running.authorize(new)))

            running.on_unauthorized = renew
            done = await running.execute(phase(5))
            assert (done.answered, done.failed, len(renewals)) == (5, 0, 1)
            assert await running.watch(PODS) == 0


async def test_a_token_that_stays_refused_fails(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        await request.refuse(401, "Unauthorized", "Unauthorized")

    async with (
        fake_api_server(tmp_path / "pki", script, certificates=False) as server,
        engine(server.access, tmp_path) as running,
    ):
        done = await running.execute(phase(3))
        assert (done.answered, done.failed) == (0, 3)
        assert dict(done.errors) == {"Unauthorized": 3}
        with pytest.raises(EngineError, match="watch pods: Unauthorized"):
            await running.watch(PODS)


async def test_a_path_before_every_path(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", serve) as server:
        access = replace(server.access, prefix="/k8s/clusters/c-1")
        async with engine(access, tmp_path) as running:
            await running.watch(PODS)
            await running.execute(phase(1))
    assert {request.path for request in server.requests} == {
        "/k8s/clusters/c-1/api/v1/pods",
        "/k8s/clusters/c-1/api/v1/namespaces/load/pods",
    }


async def test_without_tls(tmp_path: Path) -> None:
    async with (
        fake_api_server(tmp_path / "pki", serve, tls=False) as server,
        engine(server.access, tmp_path) as running,
    ):
        await running.watch(PODS)
        assert (await running.execute(phase(20))).answered == 20


@pytest.mark.parametrize("way", ["http", "socks5", "https"])
async def test_through_a_proxy(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fake_api_server(tmp_path / "pki", serve) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pki" / "ca.crt"))  # the system's authorities
        context = server_context(tmp_path / "pki") if way == "https" else None
        greeting = fake_proxy.socks5 if way == "socks5" else fake_proxy.http
        async with fake_proxy.fake_proxy(greeting, context) as proxy:
            access = replace(server.access, proxy=f"{way}://{URL_USER}@127.0.0.1:{proxy.port}")
            async with engine(access, tmp_path) as running:
                await running.watch(PODS)
                assert await running.until(lambda p: p.alive["pods"] == 1, 20)
                assert (await running.execute(phase(20))).answered == 20
    assert set(proxy.targets) == {(server.access.host, server.access.port)}
    assert len(proxy.targets) >= 3


@pytest.mark.parametrize(
    ("greeting", "scheme", "said"),
    [
        (fake_proxy.http, "http", "the proxy refused: 407 Proxy Authentication Required"),
        (fake_proxy.socks5, "socks5", "the proxy wants another way to log in"),
    ],
)
async def test_a_proxy_that_refuses(greeting: fake_proxy.Greeting, scheme: str, said: str, tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", serve) as server, fake_proxy.fake_proxy(greeting) as proxy:
        with pytest.raises(EngineError, match=said):
            async with engine(replace(server.access, proxy=f"{scheme}://127.0.0.1:{proxy.port}"), tmp_path):
                pass


async def names(access: Access, out: Path) -> str:
    """What stands against the server's certificate; empty: nothing."""
    try:
        async with engine(access, out):
            return ""
    except EngineError as error:
        return str(error)


async def test_whom_the_certificate_names(tmp_path: Path) -> None:
    """It names 127.0.0.1."""
    async with fake_api_server(tmp_path / "pki", serve) as server:
        by_name = replace(server.access, host="localhost")
        assert "mismatch" in await names(by_name, tmp_path / "a")
        assert not await names(replace(by_name, server_name="127.0.0.1"), tmp_path / "b")
        assert not await names(replace(by_name, verified=False), tmp_path / "c")
        assert "TLS failed: self-signed certificate in certificate chain" in await names(
            replace(server.access, ca=None), tmp_path / "d"
        )
        assert "cannot start" in await names(replace(server.access, host="no.such.host.invalid"), tmp_path / "e")


async def test_an_encrypted_key_is_refused_without_asking(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    async with fake_api_server(tmp_path / "pki", serve) as server:
        assert server.access.identity is not None
        key = server.access.identity.key
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        encrypted = serialization.BestAvailableEncryption(b"secret")
        key.write_bytes(
            loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encrypted)
        )
        assert "cannot start" in await names(server.access, tmp_path)
