"""Faults of components: what was lost, when what went on again, and whether etcd holds what was promised."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from struck_run import APISERVER_S, BACK_S, BOUND_AGAIN_S, SCHEDULER_S, struck
from synthetic_run import SyntheticRun, machines

from planebench.model import FaultRecord, Judgement, Stage
from planebench.results.document import FaultResult, Result
from planebench.slis import evaluate
from planebench.slis.resilience.surplus import beyond
from planebench.slis.resilience.work import Work
from planebench.slis.windows import Window, disturbed


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return evaluate(struck().write(tmp_path_factory.mktemp("struck") / "run"))


def figure(fault: FaultResult, name: str) -> float | None:
    found = [item for item in fault.figures if item.sli == f"faults.{name}"]
    assert len(found) == 1, name
    return found[0].value


def test_each_fault_has_its_figures(result: Result) -> None:
    scheduler, apiserver = result.faults
    assert (scheduler.name, scheduler.label) == ("kill-kube-scheduler", "kill kube-scheduler")
    assert (scheduler.start_s, scheduler.struck_s, scheduler.end_s) == (30.0, 30.01, 32.01)
    assert figure(scheduler, "lost") == 0
    assert figure(scheduler, "first_write") == pytest.approx(0.038), "due 33 ms after its start, done 5 ms later"
    assert figure(scheduler, "ready") == pytest.approx(2.3)
    assert scheduler.work == "first bind"
    assert figure(scheduler, "first_work") == pytest.approx(BOUND_AGAIN_S - SCHEDULER_S)
    assert figure(scheduler, "caught_up") == pytest.approx(2.614), "one is left in hand"
    assert scheduler.followed == ()

    assert figure(apiserver, "lost") == 30 + 60 + 60
    assert apiserver.told == {"connection": 150}
    assert figure(apiserver, "errors") == 150 + 1, "and one that a second try has cured"
    assert (figure(scheduler, "errors"), scheduler.told) == (0, {})
    assert figure(apiserver, "first_write") == pytest.approx(BACK_S - APISERVER_S + 0.005)
    assert figure(apiserver, "first_read") == pytest.approx(BACK_S - APISERVER_S + 0.021)
    assert figure(apiserver, "as_before") == pytest.approx(BACK_S - APISERVER_S)
    assert figure(apiserver, "ready") == pytest.approx(3.5)
    assert apiserver.work == "first object up"
    assert figure(apiserver, "first_work") == pytest.approx(3.034)
    assert figure(apiserver, "recovered") == pytest.approx(3.5), "the latest of all"
    assert apiserver.followed == ("kube-controller-manager ended with exit status 1 10.0 s later",)


def test_over_all_faults_and_by_fault(result: Result) -> None:
    rows = result.rows()
    whole = rows["faults.first_write"]
    assert (whole.n, whole.missing) == (2, 0)
    assert whole.max == pytest.approx(3.005)
    assert rows["faults.first_write.kill-kube-apiserver"].part_of == "faults.first_write"
    assert (rows["faults.lost"].n, rows["faults.lost"].p50, rows["faults.lost"].max) == (2, 0, 150)
    assert (rows["faults.never_up"].value, rows["faults.never_up"].n) == (0, 570)
    assert (rows["faults.lost_writes"].value, rows["faults.inconsistent"].value) == (0, 0)


def test_demands_are_judged_over_all_and_for_each_fault(result: Result) -> None:
    assert [slo.verdict for slo in result.slos] == [Judgement.PASS, Judgement.FAIL, Judgement.PASS]
    scheduler, apiserver = result.faults
    verdicts = {item.sli: item.verdict for item in scheduler.figures if item.verdict}
    assert verdicts == {"faults.first_write": Judgement.PASS, "faults.first_work": Judgement.FAIL}
    assert (scheduler.verdict, apiserver.verdict) == (Judgement.FAIL, Judgement.PASS)


def test_what_a_fault_explains_does_not_make_the_run_doubtful(tmp_path: Path) -> None:
    run = struck()
    run.gap("pods", APISERVER_S + 0.05, BACK_S + 0.6, resumed=False, reason="410")
    for t_s, start in ((9, 1), (29, 1), (35, 2), (79, 2)):
        run.scrape(t_s, "kube-scheduler", "kube-scheduler", f"process_start_time_seconds {start}\n")
    for request in run.requests:  # there was no connection: sent when there was one again
        if BACK_S < request["due_ns"] / 1e9 < BACK_S + 1:
            request["sent_ns"] += 500_000_000
            request["done_ns"] += 500_000_000
    result = evaluate(run.write(tmp_path / "run"))
    wrong = [finding.name for finding in result.validity if not finding.ok and finding.affects == "run"]
    assert wrong == []
    found = {finding.name: finding for finding in result.validity}
    assert found["watch.gaps"].value == "1 read anew after a fault"
    assert found["lateness.creation"].ok


def test_what_no_fault_explains_does(tmp_path: Path) -> None:
    run = struck()
    run.gap("pods", SCHEDULER_S - 5, SCHEDULER_S - 4, resumed=False, reason="410")
    for t_s, start in ((9, 1), (29, 1), (79, 2)):
        run.scrape(t_s, "etcd", "etcd", f"process_start_time_seconds {start}\n")
    result = evaluate(run.write(tmp_path / "run"))
    wrong = [finding.name for finding in result.validity if not finding.ok and finding.affects == "run"]
    assert wrong == ["watch.gaps", "components.restarted"]


def test_what_never_recovers_fails_every_demand(tmp_path: Path) -> None:
    result = evaluate(struck(recovers=False).write(tmp_path / "run"))
    apiserver = result.faults[1]
    times = {item.sli: item for item in apiserver.figures if item.unit == "s"}
    assert all(
        times[f"faults.{name}"].value is None for name in ("first_write", "as_before", "ready", "recovered")
    )
    assert times["faults.first_write"].beyond_s == pytest.approx(30)
    assert "faults.first_work" not in times, "nothing was handed over any more"
    assert apiserver.verdict is Judgement.FAIL
    assert result.slos[0].verdict is Judgement.FAIL
    assert "1 of 2 never came" in result.slos[0].reason


def test_the_aftermath_of_one_fault_is_not_what_was_before_the_next(tmp_path: Path) -> None:
    run = struck()
    run.faults[0]["ready_ns"] = int((APISERVER_S - 0.5) * 1e9)
    apiserver = evaluate(run.write(tmp_path / "run")).faults[1]
    assert figure(apiserver, "first_write") == pytest.approx(BACK_S - APISERVER_S + 0.005)
    assert "faults.as_before" not in {item.sli for item in apiserver.figures}, "half a second tells too little"


def without(run: SyntheticRun, name: str) -> None:
    assert run.consistency is not None
    for collection in run.consistency["collections"]:
        collection["etcd"] = [item for item in collection["etcd"] if item != name]
        collection["caches"] = [[item for item in held if item != name] for held in collection["caches"]]


def test_an_acknowledged_object_that_etcd_does_not_hold_is_found(tmp_path: Path) -> None:
    run = struck()
    without(run, "planebench-0/pod-000007")
    rows = evaluate(run.write(tmp_path / "run")).rows()
    assert rows["faults.lost_writes"].value == 1
    assert rows["faults.lost_writes"].notes == ("pods planebench-0/pod-000007",)
    assert rows["faults.inconsistent"].notes == ("pods planebench-0/pod-000007: watch",), "a watch holds it still"


def test_a_cache_that_holds_something_else_is_found(tmp_path: Path) -> None:
    run = struck()
    assert run.consistency is not None
    (held,) = run.consistency["collections"][0]["caches"]
    run.consistency["collections"][0]["caches"] = [held, held[1:]]
    rows = evaluate(run.write(tmp_path / "run")).rows()
    assert rows["faults.lost_writes"].value == 0
    assert rows["faults.inconsistent"].notes == ("pods planebench-0/pod-000000: cache 2",)


def test_an_object_whose_end_was_seen_is_not_missed(tmp_path: Path) -> None:
    run = struck()
    without(run, "planebench-0/pod-000007")
    run.reach(7, deleted=40.0)
    rows = evaluate(run.write(tmp_path / "run")).rows()
    assert (rows["faults.lost_writes"].value, rows["faults.inconsistent"].value) == (0, 0)


def test_a_canary_write_that_an_older_one_has_survived_is_found(tmp_path: Path) -> None:
    run = struck()
    assert run.consistency is not None
    run.consistency["canaries"]["planebench-canary-15"] = "1135"
    rows = evaluate(run.write(tmp_path / "run")).rows()
    assert rows["faults.lost_writes"].notes == (
        "planebench-canary-15 write 1167, planebench-canary-15 write 1199",
    )


def test_a_write_that_was_not_acknowledged_may_be_there_or_not(tmp_path: Path) -> None:
    run = struck()
    name = f"planebench-0/pod-{int((APISERVER_S - 10) * 10):06d}"
    assert run.consistency is not None
    run.consistency["collections"][0]["etcd"].append(name)
    pod = run.object("pods", 400, name.partition("/")[2])
    run.reach(pod, added=BACK_S + 0.6)
    rows = evaluate(run.write(tmp_path / "run")).rows()
    assert (rows["faults.lost_writes"].value, rows["faults.inconsistent"].value) == (0, 0)


def test_without_a_look_into_etcd_nothing_is_said(tmp_path: Path) -> None:
    run = struck()
    run.consistency = {"t_ns": 1, "error": "etcd: kv/range: connection refused"}
    result = evaluate(run.write(tmp_path / "run"))
    assert "faults.inconsistent" not in result.rows()
    assert result.slos[2].verdict is Judgement.INCONCLUSIVE


def test_deletions_of_what_never_came_to_be_are_no_failures(tmp_path: Path) -> None:
    run = struck()
    run.phase("cleanup", Stage.CLEANUP, 80, 90)
    for index in (1, 405):
        status, error = (404, "NotFound") if index == 405 else (200, None)
        name = f"pod-{index:06d}"
        run.request("cleanup", Stage.CLEANUP, "delete", "pods", index, name, 80, status=status, error=error)
    run.reach(1, deleting=80.1, deleted=80.2)
    row = evaluate(run.write(tmp_path / "run")).rows()["cleanup.response"]
    assert (row.n, row.errors) == (1, 0)


# --- parts ---


def window(start_s: float = 10.0, over_s: float = 12.0, until_s: float = 20.0, before_s: float = 0.0) -> Window:
    fault = FaultRecord("kill", (), 0)
    return Window(fault, before_s, start_s, start_s, start_s, over_s, over_s, until_s)


def test_work_that_goes_on_has_no_backlog() -> None:
    work = Work("x", np.arange(0.0, 20.0), np.arange(0.0, 20.0) + 0.5)
    assert work.first_s(window()) == 10.5
    assert work.caught_up_s(window()) == 10.0


def test_a_backlog_is_gone_when_no_more_is_in_hand_than_before() -> None:
    handed = np.arange(0.0, 20.0)
    done = np.where((handed >= 10) & (handed < 15), 15.0 + (handed - 10) / 10, handed + 0.5)
    assert Work("x", handed, done).caught_up_s(window()) == pytest.approx(15.4), "one is left in hand"
    never = np.where(handed >= 10, np.nan, handed + 0.5)
    assert math.isnan(Work("x", handed, never).caught_up_s(window()) or 0.0)
    assert math.isnan(Work("x", handed, never).first_s(window()) or 0.0)
    assert Work("x", handed[:5], never[:5]).first_s(window()) is None


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 10)), min_size=1, max_size=40), st.floats(1, 19))
def test_work_s_times_lie_in_the_window(pieces: list[tuple[float, float]], start_s: float) -> None:
    handed, took = (np.array(column) for column in zip(*pieces, strict=True))
    work = Work("x", handed, handed + took)
    around = window(start_s, min(start_s + 1, 20), 20.0)
    for t_s in (work.first_s(around), work.caught_up_s(around)):
        assert t_s is None or math.isnan(t_s) or start_s <= t_s <= 20


def test_pods_that_were_made_twice_are_found(tmp_path: Path) -> None:
    run = machines()
    run.fault("pause", "virt-controller", 12, struck_s=12.1, end_s=13, ready_s=13.1)
    second = run.object("pods", 4, "virt-launcher-4-again", node="node-000001", owner="uid-x")
    gone = run.object("pods", 5, "virt-launcher-5-again", node="node-000001", owner="uid-y")
    run.reach(second, added=13.0, scheduled=13.1)
    run.reach(gone, added=13.0, deleting=13.2, deleted=13.4)
    row = evaluate(run.write(tmp_path / "run")).rows()["faults.surplus"]
    assert (row.value, row.n, row.notes) == (1, 11, ("virt-launcher-4-again",))


def test_the_last_pods_beyond_what_is_asked_for_are_too_many() -> None:
    rows = {"index": [1, 1, 1, 2], "name": ["c", "a", "b", "d"], "added_ns": [30, 10, 20, 5]}
    assert beyond(pl.DataFrame(rows), 2) == ["c"]
    assert beyond(pl.DataFrame(rows), 1) == ["b", "c"]
    assert beyond(pl.DataFrame(rows), 3) == []


def test_times_right_after_a_fault_are_disturbed() -> None:
    times = np.array([9.9, 10.0, 12.0, 16.9, 17.1])
    assert disturbed([window()], times).tolist() == [False, True, True, True, False]
    assert not disturbed([], times).any()
