"""Demands held against figures, and checks of whether the figures can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench import verdict
from planebench.model import ExitCode, Judgement
from planebench.results.document import Counts, Finding, Lateness, Result, SLOResult, Status
from planebench.scenario import SLO
from planebench.verdict import Doubt, Figure, judge

PASS, FAIL, INCONCLUSIVE = Judgement.PASS, Judgement.FAIL, Judgement.INCONCLUSIVE


def slo(**fields: Any) -> SLO:
    return SLO.model_validate({"sli": "creation.response", **fields})


def p99(most: str = "1s") -> SLO:
    return slo(percentile=99, max=most)


def seconds(value: float, *doubts: Doubt, n: int = 1000, **fields: Any) -> Figure:
    return Figure(value=value, n=n, missing=fields.pop("missing", 0), unit="s", doubts=doubts, **fields)


def outcome(demand: SLO, figure: Figure | None, why_none: str = "") -> tuple[Judgement, str]:
    found = judge(demand, figure, why_none)
    return found.verdict, found.reason


# --- one demand ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "expected"), [(0.5, PASS), (1.0, PASS), (1.0000001, FAIL)])
def test_an_upper_bound(value: float, expected: Judgement) -> None:
    assert outcome(p99(), seconds(value)) == (expected, "")


@pytest.mark.parametrize(("value", "expected"), [(0.99, FAIL), (1.0, PASS)])
def test_a_lower_bound(value: float, expected: Judgement) -> None:
    figure = Figure(value, 100, 0, "share")
    assert outcome(slo(sli="creation.reached", min="100%"), figure)[0] is expected


@pytest.mark.parametrize(("value", "expected"), [(9, FAIL), (10, PASS), (20, PASS), (21, FAIL)])
def test_two_bounds(value: float, expected: Judgement) -> None:
    figure = Figure(value, 100, 0, "/s")
    assert outcome(slo(sli="scheduling.throughput", min="10/s", max="20/s"), figure)[0] is expected


def test_what_is_told_of_it() -> None:
    found = judge(p99("1500ms"), seconds(2.0))
    assert found == SLOResult(
        sli="creation.response",
        percentile=99,
        at_most=1.5,
        at_least=None,
        unit="s",
        value=2.0,
        n=1000,
        verdict=FAIL,
        reason="",
    )


@pytest.mark.parametrize("figure", [None, seconds(math.nan), seconds(0.1, n=0)])
def test_no_data_is_never_a_pass(figure: Figure | None) -> None:
    assert outcome(p99(), figure) == (INCONCLUSIVE, "no data")
    assert outcome(p99(), figure, "nobody looked") == (INCONCLUSIVE, "nobody looked")
    assert judge(p99(), figure).value is None
    assert judge(p99(), figure).unit == "s"


def test_a_percentile_among_the_missing_is_larger_than_every_bound() -> None:
    requests = judge(p99("1h"), seconds(math.inf, n=100, missing=2))
    assert (requests.verdict, requests.reason, requests.value) == (FAIL, "2 of 100 failed", None)
    objects = judge(p99("1h"), seconds(math.inf, n=100, missing=2, all_must_come=True))
    assert (objects.verdict, objects.reason, objects.value) == (FAIL, "2 of 100 never came", None)


def test_one_lost_object_fails_an_upper_bound() -> None:
    figure = seconds(0.1, missing=1, all_must_come=True)
    assert outcome(p99(), figure) == (FAIL, "1 of 1,000 never came")
    assert outcome(slo(percentile=50, max="1s"), figure)[0] is FAIL


def test_a_failed_request_matters_in_its_percentile_only() -> None:
    assert outcome(p99(), seconds(0.1, missing=1))[0] is PASS


def test_a_miss_is_explained_by_the_indicator() -> None:
    figure = Figure(0.98, 100, 0, "share", note="98 of 100 came up")
    assert outcome(slo(sli="creation.reached", min="100%"), figure) == (FAIL, "98 of 100 came up")


@pytest.mark.parametrize(
    ("bound", "unit", "fits"),
    [
        ("1s", "s", True),
        ("1s", "share", False),
        ("10/s", "/s", True),
        ("99%", "share", True),
        ("99%", "count", False),
        ("2Gi", "bytes", True),
        (0, "count", True),
        (0.5, "ratio", True),
        (100, "bytes", True),
        (1, "s", False),
    ],
)
def test_units(bound: Any, unit: Any, fits: bool) -> None:
    found = judge(slo(max=bound), Figure(0.0, 1, 0, unit))
    assert (found.verdict is PASS) == fits
    if not fits:
        assert found.verdict is INCONCLUSIVE
        assert found.reason.endswith(f"has not the indicator's unit ({unit})")


def test_few_values_pass_with_a_caution() -> None:
    few = "few values: p99 of 100 has no finite 95% upper bound, it takes 368"
    assert outcome(p99(), seconds(0.1, n=100)) == (PASS, few)
    assert outcome(p99(), seconds(0.1, n=368)) == (PASS, "")
    assert outcome(slo(percentile=100, max="1s"), seconds(0.1, n=2)) == (PASS, "")
    assert outcome(slo(sli="cleanup.leftovers", max=0), Figure(0.0, 1, 0, "count")) == (PASS, "")


# --- doubt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doubt_s", "expected"),
    [(0.0005, PASS), (0.001, PASS), (0.01, PASS), (0.0101, INCONCLUSIVE), (0.5, INCONCLUSIVE)],
)
def test_a_doubt_matters_from_one_percent_on(doubt_s: float, expected: Judgement) -> None:
    """Of the bound, 1 s here, where the value is smaller."""
    found = outcome(p99(), seconds(0.1, Doubt(doubt_s, "sent late")))
    assert found == (expected, "met, but sent late" if expected is INCONCLUSIVE else "")


def test_a_doubt_below_a_millisecond_is_negligible() -> None:
    assert outcome(p99("10ms"), seconds(0.005, Doubt(0.001, "late")))[0] is PASS
    assert outcome(p99("10ms"), seconds(0.005, Doubt(0.0011, "late")))[0] is INCONCLUSIVE


@pytest.mark.parametrize(("value", "expected"), [(1.04, INCONCLUSIVE), (1.05, INCONCLUSIVE), (1.06, FAIL)])
def test_a_miss_by_more_than_the_doubt_is_a_miss(value: float, expected: Judgement) -> None:
    found = outcome(p99(), seconds(value, Doubt(0.05, "sent late")))
    assert found == (expected, "missed, but sent late" if expected is INCONCLUSIVE else "")


def test_with_an_infinite_doubt_nothing_is_certain() -> None:
    doubt = Doubt(math.inf, "a gap")
    assert outcome(p99(), seconds(0.1, doubt)) == (INCONCLUSIVE, "met, but a gap")
    assert outcome(p99(), seconds(100.0, doubt)) == (INCONCLUSIVE, "missed, but a gap")
    assert outcome(p99(), seconds(math.inf, doubt, missing=20)) == (INCONCLUSIVE, "missed, but a gap")


def test_objects_that_never_came_did_not_come_late() -> None:
    figure = seconds(math.inf, Doubt(0.5, "sent late"), n=10, missing=10, all_must_come=True)
    assert outcome(p99(), figure) == (FAIL, "10 of 10 never came")


def test_a_share_is_doubted_by_what_may_have_been_overlooked_only() -> None:
    demand = slo(sli="creation.reached", min="100%")
    assert outcome(demand, Figure(1.0, 10, 0, "share", (Doubt(5.0, "late"),)))[0] is PASS
    assert outcome(demand, Figure(1.0, 10, 0, "share", (Doubt(math.inf, "a gap"),)))[0] is INCONCLUSIVE


def test_every_doubt_is_weighed() -> None:
    doubts = (Doubt(0.0001, "negligible"), Doubt(0.02, "small"), Doubt(0.5, "large"))
    assert outcome(p99(), seconds(1.3, *doubts)) == (INCONCLUSIVE, "missed, but large")
    assert outcome(p99(), seconds(0.3, *doubts)) == (INCONCLUSIVE, "met, but small")
    assert outcome(p99(), seconds(1.6, *doubts)) == (FAIL, "")


@given(
    value=st.floats(0, 1e4),
    bound_ms=st.integers(1, 10**7),
    doubts=st.lists(st.floats(0, 1e4) | st.just(math.inf), max_size=3),
    missing=st.integers(0, 5),
)
def test_more_doubt_never_makes_a_verdict_surer(
    value: float, bound_ms: int, doubts: list[float], missing: int
) -> None:
    def judged(found: list[float]) -> Judgement:
        reasons = tuple(Doubt(doubt, "why") for doubt in found)
        return judge(p99(f"{bound_ms}ms"), seconds(value, *reasons, missing=missing)).verdict

    certain = judged([])
    assert certain is (PASS if value <= bound_ms / 1000 else FAIL)
    assert judged(doubts) in (certain, INCONCLUSIVE)
    for dropped in range(len(doubts)):
        fewer = judged(doubts[:dropped] + doubts[dropped + 1 :])
        assert judged(doubts) in (fewer, INCONCLUSIVE)


# --- checks --------------------------------------------------------------------------------------------------


def test_completed() -> None:
    assert verdict.check_completed("completed", None).ok
    broken = verdict.check_completed("broken", "etcd ended")
    assert (broken.ok, broken.value, broken.affects) == (False, "broken: etcd ended", "run")
    assert verdict.check_completed("interrupted", None).value == "interrupted"


def test_data() -> None:
    assert verdict.check_data(1).ok
    assert not verdict.check_data(0).ok
    assert verdict.check_data(12345).value == "12,345 requests"


def late(p99_s: float | None) -> Lateness:
    return Lateness(stage="creation", n=10, never_sent=0, p50_s=p99_s, p99_s=p99_s, max_s=p99_s)


@pytest.mark.parametrize(
    ("p99_s", "typical_s", "ok"),
    [
        (0.001, None, True),
        (0.0011, None, False),
        (0.0011, 0.05, False),
        (0.0011, 0.2, True),
        (0.01, 1.0, True),
        (None, 1.0, False),
    ],
)
def test_lateness(p99_s: float | None, typical_s: float | None, ok: bool) -> None:
    found = verdict.check_lateness(late(p99_s), typical_s)
    assert (found.ok, found.name, found.affects) == (ok, "lateness.creation", "creation")


def test_lateness_in_words() -> None:
    found = verdict.check_lateness(late(0.0042), 0.5)
    assert (found.value, found.bound) == ("p99 4.20 ms late", "5.00 ms (1 ms, or 1% of the p99 response)")
    assert verdict.check_lateness(late(None), None).value == "none was sent"


@pytest.mark.parametrize(
    ("health", "found"),
    [
        ({"busiest_second": 0.7, "loop_lag_ms": {"p99": 5}}, {"engine.busy": True, "engine.lag": True}),
        ({"busiest_second": 0.71, "loop_lag_ms": {"p99": 5.1}}, {"engine.busy": False, "engine.lag": False}),
        ({"busiest_second": 0.1}, {"engine.busy": True}),
        ({"loop_lag_ms": {"p99": 0.1}}, {"engine.lag": True}),
        ({"busiest_second": None, "loop_lag_ms": {}}, {"engine.health": False}),
        ({"loop_lag_ms": 3}, {"engine.health": False}),
        ({}, {"engine.health": False}),
    ],
)
def test_the_engine(health: Mapping[str, Any], found: dict[str, bool]) -> None:
    checks = verdict.check_engine(health)
    assert {check.name: check.ok for check in checks} == found
    assert {check.affects for check in checks} == {"run"}


@pytest.mark.parametrize(
    ("gaps", "ok", "value"),
    [
        ((0, 0, 0.0), True, "no gaps"),
        ((0, 2, 0.0123), True, "2 resumed without loss, the longest 12.3 ms"),
        ((1, 0, 0.0), False, "1 with loss"),
        ((1, 1, 0.001), False, "1 with loss, 1 resumed without loss, the longest 1.0 ms"),
    ],
)
def test_watches(gaps: tuple[int, int, float], ok: bool, value: str) -> None:
    found = verdict.check_watches(*gaps)
    assert (found.ok, found.value, found.affects) == (ok, value, "run")


def test_restarts() -> None:
    assert verdict.check_restarts({}).ok
    found = verdict.check_restarts({"etcd": 1, "kwok-1": 2})
    assert (found.ok, found.value, found.affects) == (False, "etcd 1x, kwok-1 2x", "run")


def test_negative_durations() -> None:
    assert verdict.check_negative({}).ok
    found = verdict.check_negative({"creation.seen": 1200})
    assert (found.ok, found.value, found.affects) == (False, "creation.seen 1,200", "run")


def test_terminated_watchers() -> None:
    assert verdict.check_terminated_watchers(None) is None
    for count in (0.0, 3.0):
        found = verdict.check_terminated_watchers(count)
        assert found is not None
        assert (found.ok, found.value, found.affects) == (count == 0, f"{count:.0f}", "")


def test_scrapes() -> None:
    assert verdict.check_scrapes([]).ok
    assert verdict.check_scrapes(["a"]).value == "a"
    found = verdict.check_scrapes(["a", "b", "c"])
    assert (found.ok, found.value, found.affects) == (False, "a and 2 more", "")


def test_whatever_is_wrong_says_what_to_do() -> None:
    wrong = [
        verdict.check_completed("broken", "why"),
        verdict.check_data(0),
        verdict.check_lateness(late(1.0), None),
        *verdict.check_engine({}),
        *verdict.check_engine({"busiest_second": 1.0, "loop_lag_ms": {"p99": 9.0}}),
        verdict.check_watches(1, 0, 0.0),
        verdict.check_restarts({"a": 1}),
        verdict.check_negative({"a": 1}),
        verdict.check_terminated_watchers(1.0),
        verdict.check_scrapes(["a"]),
    ]
    for finding in wrong:
        assert finding is not None
        assert not finding.ok
        assert finding.action


# --- the run -------------------------------------------------------------------------------------------------


def judged(*verdicts: Judgement) -> list[SLOResult]:
    return [
        judge(p99(), None).model_copy(update={"verdict": found, "reason": f"{found} why"}) for found in verdicts
    ]


def finding(ok: bool, affects: str = "run") -> Finding:
    return Finding(name="a", title="all is well", value="no", bound="yes", ok=ok, affects=affects)


@pytest.mark.parametrize(
    ("verdicts", "findings", "expected"),
    [
        ((PASS, PASS), [finding(True)], (PASS, "2 of 2 SLOs met")),
        ((PASS, FAIL, INCONCLUSIVE), [finding(False)], (FAIL, "1 of 3 SLOs missed")),
        ((PASS, PASS), [finding(False)], (INCONCLUSIVE, "not so: all is well (no)")),
        ((PASS, PASS), [finding(False, "creation"), finding(False, "")], (PASS, "2 of 2 SLOs met")),
        (
            (PASS, INCONCLUSIVE, INCONCLUSIVE),
            [finding(True)],
            (INCONCLUSIVE, "2 of 3 SLOs cannot be judged: INCONCLUSIVE why"),
        ),
        ((), [finding(True)], (None, "the scenario demands nothing")),
        ((), [finding(False)], (INCONCLUSIVE, "not so: all is well (no)")),
    ],
)
def test_fail_outweighs_inconclusive_outweighs_pass(
    verdicts: tuple[Judgement, ...], findings: list[Finding], expected: tuple[Judgement | None, str]
) -> None:
    assert verdict.overall(judged(*verdicts), findings) == expected


def result(status: Status, found: Judgement | None) -> Result:
    nothing = Counts(planned=0, created=0, scheduled=0, up=0, deleted=0, failed=0, leftovers=0)
    return Result(
        run_id="a",
        planebench_version="0",
        scenario="a",
        plane="core",
        seed=1,
        started_wall="",
        duration_s=1,
        status=status,
        verdict=found,
        reason="",
        validity=(),
        slos=(),
        preparation=(),
        stages=(),
        components=(),
        phases=(),
        counts=nothing,
    )


@pytest.mark.parametrize(
    ("status", "found", "code"),
    [
        ("completed", PASS, 0),
        ("completed", None, 0),
        ("completed", FAIL, 1),
        ("completed", INCONCLUSIVE, 3),
        ("broken", FAIL, 4),
        ("broken", INCONCLUSIVE, 4),
        ("running", PASS, 4),
        ("interrupted", PASS, 130),
        ("interrupted", FAIL, 130),
    ],
)
def test_exit_codes(status: Status, found: Judgement | None, code: int) -> None:
    assert verdict.exit_code(result(status, found)) == ExitCode(code)
