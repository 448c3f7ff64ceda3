"""Durations counted in buckets at most 3.2% wide: fixed memory, whatever arrives."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import Final

_SUB_BITS: Final = 5
_SUB: Final = 1 << _SUB_BITS


class Histogram:
    """Counts of nanoseconds, for quantiles while a run is going; raw records give exact ones.

    ``add`` is an array's own append, the cheapest there is; :meth:`count` sorts what was added into the buckets.
    """

    __slots__ = ("_counts", "_fresh", "_maximum", "_n", "add")

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * _SUB * (64 - _SUB_BITS)))
        self._fresh = array("q")
        self._maximum = 0
        self._n = 0
        self.add = self._fresh.append

    def count(self) -> int:
        """How many values were added. To be called now and then, so that memory stays fixed."""
        if self._fresh:
            counts = self._counts
            for value in self._fresh:
                if value < _SUB:
                    counts[max(value, 0)] += 1
                else:
                    shift = value.bit_length() - _SUB_BITS - 1
                    counts[(shift << _SUB_BITS) + (value >> shift)] += 1
            self._maximum = max(self._maximum, *self._fresh, 0)
            self._n += len(self._fresh)
            del self._fresh[:]
        return self._n

    @property
    def maximum(self) -> int:
        self.count()
        return self._maximum

    def quantile(self, q: float) -> int:
        """The upper end of the bucket that holds the quantile, at most the maximum; 0 where empty."""
        n = self.count()
        if not n:
            return 0
        bucket = bisect_left(list(accumulate(self._counts)), max(q * n, 1))
        if bucket < _SUB:
            return bucket
        shift = (bucket >> _SUB_BITS) - 1
        low = (bucket - (shift << _SUB_BITS)) << shift
        return min(low + (1 << shift) - 1, self._maximum)

    def summary_ms(self) -> dict[str, float]:
        """p50, p99, max in milliseconds; empty where nothing was added."""
        if not self.count():
            return {}
        return {
            "p50": round(self.quantile(0.5) / 1e6, 4),
            "p99": round(self.quantile(0.99) / 1e6, 4),
            "max": round(self._maximum / 1e6, 4),
        }
