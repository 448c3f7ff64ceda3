"""Comparisons dealt from recorded trials: what is found in them is tested on the noise of real control planes.

``tests/data/trials.parquet`` holds the figures of real trials of one variant, in the order in which they ran
(tests/data/README.md says how they were recorded). A comparison takes a run of them as they came, two and two, and
gives one of each two to either side by the toss of a coin, as ``planebench experiment`` does before it runs them:
with whatever drifted on the machine meanwhile, and with figures that go up and down together. Nothing differs
between the sides but chance; a slower component is played by figures of one side that are multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from planebench.compare import Group, Trial
from planebench.compare.figures import Figure
from planebench.compare.setup import Setup

FILE = Path(__file__).parent.parent / "data" / "trials.parquet"


class Recorded:
    """Figures by name, and their values by trial, in the order of time."""

    def __init__(self, figures: Mapping[str, Figure], values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        self.figures = dict(figures)
        self.values = values

    def spread(self, name: str) -> float:
        """A figure's standard deviation from trial to trial, as a share."""
        return float(np.log(self.values[:, list(self.figures).index(name)]).std(ddof=1))

    def deal(
        self, chance: np.random.Generator, count: int, larger: Mapping[str, float] | None = None
    ) -> tuple[Group, Group]:
        """Two sides of ``count`` trials each; ``larger``: figure -> what the second side's is multiplied by."""
        start = int(chance.integers(len(self.values) - 2 * count + 1))
        rows = self.values[start : start + 2 * count]
        # CPU is counted in ticks of 10 ms: equal values are told apart by chance, or tests take permutations.
        rows = rows * (1 + 1e-6 * chance.random(rows.shape))
        pairs = rows.reshape(count, 2, -1)
        first = chance.integers(2, size=count)
        factors = [(larger or {}).get(name, 1.0) for name in self.figures]
        before, after = pairs[np.arange(count), first], pairs[np.arange(count), 1 - first] * factors
        return self._group("before", before), self._group("after", after)

    def _group(self, name: str, rows: np.ndarray[Any, np.dtype[np.float64]]) -> Group:
        return Group(name, tuple(self._trial(name, number, row) for number, row in enumerate(rows.tolist())))

    def _trial(self, side: str, number: int, values: list[float]) -> Trial:
        figures = {
            name: replace(figure, value=value)
            for (name, figure), value in zip(self.figures.items(), values, strict=True)
        }
        return Trial(f"{number:03d}", f"{side}-{number}", figures, block=number, setup=Setup())


@cache
def recorded() -> Recorded:
    """The figures that are compared by default, as far as they differ from trial to trial."""
    frame = pl.read_parquet(FILE).filter("by_default")
    figures: dict[str, Figure] = {}
    columns = []
    for (name,), mine in frame.group_by("figure", maintain_order=True):
        values = mine.sort("trial")["value"].to_numpy()
        if np.isfinite(values).all() and (values > 0).all() and np.ptp(values) > 0:
            first = mine.row(0, named=True)
            figures[str(name)] = Figure(
                title=first["title"],
                kind=first["kind"],
                unit=first["unit"],
                value=1.0,
                better=first["better"],
                by_default=True,
            )
            columns.append(values)
    return Recorded(figures, np.column_stack(columns))
