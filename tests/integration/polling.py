"""Waiting for what a real cluster does in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0


async def until(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Ask again and again until the answer is neither None nor False."""
    async with asyncio.timeout(PATIENCE_S):
        while not (answer := await ask()):  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.05)
        return answer
