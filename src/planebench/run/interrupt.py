"""Signals: the first one ends a run in order, the second one at once; nothing is left running by either."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import psutil

from planebench.model import ExitCode, PlanebenchError, UsageError

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(PlanebenchError):  # noqa: N818 (no fault of anything: someone wanted it)
    """The user, or the system, ended the run."""

    exit_code = ExitCode.INTERRUPTED


def run_interruptibly(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end; the first SIGINT, SIGTERM or SIGHUP cancels it and lets it clean up.

    A second signal kills every child process and cancels the clean-up, too.

    Raises:
        UsageError: this system is not Linux.
        Interrupted: a signal came; names it.
    """
    if sys.platform != "linux":
        main.close()
        raise UsageError(
            f"control planes and load need Linux (epoll, timerfd, pidfd), this is {sys.platform}; past runs can "
            "be shown, reported, exported and compared here (docs/installation.md)"
        )
    with asyncio.Runner() as runner:
        return runner.run(_interruptible(main))


async def _interruptible(main: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()
        if len(received) > 1:
            kill_children()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted(f"interrupted by {received[0].name}") from None
        raise
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)  # the loop leaves the system's: what follows would end without a word


def kill_children() -> None:
    """SIGKILL for every process below this one."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
