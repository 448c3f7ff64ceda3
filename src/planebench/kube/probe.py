"""Asking an HTTPS endpoint whether it is ready."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import aiohttp

from planebench.kube.client import tls_context
from planebench.model import Endpoint

_TIMEOUT = aiohttp.ClientTimeout(total=1.0)


class Prober:
    """Asks one endpoint over one connection; an async context manager."""

    def __init__(self, endpoint: Endpoint, contains: str = "") -> None:
        self._endpoint = endpoint
        self._contains = contains
        self.answer = "not asked yet"
        """What stood in the way the last time."""

    async def __aenter__(self) -> Self:
        context = tls_context(self._endpoint.ca, self._endpoint.identity)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=_TIMEOUT,
            headers={"User-Agent": "planebench-probe"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ready(self) -> bool:
        """Whether a GET answers 200 with the expected text."""
        try:
            async with self._session.get(
                self._endpoint.url, server_hostname=self._endpoint.server_hostname
            ) as response:
                body = await response.text(errors="replace")
        except (aiohttp.ClientError, OSError) as error:
            self.answer = str(error) or type(error).__name__
            return False
        if response.status == 200 and self._contains in body:
            return True
        self.answer = f"HTTP {response.status} {body[-300:].strip()}"
        return False
