"""How a control plane's time, CPU and memory grow with nodes and objects, and what ten times as many would take.

    python bench/growth.py results --size 100x1000 --size 300x1000 --size 300x3000 --size 1000x3000

runs the built-in scenario `scale` once for each size, nodes by pods, into `results/NODESxPODS`, the smallest
first; a size whose folder holds a completed run is not run again. `--set` is as that of `planebench run`, for
instance `--set topology.kwok=2`.

Each figure is fitted by non-negative least squares (Lawson and Hanson; `scipy.optimize.nnls`) to

    fixed + per_node * nodes + per_object * objects

weighted by the inverse of what was measured, so that small runs count as much as large ones. `error` is the
largest relative error of the fit. What is told of ten times the largest size is a projection by that model, no
measurement: it knows of nothing that grows faster, of leases that are renewed all the longer, nor of a machine
that is full. A stage's seconds follow from the arrival rate as long as it holds and tell nothing of the control
plane then; `behind_s` is how long after the last request was due its last object was there, or gone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import nnls

from planebench.results.folder import PhaseRecord, RunFolder

LEAST = 4
"""Sizes; a fit with three terms through three of them has no error to tell."""
TIMES = 10


@dataclass(frozen=True, order=True)
class Size:
    """Of one run."""

    nodes: int
    objects: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """``NODESxPODS``; raises ValueError."""
        nodes, objects = text.split("x")
        return cls(int(nodes), int(objects))

    def __str__(self) -> str:
        return f"{self.nodes}x{self.objects}"


@dataclass(frozen=True)
class Growth:
    """What a figure is made of, by the fit."""

    fixed: float
    per_node: float
    per_object: float
    error: float
    """The largest relative error at a size that was measured."""

    def at(self, size: Size) -> float:
        return self.fixed + self.per_node * size.nodes + self.per_object * size.objects


def fit(measured: Mapping[Size, float]) -> Growth:
    """The growth of a figure from its values, all of them positive, at :data:`LEAST` sizes or more."""
    terms = np.array([[1.0, size.nodes, size.objects] for size in measured])
    values = np.array(list(measured.values()))
    found, _ = nnls(terms / values[:, np.newaxis], np.ones(len(values)))
    return Growth(*map(float, found), error=float(np.max(np.abs(terms @ found / values - 1))))


def figures(folder: Path) -> dict[str, float]:
    """What a run took: seconds, CPU seconds and peak MiB of each component."""
    run = RunFolder(folder)
    phases = {phase.name: phase for phase in run.run().phases}
    found = {f"{name}_s": _seconds(phases[name]) for name in ("nodes", "creation", "cleanup") if name in phases}
    requests = pl.read_parquet(folder / "raw" / "requests.parquet")
    for name in ("creation", "cleanup"):
        if name in phases:
            phase = phases[name]
            due = requests.filter(pl.col("due_ns").is_between(phase.start_ns, phase.end_ns))["due_ns"].max()
            if isinstance(due, int):
                found[f"{name}_behind_s"] = (phase.end_ns - due) / 1e9
    for component in run.result().components:
        if component.cpu_s:
            found[f"{component.name} CPU-s"] = component.cpu_s
        if component.peak_rss_bytes:
            found[f"{component.name} MiB"] = component.peak_rss_bytes / 2**20
    return found


def _seconds(phase: PhaseRecord) -> float:
    return (phase.end_ns - phase.start_ns) / 1e9


def run(size: Size, out: Path, settings: Sequence[str]) -> Path:
    """The folder of a completed run of this size, made where there is none yet."""
    folder = out / str(size)
    if _completed(folder):
        return folder
    wanted = [f"workload.count={size.objects}", *settings]
    argv = [sys.executable, "-m", "planebench", "run", "scale", "--nodes", str(size.nodes), "--out", str(folder)]
    done = subprocess.run([*argv, *(part for one in wanted for part in ("--set", one))], check=False)
    if not _completed(folder):  # a verdict of FAIL is a result, too
        sys.exit(f"{size}: not completed, exit status {done.returncode}; remove {folder} to try again")
    return folder


def _completed(folder: Path) -> bool:
    return (folder / "result.json").exists() and RunFolder(folder).run().status == "completed"


def table(measured: Mapping[Size, Mapping[str, float]]) -> str:
    """Markdown: what was measured, what one node and one object take, and the projection."""
    sizes = sorted(measured)
    far = Size(TIMES * max(size.nodes for size in sizes), TIMES * max(size.objects for size in sizes))
    head = [
        "figure",
        *map(str, sizes),
        "fixed",
        "per 1,000 nodes",
        "per 1,000 objects",
        "error",
        f"{far}, projected",
    ]
    lines = [head, ["-"] * len(head)]
    for name in measured[sizes[0]]:
        values = {size: measured[size][name] for size in sizes if measured[size].get(name, 0) > 0}
        cells = [_cell(values.get(size)) for size in sizes]
        if len(values) < LEAST:
            lines.append([name, *cells, *["-"] * 5])
            continue
        growth = fit(values)
        parts = [growth.fixed, 1000 * growth.per_node, 1000 * growth.per_object]
        lines.append([name, *cells, *map(_cell, parts), f"{growth.error:.0%}", _cell(growth.at(far))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--size", type=Size.parse, action="append", required=True, help="NODESxPODS; repeat it")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="as of `planebench run`")
    parser.add_argument("--json", action="store_true", help="what was measured, instead of the table")
    wanted = parser.parse_args()
    measured = {size: figures(run(size, wanted.out, wanted.settings)) for size in sorted(wanted.size)}
    print(
        json.dumps({str(size): own for size, own in measured.items()}, indent=1)
        if wanted.json
        else table(measured)
    )


if __name__ == "__main__":
    main()
