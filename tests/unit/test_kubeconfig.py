"""Kubeconfig files: what they may say, and what is said of those that are wrong."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from planebench.kube.kubeconfig import Context, Kubeconfig
from planebench.kube.login import Login
from planebench.model import UsageError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def write(
    file: Path, *, cluster: Mapping[str, Any] | None = None, user: Mapping[str, Any] | None = None, name: str = "a"
) -> Path:
    """A file with one context, cluster and user, all of one name."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": "https://api.example:6443", **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))
    return file


def context(file: Path, name: str | None = None) -> Context:
    return Kubeconfig.load(file).context(name)


async def login(file: Path, folder: Path) -> Login:
    return await Login.open(context(file), folder / "login")


# --- files ---


def test_the_current_context_is_taken_where_none_is_named(tmp_path: Path) -> None:
    assert context(write(tmp_path / "config")).name == "a"


def test_the_first_of_several_files_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one", cluster={"server": "https://one"})
    two = write(tmp_path / "two", cluster={"server": "https://two"})
    three = write(tmp_path / "three", name="b", cluster={"server": "https://three"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{one}:{two}:{three}")
    merged = Kubeconfig.load()
    assert merged.current == "a"
    assert merged.context(None).server().host == "one"
    assert merged.context("b").server().host == "three"


def test_the_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"there is no kubeconfig .*\.kube/config.* --kubeconfig FILE"):
        Kubeconfig.load()
    write(tmp_path / ".kube" / "config")
    assert Kubeconfig.load().context(None).name == "a"


def test_paths_begin_at_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        tmp_path / "sub" / "config",
        cluster={"certificate-authority": "ca.crt"},
        user={"client-key": "/abs.key", "tokenFile": "../token", "exec": {"command": "./bin/plugin"}},
    )
    monkeypatch.chdir(tmp_path)
    found = context(Path("sub") / "config")
    assert found.cluster["certificate-authority"] == str(tmp_path / "sub" / "ca.crt")
    assert found.user["client-key"] == "/abs.key"
    assert Path(found.user["tokenFile"]).resolve() == tmp_path / "token"
    assert found.user["exec"]["command"] == str(tmp_path / "sub" / "bin" / "plugin")
    named = write(tmp_path / "b", user={"exec": {"command": "plugin"}})
    assert context(named).user["exec"]["command"] == "plugin", "is looked up in $PATH"
    assert file.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no kubeconfig: it is no YAML"),
        ("[]", "is no kubeconfig"),
        ("kind: Pod", "is no kubeconfig"),
        ("contexts: 3", "contexts is damaged"),
        ("users: [{user: {}}]", "users is damaged"),
        ("{}", "has no current context; name one by --context (there are: none)"),
        ("current-context: x", "has no context 'x'; there are: none"),
        ("{current-context: x, contexts: [{name: x, context: {cluster: c}}]}", "names a cluster 'c' that is not"),
        (
            "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], "
            "clusters: [{name: c, cluster: {}}]}",
            "names a user 'u' that is not there",
        ),
        (b"\xff\xfe\x00", "is no kubeconfig"),
    ],
)
def test_what_is_wrong_with_a_file(text: str | bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        context(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--kubeconfig .*: No such file or directory"):
        Kubeconfig.load(tmp_path / "none")
    with pytest.raises(UsageError, match="Is a directory"):
        Kubeconfig.load(tmp_path)


# --- servers ---


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("https://10.0.0.1", ("10.0.0.1", 443, True, "")),
        ("https://api.example:6443/", ("api.example", 6443, True, "")),
        ("https://rancher.example/k8s/clusters/c-1/", ("rancher.example", 443, True, "/k8s/clusters/c-1")),
        ("http://127.0.0.1:8001", ("127.0.0.1", 8001, False, "")),
        ("https://[2001:db8::1]:6443", ("2001:db8::1", 6443, True, "")),
    ],
)
def test_where_the_server_is(server: str, expected: tuple[object, ...], tmp_path: Path) -> None:
    found = context(write(tmp_path / "c", cluster={"server": server})).server()
    assert (found.host, found.port, found.tls, found.prefix) == expected


@pytest.mark.parametrize("server", ["", None, "api.example:6443", "ftp://x", "https://", "https://x:99999", 3])
def test_a_server_that_is_none(server: object, tmp_path: Path) -> None:
    found = context(write(tmp_path / "c", cluster={"server": server}))
    with pytest.raises(UsageError, match="the server of cluster 'a' is no URL"):
        found.server()


def test_the_way_to_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def way(server: str, **cluster: str) -> str:
        return context(write(tmp_path / "c", cluster={"server": server, **cluster})).server().proxy

    assert way("https://api.example") == ""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "internal.example,10.0.0.0/8")
    assert way("https://api.example") == "http://proxy.example:3128"
    assert way("https://api.internal.example") == ""
    assert way("https://10.1.2.3:6443") == ""
    assert way("https://127.0.0.1:6443") == way("https://localhost") == ""
    assert way("https://api.internal.example", **{"proxy-url": "socks5://p:1080"}) == "socks5://p:1080"
    with pytest.raises(UsageError, match=r"context 'a'.*proxy-url: expected http, https or socks5"):
        way("https://api.example", **{"proxy-url": "ftp://p"})


def test_whom_to_trust(tmp_path: Path) -> None:
    found = context(
        write(tmp_path / "c", cluster={"tls-server-name": "kubernetes", "insecure-skip-tls-verify": True})
    ).server()
    assert (found.server_name, found.verified) == ("kubernetes", False)


# --- users ---


async def headers(tmp_path: Path, **user: Any) -> dict[str, list[str]]:
    found = await login(write(tmp_path / "c", user=user), tmp_path)
    by_name: dict[str, list[str]] = {}
    for name, value in found.access.headers:
        by_name.setdefault(name, []).append(value)
    return by_name


async def test_a_token(tmp_path: Path) -> None:
    assert await headers(tmp_path, token="abc\n") == {"Authorization": ["Bearer abc"]}


async def test_user_and_password(tmp_path: Path) -> None:
    expected = "Basic " + base64.b64encode(b"me:a:b").decode()
    assert await headers(tmp_path, username="me", password="a:b") == {"Authorization": [expected]}


async def test_whom_to_act_as(tmp_path: Path) -> None:
    found = await headers(
        tmp_path,
        token="t",
        **{
            "as": "jane",
            "as-uid": "7",
            "as-groups": ["dev", "ops"],
            "as-user-extra": {"example.org/scope": ["one", "two"]},
        },
    )
    assert found == {
        "Authorization": ["Bearer t"],
        "Impersonate-User": ["jane"],
        "Impersonate-Uid": ["7"],
        "Impersonate-Group": ["dev", "ops"],
        "Impersonate-Extra-example.org%2Fscope": ["one", "two"],
    }


async def test_nobody(tmp_path: Path) -> None:
    assert await headers(tmp_path) == {}


async def test_a_line_break_in_a_token_is_no_header(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has a line break in a value"):
        await headers(tmp_path, token="abc\r\nX: y")


async def test_a_tokens_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    found = await login(write(tmp_path / "c", user={"tokenFile": "token", "token": "other"}), tmp_path)
    assert found.access.headers == (("Authorization", "Bearer one"),), "the file counts"
    assert await found.renew() is False
    (tmp_path / "token").write_text("two\n")
    renewed = []

    async def note(access: object) -> None:
        renewed.append(access)

    found.on_renewed = note
    assert await found.renew() is True
    assert found.access.headers == (("Authorization", "Bearer two"),)
    assert renewed == [found.access]
    assert (tmp_path / "login" / "token").read_text() == "two"


async def test_what_another_program_gets(tmp_path: Path) -> None:
    """Everything in files of one folder, for the owner's eyes only."""
    user = {"token": "abc", "as": "jane", "as-groups": ["dev"]}
    cluster = {"tls-server-name": "x", "insecure-skip-tls-verify": True, "proxy-url": "socks5://p:1"}
    found = await login(write(tmp_path / "c", user=user, cluster=cluster), tmp_path)
    content = json.loads(found.kubeconfig.read_text())
    told = content["users"][0]["user"]
    assert told.pop("tokenFile") == str(tmp_path / "login" / "token")
    assert (tmp_path / "login" / "token").read_text() == "abc"
    assert told == {"as": "jane", "as-groups": ["dev"]}
    assert content["clusters"][0]["cluster"] == {"server": "https://api.example:6443", **cluster}
    assert stat.S_IMODE((tmp_path / "login").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "login").iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"auth-provider": {"name": "gcp"}}, "auth-provider 'gcp' is of the past"),
        ({"client-certificate-data": "!"}, "client-certificate-data is not base64"),
        ({"client-certificate": "none.crt", "client-key": "x"}, "client-certificate .*none.crt: No such file"),
        ({"client-key-data": "aGE="}, "client-certificate and client-key belong together"),
        ({"client-certificate-data": "aGE=", "client-key-data": "aGE="}, "is no PEM certificate"),
        ({"tokenFile": "none"}, "tokenFile .*none: No such file"),
        ({"exec": {}}, None),
        ({"exec": {"command": "x"}}, "apiVersion None is none of"),
    ],
)
async def test_what_is_wrong_with_a_user(user: dict[str, Any], said: str | None, tmp_path: Path) -> None:
    file = write(tmp_path / "c", user=user)
    if said is None:
        assert (await login(file, tmp_path)).access.headers == ()
        return
    with pytest.raises(UsageError, match=said) as caught:
        await login(file, tmp_path)
    assert "context 'a'" in str(caught.value)
    assert not (tmp_path / "login").exists()


async def test_a_wrong_authority_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "c", cluster={"certificate-authority-data": base64.b64encode(b"no PEM").decode()})
    with pytest.raises(UsageError, match="a certificate or key cannot be used"):
        await login(file, tmp_path)
