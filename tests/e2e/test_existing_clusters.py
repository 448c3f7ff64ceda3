"""``planebench run --kubeconfig`` and ``planebench clean`` on a cluster that goes on."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from command import Command, Planebench, left_running

NODES = 3
LONG = ("--no-report", "--set", "nodes.0.count=2", "--set", "workload.count=600")
SHORT = ("--set", "nodes.0.count=2", "--set", "workload.count=4")


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of an administrator of a cluster with nodes of its own."""
    state = tmp_path_factory.mktemp("state")
    environment = {**os.environ, "PLANEBENCH_STATE": str(state)}

    def planebench(*arguments: str) -> str:
        command = [sys.executable, "-m", "planebench", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    file = Path(planebench("up", "--nodes", str(NODES)).strip().partition("=")[2])
    try:
        yield file
    finally:
        planebench("down")


def ask(kubeconfig: Path, path: str) -> list[dict[str, Any]]:
    """A collection's items, by hand: as someone else would see them."""
    content = json.loads(kubeconfig.read_text())
    pki = kubeconfig.parent.parent / "pki"
    context = ssl.create_default_context(cafile=pki / "ca.crt")
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    server = content["clusters"][0]["cluster"]["server"]
    with urllib.request.urlopen(f"{server}{path}", context=context, timeout=10) as answer:  # noqa: S310 (https)
        items: list[dict[str, Any]] = json.load(answer)["items"]
    return items


def left(kubeconfig: Path) -> list[str]:
    """Everything of any run that the cluster still has."""
    return [
        f"{plural} {item['metadata']['name']}"
        for plural in ("namespaces", "nodes", "pods")
        for item in ask(kubeconfig, f"/api/v1/{plural}?labelSelector=planebench.dev/run")
    ]


def test_a_run_leaves_nothing(planebench: Planebench, kubeconfig: Path, tmp_path: Path) -> None:
    dry = planebench("run", "smoke", "--kubeconfig", str(kubeconfig), "--dry-run", "--out", "run", *SHORT)
    assert dry.process.returncode == 0, dry.errors
    assert "Plan for context cluster" in dry.output
    assert "permissions" in dry.output
    assert not (tmp_path / "run").exists()

    command = planebench("run", "smoke", "--kubeconfig", str(kubeconfig), "--out", "run", *SHORT)
    assert command.process.returncode in (0, 3), command.errors
    assert "Not seen: missing, not 0" in command.output
    assert "there is no --prometheus URL" in " ".join(command.output.split())
    assert left(kubeconfig) == []
    assert len(ask(kubeconfig, "/api/v1/nodes")) == NODES
    assert not (tmp_path / "run" / "cluster").exists(), "keys of the simulator"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["counts"]["up"], result["left_behind"]) == ("completed", 4, "")
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'data-unseen="etcd"' in page
    assert not left_running(tmp_path)


def test_trials_leave_nothing(planebench: Planebench, kubeconfig: Path, tmp_path: Path) -> None:
    there = ("--kubeconfig", str(kubeconfig), "--out")
    options: tuple[str, ...] = (*SHORT, "--set", "lifecycle.monitoring.duration=0s")
    compared = planebench("experiment", "smoke", "--trials", "1", *there, "experiment", *options)
    assert compared.process.returncode in (0, 3), compared.errors
    experiment = json.loads((tmp_path / "experiment" / "experiment.json").read_text())
    assert experiment["context"] == "cluster"
    assert [trial["state"] for trial in experiment["trials"]] == ["completed"] * 2
    assert left(kubeconfig) == []


def test_an_interrupted_run_leaves_nothing(start: Planebench, kubeconfig: Path, tmp_path: Path) -> None:
    command = start("run", "smoke", "--kubeconfig", str(kubeconfig), "--out", "run", *LONG)
    command.until_said("creation (600)")
    command.signal(signal.SIGINT)
    assert command.wait() == 130, command.errors
    assert left(kubeconfig) == []
    assert not left_running(tmp_path)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"


def test_what_a_second_interrupt_leaves_is_told_and_removed_later(
    start: Planebench, planebench: Planebench, kubeconfig: Path, tmp_path: Path
) -> None:
    command = start("run", "smoke", "--kubeconfig", str(kubeconfig), "--out", "run", *LONG)
    command.until_said("creation (600)")
    command.signal(signal.SIGINT)
    command.until_said("removing what run")
    command.signal(signal.SIGINT)
    assert command.wait() == 130, command.errors
    run_id = json.loads((tmp_path / "run" / "run.json").read_text())["id"]
    told = f"planebench clean --kubeconfig {kubeconfig} --context cluster --run {run_id}"
    assert told in " ".join(command.errors.split())
    assert left(kubeconfig)
    assert not left_running(tmp_path)
    removed(planebench, kubeconfig, run_id, told)


def test_what_a_killed_run_leaves_is_removed_later(
    start: Planebench, planebench: Planebench, kubeconfig: Path, tmp_path: Path
) -> None:
    temporary = {"TMPDIR": str(tmp_path)}  # nobody removes the copy of its credentials
    command = start("run", "smoke", "--kubeconfig", str(kubeconfig), "--out", "run", *LONG, **temporary)
    command.until_said("creation (600)")
    children = [psutil.Process(child.pid) for child in command.children().values()]
    assert children
    command.signal(signal.SIGKILL)
    command.wait()
    _, alive = psutil.wait_procs(children, 20)
    assert not alive, "the simulator and the load engine end with it"
    assert left(kubeconfig)
    run_id = json.loads((tmp_path / "run" / "run.json").read_text())["id"]
    removed(planebench, kubeconfig, run_id, f"planebench clean --kubeconfig {kubeconfig} --run {run_id}")


def removed(planebench: Planebench, kubeconfig: Path, run_id: str, told: str) -> None:
    """``clean`` lists the run, and the command that was told removes it."""
    listed = planebench("clean", "--kubeconfig", str(kubeconfig))
    assert listed.process.returncode == 0, listed.errors
    assert run_id in listed.output
    done = planebench(*told.split()[1:])
    assert done.process.returncode == 0, done.errors
    assert f"nothing is left of run {run_id}" in done.errors
    assert left(kubeconfig) == []
    again = planebench(*told.split()[1:])
    assert again.process.returncode == 0, "what is gone is gone"


# --- bad input: one line, exit code 2, nothing made -----------------------------------------------------------


def refused(command: Command, said: str, tmp_path: Path) -> None:
    assert command.process.returncode == 2, command.errors
    assert said in " ".join(command.errors.split())
    assert command.errors.count("planebench:") == 1
    assert "Traceback" not in command.errors
    assert not (tmp_path / "run").exists()
    assert not left_running(tmp_path)


def write(tmp_path: Path, *names: str, server: str = "https://127.0.0.1:1", **user: Any) -> Path:
    content = {
        "clusters": [{"name": name, "cluster": {"server": server}} for name in names],
        "users": [{"name": name, "user": user} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file


def test_a_cluster_that_is_not_there(planebench: Planebench, tmp_path: Path) -> None:
    file = write(tmp_path, "a")
    command = planebench("run", "smoke", "--kubeconfig", str(file), "--out", "run")
    refused(command, "context 'a': the API server https://127.0.0.1:1 cannot be reached", tmp_path)
    refused(planebench("clean", "--kubeconfig", str(file), "--context", "a"), "cannot be reached", tmp_path)


def test_credentials_that_are_not_taken(planebench: Planebench, kubeconfig: Path, tmp_path: Path) -> None:
    server = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]
    file = write(tmp_path, "a", token="expired")
    content = yaml.safe_load(file.read_text())
    content["clusters"][0]["cluster"] = server
    file.write_text(yaml.safe_dump(content))
    command = planebench("run", "smoke", "--kubeconfig", str(file), "--out", "run")
    refused(command, "does not take the credentials of user 'a': they may have expired", tmp_path)


def test_files_and_contexts_that_are_wrong(planebench: Planebench, tmp_path: Path) -> None:
    def run(*arguments: str) -> Command:
        return planebench("run", "smoke", "--out", "run", *arguments)

    refused(run("--kubeconfig", "none"), "--kubeconfig none: No such file or directory", tmp_path)
    (tmp_path / "wrong").write_text("kind: Pod\n")
    refused(run("--kubeconfig", "wrong"), "--kubeconfig wrong: is no kubeconfig", tmp_path)
    several = str(write(tmp_path, "dev", "prod"))
    refused(run("--kubeconfig", several), "name a context by --context (there are: dev, prod)", tmp_path)
    refused(run("--kubeconfig", several, "--context", "x"), "has no context 'x'; there are: dev, prod", tmp_path)
    refused(run("--kubeconfig", several, "--context", "prod"), "say --yes-i-mean prod", tmp_path)
    meant = run("--kubeconfig", several, "--context", "prod", "--yes-i-mean", "prod")
    refused(meant, "cannot be reached", tmp_path)


def test_what_only_a_control_plane_of_ones_own_can_give(planebench: Planebench, tmp_path: Path) -> None:
    file = str(write(tmp_path, "a"))
    raised = planebench("run", "pod-density-raised", "--kubeconfig", file, "--out", "run")
    refused(raised, "limits.kube-scheduler", tmp_path)
    pinned = planebench("run", "smoke", "--kubeconfig", file, "--out", "run", "--kubernetes", "1.36.2")
    refused(pinned, "versions.kubernetes cannot be set", tmp_path)


def test_the_plan_of_a_control_plane_of_ones_own(planebench: Planebench, tmp_path: Path) -> None:
    command = planebench("run", "smoke", "--dry-run", "--out", "run")
    assert command.process.returncode == 0, command.errors
    assert "creation" in command.output
    assert not (tmp_path / "run").exists()
