"""Runs on a cluster that planebench has not started for them: as an ordinary user, with a token, beside others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from debian_prometheus import prometheus
from polling import until

from planebench import run, slis
from planebench.cluster import removal
from planebench.cluster.local import LocalCluster
from planebench.kube.client import Client
from planebench.model import ComponentError, UsageError
from planebench.run import RunOptions
from planebench.run.existing import Existing
from planebench.scenario import Scenario, load

DOCS = Path(__file__).parent.parent.parent / "docs" / "existing-clusters.md"
RBAC = "rbac.authorization.k8s.io/v1"


def documented_role() -> dict[str, Any]:
    """The ClusterRole that the documentation says suffices."""
    _, _, rest = DOCS.read_text(encoding="utf-8").partition("```yaml\n")
    role: dict[str, Any] = yaml.safe_load(rest.partition("```")[0])
    return role


async def user(admin: Client, cluster: LocalCluster, folder: Path, role: Mapping[str, Any]) -> Path:
    """A kubeconfig for a service account with a role: its token in a file, as in a pod."""
    name = role["metadata"]["name"]
    await admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    await admin.create(role)
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    await admin.create(
        {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": reference,
            "subjects": [subject],
        }
    )
    token = await admin.post(
        f"/api/v1/namespaces/default/serviceaccounts/{name}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}},
    )
    (folder / f"{name}.token").write_text(token["status"]["token"])
    content = {
        "current-context": "here",
        "clusters": [
            {
                "name": "here",
                "cluster": {"server": cluster.admin.url, "certificate-authority": str(cluster.admin.ca)},
            }
        ],
        "users": [{"name": name, "user": {"tokenFile": f"{name}.token"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": name}}],
    }
    file = folder / f"{name}.conf"
    file.write_text(yaml.safe_dump(content))
    return file


def scenario() -> Scenario:
    return load("smoke", {"nodes.0.count": "3", "workload.count": "6", "lifecycle.monitoring.storm": "0"})


async def left(admin: Client) -> list[removal.Remains]:
    return await removal.find(admin)


@pytest.mark.prometheus
async def test_a_run_beside_others(
    cluster: LocalCluster, admin: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user with no more rights than documented; its own pods and nodes are all that it touches."""
    kubeconfig = await user(admin, cluster, tmp_path, documented_role())
    with prometheus(cluster, tmp_path) as url:
        async with run.reach(Existing(kubeconfig, prometheus=url), scenario()) as target:
            await run.run(scenario(), tmp_path / "run", RunOptions(target=target))
    result = slis.evaluate(tmp_path / "run")
    assert (result.status, result.error, result.left_behind) == ("completed", None, "")
    counts = result.counts
    assert (counts.up, counts.deleted, counts.leftovers) == (6, 6, 0)
    assert result.distribution is not None
    assert {node.pool for node in result.distribution.per_node} == {"node"}
    assert not result.distribution.violations
    assert await left(admin) == []
    assert len(await admin.list("/api/v1/nodes")) == 3, "the cluster's own are still there"

    unseen = {(item.component, item.what) for item in result.unseen}
    elsewhere = "CPU and memory"
    assert {("kube-apiserver", elsewhere), ("etcd", elsewhere), ("kube-scheduler", elsewhere)} <= unseen
    assert not {component for component, what in unseen if what == "its metrics"}, "Prometheus has them"
    components = {component.name: component for component in result.components}
    for name in ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager"):
        assert components[name].cpu_s is None, "missing, not 0"
        assert components[name].peak_rss_bytes is None
        assert components[name].metrics, name
    assert components["kwok"].cpu_s is not None
    bound = next(row for row in components["kube-scheduler"].metrics if row.sli == "scheduler.attempts")
    assert bound.n >= 6
    assert not result.limits or all("kube-scheduler" not in line for line in result.limits), "they are not known"

    token = (tmp_path / "planebench.token").read_text()
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), f"{file} holds the token"


async def test_too_few_rights(cluster: LocalCluster, admin: Client, tmp_path: Path) -> None:
    narrow = {
        "apiVersion": RBAC,
        "kind": "ClusterRole",
        "metadata": {"name": "narrow"},
        "rules": [{"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch"]}],
    }
    kubeconfig = await user(admin, cluster, tmp_path, narrow)
    async with run.reach(Existing(kubeconfig), scenario()) as target:
        assert target.preflight.user == "system:serviceaccount:default:narrow"
        assert target.preflight.metrics is False
        with pytest.raises(UsageError) as caught:
            await run.run(scenario(), tmp_path / "run", RunOptions(target=target))
    [line] = [line for line in str(caught.value).splitlines() if "permissions" in line]
    for right in ("create namespaces", "create nodes", "create pods", "patch pods/status", "patch nodes/status"):
        assert right in line
    assert "list pods" not in line
    assert not (tmp_path / "run").exists()
    assert await left(admin) == []


async def test_a_kind_that_the_cluster_does_not_know(cluster: LocalCluster, tmp_path: Path) -> None:
    kubeconfig = cluster.layout.kubeconfig("admin")
    async with run.reach(Existing(kubeconfig), load("kubevirt-density")) as target:
        with pytest.raises(UsageError, match=r"not served: virtualmachineinstances\.kubevirt"):
            target.preflight.demand()


async def test_another_simulator_that_plays_every_node(
    cluster: LocalCluster, admin: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the cluster's own one is made to: it plays nodes with its label."""
    monkeypatch.setattr("planebench.cluster.existing.PROBE_LABELS", {"planebench.dev/simulator": "kwok"})
    async with run.reach(Existing(cluster.layout.kubeconfig("admin")), scenario()) as target:
        with pytest.raises(ComponentError, match="another simulator plays every node of this cluster"):
            await run.run(scenario(), tmp_path / "run", RunOptions(target=target))
    assert await left(admin) == []


async def test_names_that_are_taken(cluster: LocalCluster, admin: Client, tmp_path: Path) -> None:
    await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "planebench-canary"}})
    try:
        async with run.reach(Existing(cluster.layout.kubeconfig("admin")), scenario()) as target:
            with pytest.raises(UsageError, match="names that the run uses: taken: namespaces planebench-canary"):
                target.preflight.demand()
    finally:
        await admin.delete("/api/v1/namespaces/planebench-canary")


async def test_what_a_dead_run_has_left_is_removed_later(
    cluster: LocalCluster, admin: Client, tmp_path: Path
) -> None:
    """Also pods on nodes that nobody plays any more, and what is in no namespace."""
    run_id = "dead-00000001"
    made = await admin.create(removal.owner(run_id, {}))
    metadata = {"labels": {"planebench.dev/run": run_id}, "ownerReferences": [removal.reference(made)]}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dead-0", **metadata}}
    taint = {"key": "planebench.dev/run", "value": run_id, "effect": "NoSchedule"}
    await admin.create(namespace)
    await admin.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "dead-node", **metadata},
            "spec": {"taints": [taint]},
        }
    )
    await admin.create(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "dead-class", **metadata},
            "value": 1,
        }
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stuck", "namespace": "dead-0"},
        "spec": {
            "nodeName": "dead-node",
            "serviceAccountName": "none",
            "automountServiceAccountToken": False,
            "containers": [{"name": "app", "image": "pause"}],
        },
    }
    await admin.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "none", "namespace": "dead-0"}}
    )
    await admin.create(pod)
    [found] = await left(admin)
    assert (found.run_id, found.namespaces, found.nodes, found.nodes_ready) == (run_id, 2, 1, 0)
    assert await removal.remove(admin, run_id, 60) == []
    assert await left(admin) == []
    classes = await admin.list("/apis/scheduling.k8s.io/v1/priorityclasses")
    assert "dead-class" not in {item["metadata"]["name"] for item in classes}
    leases = await admin.list("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")
    assert "dead-node" not in {item["metadata"]["name"] for item in leases}


async def test_the_owner_alone_takes_everything_along(cluster: LocalCluster, admin: Client) -> None:
    """Kubernetes' garbage collector does it, without planebench."""
    made = await admin.create(removal.owner("owned-00000001", {}))
    metadata = {"ownerReferences": [removal.reference(made)]}
    await admin.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "owned-node", **metadata}})
    await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "owned-0", **metadata}})
    await admin.delete(f"/api/v1/namespaces/{removal.owner_name('owned-00000001')}")

    async def gone() -> bool:
        names = {
            item["metadata"]["name"]
            for plural in ("nodes", "namespaces")
            for item in await admin.list(f"/api/v1/{plural}")
        }
        return not any(name.startswith("owned-") or "owned" in name for name in names)

    await until(gone)


def test_the_documented_role_is_json_too() -> None:
    assert json.loads(json.dumps(documented_role()))["kind"] == "ClusterRole"
