"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from planebench.binaries.cache import default_dir
from planebench.binaries.component import spec

pytest_plugins = ["pytester"]

CACHE = str(default_dir())  # pytester gives its tests another home folder

TESTS = """
import json
import urllib.request
import ssl

import pytest

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "app"},
    "spec": {"containers": [{"name": "app", "image": "pause"}]},
}


def pod(namespace):
    return {**POD, "metadata": {"name": "app", "namespace": namespace}}


@pytest.mark.control_plane(nodes=2)
def test_a_pod_runs(control_plane, namespace):
    control_plane.create(pod(namespace))
    path = f"/api/v1/namespaces/{namespace}/pods/app"
    assert control_plane.wait(lambda: control_plane.get(path)["status"].get("phase") == "Running", "the pod")
    assert len(control_plane.list("/api/v1/nodes")) >= 2


def test_a_namespace_is_fresh(control_plane, namespace):
    assert control_plane.list(f"/api/v1/namespaces/{namespace}/pods") == []


def test_any_client_works(control_plane):
    config = json.loads(open(control_plane.kubeconfig).read())
    assert config["clusters"][0]["cluster"]["server"] == control_plane.url


async def test_from_an_asynchronous_test(control_plane, namespace):
    assert control_plane.get(f"/api/v1/namespaces/{namespace}")["status"]["phase"] == "Active"


def test_that_fails(control_plane, namespace):
    assert control_plane.list(f"/api/v1/namespaces/{namespace}/pods") == ["something"]
"""


def test_an_operators_tests_run_against_a_real_control_plane(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANEBENCH_CACHE", CACHE)
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    version = f"kubernetes={spec('kube-apiserver').version}"
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--planebench-version", version)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*log of etcd*", "*log of kube-apiserver*"])


def test_a_plane_that_there_is_not_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(control_plane): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--planebench-plane", "nowhere")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*plane 'nowhere' is neither built in*"])
    assert "Traceback" not in result.stdout.str()


WORKERS = """
from pathlib import Path

import pytest


@pytest.mark.control_plane(nodes=1)
@pytest.mark.parametrize("number", range(4))
def test_each_worker_has_its_own(control_plane, namespace, worker_id, number):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"containers": [{"name": "app", "image": "pause"}]},
    }
    control_plane.create(pod)
    path = f"/api/v1/namespaces/{namespace}/pods/app"
    control_plane.wait(lambda: control_plane.get(path)["status"].get("phase") == "Running", "the pod")
    pids = " ".join(str(pid) for pid in control_plane.inner.processes.values())
    Path(WHERE, worker_id).write_text(control_plane.url + " " + pids)
"""


def test_workers_of_xdist_have_a_control_plane_each(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLANEBENCH_CACHE", CACHE)
    pytester.makepyfile(WORKERS.replace("WHERE", repr(str(tmp_path))))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2")
    result.assert_outcomes(passed=4)
    told = [file.read_text().split() for file in tmp_path.iterdir()]
    assert len({url for url, *_ in told}) == 2
    left = [int(pid) for _, *pids in told for pid in pids if psutil.pid_exists(int(pid))]
    assert not left, "they end with their workers"


def test_the_example_of_an_operator(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANEBENCH_CACHE", CACHE)
    for file in (Path(__file__).parent.parent.parent / "examples" / "operator").glob("*.py"):
        (pytester.path / file.name).write_text(file.read_text())
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
