"""``planebench run``, ``show`` and what they leave behind."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import polars as pl
import pytest
from command import Command, Planebench, left_running

from planebench.results.document import Result

SMALL = ("--nodes", "3", "--set", "workload.count=6")
QUICK = (*SMALL, "--set", "lifecycle.monitoring.duration=1s", "--no-report")
WAITING = (*SMALL, "--set", "lifecycle.monitoring.duration=60s")
LONG = (*WAITING, "--no-report")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, Path]:
    """One whole run of the scenario `smoke`, for all tests that only look at it."""
    import subprocess
    import sys
    import time

    folder = tmp_path_factory.mktemp("smoke")
    stdout, stderr = folder / "stdout", folder / "stderr"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "planebench", "run", "smoke", "--out", "run", "--seed", "7"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
        )
        process.wait(180)
    return Command(process, stdout, stderr, time.time()), folder / "run"


def test_a_whole_run_passes(smoke: tuple[Command, Path]) -> None:
    command, folder = smoke
    assert command.process.returncode == 0, command.errors + command.output
    assert "20 planned, 20 created, 20 scheduled, 20 up, 20 deleted, 0 failed, 0 left over" in command.output
    assert "PASS: 3 of 3 SLOs met." in command.output
    for stage in ("creation", "scheduling", "management", "monitoring", "cleanup"):
        assert f"\n{stage}" in command.output
    for component in ("API server", "etcd", "scheduler", "controller manager", "KWOK", "planebench (harness)"):
        assert component in command.output
    assert str(folder.name) in command.output
    assert not left_running(folder)


def test_its_folder_holds_everything_and_no_secret(smoke: tuple[Command, Path]) -> None:
    _, folder = smoke
    assert {entry.name for entry in folder.iterdir()} == {
        "environment.json",
        "leftovers.json",
        "logs",
        "plane.json",
        "raw",
        "report.html",
        "result.json",
        "run.json",
        "scenario.yaml",
    }
    result = Result.model_validate_json((folder / "result.json").read_bytes())
    assert result.seed == 7
    assert result.counts.up == result.counts.deleted == 20
    assert {component.name for component in result.components} == {
        "etcd",
        "kube-apiserver",
        "kube-scheduler",
        "kube-controller-manager",
        "kwok",
        "planebench",
    }
    assert all(component.cpu_s and component.peak_rss_bytes for component in result.components)
    assert all(component.latency and component.latency.n for component in result.components)
    requests = pl.read_parquet(folder / "raw" / "requests.parquet")
    assert requests.filter(pl.col("stage") == "creation").height == 20
    assert (requests["done_ns"] >= requests["sent_ns"]).all()
    environment = json.loads((folder / "environment.json").read_bytes())
    assert environment["machine"]["etcd_file_system"] != "unknown"
    assert {item["name"]: item["version"] for item in environment["components"]}["kube-apiserver"] == "v1.37.2"
    assert "failed to delete" not in (folder / "logs" / "kwok.log").read_text(), "each pod is removed once"
    assert not [file for file in folder.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]


def test_show_prints_the_same_summary_from_the_folder_alone(
    smoke: tuple[Command, Path], planebench: Planebench, tmp_path: Path
) -> None:
    command, folder = smoke
    elsewhere = tmp_path / "moved"
    elsewhere.symlink_to(folder)
    shown = planebench("show", str(elsewhere))
    assert shown.process.returncode == 0
    assert _without_places(shown.output) == _without_places(command.output)
    assert json.loads(planebench("show", str(folder), "--json").output)["counts"]["up"] == 20


def _without_places(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(("Run folder:", "Report:"))]


# --- verdicts --------------------------------------------------------------------------------------------------


def test_an_slo_that_is_missed_fails_the_run_whose_page_can_come_later(
    planebench: Planebench, tmp_path: Path
) -> None:
    command = planebench("run", "smoke", "--out", "run", *QUICK, "--set", "slos[0].max=1us")
    assert command.process.returncode == 1
    assert "FAIL: 1 of 3 SLOs missed." in command.output
    assert "Report:" not in command.output
    page = tmp_path / "run" / "report.html"
    assert not page.exists()
    assert planebench("report", "run").process.returncode == 0
    assert page.exists()


def test_an_slo_without_data_is_no_pass(planebench: Planebench) -> None:
    command = planebench(
        "run", "smoke", "--out", "run", *QUICK, "--set", "slos=[{sli: monitoring.read, percentile: 99, max: 1s}]",
        "--set", "lifecycle.monitoring.reads=0/s",
    )  # fmt: skip
    assert command.process.returncode == 3
    assert "INCONCLUSIVE" in command.output


# --- bad input: nothing is started, nothing is left ------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "workload.cuont=3"], "unknown key; did you mean 'count'?"),
        (["--set", "workload.count=-1"], "must be at least 1, got -1"),
        (["--set", "workload.count=1000000000"], "must be at most 150,000"),
        (["--nodes", "100000"], "--nodes 100000: must be from 1 (one in each pool) to 5000"),
        (["--timeout", "soon"], "--timeout soon:"),
        (["--component", "kube-apiserver=/no/such/file"], "no such file"),
        (["--component", "kube-proxy=/bin/true"], "no component is called 'kube-proxy'"),
        (["--set", "slos[0].sli=creation.respnse"], "there is no indicator 'creation.respnse'"),
    ],
)
def test_wrong_input_is_told_before_anything_starts(
    planebench: Planebench, tmp_path: Path, arguments: list[str], words: str
) -> None:
    command = planebench("run", "smoke", "--out", "run", *arguments)
    assert command.process.returncode == 2
    assert words in command.errors
    assert "Traceback" not in command.errors
    assert not (tmp_path / "run").exists()


def test_a_fault_of_a_file_is_told_with_its_line(planebench: Planebench, tmp_path: Path) -> None:
    text = "apiVersion: planebench.dev/v1\nname: mine\nnodes: [{count: 1}]\nworkload:\n  count: many\n"
    (tmp_path / "mine.yaml").write_text(text)
    command = planebench("run", "mine.yaml")
    assert command.process.returncode == 2
    assert "mine.yaml:5: workload.count: expected a whole number, got 'many'" in command.errors


def test_an_existing_run_folder_is_kept(planebench: Planebench, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("data")
    command = planebench("run", "smoke", "--out", "run")
    assert command.process.returncode == 2
    assert "is not empty" in command.errors
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["precious"]


def test_a_template_that_the_api_server_rejects_is_told_once_with_how_many(
    planebench: Planebench, tmp_path: Path
) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "Not_A_Name", "image": "pause"}]}}
    (tmp_path / "pod.json").write_text(json.dumps(pod))
    text = (
        "apiVersion: planebench.dev/v1\nname: rejected\nnodes: [{count: 1}]\n"
        "workload: {count: 5, objects: [{template: pod, file: pod.json}]}\n"
    )
    (tmp_path / "rejected.yaml").write_text(text)
    command = planebench("run", "rejected.yaml", "--out", "run")
    assert command.process.returncode == 4
    told = [line for line in command.errors.splitlines() if "no object could be created" in line]
    assert len(told) == 1
    assert "spec.containers[0].name" in told[0]
    assert "(5 times)" in told[0]
    assert "5 x creation: create pods:" in command.output
    assert not left_running(tmp_path / "run")


# --- faults ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("component", ["etcd", "kube-scheduler"])
def test_a_component_that_is_killed_ends_the_run_and_is_named(
    start: Planebench, tmp_path: Path, component: str
) -> None:
    command = start("run", "smoke", "--out", "run", *WAITING)
    command.until_said("monitoring (")
    command.children()[component].kill()
    assert command.wait() == 4
    assert f"planebench: {component} was killed by SIGKILL" in command.errors
    partial = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert partial["status"] == "broken"
    assert component in partial["error"]
    assert (tmp_path / "run" / "report.html").exists()
    assert "6 planned, 6 created, 6 scheduled, 6 up" in command.output  # what was seen until then
    assert not left_running(tmp_path / "run")
    assert not (tmp_path / "run" / "cluster").exists()


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("starting etcd", signal.SIGINT),
        ("starting scheduler", signal.SIGTERM),
        ("nodes (3)", signal.SIGINT),
        ("creation (6)", signal.SIGINT),
        ("management: patch", signal.SIGHUP),
        ("monitoring (", signal.SIGINT),
        ("cleanup (", signal.SIGINT),
    ],
)
def test_an_interruption_in_any_phase_leaves_a_readable_run_and_nothing_else(
    start: Planebench, planebench: Planebench, tmp_path: Path, said: str, number: signal.Signals
) -> None:
    slow = ("--set", "lifecycle.creation.arrival.rate=2/s", "--set", "lifecycle.cleanup.rate=2/s")
    command = start("run", "smoke", "--out", "run", *QUICK, *slow)
    command.until_said(said)
    command.signal(number)
    assert command.wait() == 130
    assert f"planebench: interrupted by {number.name}" in command.errors
    assert "Traceback" not in command.errors
    assert not left_running(tmp_path / "run")
    assert not (tmp_path / "run" / "cluster").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["status"] == "interrupted"
    assert "interrupted" in planebench("show", "run").output


def test_a_second_interruption_ends_it_at_once(start: Planebench, tmp_path: Path) -> None:
    command = start("run", "smoke", "--out", "run", *LONG)
    command.until_said("monitoring (")
    command.signal(signal.SIGINT)
    command.signal(signal.SIGINT)
    assert command.wait() == 130
    assert not left_running(tmp_path / "run")


def test_components_do_not_outlive_a_harness_that_is_killed(start: Planebench, tmp_path: Path) -> None:
    command = start("run", "smoke", "--out", "run", *LONG)
    command.until_said("monitoring (")
    children = command.children()
    assert "etcd" in children
    command.process.kill()
    command.process.wait()
    for child in children.values():
        child.wait(20)
    assert not left_running(tmp_path / "run")


def test_a_run_that_takes_too_long_is_ended(planebench: Planebench, tmp_path: Path) -> None:
    command = planebench("run", "smoke", "--out", "run", *LONG, "--timeout", "8s")
    assert command.process.returncode == 4
    assert "the run's time is over: 8s (timeouts.run, or --timeout)" in command.errors
    assert not left_running(tmp_path / "run")


def test_a_cache_folder_that_cannot_be_used_is_told(planebench: Planebench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = planebench("run", "smoke", "--out", "run", PLANEBENCH_CACHE=str(tmp_path / "file"))
    assert command.process.returncode == 4
    assert str(tmp_path / "file") in command.errors
    assert "Traceback" not in command.errors
    assert not (tmp_path / "run").exists()


# --- binaries of one's own -------------------------------------------------------------------------------------


def test_a_component_of_ones_own_is_used(planebench: Planebench, tmp_path: Path) -> None:
    listed = json.loads(planebench("components", "--json").output)
    kwok = next(item for item in listed if item["name"] == "kwok")
    own = tmp_path / "my-kwok"
    own.symlink_to(kwok["path"])
    command = planebench("run", "smoke", "--out", "run", *QUICK, "--component", f"kwok={own}")
    assert command.process.returncode == 0, command.errors
    environment = json.loads((tmp_path / "run" / "environment.json").read_bytes())
    assert {item["name"]: item["source"] for item in environment["components"]}["kwok"] == "path"
    used = next(process["argv"][0] for process in environment["processes"] if process["name"] == "kwok")
    assert Path(used).samefile(own)


@pytest.mark.kubevirt
def test_virtual_machines_go_through_the_whole_lifecycle(planebench: Planebench, tmp_path: Path) -> None:
    small = ("--nodes", "4", "--set", "workload.count=20", "--set", "lifecycle.monitoring.duration=2s")
    changes = (
        *("--set", "lifecycle.management.stop={share: 20%, rate: 2/s}"),
        *("--set", "lifecycle.management.start={share: 100%, rate: 2/s}"),
        *("--set", "lifecycle.management.migrate={share: 20%, rate: 2/s}"),
    )
    command = planebench("run", "--out", "run", *small, *changes)
    assert command.process.returncode == 0, command.errors + command.output
    assert "20 planned, 20 created, 20 scheduled, 20 up, 20 deleted, 0 failed, 0 left over" in command.output
    result = Result.model_validate_json((tmp_path / "run" / "result.json").read_bytes())
    rows = result.rows()
    changed = {
        name: rows[f"management.change.{name}"] for name in ("restart", "stop", "start", "migrate", "patch")
    }
    assert {name: row.n for name, row in changed.items() if name != "patch"} == {
        "restart": 1,
        "stop": 1,
        "start": 1,
        "migrate": 3,
    }
    assert {row.missing for row in changed.values()} == {0}
    assert {"virt-api", "virt-controller"} <= {component.name for component in result.components}
