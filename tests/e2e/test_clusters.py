"""``planebench up``, ``status``, ``down`` and ``run --keep-up``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psutil
import pytest
from command import Planebench, left_running

from planebench.cluster import named
from planebench.kube.client import Client
from planebench.model import Access


def test_clusters_side_by_side_come_stay_and_go(planebench: Planebench, tmp_path: Path) -> None:
    first = planebench("up", "--nodes", "3")
    assert first.process.returncode == 0, first.errors
    second = planebench("up", "--name", "other", "--set", "limits.kube-scheduler={qps: 500, burst: 500}")
    assert second.process.returncode == 0, second.errors
    try:
        listed = {item["name"]: item for item in json.loads(planebench("status", "--json").output)}
        assert {name: item["state"] for name, item in listed.items()} == {"default": "up", "other": "up"}
        assert (listed["default"]["nodes"], listed["default"]["nodes_ready"]) == (3, 3)
        assert listed["other"]["nodes"] == 0
        assert listed["default"]["server"] != listed["other"]["server"]
        assert first.output.strip() == f"export KUBECONFIG={listed['default']['kubeconfig']}"
        again = planebench("up")
        assert again.process.returncode == 2
        assert "cluster 'default' is up already" in again.errors
        for item in listed.values():
            assert all(process["rss_bytes"] for process in item["processes"])
    finally:
        planebench("down", "--name", "other")
        ended = planebench("down")
    assert ended.process.returncode == 0
    assert not left_running(tmp_path / "state")
    assert not list((tmp_path / "state").iterdir())
    none = planebench("down")
    assert none.process.returncode == 2
    assert "there is no cluster 'default'" in none.errors


async def test_a_cluster_goes_back_to_a_checkpoint(planebench: Planebench, tmp_path: Path) -> None:
    def name(name: str) -> dict[str, object]:
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}

    up = planebench("up", "--nodes", "3")
    assert up.process.returncode == 0, up.errors
    try:
        async with Client(admin(tmp_path)) as client:
            before = await client.create(name("before"))
            saved = planebench("checkpoint", "save", "one")
            assert saved.process.returncode == 0, saved.errors
            after = await client.create(name("after"))
        restored = planebench("checkpoint", "restore", "one")
        assert restored.process.returncode == 0, restored.errors
        [cluster] = json.loads(planebench("status", "--json").output)
        assert (cluster["name"], cluster["state"], cluster["nodes"]) == ("default", "up", 3)
        assert cluster["nodes_ready"] == 3
        async with Client(admin(tmp_path)) as client:
            found = {item["metadata"]["name"]: item for item in await client.list("/api/v1/namespaces")}
            assert found["before"]["metadata"] == before["metadata"]
            assert "after" not in found
            again = await client.create(name("again"))
        # Revisions go on from where the checkpoint was taken.
        versions = [int(item["metadata"]["resourceVersion"]) for item in (before, after, again)]
        assert versions[0] < min(versions[1:])
    finally:
        planebench("down")
    recovery = planebench("checkpoint", "recovery", "one", "--trials", "1", "--clients", "2", "--json")
    assert recovery.process.returncode == 0, recovery.errors
    [back] = json.loads(recovery.output)
    assert {"all nodes played", "controllers act", "controllers' queues empty", "all clients in sync"} <= back[
        "steps_s"
    ].keys()
    assert back["load"]["watches"] > 0 and back["cpu_s"].keys() >= {"etcd", "kube-apiserver", "kwok"}
    # Its nodes are the checkpoint's, and two more.
    run = planebench(
        "run",
        "smoke",
        "--from",
        "one",
        "--nodes",
        "5",
        "--set",
        "nodes[0].name=node",
        "--out",
        str(tmp_path / "run"),
        "--no-report",
    )
    assert run.process.returncode in (0, 3), run.errors
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert any("from checkpoint one (3 nodes, " in line for line in result["environment"]["deviations"])
    assert planebench("checkpoint", "rm", "one").process.returncode == 0
    assert not left_running(tmp_path / "state")
    assert not list((tmp_path / "state").iterdir())


def admin(tmp_path: Path) -> Access:
    return named.decode_record((tmp_path / "state/default/cluster.json").read_bytes()).admin


def test_a_component_that_dies_shows_in_the_status(planebench: Planebench, tmp_path: Path) -> None:
    assert planebench("up").process.returncode == 0
    [cluster] = json.loads(planebench("status", "--json").output)
    pids = {process["name"]: process["pid"] for process in cluster["processes"]}
    processes = [psutil.Process(pid) for pid in pids.values()]
    psutil.Process(pids["etcd"]).kill()
    _, alive = psutil.wait_procs(processes, 20)
    assert not alive
    [cluster] = json.loads(planebench("status", "--json").output)
    assert cluster["state"] == "failed"
    assert "etcd was killed by SIGKILL" in cluster["failure"]
    assert planebench("down").process.returncode == 0


def test_a_run_leaves_its_cluster_up_where_that_is_wanted(planebench: Planebench, tmp_path: Path) -> None:
    command = planebench(
        "run", "smoke", "--out", "run", "--nodes", "3", "--set", "workload.count=6", "--keep-up",
        "--name", "kept", "--no-report",
    )  # fmt: skip
    try:
        assert command.process.returncode == 0, command.errors
        [cluster] = json.loads(planebench("status", "--json").output)
        assert (cluster["name"], cluster["state"], cluster["nodes_ready"]) == ("kept", "up", 3)
        assert (tmp_path / "run" / "logs" / "kube-apiserver.log").exists()
    finally:
        planebench("down", "--name", "kept")
    assert not left_running(tmp_path)


@pytest.mark.parametrize("name", ["Upper", "a/b", "", "-x"])
def test_a_name_that_is_none_is_refused(planebench: Planebench, name: str) -> None:
    command = planebench("up", f"--name={name}")
    assert command.process.returncode == 2
    assert "expected lower-case letters" in command.errors


def test_a_cluster_that_cannot_start_leaves_nothing(planebench: Planebench, tmp_path: Path) -> None:
    command = planebench("up", "--set", "components.kube-scheduler.flags={no-such-flag: 1}")
    assert command.process.returncode == 4
    assert "kube-scheduler ended with exit status 1" in command.errors
    assert "unknown flag: --no-such-flag" in command.errors
    assert not left_running(tmp_path / "state")
    assert json.loads(planebench("status", "--json").output) == []


def test_kubectl_works(planebench: Planebench) -> None:
    up = planebench("up", "--nodes", "1")
    kubeconfig = up.output.strip().partition("=")[2]
    try:
        content = json.loads(Path(kubeconfig).read_text())
        assert content["kind"] == "Config"
        import shutil

        if shutil.which("kubectl"):
            answer = subprocess.run(
                ["kubectl", "--kubeconfig", kubeconfig, "get", "nodes", "-o", "name"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert answer.stdout.split() == ["node/node-000000"]
    finally:
        planebench("down")
