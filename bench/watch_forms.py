"""What a watch costs the API server: CPU per event with no watcher, one that takes JSON, one that takes protobuf.

    python bench/watch_forms.py --rounds 8 --writes 600

starts a real control plane and writes one pod again and again, one write after the other, with each kind of
watcher in turn (every round in the opposite order). The watcher reads and drops what it gets. Prints figures and
judges nothing: they depend on the machine, and on what else runs on it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil

from planebench import binaries, nodes
from planebench.cluster.local import ClusterConfig, LocalCluster, component_names
from planebench.kube.client import Client, tls_context
from planebench.model import Access, Resource
from planebench.observe.protobuf import MEDIA_TYPE
from planebench.planes import load_plane
from planebench.scenario import NodePool

FORMS = {"none": "", "json": "application/json", "protobuf": f"{MEDIA_TYPE};stream=watch"}
PODS = Resource("", "v1", "pods", "Pod")
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "written", "namespace": "default"},
    "spec": {"containers": [{"name": "c", "image": "pause"}], "automountServiceAccountToken": False},
}


@contextlib.asynccontextmanager
async def watching(access: Access, accept: str) -> AsyncIterator[None]:
    """One more watcher of all pods; none where nothing is accepted."""
    if not accept:
        yield
        return
    context = tls_context(access.ca, access.identity)

    async def drain(answer: aiohttp.ClientResponse) -> None:
        async for _ in answer.content.iter_any():
            pass

    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"https://{access.authority}{PODS.path()}?watch=true",
            headers={"Accept": accept},
            ssl=context,
            timeout=None,
        ) as answer,
    ):
        answer.raise_for_status()
        draining = asyncio.create_task(drain(answer))
        await asyncio.sleep(0.2)  # the objects that are there come first
        yield
        draining.cancel()


async def bench(rounds: int, writes: int) -> None:
    plane = load_plane("core")
    artifacts = binaries.resolve(component_names(plane))
    config = ClusterConfig(plane, {name: artifact.path for name, artifact in artifacts.items()})
    spent_ms: dict[str, list[float]] = {form: [] for form in FORMS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            LocalCluster.start(config, folder / "cluster", folder / "logs", time.monotonic_ns()) as cluster,
            Client(cluster.admin) as admin,
        ):
            [server] = [child for child in psutil.Process().children() if child.name() == "kube-apiserver"]
            for node in nodes.manifests([NodePool(count=3)], plane):
                await admin.create(node)
            await admin.create(POD)
            await asyncio.sleep(3)  # until it runs
            for number in range(rounds):
                for form in list(FORMS)[:: 1 if number % 2 else -1]:
                    async with watching(cluster.admin, FORMS[form]):
                        before = server.cpu_times()
                        for write in range(writes):
                            body = {"metadata": {"annotations": {"written": f"{number}-{form}-{write}"}}}
                            await admin.patch(PODS.path("default", "written"), body)
                        after = server.cpu_times()
                    spent_s = after.user + after.system - before.user - before.system
                    spent_ms[form].append(spent_s / writes * 1000)
    medians = {form: statistics.median(values) for form, values in spent_ms.items()}
    print(
        json.dumps(
            {
                "apiserver_cpu_ms_per_write": {
                    form: [round(v, 3) for v in values] for form, values in spent_ms.items()
                },
                "median": {form: round(value, 3) for form, value in medians.items()},
                "of_no_watcher": {form: round(value / medians["none"], 3) for form, value in medians.items()},
            },
            indent=2,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--writes", type=int, default=600, help="by each kind of watcher and round")
    options = parser.parse_args()
    asyncio.run(bench(options.rounds, options.writes))


if __name__ == "__main__":
    main()
