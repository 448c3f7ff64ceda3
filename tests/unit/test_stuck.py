"""Why objects have failed or wait, in the control plane's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic_run import pods

from planebench.report import markdown
from planebench.report.html import render as rendered
from planebench.report.terminal import render
from planebench.results import RunFolder
from planebench.results.stuck import MOST_KINDS, Stuck, grouped, stuck, warnings_of
from planebench.run.waiting import told_alike
from planebench.slis import evaluate


def item(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", "namespace": "n", "uid": "1", **metadata}, "status": status}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


@pytest.mark.parametrize(
    ("object_", "state", "reason"),
    [
        (
            item({"phase": "Pending", **condition("PodScheduled", "False", "Unschedulable", "0/3 nodes")}),
            "Pending",
            "Unschedulable: 0/3 nodes",
        ),
        (item({"phase": "Failed", "reason": "Evicted", "message": "low\n on"}), "Failed", "Evicted: low on"),
        (item({"phase": "Failed", **condition("Ready", "False", "GuestGone")}), "Failed", "GuestGone"),
        (
            item(condition("ReplicaFailure", "True", "FailedCreate", "quota")),
            "ReplicaFailure",
            "FailedCreate: quota",
        ),
        (item(condition("Ready", "False", "GuestNotRunning")), "not Ready", "GuestNotRunning"),
        (
            item({"printableStatus": "ErrorUnschedulable", **condition("Ready", "False", "VMINotExists")}),
            "ErrorUnschedulable",
            "VMINotExists",
        ),
        (item({"phase": "Pending"}), "Pending", "FailedMount: no volume"),
        (item({"startTime": "2026-01-01T00:00:00Z"}), "no pods", "FailedMount: no volume"),
        (item({}, deletionTimestamp="x", finalizers=["a/b"]), "Terminating", "held by a/b"),
    ],
)
def test_what_an_object_waits_for(object_: dict[str, Any], state: str, reason: str) -> None:
    found = stuck("things", object_, {"1": "FailedMount: no volume"})
    assert found is not None
    assert (found.namespace, found.name, found.state, found.reason) == ("n", "a", state, reason)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "Running", **condition("Ready", "True")},
        {"phase": "Succeeded", **condition("Ready", "False", "PodCompleted")},
        condition("Complete", "True"),
        {"startTime": "2026-01-01T00:00:00Z", "active": 2},
    ],
)
def test_objects_that_are_well(status: dict[str, Any]) -> None:
    assert stuck("things", item(status), {}) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_CONDITIONS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Ready", "Available", "Failed", "ReplicaFailure", "Complete"]),
            "status": st.sampled_from(["True", "False", "Unknown"]),
        },
        optional={"reason": _JSON, "message": _JSON},
    )
)


@given(st.fixed_dictionaries({}, optional={"phase": _JSON, "conditions": _CONDITIONS, "reason": _JSON}))
def test_any_status_can_be_told(status: dict[str, Any]) -> None:
    found = stuck("things", item(status), {})
    assert found is None or found.state


def test_the_newest_warning_is_told() -> None:
    def event(uid: str, when: str, message: str) -> dict[str, Any]:
        return {"involvedObject": {"uid": uid}, "lastTimestamp": when, "reason": "Failed", "message": message}

    events = [event("1", "2026-01-01T00:00:02Z", "b"), event("1", "2026-01-01T00:00:01Z", "a"), {"reason": "x"}]
    assert warnings_of(events) == {"1": "Failed: b"}


def test_names_are_taken_out_of_reasons() -> None:
    reason = 'pods "web-000007-59cffb84d6-fzh4x" is forbidden, as web-000007 is, and old-web-000007 is not'
    assert told_alike(reason, "web-000007", "n") == (
        'pods "<name>-<suffix>" is forbidden, as <name> is, and old-web-<number> is not'
    )


def test_the_same_reason_is_told_once() -> None:
    waiting = [Stuck("pods", "n", f"pod-{number}", "Pending", "no room") for number in range(5)]
    failed = Stuck("pods", "n", "pod-9", "Failed", "")
    found = grouped([("creation", waiting), ("monitoring", [*waiting[:2], failed])])
    assert [(one.stage, one.state, one.count) for one in found] == [
        ("creation", "Pending", 5),
        ("monitoring", "Failed", 1),
    ]
    assert found[0].examples == ("n/pod-0", "n/pod-1", "n/pod-2")
    many = [Stuck("pods", "n", str(number), "Failed", f"reason {number}") for number in range(MOST_KINDS + 5)]
    assert len(grouped([("creation", many)])) == MOST_KINDS


def test_reports_tell_what_waits_and_what_was_refused(tmp_path: Path) -> None:
    path = pods()[0].write(tmp_path / "run")
    objects = [
        {"resource": "pods", "namespace": "n", "name": f"pod-{number}", "state": "Pending", "reason": "no <room>"}
        for number in range(3)
    ]
    RunFolder(path).write_stuck([{"stage": "creation", "objects": objects}])
    result = evaluate(path)
    assert [(one.count, one.reason) for one in result.stuck] == [(3, "no <room>")]
    console = Console(width=100, record=True, force_terminal=False)
    console.print(render(result))
    assert "3 x creation: pods Pending: no <room> (such as n/pod-0)" in " ".join(console.export_text().split())
    assert "3 x creation: pods Pending" in markdown.render(result)
    html = rendered(path, result)
    assert "no &lt;room&gt;" in html
    assert 'id="stuck"' in html


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = pods()[0].write(tmp_path / "run")
    (path / "stuck.json").write_text(json.dumps({"looks": [{"stage": "creation"}]}))
    with pytest.raises(Exception, match=r"stuck\.json: is damaged"):
        evaluate(path)
