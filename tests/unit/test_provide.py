"""Components are got ready in a thread of their own; an interruption ends it without a word of asyncio's."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

import pytest

from planebench import binaries
from planebench.binaries import BuildProgress
from planebench.planes import load_plane
from planebench.run.listener import Silent
from planebench.run.provision import provide

SLOW = BuildProgress("etcd", "etcd", 1, 1000, None, "compile")


async def test_an_interrupted_build_has_ended_and_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    building = asyncio.Event()
    ended: list[BaseException] = []
    said: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context))

    def resolve(*_: object, on_progress: Callable[[BuildProgress], None], **__: object) -> None:
        loop.call_soon_threadsafe(building.set)
        try:
            while True:
                on_progress(SLOW)
                time.sleep(0.001)  # as a compiler's lines come
        except BaseException as error:
            ended.append(error)
            raise

    monkeypatch.setattr(binaries, "resolve", resolve)
    providing = asyncio.create_task(provide(load_plane("core"), {}, Silent()))
    await building.wait()
    providing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await providing
    assert [str(error) for error in ended] == ["the build was interrupted"]
    ended.clear()
    del providing
    await loop.shutdown_default_executor()  # a thread that still ends keeps its task
    gc.collect()
    assert said == []
