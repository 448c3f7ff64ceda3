"""Certificates: X.509 v3, ECDSA P-256, three authorities as kubeadm has them.

Source of names and subjects: https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from planebench.components.layout import Layout
from planebench.model import Identity

_LIFE = datetime.timedelta(days=365)
_EARLIER = datetime.timedelta(minutes=5)
"""A clock that is set back a little must not make a new certificate invalid."""


class Authority:
    """A certificate authority whose files lie at ``NAME.crt`` and ``NAME.key`` of the layout's PKI folder."""

    def __init__(self, layout: Layout, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._layout = layout
        self._key = key
        self._certificate = certificate

    @classmethod
    def create(cls, layout: Layout, name: str, subject: str) -> Authority:
        """A new one. Raises FileExistsError where the files exist."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = _name(subject)
        usage = _key_usage(authority=True)
        certificate = (
            _builder(issuer, issuer, key.public_key(), key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(layout, name, key, certificate)
        return cls(layout, key, certificate)

    @classmethod
    def obtain(cls, layout: Layout, name: str, subject: str) -> Authority:
        """The one whose files are there, as of a checkpoint; else a new one."""
        return cls.load(layout, name) if layout.key(name).exists() else cls.create(layout, name, subject)

    @classmethod
    def load(cls, layout: Layout, name: str) -> Authority:
        """An existing one."""
        key = serialization.load_pem_private_key(layout.key(name).read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{layout.key(name)}: not an ECDSA key")
        return cls(layout, key, x509.load_pem_x509_certificate(layout.certificate(name).read_bytes()))

    def issue(
        self,
        name: str,
        user: str,
        groups: Sequence[str] = (),
        *,
        server_names: Sequence[str] = (),
        client: bool = True,
    ) -> Identity:
        """A certificate at ``NAME.crt`` for a user with groups, a server with DNS names and addresses, or both.

        Raises FileExistsError where it exists.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(user, groups), self._certificate.subject, key.public_key(), self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
        )
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH] if client else []
        if server_names:
            purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
            names = [_general_name(name) for name in server_names]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        _write(self._layout, name, key, builder.sign(self._key, hashes.SHA256()))
        return Identity(user, tuple(groups), self._layout.certificate(name), self._layout.key(name))


def write_key_pair(private: Path, public: Path) -> None:
    """A key pair without a certificate: what service account tokens are signed with."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_secret(private, _private_pem(key))
    write_secret(
        public,
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def write_secret(file: Path, content: bytes) -> None:
    """A new file for the owner's eyes only, in folders for the owner only. Raises FileExistsError."""
    make_private(file.parent)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def make_private(folder: Path) -> None:
    """Make a folder, with those above it that are missing, for the owner only."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):  # `parents=True` would leave all but the last one open to others
        one.mkdir(mode=0o700, exist_ok=True)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _name(user: str, groups: Sequence[str] = ()) -> x509.Name:
    """Kubernetes reads the user from CN and the groups from O."""
    groups_first = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*groups_first, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(layout: Layout, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    write_secret(layout.key(name), _private_pem(key))
    write_secret(layout.certificate(name), certificate.public_bytes(serialization.Encoding.PEM))
