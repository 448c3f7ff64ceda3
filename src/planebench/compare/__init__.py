"""Comparisons: is the candidate faster, slower, or is there no difference to be shown?

scipy is loaded where it is needed only: half a second that other commands save.
"""

from __future__ import annotations

from planebench.compare.trials import (
    Group,
    NothingToCompareError,
    Trial,
    check_alike,
    check_distinct,
    check_same_load,
    group,
    read_group,
    run_folders,
)

__all__ = [
    "Group",
    "NothingToCompareError",
    "Trial",
    "check_alike",
    "check_distinct",
    "check_same_load",
    "group",
    "read_group",
    "run_folders",
]
