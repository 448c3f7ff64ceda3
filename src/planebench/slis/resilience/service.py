"""How the API served around faults: what was lost, when it served again, and when as well as before."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl

from planebench.slis.observations import Observations, seconds
from planebench.slis.windows import Window
from planebench.stats import Sample, Values

READS: Final = ("get",)
WRITES: Final = ("create", "update", "patch", "delete")
SUSTAINED_S: Final = 5.0
"""As well as before is said of what stays so for as long."""
LEAST_REQUESTS: Final = 50
"""Fewer tell no 99th percentile to hold against, and no share of slow ones."""
MOST_SLOW: Final = 0.03
"""Of requests, slower than what 99 of 100 took before: as before, 1 of 100 is expected to be, give or take."""


class Service:
    """A run's requests for single objects, in the order of their due times."""

    def __init__(self, seen: Observations) -> None:
        chosen = seen.requests.filter((pl.col("stage") != "") & pl.col("verb").is_in([*READS, *WRITES]))
        self._requests = chosen.sort("due_ns")
        self._due_s = seconds(self._requests["due_ns"])
        self._done_s = seconds(self._requests["done_ns"])
        self._ok = self._requests["ok"].to_numpy()
        self._reads = self._requests["verb"].is_in(READS).to_numpy()
        self._again = (self._requests["attempts"] > 1).to_numpy()

    def lost(self, window: Window) -> int | None:
        """How many requests failed for good; None: none was due."""
        mine = self._due_in(window.start_s, window.until_s)
        return int((mine & ~self._ok).sum()) if mine.any() else None

    def errors(self, window: Window) -> int | None:
        """How many requests met an error at least once, lost or not; None: none was due."""
        mine = self._due_in(window.start_s, window.until_s)
        return int((mine & (self._again | ~self._ok)).sum()) if mine.any() else None

    def told(self, window: Window) -> dict[str, int]:
        """What lost requests were told last -> how many, the most frequent first: the API server's reason, or its
        words where it gave none."""
        mine = self._requests.filter(self._due_in(window.start_s, window.until_s) & ~self._ok)
        told = pl.col("error").cast(pl.String).fill_null("not sent")
        reason = pl.when(told.str.starts_with("HTTP ")).then(told).otherwise(told.str.split(": ").list.first())
        counted = mine.group_by(reason.alias("reason")).len().sort(["len", "reason"], descending=[True, False])
        return dict(counted.iter_rows())

    def first_success_s(self, window: Window, *, reads: bool) -> float | None:
        """When the first read, or write, that was due while the fault was in effect or later was answered with
        success; NaN: none was; None: none was due."""
        mine = self._due_in(window.struck_s, window.until_s) & (self._reads == reads)
        done_s = self._done_s[mine & self._ok]
        if not mine.any():
            return None
        return float(done_s.min()) if len(done_s) else math.nan

    def as_before_s(self, window: Window) -> float | None:
        """From when on requests were as good as before the fault, see :data:`SUSTAINED_S`; NaN: not until the
        window's end; None: too few requests to tell."""
        before = self._due_in(window.before_s, window.calm_s) & self._ok
        if before.sum() < LEAST_REQUESTS or math.isnan(window.struck_s):
            return None
        limit_s = Sample.of((self._done_s - self._due_s)[before]).percentile(99)
        mine = self._due_in(window.struck_s, window.until_s)
        due_s = self._due_s[mine]
        lost = ~self._ok[mine]
        slow = lost | (self._done_s[mine] - due_s > limit_s)
        return _first_sustained_s(due_s, lost, slow, window.until_s)

    def _due_in(self, from_s: float, to_s: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.asarray((self._due_s >= from_s) & (self._due_s < to_s), dtype=np.bool_)


def _first_sustained_s(
    due_s: Values,
    lost: np.ndarray[tuple[int], np.dtype[np.bool_]],
    slow: np.ndarray[tuple[int], np.dtype[np.bool_]],
    until_s: float,
) -> float | None:
    """The first due time from which on, for :data:`SUSTAINED_S`, none was lost and few were slow."""
    starts = np.arange(len(due_s))
    ends = np.searchsorted(due_s, due_s + SUSTAINED_S, side="left")
    whole = (due_s + SUSTAINED_S <= until_s) & (ends - starts >= LEAST_REQUESTS)
    if not whole.any():
        return None
    lost_by, slow_by = (np.concatenate([[0], np.cumsum(flags)]) for flags in (lost, slow))
    none_lost = lost_by[ends] == lost_by[starts]
    few_slow = slow_by[ends] - slow_by[starts] <= MOST_SLOW * (ends - starts)
    good = np.flatnonzero(whole & none_lost & few_slow)
    return float(due_s[good[0]]) if len(good) else math.nan
