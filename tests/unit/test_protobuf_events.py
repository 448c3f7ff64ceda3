"""Watch events in protobuf tell what their JSON does: real ones, recorded in both forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.kube.frames import FrameSplitter
from planebench.model import MilestoneRule, Resource, WatchSpec
from planebench.observe import protobuf
from planebench.observe.events import ERROR, EventError, Failure, JsonEvents
from planebench.observe.milestones import ObjectType, Reducer

WATCHES = Path(__file__).parent.parent / "data" / "watch"
POD = Resource("", "v1", "pods", "Pod")
NODE = Resource("", "v1", "nodes", "Node", namespaced=False)

PODS = WatchSpec(
    "pods",
    POD,
    (
        MilestoneRule("scheduled", "spec.nodeName"),
        MilestoneRule("running", "status.phase", equals="Running"),
        MilestoneRule("ready", "status.conditions[Ready].status", equals="True"),
        MilestoneRule("condition", "status.conditions[PodScheduled]"),
        MilestoneRule("unschedulable", "status.conditions[PodScheduled].reason", equals="Unschedulable"),
        MilestoneRule("leaving", "metadata.deletionTimestamp"),
        MilestoneRule("conditions", "status.conditions[Ready].status", one_of=("True", "False")),
        MilestoneRule("never", 'metadata.labels["no.such/label"]'),
    ),
    node_field="spec.nodeName",
    owner_field='metadata.labels["seen"]',
    revision_field='metadata.annotations["planebench.dev/revision"]',
)
NODES = WatchSpec(
    "nodes",
    NODE,
    (
        MilestoneRule("ready", "status.conditions[Ready].status", equals="True"),
        MilestoneRule("a", "spec.taints", contains=(("key", "a"), ("effect", "NoSchedule"))),
        MilestoneRule("other", "spec.taints", contains=(("key", "a"), ("effect", "NoExecute"))),
        MilestoneRule("two", "spec.taints", at_least=2),
        MilestoneRule("tainted", "spec.taints"),
    ),
    revision_field="status.conditions[Ready].status",
)


def frames(name: str) -> list[bytes]:
    return list(FrameSplitter().feed((WATCHES / f"{name}.pb").read_bytes()))


def story(reducer: Reducer, form: Any, raws: list[bytes]) -> list[object]:
    """All that the events change."""
    told: list[object] = []
    for raw in raws:
        event = form.decode(raw)
        take = {"DELETED": reducer.deleted, "BOOKMARK": reducer.bookmark}.get(event.type, reducer.seen)
        change = take(event.object)
        told.append((event.type, change.number, change.version, [*change.milestones], change.description))
    return [*told, reducer.reached, reducer.holding]


@pytest.mark.parametrize("spec", [PODS, NODES], ids=["pods", "nodes"])
def test_both_forms_tell_the_same(spec: WatchSpec) -> None:
    reducer = Reducer(spec)
    by_protobuf = protobuf.events(spec.resource, reducer.types)
    assert by_protobuf is not None
    told = story(reducer, by_protobuf, frames(spec.name))
    reducer = Reducer(spec)
    lines = (WATCHES / f"{spec.name}.jsonl").read_bytes().splitlines()
    assert told == story(reducer, JsonEvents(reducer.types), lines)
    reached = reducer.reached
    expected = {"pods": ("scheduled", "ready", "unschedulable", "leaving", "revision:2"), "nodes": ("a", "two")}
    assert all(reached[milestone] for milestone in expected[spec.name]), reached
    assert not any(reached.get(milestone) for milestone in ("never", "other"))


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance"), "status.phase"),
        (Resource("apps", "v1", "deployments", "Deployment"), "status.observedGeneration"),
        (POD, "status.startTime"),
        (POD, "metadata.labels"),
        (POD, "metadata.name.deeper"),
        (POD, "metadata.labels.a.b"),
        (POD, "metadata.deletionTimestamp.seconds"),
        (POD, "status.phase[Ready].status"),
        (POD, "status.conditions[Ready].lastProbeTime"),
        (POD, "metadata"),
        (NODE, "spec.taints[a].effect"),
        (NODE, "status.conditions.Ready"),
    ],
)
def test_what_is_not_known_comes_as_json(resource: Resource, path: str) -> None:
    assert protobuf.events(resource, ObjectType([path])) is None


def status_event(code: int, message: str, reason: str) -> bytes:
    """An ERROR event as the API server writes it."""
    status = protobuf._STATUS(code=code, message=message, reason=reason)
    unknown = protobuf._UNKNOWN(raw=status.SerializeToString())
    event = protobuf._EVENT(type=ERROR)
    event.object.raw = b"k8s\x00" + unknown.SerializeToString()
    return bytes(event.SerializeToString())


def test_an_error_event() -> None:
    form = protobuf.events(POD, ObjectType(["metadata.uid"]))
    assert form is not None
    raw = status_event(410, "too old resource version: 1 (300)", "Expired")
    assert form.decode(raw).type == ERROR
    assert form.failure(raw) == Failure(410, "too old resource version: 1 (300)", "Expired")


def test_a_refusal() -> None:
    """Of the resourceVersion abc."""
    failure = protobuf.status((WATCHES / "refused.pb").read_bytes())
    assert failure is not None
    assert failure.code == 500
    assert failure.message.startswith('resourceVersion: Invalid value: "abc"')
    assert protobuf.status(b'{"code": 500}') is None


@given(st.binary(max_size=200), st.booleans())
def test_bytes_that_are_no_event(raw: bytes, wrapped: bool) -> None:
    form = protobuf.events(POD, ObjectType(["metadata.uid", "status.phase"]))
    assert form is not None
    event = protobuf._EVENT(type="ADDED")
    event.object.raw = b"k8s\x00" + raw
    try:
        form.decode(event.SerializeToString() if wrapped else raw)
    except EventError as error:
        assert str(error)
    protobuf.status(raw)
