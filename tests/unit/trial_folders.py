"""Folders of several made-up runs: the trials of one variant."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from synthetic_run import pods


def write_trial(
    path: Path,
    seed: int,
    *,
    slower: float = 1.0,
    dearer: float = 1.0,
    noise: float = 0.01,
    scenario_seed: int = 7,
    environment: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """A run of 40 pods whose startup takes ``slower`` times as long, on an API server that costs ``dearer`` times
    as much; every trial has its own luck with both."""
    run, _ = pods(seed=1, count=40, **options)
    luck = random.Random(seed)
    stretch = slower * luck.lognormvariate(0, noise)
    starts = {number: milestone["t_ns"] for number, milestone in _first(run.milestones, "added").items()}
    for milestone in run.milestones:
        if milestone["milestone"] in ("running", "ready"):
            start_ns = starts[milestone["object"]]
            milestone["t_ns"] = start_ns + round((milestone["t_ns"] - start_ns) * stretch)
    cost = dearer * luck.lognormvariate(0, noise)
    for sample in run.samples:
        sample["cpu_s"] *= cost
    run.write(path)
    _update(path / "run.json", {"id": f"{path.parent.name}-{path.name}-{seed}", "seed": scenario_seed})
    if environment is not None:
        (path / "environment.json").write_text(json.dumps(environment))
    return path


def write_trials(path: Path, count: int, *, first_seed: int = 0, **options: Any) -> Path:
    """A folder of ``count`` trials, ``000`` and so on."""
    for number in range(count):
        write_trial(path / f"{number:03d}", first_seed + number, **options)
    return path


def _first(milestones: list[dict[str, Any]], name: str) -> dict[int, dict[str, Any]]:
    return {milestone["object"]: milestone for milestone in milestones if milestone["milestone"] == name}


def _update(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
