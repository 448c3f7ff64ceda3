from __future__ import annotations

import time

import pytest

from planebench.kube.clock import StampClock

NOW = 10_000_000_000


def test_the_offset_is_that_of_the_two_clocks() -> None:
    clock = StampClock()
    before = time.monotonic_ns()
    stamp = time.time_ns() - clock.offset_ns
    after = time.monotonic_ns()
    assert before - 1_000_000 <= stamp <= after + 1_000_000
    assert (clock.steps, clock.refused) == (0, 0)


@pytest.mark.parametrize(
    ("stamp", "taken", "refused"),
    [
        (NOW + 10_000, NOW, 0),  # the clocks' reading error
        (NOW + 1_000_000, NOW, 1),  # the future
        (NOW - 1_000_000 - 10_000, NOW - 1_000_000, 0),
        (NOW - 500_000_000, NOW, 1),  # before the request
    ],
)
def test_stamps_that_cannot_be(stamp: int, taken: int, refused: int) -> None:
    clock = StampClock()
    assert clock.judge(stamp, NOW - 1_000_000, NOW) == taken
    assert clock.refused == refused


def test_a_wall_clock_that_is_set_is_counted() -> None:
    clock = StampClock()
    clock.offset_ns += 5_000_000_000
    clock.read()
    assert clock.steps == 1
