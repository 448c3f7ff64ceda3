"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import pytest

from planebench.binaries.cache import default_dir

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
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*log of etcd*", "*log of kube-apiserver*"])


def test_a_plane_that_there_is_not_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(control_plane): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--planebench-plane", "nowhere")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*plane 'nowhere' is neither built in*"])
    assert "Traceback" not in result.stdout.str()
