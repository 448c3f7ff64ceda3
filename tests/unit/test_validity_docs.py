"""docs/validity.md agrees with the code."""

from __future__ import annotations

from pathlib import Path

from planebench import verdict
from planebench.run import calibrate
from planebench.slis import machine, queueing

PAGE = (Path(__file__).parent.parent.parent / "docs" / "validity.md").read_text(encoding="utf-8")


def row(what: str) -> list[str]:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {what}"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_bounds_are_told() -> None:
    assert row("sent minus due")[1] == f"{verdict.NEGLIGIBLE_S * 1e3:g} ms, or 1% of the stage's p99 response"
    assert row("the engine's own delay")[1] == f"{verdict.MOST_LOOP_LAG_MS:g} ms"
    assert row("a core's use")[1] == f"{verdict.MOST_BUSY:.0%}"
    assert row("watch event minus")[1] == f"{verdict.MOST_STALE_S * 1e3:g} ms"
    assert row("objects that found")[1] == f"{verdict.MOST_QUEUED:.0%}"
    assert row("growth of its median")[1] == f"{verdict.MOST_GROWTH_S * 1e3:g} ms"
    assert row("its CPU over five seconds")[1] == f"{verdict.MOST_BUSY:.0%} of the machine's cores"
    assert row("CPU that others took")[1] == f"{verdict.MOST_OUTSIDE:.0%} of all cores"
    assert row("what a worker's clock")[1] == f"{verdict.MOST_APART_S * 1e3:g} ms"
    assert row("time in which tasks waited")[1] == f"{verdict.MOST_MEMORY_PRESSURE:.0%}"


def test_spans_are_told() -> None:
    assert machine.WINDOW_S == 5
    assert "in any five seconds" in row("CPU that others took")[0]
    assert f"Growth is asked of {queueing.LEAST_N} objects or more" in PAGE
    assert f"{calibrate._FSYNC_BYTES // 1024} KiB appended and synced {calibrate._FSYNCS} times" in PAGE
    words = {2.0: "two", 3: "three"}
    assert f"{words[calibrate._STEP_S]} seconds each" in PAGE
    assert f"the last gap is halved {words[calibrate._HALVINGS]} times" in PAGE
