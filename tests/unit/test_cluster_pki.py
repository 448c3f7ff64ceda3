"""Certificates, kubeconfigs and ports of a cluster."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from planebench.cluster import kubeconfig
from planebench.cluster.pki import Authority, write_key_pair, write_secret
from planebench.cluster.ports import Ports
from planebench.components import Layout
from planebench.model import Access


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "cluster")


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    """Files are to be private whatever the user's umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def certificate(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(layout.certificate(name).read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(oid)]


# --- authorities ---------------------------------------------------------------------------------------------


def test_an_authority(layout: Layout) -> None:
    Authority.create(layout, "ca", "kubernetes")
    found = certificate(layout, "ca")
    assert found.version is x509.Version.v3
    assert names(found.subject, NameOID.COMMON_NAME) == ["kubernetes"]
    assert found.issuer == found.subject
    constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.critical) == (True, True)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.critical) == (True, True, True)
    found.verify_directly_issued_by(found)


def test_an_authority_is_read_again(layout: Layout) -> None:
    Authority.create(layout, "ca", "kubernetes")
    Authority.load(layout, "ca").issue("a", "someone")
    certificate(layout, "a").verify_directly_issued_by(certificate(layout, "ca"))


def test_an_authority_with_another_kind_of_key(layout: Layout) -> None:
    Authority.create(layout, "ca", "kubernetes")
    key = ed25519.Ed25519PrivateKey.generate()
    layout.key("ca").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(TypeError, match=r"ca\.key: not an ECDSA key"):
        Authority.load(layout, "ca")


def test_nothing_is_overwritten(layout: Layout) -> None:
    authority = Authority.create(layout, "ca", "kubernetes")
    authority.issue("a", "someone")
    before = layout.key("a").read_bytes(), layout.ca.read_bytes()
    with pytest.raises(FileExistsError):
        Authority.create(layout, "ca", "other")
    with pytest.raises(FileExistsError):
        authority.issue("a", "someone-else")
    assert (layout.key("a").read_bytes(), layout.ca.read_bytes()) == before


# --- certificates --------------------------------------------------------------------------------------------


def test_a_client(layout: Layout) -> None:
    identity = Authority.create(layout, "ca", "kubernetes").issue(
        "admin", "kubernetes-admin", ["system:masters", "b"]
    )
    found = certificate(layout, "admin")
    assert found.version is x509.Version.v3
    assert names(found.subject, NameOID.COMMON_NAME) == ["kubernetes-admin"]
    assert sorted(names(found.subject, NameOID.ORGANIZATION_NAME)) == ["b", "system:masters"]
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not found.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    with pytest.raises(x509.ExtensionNotFound):
        found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert (identity.user, identity.groups) == ("kubernetes-admin", ("system:masters", "b"))
    assert (identity.certificate, identity.key) == (layout.certificate("admin"), layout.key("admin"))


def test_a_server(layout: Layout) -> None:
    authority = Authority.create(layout, "ca", "kubernetes")
    authority.issue("server", "server", server_names=["localhost", "127.0.0.1", "::1", "a.svc"], client=False)
    found = certificate(layout, "server")
    alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == ["localhost", "a.svc"]
    assert alternative.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_peer_is_both(layout: Layout) -> None:
    Authority.create(layout, "etcd/ca", "etcd-ca").issue("etcd/peer", "peer", server_names=["127.0.0.1"])
    purposes = certificate(layout, "etcd/peer").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


def test_a_certificate_s_key_issuer_and_life(layout: Layout) -> None:
    Authority.create(layout, "ca", "kubernetes").issue("a", "someone")
    found, ca = certificate(layout, "a"), certificate(layout, "ca")
    found.verify_directly_issued_by(ca)
    key = serialization.load_pem_private_key(layout.key("a").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert key.public_key() == found.public_key()
    own = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier == own.digest
    assert found.serial_number != ca.serial_number
    now = datetime.datetime.now(datetime.UTC)
    assert found.not_valid_before_utc < now - datetime.timedelta(minutes=4), "clocks may be set back a little"
    assert found.not_valid_after_utc > now + datetime.timedelta(days=300)


def test_keys_are_for_their_owner_only(layout: Layout) -> None:
    Authority.create(layout, "etcd/ca", "etcd-ca").issue("etcd/server", "server")
    write_key_pair(layout.key("sa"), layout.pki / "sa.pub")
    for path in (layout.key("etcd/ca"), layout.key("etcd/server"), layout.key("sa")):
        assert mode(path) == 0o600, path
    for folder in (layout.folder, layout.pki, layout.pki / "etcd"):
        assert mode(folder) == 0o700, folder


def test_the_key_of_service_accounts(layout: Layout) -> None:
    write_key_pair(layout.key("sa"), layout.pki / "sa.pub")
    private = serialization.load_pem_private_key(layout.key("sa").read_bytes(), password=None)
    public = serialization.load_pem_public_key((layout.pki / "sa.pub").read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.public_key() == public
    with pytest.raises(FileExistsError):
        write_key_pair(layout.key("sa"), layout.pki / "sa.pub")


def test_a_secret_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "link", b"secret")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    write_secret(tmp_path / "shared" / "own" / "secret", b"secret")
    assert (mode(tmp_path / "shared"), mode(tmp_path / "shared" / "own")) == (0o755, 0o700)


# --- kubeconfigs ---------------------------------------------------------------------------------------------


def test_a_kubeconfig(layout: Layout) -> None:
    identity = Authority.create(layout, "ca", "kubernetes").issue("admin", "kubernetes-admin", ["system:masters"])
    file = kubeconfig.write(
        layout.kubeconfig("admin"), Access("127.0.0.1", 6443, layout.ca, identity), "a-cluster"
    )
    assert mode(file) == 0o600
    content = json.loads(file.read_text())
    assert (content["apiVersion"], content["kind"]) == ("v1", "Config")
    (cluster,), (user,), (context,) = content["clusters"], content["users"], content["contexts"]
    assert content["current-context"] == context["name"] == cluster["name"] == "a-cluster"
    assert context["context"] == {"cluster": "a-cluster", "user": user["name"]}
    assert user["name"] == "kubernetes-admin"
    assert cluster["cluster"]["server"] == "https://127.0.0.1:6443"
    for key, place, path in (
        ("certificate-authority-data", cluster["cluster"], layout.ca),
        ("client-certificate-data", user["user"], identity.certificate),
        ("client-key-data", user["user"], identity.key),
    ):
        assert base64.b64decode(place[key]) == path.read_bytes(), "it can be copied: all is in it"
    with pytest.raises(FileExistsError):
        kubeconfig.write(file, Access("127.0.0.1", 1, layout.ca, identity), "other")


# --- ports ---------------------------------------------------------------------------------------------------


@pytest.fixture
def ports() -> Iterator[Ports]:
    held = Ports()
    yield held
    held.close()


def bind(port: int, *, reuse: bool) -> socket.socket:
    taker = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        taker.bind(("127.0.0.1", port))
        taker.listen()
    except OSError:
        taker.close()
        raise
    return taker


def test_ports_differ(ports: Ports) -> None:
    found = [ports.take() for _ in range(20)]
    assert len(set(found)) == 20
    assert all(1024 <= port < 65536 for port in found)


def test_a_held_port_is_for_whom_asks_for_it_as_go_does(ports: Ports) -> None:
    port = ports.take()
    with pytest.raises(OSError, match="in use"):
        bind(port, reuse=False)
    with bind(port, reuse=True), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


def test_nobody_answers_at_a_held_port(ports: Ports) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports.take()), timeout=5)


def test_closed_ports_are_free_again(ports: Ports) -> None:
    port = ports.take()
    ports.close()
    bind(port, reuse=False).close()
    ports.close()
