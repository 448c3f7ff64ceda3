"""What the load engine itself costs: CPU seconds per 1,000 pods created and observed until they run, and lateness.

    python bench/engine.py --rate 300 --pods 1000 --repeat 3

starts a real control plane with 100 simulated nodes, the scheduler's client limit raised. Prints figures and
judges nothing: they depend on the machine, and on what else runs on it. The CPU time is the engine's process's
own, from /proc; opening the connections is reported apart, for it happens before the load. ``..._of_api_server``
is that by what the API server took meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from planebench import binaries, nodes
from planebench.cluster.local import ClusterConfig, LocalCluster, component_names
from planebench.components import ClientLimits
from planebench.kube.client import Client
from planebench.load import Engine, connections_for
from planebench.model import Access, LoadPhase, Operation, RequestTemplate, Stage
from planebench.planes import load_plane
from planebench.results.engine_files import convert
from planebench.scenario import NodePool
from pods import PODS

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "__NAME__", "labels": {"planebench.dev/index": "__INDEX__"}},
    "spec": {
        "automountServiceAccountToken": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {"name": "c", "image": "pause", "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}},
        ],
    },
}
PATH = "/api/v1/namespaces/__NAMESPACE__/pods"
CREATE = RequestTemplate("create", "pods", "POST", PATH, json.dumps(POD).encode())
DELETE = RequestTemplate("delete", "pods", "DELETE", f"{PATH}/__NAME__")


@dataclass(frozen=True)
class Cost:
    """What the engine has cost so far, and the API server's CPU by then."""

    cpu_s: float
    peak_rss_mib: float
    api_server_cpu_s: float
    """Of all its threads, in ticks of 10 ms."""

    @classmethod
    def of(cls, pid: int, api_server: int) -> Cost:
        process = Path("/proc", str(pid))
        cpu_ns = int((process / "schedstat").read_text().split()[0])
        peak = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return cls(cpu_ns / 1e9, int(peak.split()[1]) / 1024, sum(psutil.Process(api_server).cpu_times()[:2]))


async def measure(
    access: Access, api_server: int, namespace: str, pods: int, rate: float, connections: int | None, out: Path
) -> None:
    names = [f"bench-{out.name}-{number:06d}" for number in range(pods)]

    def phase(name: str, stage: Stage, template: RequestTemplate) -> LoadPhase:
        operations = [
            Operation(int(number / rate * 1e9), 0, number, name, namespace) for number, name in enumerate(names)
        ]
        return LoadPhase(name, stage, (template,), operations)

    async with Engine.start(
        access, out, time.monotonic_ns(), connections=connections or connections_for(rate)
    ) as engine:
        await engine.watch(PODS)
        before = Cost.of(engine.pid, api_server)
        created = await engine.execute(phase("creation", Stage.CREATION, CREATE))
        running = await engine.until(lambda p: p.milestones["pods"]["running"] >= created.answered, 60)
        after = Cost.of(engine.pid, api_server)
        deleted = await engine.execute(phase("cleanup", Stage.CLEANUP, DELETE))
        gone = await engine.until(lambda p: p.milestones["pods"]["deleted"] >= deleted.answered, 60)
        end = Cost.of(engine.pid, api_server)
        health = await engine.stop()
    convert(out)
    creation_s, deletion_s = after.cpu_s - before.cpu_s, end.cpu_s - after.cpu_s
    figures = {
        "created": created.answered,
        "failed": created.failed + deleted.failed,
        "all_running": running,
        "all_deleted": gone,
        "response_ms": created.response_ms,
        "cpu_s_to_open": round(before.cpu_s, 3),
        "cpu_s_per_1000_created_and_running": round(creation_s / pods * 1000, 3),
        "cpu_s_per_1000_deleted_and_gone": round(deletion_s / pods * 1000, 3),
        "created_of_api_server": round(creation_s / (after.api_server_cpu_s - before.api_server_cpu_s), 3),
        "deleted_of_api_server": round(deletion_s / (end.api_server_cpu_s - after.api_server_cpu_s), 3),
        "peak_rss_mib": round(end.peak_rss_mib, 1),
        "errors": dict(deleted.errors),
        "health": health,
    }
    print(json.dumps(figures, indent=2))


async def bench(pods: int, rate: float, connections: int | None, repeat: int) -> None:
    plane = load_plane("core")
    artifacts = binaries.resolve(component_names(plane))
    config = ClusterConfig(
        plane,
        {name: artifact.path for name, artifact in artifacts.items()},
        scheduler_limits=ClientLimits(1000, 1000),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with LocalCluster.start(config, folder / "cluster", folder / "logs", time.monotonic_ns()) as cluster:
            async with Client(cluster.admin) as admin:
                for node in nodes.manifests([NodePool(count=100)], plane):
                    await admin.create(node)
            await asyncio.sleep(2)  # until all are Ready: what follows then waits for nothing
            [api_server] = (process.pid for process in cluster.processes if process.name == "kube-apiserver")
            for number in range(repeat):
                out = folder / f"run-{number}"
                await measure(cluster.load, api_server, "default", pods, rate, connections, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=300.0, help="creates per second")
    parser.add_argument("--connections", type=int, help="opened beforehand; without it as `planebench run`")
    parser.add_argument("--repeat", type=int, default=1, help="how often, on the same control plane")
    options = parser.parse_args()
    asyncio.run(bench(options.pods, options.rate, options.connections, options.repeat))


if __name__ == "__main__":
    main()
