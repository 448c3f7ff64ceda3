"""Pods that come in place of others."""

from __future__ import annotations

import polars as pl

from planebench.slis.observations import ADDED, Observations


class Successors:
    """Pods that come in place of evicted ones, each taken once."""

    def __init__(self, seen: Observations, pods: pl.DataFrame, watch: str) -> None:
        known = [rule.name for rule in seen.plane.watches[watch].milestones]
        up_s = seen.times_s(pods["object"], "ready" if "ready" in known else known[-1])
        added_s = seen.times_s(pods["object"], ADDED)
        self._of: dict[int, list[tuple[float, float]]] = {}
        for index, added, up in sorted(zip(pods["index"], added_s, up_s, strict=True), key=lambda row: row[1:]):
            self._of.setdefault(index, []).append((float(added), float(up)))

    def next_s(self, index: int, after_s: float) -> float:
        """When the next pod of this number that showed after a time was ready; NaN: there is none."""
        mine = self._of.get(index, [])
        for place, (added_s, _) in enumerate(mine):
            if added_s >= after_s:
                return mine.pop(place)[1]
        return float("nan")
