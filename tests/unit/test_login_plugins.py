"""Plugins that give credentials (``exec`` of a kubeconfig), and certificates that end."""

from __future__ import annotations

import datetime
import json
import stat
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_kubeconfig import context, login, write

from planebench.kube.login import Login
from planebench.model import UsageError

V1 = "client.authentication.k8s.io/v1"


def plugin(folder: Path, body: str) -> str:
    """A program whose ``told`` is what it was told, and which prints ``status``."""
    file = folder / "plugin"
    file.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "told = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\nstatus = {}\n"
        + textwrap.dedent(body)
        + "\nprint(json.dumps({'apiVersion': told['apiVersion'], 'kind': 'ExecCredential', 'status': status}))\n"
    )
    file.chmod(0o755)
    return str(file)


def user(command: str, **fields: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": V1, "interactiveMode": "Never", "command": command, **fields}}


async def test_a_token_from_a_plugin(tmp_path: Path) -> None:
    command = plugin(tmp_path, "status['token'] = sys.argv[1] + os.environ['MORE']")
    fields = {"args": ["abc"], "env": [{"name": "MORE", "value": "def"}]}
    found = await login(write(tmp_path / "c", user=user(command, **fields)), tmp_path)
    assert found.access.headers == (("Authorization", "Bearer abcdef"),)


async def test_what_a_plugin_is_told(tmp_path: Path) -> None:
    command = plugin(tmp_path, "status['token'] = json.dumps(told['spec'])")
    cluster = {
        "tls-server-name": "x",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "y"}}],
    }
    file = write(tmp_path / "c", user=user(command, provideClusterInfo=True), cluster=cluster)
    found = await login(file, tmp_path)
    told = json.loads(found.access.headers[0][1].removeprefix("Bearer "))
    assert told == {
        "interactive": False,
        "cluster": {"server": "https://api.example:6443", "tls-server-name": "x", "config": {"audience": "y"}},
    }


async def test_a_plugins_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    counter.write_text("0")
    command = plugin(
        tmp_path,
        f"""
        n = int(open({str(counter)!r}).read()) + 1
        open({str(counter)!r}, "w").write(str(n))
        status = {{"token": f"t{{n}}", "expirationTimestamp": "2020-01-01T00:00:00Z"}}
        """,
    )
    found = await login(write(tmp_path / "c", user=user(command)), tmp_path)
    assert await found.renew() is True
    assert found.access.headers == (("Authorization", "Bearer t2"),)


async def test_a_certificate_from_a_plugin(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path, days=1)
    command = plugin(
        tmp_path,
        f"""
        status["clientCertificateData"] = open({str(certificate)!r}).read()
        status["clientKeyData"] = open({str(key)!r}).read()
        """,
    )
    found = await login(write(tmp_path / "c", user=user(command)), tmp_path)
    first = found.access.identity
    assert first is not None and first.certificate.read_text() == certificate.read_text()
    certified(tmp_path, days=2)
    assert await found.renew() is True
    second = found.access.identity
    assert second is not None and second.certificate.read_text() == certificate.read_text()
    assert first.certificate.exists(), "whoever uses it still has it"
    assert stat.S_IMODE(second.key.stat().st_mode) == 0o600
    told = json.loads(found.kubeconfig.read_text())["users"][0]["user"]
    assert told["client-certificate"] == str(tmp_path / "login" / "client.crt")
    assert (tmp_path / "login" / "client.crt").read_text() == certificate.read_text()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('no such account')", "ended with exit status 1: no such account"),
        ("print('hello')", "answered with something else than an ExecCredential"),
        ("", "gave neither a token nor a certificate"),
        ("status['clientCertificateData'] = 'x'", "gave neither a token nor a certificate with its key"),
        ("told['apiVersion'] = 'v2'; status['token'] = 't'", "answered with ExecCredential v2"),
        ("status = {'token': 't', 'expirationTimestamp': 'soon'}", "gave an expirationTimestamp that is none"),
    ],
)
async def test_a_plugin_that_fails(body: str, said: str, tmp_path: Path) -> None:
    file = write(tmp_path / "c", user=user(plugin(tmp_path, body)))
    with pytest.raises(UsageError) as caught:
        await login(file, tmp_path)
    assert f"the plugin plugin of user 'a' {said}" in str(caught.value)


async def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    file = write(tmp_path / "c", user=user("no-such-plugin", installHint="see https://example.org"))
    with pytest.raises(
        UsageError, match=r"cannot be started: No such file or directory; see https://example\.org"
    ):
        await login(file, tmp_path)


async def test_a_plugin_that_must_ask_and_cannot(tmp_path: Path) -> None:
    file = write(tmp_path / "c", user=user(plugin(tmp_path, ""), interactiveMode="Always"))
    with pytest.raises(UsageError, match="wants to ask at the terminal, and there is none now"):
        await login(file, tmp_path)


async def test_a_failed_renewal_keeps_the_old_credentials(tmp_path: Path) -> None:
    file = write(tmp_path / "c", user=user(plugin(tmp_path, "status['token'] = 't'")))
    found = await login(file, tmp_path)
    plugin(tmp_path, "sys.exit(1)")
    with pytest.raises(UsageError):
        await found.renew()
    assert found.access.headers == (("Authorization", "Bearer t"),)


async def test_an_expired_certificate(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path, days=-1)
    file = write(tmp_path / "c", user={"client-certificate": str(certificate), "client-key": str(key)})
    with pytest.raises(UsageError, match=r"the certificate of user 'a' has expired on \d{4}-"):
        await Login.open(context(file), tmp_path / "login")


def certified(folder: Path, days: float) -> tuple[Path, Path]:
    """A certificate that ends in so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    files = folder / "user.crt", folder / "user.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files
