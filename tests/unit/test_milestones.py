"""Watch events in, milestones out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.model import MilestoneRule, Resource, UsageError, WatchSpec
from planebench.observe.milestones import Item, Reducer, parse_path

PODS = Resource("", "v1", "pods", "Pod")

RULES = (
    MilestoneRule("scheduled", "spec.nodeName"),
    MilestoneRule("running", "status.phase", equals="Running"),
    MilestoneRule("over", "status.phase", one_of=("Succeeded", "Failed")),
    MilestoneRule("ready", "status.conditions[Ready].status", equals="True"),
)


def spec(*rules: MilestoneRule, **fields: str) -> WatchSpec:
    return WatchSpec("pods", PODS, rules or RULES, **fields)  # type: ignore[arg-type]


def pod(uid: str, version: int, **fields: Any) -> dict[str, Any]:
    meta = {"uid": uid, "name": f"pod-{uid}", "namespace": "load", "resourceVersion": str(version)}
    return {"metadata": {**meta, **fields.pop("metadata", {})}, **fields}


def decode(reducer: Reducer, obj: dict[str, Any]) -> Any:
    return msgspec.json.decode(json.dumps(obj), type=reducer.object_type)


def see(reducer: Reducer, obj: dict[str, Any]) -> list[str]:
    return list(reducer.seen(decode(reducer, obj)).milestones)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("status.phase", ("status", "phase")),
        ("status.conditions[Ready].status", ("status", "conditions", Item("Ready"), "status")),
        ('metadata.labels["kubevirt.io/nodeName"]', ("metadata", "labels", "kubevirt.io/nodeName")),
        ('metadata.annotations["a.b"].c', ("metadata", "annotations", "a.b", "c")),
    ],
)
def test_paths(path: str, steps: tuple[str | Item, ...]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize("path", ["", ".", "a..b", "a[", "[Ready].status", ".a", 'a["b', "a[b][c]", "a]"])
def test_what_is_no_path_is_an_error(path: str) -> None:
    with pytest.raises(UsageError, match="field path"):
        parse_path(path)


def test_contradicting_paths_are_an_error() -> None:
    with pytest.raises(UsageError, match=r"'status'.*deeper"):
        Reducer(spec(MilestoneRule("a", "status"), MilestoneRule("b", "status.phase")))
    with pytest.raises(UsageError, match=r"'status\.x'.*list"):
        Reducer(spec(MilestoneRule("a", "status.x.y"), MilestoneRule("b", "status.x[Ready].status")))


def test_the_life_of_a_pod() -> None:
    reducer = Reducer(spec(node_field="spec.nodeName"))
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
    assert see(reducer, pod("a", 1, spec={}, status={"phase": "Pending"})) == ["added"]
    assert see(reducer, pod("a", 2, spec={"nodeName": "n1"}, status={"conditions": conditions})) == ["scheduled"]
    running = {"phase": "Running", "conditions": [*conditions[:1], {"type": "Ready", "status": "True"}]}
    assert see(reducer, pod("a", 3, spec={"nodeName": "n1"}, status=running)) == ["running", "ready"]
    assert reducer.holding == {"added": 1, "scheduled": 1, "running": 1, "over": 0, "ready": 1}
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert see(reducer, pod("a", 4, metadata=leaving, spec={"nodeName": "n1"}, status=running)) == ["deleting"]
    change = reducer.deleted(decode(reducer, pod("a", 5, metadata=leaving, status={"phase": "Failed"})))
    assert change.milestones == ["over", "deleted"]
    assert reducer.holding == {"added": 0, "scheduled": 0, "running": 0, "over": 0, "ready": 0}
    assert reducer.reached == {
        **dict.fromkeys(("added", "scheduled", "running", "over", "ready", "deleting", "deleted"), 1)
    }


def test_first_times_only_but_holding_now() -> None:
    reducer = Reducer(spec())
    see(reducer, pod("a", 1, status={"phase": "Running"}))
    assert see(reducer, pod("a", 2, status={"phase": "Pending"})) == []
    assert reducer.holding["running"] == 0
    assert see(reducer, pod("a", 3, status={"phase": "Running"})) == []
    assert (reducer.holding["running"], reducer.reached["running"]) == (1, 1)


def test_what_comes_and_goes_is_noted_each_time_where_that_is_wanted() -> None:
    once = MilestoneRule("once", "status.phase", equals="On")
    again = MilestoneRule("again", "status.phase", equals="On", again=True)
    reducer = Reducer(spec(once, again))
    see(reducer, pod("1", 1, status={"phase": "On"}))
    assert see(reducer, pod("1", 2, status={"phase": "Off"})) == []
    assert see(reducer, pod("1", 3, status={"phase": "On"})) == ["again"]
    assert see(reducer, pod("1", 4, status={"phase": "On"})) == []
    assert (reducer.reached["again"], reducer.holding["again"]) == (1, 1), "objects are counted, not times"


def test_a_resync_changes_nothing() -> None:
    reducer = Reducer(spec())
    see(reducer, pod("a", 1))
    assert see(reducer, pod("a", 1, status={"phase": "Running"})) == []


def test_objects_of_the_list_reach_only_what_is_new() -> None:
    reducer = Reducer(spec())
    change = reducer.listed(decode(reducer, pod("a", 1, spec={"nodeName": "n"}, status={"phase": "Pending"})))
    assert change.milestones == []
    assert change.description is not None
    assert change.description.name == "pod-a"
    assert (reducer.holding["added"], reducer.holding["scheduled"]) == (1, 1)
    assert set(reducer.reached.values()) == {0}
    assert see(reducer, pod("a", 2, spec={"nodeName": "n"}, status={"phase": "Running"})) == ["running"]


def test_the_same_name_again_is_another_object() -> None:
    reducer = Reducer(spec())
    see(reducer, pod("a", 1))
    reducer.deleted(decode(reducer, pod("a", 2)))
    again = pod("b", 3, metadata={"name": "pod-a"})
    assert see(reducer, again) == ["added"]
    assert (reducer.reached["added"], reducer.holding["added"]) == (2, 1)


def test_what_vanished_while_nobody_watched() -> None:
    reducer = Reducer(spec())
    see(reducer, pod("a", 1, status={"phase": "Running"}))
    assert reducer.vanished("a").milestones == ["deleted"]
    assert (reducer.alive, reducer.holding["running"]) == ({}, 0)


def test_descriptions() -> None:
    labels = {"planebench.dev/index": "17", "kubevirt.io/created-by": "owner-1"}
    reducer = Reducer(spec(node_field="spec.nodeName", owner_field='metadata.labels["kubevirt.io/created-by"]'))
    first = reducer.seen(decode(reducer, pod("a", 1, metadata={"labels": labels}))).description
    assert first is not None
    assert (first.number, first.index, first.owner, first.node, first.uid) == (0, 17, "owner-1", "", "a")
    second = reducer.seen(
        decode(reducer, pod("a", 2, metadata={"labels": labels}, spec={"nodeName": "n7"}))
    ).description
    assert second is not None
    assert (second.index, second.owner, second.node) == (17, "owner-1", "n7")
    change = reducer.seen(decode(reducer, pod("a", 3, spec={})))
    assert change.description is None  # the node is the last one seen


def test_revisions_are_recorded_each_time() -> None:
    reducer = Reducer(spec(revision_field='metadata.annotations["planebench.dev/revision"]'))

    def at(version: int, value: str) -> list[str]:
        return see(reducer, pod("a", version, metadata={"annotations": {"planebench.dev/revision": value}}))

    assert at(1, "0") == ["added", "revision:0"]
    assert at(2, "0") == []
    assert at(3, "1") == ["revision:1"]
    assert at(4, "0") == ["revision:0"]
    assert reducer.reached["revision:1"] == 1
    for number in range(100):
        at(5 + number, f"x{number}")
    assert sum(name.startswith("revision:") for name in reducer.reached) == 32
    assert reducer.reached["revision:x99"] == 1


def test_a_rule_without_a_field_holds_from_the_first_sight() -> None:
    reducer = Reducer(spec(MilestoneRule("created"), MilestoneRule("added")))
    assert see(reducer, pod("a", 1)) == ["added", "created"]
    assert reducer.holding == {"added": 1, "created": 1}


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        *[("x", True), (0, True), (False, True), ([1], True), ({"a": 1}, True)],
        *[("", False), (None, False), ([], False), ({}, False)],
    ],
)
def test_presence(value: object, holds: bool) -> None:
    reducer = Reducer(spec(MilestoneRule("there", "status.x")))
    assert ("there" in see(reducer, pod("a", 1, status={"x": value}))) == holds


@pytest.mark.parametrize(
    ("value", "wanted", "holds"),
    [
        (True, "true", True),
        (5, "5", True),
        ("5", "5", True),
        (2.5, "2.5", True),
        ("a<b & ü", "a<b & ü", True),
        ("Running", "running", False),
        (["Running"], "Running", False),
        ({"Running": 1}, "Running", False),
    ],
)
def test_equality(value: object, wanted: str, holds: bool) -> None:
    reducer = Reducer(spec(MilestoneRule("equal", "status.x", equals=wanted)))
    assert ("equal" in see(reducer, pod("a", 1, status={"x": value}))) == holds


def test_maps_and_lists_may_be_null_or_missing() -> None:
    reducer = Reducer(spec(*RULES, MilestoneRule("deep", "status.a.b.c"), node_field="spec.nodeName"))
    statuses: list[dict[str, Any] | None] = [None, {}, {"conditions": None}, {"a": None}, {"conditions": [{}]}]
    for version, status in enumerate(statuses, 1):
        assert see(reducer, pod("a", version, spec=None, status=status)) == (["added"] if version == 1 else [])
    assert see(reducer, pod("a", 9, spec=None, status={"a": {"b": {"c": 1}}})) == ["deep"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["Pending", "Running", "Failed", ""]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_counts_are_those_of_a_naive_reducer(events: list[tuple[str, str, bool, bool]]) -> None:
    reducer = Reducer(spec())
    alive: dict[str, set[str]] = {}
    reached: list[tuple[int, str]] = []
    numbers: dict[str, int] = {}
    created = 0
    for version, (uid, phase, ready, deleted) in enumerate(events, 1):
        obj = pod(uid, version, status={"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]})
        change = (reducer.deleted if deleted else reducer.seen)(decode(reducer, obj))
        if uid not in alive:
            numbers[uid] = created
            reached.append((created, "added"))
            created += 1
        holding = {"running"} if phase == "Running" else {"over"} if phase == "Failed" else set()
        holding |= {"ready"} if ready else set()
        alive[uid] = holding
        reached += [(numbers[uid], name) for name in holding]
        assert change.number == numbers[uid]
        if deleted:
            reached.append((numbers[uid], "deleted"))
            del alive[uid]
        for name in ("running", "over", "ready"):
            assert reducer.holding[name] == sum(name in rules for rules in alive.values())
        assert reducer.holding["added"] == len(reducer.alive) == len(alive)
    for name, count in reducer.reached.items():
        assert count == len({number for number, milestone in reached if milestone == name})


# --- lists and numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "holds"),
    [([{"a": 1}, {"a": 2}], True), ([{"a": 1}], False), (2, True), (1.5, False), (None, False), ("abc", False)],
)
def test_at_least(value: Any, holds: bool) -> None:
    rule = MilestoneRule("enough", "endpoints", at_least=2)
    assert reached_by(rule, {"endpoints": value}) is holds


@pytest.mark.parametrize(
    ("taints", "holds"),
    [
        ([{"key": "a", "effect": "NoExecute"}], True),
        ([{"key": "b", "effect": "NoExecute"}, {"key": "a", "effect": "NoExecute", "timeAdded": "x"}], True),
        ([{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}], False),
        ([], False),
        (None, False),
        ("a", False),
        ([1, "a"], False),
    ],
)
def test_contains(taints: Any, holds: bool) -> None:
    rule = MilestoneRule("tainted", "spec.taints", contains=(("key", "a"), ("effect", "NoExecute")))
    assert reached_by(rule, {"spec": {"taints": taints}}) is holds


def reached_by(rule: MilestoneRule, content: dict[str, Any]) -> bool:
    reducer = Reducer(WatchSpec("x", Resource("", "v1", "xs", "X"), (rule,)))
    data = {"metadata": {"uid": "u", "resourceVersion": "1", "name": "x"}, **content}
    return rule.name in reducer.seen(msgspec.convert(data, reducer.object_type)).milestones
