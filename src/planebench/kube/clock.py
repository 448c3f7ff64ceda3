"""The monotonic clock, and the kernel's receive stamps brought onto it."""

from __future__ import annotations

import time
from typing import Final

_READ_AGAIN_NS: Final = 10_000_000
"""The wall clock is slewed by 500 ppm at most: 5 us of error between two readings."""


class StampClock:
    """Turns the kernel's receive stamps (CLOCK_REALTIME) into monotonic nanoseconds.

    The kernel cannot stamp with CLOCK_MONOTONIC, so the offset of the two clocks is read every 10 ms. A stamp that
    lies in the future, or earlier than it can have been (a wall clock that was set), is refused and counted.
    """

    __slots__ = ("_offset_ns", "_read_ns", "accepted", "refused", "steps")

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self.steps = 0
        """How often the wall clock was set by more than a millisecond."""
        self._offset_ns = 0
        self._read_ns = 0
        self.read()

    def read(self) -> None:
        """Read the two clocks' offset: the narrowest of up to three sandwiches."""
        best = 1 << 62
        for _ in range(3):
            before = time.monotonic_ns()
            wall = time.time_ns()
            after = time.monotonic_ns()
            if after - before < best:
                best = after - before
                self._offset_ns = wall - (before + after) // 2
                self._read_ns = after
            if best < 2_000:
                break

    def keep(self, now_ns: int) -> None:
        """Read the offset again if the last reading is old; cheap enough for every turn of a loop."""
        if now_ns - self._read_ns > _READ_AGAIN_NS:
            offset = self._offset_ns
            self.read()
            if abs(self._offset_ns - offset) > 1_000_000:
                self.steps += 1

    def monotonic(self, stamp_wall_ns: int, earliest_ns: int, now_ns: int) -> int:
        """The stamp on the monotonic clock, or ``now_ns`` where the stamp cannot be true.

        Args:
            stamp_wall_ns: the kernel's stamp, Unix time.
            earliest_ns: when it can have been at the earliest (the request's sending).
            now_ns: when it was read.
        """
        stamp = stamp_wall_ns - self._offset_ns
        if stamp > now_ns:
            if stamp - now_ns < 50_000:  # the two readings' own error
                self.accepted += 1
                return now_ns
            self.refused += 1
            return now_ns
        if stamp < earliest_ns:
            if earliest_ns - stamp < 50_000:
                self.accepted += 1
                return earliest_ns
            self.refused += 1
            return now_ns
        self.accepted += 1
        return stamp
