"""Metrics of every component, saved as they were served; nothing is parsed while a run goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from planebench.kube.client import plain_reason
from planebench.model import ComponentProcess, Endpoint

_TIMEOUT_S: Final = 20.0
_LARGE: Final = frozenset({"kube-apiserver"})
"""Asked less often during the run: with KubeVirt a scrape of it costs 47 ms of its CPU, of others 3 to 11 ms."""
_LARGE_EVERY: Final = 6
_PROTOBUF: Final = "application/vnd.google.protobuf"
_ACCEPT: Final = (
    f"{_PROTOBUF};proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""Protobuf brings native histograms, and a fifth of the bytes; text is for what does not know it."""


class MetricsScraper:
    """Scrapes all components at once into ``FOLDER/LABEL/PROCESS.prom.gz``, with ``FOLDER/index.json``.

    Each file is what the component served: protobuf or text, as the index's ``format`` says.
    """

    def __init__(self, processes: Callable[[], Sequence[ComponentProcess]], folder: Path, t0_ns: int) -> None:
        self._processes = processes
        self._folder = folder
        self._t0_ns = t0_ns
        self._contexts: dict[Endpoint, ssl.SSLContext] = {}
        self._index: list[dict[str, object]] = []

    async def scrape(self, label: str, leave_out: Collection[str] = ()) -> None:
        """One scrape of every component that serves metrics, but for those left out; a failure is noted in the
        index, not raised."""
        targets = [
            process
            for process in self._processes()
            if process.metrics is not None and process.component not in leave_out
        ]
        target = self._folder / label
        target.mkdir(parents=True, exist_ok=True)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            self._index += await asyncio.gather(*(self._one(session, process, target) for process in targets))
        scratch = self._folder / "index.json.new"
        scratch.write_text(json.dumps(self._index, indent=1))
        scratch.replace(self._folder / "index.json")

    async def every(self, period_s: float, prefix: str = "during") -> None:
        """Scrape periodically until cancelled, large components every sixth time."""
        number = 0
        while True:
            await asyncio.sleep(period_s)
            number += 1
            await self.scrape(f"{prefix}-{number:03d}", () if number % _LARGE_EVERY == 0 else _LARGE)

    async def _one(
        self, session: aiohttp.ClientSession, process: ComponentProcess, folder: Path
    ) -> dict[str, object]:
        endpoint = process.metrics
        assert endpoint is not None  # noqa: S101 (filtered by the caller)
        start_ns = time.monotonic_ns()
        entry: dict[str, object] = {
            "t_ns": start_ns - self._t0_ns,
            "label": folder.name,
            "process": process.name,
            "component": process.component,
            "file": f"{folder.name}/{process.name}.prom.gz",
            "error": None,
            "bytes": 0,
            "format": "text",
        }
        try:
            async with session.get(
                endpoint.url,
                headers={"Accept": _ACCEPT, "User-Agent": "planebench-scrape"},
                ssl=self._context(endpoint),
                server_hostname=endpoint.server_hostname,
            ) as response:
                body = await response.read()
                if response.content_type == _PROTOBUF:
                    entry["format"] = "protobuf"
                if response.status != 200:
                    entry["error"] = f"HTTP {response.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            entry["error"] = plain_reason(error)
        else:
            entry["bytes"] = len(body)
            packed = await asyncio.to_thread(gzip.compress, body, 1)
            (folder / f"{process.name}.prom.gz").write_bytes(packed)
        entry["ms"] = round((time.monotonic_ns() - start_ns) / 1e6, 3)
        return entry

    def _context(self, endpoint: Endpoint) -> ssl.SSLContext | bool:
        if not endpoint.url.startswith("https:"):
            return True
        context = self._contexts.get(endpoint)
        if context is None:
            context = ssl.create_default_context(cafile=endpoint.ca)
            if endpoint.ca is None:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if endpoint.identity is not None:
                context.load_cert_chain(endpoint.identity.certificate, endpoint.identity.key)
            self._contexts[endpoint] = context
        return context
