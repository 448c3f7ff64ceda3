"""KubeVirt's control plane: its webhooks, its subresources, and guests that KWOK plays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from polling import until

from planebench.cluster.local import LocalCluster
from planebench.kube.client import ApiError, Client

pytestmark = pytest.mark.kubevirt

GROUP = "/apis/kubevirt.io/v1/namespaces/default"


def filled(cluster: LocalCluster, workload: str, name: str) -> dict[str, Any]:
    text = json.dumps(cluster.config.plane.manifest(workload))
    for placeholder, value in {"__NAME__": name, "__NAMESPACE__": "default", "__INDEX__": "7"}.items():
        text = text.replace(placeholder, value)
    manifest: dict[str, Any] = json.loads(text)
    return manifest


async def test_its_processes_run(kubevirt: LocalCluster) -> None:
    names = {process.name for process in kubevirt.processes}
    assert {"virt-api", "virt-controller"} <= names


async def test_a_guest_runs_and_is_gone_after_its_deletion(kubevirt: LocalCluster) -> None:
    async with Client(kubevirt.admin) as client:
        made = await client.create(filled(kubevirt, "vmi", "guest"))
        # The mutating webhook's mark: without virt-api there would be none.
        assert "kubevirt.io/foregroundDeleteVirtualMachine" in made["metadata"]["finalizers"]
        path = f"{GROUP}/virtualmachineinstances/guest"

        async def ready() -> dict[str, Any] | None:
            vmi = await client.get(path)
            assert vmi.get("status", {}).get("phase") != "Failed"
            conditions = vmi.get("status", {}).get("conditions") or ()
            return vmi if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) else None

        vmi = await until(ready)
        assert vmi["status"]["phase"] == "Running"
        assert vmi["status"]["nodeName"].startswith("node-")
        pods = await client.list("/api/v1/namespaces/default/pods", labelSelector="kubevirt.io=virt-launcher")
        assert [pod["metadata"]["labels"]["planebench.dev/index"] for pod in pods] == ["7"]
        await client.delete(path)

        async def gone() -> bool:
            left = await client.list(f"{GROUP}/virtualmachineinstances")
            return not left and not await client.list("/api/v1/namespaces/default/pods")

        assert await until(gone)


async def test_the_validating_webhook_refuses_what_is_wrong(kubevirt: LocalCluster) -> None:
    wrong = filled(kubevirt, "vmi", "wrong")
    wrong["spec"]["volumes"] = []
    async with Client(kubevirt.admin) as client:
        with pytest.raises(ApiError, match=r"virtualmachineinstances-create-validator.*denied the request"):
            await client.create(wrong)


async def test_a_machine_is_restarted_through_the_subresource_api(kubevirt: LocalCluster) -> None:
    async with Client(kubevirt.load) as client:
        await client.create(filled(kubevirt, "vm", "machine"))
        path = f"{GROUP}/virtualmachineinstances/machine"

        async def running(other_than: str = "") -> str | None:
            try:
                vmi = await client.get(path)
            except ApiError as error:
                if error.status == 404:
                    return None
                raise
            uid: str = vmi["metadata"]["uid"]
            return uid if vmi.get("status", {}).get("phase") == "Running" and uid != other_than else None

        first = await until(running)
        await client.request(
            "PUT",
            "/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachines/machine/restart",
            {},
            accept="application/json, */*",
        )
        second = await until(lambda: running(first))
        assert second != first
        await client.delete(f"{GROUP}/virtualmachines/machine")

        async def gone() -> bool:
            return not await client.list(f"{GROUP}/virtualmachineinstances")

        assert await until(gone)
