"""What observing costs: CPU of the harness and of the API server at each level of observation, as ratios.

    python bench/observation.py --rounds 5 --pods 500 --rate 100

runs a small scenario at each level (none, metrics, audit, trace, profile), each on a control plane of its own, in
rounds: every round has all levels, in another order. A ratio is a level's CPU over that of ``none`` of the same
round, over all stages. Prints figures and judges nothing: they depend on the machine, and on what else runs on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planebench import scenario, slis
from planebench.model import Role
from planebench.results import Result
from planebench.run import RunOptions, run

SCENARIO = """
apiVersion: planebench.dev/v1
name: observation
plane: core
nodes: [{name: node, count: 10, capacity: {cpu: "32", memory: 256Gi, pods: "110"}}]
workload: {count: 500, objects: [{template: pod}]}
lifecycle:
  creation: {arrival: {pattern: constant, rate: 100/s}}
  monitoring: {duration: 2s}
  cleanup: {rate: 100/s}
limits: {kube-scheduler: {qps: 1000, burst: 1000}}
"""
LEVELS = {
    "none": RunOptions(metrics=False),
    "metrics": RunOptions(),
    "audit": RunOptions(audit=True),
    "trace": RunOptions(trace=True),
    "profile": RunOptions(profile=True),
}
"""Metrics are read in all levels but the first."""


def cpu_s(result: Result, *, role: Role | None = None, component: str = "") -> float:
    """User and system, in the stages."""
    return sum(
        used_s
        for item in result.components
        if item.role is role or item.name == component
        for stage, used_s in item.cpu_by_stage_s.items()
        if stage != "other"
    )


async def measure(rounds: Sequence[int], pods: int, rate: float) -> list[dict[str, Any]]:
    wanted = scenario.parse(
        SCENARIO, overrides={"workload.count": str(pods), "lifecycle.creation.arrival.rate": f"{rate:g}/s"}
    )
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for number in rounds:
            for level in random.Random(number).sample(list(LEVELS), len(LEVELS)):
                folder = await run(wanted, Path(name) / f"{number}-{level}", LEVELS[level])
                result = slis.evaluate(folder.path)
                startup = result.rows()["creation.startup"]
                rows.append(
                    {
                        "round": number,
                        "level": level,
                        "harness_cpu_s": round(cpu_s(result, role=Role.HARNESS), 3),
                        "apiserver_cpu_s": round(cpu_s(result, component="kube-apiserver"), 3),
                        "startup_p50_s": startup.p50,
                        "up": result.counts.up,
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    return rows


def ratios(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Level -> figure -> the lowest, median and highest ratio to ``none`` of the same round."""
    found: dict[str, dict[str, list[float]]] = {}
    for level in LEVELS:
        for figure in ("harness_cpu_s", "apiserver_cpu_s"):
            by_round = {(row["round"], row["level"]): row[figure] for row in rows}
            several = [
                by_round[number, level] / by_round[number, "none"] for number in {row["round"] for row in rows}
            ]
            found.setdefault(level, {})[figure] = [
                round(value, 3) for value in (min(several), statistics.median(several), max(several))
            ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first round's number, to run rounds apart")
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--rate", type=float, default=100.0, help="creates per second")
    options = parser.parse_args()
    rows = asyncio.run(measure(range(options.first, options.first + options.rounds), options.pods, options.rate))
    print(json.dumps(ratios(rows), indent=1))


if __name__ == "__main__":
    main()
