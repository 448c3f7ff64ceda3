"""Dask schedulers and workers as users start them: processes of their own, on this host or on several."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from distributed import Client

_PATIENCE_S = 60.0


@contextlib.contextmanager
def dask(
    folder: Path, hosts: Sequence[tuple[str, Sequence[str]]], scheduler_host: str = "127.0.0.1"
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler here, and a worker on each host: its address, and what stands before the command there.

    Gives the scheduler's address and the workers' processes; all are ended afterwards.
    """
    folder.mkdir()
    told = folder / "scheduler.json"
    own = ["--host", scheduler_host, "--port", "0", "--scheduler-file", str(told)]
    own += ["--dashboard-address", "127.0.0.1:0"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_process(folder / "scheduler.log", [sys.executable, "-m", "dask", "scheduler", *own]))
        limit_s = time.monotonic() + _PATIENCE_S
        while not told.exists():
            assert time.monotonic() < limit_s, (folder / "scheduler.log").read_text()
            time.sleep(0.05)
        address: str = json.loads(told.read_bytes())["address"]
        workers = []
        for number, (host, before) in enumerate(hosts):
            options = ["--host", host, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            place = folder / f"worker-{number}"
            command = [*before, sys.executable, "-m", "dask", "worker", address, *options]
            process = _process(folder / f"worker-{number}.log", [*command, "--local-directory", str(place)])
            workers.append(stack.enter_context(process))
        with Client(address) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(len(hosts), timeout=_PATIENCE_S)
        yield address, workers


@contextlib.contextmanager
def _process(log: Path, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
