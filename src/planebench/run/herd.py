"""Clients of a control plane that has just come back: each lists all pods anew, and watches them from then on.

They do what client-go's informers do (kubernetes v1.37.2, staging/src/k8s.io/client-go/tools/cache/reflector.go):
a list that is streamed by a watch (WatchList); where that fails, again after 0.8 s, then twice as long each time
up to 30 s, and by chance up to twice that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final, Self

from planebench.kube.client import ApiError, Client
from planebench.model import Access

_PODS: Final = "/api/v1/pods"
_INITIAL: Final = {
    "allowWatchBookmarks": "true",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
}
_LISTED: Final = b'"k8s.io/initial-events-end":"true"'
"""In the bookmark that ends the list."""
_FIRST_WAIT_S: Final = 0.8
_LONGEST_WAIT_S: Final = 30.0
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


class Herd:
    """So many of them, each with a connection of its own; an async context manager that ends them."""

    def __init__(self, count: int, seed: int, on_synced: Callable[[int], None]) -> None:
        """``on_synced`` is told how many have listed everything, when one more has; ``seed`` is of the waits."""
        self.count = count
        self._seed = seed
        self._on_synced = on_synced
        self._synced = 0
        self._outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        if not count:
            self._outcome.set_result(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._outcome.cancel()

    def begin(self, access: Access) -> None:
        """Let them come, all at once."""
        for number in range(self.count):
            chance = random.Random(f"{self._seed} {number}")  # noqa: S311 (no secret)
            self._tasks.append(asyncio.create_task(self._inform(access, chance)))

    async def synced(self) -> None:
        """Waits until all have listed everything. Raises ApiError where one was refused for good."""
        await asyncio.shield(self._outcome)

    async def _inform(self, access: Access, chance: random.Random) -> None:
        wait_s, listed = _FIRST_WAIT_S, False
        async with Client(access, user_agent="planebench-herd") as client:
            while True:
                try:
                    async for line in client.watch_lines(_PODS, **_INITIAL):
                        if not listed and _LISTED in line:
                            listed = True
                            self._one_more()
                except ApiError as error:
                    if 0 < error.status < _SERVER_ERROR and error.status != _TOO_MANY:
                        if not self._outcome.done():
                            self._outcome.set_exception(error)
                        return
                await asyncio.sleep(wait_s * (1 + chance.random()))
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _one_more(self) -> None:
        self._synced += 1
        self._on_synced(self._synced)
        if self._synced == self.count and not self._outcome.done():
            self._outcome.set_result(None)
