"""Steps are judged by their run folders; what happened in them is made up."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from synthetic_run import SyntheticRun, ns

from planebench.capacity import step as judging
from planebench.capacity.document import Step
from planebench.capacity.step import judge
from planebench.model import Judgement, Stage
from planebench.results import RunFolder
from planebench.results.document import Finding

SCENARIO = """
apiVersion: planebench.dev/v1
name: step
nodes: [{name: node, count: 4, capacity: {cpu: "32", memory: 256Gi, pods: "1000"}}]
workload: {count: 400, objects: [{template: pod}]}
lifecycle:
  creation: {arrival: {pattern: constant, rate: 50/s}}
  monitoring: {duration: 0s}
slos:
  - {sli: creation.response, percentile: 99, max: 1s}
  - {sli: creation.startup, percentile: 99, max: 1s}
"""
COUNT, RATE, START_S = 400, 50.0, 10.0
PROCESSES = (
    ("kube-apiserver", "subject"),
    ("kube-scheduler", "subject"),
    ("kwok", "simulator"),
    ("planebench", "harness"),
)


def step(
    *,
    bind_per_s: float = 1e9,
    play_per_s: float = 1e9,
    lost: int = 0,
    late_s: float = 0.0001,
    slow_s: float = 0.0,
    warm_up: int = 0,
    busiest: float = 0.1,
    cores: float = 0.1,
) -> SyntheticRun:
    """400 pods at 50/s on a control plane that binds, and a simulator that plays, no faster than told.

    Args:
        lost: so many of the last pods never start.
        late_s: how late every request is sent.
        slow_s: how much longer each request takes.
        warm_up: so many of the first pods take 0.9 s longer.
        cores: what each process uses, of two cores.
    """
    chance = random.Random(1)
    run = SyntheticRun(scenario_text=SCENARIO)
    run.health = {**run.health, "busiest_second": busiest}
    bound_s = started_s = 0.0
    end_s = START_S + COUNT / RATE
    for index in range(COUNT):
        due_s, name = START_S + index / RATE, f"pod-{index:06d}"
        extra_s = 0.9 if index < warm_up else 0.0
        took_s = chance.uniform(0.004, 0.008) + late_s + slow_s
        run.request("creation", Stage.CREATION, "create", "pods", index, name, due_s, took_s=took_s, late_s=late_s)
        number = run.object("pods", index, name, node=f"node-{index % 4:06d}")
        answered_s = due_s + took_s
        bound_s = max(bound_s + 1 / bind_per_s, answered_s + chance.uniform(0.005, 0.01))
        started_s = max(started_s + 1 / play_per_s, bound_s + chance.uniform(0.005, 0.01))
        run.reach(number, added=answered_s, scheduled=bound_s + extra_s)
        if index < COUNT - lost:
            run.reach(number, running=started_s + extra_s, ready=started_s + extra_s)
            end_s = max(end_s, started_s + extra_s)
    run.phase("creation", Stage.CREATION, START_S, end_s + 1)
    run.phase("cleanup", Stage.CLEANUP, end_s + 1, end_s + 10)
    for t_s in range(int(end_s) + 12):
        for component, role in PROCESSES:
            run.sample(t_s, component, component, role, t_s * cores)
    return run


def judged(run: SyntheticRun, path: Path) -> Step:
    found = judge(run.write(path / "run"), 3, RATE)
    assert (found.number, found.level) == (3, RATE)
    assert RunFolder(path / "run").result().scenario == "step"
    return found


def broken(found: Step) -> set[str]:
    return {criterion.name for criterion in found.criteria if not criterion.ok}


def test_a_step_without_trouble_holds(tmp_path: Path) -> None:
    found = judged(step(), tmp_path)
    assert (found.verdict, found.reason, found.limits) == (Judgement.PASS, "", ())
    assert not broken(found)
    figures = found.figures
    assert figures is not None
    assert figures.offered_per_s == pytest.approx(50, rel=0.01)
    assert figures.goodput_per_s == pytest.approx(50, rel=0.01)
    assert figures.little == pytest.approx(1, abs=0.05)
    assert figures.p99_s == pytest.approx(0.027, abs=0.003)
    assert figures.errors == figures.never_came == 0
    assert [waiting.name for waiting in figures.waiting] == ["request", "binding", "start"]
    assert sum(waiting.mean for waiting in figures.waiting) == pytest.approx(figures.backlog, rel=0.01)
    assert [usage.cores for usage in figures.usage] == pytest.approx([0.1] * 4)


def test_a_scheduler_that_is_too_slow_is_found_and_named(tmp_path: Path) -> None:
    found = judged(step(bind_per_s=40), tmp_path)
    assert found.verdict is Judgement.FAIL
    assert broken(found) == {"goodput", "backlog", "little"}
    assert "creation.startup p99" in found.reason
    assert found.figures is not None
    assert found.figures.goodput_per_s == pytest.approx(40, rel=0.02)
    assert found.figures.backlog_growth_per_s == pytest.approx(10, rel=0.05)
    assert [(limit.component, limit.kind) for limit in found.limits] == [("kube-scheduler", "queue")]
    assert "wait for a node" in found.limits[0].reason


def test_a_backlog_that_grows_fails_a_step_before_its_slos_do(tmp_path: Path) -> None:
    found = judged(step(bind_per_s=48), tmp_path)
    assert all(slo.verdict is Judgement.PASS for slo in found.slos)
    assert found.verdict is Judgement.FAIL
    assert broken(found) >= {"goodput", "backlog"}


def test_a_simulator_that_is_too_slow_is_no_limit_of_the_control_plane(tmp_path: Path) -> None:
    found = judged(step(play_per_s=40), tmp_path)
    assert (found.verdict, found.ended_by) == (Judgement.INCONCLUSIVE, "simulator")


@pytest.mark.parametrize(
    ("name", "whose"),
    [("simulator.kept_up", "simulator"), ("engine.busy", "harness"), ("watch.gaps", "measurement")],
)
def test_a_check_that_does_not_hold_tells_whose_limit_it_was(name: str, whose: str) -> None:
    finding = Finding(name=name, title="", value="", bound="", ok=False, affects="run")
    assert judging._whose(finding) == whose


def test_objects_that_never_come_are_errors(tmp_path: Path) -> None:
    found = judged(step(lost=2), tmp_path)
    assert found.verdict is Judgement.FAIL
    assert "errors" in broken(found)
    assert found.figures is not None
    assert found.figures.never_came == 2
    assert found.figures.errors == 0.005


def test_an_slo_that_is_missed_fails_a_step(tmp_path: Path) -> None:
    found = judged(step(slow_s=1.2), tmp_path)
    assert found.verdict is Judgement.FAIL
    assert found.reason.startswith("SLO missed: creation.response p99 1.21 s, creation.startup p99")


def test_the_warm_up_is_left_out(tmp_path: Path) -> None:
    """Its startups would miss the SLO if they counted."""
    run = step(warm_up=40, slow_s=0.2)
    found = judged(run, tmp_path)
    assert found.figures is not None
    assert 40 <= found.figures.warm_up_objects <= 120
    assert found.figures.warm_up_ended
    assert found.verdict is Judgement.PASS, found.reason
    whole = {slo.sli: slo.verdict for slo in RunFolder(tmp_path / "run").result().slos}
    assert whole["creation.startup"] is Judgement.FAIL


@pytest.mark.parametrize("trouble", [{"busiest": 0.9}, {"late_s": 0.8}])
def test_a_step_whose_bottleneck_is_the_harness_cannot_be_judged(
    tmp_path: Path, trouble: dict[str, float]
) -> None:
    found = judged(step(**trouble), tmp_path)  # type: ignore[arg-type]
    assert (found.verdict, found.ended_by) == (Judgement.INCONCLUSIVE, "harness")


def test_a_machine_without_a_free_core_is_told(tmp_path: Path) -> None:
    found = judged(step(cores=0.49), tmp_path)
    assert [limit.kind for limit in found.limits] == ["cpu"]
    assert "1.96 of 2 cores in use" in found.limits[0].reason


def test_a_handful_of_objects_tells_nothing(tmp_path: Path) -> None:
    run = step()
    run.requests = run.requests[:10]
    found = judged(run, tmp_path)
    assert found.verdict is Judgement.INCONCLUSIVE
    assert "--step-objects" in found.reason


LIMITED = """# TYPE rest_client_rate_limiter_duration_seconds histogram
rest_client_rate_limiter_duration_seconds_bucket{{verb="POST",le="0.1"}} {count}
rest_client_rate_limiter_duration_seconds_bucket{{verb="POST",le="+Inf"}} {count}
rest_client_rate_limiter_duration_seconds_sum{{verb="POST"}} {waited}
rest_client_rate_limiter_duration_seconds_count{{verb="POST"}} {count}
# TYPE scheduler_scheduling_algorithm_duration_seconds histogram
scheduler_scheduling_algorithm_duration_seconds_bucket{{le="1"}} {count}
scheduler_scheduling_algorithm_duration_seconds_bucket{{le="+Inf"}} {count}
scheduler_scheduling_algorithm_duration_seconds_sum {worked}
scheduler_scheduling_algorithm_duration_seconds_count {count}
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1
"""
QUEUED = """# TYPE workqueue_queue_duration_seconds histogram
workqueue_queue_duration_seconds_sum{{name="pods"}} {waited}
workqueue_queue_duration_seconds_count{{name="pods"}} {count}
# TYPE workqueue_work_duration_seconds histogram
workqueue_work_duration_seconds_sum{{name="pods"}} {worked}
workqueue_work_duration_seconds_count{{name="pods"}} {count}
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1
"""


def test_components_say_themselves_what_holds_them_back(tmp_path: Path) -> None:
    run = step(bind_per_s=40)
    creation = next(phase for phase in run.phases if phase["name"] == "creation")
    start_s, end_s = START_S, creation["end_ns"] / ns(1)
    took_s = end_s - start_s
    for t_s, count, waited, worked in ((start_s, 0, 0, 0), (end_s, 400, 20, took_s * 0.9)):
        values = {"count": count, "waited": waited, "worked": worked}
        run.scrape(t_s, "kube-scheduler", "kube-scheduler", LIMITED.format(**values))
        queued = QUEUED.format(count=count, waited=waited * 4, worked=count * 0.001)
        run.scrape(t_s, "kube-controller-manager", "kube-controller-manager", queued)
    found = judged(run, tmp_path)
    reasons = {(limit.component, limit.kind): limit.reason for limit in found.limits}
    assert "wait 50 ms on average" in reasons["kube-scheduler", "client limiter"]
    assert "busy 90% of the time" in reasons["kube-scheduler", "workers"]
    assert "queue pods wait 200 ms for 1 ms of work" in reasons["kube-controller-manager", "workers"]
