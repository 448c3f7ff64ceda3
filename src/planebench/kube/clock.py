"""The monotonic clock, and the kernel's receive stamps brought onto it."""

from __future__ import annotations

import time
from typing import Final

_READ_AGAIN_NS: Final = 10_000_000
"""The wall clock is slewed by 500 ppm at most: 5 us of error between two readings."""
_READING_ERROR_NS: Final = 50_000


class StampClock:
    """Turns the kernel's receive stamps (CLOCK_REALTIME) into monotonic nanoseconds.

    The kernel cannot stamp with CLOCK_MONOTONIC, so the offset of the two clocks is read every 10 ms. A stamp that
    lies in the future, or earlier than it can have been (a wall clock that was set), is refused and counted.
    """

    __slots__ = ("offset_ns", "read_again_ns", "refused", "steps")

    def __init__(self) -> None:
        self.offset_ns = 0
        """Wall clock minus monotonic clock."""
        self.read_again_ns = 0
        """When :meth:`read` is due again."""
        self.refused = 0
        """Stamps that could not be true."""
        self.steps = -1
        """How often the wall clock was set by more than a millisecond."""
        self.read()

    def read(self) -> None:
        """Read the two clocks' offset: the narrowest of up to three sandwiches."""
        before_ns = self.offset_ns
        best = 1 << 62
        for _ in range(3):
            before = time.monotonic_ns()
            wall = time.time_ns()
            after = time.monotonic_ns()
            if after - before < best:
                best = after - before
                self.offset_ns = wall - (before + after) // 2
                self.read_again_ns = after + _READ_AGAIN_NS
            if best < 2_000:
                break
        if abs(self.offset_ns - before_ns) > 1_000_000:
            self.steps += 1

    def judge(self, stamp_ns: int, earliest_ns: int, now_ns: int) -> int:
        """What to take for a stamp that lies outside of ``earliest_ns`` to ``now_ns`` (all monotonic).

        The nearer end, where the two clocks' own reading error explains it; else ``now_ns``: the stamp is refused.
        """
        if now_ns < stamp_ns < now_ns + _READING_ERROR_NS:
            return now_ns
        if earliest_ns - _READING_ERROR_NS < stamp_ns < earliest_ns:
            return earliest_ns
        self.refused += 1
        return now_ns
