"""A validating webhook that permits everything, after a sleep; a server in a thread of its own."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from planebench.cluster.pki import Authority
from planebench.components import Layout

NAME = "sleeping.planebench.dev"


class SleepingWebhook:
    """For pods with a label; a context manager."""

    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    mark = {"metadata": {"labels": {"planebench.dev/held": "yes"}}}  # noqa: RUF012 (never changed)

    def __init__(self, folder: Path, sleep_s: float) -> None:
        self.held_s: list[float] = []
        """From each request's head read to its answer written, as this server saw it."""
        layout = Layout(folder / "webhook")
        authority = Authority.create(layout, "ca", "webhook")
        authority.issue("server", "webhook", server_names=["127.0.0.1"], client=False)
        self._ca = layout.ca
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                start_s = time.monotonic()
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(sleep_s)
                response = {"uid": review["request"]["uid"], "allowed": True}
                body = json.dumps({**review, "request": None, "response": response}).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body)
                outer.held_s.append(time.monotonic() - start_s)

            def log_message(self, format: str, *args: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(layout.certificate("server"), layout.key("server"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def configuration(self) -> dict[str, Any]:
        port = self._server.server_address[1]
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "sleeping"},
            "webhooks": [
                {
                    "name": NAME,
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{port}/",
                        "caBundle": base64.b64encode(self._ca.read_bytes()).decode(),
                    },
                    "rules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
                    ],
                    "objectSelector": {"matchLabels": self.mark["metadata"]["labels"]},
                }
            ],
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
