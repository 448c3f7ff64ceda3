"""The process that keeps a named cluster: ``python -m planebench.cluster.keeper``.

It is told the cluster's folder by the first line of its standard input, and ends where there is none. It tells its
starter, line by line, how far it is: ``status TEXT``, then ``ready`` or ``error "TEXT"``. SIGTERM ends it and all
components at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from planebench.cluster import named
from planebench.cluster.local import LocalCluster
from planebench.model import ComponentError, PlanebenchError
from planebench.planes import load_plane


async def keep(folder: Path) -> None:
    """Start the cluster, write its record, and wait until it is told to stop or a component ends unasked."""
    served = named.read_config(folder)
    settings = served.config.pop("settings")
    plane = load_plane(served.plane, settings)
    config = named.decode_cluster_config(served, plane=plane)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (this is a coroutine)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    layout = named.layout(folder)
    with contextlib.suppress(asyncio.CancelledError):
        async with LocalCluster.start(
            config,
            layout.folder,
            folder / "logs",
            time.monotonic_ns(),
            on_status=lambda text: tell("status", text),
        ) as cluster:
            record = named.ClusterRecord(
                name=served.name,
                plane=plane.name,
                settings=dict(plane.settings),
                started_wall_s=time.time(),
                keeper=named.Keeper.current(),
                admin=cluster.admin,
                load=cluster.load,
                kubeconfig=layout.kubeconfig("admin"),
                logs=folder / "logs",
                etcd_data=cluster.etcd_data,
                processes=cluster.processes,
                deviations=cluster.deviations,
                timeline_s=cluster.timeline_s,
                versions=served.versions,
            )
            named.write_record(folder, record)
            tell("ready", "")
            _let_go()
            failure = await cluster.failure()
            named.write_record(folder, msgspec.structs.replace(record, failure=str(failure)))


def tell(kind: str, text: str) -> None:
    """One line to the starter, who may be gone."""
    with contextlib.suppress(BrokenPipeError):
        print(kind, text, flush=True)


def _let_go() -> None:
    """Nobody reads these any more."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def main() -> int:
    folder = sys.stdin.readline().rstrip("\n")
    if not folder:
        return 0
    try:
        asyncio.run(keep(Path(folder)))
    except PlanebenchError as error:
        tail = "".join(f"\n{line}" for line in error.log_tail) if isinstance(error, ComponentError) else ""
        tell("error", msgspec.json.encode(f"{error}{tail}").decode())
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
