"""Pods in place of evicted ones."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from planebench.planes import load_plane
from planebench.slis.observations import NEVER, Observations
from planebench.slis.successors import Successors

Row = tuple[int, float, float, float]
"""Number of its owner, and when it was added, ready and asked to go, in seconds."""


def successors(*pods: Row) -> Successors:
    columns = dict(zip(("added", "ready", "deleting"), list(zip(*pods, strict=True))[1:], strict=True))

    def times_s(objects: pl.Series, milestone: str) -> Any:
        return [columns[milestone][place] for place in objects]

    seen = SimpleNamespace(plane=load_plane("core"), times_s=times_s)
    objects = pl.DataFrame({"object": range(len(pods)), "index": [index for index, *_ in pods]})
    return Successors(cast(Observations, seen), objects, "pods")


def test_each_is_taken_once() -> None:
    found = successors((0, 1, 2, 10), (0, 11, 12, NEVER), (0, 13, 15, NEVER), (1, 11, 14, NEVER))
    assert [found.next_s(0, 10), found.next_s(0, 10), found.next_s(1, 10)] == [12, 15, 14]
    assert math.isnan(found.next_s(0, 10)) and math.isnan(found.next_s(7, 10))


@pytest.mark.parametrize("first", ["of the first", "of the second"])
def test_one_that_is_evicted_before_it_was_ready_has_filled_no_place(first: str) -> None:
    found = successors((0, 1, 2, 10), (0, 11, NEVER, 18), (0, 18.1, 18.5, NEVER))
    times = [10, 17] if first == "of the first" else [17, 10]
    assert [found.next_s(0, after_s) for after_s in times] == [18.5, 18.5]


def test_one_that_is_never_ready_is_waited_for_in_vain() -> None:
    found = successors((0, 11, NEVER, NEVER), (0, 18, 19, NEVER))
    assert math.isnan(found.next_s(0, 10)), "the other one took another place"
    assert math.isnan(successors((0, 11, NEVER, 18), (0, 12, 13, NEVER)).next_s(0, 10))
