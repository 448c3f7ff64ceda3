"""Metrics of every component, saved as they were served; nothing is parsed while a run goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from planebench.kube.client import plain_reason, tls_context
from planebench.model import ComponentProcess, Endpoint, PlanebenchError

_TIMEOUT_S: Final = 20.0
_LARGE: Final = frozenset({"kube-apiserver"})
"""Asked less often during the run: with many kinds a scrape of it costs 47 ms of its CPU, of others 3 to 11 ms."""
_LARGE_EVERY: Final = 6
_PROTOBUF: Final = "application/vnd.google.protobuf"
_ACCEPT: Final = (
    f"{_PROTOBUF};proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""Protobuf brings native histograms, and a fifth of the bytes; text is for what does not know it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Metrics of something that is no process of planebench's."""

    process: str
    component: str
    fetch: Callable[[str], Awaitable[tuple[bytes, str]]]
    """Given the wanted media types: what is served, and its media type. Raises PlanebenchError."""


class MetricsScraper:
    """Scrapes all components at once into ``FOLDER/LABEL/PROCESS.prom.gz``, with ``FOLDER/index.json``.

    Each file is what the component served: protobuf or text, as the index's ``format`` says.
    """

    def __init__(
        self,
        processes: Callable[[], Sequence[ComponentProcess]],
        folder: Path,
        t0_ns: int,
        sources: Sequence[Source] = (),
    ) -> None:
        self._processes = processes
        self._sources = sources
        self._folder = folder
        self._t0_ns = t0_ns
        self._contexts: dict[Endpoint, ssl.SSLContext] = {}
        self._index: list[dict[str, object]] = []

    async def scrape(self, label: str, leave_out: Collection[str] = ()) -> None:
        """One scrape of every component that serves metrics, but for those left out; a failure is noted in the
        index, not raised."""
        target = self._folder / label
        target.mkdir(parents=True, exist_ok=True)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            sources = [*self._sources, *(self._source(session, process) for process in self._processes())]
            wanted = [source for source in sources if source and source.component not in leave_out]
            self._index += await asyncio.gather(*(self._one(source, target) for source in wanted))
        self.write_index()

    def add(self, entries: Sequence[dict[str, object]]) -> None:
        """Note scrapes that others have written."""
        self._index += entries
        self.write_index()

    def write_index(self) -> None:
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

    def _source(self, session: aiohttp.ClientSession, process: ComponentProcess) -> Source | None:
        """A component's metrics; None: it serves none."""
        endpoint = process.metrics
        if endpoint is None:
            return None

        async def of_endpoint(accept: str) -> tuple[bytes, str]:
            return await fetch(session, endpoint, accept, self._context(endpoint))

        return Source(process.name, process.component, of_endpoint)

    async def _one(self, source: Source, folder: Path) -> dict[str, object]:
        start_ns = time.monotonic_ns()
        entry: dict[str, object] = {
            "t_ns": start_ns - self._t0_ns,
            "label": folder.name,
            "process": source.process,
            "component": source.component,
            "file": f"{folder.name}/{source.process}.prom.gz",
            "error": None,
            "bytes": 0,
            "format": "text",
        }
        try:
            body, media_type = await source.fetch(_ACCEPT)
        except (aiohttp.ClientError, OSError, PlanebenchError) as error:  # TimeoutError is an OSError
            entry["error"] = plain_reason(error)
        else:
            entry["bytes"] = len(body)
            if media_type == _PROTOBUF:
                entry["format"] = "protobuf"
            packed = await asyncio.to_thread(gzip.compress, body, 1)
            (folder / f"{source.process}.prom.gz").write_bytes(packed)
        entry["ms"] = round((time.monotonic_ns() - start_ns) / 1e6, 3)
        return entry

    def _context(self, endpoint: Endpoint) -> ssl.SSLContext | bool:
        if not endpoint.url.startswith("https:"):
            return True
        context = self._contexts.get(endpoint)
        if context is None:
            context = self._contexts[endpoint] = tls_context(endpoint.ca, endpoint.identity)
        return context


async def fetch(
    session: aiohttp.ClientSession, endpoint: Endpoint, accept: str, trust: ssl.SSLContext | bool
) -> tuple[bytes, str]:
    """What an endpoint serves, and its media type.

    Raises aiohttp.ClientError or OSError where it does not answer, PlanebenchError where it refuses.
    """
    async with session.get(
        endpoint.url, headers=_headers(endpoint, accept), ssl=trust, server_hostname=endpoint.server_hostname
    ) as response:
        body = await response.read()
        if response.status != 200:
            raise PlanebenchError(f"HTTP {response.status}")
        return body, response.content_type


def _headers(endpoint: Endpoint, accept: str) -> dict[str, str]:
    headers = {"Accept": accept, "User-Agent": "planebench-scrape"}
    return headers | {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else headers
