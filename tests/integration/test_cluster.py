"""The control plane itself: what it is, who gets in, and that its processes are watched and ended."""

from __future__ import annotations

import os
import signal
import ssl
import stat
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from control_planes import config
from polling import until

from planebench.cluster.local import LocalCluster
from planebench.cluster.pki import Authority
from planebench.components import Layout
from planebench.kube.client import ApiError, Client, tls_context
from planebench.model import Access, ComponentError, ComponentProcess, Role

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe", "namespace": "default"},
    "spec": {"containers": [{"name": "app", "image": "pause"}]},
}


async def test_it_is_the_pinned_version(admin: Client) -> None:
    assert (await admin.get("/version"))["gitVersion"] == "v1.37.2"


async def test_every_component_runs_and_serves_metrics(cluster: LocalCluster) -> None:
    processes = {process.name: process for process in cluster.processes}
    assert set(processes) == {"etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok"}
    assert processes["kwok"].role is Role.SIMULATOR
    for process in processes.values():
        assert psutil.pid_exists(process.pid)
        assert "process_cpu_seconds_total" in await metrics_of(process)


async def metrics_of(process: ComponentProcess) -> str:
    endpoint = process.metrics
    assert endpoint is not None
    context = tls_context(endpoint.ca, endpoint.identity)
    async with aiohttp.ClientSession() as session, session.get(endpoint.url, ssl=context) as response:
        assert response.status == 200
        return await response.text()


async def test_nodes_get_ready_and_a_pod_runs(admin: Client) -> None:
    async def ready() -> bool:
        items = await admin.list("/api/v1/nodes")
        return len(items) == 3 and all(condition(item, "Ready") == "True" for item in items)

    assert await until(ready)
    await admin.create(POD)
    path = "/api/v1/namespaces/default/pods/probe"

    async def running() -> dict[str, Any] | None:
        pod = await admin.get(path)
        return pod if condition(pod, "Ready") == "True" else None

    pod = await until(running)
    assert pod["status"]["phase"] == "Running"
    assert pod["spec"]["nodeName"].startswith("node-")
    await admin.delete(path)

    async def gone() -> bool:
        return not await admin.list("/api/v1/namespaces/default/pods")

    assert await until(gone)


def condition(item: Any, kind: str) -> str | None:
    found = (item.get("status") or {}).get("conditions") or ()
    return next((entry["status"] for entry in found if entry["type"] == kind), None)


# --- who gets in -----------------------------------------------------------------------------------------------


async def test_nobody_without_a_certificate_gets_in(cluster: LocalCluster) -> None:
    context = ssl.create_default_context(cafile=cluster.admin.ca)
    async with aiohttp.ClientSession() as session:
        for path in ("/version", "/api/v1/pods", "/readyz"):
            async with session.get(cluster.admin.url + path, ssl=context) as response:
                assert response.status == 401


async def test_a_certificate_of_another_authority_is_refused(cluster: LocalCluster, tmp_path: Path) -> None:
    stranger = Authority.create(Layout(tmp_path), "ca", "kubernetes").issue("admin", "me", ["system:masters"])
    access = Access(cluster.admin.host, cluster.admin.port, cluster.admin.ca, stranger)
    async with Client(access) as client:
        with pytest.raises(ApiError) as refusal:
            await client.get("/version")
    assert refusal.value.status in (0, 401)


async def test_etcd_speaks_to_certificates_of_its_own_authority_only(cluster: LocalCluster) -> None:
    etcd = next(process for process in cluster.processes if process.name == "etcd")
    assert etcd.metrics is not None and etcd.metrics.ca is not None
    for identity in (None, cluster.admin.identity):
        context = tls_context(etcd.metrics.ca, identity)
        async with aiohttp.ClientSession() as session:
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                async with session.get(etcd.metrics.url, ssl=context) as response:
                    await response.read()


async def test_secrets_are_for_the_owner_only(cluster: LocalCluster) -> None:
    folder = cluster.layout.folder
    secrets = [*folder.rglob("*.key"), *folder.rglob("*.conf")]
    assert len(secrets) > 10
    for file in secrets:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700, file.parent


async def test_load_is_an_ordinary_user_with_a_priority_level_of_its_own(
    cluster: LocalCluster, admin: Client
) -> None:
    schema = await admin.get("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/planebench-load")
    context = tls_context(cluster.load.ca, cluster.load.identity)
    async with (
        aiohttp.ClientSession() as session,
        session.get(cluster.load.url + "/api/v1/pods", ssl=context) as response,
    ):
        assert response.status == 200
        assert response.headers["X-Kubernetes-PF-FlowSchema-UID"] == schema["metadata"]["uid"]
    assert cluster.load.identity is not None
    assert "system:masters" not in cluster.load.identity.groups


async def test_it_listens_on_loopback_only(cluster: LocalCluster) -> None:
    for process in cluster.processes:
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert set(listening) == {"127.0.0.1"}, process.name


async def test_deviations_from_kubeadm_have_their_reasons(cluster: LocalCluster) -> None:
    assert any(line.startswith("kube-apiserver --bind-address=127.0.0.1: ") for line in cluster.deviations)
    assert all(": " in line for line in cluster.deviations)


# --- start, supervision and end --------------------------------------------------------------------------------


async def test_a_component_that_is_killed_is_noticed_and_named(cluster: LocalCluster, tmp_path: Path) -> None:
    """A second cluster beside the first one, which must not be touched by any of this."""
    async with LocalCluster.start(
        config("core"), tmp_path / "cluster", tmp_path / "logs", time.monotonic_ns()
    ) as second:
        assert second.admin.port != cluster.admin.port
        scheduler = next(process for process in second.processes if process.name == "kube-scheduler")
        os.kill(scheduler.pid, signal.SIGKILL)
        failure = await second.failure()
        pids = [process.pid for process in second.processes]
    assert failure.component == "kube-scheduler"
    assert "kube-scheduler was killed by SIGKILL" in str(failure)
    assert failure.log_tail
    assert not any(psutil.pid_exists(pid) for pid in pids)
    async with Client(cluster.admin) as client:
        assert await client.list("/api/v1/nodes")


async def test_a_flag_that_a_component_does_not_know_is_told_with_its_own_words(tmp_path: Path) -> None:
    wrong = config("core", flags={"kube-scheduler": {"no-such-flag": "1"}})
    with pytest.raises(ComponentError, match="kube-scheduler ended with exit status 1") as failure:
        async with LocalCluster.start(wrong, tmp_path / "cluster", tmp_path / "logs", time.monotonic_ns()):
            pass
    assert any("unknown flag: --no-such-flag" in line for line in failure.value.log_tail)
    assert not [child for child in psutil.Process().children() if "no-such-flag" in " ".join(child.cmdline())]


async def test_a_control_plane_that_is_not_up_in_time_says_what_was_missing(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"not up within 0\.5 s: (etcd|kube-apiserver) is not ready"):
        async with LocalCluster.start(
            config("core", timeout_s=0.5), tmp_path / "cluster", tmp_path / "logs", time.monotonic_ns()
        ):
            pass


async def test_a_port_that_somebody_else_has_taken_is_told(tmp_path: Path) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        taken = config("core", flags={"kube-scheduler": {"secure-port": str(port)}})
        with pytest.raises(ComponentError, match="another program has taken its port"):
            async with LocalCluster.start(taken, tmp_path / "cluster", tmp_path / "logs", time.monotonic_ns()):
                pass
