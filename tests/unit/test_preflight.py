"""What is looked at before a run on a cluster of others, as far as it needs no cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from planebench import nodes
from planebench.kube.kubeconfig import Context
from planebench.model import UsageError
from planebench.plan import Planner, pinned
from planebench.planes import load_plane
from planebench.run import RunOptions, preflight, run
from planebench.run.existing import Target
from planebench.run.preflight import Check, Preflight
from planebench.scenario import Scenario, builtin_text, load, parse


def context(name: str = "dev", cluster: str = "dev", server: str = "https://api.example") -> Context:
    return Context(name, cluster, "me", {"server": server}, {}, (Path("config"),))


@pytest.mark.parametrize(
    ("name", "cluster", "server"),
    [
        ("prod", "x", "https://x"),
        ("eks-prod1", "x", "https://x"),
        ("team_production", "x", "https://x"),
        ("PRD", "x", "https://x"),
        ("x", "live-eu", "https://x"),
        ("x", "x", "https://api.prod.example.com"),
        ("non-prod", "x", "https://x"),
    ],
)
def test_what_looks_like_production_must_be_meant(name: str, cluster: str, server: str) -> None:
    found = context(name, cluster, server)
    with pytest.raises(UsageError, match=rf"looks like production .*--yes-i-mean {name}"):
        preflight.demand_meant(found, None)
    preflight.demand_meant(found, name)
    with pytest.raises(UsageError, match="--yes-i-mean other: the context is"):
        preflight.demand_meant(found, "other")


@pytest.mark.parametrize("name", ["dev", "preprod", "product-team", "alive", "delivery", "kind-kind"])
def test_what_does_not_need_not(name: str) -> None:
    preflight.demand_meant(context(name, name, f"https://{name}.example"), None)


def scenario(**fields: Any) -> Scenario:
    return load("smoke").model_copy(update=fields)


@pytest.mark.parametrize("name", ["pod-density-raised", "kubevirt-density-raised"])
def test_components_of_others_cannot_be_set(name: str) -> None:
    with pytest.raises(UsageError, match=r"limits\.kube-scheduler.* cannot be set on a cluster"):
        preflight.demand_possible(load(name))


def test_an_existing_cluster_has_the_members_that_it_has() -> None:
    with pytest.raises(UsageError, match=r"topology\.kwok cannot be set on a cluster"):
        preflight.demand_possible(scenario(topology={"etcd": 1, "kwok": 2}))


def test_versions_and_flags_of_others_cannot_be_set_but_kwoks_can() -> None:
    from planebench.scenario.model import ComponentOptions

    options = ComponentOptions(flags={"v": "4"})
    preflight.demand_possible(scenario(versions={"kwok": "0.8.0"}, components={"kwok": options}))
    with pytest.raises(UsageError, match=r"components\.etcd, versions\.kubernetes cannot be set"):
        preflight.demand_possible(scenario(versions={"kubernetes": "1.37.2"}, components={"etcd": options}))


def test_processes_of_others_are_not_struck() -> None:
    wanted = parse(builtin_text("smoke") + "\nfaults: [{kind: kill, component: etcd}]\n")
    with pytest.raises(UsageError, match=r"faults\[0\]: kill is not available: planebench has not started"):
        preflight.demand_possible(wanted)


def asked(name: str) -> set[str]:
    wanted = load(name)
    plane = load_plane(wanted.plane, wanted.settings)
    wanted = pinned(wanted, plane, "run-00000000")
    planner = Planner(wanted, plane, run_id="run-00000000")
    phases = preflight._phases(planner, list(nodes.manifests(wanted.nodes, plane)))
    return {str(right) for right in preflight.rights(wanted, planner, phases, flow_schema=False)}


def test_the_rights_that_a_run_needs() -> None:
    assert asked("smoke") == {
        *(f"{verb} namespaces" for verb in ("create", "delete", "list")),
        *(f"{verb} nodes" for verb in ("create", "delete", "get", "list", "watch")),
        "patch nodes/status",
        *(f"{verb} pods" for verb in ("create", "delete", "get", "list", "patch", "watch")),
        "patch pods/status",
        *(f"{verb} events" for verb in ("create", "patch")),
        *(f"{verb} configmaps" for verb in ("create", "list", "patch", "watch")),
        "list serviceaccounts",
        *(
            f"{verb} leases.coordination.k8s.io"
            for verb in ("create", "delete", "get", "list", "patch", "update", "watch")
        ),
    }
    controllers = asked("controllers")
    assert {"create deployments.apps", "watch endpointslices.discovery.k8s.io", "create services"} <= controllers
    assert "patch nodes" in asked("node-health"), "nodes are silenced by their label"
    assert "create pods/eviction" in asked("drain")
    assert "create pods/eviction" not in asked("node-health")


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("get", "/api/v1/nodes/x", ("nodes", "", "get", "")),
        ("list", "/api/v1/pods?limit=500", ("pods", "", "list", "")),
        ("create", "/api/v1/namespaces", ("namespaces", "", "create", "")),
        ("delete", "/api/v1/namespaces/a", ("namespaces", "", "delete", "")),
        ("patch", "/api/v1/namespaces/a/pods/b/status", ("pods/status", "", "patch", "a")),
        ("update", "/apis/apps/v1/namespaces/a/deployments/b/scale", ("deployments/scale", "apps", "update", "a")),
        ("create", "/apis/x.io/v1/clusterthings", ("clusterthings", "x.io", "create", "")),
    ],
)
def test_what_a_request_needs(verb: str, path: str, expected: tuple[str, ...]) -> None:
    right = preflight._right(verb, path)
    assert (right.resource, right.group, right.verb, right.namespace) == expected


def test_all_that_stands_against_a_run_is_told_at_once() -> None:
    checks = (
        Check("permissions", "missing: create nodes", False, "ask for them"),
        Check("nodes of the cluster", "3"),
        Check("names that the run uses", "taken: namespaces planebench-0", False, "clean up"),
        Check("kinds", "all", True),
    )
    found = Preflight(context(), "https://x", "v1", "me", (), 1, (), checks)
    with pytest.raises(UsageError) as caught:
        found.demand()
    assert str(caught.value).splitlines() == [
        "context 'dev' is not fit for this run:",
        "  permissions: missing: create nodes; ask for them",
        "  names that the run uses: taken: namespaces planebench-0; clean up",
    ]


def test_the_plan_of_a_scenario() -> None:
    steps = {step.name: step for step in preflight.steps_of(load("smoke"))}
    assert (steps["nodes"].requests, steps["creation"].requests, steps["cleanup"].requests) == (10, 20, 20)
    assert 0 < steps["creation"].duration_s < 1


async def test_binaries_of_others_cannot_be_given(tmp_path: Path) -> None:
    options = RunOptions(target=cast(Target, object()), components={"etcd": tmp_path / "etcd"})
    with pytest.raises(UsageError, match="--component etcd: components of an existing cluster are its own"):
        await run(load("smoke"), tmp_path / "run", options)
    assert not (tmp_path / "run").exists()
