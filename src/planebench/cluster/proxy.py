"""Tells toxiproxy what to do with which connections, over its HTTP API.

Source: github.com/Shopify/toxiproxy/v2 v2.12.0, README.md (HTTP API, Toxics).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

import aiohttp

from planebench.components import Link
from planebench.model import ComponentError

_TIMEOUT_S: Final = 10.0

Direction = Literal["upstream", "downstream"]
"""From the client to the server, or back."""


class ProxyClient:
    """Requests to one toxiproxy; an async context manager. Every refusal raises ComponentError."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def enable(self, link: Link, *, enabled: bool) -> None:
        """Let connections through again; or close all of them and refuse new ones."""
        await self._ask("POST", f"/proxies/{link.name}", {"enabled": enabled})

    async def add(self, link: Link, kind: str, direction: Direction, attributes: Mapping[str, int]) -> None:
        """Spoil a link's connections, those that are open, too, with a toxic of a kind: one for each direction."""
        body = {"name": f"{kind}-{direction}", "type": kind, "stream": direction, "attributes": attributes}
        await self._ask("POST", f"/proxies/{link.name}/toxics", body)

    async def clear(self, link: Link) -> None:
        """Take all of a link's toxics away, and let connections through."""
        found = await self._ask("GET", f"/proxies/{link.name}")
        for toxic in found.get("toxics") or ():
            await self._ask("DELETE", f"/proxies/{link.name}/toxics/{toxic['name']}")
        if not found["enabled"]:
            await self.enable(link, enabled=True)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            async with self._session.request(method, self._url + path, json=body) as response:
                content = await response.read()
                if not response.ok:
                    said = content.decode(errors="replace").strip()
                    raise ComponentError(f"toxiproxy: {method} {path}: {said}", component="toxiproxy")
                answer: dict[str, Any] = await response.json(content_type=None) if content else {}
                return answer
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            reason = str(error) or type(error).__name__
            raise ComponentError(f"toxiproxy: {method} {path}: {reason}", component="toxiproxy") from None
