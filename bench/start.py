"""How long it takes to a ready, empty control plane, and to nodes: planebench and kwokctl, with the same binaries.

    python bench/start.py --rounds 5 --kwokctl ./kwokctl

starts and ends a control plane with each in turn; which comes first is drawn for each round. All moments are told
by the same client, from outside, in seconds from the command on:

- `healthy_s`: the API server's `/readyz` answers 200: what `kwokctl create cluster --wait` waits for;
- `ready_s`: the command has ended, and the namespace `default` has the service account that every pod needs, which
  the controller manager makes once its controllers work. `planebench up` ends then; `kwokctl create cluster` ends
  right after its processes' start (`command_s`), and pods are refused for a while;
- `nodes_s`: from then on until nodes that the same client creates are Ready.

Prints medians, and medians of the ratios within a round; it judges nothing: figures depend on the machine, and on
what else runs on it. Both start the binaries of planebench's cache; planebench verifies their digests meanwhile.

kwokctl is not part of planebench: `go install sigs.k8s.io/kwok/cmd/kwokctl@v0.8.0` builds it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from planebench import binaries, nodes
from planebench.cluster import named
from planebench.cluster.local import BASE_COMPONENTS
from planebench.kube.client import ApiError, Client
from planebench.kube.kubeconfig import Kubeconfig
from planebench.kube.login import Login
from planebench.model import PlanebenchError
from planebench.planes import load_plane
from planebench.scenario import NodePool

NAME = "bench-start"
POLL_S = 0.02
LIMIT_S = 120.0
_BINARY_FLAGS = {name: f"--{name}-binary" for name in BASE_COMPONENTS} | {"kwok": "--kwok-controller-binary"}
_KWOKCTL_NODE = {"kwok.x-k8s.io/node": "fake"}
"""The annotation by which kwokctl's simulator knows its nodes."""


class Planebench:
    """Control planes by ``planebench up`` and ``down``."""

    name = "planebench"

    def __init__(self, folder: Path, plane: str) -> None:
        self._environment = {**os.environ, named.STATE_VARIABLE: str(folder / "state")}
        # Installed packages have their bytecode; a checkout gets it by the first start.
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._up = ["up", "--name", NAME, "--plane", plane]
        self._state = folder / "state" / NAME
        self.kubeconfig = named.layout(self._state).kubeconfig("admin")
        self.mark = str(self._state)

    def start(self) -> None:
        _run([sys.executable, "-m", "planebench", *self._up], self._environment)

    def timeline_s(self) -> dict[str, float]:
        """The steps of the start, from the keeper's own first moment."""
        return named.decode_record((self._state / "cluster.json").read_bytes()).timeline_s

    def end(self) -> None:
        _run([sys.executable, "-m", "planebench", "down", "--name", NAME], self._environment)


class Kwokctl:
    """Control planes by ``kwokctl create cluster`` and ``delete cluster``, of the same binaries."""

    name = "kwokctl"

    def __init__(self, folder: Path, binary: Path, paths: Mapping[str, Path]) -> None:
        self._binary = str(binary)
        self._work = folder / "kwokctl"
        self.kubeconfig = folder / "kwokctl.kubeconfig"
        self._environment = {**os.environ, "KWOK_WORKDIR": str(self._work)}
        self._flags = [f"{_BINARY_FLAGS[name]}={paths[name]}" for name in BASE_COMPONENTS]
        self.mark = str(self._work)

    def start(self) -> None:
        create = ["create", "cluster", "--name", NAME, "--runtime", "binary", *self._flags]
        _run([self._binary, *create, f"--kubeconfig={self.kubeconfig}"], self._environment)

    def timeline_s(self) -> dict[str, float]:
        return {}

    def end(self) -> None:
        _run(
            [self._binary, "delete", "cluster", "--name", NAME, f"--kubeconfig={self.kubeconfig}"],
            self._environment,
        )


Starter = Planebench | Kwokctl


async def measure(starter: Starter, node_count: int, folder: Path) -> dict[str, Any]:
    """One start; seconds from the command on, and CPU seconds of its processes until it was ready."""
    begun_s = time.monotonic()
    watching = asyncio.create_task(_healthy(starter, begun_s, folder / "health"))
    try:
        await asyncio.to_thread(starter.start)
        found: dict[str, Any] = {"command_s": time.monotonic() - begun_s}
        found["healthy_s"] = await watching
        context = Kubeconfig.load(starter.kubeconfig).context(None)
        login = await Login.open(context, folder / "login")
        async with asyncio.timeout(LIMIT_S), Client(login) as client:
            while not await _admits_pods(client):  # noqa: ASYNC110 (no event to wait for)
                await asyncio.sleep(POLL_S)
            found["ready_s"] = time.monotonic() - begun_s
            found["cpu_s"] = _cpu_s(starter.mark)
            if node_count:
                added_s = time.monotonic()
                await _add_nodes(client, node_count)
                found["nodes_s"] = time.monotonic() - added_s
        found["timeline_s"] = starter.timeline_s()
        return found
    finally:
        watching.cancel()
        await asyncio.to_thread(starter.end)


async def _healthy(starter: Starter, begun_s: float, folder: Path) -> float:
    """When the API server said so."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:  # there is no kubeconfig at first, then perhaps half of one, then nobody who answers
                login = await Login.open(Kubeconfig.load(starter.kubeconfig).context(None), folder)
                async with Client(login) as client:
                    await client.request("GET", "/readyz")
                    return time.monotonic() - begun_s
            except (OSError, PlanebenchError):
                await asyncio.sleep(POLL_S)


async def _admits_pods(client: Client) -> bool:
    try:
        await client.get("/api/v1/namespaces/default/serviceaccounts/default")
    except ApiError:
        return False
    return True


async def _add_nodes(client: Client, count: int) -> None:
    async with asyncio.TaskGroup() as group:
        for node in nodes.manifests([NodePool(count=count)], load_plane("core")):
            metadata = {**node["metadata"], "annotations": {**node["metadata"]["annotations"], **_KWOKCTL_NODE}}
            group.create_task(client.create({**node, "metadata": metadata}))
    while await _ready(client) < count:  # noqa: ASYNC110 (as above)
        await asyncio.sleep(POLL_S)


async def _ready(client: Client) -> int:
    return sum(map(nodes.is_ready, await client.list("/api/v1/nodes", resourceVersion="0")))


def _cpu_s(mark: str) -> dict[str, float]:
    """Of the processes whose arguments name the folder, by the program's name."""
    used: dict[str, float] = {}
    for process in psutil.process_iter():
        try:
            argv = process.cmdline()
            if any(mark in argument for argument in argv):
                times = process.cpu_times()
                name = Path(argv[0]).name
                used[name] = round(used.get(name, 0.0) + times.user + times.system, 2)
        except psutil.Error:
            continue
    return used


def _run(argv: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv[:3])}: exit status {done.returncode}\n{done.stderr[-2000:]}")


async def compare(rounds: int, node_count: int, plane: str, kwokctl: Path | None, seed: int) -> dict[str, Any]:
    """All rounds, their medians, and the medians of the ratios within a round."""
    paths = {name: item.path for name, item in binaries.resolve(BASE_COMPONENTS).items()}
    chance = random.Random(seed)
    taken: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            starters: list[Starter] = [Planebench(folder, plane)]
            if kwokctl is not None:
                starters.append(Kwokctl(folder, kwokctl, paths))
            for starter in chance.sample(starters, len(starters)):
                found = await measure(starter, node_count, folder / f"{starter.name}-login")
                taken.setdefault(starter.name, []).append(found)
                print(starter.name, json.dumps(found), file=sys.stderr, flush=True)
    figures = ["command_s", "healthy_s", "ready_s", *(["nodes_s"] if node_count else [])]
    result: dict[str, Any] = {
        name: {figure: round(statistics.median(one[figure] for one in found), 3) for figure in figures}
        for name, found in taken.items()
    }
    if kwokctl is not None:
        pairs = list(zip(taken["planebench"], taken["kwokctl"], strict=True))
        result["ratio"] = {
            figure: round(statistics.median(own[figure] / other[figure] for own, other in pairs), 3)
            for figure in figures
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=100, help="created once it is ready; 0: none")
    parser.add_argument("--plane", default="core", help="planebench's; kwokctl knows the core alone")
    parser.add_argument("--kwokctl", type=Path, help="kwokctl's binary; without it planebench is measured alone")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    kwokctl = wanted.kwokctl.absolute() if wanted.kwokctl else None
    print(
        json.dumps(asyncio.run(compare(wanted.rounds, wanted.nodes, wanted.plane, kwokctl, wanted.seed)), indent=1)
    )


if __name__ == "__main__":
    main()
