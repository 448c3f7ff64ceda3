"""Trials made up of figures alone, for tests of what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planebench.compare import Group, Trial
from planebench.compare.figures import Figure
from planebench.compare.setup import Setup

STARTUP = Figure("creation.startup p99", "duration", "s", 1.0, "less", by_default=True)
THROUGHPUT = Figure("scheduling.throughput", "other", "/s", 1.0, "more", by_default=True)
REACHED = Figure("creation.reached", "other", "share", 1.0, "more", by_default=True, exact=True)
SPREAD = Figure("scheduling.distribution p50", "other", "count", 1.0, "", by_default=True)
CPU = Figure("etcd CPU", "cost", "s", 1.0, "less", by_default=True)

SETUP = Setup(load={"name": "made-up", "plane": "core"})


def group(
    name: str,
    figures: Mapping[Figure, Sequence[float | None]],
    *,
    seeds: Sequence[int] | None = None,
    setup: Setup = SETUP,
    **options: Any,
) -> Group:
    """Trials with these values of figures; None: the trial has no such figure."""
    count = len(next(iter(figures.values())))
    trials = []
    for number in range(count):
        found = {
            figure.title.replace(" p", ":p"): replace(figure, value=value)
            for figure, values in figures.items()
            if (value := values[number]) is not None
        }
        seed = seeds[number] if seeds else 1
        trials.append(Trial(f"{number:03d}", f"{name}-{number}", found, block=number, seed=seed, setup=setup))
    return Group(name, tuple(trials), **options)
