from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planebench import scenario
from planebench.model import UsageError
from planebench.planes import load_plane
from planebench.scenario import Burst, Constant, Poisson, Ramp, Scenario

MINIMAL = """
apiVersion: planebench.dev/v1
name: minimal
nodes: [{count: 2}]
workload: {count: 5, objects: [{template: pod}]}
"""


def parse(**changes: str) -> Scenario:
    return scenario.parse(MINIMAL, overrides={key.replace("__", "."): value for key, value in changes.items()})


# --- documents -------------------------------------------------------------------------------------------------


def test_a_minimal_scenario_takes_documented_defaults() -> None:
    minimal = scenario.parse(MINIMAL)
    assert minimal.plane == "core"
    assert minimal.nodes[0].capacity == {"cpu": "32", "memory": "256Gi", "pods": "110"}
    assert minimal.lifecycle.creation.arrival == Constant.model_validate({"rate": "20/s"})
    assert minimal.timeouts.run == 1800.0
    assert minimal.slos == ()
    assert minimal.namespaces == ("planebench-0",)


@pytest.mark.parametrize("name", scenario.builtin_names())
def test_built_in_scenarios_say_what_they_are(name: str) -> None:
    built_in = scenario.load(name)
    assert built_in.name == name
    assert built_in.description
    assert built_in.slos
    assert scenario.warnings(built_in, load_plane(built_in.plane)) == []


def test_the_built_in_scenarios_have_the_sizes_that_they_are_known_for() -> None:
    sizes = {
        name: (built_in.plane, built_in.node_count, built_in.workload.count)
        for name in scenario.builtin_names()
        for built_in in [scenario.load(name)]
    }
    assert sizes == {
        "capacity-pods": ("core", 50, 400),
        "churn": ("core", 30, 660),
        "controllers": ("core", 10, 40),
        "drain": ("core", 10, 40),
        "kubevirt-density": ("kubevirt", 100, 1000),
        "kubevirt-density-raised": ("kubevirt", 100, 1000),
        "kubevirt-drain": ("kubevirt", 5, 60),
        "kubevirt-migration": ("kubevirt", 20, 100),
        "kubevirt-node-failure": ("kubevirt", 6, 60),
        "kueue-density": ("kueue", 50, 500),
        "node-failures": ("core", 30, 40),
        "node-health": ("core", 10, 10),
        "pod-density": ("core", 100, 1000),
        "pod-density-raised": ("core", 100, 1000),
        "pressure": ("core", 5, 100),
        "resilience": ("core", 30, 1750),
        "resilience-ha": ("core", 30, 1300),
        "resilience-kubevirt": ("kubevirt", 30, 460),
        "scale": ("core", 1000, 10000),
        "scheduling-binpack": ("core", 20, 200),
        "scheduling-constraints": ("core", 30, 100),
        "scheduling-preemption": ("core", 10, 100),
        "scheduling-spread": ("core", 20, 200),
        "smoke": ("core", 10, 20),
    }


@pytest.mark.parametrize("name", scenario.builtin_names())
def test_a_dumped_scenario_reads_back_the_same(name: str) -> None:
    built_in = scenario.load(name)
    assert scenario.parse(scenario.dump(built_in)) == built_in


@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
    | st.from_regex(r"\A[-+.~0-9eEoxfn:]{0,6}\Z")
)
def test_any_text_survives_a_dump(text: str) -> None:
    changed = scenario.parse(MINIMAL).model_copy(update={"description": text})
    assert scenario.parse(scenario.dump(changed)) == changed


@pytest.mark.parametrize(
    ("arrival", "expected", "duration_s"),
    [
        ("{rate: 5/s}", Constant, 1.0),
        ("{pattern: constant, rate: 5/s}", Constant, 1.0),
        ("{pattern: poisson, rate: 300/m}", Poisson, 1.0),
        ("{pattern: burst, size: 2, every: 3s}", Burst, 6.0),
        ("{pattern: ramp, start: 0/s, end: 10/s}", Ramp, 1.0),
    ],
)
def test_arrival_patterns(arrival: str, expected: type, duration_s: float) -> None:
    found = parse(lifecycle__creation__arrival=arrival).lifecycle.creation.arrival
    assert type(found) is expected
    assert found.duration_s(5) == pytest.approx(duration_s)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("1s", 1.0, "s"), ("20/s", 20.0, "/s"), ("99%", 0.99, "share"), ("2Gi", 2.0**31, "bytes"), ("3", 3.0, "")],
)
def test_the_units_of_an_slo(text: str, value: float, unit: str) -> None:
    bound = parse(slos=f"[{{sli: x, max: {text}}}]").slos[0].max
    assert bound is not None
    assert (bound.value, bound.unit) == (value, unit)
    assert str(bound) == text


def test_core_schema_yaml_has_no_surprising_booleans_numbers_or_dates() -> None:
    labels = parse(nodes__0__labels='{a: on, b: no, c: "5", d: 2024-01-01, e: "true"}').nodes[0].labels
    assert labels == {"a": "on", "b": "no", "c": "5", "d": "2024-01-01", "e": "true"}


def test_flags_are_text_whatever_yaml_takes_them_for() -> None:
    flags = parse(components="{kube-apiserver: {flags: {a: 400, b: true, c: 1.5, d: x}}}").components
    assert flags["kube-apiserver"].flags == {"a": "400", "b": "true", "c": "1.5", "d": "x"}


# --- overrides ---------------------------------------------------------------------------------------------------


def test_overrides_set_nested_fields_and_list_items() -> None:
    changed = scenario.parse(
        MINIMAL,
        overrides={
            "workload.count": "7",
            "nodes[0].count": "3",
            "nodes.0.name": "big",
            'nodes[0].labels["example.com/tier"]': "gold",
            "limits.kube-scheduler": "{qps: 100, burst: 200}",
            "timeouts.run": "10m",
            "seed": "42",
        },
    )
    assert (changed.workload.count, changed.nodes[0].count, changed.nodes[0].name) == (7, 3, "big")
    assert changed.nodes[0].labels == {"example.com/tier": "gold"}
    assert changed.limits.kube_scheduler is not None
    assert changed.limits.kube_scheduler.qps == 100
    assert (changed.timeouts.run, changed.seed) == (600.0, 42)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "workload.count",
            "many",
            "--set workload.count=many: workload.count: expected a whole number, got 'many'",
        ),
        ("workload.cuont", "5", "--set workload.cuont=5: workload.cuont: unknown key; did you mean 'count'?"),
        ("nodes.5.count", "5", "--set nodes.5.count=5: nodes is a list of 1, from [0] on"),
        ("nodes.x", "5", "--set nodes.x=5: nodes is a list of 1, from [0] on"),
        ("name.x", "5", "--set name.x=5: name is 'minimal', which has no fields"),
        ("a..b", "5", "--set a..b=5: expected a field's path, for instance workload.count or nodes[0].count"),
        ("", "5", "--set =5: expected a field's path, for instance workload.count"),
        ("seed", "[", "--set seed=[: no valid YAML: expected the node content"),
        ("seed", ".nan", "--set seed=.nan: expected a finite number, got .nan"),
    ],
)
def test_a_wrong_override_is_named(key: str, value: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        scenario.parse(MINIMAL, overrides={key: value})
    assert str(caught.value).startswith(message)


# --- nodes -------------------------------------------------------------------------------------------------------


def test_nodes_scale_in_proportion() -> None:
    pools = parse(nodes="[{name: a, count: 90}, {name: b, count: 10}]")
    assert [pool.count for pool in scenario.with_nodes(pools, 50).nodes] == [44, 6]
    assert [pool.count for pool in scenario.with_nodes(pools, 2).nodes] == [1, 1]
    assert scenario.with_nodes(scenario.load("smoke"), 3).node_count == 3


@pytest.mark.parametrize("count", [-1, 0, 1, 5001])
def test_impossible_node_counts_name_the_flag(count: int) -> None:
    pools = parse(nodes="[{name: a, count: 90}, {name: b, count: 10}]")
    with pytest.raises(UsageError, match=rf"--nodes {count}: must be from 2 \(one in each pool\) to 5000"):
        scenario.with_nodes(pools, count)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_apportionment_is_exact_and_fair(total: int, weights: list[int]) -> None:
    counts = scenario.apportion(total, weights)
    assert sum(counts) == total
    assert all(
        abs(count - total * weight / sum(weights)) < 1 for count, weight in zip(counts, weights, strict=True)
    )


# --- own manifests and planes ----------------------------------------------------------------------------------

POD: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "b"}]}}


def test_a_file_named_by_a_scenario_is_read_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(POD))
    (tmp_path / "own.yaml").write_text(MINIMAL.replace("template: pod", "template: pod, file: pod.yaml"))
    own = scenario.load(tmp_path / "own.yaml")
    assert own.workload.objects[0].manifest == POD
    assert own.workload.objects[0].file is None
    assert scenario.parse(scenario.dump(own)) == own


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "pod.yaml: No such file or directory"),
        ("", "pod.yaml: is empty"),
        ("[]", "pod.yaml: expected one Kubernetes object"),
        ("a: 1\na: 2", "pod.yaml:2: the key 'a' stands twice"),
        ("apiVersion: v1\nkind: Service", "expected Pod, as the template pod has it"),
        ("apiVersion: v1\nkind: Pod\nspec: 5", "manifest.spec: expected a mapping"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "pod.yaml").write_text(content)
    (tmp_path / "own.yaml").write_text(MINIMAL.replace("template: pod", "template: pod, file: pod.yaml"))
    with pytest.raises(UsageError) as caught:
        scenario.load(tmp_path / "own.yaml")
    assert str(caught.value).startswith(f"{tmp_path}/own.yaml:5: workload.objects[0]")
    assert message in str(caught.value)


def test_a_plane_of_ones_own_is_found_relative_to_the_scenario(tmp_path: Path) -> None:
    plane = tmp_path / "my-plane"
    plane.mkdir()
    (plane / "pod.yaml").write_text(yaml.safe_dump(POD))
    (plane / "plane.yaml").write_text(
        """
        name: mine
        description: for a test
        watches:
          pods: {resource: {version: v1, plural: pods, kind: Pod}, milestones: [{name: up}]}
        workloads:
          thing:
            description: things
            resource: {version: v1, plural: pods, kind: Pod}
            manifest: pod.yaml
            tracked: pods
            watches: [pods]
            bound: {watch: pods, milestone: up}
            up: {watch: pods, milestone: up}
        """
    )
    path = tmp_path / "own.yaml"
    path.write_text(MINIMAL.replace("template: pod", "template: thing") + "plane: ./my-plane\n")
    assert load_plane(scenario.load(path).plane).name == "mine"


# --- warnings ---------------------------------------------------------------------------------------------------


def test_unusual_scenarios_are_warned_of() -> None:
    unusual = parse(
        workload__count="300",
        lifecycle__management="{patch: {share: 0.1%, rate: 1/s}}",
        slos="[{sli: creation.response, percentile: 99.9, max: 1s}]",
    )
    assert scenario.warnings(unusual, load_plane("core")) == [
        "workload.count: 300 objects, but the nodes hold 220 pods: the rest cannot be scheduled",
        "lifecycle.management.patch: 0.1% is not a single object",
        "slos: creation.response: p99.9 of 300 objects is their maximum",
    ]


# --- JSON Schema -----------------------------------------------------------------------------------------------


def test_the_json_schema_describes_every_field_and_has_defaults_as_written() -> None:
    schema = scenario.json_schema()
    json.dumps(schema)
    for model in [schema, *schema["$defs"].values()]:
        assert model["additionalProperties"] is False
        for name, field in model["properties"].items():
            assert field.get("description"), name
            assert "\n" not in field["description"]
    assert schema["$defs"]["Timeouts"]["properties"]["run"]["default"] == "30m"
    assert schema["$defs"]["Monitoring"]["properties"]["reads"]["default"] == "20/s"


def test_what_is_to_find_no_node_needs_no_room() -> None:
    text = (
        "apiVersion: planebench.dev/v1\nname: a\nnodes: [{count: 1, capacity: {cpu: 1, memory: 1Gi, pods: 5}}]\n"
        "workload: {count: 10, objects: [{template: pod, share: 50%},"
        " {template: pod, name: none, share: 50%, expect: unschedulable}]}\n"
    )
    assert scenario.warnings(scenario.parse(text), load_plane("core")) == []


def test_a_fault_after_which_the_load_does_not_go_on_is_warned_of() -> None:
    text = (
        MINIMAL
        + "lifecycle: {creation: {arrival: {rate: 1/s}}}\nfaults: [{kind: kill, component: etcd, at: 2s}]\n"
    )
    (line,) = scenario.warnings(scenario.parse(text), load_plane("core"))
    assert line.startswith("faults[0]: the creations end 5s after the stage's start")
    longer = scenario.parse(text, overrides={"workload.count": "20"})
    assert scenario.warnings(longer, load_plane("core")) == []


def test_silent_nodes_as_a_number_or_a_share() -> None:
    text = "apiVersion: planebench.dev/v1\nname: a\nnodes: [{count: 10}]\n"
    text += "workload: {count: 1, objects: [{template: pod}]}\n"
    text += (
        "faults: [{kind: node-silence, nodes: 25%, for: 5s}, {kind: node-silence, nodes: 30, at: 1s, for: 5s}]\n"
    )
    parsed = scenario.parse(text)
    silences = [fault for fault in parsed.faults if isinstance(fault, scenario.NodeSilence)]
    assert [fault.count(10) for fault in silences] == [3, 10], "rounded up, and never more than there are"
    assert scenario.parse(scenario.dump(parsed)) == parsed
