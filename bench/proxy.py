"""What an idle proxy costs: requests to the API server and to etcd through toxiproxy, over those that go straight.

    python bench/proxy.py --rounds 20 --requests 200

starts one control plane with a proxy before the API server and one before etcd, and asks each in turn, one request
after the other on one connection, through the proxy and past it; which of the two comes first is drawn for each
round. Prints medians, 99th percentiles and their ratios, and the proxy's own CPU. It judges nothing: figures
depend on the machine, and on what else runs on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil

from planebench import binaries
from planebench.cluster.local import ClusterConfig, LocalCluster, component_names
from planebench.kube.client import Client
from planebench.kube.etcd import EtcdClient
from planebench.model import Endpoint
from planebench.planes import load_plane
from planebench.stats import Sample

LINKS = frozenset({("load", "kube-apiserver"), ("kube-apiserver", "etcd")})
WARM_UP = 50

Ask = Callable[[], Awaitable[object]]


async def measure(rounds: int, requests: int, seed: int) -> dict[str, object]:
    """Milliseconds by target and way, and what the proxy used."""
    plane = load_plane("core")
    artifacts = binaries.resolve([*component_names(plane), "toxiproxy"])
    config = ClusterConfig(plane, {name: item.path for name, item in artifacts.items()}, links=LINKS)
    chance = random.Random(seed)
    took: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        async with LocalCluster.start(config, folder / "cluster", folder / "logs", time.monotonic_ns()) as cluster:
            through = cluster.load
            straight = replace(through, port=cluster.wiring.front)
            (member,) = cluster.etcd
            (link,) = cluster.wiring.between("kube-apiserver", "etcd")
            behind = Endpoint(f"https://127.0.0.1:{link.port}", member.ca, member.identity)
            async with (
                Client(through) as api_through,
                Client(straight) as api_straight,
                EtcdClient([behind]) as etcd_through,
                EtcdClient([member]) as etcd_straight,
            ):
                path = "/api/v1/namespaces/default"
                ways: dict[str, dict[str, Ask]] = {
                    "kube-apiserver": {
                        "through": lambda: api_through.get(path),
                        "straight": lambda: api_straight.get(path),
                    },
                    "etcd": {
                        "through": lambda: etcd_through.keys("/registry/namespaces/default"),
                        "straight": lambda: etcd_straight.keys("/registry/namespaces/default"),
                    },
                }
                for target in ways.values():
                    for ask in target.values():
                        for _ in range(WARM_UP):
                            await ask()
                proxy = psutil.Process(next(item.pid for item in cluster.processes if item.name == "toxiproxy"))
                before = proxy.cpu_times()
                for _ in range(rounds):
                    for name, target in ways.items():
                        for way in chance.sample(sorted(target), 2):
                            found = took.setdefault(name, {}).setdefault(way, [])
                            for _ in range(requests):
                                start_s = time.perf_counter()
                                await target[way]()
                                found.append((time.perf_counter() - start_s) * 1e3)
                after = proxy.cpu_times()
                cpu_s = after.user + after.system - before.user - before.system
                rss = proxy.memory_info().rss
    return {
        "targets": {name: _compared(ways_ms) for name, ways_ms in took.items()},
        # The control plane's own traffic to etcd goes through it all the time.
        "proxy_cpu_ms_per_1000_requests": cpu_s * 1e6 / (2 * rounds * requests),
        "proxy_rss_mib": rss / 2**20,
    }


def _compared(ways_ms: dict[str, list[float]]) -> dict[str, float]:
    samples = {way: Sample.of(values) for way, values in ways_ms.items()}
    found: dict[str, float] = {}
    for percent in (50, 99):
        through, straight = (samples[way].percentile(percent) for way in ("through", "straight"))
        found |= {
            f"p{percent}_ms_straight": straight,
            f"p{percent}_ms_through": through,
            f"p{percent}_ratio": through / straight,
        }
    found["mean_added_ms"] = statistics.fmean(ways_ms["through"]) - statistics.fmean(ways_ms["straight"])
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200, help="of each kind in a round")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    print(json.dumps(asyncio.run(measure(wanted.rounds, wanted.requests, wanted.seed)), indent=1))


if __name__ == "__main__":
    main()
