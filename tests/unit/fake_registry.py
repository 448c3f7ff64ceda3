"""A registry of a test's own on loopback: it can ask for tokens, redirect, lie and break off."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from oci import Layout


class FakeRegistry:
    """Serves images; use it as a context manager."""

    def __init__(self) -> None:
        self.images: dict[str, Layout] = {}
        """``repository:tag`` -> image."""
        self.token: str | None = None
        """Demanded of every request, and given by ``/token``."""
        self.basic = False
        self.redirect = False
        """Blobs lie elsewhere, where a token is an error."""
        self.asked: list[str] = []
        self.authorized_elsewhere = False
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.answer(self)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeRegistry:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(request.path)
        if path == "/token":
            _send(request, 200, json.dumps({"token": self.token}).encode())
        elif path.startswith("/elsewhere/"):
            self.authorized_elsewhere |= "Authorization" in request.headers
            self._blob(request, path.rpartition("/")[2])
        elif self.basic:
            _send(request, 401, b"", {"WWW-Authenticate": 'Basic realm="here"'})
        elif self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            challenge = f'Bearer realm="http://{self.address}/token",service="here"'
            _send(request, 401, b"", {"WWW-Authenticate": challenge})
        elif path == "/v2/":
            _send(request, 200, b"{}")
        elif "/manifests/" in path:
            self._manifest(request, path)
        elif self.redirect:
            _send(request, 307, b"", {"Location": f"http://{self.address}/elsewhere/{path.rpartition('/')[2]}"})
        else:
            self._blob(request, path.rpartition("/")[2])

    def _manifest(self, request: BaseHTTPRequestHandler, path: str) -> None:
        repository, _, reference = path.removeprefix("/v2/").partition("/manifests/")
        for name, image in self.images.items():
            if name == f"{repository}:{reference}":
                _send(request, 200, image.blobs[image.top], {"Docker-Content-Digest": image.top}, image.top_type)
                return
            if name.startswith(f"{repository}:") and reference in image.blobs:
                _send(request, 200, image.blobs[reference])
                return
        _send(request, 404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')

    def _blob(self, request: BaseHTTPRequestHandler, digest: str) -> None:
        found = next((image.blobs[digest] for image in self.images.values() if digest in image.blobs), None)
        if found is None:
            _send(request, 404, b"")
        else:
            _send(request, 200, found)


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    media_type: str = "application/octet-stream",
) -> None:
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Type", media_type)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
