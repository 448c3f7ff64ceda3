"""Distribution over nodes, controllers' effects and silent nodes, from run folders whose figures are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from synthetic_run import SyntheticRun, ns

from planebench.model import Stage
from planebench.results.document import Result
from planebench.results.tables import SCHEMAS
from planebench.slis import evaluate
from planebench.slis.node_health import toleration_s

HEAD = "apiVersion: planebench.dev/v1\nname: synthetic\nplane: core\n"


def pod_run(
    nodes: str, objects: str, places: Sequence[tuple[str, str | None]], order: str = "listed"
) -> SyntheticRun:
    """A pod for each (prefix, node), created one after the other; None: never bound, told unschedulable."""
    text = f"{HEAD}nodes: {nodes}\nworkload: {{count: {len(places)}, order: listed, objects: {objects}}}\n"
    run = SyntheticRun(text)
    run.phase("creation", Stage.CREATION, 0, 100)
    for index, (prefix, place) in enumerate(places):
        name = f"{prefix}-{index:06d}"
        run.request("creation", Stage.CREATION, "create", "pods", index, name, float(index))
        number = run.object("pods", index, name, node=place or "")
        run.reach(number, added=index + 0.01)
        if place:
            run.reach(number, scheduled=index + 0.02, running=index + 0.03, ready=index + 0.03)
        else:
            run.reach(number, unschedulable=index + 0.5)
    return run


def result_of(run: SyntheticRun, tmp_path: Path) -> Result:
    return evaluate(run.write(tmp_path / "run"))


POOLS = (
    "[{name: small, count: 2, zones: 2, capacity: {cpu: 2, memory: 8Gi, pods: 10}},"
    " {name: large, count: 1, capacity: {cpu: 8, memory: 32Gi, pods: 10}},"
    " {name: apart, count: 1, taints: [{key: a, effect: NoSchedule}]}]"
)


def test_distribution_over_unlike_nodes(tmp_path: Path) -> None:
    places = [("pod", "small-000000")] * 4 + [("pod", "large-000000")] * 2
    found = result_of(pod_run(POOLS, "[{template: pod}]", places), tmp_path).distribution
    assert found is not None
    assert (found.pods, found.nodes, found.nodes_used, found.nodes_lower_bound) == (6, 3, 2, 1)
    pods, cpu, memory = found.evenness
    assert (pods.of, pods.mean, pods.min, pods.max) == ("pods", 2, 0, 4)
    assert (cpu.of, cpu.min, cpu.max) == ("cpu", 0, 1), "4 pods of 500m fill 2 cores"
    assert (memory.of, memory.max) == ("memory", 0.5)
    assert pods.gini == pytest.approx(4 / 9)
    assert 0.3 < pods.random_cv < 0.7, "sqrt(2 / 6) = 0.58 on average of the squares"
    assert (found.zones, found.zone_skew) == ({"zone-0": 4, "zone-1": 0}, 4)
    assert found.stranded_cpu == 0
    assert found.stranded_memory == pytest.approx(4 / 48), "the full small node's 4 of 8 GiB are of no use"
    # 4 more fit on the other small node by CPU, 8 on the large one by its places; 9 cores together would take 18.
    assert found.fragmentation == pytest.approx(1 - 12 / 18)
    assert found.violations == ()
    rows = {row.node: row for row in found.per_node}
    assert [row.eligible for row in found.per_node] == [True, True, True, False]
    full = rows["small-000000"]
    assert (full.pods, full.cpu, full.cpu_allocatable, full.memory_bytes) == (4, 2.0, 2.0, 4 * 2**30)
    assert (full.zone, full.pool, full.pods_allocatable) == ("zone-0", "small", 10)


def test_what_is_gone_or_at_its_end_holds_no_node(tmp_path: Path) -> None:
    run = pod_run(POOLS, "[{template: pod}]", [("pod", "small-000000")] * 3)
    run.reach(0, deleted=50)
    run.reach(1, succeeded=50)
    run.reach(2, deleted=150)
    found = result_of(run, tmp_path).distribution
    assert found is not None
    assert found.pods == 1


def test_broken_constraints_are_an_indicator(tmp_path: Path) -> None:
    result = result_of(
        pod_run(POOLS, "[{template: pod}]", [("pod", "apart-000000"), ("pod", "small-000001")]), tmp_path
    )
    assert result.distribution is not None
    assert [(item.constraint, item.kind, item.pods) for item in result.distribution.violations] == [
        ("taint", "pod", 1)
    ]
    row = result.rows()["scheduling.violations"]
    assert (row.value, row.notes) == (1, ("pod taint at apart-000000: 1",))
    assert result.rows()["scheduling.packing"].value == 2


def test_what_is_to_find_no_node_is_not_lost(tmp_path: Path) -> None:
    kinds = "[{template: pod, share: 50%}, {template: pod, name: none, share: 50%, expect: unschedulable}]"
    places = [("pod", "small-000000")] * 2 + [("none", None)] * 2
    result = result_of(pod_run(POOLS, kinds, places), tmp_path)
    rows = result.rows()
    assert rows["creation.reached"].value == 1
    assert (rows["creation.startup"].n, rows["creation.startup"].missing) == (2, 0)
    assert rows["creation.seen"].n == 4
    assert (rows["scheduling.latency"].n, rows["scheduling.pod"].missing) == (2, 0)
    assert (rows["scheduling.refused"].n, rows["scheduling.refused"].p50) == (2, 0.5)
    assert rows["scheduling.unexpected"].value == 0
    assert (result.counts.planned, result.counts.unschedulable) == (4, 2)


def test_preempted_pods_are_counted(tmp_path: Path) -> None:
    low = "{template: pod, name: low, share: 50%, patch: {spec: {priorityClassName: low}}}"
    high = "{template: pod, name: high, share: 50%, patch: {spec: {priorityClassName: high}}}"
    run = pod_run(POOLS, f"[{low}, {high}]", [("low", "small-000000")] * 2 + [("high", "small-000000")] * 2)
    run.reach(0, deleting=50, deleted=51)
    run.phase("cleanup", Stage.CLEANUP, 100, 200)
    for index in range(4):
        gone = {"status": 404, "error": "NotFound"} if index == 0 else {}
        run.request("cleanup", Stage.CLEANUP, "delete", "pods", index, f"pod-{index}", 110.0, **gone)  # type: ignore[arg-type]
        if index:
            run.reach(index, deleted=111)
    rows = result_of(run, tmp_path).rows()
    assert rows["scheduling.preempted"].value == 1
    assert (rows["cleanup.response"].n, rows["cleanup.response"].errors) == (3, 0), "it was gone already"
    assert (rows["cleanup.deleted"].n, rows["cleanup.deleted"].missing) == (3, 0)


# --- controllers ---------------------------------------------------------------------------------------------


def test_deployments_are_up_when_all_their_pods_are(tmp_path: Path) -> None:
    run = SyntheticRun(
        f"{HEAD}nodes: [{{count: 2}}]\nsettings: {{replicas: 2}}\n"
        "workload: {count: 1, objects: [{template: web}]}\n"
        "lifecycle: {management: {rollout: {share: 100%, rate: 1/s}}}\n"
    )
    run.phase("creation", Stage.CREATION, 0, 10)
    run.phase("rollout", Stage.MANAGEMENT, 10, 20)
    run.phase("cleanup", Stage.CLEANUP, 20, 40)
    run.request("creation", Stage.CREATION, "create", "deployments.apps", 0, "web-000000", 1.0)
    run.request("creation", Stage.CREATION, "create", "services", 0, "web-000000", 1.0)
    web = run.object("deployments", 0, "web-000000")
    run.reach(web, added=1.01, observed=1.1, complete=2.0, deleted=21.0)
    for number in range(2):
        pod = run.object("pods", 0, f"pod-{number}", node="node-000000")
        run.reach(pod, added=1.2 + number, scheduled=1.3 + number, ready=1.5 + number, deleted=12)
    endpoints = run.object("endpointslices", 0, "web-1")
    run.reach(endpoints, added=1.05, endpoints=2.75, deleted=21.5)
    run.request("rollout", Stage.MANAGEMENT, "patch", "deployments.apps", 0, "web-000000", 11.0)
    for number in range(2):
        pod = run.object("pods", 0, f"new-{number}", node="node-000001")
        run.reach(pod, added=11.2 + number, scheduled=11.3 + number, ready=11.5 + number, deleted=24 + number)
    run.request("cleanup", Stage.CLEANUP, "delete", "deployments.apps", 0, "web-000000", 20.5)
    run.request("cleanup", Stage.CLEANUP, "delete", "services", 0, "web-000000", 20.5)
    rows = result_of(run, tmp_path).rows()
    assert rows["creation.response"].n == 2, "the Service is created, too"
    assert (rows["creation.startup"].n, rows["creation.startup"].p50) == (1, 1.0)
    assert rows["scheduling.latency"].p50 == pytest.approx(1.3), "all of its pods"
    assert rows["scheduling.pod"].n == 2, "without successors"
    assert rows["scheduling.pod"].p50 == pytest.approx(0.1)
    assert rows["management.children"].p50 == pytest.approx(1.2)
    assert rows["management.endpoints"].p50 == pytest.approx(0.25)
    assert rows["management.change.rollout"].p50 == pytest.approx(1.5), "both of its new pods"
    assert rows["management.transition.pods.added-scheduled"].n == 2
    assert rows["cleanup.collected"].p50 == pytest.approx(4.0)
    assert rows["cleanup.response"].n == 2


def test_what_a_controller_waits_by_design_is_subtracted(tmp_path: Path) -> None:
    run = SyntheticRun(
        f"{HEAD}nodes: [{{count: 1}}]\nworkload: {{count: 1, objects: [{{template: namespace}}]}}\n"
    )
    run.phase("creation", Stage.CREATION, 0, 1)
    run.phase("cleanup", Stage.CLEANUP, 1, 20)
    run.request("creation", Stage.CREATION, "create", "namespaces", 0, "namespace-000000", 0.0)
    run.reach(run.object("namespaces", 0, "namespace-000000"), added=0.1, active=0.1, deleting=2, deleted=7.5)
    run.request("cleanup", Stage.CLEANUP, "delete", "namespaces", 0, "namespace-000000", 2.0)
    result = result_of(run, tmp_path)
    assert result.rows()["cleanup.deleted"].p50 == 5.5
    assert result.rows()["cleanup.net"].p50 == 0.5
    assert result.distribution is None
    assert "scheduling.latency" not in result.rows(), "a namespace has no node"


# --- silent nodes --------------------------------------------------------------------------------------------


def test_silent_nodes_net_of_what_is_configured(tmp_path: Path) -> None:
    tolerations = "[{key: node.kubernetes.io/unreachable, operator: Exists, tolerationSeconds: 3}]"
    kinds = f"[{{template: pod, patch: {{spec: {{tolerations: {tolerations}}}}}}}]"
    run = pod_run("[{count: 2}]", kinds, [("pod", "node-000000"), ("pod", "node-000001")])
    run.scenario_text += (
        "components: {kube-controller-manager: {flags: {node-monitor-grace-period: 10s}}}\n"
        "faults: [{kind: node-silence, nodes: 1, at: 1s, for: 40s}]\n"
    )
    run.phase("monitoring", Stage.MONITORING, 100, 160)
    run.reach(0, deleting=117.0)
    node = run.object("nodes", -1, "node-000000")
    for milestone, t_s in (
        ("ready", 0.0),
        ("revision:True", 0.0),
        ("revision:Unknown", 112.5),
        ("noschedule", 112.6),
        ("noexecute", 113.5),
        ("revision:True", 141.2),
    ):
        run.reach_named(node, milestone, t_s)
    lease = run.object("leases", -1, "node-000000")
    path = run.write(tmp_path / "run")
    _add_events(path, lease, [90.0, 100.5, 102.0, 142.0])
    _add_fault(path, ["node-000000"], 101.0, 141.0)
    rows = evaluate(path).rows()
    assert rows["monitoring.node_unknown"].p50 == pytest.approx(10.5)
    assert rows["monitoring.node_unknown_net"].p50 == pytest.approx(0.5)
    assert rows["monitoring.node_noschedule"].p50 == pytest.approx(0.1)
    assert rows["monitoring.node_noexecute"].p50 == pytest.approx(1.0)
    assert rows["monitoring.eviction_net"].n == 1
    assert rows["monitoring.eviction_net"].p50 == pytest.approx(0.5)
    assert rows["monitoring.node_recovered"].p50 == pytest.approx(0.2)


def test_a_node_that_nobody_missed_is_missing(tmp_path: Path) -> None:
    run = pod_run("[{count: 1}]", "[{template: pod}]", [("pod", "node-000000")])
    run.phase("monitoring", Stage.MONITORING, 100, 400)
    run.reach_named(run.object("nodes", -1, "node-000000"), "revision:True", 0.0)
    path = run.write(tmp_path / "run")
    _add_fault(path, ["node-000000"], 101.0, 301.0)
    row = evaluate(path).rows()["monitoring.node_unknown"]
    assert (row.n, row.missing) == (1, 1)


@pytest.mark.parametrize(
    ("tolerations", "waits_s"),
    [
        ([], 300),
        ([{"operator": "Exists"}], None),
        ([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 3}], 3),
        ([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoSchedule"}], 300),
        ([{"key": "other", "operator": "Exists", "tolerationSeconds": 3}], 300),
    ],
)
def test_how_long_a_pod_stays(tolerations: list[dict[str, object]], waits_s: float | None) -> None:
    assert toleration_s({"tolerations": tolerations}) == waits_s


def _add_events(path: Path, lease: int, times_s: list[float]) -> None:
    rows = [
        {
            "t_ns": ns(t_s),
            "read_ns": ns(t_s),
            "watch": "leases",
            "object": lease,
            "type": "MODIFIED",
            "resource_version": 1,
            "bytes": 1,
        }
        for t_s in times_s
    ]
    pl.DataFrame(rows, schema=SCHEMAS["events"]).write_parquet(path / "raw" / "events.parquet")


def _add_fault(path: Path, nodes: list[str], start_s: float, end_s: float) -> None:
    record = json.loads((path / "run.json").read_text())
    fault = {"kind": "node-silence", "nodes": nodes, "start_ns": ns(start_s), "end_ns": ns(end_s)}
    (path / "run.json").write_text(json.dumps({**record, "faults": [fault]}))


def test_every_fault_of_nodes_has_its_own_figures(tmp_path: Path) -> None:
    tolerations = "[{key: node.kubernetes.io/unreachable, operator: Exists, tolerationSeconds: 3}]"
    kinds = f"[{{template: pod, patch: {{spec: {{tolerations: {tolerations}}}}}}}]"
    run = pod_run("[{count: 2}]", kinds, [("pod", "node-000000"), ("pod", "node-000001")])
    run.scenario_text += "components: {kube-controller-manager: {flags: {node-monitor-grace-period: 10s}}}\n"
    run.phase("monitoring", Stage.MONITORING, 100, 200)
    run.reach(0, deleting=117.0, deleted=131.0)
    replacement = run.object("pods", 0, "pod-000000-b", node="node-000001")
    run.reach(replacement, added=117.1, scheduled=117.2, running=118.0, ready=118.0)
    first = run.object("nodes", -1, "node-000000")
    for milestone, t_s in (
        ("revision:Unknown", 112.5),
        ("noexecute", 113.5),
        ("out-of-service", 120.0),
        ("revision:True", 141.2),
    ):
        run.reach_named(first, milestone, t_s)
    second = run.object("nodes", -1, "node-000001")
    for milestone, t_s in (
        ("revision:Unknown", 162.0),
        ("revision:True", 165.0),
        ("revision:Unknown", 178.0),
        ("revision:True", 179.0),
    ):
        run.reach_named(second, milestone, t_s)
    path = run.write(tmp_path / "run")
    record = json.loads((path / "run.json").read_text())
    faults = [
        {"kind": "node-silence", "name": "off", "nodes": ["node-000000"], "start_ns": ns(101), "end_ns": ns(141)},
        {"kind": "node-flapping", "name": "on", "nodes": ["node-000001"], "start_ns": ns(150), "end_ns": ns(180)},
    ]
    (path / "run.json").write_text(json.dumps({**record, "faults": faults}))
    rows = evaluate(path).rows()
    assert rows["monitoring.node_unknown"].n == 2
    assert rows["monitoring.node_unknown.off"].p50 == pytest.approx(11.5), "no lease was seen: from its start"
    assert rows["monitoring.node_unknown_net.on"].p50 == pytest.approx(2.0)
    assert rows["monitoring.node_losses"].value == 3
    assert rows["monitoring.node_losses"].notes == ("by fault: off 1, on 2",)
    assert rows["monitoring.eviction_net"].p50 == pytest.approx(0.5)
    assert rows["monitoring.replacement_net"].p50 == pytest.approx(1.5)
    assert rows["monitoring.out_of_service"].p50 == pytest.approx(11.0)
    assert rows["monitoring.node_recovered"].n == 1, "the other one was back before the fault was over"


def test_drained_nodes(tmp_path: Path) -> None:
    run = pod_run("[{count: 2}]", "[{template: pod}]", [("pod", "node-000000")] * 3)
    run.phase("faults", Stage.MANAGEMENT, 100, 130)
    run.reach(0, deleting=101.5, deleted=102.0)
    run.reach(1, deleting=106.5, deleted=107.0)
    run.reach(run.object("pods", 0, "pod-b", node="node-000001"), added=101.6, scheduled=101.7, ready=103.0)
    path = run.write(tmp_path / "run")
    record = json.loads((path / "run.json").read_text())

    def eviction(index: int, granted_s: float, refusals: int) -> dict[str, object]:
        return {
            "node": "node-000000",
            "namespace": "n",
            "name": f"pod-{index:06d}",
            "asked_ns": ns(101),
            "granted_ns": ns(granted_s) if granted_s > 0 else -1,
            "refusals": refusals,
            "reason": f"budget of pod-{index:06d}" if refusals else "",
        }

    drain = {
        "kind": "drain",
        "name": "drain",
        "stage": "management",
        "nodes": ["node-000000"],
        "start_ns": ns(100),
        "end_ns": ns(130),
        "evictions": [eviction(0, 101.25, 0), eviction(1, 106.25, 1), eviction(2, -1, 6)],
    }
    (path / "run.json").write_text(json.dumps({**record, "faults": [drain]}))
    result = evaluate(path)
    rows = result.rows()
    assert (rows["management.eviction"].n, rows["management.eviction"].missing) == (3, 1)
    assert rows["management.eviction"].p50 == pytest.approx(5.25)
    assert rows["management.evicted"].missing == 1
    assert rows["management.evicted"].p50 == pytest.approx(6.0)
    assert (rows["management.replaced"].missing, rows["management.replaced"].n) == (2, 3)
    assert (rows["management.drained"].n, rows["management.drained"].missing) == (1, 1), "one pod has stayed"
    assert rows["management.eviction_refusals"].value == 7
    assert rows["management.eviction_refusals"].notes == ("budget of <name>",)
    assert [(one.state, one.count, one.reason) for one in result.stuck] == [("not evicted", 1, "budget of <name>")]
    assert result.faults == (), "nodes have figures of their own"


def test_refused_objects(tmp_path: Path) -> None:
    kinds = "[{template: pod, share: 50%}, {template: pod, name: no, share: 50%, expect: refused}]"
    run = pod_run("[{count: 1}]", kinds, [("pod", "node-000000")])
    run.scenario_text = run.scenario_text.replace("count: 1, order", "count: 4, order")
    run.request("creation", Stage.CREATION, "create", "pods", 1, "pod-000001", 1.0)
    run.request("creation", Stage.CREATION, "create", "pods", 2, "no-000002", 2.0, status=403, error="quota")
    run.request("creation", Stage.CREATION, "create", "pods", 3, "no-000003", 3.0)
    result = result_of(run, tmp_path)
    rows = result.rows()
    assert (rows["creation.refused"].n, rows["creation.refused"].missing) == (2, 1)
    assert rows["creation.unexpected"].value == 1
    assert (rows["creation.response"].n, rows["creation.response"].errors) == (3, 0)
    assert (result.counts.refused, result.counts.unschedulable) == (2, 0)
    assert rows["creation.reached"].value == 0.5
