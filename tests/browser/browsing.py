"""What tests of a page in a browser have in hand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from planebench.results import Result


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
