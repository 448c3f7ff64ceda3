"""What tests of a page in a browser have in hand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page

from planebench.results import Result

DRAWN = "html[data-drawn]"
PATIENCE_MS = 60_000


@dataclass
class Report:
    """A report's file and what it was made from."""

    path: Path
    result: Result


@dataclass
class Opened:
    """A report in a browser's page, and what the page said and asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


Open = Callable[..., Coroutine[Any, Any, Opened]]
"""Opens the report; arguments are those of a browser context, and whether to wait until all is drawn."""


async def opened(context: BrowserContext, path: Path, *, wait: bool = True) -> Opened:
    """A page from disk; ``wait``: until all its charts are drawn."""
    found = Opened(await context.new_page())
    page = found.page
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.said.append(f"error: {error}"))
    page.on("request", lambda request: found.asked.append(request.url))
    await page.goto(path.as_uri())
    if wait:
        await page.wait_for_selector(DRAWN)
    return found
