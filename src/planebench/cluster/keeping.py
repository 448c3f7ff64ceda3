"""Starts the process that keeps a named cluster; what it starts is told to it later (:mod:`.named`)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def keeper() -> AsyncIterator[asyncio.subprocess.Process]:
    """A keeper that loads its code, and waits to be told by :func:`.named.start` or :func:`.named.serve` what to
    start; it is ended where this is left by an exception."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "planebench.cluster.keeper",
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    try:
        yield process
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
        raise
