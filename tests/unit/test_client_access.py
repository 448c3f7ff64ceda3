"""The set-up client on its way to clusters of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_proxy
import pytest
from fake_api_server import Request, fake_api_server, server_context

from planebench.kube.client import ApiError, Client
from planebench.model import Access

URL_USER = f"{fake_proxy.USER}:{fake_proxy.PASSWORD.replace(' ', '%20')}"


async def serve(request: Request) -> None:
    await request.answer(200, {"path": request.path, "who": request.headers.get("authorization")})


class Renewed:
    """A user whose token is renewed when it is refused."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.renewals = 0

    async def renew(self) -> bool:
        self.renewals += 1
        self.access = replace(self.access, headers=(("Authorization", f"Bearer {self.renewals}"),))
        return self.renewals < 3


async def test_a_refused_token_is_renewed_once(tmp_path: Path) -> None:
    async def script(request: Request) -> None:
        if request.headers.get("authorization") == "Bearer 1":
            await serve(request)
        else:
            await request.refuse(401, "Unauthorized", "Unauthorized")

    async with fake_api_server(tmp_path / "pki", script, certificates=False) as server:
        who = Renewed(server.access)
        async with Client(who) as client:
            assert (await client.get("/version"))["who"] == "Bearer 1"
            assert (await client.get("/version"))["who"] == "Bearer 1"
            assert who.renewals == 1
            who.access = server.access
            who.renewals = 1
            with pytest.raises(ApiError, match="Unauthorized") as caught:
                await client.get("/version")
        assert (caught.value.status, who.renewals) == (401, 2)


async def test_a_path_before_every_path(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", serve) as server:
        access = replace(server.access, prefix="/k8s/clusters/c-1")
        async with Client(access) as client:
            assert (await client.get("/version"))["path"] == "/k8s/clusters/c-1/version"


async def test_without_tls(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", serve, tls=False) as server, Client(server.access) as client:
        assert (await client.get("/version"))["path"] == "/version"


async def test_another_certificate_needs_another_connection(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", serve) as server:
        who = Renewed(replace(server.access, identity=None))
        async with Client(who) as client:
            with pytest.raises(ApiError):
                await client.get("/version")
            who.access = server.access
            assert (await client.get("/version"))["path"] == "/version"


@pytest.mark.parametrize("way", ["http", "socks5", "socks5h", "https"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_through_a_proxy(way: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also to a server whose certificate names another host than its address."""
    async with fake_api_server(tmp_path / "pki", serve) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pki" / "ca.crt"))  # the system's authorities
        context = server_context(tmp_path / "pki") if way == "https" else None
        greeting = fake_proxy.socks5 if way.startswith("socks5") else fake_proxy.http
        async with fake_proxy.fake_proxy(greeting, context) as proxy:
            access = replace(
                server.access,
                host=name,
                server_name="" if name == "127.0.0.1" else "127.0.0.1",
                proxy=f"{way}://{URL_USER}@127.0.0.1:{proxy.port}",
            )
            async with Client(access) as client:
                assert (await client.get("/version"))["path"] == "/version"
    assert proxy.targets == [(name, server.access.port)]


async def test_what_a_proxy_says_against_it(tmp_path: Path) -> None:
    async with fake_api_server(tmp_path / "pki", serve) as server, fake_proxy.fake_proxy(fake_proxy.http) as proxy:
        async with Client(replace(server.access, proxy=f"http://127.0.0.1:{proxy.port}")) as client:
            with pytest.raises(ApiError, match="the proxy refused: 407 Proxy Authentication Required"):
                await client.get("/version")
        async with Client(replace(server.access, proxy="socks5://127.0.0.1:1")) as client:
            with pytest.raises(ApiError, match=r"proxy: .*Connect call failed"):
                await client.get("/version")


async def test_an_https_proxy_is_of_the_systems_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the cluster is of its own."""
    other = tmp_path / "other"
    async with (
        fake_api_server(other, serve),
        fake_api_server(tmp_path / "pki", serve) as server,
        fake_proxy.fake_proxy(fake_proxy.http, server_context(other)) as proxy,
    ):
        access = replace(server.access, proxy=f"https://{URL_USER}@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pki" / "ca.crt"))
        async with Client(access) as client:
            with pytest.raises(ApiError, match="certificate"):
                await client.get("/version")
        monkeypatch.setenv("SSL_CERT_FILE", str(other / "ca.crt"))
        async with Client(access) as client:
            assert (await client.get("/version"))["path"] == "/version"
