"""Simulated nodes."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from planebench import nodes
from planebench.planes import Plane, builtin_names, load_plane
from planebench.scenario import NodePool

CORE = load_plane("core")
KUBEVIRT = load_plane("kubevirt")


def pool(**fields: Any) -> NodePool:
    return NodePool.model_validate({"count": 1, **fields})


def one(plane: Plane, **fields: Any) -> Any:
    (manifest,) = nodes.manifests([pool(**fields)], plane)
    return manifest


def test_pools_in_order() -> None:
    found = nodes.manifests([pool(name="small", count=2), pool(name="large", count=1)], CORE)
    assert [manifest["metadata"]["name"] for manifest in found] == [
        "small-000000",
        "small-000001",
        "large-000000",
    ]


def test_a_node_is_what_a_kubelet_would_say() -> None:
    node = one(CORE, name="a", capacity={"cpu": "4", "memory": "8Gi", "pods": "10"})
    assert (node["apiVersion"], node["kind"]) == ("v1", "Node")
    capacity = node["status"]["capacity"]
    assert (capacity["cpu"], capacity["memory"], capacity["pods"]) == ("4", "8Gi", "10")
    assert node["status"]["allocatable"] == capacity, "nothing is reserved"
    assert "conditions" not in node["status"], "Ready is for KWOK to say"
    labels = node["metadata"]["labels"]
    assert labels["kubernetes.io/hostname"] == node["metadata"]["name"] == "a-000000"
    assert labels["planebench.dev/pool"] == "a"
    assert "topology.kubernetes.io/zone" not in labels
    assert node["spec"] == {}


@pytest.mark.parametrize("plane", builtin_names())
def test_kwok_finds_its_nodes(plane: str) -> None:
    assert one(load_plane(plane))["metadata"]["labels"][nodes.SIMULATOR_LABEL] == nodes.SIMULATOR


def test_several_simulators_take_the_nodes_of_each_pool_in_turn() -> None:
    by = nodes.simulators({"kwok": 2})
    pools = [
        pool(name="a", count=3),
        pool(name="b", count=1),
        pool(name="own", labels={nodes.SIMULATOR_LABEL: "me"}),
    ]
    expected = {
        "a-000000": "kwok-1",
        "a-000001": "kwok-2",
        "a-000002": "kwok-1",
        "b-000000": "kwok-1",
        "own-000000": "me",
    }
    assert nodes.played_by(pools, by) == expected
    found = nodes.manifests(pools, CORE, by)
    labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in found}
    assert {name: own[nodes.SIMULATOR_LABEL] for name, own in labels.items()} == expected


def test_a_single_simulator_has_no_number() -> None:
    assert nodes.simulators({}) == nodes.simulators({"kwok": 1}) == (nodes.SIMULATOR,)


def test_addresses_differ_over_all_pools() -> None:
    found = list(nodes.manifests([pool(name="a", count=300), pool(name="b", count=300)], CORE))
    addresses = {item["address"] for node in found for item in node["status"]["addresses"]}
    ips = [address for address in addresses if address[0].isdigit()]
    assert len(ips) == 600
    assert all(ipaddress.ip_address(ip).is_private for ip in ips)


def test_zones_take_their_nodes_in_turn() -> None:
    found = nodes.manifests([pool(count=5, zones=2)], CORE)
    zones = [node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in found]
    assert zones == ["zone-0", "zone-1", "zone-0", "zone-1", "zone-0"]


def test_taints() -> None:
    taints = [{"key": "a", "value": "b", "effect": "NoExecute"}, {"key": "c"}]
    assert one(CORE, taints=taints)["spec"]["taints"] == [
        {"key": "a", "value": "b", "effect": "NoExecute"},
        {"key": "c", "value": "", "effect": "NoSchedule"},
    ]


def test_the_plane_adds_its_own() -> None:
    node = one(KUBEVIRT)
    assert node["metadata"]["labels"]["kubevirt.io/schedulable"] == "true"
    assert node["status"]["capacity"]["devices.kubevirt.io/kvm"] == "1k"
    assert node["status"]["capacity"]["pods"] == "110"


def test_the_pool_s_own_wins() -> None:
    capacity = {"cpu": "1", "memory": "1Gi", "pods": "1", "devices.kubevirt.io/kvm": "7"}
    node = one(KUBEVIRT, capacity=capacity, labels={"kubevirt.io/schedulable": "false", "example.com/a": "b"})
    assert node["status"]["capacity"]["devices.kubevirt.io/kvm"] == "7"
    assert node["metadata"]["labels"]["kubevirt.io/schedulable"] == "false"
    assert node["metadata"]["labels"]["example.com/a"] == "b"
