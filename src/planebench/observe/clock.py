"""How far the wall clock is from the trial's clock, through a run: servers' stamps are brought onto ours by it."""

from __future__ import annotations

import asyncio
import csv
import time
from pathlib import Path
from typing import Final

COLUMNS: Final = ("t_ns", "wall_offset_ns", "width_ns")
_TRIES: Final = 5


def read(t0_ns: int) -> tuple[int, int, int]:
    """``t_ns`` on the trial's clock, the wall clock minus it, and how long the reading took: the best of a few.

    The offset is off by half the width at most.
    """
    return min((_sandwich(t0_ns) for _ in range(_TRIES)), key=lambda reading: reading[2])


def _sandwich(t0_ns: int) -> tuple[int, int, int]:
    before_ns = time.monotonic_ns()
    wall_ns = time.time_ns()
    after_ns = time.monotonic_ns()
    t_ns = (before_ns + after_ns) // 2 - t0_ns
    return t_ns, wall_ns - t_ns, after_ns - before_ns


async def record(path: Path, t0_ns: int, period_s: float = 1.0) -> None:
    """Write readings into a CSV file until cancelled; a last one on the way out."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        try:
            while True:
                rows.writerow(read(t0_ns))
                file.flush()
                await asyncio.sleep(period_s)
        finally:
            rows.writerow(read(t0_ns))
