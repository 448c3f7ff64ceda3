"""Durations counted in buckets at most 3.2% wide: fixed memory, whatever arrives."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import Final

_SUB_BITS: Final = 5
_SUB: Final = 1 << _SUB_BITS


class Histogram:
    """Counts of nanoseconds (0 and more), for quantiles while a run is going; raw records give exact ones."""

    __slots__ = ("_counts", "count", "maximum")

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * _SUB * (64 - _SUB_BITS)))
        self.count = 0
        self.maximum = 0

    def add(self, value_ns: int) -> None:
        if value_ns < _SUB:
            if value_ns < 0:
                value_ns = 0
            self._counts[value_ns] += 1
        else:
            shift = value_ns.bit_length() - _SUB_BITS - 1
            self._counts[(shift << _SUB_BITS) + (value_ns >> shift)] += 1
        self.count += 1
        if value_ns > self.maximum:
            self.maximum = value_ns

    def quantile(self, q: float) -> int:
        """The upper end of the bucket that holds the quantile; the maximum for the highest; 0 where empty."""
        if not self.count:
            return 0
        bucket = bisect_left(list(accumulate(self._counts)), max(q * self.count, 1))
        if bucket < _SUB:
            return bucket
        shift = (bucket >> _SUB_BITS) - 1
        low = (bucket - (shift << _SUB_BITS)) << shift
        return min(low + (1 << shift) - 1, self.maximum)

    def summary_ms(self) -> dict[str, float]:
        """p50, p99, max in milliseconds; empty where nothing was counted."""
        if not self.count:
            return {}
        return {
            "p50": round(self.quantile(0.5) / 1e6, 4),
            "p99": round(self.quantile(0.99) / 1e6, 4),
            "max": round(self.maximum / 1e6, 4),
        }
