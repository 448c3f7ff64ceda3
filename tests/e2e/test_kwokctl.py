"""Runs on clusters of ``kwokctl --runtime binary``, made of planebench's own binaries: ``pytest -m kwokctl``.

kwokctl is built from the module that planebench pins, which takes some minutes the first time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import Planebench, left_running

from planebench import binaries
from planebench.binaries import toolchain
from planebench.binaries.cache import default_dir
from planebench.binaries.component import spec
from planebench.cluster.local import BASE_COMPONENTS

pytestmark = pytest.mark.kwokctl

MAIN = "sigs.k8s.io/kwok/cmd/kwokctl"
FLAGS = {name: "kwok-controller" if name == "kwok" else name for name in BASE_COMPONENTS}
# As docs/existing-clusters.md says.
OWN_NODES_ONLY = (
    "--extra-args=kwok-controller=manage-all-nodes=false",
    "--extra-args=kwok-controller=manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
)
CONTEXT = "kwok-planebench-test"
SHORT = ("--set", "nodes.0.count=2", "--set", "workload.count=4")


@pytest.fixture(scope="module")
def binary(pytestconfig: pytest.Config) -> Path:
    pinned = spec("kwok")
    assert pytestconfig.cache
    folder = pytestconfig.cache.mkdir(f"kwokctl-{pinned.version}")
    built = folder / "kwokctl"
    if not built.exists():
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(pinned.module_dir / name, folder / name)
        found = toolchain.find(folder, default_dir())
        environment = {**os.environ, **found.environment}
        for arguments in (("get", "-tool", f"{MAIN}@{pinned.version}"), ("build", "-o", built, MAIN)):
            subprocess.run([found.go, *arguments], cwd=folder, env=environment, check=True)
    return built


@pytest.fixture
def create(binary: Path, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes a cluster; its kubeconfig."""
    folder = tmp_path / "kwok"
    kubeconfig = folder / "kubeconfig"
    environment = {**os.environ, "KWOK_WORKDIR": str(folder), "HOME": str(folder), "KUBECONFIG": str(kubeconfig)}

    def kwokctl(*arguments: str) -> None:
        subprocess.run([binary, "--name", "planebench-test", *arguments], env=environment, check=True, timeout=120)

    def create(*options: str) -> Path:
        folder.mkdir()
        found = binaries.resolve(BASE_COMPONENTS)
        paths = [f"--{FLAGS[name]}-binary={artifact.path}" for name, artifact in found.items()]
        kwokctl("create", "cluster", "--runtime", "binary", "--wait", "60s", *paths, *options)
        return kubeconfig

    yield create
    kwokctl("delete", "cluster")


def test_a_cluster_whose_simulator_plays_every_node(
    create: Callable[..., Path], planebench: Planebench, tmp_path: Path
) -> None:
    kubeconfig = str(create())
    command = planebench("run", "smoke", "--kubeconfig", kubeconfig, "--out", "run", *SHORT)
    assert command.process.returncode == 4, command.errors
    assert "another simulator plays every node of this cluster" in command.errors
    assert json.loads((tmp_path / "run" / "result.json").read_text())["left_behind"] == ""
    listed = planebench("clean", "--kubeconfig", kubeconfig)
    assert "no run has left anything" in listed.errors
    assert not left_running(tmp_path / "run")


def test_a_cluster_whose_simulator_plays_its_own(
    create: Callable[..., Path], planebench: Planebench, tmp_path: Path
) -> None:
    kubeconfig = str(create(*OWN_NODES_ONLY))
    command = planebench("run", "smoke", "--kubeconfig", kubeconfig, "--out", "run", *SHORT)
    assert command.process.returncode in (0, 3), command.errors + command.output
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["counts"]["up"], result["left_behind"]) == ("completed", 4, "")
    levels = ("--from", "20/s", "--to", "21/s", "--step-objects", "20", "--step-duration", "1s", "--settle", "0s")
    unmet = "slos=[{sli: creation.response, percentile: 99, max: 1us}]"  # so one step is all
    options = ("--attempts", "1", "--set", "limits={}", "--set", unmet, *SHORT[:2])
    searched = planebench("capacity", "--kubeconfig", kubeconfig, "--out", "capacity", *levels, *options)
    assert searched.process.returncode in (1, 3), searched.errors
    capacity = json.loads((tmp_path / "capacity" / "capacity.json").read_text())
    assert (capacity["plan"]["context"], len(capacity["steps"])) == (CONTEXT, 1)
    listed = planebench("clean", "--kubeconfig", kubeconfig)
    assert "no run has left anything" in listed.errors
    assert not left_running(tmp_path / "run")
