"""Pods that come in place of others."""

from __future__ import annotations

import math
from typing import NamedTuple

import polars as pl

from planebench.model import ADDED, DELETING
from planebench.slis.observations import NEVER, Observations


class _Pod(NamedTuple):
    added_s: float
    up_s: float
    going_s: float


class Successors:
    """Pods that come in place of evicted ones, each taken once."""

    def __init__(self, seen: Observations, pods: pl.DataFrame, watch: str) -> None:
        known = [rule.name for rule in seen.plane.watches[watch].milestones]
        up_s = seen.times_s(pods["object"], "ready" if "ready" in known else known[-1])
        added_s = seen.times_s(pods["object"], ADDED)
        going_s = seen.times_s(pods["object"], DELETING)
        self._of: dict[int, list[_Pod]] = {}
        for index, *times_s in sorted(
            zip(pods["index"], added_s, up_s, going_s, strict=True), key=lambda row: row[1:]
        ):
            self._of.setdefault(index, []).append(_Pod(*map(float, times_s)))
        self._left = {index: list(mine) for index, mine in self._of.items()}

    def next_s(self, index: int, after_s: float) -> float:
        """When the place of a pod of this number was filled by the next that showed after a time; NaN: never.

        A successor that is deleted before it was ready, as one that the scheduler put on a node whose silence was
        not yet known, has filled nothing: then it is the next after it that counts.
        """
        mine = self._left.get(index, [])
        for place, pod in enumerate(mine):
            if pod.added_s >= after_s:
                return self._filled_s(index, mine.pop(place))
        return NEVER

    def _filled_s(self, index: int, pod: _Pod) -> float:
        """Looks among all: the next one is taken for the eviction of this one, too."""
        while math.isnan(pod.up_s):
            later = [
                other for other in self._of[index] if other.added_s > pod.added_s and other.added_s >= pod.going_s
            ]
            if not later:
                return NEVER
            pod = later[0]
        return pod.up_s
