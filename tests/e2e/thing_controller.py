"""A controller of ``Thing`` objects, by the standard library alone: their phase becomes Pending, then Ready."""

from __future__ import annotations

import argparse
import base64
import http.server
import json
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

THINGS = "/apis/example.com/v1/things"


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers every GET with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Api:
    """The API server as a kubeconfig names it."""

    def __init__(self, kubeconfig: Path) -> None:
        content = json.loads(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self.server = cluster["server"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as file:
            for field in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[field]) + b"\n")
            file.flush()
            self.context.load_cert_chain(file.name)

    def ask(self, path: str, patch: Any = None) -> Any:
        method = "GET" if patch is None else "PATCH"
        request = urllib.request.Request(self.server + path, method=method)  # noqa: S310 (the kubeconfig's https)
        if patch is not None:
            request.data = json.dumps(patch).encode()
            request.add_header("Content-Type", "application/merge-patch+json")
        with urllib.request.urlopen(request, context=self.context) as answer:  # noqa: S310 (the same)
            return json.load(answer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--metrics-secure")
    for flag in ("--health-probe-bind-address", "--metrics-bind-address"):
        parser.add_argument(flag)
    options = parser.parse_args()
    for address in (options.health_probe_bind_address, options.metrics_bind_address):
        host, port = address.split(":")
        server = http.server.ThreadingHTTPServer((host, int(port)), Healthy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    api = Api(options.kubeconfig)
    while True:
        try:
            step(api)
        except urllib.error.HTTPError as error:
            # A new kind is not stored yet, which every client waits for; or an object has gone in the meantime.
            if error.code not in (404, 429):
                raise
        time.sleep(0.1)


def step(api: Api) -> None:
    """One look at all objects."""
    following = {"": "Pending", "Pending": "Ready"}
    for item in api.ask(THINGS)["items"]:
        phase = item.get("status", {}).get("phase", "")
        if phase in following:
            place = f"namespaces/{item['metadata']['namespace']}/things/{item['metadata']['name']}"
            api.ask(f"/apis/example.com/v1/{place}/status", {"status": {"phase": following[phase]}})


if __name__ == "__main__":
    main()
