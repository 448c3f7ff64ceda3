from __future__ import annotations

import json
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench import nodes, scenario
from planebench.model import LoadPhase, Operation, Stage
from planebench.plan import CANARY, LIST_FORMS, Naming, Operations, Planner, arrivals, stream
from planebench.plan.arrivals import permutation, uniform
from planebench.planes import load_plane
from planebench.scenario import Arrival, Scenario

CORE = load_plane("core")
KUBEVIRT = load_plane("kubevirt")

BASE = """
apiVersion: planebench.dev/v1
name: base
nodes: [{name: small, count: 2, zones: 2}, {name: large, count: 1}]
workload: {count: 10, objects: [{template: pod}]}
"""


def parse(**changes: str) -> Scenario:
    return scenario.parse(BASE, overrides={key.replace("__", "."): value for key, value in changes.items()})


def planner(**changes: str) -> Planner:
    return Planner(parse(**changes), CORE, run_id="run-1")


def arrival(text: str) -> Arrival:
    return parse(lifecycle__creation__arrival=text).lifecycle.creation.arrival


def rendered(phase: LoadPhase, operation: Operation) -> tuple[str, str, Any]:
    """Method, path and body as the load engine makes them."""
    template = phase.templates[operation.template]
    tokens = {"__NAMESPACE__": operation.namespace, "__NAME__": operation.name, "__INDEX__": str(operation.index)}
    path, body = template.path, template.body.decode()
    for token, value in tokens.items():
        path, body = path.replace(token, value), body.replace(token, value)
    return template.method, path, json.loads(body) if body else None


# --- arrivals ----------------------------------------------------------------------------------------------------


def test_constant_arrivals() -> None:
    assert arrivals(arrival("{rate: 4/s}"), 3, stream(1, "x")).tolist() == [0, 250_000_000, 500_000_000]


def test_burst_arrivals() -> None:
    due_ns = arrivals(arrival("{pattern: burst, size: 2, every: 1.5s}"), 5, stream(1, "x"))
    assert due_ns.tolist() == [0, 0, 1_500_000_000, 1_500_000_000, 3_000_000_000]


@pytest.mark.parametrize(
    ("ramp", "after_a_quarter_of_the_time"),
    [
        ("{pattern: ramp, start: 0/s, end: 10/s}", 1 / 16),
        ("{pattern: ramp, start: 10/s, end: 0/s}", 7 / 16),
        ("{pattern: ramp, start: 5/s, end: 5/s}", 1 / 4),
    ],
)
def test_ramp_arrivals_follow_the_integral_of_the_rate(ramp: str, after_a_quarter_of_the_time: float) -> None:
    count = 16_000
    settings = arrival(ramp)
    due_s = arrivals(settings, count, stream(1, "x")) / 1e9
    arrived = np.searchsorted(due_s, settings.duration_s(count) / 4)
    assert arrived / count == pytest.approx(after_a_quarter_of_the_time, abs=1e-3)


def test_poisson_arrivals_have_exponential_distances() -> None:
    count, rate = 20_000, 50.0
    due_s = arrivals(arrival("{pattern: poisson, rate: 50/s}"), count, stream(1, "x")) / 1e9
    distances = np.diff(due_s)
    assert distances.mean() == pytest.approx(1 / rate, rel=0.03)
    assert distances.std() == pytest.approx(1 / rate, rel=0.03)  # exponential: deviation = mean
    assert np.mean(distances > 1 / rate) == pytest.approx(np.exp(-1), rel=0.03)


def test_schedules_are_the_same_on_every_machine() -> None:
    poisson = arrivals(arrival("{pattern: poisson, rate: 1000/s}"), 5, stream(7, "creation"))
    assert poisson.tolist() == [2157426, 2266049, 2376366, 6639492, 7380385]
    assert permutation(stream(7, "kinds"), 8).tolist() == [6, 4, 1, 2, 5, 0, 7, 3]


RATES = st.floats(0.1, 1000).map(lambda rate: f"{rate:.6f}/s")
ARRIVALS = st.one_of(
    RATES.map(lambda rate: f"{{rate: {rate}}}"),
    RATES.map(lambda rate: f"{{pattern: poisson, rate: {rate}}}"),
    st.tuples(RATES, RATES).map(lambda rates: f"{{pattern: ramp, start: {rates[0]}, end: {rates[1]}}}"),
    st.tuples(st.integers(1, 50), st.integers(1, 5000)).map(
        lambda burst: f"{{pattern: burst, size: {burst[0]}, every: {burst[1]}ms}}"
    ),
)


@given(text=ARRIVALS, count=st.integers(0, 300), seed=st.integers(0, 2**63 - 1))
def test_any_schedule_is_ordered_complete_repeatable_and_keeps_its_rate(text: str, count: int, seed: int) -> None:
    settings = arrival(text + " # as given")
    due_ns = arrivals(settings, count, stream(seed, "x"))
    assert len(due_ns) == count
    assert due_ns.dtype == np.int64
    assert np.all(np.diff(due_ns) >= 0)
    assert np.array_equal(due_ns, arrivals(settings, count, stream(seed, "x")))
    if count:
        assert due_ns[0] >= 0
        if "poisson" not in text:
            assert due_ns[-1] <= settings.duration_s(count) * 1e9 + 1


@given(seed=st.integers(0, 2**63 - 1), count=st.integers(0, 200))
def test_random_numbers_and_permutations(seed: int, count: int) -> None:
    numbers = uniform(stream(seed, "a"), count)
    assert np.all((numbers >= 0) & (numbers < 1))
    assert sorted(permutation(stream(seed, "b"), count).tolist()) == list(range(count))


# --- operations ------------------------------------------------------------------------------------------------


def test_operations_are_a_sequence_in_columns() -> None:
    operations = Operations.ordered(
        np.array([30, 10, 20, 10]),
        np.array([0, 1, 0, 0], np.int32),
        np.array([3, -1, 2, 1], np.int32),
        [Naming("pod-{:06d}", ("a", "b")), Naming("full")],
    )
    expected = [
        Operation(10, 1, -1, "full", ""),
        Operation(10, 0, 1, "pod-000001", "b"),
        Operation(20, 0, 2, "pod-000002", "a"),
        Operation(30, 0, 3, "pod-000003", "b"),
    ]
    assert list(operations) == expected
    assert [operations[position] for position in range(len(operations))] == expected
    assert operations[-1] == expected[-1]
    assert list(operations[1:3]) == expected[1:3]
    assert expected[2] in operations
    assert list(pickle.loads(pickle.dumps(operations))) == expected  # noqa: S301 (our own)
    with pytest.raises(ValueError, match="backward"):
        operations[::-1]
    with pytest.raises(IndexError):
        operations[4]


# --- preparation -----------------------------------------------------------------------------------------------


def test_preparation_creates_namespaces_nodes_and_the_canary() -> None:
    plan = planner(workload__namespaces="2")
    assert [operation.name for operation in plan.namespaces().operations] == [
        "planebench-0",
        "planebench-1",
        "planebench-canary",
    ]
    settings = parse()
    phase = plan.nodes(list(nodes.manifests(settings.nodes, CORE)))
    assert phase.stage is None
    bodies = [rendered(phase, operation)[2] for operation in phase.operations]
    assert [body["metadata"]["name"] for body in bodies] == ["small-000000", "small-000001", "large-000000"]
    assert all(body["metadata"]["labels"]["planebench.dev/run"] == "run-1" for body in bodies)
    [operation] = plan.canaries().operations
    method, path, body = rendered(plan.canaries(), operation)
    assert (method, path) == ("POST", "/api/v1/namespaces/planebench-canary/configmaps")
    assert body["metadata"]["name"] == operation.name


def test_without_canary_writes_there_is_no_canary() -> None:
    plan = planner(lifecycle__monitoring__canary="0/s")
    assert len(plan.canaries().operations) == 0
    assert [operation.name for operation in plan.namespaces().operations] == ["planebench-0"]
    assert [spec.name for spec in plan.watches()] == ["nodes", "pods"]


def test_small_reads_and_writes_go_on_beside_the_creations() -> None:
    changes = {"lifecycle__creation": "{arrival: {rate: 5/s}, reads: 20/s, writes: 10/s}"}
    plan = planner(**changes, workload__count="100", lifecycle__monitoring__duration="1s")
    assert len(plan.canaries().operations) == 1 + 32
    phase = plan.creation()
    due_ns = [operation.due_ns for operation in phase.operations]
    assert due_ns == sorted(due_ns)
    by_verb: dict[str, list[Operation]] = {}
    for operation in phase.operations:
        by_verb.setdefault(phase.templates[operation.template].verb, []).append(operation)
    assert {verb: len(found) for verb, found in by_verb.items()} == {"create": 100, "get": 400, "patch": 200}
    assert [operation.index for operation in by_verb["patch"]] == list(range(200))
    assert {operation.name for operation in by_verb["get"]} == {f"planebench-canary-{n:02d}" for n in range(32)}
    method, path, body = rendered(phase, by_verb["patch"][33])
    assert (method, path) == ("PATCH", "/api/v1/namespaces/planebench-canary/configmaps/planebench-canary-01")
    assert body == {"metadata": {"labels": {"planebench.dev/revision": "33"}}}
    at_rest = [item for item in plan.monitoring().operations if item.name == "planebench-canary"]
    assert [item.index for item in at_rest] == list(range(200, 210)), "no revision comes twice"


def test_watches_are_those_of_all_templates_once_and_the_canary() -> None:
    plan = Planner(scenario.load("kubevirt-density"), KUBEVIRT, run_id="r")
    names = [spec.name for spec in plan.watches()]
    assert sorted(names) == ["canary", "nodes", "pods", "vmis", "vms"]
    [canary] = [spec for spec in plan.watches() if spec.name == CANARY]
    assert canary.revision_field == 'metadata.labels["planebench.dev/revision"]'


# --- creation ----------------------------------------------------------------------------------------------------


def test_creation_makes_every_object_once_with_planebench_labels() -> None:
    phase = planner(workload__namespaces="3").creation()
    assert phase.stage is Stage.CREATION
    requests = [rendered(phase, operation) for operation in phase.operations]
    for index, (method, path, body) in enumerate(requests):
        assert (method, path) == ("POST", f"/api/v1/namespaces/planebench-{index % 3}/pods")
        assert body["metadata"]["name"] == f"pod-{index:06d}"
        assert body["metadata"]["namespace"] == f"planebench-{index % 3}"
        labels = body["metadata"]["labels"]
        assert labels["planebench.dev/run"] == "run-1"
        assert labels["planebench.dev/index"] == str(index)


def test_kinds_are_apportioned_exactly_and_mixed() -> None:
    settings = scenario.load("kubevirt-density")
    plan = Planner(settings, KUBEVIRT, run_id="r")
    assert [(kind.template, len(kind.indices)) for kind in plan.kinds] == [("vmi", 900), ("vm", 100)]
    names = [operation.name for operation in plan.creation().operations]
    assert len(set(names)) == 1000
    assert 30 <= sum(name.startswith("vm-") for name in names[:500]) <= 70


def test_objects_of_objects_carry_the_labels_too() -> None:
    phase = Planner(scenario.load("kubevirt-density"), KUBEVIRT, run_id="r").creation()
    vm = next(operation for operation in phase.operations if operation.name.startswith("vm-"))
    labels = rendered(phase, vm)[2]["spec"]["template"]["metadata"]["labels"]
    assert labels["planebench.dev/run"] == "r"
    assert labels["planebench.dev/index"] == str(vm.index)


def test_an_own_manifest_replaces_the_templates() -> None:
    own = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "exported",
            "namespace": "elsewhere",
            "uid": "1-2-3",
            "resourceVersion": "7",
            "generateName": "x-",
            "labels": {"app": "mine"},
            "annotations": {"number": "__INDEX__"},
        },
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    }
    objects = [{"template": "pod", "name": "mine", "manifest": own}]
    phase = planner(workload__objects=json.dumps(objects)).creation()
    _, path, body = rendered(phase, phase.operations[4])
    assert path == "/api/v1/namespaces/planebench-0/pods"
    assert body == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "mine-000004",
            "namespace": "planebench-0",
            "labels": {"app": "mine", "planebench.dev/run": "run-1", "planebench.dev/index": "4"},
            "annotations": {"number": "4"},
        },
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }


# --- management ------------------------------------------------------------------------------------------------

VM = BASE.replace("template: pod", "template: vm") + "plane: kubevirt\n"


def test_changes_take_disjoint_samples_and_a_start_takes_what_was_stopped() -> None:
    shares = {"patch": "30%", "stop": "50%", "start": "40%"}
    settings = scenario.parse(
        VM,
        overrides={
            f"lifecycle.management.{name}": f"{{share: {share}, rate: 5/s}}" for name, share in shares.items()
        },
    )
    phases = Planner(settings, KUBEVIRT, run_id="r").management()
    changed = {phase.name: {operation.index for operation in phase.operations} for phase in phases}
    assert list(changed) == ["patch", "stop", "start"]
    assert [len(indices) for indices in changed.values()] == [3, 5, 2]
    assert not changed["patch"] & changed["stop"]
    assert changed["start"] < changed["stop"]


def test_a_change_asks_for_what_the_plane_says() -> None:
    [phase] = planner(lifecycle__management="{patch: {share: 20%, rate: 10/s}}").management()
    assert phase.stage is Stage.MANAGEMENT
    assert [operation.due_ns for operation in phase.operations] == [0, 100_000_000]
    operation = phase.operations[0]
    method, path, body = rendered(phase, operation)
    assert (method, path) == ("PATCH", f"/api/v1/namespaces/planebench-0/pods/{operation.name}")
    assert body == {"metadata": {"annotations": {"planebench.dev/revision": "patch"}}}


def test_a_change_leaves_alone_what_does_not_offer_it() -> None:
    settings = scenario.load("kubevirt-density")
    phases = {phase.name: phase for phase in Planner(settings, KUBEVIRT, run_id="r").management()}
    assert len(phases["patch"].operations) == 100
    assert len(phases["restart"].operations) == 50
    assert all(operation.name.startswith("vm-") for operation in phases["restart"].operations)


# --- monitoring and cleanup ------------------------------------------------------------------------------------


def test_monitoring_lists_in_every_form_reads_and_writes_canaries() -> None:
    phase = planner(
        lifecycle__monitoring="{duration: 2s, lists: 3, reads: 10/s, canary: 5/s}", workload__namespaces="2"
    ).monitoring()
    assert phase.stage is Stage.MONITORING
    by_verb: dict[str, list[Operation]] = {}
    for operation in phase.operations:
        by_verb.setdefault(phase.templates[operation.template].verb, []).append(operation)
    assert {verb: len(operations) for verb, operations in by_verb.items()} == {"list": 18, "get": 20, "patch": 10}
    assert [operation.name for operation in by_verb["list"]] == ["full", "page", "metadata"] * 6
    listed = {phase.templates[operation.template].path for operation in by_verb["list"]}
    assert listed == {f"/api/v1/{plural}{query}" for plural in ("nodes", "pods") for query in ("", "?limit=500")}
    accepts = {operation.name: phase.templates[operation.template].accept for operation in by_verb["list"]}
    assert accepts == {form: LIST_FORMS[form][1] for form in ("full", "page", "metadata")}
    for operation in by_verb["get"]:
        path = f"/api/v1/namespaces/planebench-{operation.index % 2}/pods/pod-{operation.index:06d}"
        assert rendered(phase, operation)[1] == path
    for number, operation in enumerate(by_verb["patch"]):
        method, path, body = rendered(phase, operation)
        assert (method, path) == (
            "PATCH",
            "/api/v1/namespaces/planebench-canary/configmaps/planebench-canary",
        )
        assert body == {"metadata": {"labels": {"planebench.dev/revision": str(number)}}}
    due_ns = [operation.due_ns for operation in phase.operations]
    assert due_ns == sorted(due_ns)
    assert max(due_ns) < 2_000_000_000


def test_a_storm_is_due_at_once_and_comes_as_lists_then_as_streams() -> None:
    plan = planner(lifecycle__monitoring="{duration: 2s, storm: 7, forms: [page, stream]}")
    lists, streams = plan.storms()
    assert [phase.name for phase in (lists, streams)] == ["storm-full", "storm-stream"]
    for phase, form in ((lists, "full"), (streams, "stream")):
        assert phase.stage is Stage.MONITORING
        assert [(operation.due_ns, operation.name) for operation in phase.operations] == [(0, form)] * 7
        [template] = phase.templates
        assert template.path == f"/api/v1/pods{LIST_FORMS[form][0]}"
    assert lists.templates[0].until == ""
    assert streams.templates[0].until == "k8s.io/initial-events-end"


@pytest.mark.parametrize("monitoring", ["{storm: 0}", "{storm: 7, duration: 0s}"])
def test_a_storm_may_be_left_out(monitoring: str) -> None:
    assert planner(lifecycle__monitoring=monitoring).storms() == ()


@pytest.mark.parametrize("duration", ["0s", "10ms"])
def test_monitoring_may_be_left_out(duration: str) -> None:
    settings = f"{{duration: {duration}, lists: 0, reads: 20/s, canary: 10/s}}"
    assert len(planner(lifecycle__monitoring=settings).monitoring().operations) == 0


def test_cleanup_deletes_every_object_once() -> None:
    phase = planner(lifecycle__cleanup="{rate: 20/s}").cleanup()
    assert phase.stage is Stage.CLEANUP
    requests = [rendered(phase, operation)[:2] for operation in phase.operations]
    assert requests == [("DELETE", f"/api/v1/namespaces/planebench-0/pods/pod-{index:06d}") for index in range(10)]
    assert phase.operations[-1].due_ns == 450_000_000


# --- any scenario ----------------------------------------------------------------------------------------------


def stages(plan: Planner) -> list[LoadPhase]:
    return [plan.creation(), *plan.management(), plan.monitoring(), plan.cleanup()]


SHARES = st.lists(st.integers(1, 100), min_size=1, max_size=4)


@given(
    count=st.integers(1, 200),
    weights=SHARES,
    patched=st.integers(1, 50),
    stopped=st.integers(1, 50),
    started=st.integers(1, 100),
    seed=st.integers(0, 2**63 - 1),
    data=st.data(),
)
def test_any_plan_is_complete_ordered_disjoint_and_repeatable(
    count: int, weights: list[int], patched: int, stopped: int, started: int, seed: int, data: st.DataObject
) -> None:
    objects = [
        {"template": "vm" if number % 2 else "vmi", "name": f"k{number}", "share": weight / sum(weights)}
        for number, weight in enumerate(weights)
    ]
    management = {"patch": {"share": patched / 100, "rate": "10/s"}}
    if len(weights) > 1:
        management |= {
            "stop": {"share": stopped / 100, "rate": "10/s"},
            "start": {"share": started / 100, "rate": "10/s"},
        }
    namespaces = data.draw(st.integers(1, count))
    settings = scenario.parse(
        VM,
        overrides={
            "workload": json.dumps({"count": count, "namespaces": namespaces, "objects": objects}),
            "lifecycle.management": json.dumps(management),
            "seed": str(seed),
        },
    )
    plan, again = (Planner(settings, KUBEVIRT, run_id="r") for _ in range(2))
    phases = [plan.creation(), *plan.management(), plan.monitoring(), plan.cleanup()]
    for phase, same in zip(
        phases, [again.creation(), *again.management(), again.monitoring(), again.cleanup()], strict=True
    ):
        operations = list(phase.operations)
        assert operations == list(same.operations)
        assert all(before.due_ns <= after.due_ns for before, after in pairwise(operations))
        assert all(0 <= operation.template < len(phase.templates) for operation in operations)
    created = {operation.name for operation in phases[0].operations}
    assert len(created) == len(phases[0].operations) == count
    assert {operation.name for operation in phases[-1].operations} == created
    changed = {phase.name: [operation.name for operation in phase.operations] for phase in plan.management()}
    for names in changed.values():
        assert len(set(names)) == len(names)
        assert set(names) <= created
    assert not set(changed["patch"]) & set(changed.get("stop", ()))
    assert set(changed.get("start", ())) <= set(changed.get("stop", ()))
    another = Planner(settings, KUBEVIRT, run_id="r", seed=seed ^ 1)
    assert len(another.creation().operations) == count


def test_fifty_thousand_operations_are_columns_not_objects() -> None:
    plan = planner(workload__count="50000", timeouts__run="24h")
    operations = plan.creation().operations
    assert isinstance(operations, Operations)
    assert operations.due_ns.nbytes + operations.templates.nbytes + operations.indices.nbytes == 50_000 * 16
    assert operations[49_999].name == "pod-049999"


# --- kinds that differ, companions, further objects, faults ------------------------------------------------------

WEB = """
apiVersion: planebench.dev/v1
name: web
nodes: [{name: a, count: 4}, {name: b, count: 2, taints: [{key: x, effect: NoSchedule}]}]
settings: {replicas: 2}
workload:
  count: 6
  order: listed
  objects:
    - {template: web, share: 50%, patch: {spec: {template: {spec: {priorityClassName: high}}}}}
    - {template: daemonset, share: 50%}
setup:
  - {apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high, labels: {a: b}}, value: 9}
faults:
  - {kind: node-silence, nodes: 50%, for: 5s}
  - {kind: node-silence, nodes: 9, for: 5s}
"""


def web_planner() -> Planner:
    parsed = scenario.parse(WEB)
    return Planner(parsed, load_plane("core", parsed.settings), run_id="run-1")


def test_companions_come_and_go_with_their_object() -> None:
    plan = web_planner()
    for phase, verb in ((plan.creation(), "POST"), (plan.cleanup(), "DELETE")):
        assert [operation.index for operation in phase.operations] == [0, 0, 1, 1, 2, 2, 3, 4, 5]
        first, second = (rendered(phase, operation) for operation in phase.operations[:2])
        assert first[:2] == (verb, "/apis/apps/v1/namespaces/planebench-0/deployments" + _name(verb))
        assert second[:2] == (verb, "/api/v1/namespaces/planebench-0/services" + _name(verb))
        assert phase.operations[0].due_ns == phase.operations[1].due_ns
    service = rendered(plan.creation(), plan.creation().operations[1])[2]
    assert service["metadata"]["labels"]["planebench.dev/run"] == "run-1"
    assert service["spec"]["selector"] == {"planebench.dev/index": "0"}


def _name(verb: str) -> str:
    return "/web-000000" if verb == "DELETE" else ""


def test_a_patch_changes_the_template_s_object() -> None:
    plan = web_planner()
    deployment = rendered(plan.creation(), plan.creation().operations[0])[2]
    assert deployment["spec"]["template"]["spec"]["priorityClassName"] == "high"
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["template"]["metadata"]["labels"]["planebench.dev/index"] == "0"


def test_children_are_counted() -> None:
    web, daemonset = web_planner().kinds
    assert web.children == {"pods": 2}
    assert daemonset.children == {"pods": 4}, "one on each node that takes them"
    rollout = web.workload.changes["rollout"].converged
    assert web.successors(rollout) == 2
    assert daemonset.successors(daemonset.workload.changes["rollout"].converged) == 4


def test_listed_kinds_come_one_after_the_other() -> None:
    web, daemonset = web_planner().kinds
    assert (web.indices.tolist(), daemonset.indices.tolist()) == ([0, 1, 2], [3, 4, 5])


def test_further_objects_carry_the_run_s_label() -> None:
    (item,) = web_planner().setup()
    assert item["metadata"] == {
        "namespace": "planebench-0",
        "name": "high",
        "labels": {"a": "b", "planebench.dev/run": "run-1"},
    }


def test_silent_nodes_are_drawn_by_the_seed() -> None:
    plan = web_planner()
    half = plan.silenced(0)
    assert len(half) == 3
    assert half == web_planner().silenced(0)
    assert plan.silenced(1) == tuple(sorted([*(f"a-{n:06d}" for n in range(4)), "b-000000", "b-000001"]))


def test_leases_are_watched_where_nodes_fall_silent() -> None:
    assert "leases" in [watch.name for watch in web_planner().watches()]
    assert "leases" not in [watch.name for watch in planner().watches()]
    lists = web_planner().monitoring().templates
    assert not [template for template in lists if "leases" in template.path]
