"""One object's way: its parts join, add up to what the watch has measured, and name who had it in hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from audited_run import LOAD, RUN_ID, SCHEDULER, AuditLog, audited
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import machines, pods

from planebench import slis
from planebench.components.audit import audit_id
from planebench.model import Role
from planebench.results import RunFolder
from planebench.slis.observations import Observations
from planebench.slis.trace import UNEXPLAINED, Origin, Part, Write, way

MS = 1_000_000
PODS, VMIS = "pods", "virtualmachineinstances.kubevirt.io"


def write(received_ms: float, done_ms: float, component: str, what: str, role: Role = Role.SUBJECT) -> Write:
    """``what``: verb, resource and subresource, as in ``create pods/binding``."""
    verb, _, rest = what.partition(" ")
    resource, _, subresource = rest.partition("/")
    return Write(round(received_ms * MS), round(done_ms * MS), role, component, verb, resource, subresource)


def origin(due_ms: float, sent_ms: float, received_ms: float, done_ms: float, resource: str = PODS) -> Origin:
    first = write(received_ms, done_ms, "planebench", f"create {resource}", Role.HARNESS)
    return Origin(round(due_ms * MS), round(sent_ms * MS), first)


def told(parts: tuple[Part, ...]) -> list[tuple[str, str, Any]]:
    return [(part.component, part.step, (part.end_ns - part.start_ns) / MS) for part in parts]


BINDING = write(7.71, 11.73, "kube-scheduler", "create pods/binding")
STATUS = write(13.84, 17.37, "kwok", "patch pods/status", Role.SIMULATOR)


def test_a_pod_s_way() -> None:
    """The example of one pod on a real control plane, in ms: due and sent at 0."""
    found = way(origin(0, 0, 0.44, 6.05), [STATUS, BINDING], round(19.32 * MS), PODS)
    assert told(found) == [
        ("connection", "request on its way", 0.44),
        ("kube-apiserver", "create pods", 5.61),
        ("kube-scheduler", "until create pods/binding", pytest.approx(1.66)),
        ("kube-apiserver", "create pods/binding", pytest.approx(4.02)),
        ("kwok", "until patch pods/status", pytest.approx(2.11)),
        ("kube-apiserver", "patch pods/status", pytest.approx(3.53)),
        ("kube-apiserver", "watch to receipt", pytest.approx(1.95)),
    ]


def test_a_write_that_followed_before_the_reply_ends_the_one_before() -> None:
    early = write(5, 9, "kube-scheduler", "create pods/binding")
    found = way(origin(0, 1, 2, 8), [early, STATUS], 16 * MS, PODS)
    assert told(found)[2:4] == [("kube-apiserver", "create pods", 3), ("kube-apiserver", "create pods/binding", 4)]
    assert told(found)[-1] == ("kube-apiserver", "patch pods/status", pytest.approx(2.16)), "seen before its reply"


def test_what_no_write_accounts_for_is_unexplained() -> None:
    assert told(way(origin(0, 0, 1, 2), [], 10 * MS, PODS))[-1] == (
        UNEXPLAINED,
        "no write is known that made it so",
        8,
    )
    played_unbound = way(origin(0, 0, 1, 2), [STATUS], 20 * MS, PODS)
    assert told(played_unbound)[2] == (UNEXPLAINED, "until patch pods/status", pytest.approx(11.84))


def test_what_the_receipt_did_not_depend_on_is_left_out() -> None:
    later = write(30, 31, "kwok", "patch pods/status", Role.SIMULATOR)
    found = way(origin(0, 0, 1, 2), [BINDING, STATUS, later], 20 * MS, PODS)
    assert "patch pods/status" in [step for _, step, _ in told(found)]
    assert found[-1].end_ns == 20 * MS


def test_a_machine_s_way_goes_by_its_launcher() -> None:
    controller = "virt-controller"
    writes = [
        write(10, 12, controller, "create pods"),
        write(14, 16, "kube-scheduler", "create pods/binding"),
        write(18, 20, "kwok", "patch pods/status", Role.SIMULATOR),
        write(19, 21, controller, f"update {VMIS}"),
        write(24, 26, controller, f"update {VMIS}"),
        write(25, 26.5, controller, "patch pods"),
        write(28, 30, "kwok", f"patch {VMIS}", Role.SIMULATOR),
        write(33, 35, controller, f"patch {VMIS}"),
    ]
    found = way(origin(0, 0, 1, 5, VMIS), writes, 40 * MS, VMIS)
    assert [step for _, step, _ in told(found)] == [
        "request on its way",
        "create virtualmachineinstances",
        "until create pods",
        "create pods",
        "until create pods/binding",
        "create pods/binding",
        "until patch pods/status",
        "patch pods/status",
        "update virtualmachineinstances",
        "until update virtualmachineinstances",
        "update virtualmachineinstances",
        "until patch virtualmachineinstances",
        "patch virtualmachineinstances",
        "until patch virtualmachineinstances",
        "patch virtualmachineinstances",
        "watch to receipt",
    ], "kwok plays the VMI, whatever is done to the pod meanwhile"
    assert told(found)[2] == (controller, "until create pods", 5)


times = st.integers(0, 10**10)
actors = st.sampled_from(
    [("kube-scheduler", Role.SUBJECT), ("kwok", Role.SIMULATOR), ("virt-controller", Role.SUBJECT)]
)


@st.composite
def any_write(draw: st.DrawFn) -> Write:
    received_ns, took_ns = draw(times), draw(times)
    component, role = draw(actors)
    resource, subresource = draw(st.sampled_from([(PODS, "binding"), (PODS, "status"), (PODS, ""), (VMIS, "")]))
    return Write(received_ns, received_ns + took_ns, role, component, "patch", resource, subresource)


@given(
    st.tuples(times, times, times, times).map(sorted),
    st.lists(any_write(), max_size=12),
    times,
    st.sampled_from([PODS, VMIS]),
)
def test_the_parts_join_and_add_up_whatever_was_written(
    stamps: list[int], writes: list[Write], later_ns: int, tracked: str
) -> None:
    due_ns, sent_ns, received_ns, done_ns = stamps
    first = Write(received_ns, done_ns, Role.HARNESS, "planebench", "create", tracked, "")
    up_ns = received_ns + later_ns
    parts = way(Origin(due_ns, sent_ns, first), writes, up_ns, tracked)
    assert sum(part.end_ns - part.start_ns for part in parts) == up_ns - due_ns
    assert all(before.end_ns == after.start_ns for before, after in pairwise(parts))
    assert all(part.end_ns > part.start_ns for part in parts)


# --- whole runs ----------------------------------------------------------------------------------------------


def test_the_wholes_are_the_startups_that_the_watch_has_measured(tmp_path: Path) -> None:
    run, truth = pods(3, never_up=(5,), refused=(7,))
    log = audited(run)
    log.write(run.write(tmp_path / "run"))
    result = slis.evaluate(tmp_path / "run")
    assert result.trace is not None
    startup = result.rows()["creation.startup"]
    assert result.trace.n == len(truth.startup_s) == 98
    assert result.trace.p50_s == pytest.approx(startup.p50, rel=0.05)
    kept = pl.read_parquet(tmp_path / "run" / "raw" / "traces.parquet")
    wholes = kept.group_by("index").agg((pl.col("end_ns") - pl.col("start_ns")).sum() / 1e9).sort("index")
    assert wholes["end_ns"].to_list() == pytest.approx(truth.startup_s)
    seen = Observations(RunFolder.open(tmp_path / "run"))
    up_s = seen.reached_s(wholes["index"], "pods", "ready")
    ends = kept.group_by("index").agg(pl.col("end_ns").max() / 1e9).sort("index")["end_ns"]
    assert ends.to_list() == pytest.approx(up_s.tolist(), abs=1e-9)
    assert result.trace.unexplained_share == 0
    for shown in result.trace.ways:
        assert sum(part.duration_s for part in shown.parts) == pytest.approx(shown.whole_s)
    assert sum(step.share for step in result.trace.steps) == pytest.approx(1, abs=0.001)
    assert result.trace.clock_error_s == pytest.approx(1.2e-6)


def test_the_component_with_the_greatest_share_is_named_with_its_evidence(tmp_path: Path) -> None:
    run, _ = pods(3)
    run.sample(200, "kwok", "kwok", "simulator", 3.0)
    audited(run).write(run.write(tmp_path / "run"))
    trace = slis.evaluate(tmp_path / "run").trace
    assert trace is not None
    median, tail = trace.greatest
    assert (median.percentile, median.component, median.step) == (50, "kwok", "until patch pods/status")
    assert median.share == pytest.approx(median.step_share)
    assert median.share > 0.9
    assert (tail.percentile, tail.objects) == (99, 2)
    assert trace.steps[0].component == "kwok"
    assert [shown.why for shown in trace.ways] == ["p50", "p99", "slowest", "slowest", "slowest"]


def test_pods_whose_name_the_server_chose_are_found_by_their_owner(tmp_path: Path) -> None:
    run = machines()
    log = AuditLog()
    controller = "system:serviceaccount:kubevirt:kubevirt-controller"
    group = "kubevirt.io"
    prefix = f"{audit_id(RUN_ID)}-creation"
    uid = next(item["uid"] for item in run.objects if item["name"] == "instance-0")
    run.requests[0]["name"] = run.objects[0]["name"] = "vmi-000000"
    resource = "virtualmachineinstances"
    log.add(10.001, 10.01, LOAD, "create", resource, "vmi-000000", code=201, audit=f"{prefix}-0", group=group)
    log.add(10.1, 10.11, controller, "create", "pods", owner=uid, code=201)
    log.add(10.14, 10.15, SCHEDULER, "create", "pods", "virt-launcher-0", subresource="binding", code=201)
    log.add(10.3, 10.31, controller, "update", resource, "vmi-000000", group=group)
    log.add(10.32, 10.33, controller, "update", resource, "vmi-000000", code=409, group=group)
    log.write(run.write(tmp_path / "run"))
    trace = slis.evaluate(tmp_path / "run").trace
    assert trace is not None
    assert (trace.n, trace.untraced) == (1, 9)
    steps = [(part.component, part.step) for part in trace.ways[0].parts]
    assert steps[3:6] == [
        ("virt-controller", "until create pods"),
        ("kube-apiserver", "create pods"),
        ("kube-scheduler", "until create pods/binding"),
    ]
    assert steps[-1] == ("kube-apiserver", "watch to receipt")
    assert trace.ways[0].whole_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("codes", "place"),
    [
        ((500,), 0),
        ((504, 409), 0),
        ((503, 504, 409), 1),
        ((500, 201), 1),
        ((201, 500), 0),
    ],
    ids=str,
)
def test_a_creation_answered_by_an_error_of_the_server_s_was_the_one_if_its_object_came_up(
    codes: tuple[int, ...], place: int, tmp_path: Path
) -> None:
    run, _ = pods(count=3)
    log = audited(run)
    first = next(row for row in log.rows if row["audit_id"].endswith("-creation-0"))
    log.rows.remove(first)
    received_s, done_s = first["received_ns"] / 1e9, first["done_ns"] / 1e9
    for tried, code in enumerate(codes):
        later_s = tried * 0.002
        name, audit = first["name"], first["audit_id"]
        log.add(received_s + later_s, done_s + later_s, LOAD, "create", "pods", name, code=code, audit=audit)
    log.write(run.write(tmp_path / "run"))
    trace = slis.evaluate(tmp_path / "run").trace
    assert trace is not None
    assert (trace.n, trace.untraced) == (3, 0)
    table = pl.read_parquet(tmp_path / "run" / "raw" / "traces.parquet").filter(pl.col("index") == 0)
    creation = table.row(by_predicate=pl.col("step") == "create pods", named=True)
    assert creation["start_ns"] == first["received_ns"] + place * 2 * MS


def test_a_log_without_the_load_s_names_is_no_trace(tmp_path: Path) -> None:
    run, _ = pods(3)
    audited(run, named=False).write(run.write(tmp_path / "run"))
    result = slis.evaluate(tmp_path / "run")
    assert result.trace is None
    assert not (tmp_path / "run" / "raw" / "traces.parquet").exists()
    assert result.cost is not None and result.cost.audited
