"""Scenarios for clusters of others: every pod goes to the run's nodes, and no other pod does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planebench import nodes
from planebench.constraints import pod_of, takes
from planebench.model import Manifest
from planebench.plan import RUN_LABEL, Planner, pinned, source_of
from planebench.planes import builtin_names, load_plane
from planebench.scenario import Scenario, dump

RUN = "smoke-1a2b3c4d"
OWNER = {"apiVersion": "v1", "kind": "Namespace", "name": "planebench-x", "uid": "u"}


def scenario(plane: str, template: str, **objects: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "apiVersion": "planebench.dev/v1",
            "name": "s",
            "plane": plane,
            "nodes": [{"name": "a", "count": 2}, {"name": "b", "count": 1, "taints": [{"key": "x"}]}],
            "workload": {"count": 2, "objects": [{"template": template, **objects}]},
        }
    )


def real_node() -> Manifest:
    return {"metadata": {"name": "real", "labels": {"kubernetes.io/os": "linux"}}, "spec": {}}


WITH_PODS = [
    (plane, template)
    for plane in builtin_names()
    for template, workload in load_plane(plane).workloads.items()
    if any(load_plane(plane).watches[watch].resource.kind == "Pod" for watch in workload.watches)
]


@pytest.mark.parametrize(("plane", "template"), WITH_PODS)
def test_every_workload_goes_to_the_runs_nodes(plane: str, template: str) -> None:
    loaded = load_plane(plane)
    found = pinned(scenario(plane, template), loaded, RUN)
    _, pod = pod_of(source_of(found.workload.objects[0], loaded))
    first, _, tainted = nodes.manifests(found.nodes, loaded)
    assert takes(first, pod)
    assert not takes(tainted, pod), "the pool's own taint still counts"
    assert not takes(real_node(), pod)
    (other, *_) = nodes.manifests(pinned(scenario(plane, template), loaded, "other-00000000").nodes, loaded)
    assert not takes(other, pod), "nor to another run's"


def test_what_has_no_pods_is_left_alone() -> None:
    core = load_plane("core")
    [kind] = pinned(scenario("core", "namespace"), core, RUN).workload.objects
    assert kind.patch is None


def test_others_pods_stay_off_the_runs_nodes() -> None:
    core = load_plane("core")
    (node, *_) = nodes.manifests(pinned(scenario("core", "pod"), core, RUN).nodes, core)
    assert not takes(node, {})
    assert takes(node, {"tolerations": [{"operator": "Exists"}]}), "as DaemonSets do: told before a run"
    assert node["metadata"]["name"] == "a-1a2b3c4d-000000"
    labels = node["metadata"]["labels"]
    assert (labels[nodes.POOL_LABEL], labels[nodes.SIMULATOR_LABEL], labels[RUN_LABEL]) == ("a", RUN, RUN)


EXPRESSIONS = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["zone", "disk"]),
            "operator": st.just("In"),
            "values": st.lists(st.sampled_from("abc"), min_size=1, max_size=2),
        }
    ),
    max_size=2,
)


@given(st.lists(EXPRESSIONS, max_size=3), st.booleans())
def test_whatever_a_pod_demands_it_demands_the_runs_nodes_too(terms: list[Any], in_template: bool) -> None:
    core = load_plane("core")
    demands = [{"matchExpressions": term} for term in terms if term]
    affinity: dict[str, Any] = {"podAntiAffinity": {"keep": "this"}}
    if demands:
        required = {"nodeSelectorTerms": demands}
        affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": required}
    spec = {"affinity": affinity, "tolerations": [{"key": "mine", "operator": "Exists"}]}
    patch = {"spec": {"template": {"spec": spec}} if in_template else spec}
    wanted = scenario("core", "deployment" if in_template else "pod", patch=patch)
    found = pinned(wanted, core, RUN)
    _, pod = pod_of(source_of(found.workload.objects[0], core))
    assert pod["affinity"]["podAntiAffinity"] == {"keep": "this"}
    assert pod["tolerations"][0] == {"key": "mine", "operator": "Exists"}
    (node, *_) = nodes.manifests(found.nodes, core)
    for values in ({}, {"zone": "a", "disk": "b"}, {"zone": "c"}):
        mine = {**node, "metadata": {**node["metadata"], "labels": {**node["metadata"]["labels"], **values}}}
        without = {key: value for key, value in mine["metadata"]["labels"].items() if key != RUN_LABEL}
        before = {"affinity": affinity, "tolerations": pod["tolerations"]}
        assert takes(mine, pod) == takes(mine, before)
        assert not takes({**mine, "metadata": {**mine["metadata"], "labels": without}}, pod)


def test_a_pinned_scenario_can_be_written_and_read() -> None:
    found = pinned(scenario("core", "deployment"), load_plane("core"), RUN)
    assert Scenario.model_validate(yaml.safe_load(dump(found))) == found


def test_all_that_is_in_no_namespace_has_the_owner() -> None:
    core = load_plane("core")
    setup = [{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}}]
    wanted = scenario("core", "namespace").model_copy(update={"setup": tuple(setup)})
    planner = Planner(pinned(wanted, core, RUN), core, run_id=RUN, owner=OWNER)
    manifests = list(nodes.manifests(planner._scenario.nodes, core))
    phases = [planner.namespaces(), planner.nodes(manifests), planner.creation()]
    bodies = [json.loads(template.body) for phase in phases for template in phase.templates]
    for body in [*bodies, *planner.setup()]:
        assert body["metadata"]["ownerReferences"] == [OWNER], body["kind"]
        assert body["metadata"]["labels"][RUN_LABEL] == RUN


def test_without_an_owner_there_is_none() -> None:
    core = load_plane("core")
    planner = Planner(scenario("core", "pod"), core, run_id=RUN)
    [template] = set(planner.namespaces().templates)
    assert "ownerReferences" not in json.loads(template.body)["metadata"]
