"""Objects that wait for one of the simulator's workers, seen from outside."""

from __future__ import annotations

from typing import Final

import numpy as np

from planebench.stats import Values

LEAST_N: Final = 100
_PARTS: Final = 5
_STEADY: Final = 1.2
_REQUESTS: Final = 3.0
"""A played step contains one request and two watch events: where these got slower, so did it."""


def in_hand(start_s: Values, end_s: Values) -> Values:
    """For each object, how many others were being played, or waited for it, when it came; ``start_s`` ascending,
    NaN in ``end_s``: for ever."""
    begun = np.searchsorted(start_s, start_s, side="right")
    ended = np.searchsorted(np.sort(np.where(np.isnan(end_s), np.inf, end_s)), start_s, side="right")
    return np.asarray(begun - ended - 1, dtype=np.float64)


def growth_s(start_s: Values, end_s: Values, service_s: Values) -> float:
    """By how much the median from start to end rose from the first fifth of the objects to the last one at an even
    rate, beyond what the API server's own slowing down explains; 0 where it did not, the rate rose, or there are
    under 100.

    Args:
        start_s: ascending.
        end_s: NaN: never.
        service_s: what the API server took for each object's creation; NaN: not known.
    """
    known = ~np.isnan(end_s)
    start_s, took_s, service_s = start_s[known], (end_s - start_s)[known], service_s[known]
    size = len(start_s) // _PARTS
    if len(start_s) < LEAST_N:
        return 0.0
    first, last = slice(0, size), slice(-size, None)
    spans = [float(np.ptp(start_s[part])) for part in (first, last)]
    if min(spans) <= 0 or spans[0] / spans[1] > _STEADY:
        return 0.0
    before, after = (float(np.median(took_s[part])) for part in (first, last))
    slower = float(np.nanmedian(service_s[last]) - np.nanmedian(service_s[first]))
    return max(after - before - _REQUESTS * max(slower, 0.0), 0.0)
