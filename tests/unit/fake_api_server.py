"""A TLS server that misbehaves as scripted, for the faults of our own client: no figure ever comes from it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from planebench.model import Access, Identity


@dataclass
class Request:
    """A request as it arrived, and the connection to answer it on."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter
    connection: int
    headers: dict[str, str]
    """Names in lower case."""

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each in a TLS record of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self, status: int, body: object = None, **headers: str) -> None:
        """A whole reply."""
        content = json.dumps(body if body is not None else {}).encode()
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    async def refuse(self, status: int, reason: str, message: str, **headers: str) -> None:
        """An error as the API server writes it."""
        failure = {"kind": "Status", "code": status, "reason": reason, "message": message}
        await self.answer(status, failure, **headers)

    async def start_watch(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def event(self, kind: str, obj: dict[str, Any]) -> None:
        line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
        await self.send(b"%x\r\n%s\r\n" % (len(line), line))

    async def end_watch(self) -> None:
        await self.send(b"0\r\n\r\n")

    def hang_up(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Request], Awaitable[None]]


class FakeAPIServer:
    """Answers each request as its script says."""

    def __init__(self, access: Access, script: Script) -> None:
        self.access = access
        self.script = script
        self.requests: list[Request] = []
        self.closed = False
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if self.closed:
            writer.transport.abort()
        number = len(self.writers)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split("\r\n", 1)[0].split(" ")
                lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
                headers = {name.lower(): value for name, value in lines}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                url = urlsplit(target)
                query = dict(parse_qsl(url.query))
                request = Request(method, url.path, query, body, writer, number, headers)
                self.requests.append(request)
                await self.script(request)
        writer.close()


@contextlib.asynccontextmanager
async def fake_api_server(
    folder: Path, script: Script, *, certificates: bool = True, tls: bool = True
) -> AsyncIterator[FakeAPIServer]:
    """Run a server on a free port of the loopback; it wants client ``certificates``, where it has TLS at all."""
    authority = _authority(folder)
    user = Identity("load", (), folder / "load.crt", folder / "load.key")
    server = FakeAPIServer(Access("127.0.0.1", 0, authority, user), script)
    context = server_context(folder)
    if certificates:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context if tls else None)
    port = listener.sockets[0].getsockname()[1]
    server.access = Access("127.0.0.1", port, authority, user if certificates else None, tls=tls)
    try:
        yield server
    finally:
        listener.close()
        server.closed = True
        for writer in server.writers:
            writer.transport.abort()


def server_context(folder: Path) -> ssl.SSLContext:
    """With the server's certificate; the folder's authority must have been made."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return context


@contextlib.asynccontextmanager
async def torn(access: Access, tail_bytes: int) -> AsyncIterator[Access]:
    """A way to a server on which the last bytes of whatever it sends come late."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late_bytes: int) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                writer.write(data[:-late_bytes] if late_bytes else data)
                await writer.drain()
                if late_bytes:
                    await asyncio.sleep(0.02)
                    writer.write(data[-late_bytes:])
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(access.host, access.port)
        await asyncio.gather(forward(reader, to_server, 0), forward(from_server, writer, tail_bytes))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield replace(access, port=listener.sockets[0].getsockname()[1])
    finally:
        listener.close()


def _authority(folder: Path) -> Path:
    """Make a CA, a server's and a client's certificate; the CA's file."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, authority_name = ec.generate_private_key(ec.SECP256R1()), _name("test-ca")
    _certificate(folder / "ca", authority_name, authority_key, authority_name, authority_key, ca=True)
    for name in ("server", "load"):
        key = ec.generate_private_key(ec.SECP256R1())
        _certificate(folder / name, _name(name), key, authority_name, authority_key, ca=False)
    return folder / "ca.crt"


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    stem: Path,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    stem.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    stem.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
