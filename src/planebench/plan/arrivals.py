"""Arrival schedules: when each of a number of operations is due.

A schedule is the same on every machine for the same seed: its randomness is the raw output of numpy's PCG64, whose
stream is fixed (NEP 19), and its arithmetic is IEEE 754's, rounded to whole nanoseconds.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from planebench.scenario import Arrival, Burst, Constant, Poisson

DueTimes = NDArray[np.int64]
"""Nanoseconds from the phase's start, ascending."""

_NS_PER_S = 1e9


def stream(seed: int, purpose: str) -> np.random.PCG64:
    """Random bits for one purpose; those for another are independent of them."""
    return np.random.PCG64(np.random.SeedSequence((seed, zlib.crc32(purpose.encode()))))


def uniform(bits: np.random.PCG64, count: int) -> NDArray[np.float64]:
    """Numbers from 0 to below 1, 53 random bits each."""
    return (bits.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(bits: np.random.PCG64, count: int) -> NDArray[np.int32]:
    """0 to ``count - 1`` in random order."""
    return np.argsort(bits.random_raw(count), kind="stable").astype(np.int32)


def arrivals(arrival: Arrival, count: int, bits: np.random.PCG64) -> DueTimes:
    """The due times of ``count`` operations.

    - constant: every 1/rate.
    - poisson: exponential distances with a mean of 1/rate.
    - burst: ``size`` at once, each ``every``.
    - ramp: the rate goes evenly from ``start`` to ``end`` over the time T that ``count`` operations take, so that
      N(t) = start t + (end - start) t^2 / 2T, solved for N(t) = 0, 1, ...
    """
    number = np.arange(count, dtype=np.float64)
    match arrival:
        case Constant():
            due_s = number / arrival.rate
        case Poisson():
            due_s = np.cumsum(-np.log1p(-uniform(bits, count))) / arrival.rate
        case Burst():
            due_s = np.floor(number / arrival.size) * arrival.every
        case _:
            slope = (arrival.end - arrival.start) / arrival.duration_s(count) if count else 0.0
            rate = np.sqrt(np.maximum(arrival.start**2 + 2 * slope * number, 0.0))
            # 2N / (start + rate), not (rate - start) / slope: that one loses its digits where the slope is small.
            due_s = np.divide(2 * number, arrival.start + rate, out=np.zeros(count), where=number > 0)
    due_ns = np.rint(due_s * _NS_PER_S).astype(np.int64)
    return np.maximum.accumulate(due_ns) if count else due_ns


def constant(rate_per_s: float, count: int) -> DueTimes:
    """One operation every 1/rate."""
    return np.rint(np.arange(count) / rate_per_s * _NS_PER_S).astype(np.int64)
