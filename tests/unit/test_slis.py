"""Indicators of run folders whose every time was chosen: what is told is what was put in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from struck_run import struck
from synthetic_run import MACHINE_NUMBERS, SyntheticRun, Truth, looked_at, machines, pods

from planebench import slis
from planebench.model import Stage
from planebench.results.document import Result, Row
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator


def evaluate(run: SyntheticRun, folder: Path) -> Result:
    return slis.evaluate(run.write(folder / "run"))


@pytest.fixture(scope="module")
def of_pods(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Truth]:
    run, truth = pods()
    return evaluate(looked_at(run), tmp_path_factory.mktemp("pods")), truth


@pytest.fixture(scope="module", params=[True, False], ids=["labelled", "owned"])
def of_machines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return evaluate(machines(labelled=request.param), tmp_path_factory.mktemp("machines"))


def told(row: Row) -> tuple[float | None, ...]:
    return (row.p50, row.p90, row.p99, row.max)


def ranked(values: Sequence[float]) -> tuple[float, ...]:
    """p50, p90, p99 and max by nearest rank, computed apart from planebench.stats."""
    ordered = sorted(values)
    ranks = (-(-percent * len(ordered) // 100) for percent in (50, 90, 99, 100))
    return tuple(ordered[rank - 1] for rank in ranks)


# --- pods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sli", "source"),
    [
        ("creation.response", "response_s"),
        ("creation.startup", "startup_s"),
        ("scheduling.latency", "bound_s"),
        ("management.running", "startup_s"),
        ("management.ready", "startup_s"),
        ("management.change.patch", "patched_s"),
        ("cleanup.deleted", "deleted_s"),
    ],
)
def test_durations_from_due(of_pods: tuple[Result, Truth], sli: str, source: str) -> None:
    result, truth = of_pods
    values: list[float] = getattr(truth, source)
    row = result.rows()[sli]
    assert told(row) == pytest.approx(ranked(values), abs=2e-9)
    assert (row.n, row.missing, row.negative, row.unit) == (len(values), 0, 0, "s")


def test_service_leaves_out_what_the_harness_was_late(of_pods: tuple[Result, Truth]) -> None:
    result, truth = of_pods
    service = [response_s - 0.0001 for response_s in truth.response_s]
    assert told(result.rows()["creation.service"]) == pytest.approx(ranked(service), abs=2e-9)


def test_receipts_of_added_events(of_pods: tuple[Result, Truth]) -> None:
    result, truth = of_pods
    seen = [response_s - 0.001 for response_s in truth.response_s]
    assert told(result.rows()["creation.seen"]) == pytest.approx(ranked(seen), abs=2e-9)


def test_the_scheduler_s_own_part(of_pods: tuple[Result, Truth]) -> None:
    result, truth = of_pods
    own = [
        bound_s - (response_s - 0.001) for bound_s, response_s in zip(truth.bound_s, truth.response_s, strict=True)
    ]
    assert told(result.rows()["scheduling.pod"]) == pytest.approx(ranked(own), abs=2e-9)
    assert told(result.rows()["management.transition.pods.added-scheduled"]) == pytest.approx(
        ranked(own), abs=2e-9
    )


def test_transitions_are_told_one_after_the_other(of_pods: tuple[Result, Truth]) -> None:
    result, truth = of_pods
    rows = {name: row for name, row in result.rows().items() if name.startswith("management.transition.")}
    assert list(rows) == [
        f"management.transition.pods.{step}" for step in ("added-scheduled", "scheduled-running", "running-ready")
    ]
    run_s = [startup_s - bound_s for startup_s, bound_s in zip(truth.startup_s, truth.bound_s, strict=True)]
    played = rows["management.transition.pods.scheduled-running"]
    assert told(played) == pytest.approx(ranked(run_s), abs=2e-9)
    assert played.simulated
    assert played.part_of == "management.transition"
    assert not rows["management.transition.pods.added-scheduled"].simulated
    assert told(rows["management.transition.pods.running-ready"]) == (0, 0, 0, 0)


def test_rates(of_pods: tuple[Result, Truth]) -> None:
    result, truth = of_pods
    due_s = [number / 20 for number in range(100)]
    binds = [due + bound for due, bound in zip(due_s, truth.bound_s, strict=True)]
    answers = [due + response for due, response in zip(due_s, truth.response_s, strict=True)]
    rows = result.rows()
    assert rows["creation.response"].rate_per_s == pytest.approx(100 / max(answers))
    inner = sorted(binds)[9:90]
    assert rows["scheduling.throughput"].value == pytest.approx(80 / (inner[-1] - inner[0]))
    within = max(sum(first <= other < first + 1 for other in binds) for first in binds)
    assert rows["scheduling.throughput_peak"].value == within


def test_distribution_over_nodes(of_pods: tuple[Result, Truth]) -> None:
    result, truth = of_pods
    counts = list(truth.nodes.values())
    rows = result.rows()
    assert told(rows["scheduling.distribution"]) == ranked(counts)
    mean = sum(counts) / 4
    sd = math.sqrt(sum((count - mean) ** 2 for count in counts) / 4)
    assert rows["scheduling.distribution_cv"].value == pytest.approx(sd / mean)
    assert rows["scheduling.distribution_cv"].notes == ("random placement: 0.173",)  # sqrt(3 / 100)
    jain = sum(counts) ** 2 / (4 * sum(count**2 for count in counts))
    assert rows["scheduling.distribution_jain"].value == pytest.approx(jain)
    assert rows["scheduling.distribution"].notes[0].startswith("100 pods on 4 nodes: mean 25.00, sd ")


def test_singles(of_pods: tuple[Result, Truth]) -> None:
    result, _ = of_pods
    rows = result.rows()
    assert (rows["creation.reached"].value, rows["creation.reached"].notes) == (1.0, ("100 of 100 came up",))
    assert rows["cleanup.leftovers"].value == 0
    counts = result.counts
    assert (counts.planned, counts.created, counts.scheduled, counts.up, counts.deleted) == (100,) * 5
    assert (counts.failed, counts.leftovers) == (0, 0)


def test_requests_of_management_and_cleanup(of_pods: tuple[Result, Truth]) -> None:
    result, truth = of_pods
    rows = result.rows()
    for sli, n in (("management.response", 20), ("cleanup.response", 100)):
        assert told(rows[sli]) == (0.005,) * 4
        assert (rows[sli].n, rows[sli].errors, rows[sli].missing) == (n, 0, 0)
    assert told(rows["cleanup.deleting"]) == pytest.approx(ranked(truth.deleting_s), abs=2e-9)


def test_monitoring(of_pods: tuple[Result, Truth]) -> None:
    rows = of_pods[0].rows()
    assert told(rows["monitoring.list"]) == (0.01, 0.02, 0.02, 0.02)
    for form in ("full", "page", "metadata"):
        assert told(rows[f"monitoring.list.pods.{form}"]) == (0.01, 0.02, 0.02, 0.02)
        assert rows[f"monitoring.list.pods.{form}"].n == 2
        assert told(rows[f"monitoring.list_bytes.pods.{form}"]) == (1000, 2000, 2000, 2000)
    assert rows["monitoring.list_bytes"].unit == "bytes"
    assert told(rows["monitoring.read"]) == (0.005, 0.009, 0.01, 0.01)
    assert told(rows["monitoring.write"]) == (0.004,) * 4


def test_the_canary_tells_how_stale_watches_are(of_pods: tuple[Result, Truth]) -> None:
    row = of_pods[0].rows()["monitoring.canary"]
    assert told(row) == (0.002, 0.004, 0.004, 0.004)
    assert row.negative == 1
    assert row.notes[0] == "below zero: the event came before the answer"
    negative = next(check for check in of_pods[0].validity if check.name == "durations.negative")
    assert negative.ok, "an event may come before the answer"


def test_nodes(of_pods: tuple[Result, Truth]) -> None:
    result, _ = of_pods
    (row,) = result.preparation
    assert row.sli == "nodes.ready"
    assert told(row) == pytest.approx((0.2, 0.4, 0.4, 0.4))
    health = result.rows()["monitoring.node_health"]
    assert (health.value, health.notes) == (1.0, ("4 of 4",))


def test_phases(of_pods: tuple[Result, Truth]) -> None:
    phases = {phase.name: phase for phase in of_pods[0].phases}
    assert list(phases) == ["namespaces", "nodes", "creation", "patch", "cleanup", "monitoring"]
    assert (phases["creation"].start_s, phases["creation"].duration_s) == (10, 65)
    assert phases["nodes"].stage is None


def test_few_values_are_said_to_be_few(of_pods: tuple[Result, Truth]) -> None:
    assert of_pods[0].rows()["creation.response"].notes == (
        "p99 of 100 values has no finite 95% upper bound, it takes 368",
    )


def test_together_they_show_every_indicator(
    of_pods: tuple[Result, Truth], of_machines: Result, tmp_path: Path
) -> None:
    found = {*of_pods[0].rows(), *of_machines.rows(), *slis.evaluate(struck().write(tmp_path / "struck")).rows()}
    found |= {row.part_of for row in (*of_pods[0].rows().values(), *of_machines.rows().values())}
    elsewhere = {
        "harness.lateness",  # the harness component's latency
        "monitoring.storm",  # see the storm below
        # by runs of other workloads, see test_slis_placement.py
        "scheduling.zone_skew",
        "scheduling.refused",
        "scheduling.unexpected",
        "scheduling.preempted",
        "creation.refused",
        "creation.unexpected",
        "management.drained",
        "management.eviction",
        "management.evicted",
        "management.replaced",
        "management.eviction_refusals",
        "management.churned",  # see test_churn.py
        "monitoring.node_losses",
        "monitoring.replacement_net",
        "monitoring.out_of_service",
        "management.children",
        "management.endpoints",
        "monitoring.node_unknown",
        "monitoring.node_unknown_net",
        "monitoring.node_noschedule",
        "monitoring.node_noexecute",
        "monitoring.eviction_net",
        "monitoring.node_recovered",
        "cleanup.collected",
        "cleanup.net",
        "faults.failover",  # of several members, see test_slis_resilience.py
        "faults.surplus",  # of controllers
    }
    assert CATALOG.keys() - found == elsewhere


def test_a_storm_is_told_apart_from_other_lists(tmp_path: Path) -> None:
    run = looked_at(pods()[0])
    run.phase("storm-full", Stage.MONITORING, 220, 221)
    for number in range(4):
        took_s = 0.03 * (number + 1)
        run.request("storm-full", Stage.MONITORING, "list", "pods", -1, "full", 220, took_s=took_s, received=900)
    rows = slis.evaluate(run.write(tmp_path / "run")).rows()
    storm = rows["monitoring.storm"]
    assert storm.n == 4
    assert storm.p50 == pytest.approx(0.06)
    assert storm.max == pytest.approx(0.12)
    assert storm.title == "LIST storm"
    assert rows["monitoring.list"].n == 6


# --- machines ------------------------------------------------------------------------------------------------

INSTANCES = [number for number in range(10) if number not in MACHINE_NUMBERS]


def test_startup_by_kind(of_machines: Result) -> None:
    rows = of_machines.rows()
    vmi = [0.5 + number / 100 for number in INSTANCES]
    vm = [0.8 + number / 100 for number in MACHINE_NUMBERS]
    assert told(rows["creation.startup.vmi"]) == pytest.approx(ranked(vmi))
    assert told(rows["creation.startup.vm"]) == pytest.approx(ranked(vm))
    assert told(rows["creation.startup"]) == pytest.approx(ranked([*vmi, *vm]))
    assert rows["creation.startup"].rate_per_s == pytest.approx(10 / (0.35 + 0.87))
    assert rows["creation.startup.vm"].part_of == "creation.startup"
    running = [value - 0.1 for value in (*vmi, *vm)]
    assert told(rows["management.running"]) == pytest.approx(ranked(running))


def test_creation_by_resource(of_machines: Result) -> None:
    rows = of_machines.rows()
    assert rows["creation.response.virtualmachineinstances"].n == 8
    assert rows["creation.response.virtualmachines"].n == 2
    assert rows["creation.response"].n == 10
    assert rows["cleanup.response.virtualmachines"].n == 2


def test_binds_are_those_of_the_launchers(of_machines: Result) -> None:
    rows = of_machines.rows()
    vmi, vm = [0.16] * 8, [0.2] * 2
    assert told(rows["scheduling.latency.vmi"]) == pytest.approx(ranked(vmi))
    assert told(rows["scheduling.latency.vm"]) == pytest.approx(ranked(vm))
    assert told(rows["scheduling.pod"]) == pytest.approx((0.03,) * 4)
    assert told(rows["scheduling.distribution"]) == (2, 3, 3, 3), "the restarted machine's second launcher is none"


def test_the_first_way_through_the_phases_counts(of_machines: Result) -> None:
    rows = of_machines.rows()
    steps = [name.removeprefix("management.transition.") for name in rows if "transition" in name]
    assert steps == [
        "pods.added-scheduled",
        "pods.scheduled-running",
        "pods.running-ready",
        "vmis.added-pending",
        "vmis.pending-scheduling",
        "vmis.scheduling-scheduled",
        "vmis.scheduled-running",
        "vmis.running-ready",
        "vms.added-starting",
        "vms.starting-running",
        "vms.running-ready",
    ]
    assert told(rows["management.transition.vmis.scheduling-scheduled"]) == pytest.approx((0.2,) * 4)
    assert rows["management.transition.vmis.scheduled-running"].n == 10
    assert rows["management.transition.vmis.scheduled-running"].simulated
    assert told(rows["management.transition.vms.running-ready"]) == pytest.approx((0.1,) * 4)


def test_changes_by_kind(of_machines: Result) -> None:
    rows = of_machines.rows()
    vmi, vm = [0.1, 0.11, 0.12, 0.14], [0.13]
    assert told(rows["management.change.patch"]) == pytest.approx(ranked([*vmi, *vm]))
    assert told(rows["management.change.patch.vmi"]) == pytest.approx(ranked(vmi))
    assert told(rows["management.change.patch.vm"]) == pytest.approx(ranked(vm))
    assert rows["management.response.patch"].n == 5
    assert rows["management.response.restart"].n == 1
    assert (rows["management.response"].n, rows["management.response"].rate_per_s) == (6, None)


def test_a_restart_is_in_effect_when_a_successor_is_up(of_machines: Result) -> None:
    row = of_machines.rows()["management.change.restart"]
    assert told(row) == pytest.approx((2.0,) * 4)
    assert (row.n, row.missing) == (1, 0)


def test_a_stop_is_in_effect_when_the_instance_is_gone(tmp_path: Path) -> None:
    """And a start when another one is up."""
    run = machines()
    run.overrides = {"lifecycle.management": "{stop: {share: 50%, rate: 5/s}, start: {share: 100%, rate: 5/s}}"}
    asked = [request for request in run.requests if request["phase"] == "restart"]
    run.requests = [request for request in run.requests if request["stage"] != Stage.MANAGEMENT]
    run.requests += [request | {"phase": name} for request in asked for name in ("stop", "start")]
    rows = evaluate(run, tmp_path).rows()
    assert told(rows["management.change.stop"]) == pytest.approx((0.5,) * 4)
    assert told(rows["management.change.start"]) == pytest.approx((2.0,) * 4)


def test_all_that_an_object_gave_rise_to_is_gone(of_machines: Result) -> None:
    rows = of_machines.rows()
    vmi, vm = [0.3] * 8, [0.4] * 2
    assert told(rows["cleanup.deleted"]) == pytest.approx(ranked([*vmi, *vm]))
    assert told(rows["cleanup.deleted.pods"]) == pytest.approx((0.2,) * 4)
    assert told(rows["cleanup.deleted.vmis"]) == pytest.approx((0.3,) * 4)
    assert told(rows["cleanup.deleted.vms"]) == pytest.approx((0.4,) * 4)
    assert told(rows["cleanup.gone"]) == pytest.approx(ranked([*vmi, *vm]))
    assert rows["cleanup.gone"].n == 10


def test_what_was_gone_before_is_no_part_of_the_cleanup(tmp_path: Path) -> None:
    run = machines()
    for item in run.objects:  # machine 3 was stopped: its instance and launcher went at 28 s
        if item["index"] == 3 and item["watch"] != "vms":
            for row in run.milestones:
                if row["object"] == item["object"] and row["milestone"] in ("deleting", "deleted"):
                    row["t_ns"] = 28_000_000_000
    rows = evaluate(run, tmp_path).rows()
    assert rows["cleanup.deleted.vmis"].n == 9
    assert told(rows["cleanup.gone"]) == pytest.approx(ranked([*[0.3] * 8, *[0.4] * 2]))


def test_an_owner_s_end_is_not_the_end_of_what_it_owns(tmp_path: Path) -> None:
    run = machines()
    launcher = next(item["object"] for item in run.objects if item["watch"] == "pods" and item["index"] == 5)
    run.milestones = [row for row in run.milestones if (row["object"], row["milestone"]) != (launcher, "deleted")]
    rows = evaluate(run, tmp_path).rows()
    assert rows["cleanup.deleted"].missing == 0
    assert (rows["cleanup.deleted.pods"].missing, rows["cleanup.gone"].missing) == (1, 1)
    assert rows["cleanup.gone"].beyond_s == pytest.approx(9.9)  # the stage ended at 40 s, due was 30.1 s


# --- missing -------------------------------------------------------------------------------------------------


def test_what_never_came_counts(tmp_path: Path) -> None:
    run, truth = pods(never_up=[3, 50])
    result = evaluate(run, tmp_path)
    rows = result.rows()
    row = rows["creation.startup"]
    assert (row.n, row.missing, row.p99, row.max) == (100, 2, None, None)
    assert row.p50 == pytest.approx(sorted(truth.startup_s)[49])
    assert row.beyond_s == pytest.approx(75 - 12.5)  # pod 50 was due at 12.5 s, the stage ended at 75 s
    assert rows["creation.reached"].value == 0.98
    assert (rows["scheduling.latency"].missing, result.counts.up) == (0, 98)
    played = rows["management.transition.pods.scheduled-running"]
    assert (played.n, played.missing) == (100, 2)
    assert rows["management.transition.pods.running-ready"].n == 98, "two never began it"
    verdicts = {slo.sli: (slo.verdict, slo.reason) for slo in result.slos}
    assert verdicts["creation.startup"] == ("FAIL", "2 of 100 never came")
    assert verdicts["creation.reached"] == ("FAIL", "98 of 100 came up")
    assert verdicts["creation.response"][0] == "PASS"
    assert (result.verdict, result.reason) == ("FAIL", "2 of 4 SLOs missed")


def test_refused_requests_count_as_failed(tmp_path: Path) -> None:
    run, _ = pods(refused=[0, 1, 99])
    result = evaluate(run, tmp_path)
    row = result.rows()["creation.response"]
    assert (row.n, row.missing, row.errors, row.p99) == (100, 3, 3, None)
    assert result.counts.created == 97
    (error,) = result.errors
    assert (error.count, error.verb, error.resource, error.error) == (3, "create", "pods", "Forbidden")
    assert result.rows()["cleanup.deleted"].n == 97, "what never was cannot be deleted"


def test_without_an_answer_and_without_words(tmp_path: Path) -> None:
    run, _ = pods()
    run.requests[0] |= {"done_ns": -1, "status": 0, "error": "timeout"}
    run.requests[1] |= {"status": 500, "error": None}
    run.requests[2] |= {"status": 503, "error": ""}
    result = evaluate(run, tmp_path)
    assert [(error.error, error.count) for error in result.errors] == [
        ("HTTP 500", 1),
        ("HTTP 503", 1),
        ("timeout", 1),
    ]
    assert result.rows()["creation.response"].errors == 3


def test_a_lost_answer_is_made_good_by_the_second_one(tmp_path: Path) -> None:
    """A create that is sent again after a lost connection and then exists, a delete that finds nothing."""
    run, _ = pods()
    run.requests[0] |= {"status": 409, "error": "connection", "attempts": 2}
    run.requests[1] |= {"status": 409, "error": "AlreadyExists"}
    run.requests[-1] |= {"status": 404, "error": "connection", "attempts": 2}
    run.requests[-2] |= {"status": 404, "error": "NotFound"}
    rows = evaluate(run, tmp_path).rows()
    assert (rows["creation.response"].errors, rows["cleanup.response"].errors) == (1, 1)


def test_failed_objects_are_counted_until_their_deletion(tmp_path: Path) -> None:
    run, _ = pods(never_up=[3, 5])
    cleanup_s = next(phase["start_ns"] for phase in run.phases if phase["name"] == "cleanup") / 1e9
    run.reach_named(3, "failed", 20)
    run.reach_named(5, "failed", cleanup_s + 1)
    assert evaluate(run, tmp_path).counts.failed == 1


def test_what_is_left_over_is_told(tmp_path: Path) -> None:
    run, _ = pods()
    run.leftovers = ["pods/a", "pods/b", "pods/c", "pods/d"]
    result = evaluate(run, tmp_path)
    row = result.rows()["cleanup.leftovers"]
    assert (row.value, row.notes) == (4, ("pods/a, pods/b, pods/c, ...",))
    assert result.counts.leftovers == 4
    slo = next(slo for slo in result.slos if slo.sli == "cleanup.leftovers")
    assert (slo.verdict, slo.reason) == ("FAIL", "pods/a, pods/b, pods/c, ...")


def test_nobody_looked_is_not_nothing_left(tmp_path: Path) -> None:
    run, _ = pods()
    run.leftovers = None
    result = evaluate(run, tmp_path)
    assert "cleanup.leftovers" not in result.rows()
    assert result.counts.leftovers is None
    slo = next(slo for slo in result.slos if slo.sli == "cleanup.leftovers")
    assert (slo.verdict, slo.reason) == ("INCONCLUSIVE", "the run has nothing to measure it by")


def test_nodes_that_take_no_pods_are_no_places(tmp_path: Path) -> None:
    taint = "[{name: node, count: 4}, {name: control, count: 2, taints: [{key: a, effect: NoSchedule}]}]"
    run, truth = pods(overrides={"nodes": taint})
    assert told(evaluate(run, tmp_path).rows()["scheduling.distribution"]) == ranked(list(truth.nodes.values()))


def test_empty_nodes_are_places(tmp_path: Path) -> None:
    run, truth = pods(overrides={"nodes[0].count": "6"})
    row = evaluate(run, tmp_path).rows()["scheduling.distribution"]
    assert told(row) == ranked([*truth.nodes.values(), 0, 0])


def test_no_node_that_takes_pods(tmp_path: Path) -> None:
    taint = "[{name: control, count: 2, taints: [{key: a, effect: NoExecute}]}]"
    run, _ = pods(count=20, overrides={"nodes": taint})
    for item in run.objects:
        item["node"] = ""
    assert "scheduling.distribution" not in evaluate(run, tmp_path).rows()


def test_nodes_that_were_watched_only(tmp_path: Path) -> None:
    """Whoever has created them: they are to be ready."""
    run, _ = pods(count=20)
    run.reach(run.object("nodes", -1, "node-000000"), added=1, ready=2)
    result = evaluate(run, tmp_path)
    assert result.preparation == ()
    assert result.rows()["monitoring.node_health"].value == 0.25


def test_no_pod_was_bound(tmp_path: Path) -> None:
    run, _ = pods(count=20)
    run.milestones = [row for row in run.milestones if row["milestone"] == "added"]
    for item in run.objects:
        item["node"] = ""
    rows = evaluate(run, tmp_path).rows()
    assert rows["scheduling.latency"].missing == 20
    assert (rows["scheduling.throughput"].value, rows["scheduling.throughput"].n) == (None, 0)
    assert "scheduling.throughput_peak" not in rows
    assert "scheduling.distribution" not in rows
    assert rows["creation.reached"].value == 0


# --- limits --------------------------------------------------------------------------------------------------


def test_limits_are_those_that_held(tmp_path: Path) -> None:
    run, _ = pods(count=20, overrides={"limits.kube-scheduler": "{qps: 1000, burst: 2000}"})
    assert evaluate(run, tmp_path).limits == (
        "kube-scheduler: client requests per second 1000 (set), client burst 2000 (set)",
        "kube-controller-manager: client requests per second of each controller 20, "
        "client burst of each controller 30",
    )


def test_a_sample_of_nothing_has_no_rate() -> None:
    assert Indicator(CATALOG["creation.response"], Stage.CREATION).rate_per_s is None


def test_tables_that_do_not_exist_are_empty(tmp_path: Path) -> None:
    folder = pods(count=20)[0].write(tmp_path / "run")
    for table in ("requests", "objects", "milestones", "events", "gaps", "samples"):
        (folder / "raw" / f"{table}.parquet").unlink()
    result = slis.evaluate(folder)
    assert [(stage.stage, [row.sli for row in stage.rows]) for stage in result.stages if stage.rows] == [
        ("cleanup", ["cleanup.leftovers"])
    ]
    assert [slo.verdict for slo in result.slos] == ["INCONCLUSIVE"] * 3 + ["PASS"]
    assert result.verdict == "INCONCLUSIVE"
    assert result.reason == "not so: the load was recorded (0 requests)"


def test_codes_and_texts_are_read_alike(tmp_path: Path) -> None:
    """Strings may be stored as categories or not."""
    folder = pods(count=20)[0].write(tmp_path / "run")
    before = slis.evaluate(folder)
    for table in ("requests", "objects", "milestones"):
        path = folder / "raw" / f"{table}.parquet"
        frame = pl.read_parquet(path)
        frame.with_columns(pl.col(pl.Categorical).cast(pl.String)).write_parquet(path)
    assert slis.evaluate(folder) == before
