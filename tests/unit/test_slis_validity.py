"""What makes a run's figures doubtful: late requests, gaps, a busy engine, impossible times, an early end."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from synthetic_run import SyntheticRun, looked_at, pods

from planebench import slis, verdict
from planebench.model import ExitCode, Judgement, PlanebenchError, Stage
from planebench.results.document import Finding, Result


def evaluate(run: SyntheticRun, folder: Path) -> Result:
    return slis.evaluate(run.write(folder / "run"))


def check(result: Result, name: str) -> Finding:
    return next(finding for finding in result.validity if finding.name == name)


def judged(result: Result) -> dict[str, tuple[Judgement, str]]:
    return {slo.sli: (slo.verdict, slo.reason) for slo in result.slos}


def test_a_sound_run(tmp_path: Path) -> None:
    result = evaluate(pods()[0], tmp_path)
    assert [finding.name for finding in result.validity] == [
        "run.completed",
        "run.data",
        "lateness.creation",
        "lateness.management",
        "lateness.cleanup",
        "engine.busy",
        "engine.lag",
        "observation.staleness",
        "simulator.kept_up",
        "watch.gaps",
        "components.restarted",
        "durations.negative",
        "scrapes.failed",
    ]
    assert all(finding.ok for finding in result.validity)
    assert (result.verdict, result.reason) == (Judgement.PASS, "4 of 4 SLOs met")
    assert verdict.exit_code(result) == ExitCode.PASS


# --- lateness ------------------------------------------------------------------------------------------------


def late(run: SyntheticRun, stage: Stage, by_s: float) -> None:
    for request in run.requests:
        if request["stage"] == stage:
            request["sent_ns"] = request["due_ns"] + round(by_s * 1e9)
            request["done_ns"] += round(by_s * 1e9)


def test_lateness_by_stage(tmp_path: Path) -> None:
    run, _ = pods()
    late(run, Stage.CREATION, 0.05)
    result = evaluate(run, tmp_path)
    found = {entry.stage: entry for entry in result.harness.lateness}
    assert (found["creation"].n, found["creation"].p99_s, found["creation"].never_sent) == (100, 0.05, 0)
    assert found["cleanup"].p99_s == 0.0001
    assert not check(result, "lateness.creation").ok
    assert check(result, "lateness.cleanup").ok
    assert check(result, "lateness.creation").affects == "creation"
    harness = result.harness.lateness[0]
    assert harness.max_s == 0.05


def test_late_requests_are_in_the_response_and_make_it_doubtful(tmp_path: Path) -> None:
    """50 ms are 5% of a bound of 1 s, but only 1% of one of 5 s."""
    run, _ = pods()
    late(run, Stage.CREATION, 0.05)
    slos = judged(evaluate(run, tmp_path))
    assert slos["creation.response"] == (
        Judgement.INCONCLUSIVE,
        "met, but requests were sent late: p99 50.0 ms",
    )
    assert slos["creation.startup"][0] is Judgement.PASS


def test_service_time_does_not_contain_the_lateness(tmp_path: Path) -> None:
    run, _ = pods(overrides={"slos[0].sli": "creation.service"})
    late(run, Stage.CREATION, 0.05)
    result = evaluate(run, tmp_path)
    assert judged(result)["creation.service"][0] is Judgement.PASS


def test_a_miss_that_lateness_alone_may_have_made_is_none(tmp_path: Path) -> None:
    run, _ = pods(overrides={"slos[0].max": "60ms"})
    late(run, Stage.CREATION, 0.05)
    verdict_, reason = judged(evaluate(run, tmp_path))["creation.response"]
    assert (verdict_, reason) == (
        Judgement.INCONCLUSIVE,
        "missed, but requests were sent late: p99 50.0 ms",
    )


def test_what_was_never_sent_is_counted_apart(tmp_path: Path) -> None:
    run, _ = pods()
    for request in run.requests[:2]:
        request |= {"sent_ns": -1, "done_ns": -1, "status": 0, "error": "unfinished"}
    result = evaluate(run, tmp_path)
    found = result.harness.lateness[0]
    assert (found.n, found.never_sent, found.p99_s) == (98, 2, 0.0001)
    assert result.rows()["creation.response"].errors == 2


def test_a_stage_whose_requests_were_never_sent_is_not_on_time(tmp_path: Path) -> None:
    run, _ = pods()
    for request in run.requests:
        if request["stage"] == Stage.CLEANUP:
            request |= {"sent_ns": -1, "done_ns": -1, "status": 0, "error": "unfinished"}
    finding = check(evaluate(run, tmp_path), "lateness.cleanup")
    assert (finding.ok, finding.value) == (False, "none was sent")


# --- the engine ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "name"),
    [
        ({"busiest_second": 0.9, "loop_lag_ms": {"p99": 0.1}}, "engine.busy"),
        ({"busiest_second": 0.1, "loop_lag_ms": {"p99": 12.0}}, "engine.lag"),
        ({}, "engine.health"),
    ],
)
def test_a_troubled_engine_makes_durations_doubtful(tmp_path: Path, health: dict[str, object], name: str) -> None:
    run, _ = pods()
    run.health = health
    result = evaluate(run, tmp_path)
    assert not check(result, name).ok
    slos = judged(result)
    assert slos["creation.response"][0] is Judgement.INCONCLUSIVE
    assert slos["creation.reached"][0] is Judgement.PASS, "a share does not depend on the engine's promptness"
    assert result.verdict is Judgement.INCONCLUSIVE


def test_a_lost_process_makes_everything_doubtful(tmp_path: Path) -> None:
    run, _ = pods()
    run.overrides = {"slos[0].max": "1us"}  # missed: also that cannot be said
    run.health["senders"] = {"sender-1": {"lost": ""}, "sender-2": {"lost": "lost in creation, 3 of its 50 ..."}}
    result = evaluate(run, tmp_path)
    finding = check(result, "load.senders")
    assert (finding.ok, finding.value) == (False, "sender-2 was lost in creation, 3 of its 50 ...")
    assert {judgement for judgement, _ in judged(result).values()} == {Judgement.INCONCLUSIVE}
    assert result.verdict is Judgement.INCONCLUSIVE
    assert verdict.exit_code(result) == ExitCode.INCONCLUSIVE


def test_processes_that_all_came_to_the_end_are_counted(tmp_path: Path) -> None:
    run, _ = pods()
    run.health["senders"] = {f"sender-{number}": {"lost": ""} for number in range(4)}
    result = evaluate(run, tmp_path)
    assert check(result, "load.senders").value == "all 4"
    assert result.verdict is Judgement.PASS


def test_the_engine_s_report_may_lie_deeper(tmp_path: Path) -> None:
    run, _ = pods()
    run.health = {"engine": run.health, "sampler": {}}
    result = evaluate(run, tmp_path)
    assert check(result, "engine.busy").ok
    assert result.harness.engine["connections"] == 64


# --- watches -------------------------------------------------------------------------------------------------


def test_a_gap_with_loss(tmp_path: Path) -> None:
    run, _ = pods()
    run.gap("pods", 12, 13, resumed=False, reason="410")
    result = evaluate(run, tmp_path)
    assert check(result, "watch.gaps").value == "1 with loss"
    slos = judged(result)
    reason = "the watch of pods had a gap (410)"
    assert slos["creation.startup"] == (Judgement.INCONCLUSIVE, f"met, but {reason}")
    assert slos["creation.reached"] == (Judgement.INCONCLUSIVE, f"met, but {reason}")
    assert slos["creation.response"][0] is Judgement.PASS, "answers need no watch"
    assert slos["cleanup.leftovers"][0] is Judgement.PASS


def test_a_gap_that_was_not_over_at_the_end(tmp_path: Path) -> None:
    run, _ = pods()
    run.gaps.append({"watch": "pods", "t_ns": 12 * 10**9, "end_ns": -1, "reason": "connection", "resumed": True})
    slos = judged(evaluate(run, tmp_path))
    assert slos["creation.startup"][1] == "met, but the watch of pods had a gap (connection)"


def test_gaps_of_other_watches_and_other_times_do_not_matter(tmp_path: Path) -> None:
    run, _ = pods()
    run.gap("nodes", 12, 13, resumed=False)
    run.gap("pods", 1, 2, resumed=False)
    run.gap("pods", 80, 81, resumed=False)
    result = evaluate(run, tmp_path)
    assert not check(result, "watch.gaps").ok
    assert judged(result)["creation.startup"][0] is Judgement.PASS
    assert result.verdict is Judgement.INCONCLUSIVE, "the run as a whole has lost events"


def test_a_gap_without_loss_is_a_doubt_of_its_length(tmp_path: Path) -> None:
    run, _ = pods()
    run.gap("pods", 12, 12.2)
    run.gap("pods", 13, 13.01)
    result = evaluate(run, tmp_path)
    found = check(result, "watch.gaps")
    assert (found.ok, found.value) == (True, "2 resumed without loss, the longest 200.0 ms")
    assert judged(result)["creation.startup"] == (
        Judgement.INCONCLUSIVE,
        "met, but a watch was interrupted for 200.0 ms",
    )
    assert judged(result)["creation.reached"][0] is Judgement.PASS


def test_a_short_gap_is_negligible(tmp_path: Path) -> None:
    run, _ = pods()
    run.gap("pods", 12, 12.01)
    assert judged(evaluate(run, tmp_path))["creation.startup"][0] is Judgement.PASS


# --- impossible times ----------------------------------------------------------------------------------------


def test_a_negative_duration_is_kept_and_told(tmp_path: Path) -> None:
    run, _ = pods()
    for reached in run.milestones:
        if (reached["object"], reached["milestone"]) == (4, "scheduled"):
            reached["t_ns"] = 10_190_000_000  # 10 ms before its creation was due
    result = evaluate(run, tmp_path)
    row = result.rows()["scheduling.latency"]
    assert (row.negative, row.n, row.missing) == (1, 100, 0)
    found = check(result, "durations.negative")
    assert not found.ok
    assert "scheduling.latency 1" in found.value
    assert "management.transition" not in found.value, "milestones may come in another order"
    assert result.verdict is Judgement.INCONCLUSIVE


def test_a_negative_duration_makes_its_slo_inconclusive(tmp_path: Path) -> None:
    run, _ = pods(overrides={"slos[0].sli": "scheduling.latency"})
    run.milestones = [
        row | {"t_ns": 1} if (row["object"], row["milestone"]) == (4, "scheduled") else row
        for row in run.milestones
    ]
    assert judged(evaluate(run, tmp_path))["scheduling.latency"] == (
        Judgement.INCONCLUSIVE,
        "met, but durations are below zero: 1 of 100",
    )


def test_another_order_of_milestones_is_noted(tmp_path: Path) -> None:
    run, _ = pods()
    for reached in run.milestones:
        if (reached["object"], reached["milestone"]) == (4, "ready"):
            reached["t_ns"] -= 10_000_000
    row = evaluate(run, tmp_path).rows()["management.transition.pods.running-ready"]
    assert (row.negative, row.notes[0]) == (1, "below zero: reached in another order")


def test_a_note_on_how_to_read_is_no_reason_for_a_miss(tmp_path: Path) -> None:
    run, _ = pods(overrides={"slos[0].sli": "monitoring.canary", "slos[0].max": "3ms"})
    slos = judged(evaluate(looked_at(run), tmp_path))
    assert slos["monitoring.canary"] == (Judgement.FAIL, "")


# --- an early end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [("interrupted", ExitCode.INTERRUPTED), ("broken", ExitCode.BROKEN), ("running", ExitCode.BROKEN)],
)
def test_a_run_that_did_not_end_gives_what_it_has(tmp_path: Path, status: str, code: ExitCode) -> None:
    run, _ = pods()
    run.status, run.error = status, "etcd ended with exit status 137" if status == "broken" else None
    run.phases = run.phases[:3]
    run.phases[-1]["completed"] = False
    run.requests = [request for request in run.requests if request["stage"] == Stage.CREATION]
    run.leftovers = None
    result = evaluate(run, tmp_path)
    assert result.rows()["creation.response"].n == 100
    assert [stage.stage for stage in result.stages if not stage.rows] == ["monitoring", "cleanup"]
    assert (result.status, result.error) == (status, run.error)
    assert not check(result, "run.completed").ok
    assert {slo.verdict for slo in result.slos} == {Judgement.INCONCLUSIVE}
    assert judged(result)["creation.response"][1] == f"met, but the run did not come to its end ({status})"
    assert result.verdict is Judgement.INCONCLUSIVE
    assert verdict.exit_code(result) == code
    assert not result.phases[-1].completed


def test_a_run_that_broke_before_its_first_stage(tmp_path: Path) -> None:
    run = SyntheticRun(status="broken", error="kube-apiserver was not ready within 2m")
    run.leftovers, run.health = None, {}
    result = evaluate(run, tmp_path)
    assert result.rows() == {}
    assert result.counts.model_dump() == {
        "planned": 100,
        "created": 0,
        "scheduled": 0,
        "up": 0,
        "deleted": 0,
        "failed": 0,
        "leftovers": None,
        "unschedulable": 0,
        "refused": 0,
    }
    assert result.reason == ("not so: the run came to its end (broken: kube-apiserver was not ready within 2m)")
    assert {slo.reason for slo in result.slos} == {"the run did not come to its end (broken)"}


def test_a_miss_in_a_broken_run_is_none(tmp_path: Path) -> None:
    run, _ = pods(never_up=range(50))
    run.status, run.error = "broken", "etcd ended"
    assert judged(evaluate(run, tmp_path))["creation.startup"][0] is Judgement.INCONCLUSIVE


def test_files_of_a_run_that_may_go_on_stay(tmp_path: Path) -> None:
    header = "t_ns,process,component,role,cpu_s,rss_bytes,peak_rss_bytes,threads,read_bytes,write_bytes\n"
    run, _ = pods()
    run.status = "running"
    folder = run.write(tmp_path / "run")
    (folder / "raw" / "samples.csv").write_text(header + "0,etcd,etcd,subject,0.5,10,20,3,0,0\n")
    for _ in range(2):
        assert [component.name for component in slis.evaluate(folder).components] == ["etcd"]
        assert (folder / "raw" / "samples.csv").exists()


# --- damage --------------------------------------------------------------------------------------------------


def test_a_damaged_sample_file_is_named(tmp_path: Path) -> None:
    folder = pods()[0].write(tmp_path / "run")
    (folder / "raw" / "samples.csv").write_text("t_ns,process\n1,2,3,4,5,6,7,8,9,10,11,12\nno,number,at,all\n")
    with pytest.raises(PlanebenchError, match=r"samples\.csv: is damaged"):
        slis.evaluate(folder)


def test_a_sample_file_without_samples_is_none(tmp_path: Path) -> None:
    folder = pods()[0].write(tmp_path / "run")
    header = "t_ns,process,component,role,cpu_s,rss_bytes,peak_rss_bytes,threads,read_bytes,write_bytes\n"
    for content in ("", "t_ns,pro", header):
        (folder / "raw" / "samples.csv").write_text(content)
        assert slis.evaluate(folder).components == ()


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    folder = pods()[0].write(tmp_path / "run")
    path = folder / "raw" / "requests.parquet"
    pl.read_parquet(path).with_columns(due_ns=pl.lit("soon")).write_parquet(path)
    with pytest.raises(PlanebenchError, match=r"requests\.parquet: holds what it should not"):
        slis.evaluate(folder)


@pytest.mark.parametrize("content", ["{}", "[1]", '[{"t_ns": "x"}]', "["])
def test_a_damaged_index_of_scrapes_is_named(tmp_path: Path, content: str) -> None:
    folder = pods()[0].write(tmp_path / "run")
    (folder / "raw" / "scrapes" / "index.json").write_text(content)
    with pytest.raises(PlanebenchError, match=r"index\.json: "):
        slis.evaluate(folder)


def test_a_damaged_scrape_is_a_component_without_figures(tmp_path: Path) -> None:
    run, _ = pods()
    for t_s in (1, 300):
        run.scrape(t_s, "etcd", "etcd", "process_start_time_seconds 1\netcd_server_slow_apply_total 3\n" * 50)
    folder = run.write(tmp_path / "run")
    path = folder / "raw" / "scrapes" / "1" / "etcd.prom.gz"
    content = bytearray(path.read_bytes())
    content[12:] = bytes(255 - byte for byte in content[12:])
    path.write_bytes(content)
    (etcd,) = [component for component in slis.evaluate(folder).components if component.name == "etcd"]
    assert etcd.metrics == ()


def test_failed_scrapes_are_told_only(tmp_path: Path) -> None:
    run, _ = pods()
    for t_s in (1, 300):
        run.scrape(t_s, "etcd", "etcd", "process_start_time_seconds 1\n")
        run.scrape(t_s, "kwok", "kwok", "process_start_time_seconds 1\n")
    folder = run.write(tmp_path / "run")
    index = folder / "raw" / "scrapes" / "index.json"
    entries = json.loads(index.read_text())
    for entry in entries[1::2]:
        entry["error"] = "HTTP 403"
    index.write_text(json.dumps(entries))
    result = slis.evaluate(folder)
    found = check(result, "scrapes.failed")
    assert (found.ok, found.value, found.affects) == (False, "kwok at 1: HTTP 403 and 1 more", "")
    assert result.verdict is Judgement.PASS


def test_terminated_watchers_are_told(tmp_path: Path) -> None:
    run, _ = pods()
    text = 'process_start_time_seconds 1\napiserver_terminated_watchers_total{resource="pods"} %d\n'
    run.scrape(1, "kube-apiserver", "kube-apiserver", text % 2)
    run.scrape(300, "kube-apiserver", "kube-apiserver", text % 5)
    result = evaluate(run, tmp_path)
    found = check(result, "apiserver.terminated_watchers")
    assert (found.ok, found.value) == (False, "3")
    assert result.verdict is Judgement.PASS


def test_a_restart_makes_the_run_inconclusive(tmp_path: Path) -> None:
    run, _ = pods()
    for t_s, start in ((1, 1), (100, 1), (300, 2)):
        run.scrape(t_s, "etcd", "etcd", f"process_start_time_seconds {start}\n")
    result = evaluate(run, tmp_path)
    assert check(result, "components.restarted").value == "etcd 1x"
    assert result.verdict is Judgement.INCONCLUSIVE
    (etcd,) = [component for component in result.components if component.name == "etcd"]
    assert etcd.restarted


# --- demands that nothing answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sli", "reason"),
    [
        ("creation.respnse", "there is no indicator creation.respnse; see docs/results.md"),
        ("monitoring.read", "the run has nothing to measure it by"),
        ("creation.startup.vmi", "of creation.startup, this run has the whole only"),
        ("management.change.restart", "of management.change, this run has management.change.patch"),
    ],
)
def test_why_a_demand_cannot_be_judged(tmp_path: Path, sli: str, reason: str) -> None:
    run, _ = pods(overrides={"slos[0].sli": sli})
    assert judged(evaluate(run, tmp_path))[sli] == (Judgement.INCONCLUSIVE, reason)
