"""Keeps the figures of recorded trials of one variant for tests: ``python tools/record_trials.py FOLDER``.

FOLDER holds run folders, all of one scenario and one machine. What is kept is what comparisons are made of: one
number for each trial and figure, in tests/data/trials.parquet. The tests of what comparisons find resample them
(tests/unit/test_compare_truth.py), so that the noise in those tests is that of real control planes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from planebench.compare import check_alike, read_group

FILE = Path(__file__).parent.parent / "tests" / "data" / "trials.parquet"


def frame(folder: Path) -> pl.DataFrame:
    """One line for each trial and figure.

    Raises:
        UsageError: the runs are not of one variant.
    """
    trials = read_group(folder)
    check_alike(trials)
    for left_out in trials.left_out:
        print(f"left out: {left_out.reason}", file=sys.stderr)
    return pl.DataFrame(
        [
            {
                "trial": number,
                "started": trial.started_wall,
                "figure": name,
                "title": figure.title,
                "kind": figure.kind,
                "unit": figure.unit,
                "better": figure.better,
                "by_default": figure.by_default,
                "value": figure.value,
            }
            for number, trial in enumerate(trials.trials)
            for name, figure in trial.figures.items()
        ]
    )


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    found = frame(Path(sys.argv[1]))
    found.write_parquet(FILE, compression="zstd")
    print(f"{found['trial'].n_unique()} trials, {found['figure'].n_unique()} figures")
