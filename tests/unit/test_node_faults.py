"""What faults of nodes ask of the API server, which is made up here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from planebench import scenario
from planebench.kube.client import ApiError
from planebench.plan import OUT_OF_SERVICE, Planner
from planebench.planes import load_plane
from planebench.run.faults import Surroundings, drain
from planebench.run.faults.drain import Drained
from planebench.run.faults.nodes import Flapping, Silenced, Slowed
from planebench.scenario import Drain, NodeFlapping, NodeSilence, SlowHeartbeats

SCENARIO = """
apiVersion: planebench.dev/v1
name: nodes
nodes: [{count: 6, zones: 3}]
workload: {count: 1, objects: [{template: pod}]}
faults:
"""


class Cluster:
    """Nodes with labels and taints, and pods that go when their eviction is granted."""

    def __init__(self, refusals: int = 0) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[str, Any]] = []
        self.refusals = refusals
        self.conflicts = 1
        self.asked = asyncio.Condition()

    def node(self, path: str) -> dict[str, Any]:
        metadata = {"resourceVersion": "1", "labels": {}}
        return self.nodes.setdefault(path.split("/")[4], {"metadata": metadata, "spec": {}})

    async def get(self, path: str) -> dict[str, Any]:
        return self.node(path)

    async def list(self, path: str, *, fieldSelector: str) -> list[dict[str, Any]]:  # noqa: N803
        node = fieldSelector.removeprefix("spec.nodeName=")
        return [pod for pod in self.pods.values() if pod["spec"]["nodeName"] == node]

    async def patch(self, path: str, body: dict[str, Any], content_type: str = "") -> None:
        if "taints" in body.get("spec", {}) and self.conflicts:
            self.conflicts -= 1
            raise ApiError("PATCH", path, 409, "Conflict", "changed meanwhile")
        if path.startswith("/api/v1/nodes/") and not path.endswith("/status"):
            self.node(path)["spec"].update(body.get("spec", {}))
            self.node(path)["metadata"]["labels"].update(body.get("metadata", {}).get("labels", {}))
        async with self.asked:
            self.log.append((path, body))
            self.asked.notify_all()

    async def post(self, path: str, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        assert path.endswith(f"/pods/{name}/eviction")
        if self.refusals:
            self.refusals -= 1
            raise ApiError("POST", path, 429, "TooManyRequests", f"budget of {name}")
        del self.pods[name]

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.asked:
            await self.asked.wait_for(done)


def around(fault: str, cluster: Cluster) -> tuple[Any, Surroundings]:
    parsed = scenario.parse(f"{SCENARIO}  - {fault}")
    planner = Planner(parsed, load_plane("core"), run_id="run-1")
    return parsed.faults[0], Surroundings(parsed, planner, cast(Any, None), cast(Any, cluster))


def simulators(cluster: Cluster) -> list[str | None]:
    label = "planebench.dev/simulator"
    return [body["metadata"]["labels"][label] for _, body in cluster.log if label in str(body)]


async def test_a_zone_is_taken_out_of_service_and_comes_back() -> None:
    cluster = Cluster()
    wanted, surroundings = around("{kind: node-silence, zone: zone-1, for: 1m, outOfService: 1ms}", cluster)
    assert isinstance(wanted, NodeSilence)
    fault = Silenced(0, wanted, surroundings)
    cluster.node("/api/v1/nodes/node-000001")["spec"]["taints"] = [{"key": "other", "effect": "NoExecute"}]
    struck = await fault.strike()
    assert struck.nodes == ("node-000001", "node-000004")
    taints = [{"key": "other", "effect": "NoExecute"}]
    await cluster.until(lambda: sum("taints" in str(body) for _, body in cluster.log) == 2)
    of_first = cluster.node("/api/v1/nodes/node-000001")["spec"]["taints"]
    assert [taint["key"] for taint in of_first] == ["other", OUT_OF_SERVICE], "also after a conflict"
    await fault.undo()
    assert cluster.node("/api/v1/nodes/node-000001")["spec"]["taints"] == taints
    assert cluster.node("/api/v1/nodes/node-000004")["spec"]["taints"] == []
    assert simulators(cluster) == [None, None, "kwok", "kwok"]
    await fault.undo()


async def test_flapping_nodes_come_back_and_go_again() -> None:
    cluster = Cluster()
    wanted, surroundings = around("{kind: node-flapping, nodes: 1, silent: 1ms, back: 1ms, times: 3}", cluster)
    assert isinstance(wanted, NodeFlapping)
    fault = Flapping(0, wanted, surroundings)
    await fault.strike()
    await cluster.until(lambda: len(simulators(cluster)) == 5)
    await fault.undo()
    assert simulators(cluster) == [None, "kwok", None, "kwok", None, "kwok"]


async def test_slow_heartbeats_renew_lease_and_condition() -> None:
    cluster = Cluster()
    wanted, surroundings = around("{kind: slow-heartbeats, nodes: 1, every: 1ms, for: 1m}", cluster)
    assert isinstance(wanted, SlowHeartbeats)
    fault = Slowed(0, wanted, surroundings)
    [name] = (await fault.strike()).nodes
    await cluster.until(lambda: len(cluster.log) >= 5)
    await fault.undo()
    (lease, renewed), (status, told) = cluster.log[1:3]
    assert lease.endswith(f"/namespaces/kube-node-lease/leases/{name}")
    assert renewed["spec"]["renewTime"].endswith("Z")
    assert status == f"/api/v1/nodes/{name}/status"
    assert told["status"]["conditions"][0]["status"] == "True"
    assert simulators(cluster) == [None, "kwok"]


def pod(name: str, node: str, owner: str = "ReplicaSet") -> dict[str, Any]:
    owners = [{"kind": owner, "controller": True}]
    metadata = {"name": name, "namespace": "n", "uid": name, "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"nodeName": node}}


async def test_a_drain_asks_again_and_leaves_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_AGAIN_S", 0.0)
    monkeypatch.setattr(drain, "_LOOK_S", 0.0)
    cluster = Cluster(refusals=2)
    wanted, surroundings = around("{kind: drain, zone: zone-0}", cluster)
    assert isinstance(wanted, Drain)
    fault = Drained(0, wanted, surroundings)
    cluster.pods = {
        "a": pod("a", "node-000000"),
        "b": pod("b", "node-000003"),
        "c": pod("c", "node-000001"),
        "daemon": pod("daemon", "node-000000", "DaemonSet"),
    }
    struck = await fault.strike()
    assert struck.nodes == ("node-000000", "node-000003")
    assert cluster.pods.keys() == {"c", "daemon"}
    assert all(cluster.node(f"/api/v1/nodes/{name}")["spec"]["unschedulable"] for name in struck.nodes)
    found = {one.name: one for one in struck.evictions}
    assert sum(one.refusals for one in found.values()) == 2
    assert all(one.granted_ns >= one.asked_ns > 0 for one in found.values())
    assert found["a"].reason in ("", "budget of a")
    await fault.undo()
    assert not cluster.node("/api/v1/nodes/node-000000")["spec"]["unschedulable"]


async def test_a_drain_s_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_LOOK_S", 0.0)
    cluster = Cluster(refusals=1_000)
    wanted, surroundings = around("{kind: drain, zone: zone-0, patience: 20ms}", cluster)
    assert isinstance(wanted, Drain)
    cluster.pods = {"a": pod("a", "node-000000")}
    [eviction] = (await Drained(0, wanted, surroundings).strike()).evictions
    assert (eviction.granted_ns, eviction.refusals, eviction.reason) == (-1, 1, "budget of a")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("{kind: node-silence, for: 1s}", "needs nodes"),
        ("{kind: node-silence, nodes: 1, for: 1s, outOfService: 2s}", "outOfService must come before"),
        ("{kind: drain}", "needs nodes"),
        ("{kind: node-flapping, nodes: 1, silent: 1s, back: 1s, times: 1}", "times"),
    ],
)
def test_what_is_no_fault_of_nodes(fault: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        scenario.parse(f"{SCENARIO}  - {fault}")


def test_faults_that_meet_strike_different_nodes() -> None:
    faults = "\n".join(f"  - {{kind: node-silence, nodes: 2, at: {at}s, for: 10s}}" for at in (0, 5, 8, 9, 30))
    planner = Planner(scenario.parse(SCENARIO + faults), load_plane("core"), run_id="run-1")
    first, second, third, fourth, _ = (set(planner.silenced(number)) for number in range(5))
    assert len(first | second | third) == 6
    assert len(fourth) == 2, "there are no others left"
