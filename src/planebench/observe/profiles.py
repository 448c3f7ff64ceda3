"""CPU and heap profiles of every component that serves them, taken at one time and saved as they were served."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from planebench.kube.client import tls_context
from planebench.model import ComponentProcess, Endpoint, Profiler

CPU: Final = "cpu"
HEAP: Final = "heap"
_GRACE_S: Final = 30.0
_GZIP: Final = b"\x1f\x8b"


class ProfileTaker:
    """Takes profiles into ``FOLDER/PROCESS.KIND.pb.gz``, with ``FOLDER/index.json``."""

    def __init__(self, processes: Callable[[], Sequence[ComponentProcess]], folder: Path, t0_ns: int) -> None:
        self._processes = processes
        self._folder = folder
        self._t0_ns = t0_ns
        self._index: list[dict[str, object]] = []

    async def take(self, duration_s: float) -> None:
        """Profile all components at once for so long; a failure is noted in the index, not raised."""
        self._folder.mkdir(parents=True, exist_ok=True)
        targets = [item for item in self._processes() if item.profiler is not Profiler.NONE and item.metrics]
        timeout = aiohttp.ClientTimeout(total=duration_s + _GRACE_S)
        headers = {"User-Agent": "planebench-profile"}
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            await asyncio.gather(*(self._one(session, process, duration_s) for process in targets))
        (self._folder / "index.json").write_text(json.dumps(self._index, indent=1))

    async def _one(self, session: aiohttp.ClientSession, process: ComponentProcess, duration_s: float) -> None:
        assert process.metrics is not None  # noqa: S101 (filtered by the caller)
        source = _Source(session, process.metrics)
        if process.profiler is Profiler.PPROF:
            seconds = max(round(duration_s), 1)
            await self._save(process, CPU, source, f"/debug/pprof/profile?seconds={seconds}")
        else:
            await asyncio.sleep(duration_s)
        await self._save(process, HEAP, source, "/debug/pprof/heap")

    async def _save(self, process: ComponentProcess, kind: str, source: _Source, path: str) -> None:
        start_ns = time.monotonic_ns()
        try:
            content, error = await source.get(path), None
        except (aiohttp.ClientError, OSError) as failure:  # TimeoutError is an OSError
            content, error = b"", str(failure) or type(failure).__name__
        self._note(process, kind, start_ns, content, error)

    def _note(
        self, process: ComponentProcess, kind: str, start_ns: int, content: bytes, error: str | None
    ) -> None:
        if error is None and not content.startswith(_GZIP):
            error = "the answer is no profile"
        file = f"{process.name}.{kind}.pb.gz"
        if error is None:
            (self._folder / file).write_bytes(content)
        self._index.append(
            {
                "process": process.name,
                "component": process.component,
                "kind": kind,
                "start_ns": start_ns - self._t0_ns,
                "end_ns": time.monotonic_ns() - self._t0_ns,
                "file": file,
                "error": error,
            }
        )


class _Source:
    """Where one process serves its profiles: beside its metrics."""

    def __init__(self, session: aiohttp.ClientSession, metrics: Endpoint) -> None:
        self._session = session
        self._endpoint = metrics
        url = urlsplit(metrics.url)
        self._base = f"{url.scheme}://{url.netloc}"
        self._context = tls_context(metrics.ca, metrics.identity)

    async def get(self, path: str) -> bytes:
        async with self._session.get(
            self._base + path, ssl=self._context, server_hostname=self._endpoint.server_hostname
        ) as response:
            content = await response.read()
            if response.status != 200:
                said = content[:200].decode(errors="replace").strip()
                raise aiohttp.ClientError(f"HTTP {response.status}: {said}")
            return content
