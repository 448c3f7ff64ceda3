"""The operator's tests, on a real control plane with simulated nodes: pods get scheduled and run.

pip install planebench kopf kubernetes pytest
pytest examples/operator
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planebench.kube.client import ApiError


@pytest.fixture(scope="session")
def operator(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The operator, as it would run on a developer's machine."""
    log = tmp_path_factory.mktemp("operator") / "log"
    program = Path(__file__).parent / "greeter.py"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces", str(program)],
            env={**os.environ, "KUBECONFIG": control_plane.kubeconfig},
            stdout=output,
            stderr=output,
        )
    yield
    process.terminate()
    process.wait(20)


def config_map(namespace: str, name: str, whom: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"greet": "yes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"whom": whom}}


def phase(control_plane: Any, path: str) -> str:
    """The phase of a pod; empty: there is none."""
    try:
        return str(control_plane.get(path)["status"].get("phase", ""))
    except ApiError as error:
        if error.status == 404:
            return ""
        raise


@pytest.mark.control_plane(nodes=2)
def test_a_greeting_runs(operator: None, control_plane: Any, namespace: str) -> None:
    control_plane.create(config_map(namespace, "hello", "world"))
    pod = f"/api/v1/namespaces/{namespace}/pods/hello"
    control_plane.wait(lambda: phase(control_plane, pod) == "Running", "the pod of the greeting")
    assert control_plane.get(pod)["metadata"]["labels"]["greets"] == "world"
    assert control_plane.get(pod)["spec"]["nodeName"], "a real scheduler has chosen it"


def test_a_greeting_goes_with_its_config_map(operator: None, control_plane: Any, namespace: str) -> None:
    control_plane.create(config_map(namespace, "hello", "world"))
    pod = f"/api/v1/namespaces/{namespace}/pods/hello"
    control_plane.wait(lambda: phase(control_plane, pod) == "Running", "the pod of the greeting")
    control_plane.delete(f"/api/v1/namespaces/{namespace}/configmaps/hello")
    control_plane.wait(lambda: not phase(control_plane, pod), "the garbage collector")
