"""Where a pod may be placed, and which constraints a placement breaks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.constraints import Group, requests_of, selects, takes, violated_by, violations
from planebench.model import Manifest


def node(name: str, taints: list[dict[str, str]] | None = None, cpu: str = "4", **labels: str) -> Manifest:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {"taints": taints} if taints else {},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "10"}},
    }


TAINT = {"key": "a", "value": "b", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "taken"),
    [
        ({}, False),
        ({"key": "a", "value": "b"}, True),
        ({"key": "a", "value": "b", "operator": "Equal", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "c"}, False),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "a", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "c", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], taken: bool) -> None:
    assert takes(node("n", [TAINT]), {"tolerations": [toleration]}) is taken


def test_a_preference_keeps_nobody_out() -> None:
    assert takes(node("n", [{**TAINT, "effect": "PreferNoSchedule"}]), {})


def affinity(operator: str, *values: str) -> dict[str, Any]:
    expression = {"key": "size", "operator": operator} | ({"values": list(values)} if values else {})
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


@pytest.mark.parametrize(
    ("operator", "values", "taken"),
    [
        ("In", ("8", "9"), True),
        ("In", ("9",), False),
        ("NotIn", ("9",), True),
        ("NotIn", ("8",), False),
        ("Exists", (), True),
        ("DoesNotExist", (), False),
        ("Gt", ("7",), True),
        ("Gt", ("8",), False),
        ("Lt", ("9",), True),
        ("Lt", ("x",), False),
        ("Near", ("8",), False),
    ],
)
def test_node_affinity(operator: str, values: tuple[str, ...], taken: bool) -> None:
    assert takes(node("n", size="8"), affinity(operator, *values)) is taken


def test_a_selector_and_what_is_to_blame() -> None:
    assert violated_by(node("n", size="8"), {"nodeSelector": {"size": "9"}}) == "node-selector"
    assert violated_by(node("n", [TAINT], size="8"), {"nodeSelector": {"size": "9"}}) == "taint"
    assert violated_by(node("n", size="8"), affinity("In", "9")) == "node-affinity"
    assert violated_by(node("n", size="8"), {"nodeSelector": {"size": "8"}}) == ""


def test_terms_are_alternatives() -> None:
    pod = affinity("In", "9")
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    terms.append({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]})
    assert takes(node("n"), pod)
    assert not takes(node("m"), pod)


def test_selectors() -> None:
    assert selects({}, {"a": "b"}), "an empty one selects everything"
    assert not selects(None, {"a": "b"}), "none selects nothing"
    assert selects({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"})
    assert not selects({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": "b"})


# --- requests ------------------------------------------------------------------------------------------------


def container(cpu: str, memory: str = "1Gi", **more: str) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


def test_requests_as_the_scheduler_counts_them() -> None:
    pod = {
        "containers": [container("500m"), {"resources": {"limits": {"cpu": "1"}}}],  # a limit is the request
        "initContainers": [container("100m", restartPolicy="Always"), container("3")],
        "overhead": {"cpu": "50m"},
    }
    assert requests_of(pod) == {"cpu": pytest.approx(3.15), "memory": 3 * 2**30 - 2**30}
    whole = {**pod, "resources": {"requests": {"cpu": "5"}}}
    assert (requests_of(whole) or {})["cpu"] == pytest.approx(5.05)
    assert requests_of({}) is None
    assert requests_of({"domain": {}}) is None


# --- pods among each other -----------------------------------------------------------------------------------

NODES = [node(f"n{number}", zone=f"z{number % 2}") for number in range(4)]


def group(spec: dict[str, Any], name: str = "web", namespace: str = "a", /, **placed: int) -> Group:
    return Group(name, {"app": name}, spec, {(namespace, at): pods for at, pods in placed.items()})


def told(*groups: Group, nodes: list[Manifest] = NODES) -> list[tuple[str, str, int, str]]:
    return [(item.constraint, item.group, item.pods, item.where) for item in violations(nodes, groups)]


def pods_term(kind: str, key: str = "kubernetes.io/hostname", app: str = "web", **more: Any) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def test_pods_where_they_may_not_be() -> None:
    assert told(group({"nodeSelector": {"zone": "z0"}}, n0=3, n1=2, n3=1)) == [("node-selector", "web", 3, "n1")]
    assert told(group({}, n0=3)) == []


def test_anti_affinity() -> None:
    apart = pods_term("podAntiAffinity")
    assert told(group(apart, n0=1, n1=1)) == []
    assert told(group(apart, n0=2, n1=1)) == [("pod-anti-affinity", "web", 2, "n0")]
    assert told(group(apart, n0=1), group({}, "web", "b", n0=1)) == [], "other namespaces do not count"
    everywhere = pods_term("podAntiAffinity", namespaceSelector={})
    assert told(group(everywhere, n0=1), group({}, "web", "b", n0=1)) == [("pod-anti-affinity", "web", 1, "n0")]
    by_zone = pods_term("podAntiAffinity", key="zone")
    assert told(group(by_zone, n0=1, n2=1)) == [("pod-anti-affinity", "web", 2, "z0")]
    from_others = pods_term("podAntiAffinity", app="db")
    assert told(group(from_others, n0=5), group({}, "db", n1=1)) == []
    assert told(group(from_others, n0=5), group({}, "db", n0=1)) == [("pod-anti-affinity", "web", 5, "n0")]


def test_affinity() -> None:
    together = pods_term("podAffinity", app="db")
    assert told(group(together, n0=2), group({}, "db", n0=1)) == []
    assert told(group(together, n0=2), group({}, "db", n1=1)) == [("pod-affinity", "web", 2, "n0")]
    itself = pods_term("podAffinity")
    assert told(group(itself, n0=1)) == [], "the first one may come alone"
    assert told(group(itself, n0=2, n1=1)) == [("pod-affinity", "web", 1, "n1")]


def test_topology_spread() -> None:
    constraint = {"maxSkew": 1, "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}
    spread = {"topologySpreadConstraints": [constraint]}
    assert told(group(spread, n0=2, n1=1)) == []
    assert told(group(spread, n0=2, n2=2, n1=1)) == [("topology-spread", "web", 2, "z0")]
    assert told(group(spread, n0=3)) == [("topology-spread", "web", 2, "z0")], "an empty zone is a zone"
    soft = {"topologySpreadConstraints": [{**constraint, "whenUnsatisfiable": "ScheduleAnyway"}]}
    assert told(group(soft, n0=3)) == []
    selected = {**spread, "nodeSelector": {"zone": "z0"}}
    assert told(group(selected, n0=3)) == [], "zones that the pod cannot be in do not count"


def test_capacity() -> None:
    pod = {"containers": [container("1500m")]}
    assert told(group(pod, n0=2)) == []
    assert told(group(pod, n0=2), group({}, "db", n0=1)) == []
    assert told(group(pod, n0=2), group(pod, "db", n0=1)) == [("capacity", "", 3, "n0")]
    assert told(group({}, n0=11)) == [("capacity", "", 11, "n0")]


@given(
    placed=st.dictionaries(st.sampled_from(["n0", "n1", "n2", "n3"]), st.integers(1, 9)),
    skew=st.integers(1, 3),
)
def test_a_spread_is_broken_by_what_is_beyond_its_skew(placed: dict[str, int], skew: int) -> None:
    constraint = {"maxSkew": skew, "topologyKey": "zone", "labelSelector": {}}
    zones = [sum(placed.get(name, 0) for name in names) for names in (("n0", "n2"), ("n1", "n3"))]
    beyond = abs(zones[0] - zones[1]) - skew
    found = violations(NODES, [group({"topologySpreadConstraints": [constraint]}, **placed)])
    assert sum(item.pods for item in found) == max(beyond, 0)
