"""planebench and its peers on the same workload, one after the other, each on a fresh, equal control plane.

    python bench/peers --rounds 3 --kube-burner ./kube-burner --clusterloader2 ./clusterloader --kperf ./kperf

runs planebench, and each peer whose binary is given, once a round, in an order drawn for each round. Every run has
a control plane of its own by ``planebench up``, the same for all but for its nodes: planebench brings its own, for
the others they are there. Told are:

- wall, CPU and memory of the tool with its children (planebench's KWOK is a simulator, as the cluster's is for the
  others: not counted);
- CPU of the API server, and of the whole control plane and its simulator, while the tool ran;
- p50 and p99 as the tool reports them, and how far they are from the API server's audit log (``audit_oracle.py``):
  of the time from a pod's creation until it runs; of kperf, which measures nothing else, of the time until the
  answer.

Prints a table of medians, and with ``--json FILE`` writes all runs; it judges nothing. No peer is part of
planebench: build them as their own pages say.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import audit_oracle
import tree_usage
from peer_tools import Load, Tool, cluster_loader, kperf, kube_burner, planebench
from rich.console import Console
from rich.table import Table

from planebench.cluster import named
from planebench.kube.client import Client
from planebench.model import ComponentProcess

_NAME = "peers"
_FAST = "{qps: 1000, burst: 1000}"
"""The scheduler's and the controllers' own limits are no part of the comparison."""
_SETTLE_S = 2.0
_MIB = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """One run of one tool."""

    tool: str
    measures: str
    wall_s: float
    cpu_s: float
    peak_mib: float
    api_server_cpu_s: float
    control_plane_cpu_s: float
    """With the simulator, which planebench's run has beside the cluster's."""
    created: int
    started: int
    reported_of: int | None
    creating_s: float
    running_s: float
    reported_p50_s: float
    true_p50_s: float
    reported_p99_s: float
    true_p99_s: float


class Clusters:
    """Fresh control planes, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, named.STATE_VARIABLE: str(folder / "state")}

    def up(self, nodes: int, audit: Path) -> None:
        flags = ", ".join(f"{name}: {json.dumps(value)}" for name, value in audit_oracle.flags(audit).items())
        settings = [
            f"components.kube-apiserver.flags={{{flags}}}",
            f"limits={{kube-scheduler: {_FAST}, kube-controller-manager: {_FAST}}}",
        ]
        self._call(
            "up", "--name", _NAME, "--nodes", str(nodes), *(part for one in settings for part in ("--set", one))
        )

    def down(self) -> None:
        self._call("down", "--name", _NAME)

    def _call(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "planebench", *arguments]
        done = subprocess.run(argv, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"planebench {arguments[0]}: exit status {done.returncode}\n{done.stderr[-2000:]}")

    @property
    def _place(self) -> Path:
        return self._folder / "state" / _NAME

    @property
    def kubeconfig(self) -> Path:
        return named.layout(self._place).kubeconfig("admin")

    def record(self) -> named.ClusterRecord:
        return named.decode_record((self._place / "cluster.json").read_bytes())


def measure(tool: Tool, load: Load, clusters: Clusters, folder: Path) -> Trial:
    """One run, on a control plane that is started and ended for it. Raises ValueError where it broke."""
    folder.mkdir(parents=True)
    clusters.up(0 if tool.brings_nodes else load.nodes, folder)
    try:
        record = clusters.record()
        if tool.needs:
            asyncio.run(_create_namespace(record, tool.needs))
        time.sleep(_SETTLE_S)
        before = _cpu_s(record.processes)
        argv = tool.command(load, clusters.kubeconfig, folder)
        log = folder / "output.log"
        usage = tree_usage.watch(argv, os.environ, folder, log, tool.apart)
        caused = {name: used - before[name] for name, used in _cpu_s(record.processes).items()}
        if usage.exit_code not in tool.exit_codes:
            raise ValueError(
                f"{tool.name}: exit status {usage.exit_code}\n{log.read_text(errors='replace')[-2000:]}"
            )
    finally:
        clusters.down()
    truth, reported = audit_oracle.read(folder / "audit.log"), tool.reported(folder)
    real = tool.truth(truth)
    return Trial(
        tool=tool.name,
        measures=tool.measures,
        wall_s=usage.wall_s,
        cpu_s=usage.cpu_s,
        peak_mib=usage.peak_bytes / _MIB,
        api_server_cpu_s=caused["kube-apiserver"],
        control_plane_cpu_s=sum(caused.values()) + usage.apart_cpu_s,
        created=len(truth.created_s),
        started=len(truth.startup_s),
        reported_of=reported.count,
        creating_s=truth.creating_s,
        running_s=truth.running_s,
        reported_p50_s=reported.p50_s,
        true_p50_s=real.percentile(50),
        reported_p99_s=reported.p99_s,
        true_p99_s=real.percentile(99),
    )


async def _create_namespace(record: named.ClusterRecord, name: str) -> None:
    async with Client(record.admin) as client:
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _cpu_s(processes: Sequence[ComponentProcess]) -> dict[str, float]:
    return tree_usage.cpu_s({process.name: process.pid for process in processes})


def compare(tools: Sequence[Tool], load: Load, rounds: int, seed: int, folder: Path) -> list[Trial]:
    """All runs; one that breaks is told and left out."""
    chance = random.Random(seed)
    clusters = Clusters(folder)
    trials = []
    for number in range(1, rounds + 1):
        for tool in chance.sample(tools, len(tools)):
            try:
                trial = measure(tool, load, clusters, folder / f"{number}-{tool.name}")
            except (ValueError, KeyError, OSError) as error:
                print(f"round {number}: {error}", file=sys.stderr, flush=True)
                continue
            print(f"round {number}: {json.dumps(dataclasses.asdict(trial))}", file=sys.stderr, flush=True)
            trials.append(trial)
    return trials


def table(trials: Sequence[Trial]) -> Table:
    """Medians by tool."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    by_tool: dict[str, list[Trial]] = {}
    for trial in trials:
        by_tool.setdefault(trial.tool, []).append(trial)
    result.add_column("median")
    for tool in by_tool:
        result.add_column(tool, justify="right")
    for title, shown in _rows():
        result.add_row(title, *(shown(runs) for runs in by_tool.values()))
    return result


def _rows() -> list[tuple[str, Callable[[Sequence[Trial]], str]]]:
    return [
        ("runs", lambda runs: str(len(runs))),
        ("wall, s", _median("wall_s", ".1f")),
        ("CPU, s", _median("cpu_s", ".2f")),
        ("peak memory, MiB", _median("peak_mib", ".0f")),
        ("API server's CPU meanwhile, s", _median("api_server_cpu_s", ".2f")),
        ("control plane and simulator, CPU s", _median("control_plane_cpu_s", ".2f")),
        ("pods created", _median("created", ".0f")),
        ("pods in its figures", _pods),
        ("first to last creation, s", _median("creating_s", ".1f")),
        ("first creation to all Running, s", _median("running_s", ".1f")),
        ("its figures are of", lambda runs: runs[0].measures),
        ("p50: reported, ms", _median("reported_p50_s", ".1f", 1e3)),
        ("p50: audit log, ms", _median("true_p50_s", ".1f", 1e3)),
        ("p50: error, ms", _error("p50", ".1f")),
        ("p99: reported, ms", _median("reported_p99_s", ".1f", 1e3)),
        ("p99: audit log, ms", _median("true_p99_s", ".1f", 1e3)),
        ("p99: error, ms", _error("p99", ".1f")),
    ]


def _median(field: str, form: str, scale: float = 1.0) -> Callable[[Sequence[Trial]], str]:
    def shown(runs: Sequence[Trial]) -> str:
        values = [getattr(run, field) * scale for run in runs]
        known = [value for value in values if not math.isnan(value)]
        return format(statistics.median(known), form) if known else "none"

    return shown


def _error(percentile: str, form: str) -> Callable[[Sequence[Trial]], str]:
    """The median of a run's error, and the one that is farthest from 0."""

    def shown(runs: Sequence[Trial]) -> str:
        pairs = [(getattr(run, f"reported_{percentile}_s"), getattr(run, f"true_{percentile}_s")) for run in runs]
        found = [1e3 * (reported - true) for reported, true in pairs]
        errors = [error for error in found if not math.isnan(error)]
        if not errors:
            return "none"
        return f"{statistics.median(errors):+{form}} (worst {max(errors, key=abs):+{form}})"

    return shown


def _pods(runs: Sequence[Trial]) -> str:
    counts = [run.reported_of for run in runs if run.reported_of is not None]
    return format(statistics.median(counts), ".0f") if counts else "not told"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--rate", type=int, default=50, help="pods per second")
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--kube-burner", type=Path, help="its binary")
    parser.add_argument("--clusterloader2", type=Path, help="its binary")
    parser.add_argument("--kperf", type=Path, help="its binary")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the runs")
    parser.add_argument("--json", type=Path, help="write all runs to this file")
    parser.add_argument(
        "--keep", type=Path, help="keep what the tools and the API server wrote in this new folder"
    )
    wanted = parser.parse_args()
    makers = {kube_burner: wanted.kube_burner, cluster_loader: wanted.clusterloader2, kperf: wanted.kperf}
    tools = [planebench(), *(make(binary.absolute()) for make, binary in makers.items() if binary)]
    load = Load(wanted.pods, wanted.rate, wanted.nodes)
    with tempfile.TemporaryDirectory(prefix="planebench-peers-") as place:
        folder = wanted.keep.absolute() if wanted.keep else Path(place)
        trials = compare(tools, load, wanted.rounds, wanted.seed, folder)
    if wanted.json:
        wanted.json.write_text(json.dumps([dataclasses.asdict(trial) for trial in trials], indent=1))
    Console(width=160).print(table(trials))


if __name__ == "__main__":
    main()
