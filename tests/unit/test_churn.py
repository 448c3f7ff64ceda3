"""Churn: objects are replaced by others like them, and as many are held."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from synthetic_run import SyntheticRun

from planebench import scenario
from planebench.model import LoadPhase, Stage
from planebench.plan import Planner
from planebench.planes import load_plane
from planebench.slis import evaluate

SCENARIO = """
apiVersion: planebench.dev/v1
name: churn
nodes: [{count: 4}]
workload: {count: 10, order: listed, objects: [{template: pod, share: 60%}, {template: web, share: 40%}]}
lifecycle:
  creation: {arrival: {rate: 10/s}}
  management: {churn: {share: 50%, rate: 2/s}}
"""


def planner() -> Planner:
    return Planner(scenario.parse(SCENARIO), load_plane("core"), run_id="run-1")


def asked(phase: LoadPhase) -> list[tuple[str, str, str]]:
    return [
        (phase.templates[operation.template].verb, phase.templates[operation.template].resource, operation.name)
        for operation in phase.operations
    ]


def test_as_many_are_created_as_are_deleted_at_the_same_times() -> None:
    (phase,) = planner().management()
    by_due: dict[int, list[str]] = {}
    for operation in phase.operations:
        by_due.setdefault(operation.due_ns, []).append(phase.templates[operation.template].verb)
    assert sorted(by_due) == [number * 500_000_000 for number in range(5)]
    assert all(Counter(verbs)["create"] == Counter(verbs)["delete"] for verbs in by_due.values())
    assert all(verbs[0] == "delete" for verbs in by_due.values())
    resources = Counter((verb, resource) for verb, resource, _ in asked(phase))
    assert resources == {
        (verb, resource): count
        for verb in ("create", "delete")
        for resource, count in {"pods": 3, "deployments.apps": 2, "services": 2}.items()
    }
    for verb, _, name in asked(phase):
        assert name.endswith("-again") == (verb == "create")


def test_later_requests_go_to_those_that_are_there() -> None:
    plan = planner()
    (phase,) = plan.management()
    churned = {operation.index for operation in phase.operations}
    assert len(churned) == 5
    for later in (plan.cleanup(), plan.monitoring()):
        named = [item for item in later.operations if item.name.startswith(("pod-", "web-"))]
        assert all(item.name.endswith("-again") == (item.index in churned) for item in named)
    assert len({(resource, name) for _, resource, name in asked(plan.cleanup())}) == 10 + 4, "and Services"


def test_a_plan_without_churn_keeps_its_names() -> None:
    parsed = scenario.parse(SCENARIO.replace("{churn: {share: 50%, rate: 2/s}}", "{}"))
    plan = Planner(parsed, load_plane("core"), run_id="run-1")
    assert not any(operation.name.endswith("-again") for operation in plan.cleanup().operations)


def test_what_a_churn_takes(tmp_path: Path) -> None:
    run = SyntheticRun(
        "apiVersion: planebench.dev/v1\nname: churn\nnodes: [{count: 1}]\n"
        "workload: {count: 2, objects: [{template: pod}]}\n"
        "lifecycle: {management: {churn: {share: 50%, rate: 1/s}}}\n"
    )
    run.phase("creation", Stage.CREATION, 0, 10)
    for index in (0, 1):
        run.request("creation", Stage.CREATION, "create", "pods", index, f"pod-{index:06d}", 1.0)
        run.reach(run.object("pods", index, f"pod-{index:06d}"), added=1.1, scheduled=1.2, running=1.3, ready=1.3)
    run.phase("churn", Stage.MANAGEMENT, 20, 30)
    run.request("churn", Stage.MANAGEMENT, "delete", "pods", 0, "pod-000000", 20.0)
    run.request("churn", Stage.MANAGEMENT, "create", "pods", 0, "pod-000000-again", 20.0)
    run.reach(0, deleting=20.1, deleted=20.5)
    run.reach(run.object("pods", 0, "pod-000000-again"), added=20.2, scheduled=20.3, running=21.0, ready=21.0)
    run.phase("cleanup", Stage.CLEANUP, 40, 50)
    run.request("cleanup", Stage.CLEANUP, "delete", "pods", 0, "pod-000000-again", 40.0)
    run.request("cleanup", Stage.CLEANUP, "delete", "pods", 1, "pod-000001", 40.0)
    run.reach(2, deleting=40.1, deleted=40.3)
    run.reach(1, deleting=40.1, deleted=40.3)
    result = evaluate(run.write(tmp_path / "run"))
    rows = result.rows()
    for sli, took_s in (("management.change.churn", 1.0), ("management.churned", 0.5)):
        assert rows[sli].n == 1
        assert rows[sli].p50 == pytest.approx(took_s)
    assert (rows["cleanup.deleted"].n, rows["cleanup.deleted"].missing) == (2, 0), "the new one is to be deleted"
    assert result.counts.up == 2
