"""The search as a state machine: thresholds are made up, so what it has to find is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.capacity.document import Ending, Load, Outcome, Plan
from planebench.capacity.search import Tried, most_levels, next_level, outcome
from planebench.model import Judgement

PASS, FAIL, INCONCLUSIVE = Judgement.PASS, Judgement.FAIL, Judgement.INCONCLUSIVE


def plan(start: float = 10, end: float = 500, of: Load = Load.RATE, **changes: float) -> Plan:
    return Plan.model_validate(
        {
            "of": of,
            "start": start,
            "end": end,
            "step_objects": 100,
            "step_duration_s": 10.0,
            "settle_s": 0.0,
            "fresh": False,
            "attempts": 1,
            "seed": 1,
            **changes,
        }
    )


def search(wanted: Plan, threshold: float) -> tuple[list[Tried], Outcome]:
    """Everything up to the threshold holds, nothing above it does."""
    tried: list[Tried] = []
    while (level := next_level(wanted, tried)) is not None:
        assert len(tried) < 200, "the search does not end"
        assert wanted.start <= level <= wanted.end
        assert level not in [before for before, _ in tried]
        assert outcome(wanted, tried) is None
        tried.append((level, PASS if level <= threshold else FAIL))
    found = outcome(wanted, tried)
    assert found is not None
    return tried, found


rates = st.floats(0.01, 10_000, allow_nan=False).map(lambda rate: float(f"{rate:.4g}"))


@given(start=rates, span=st.floats(1.01, 1000), share=st.floats(0.0, 1.0), precision=st.floats(0.01, 0.3))
def test_any_threshold_is_found_within_the_precision(
    start: float, span: float, share: float, precision: float
) -> None:
    wanted = plan(start, start * span, precision=precision)
    threshold = start * span**share
    tried, found = search(wanted, threshold)
    assert len(tried) <= most_levels(wanted)
    assert found.capacity is not None
    assert found.capacity <= threshold
    if threshold >= wanted.end:
        assert (found.ending, found.capacity) == (Ending.RANGE, wanted.end)
    else:
        assert found.ending is Ending.FOUND
        assert found.next_above is not None
        assert threshold < found.next_above <= found.capacity * (1 + precision)


@given(start=st.integers(1, 500), more=st.integers(1, 5000), above=st.integers(0, 5000))
def test_any_whole_threshold_is_found(start: int, more: int, above: int) -> None:
    wanted = plan(start, start + more, Load.OBJECTS)
    threshold = start + min(above, more)
    tried, found = search(wanted, threshold)
    assert all(level == int(level) for level, _ in tried)
    assert found.capacity is not None
    if threshold == start + more:
        assert (found.ending, found.capacity) == (Ending.RANGE, wanted.end)
    else:
        assert found.next_above is not None
        assert found.capacity <= threshold < found.next_above
        assert found.next_above <= max(found.capacity * 1.05, found.capacity + 1)


def test_the_ramp_is_half_as_much_again() -> None:
    tried, _ = search(plan(10, 500), 60)
    assert [level for level, _ in tried][:6] == [10, 15, 22.5, 33.75, 50.62, 75.93]
    assert len(tried) == 10


def test_where_not_even_the_first_level_holds_the_search_ends() -> None:
    tried, found = search(plan(10, 500), 5)
    assert tried == [(10, FAIL)]
    assert (found.ending, found.capacity, found.next_above) == (Ending.START, None, 10)
    assert "--from" in found.reason


@pytest.mark.parametrize("before", [[], [(10.0, PASS)], [(10.0, PASS), (15.0, FAIL)]])
def test_a_level_that_cannot_be_judged_ends_the_search(before: list[Tried]) -> None:
    tried = [*before, (12.0, INCONCLUSIVE)]
    assert next_level(plan(), tried) is None
    found = outcome(plan(), tried, "the load engine had no core to spare")
    assert found is not None
    assert found.ending is Ending.DOUBT
    assert found.capacity == (10.0 if before else None)
    assert found.next_above == 12.0
    assert found.reason == "the load engine had no core to spare"


def test_a_search_goes_on_from_any_of_its_states() -> None:
    tried, _ = search(plan(10, 500), 137)
    for cut in range(len(tried)):
        assert next_level(plan(10, 500), tried[:cut]) == tried[cut][0]


# --- several attempts ----------------------------------------------------------------------------------------


def test_a_level_that_does_not_hold_is_tried_again() -> None:
    wanted = plan(10, 500, attempts=2)
    assert next_level(wanted, [(10, FAIL)]) == 10
    assert next_level(wanted, [(10, FAIL), (10, FAIL)]) is None
    assert next_level(wanted, [(10, FAIL), (10, PASS)]) == 15
    assert next_level(wanted, [(10, INCONCLUSIVE)]) == 10
    assert next_level(wanted, [(10, PASS), (15, INCONCLUSIVE), (15, FAIL)]) == pytest.approx(12.25, abs=0.01)


def test_a_level_that_fails_once_and_is_in_doubt_once_does_not_hold() -> None:
    wanted = plan(10, 500, attempts=2)
    found = outcome(wanted, [(10, INCONCLUSIVE), (10, FAIL)])
    assert found is not None
    assert found.ending is Ending.START


@given(threshold=st.floats(10, 500), stalls=st.sets(st.integers(0, 30), max_size=10))
def test_single_stalls_do_not_mislead_a_search_of_two_attempts(threshold: float, stalls: set[int]) -> None:
    """Every stall fails one step; none comes twice in a row."""
    wanted = plan(10, 500, attempts=2)
    alone = {stall for stall in stalls if stall - 1 not in stalls}
    tried: list[Tried] = []
    while (level := next_level(wanted, tried)) is not None:
        holds = level <= threshold and len(tried) not in alone
        tried.append((level, PASS if holds else FAIL))
    found = outcome(wanted, tried)
    assert found is not None
    assert found.capacity is not None
    assert found.capacity <= threshold <= max(found.next_above or wanted.end, found.capacity * 1.05)
    assert len(tried) <= 2 * most_levels(wanted)
