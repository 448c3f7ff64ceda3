"""What ``bench/peers`` reads of what the peers and the API server write, in small files that they wrote."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import audit_oracle
import psutil
import pytest
import tree_usage
import yaml
from peer_tools import (
    Load,
    Reported,
    Tool,
    cluster_loader,
    cluster_loader_figures,
    kperf,
    kperf_figures,
    kube_burner,
    kube_burner_figures,
    planebench,
    planebench_figures,
)

from planebench import scenario

DATA = Path(__file__).parent.parent / "data" / "peers"
BINARY = Path("tool")


def recorded(name: str) -> str:
    return (DATA / name).read_text()


def test_what_really_happened() -> None:
    truth = audit_oracle.read(DATA / "audit.log")
    assert truth.created_s == pytest.approx([0.003951, 0.007549])
    assert truth.startup_s == pytest.approx([0.018767, 0.035594])
    assert truth.creating_s == pytest.approx(0.018248)
    assert truth.running_s == pytest.approx(0.037015)


def test_a_pod_that_never_ran_and_one_that_was_refused() -> None:
    lines = [line for line in recorded("audit.log").splitlines() if '"delete"' not in line]
    never = [line for line in lines if not ('"patch"' in line and '"pod-1"' in line)]
    assert audit_oracle.truth(map(str.encode, never)).startup_s == pytest.approx([0.035594])
    refused = [line.replace('"code":201', '"code":403') if '"pod-1"' in line else line for line in lines]
    assert audit_oracle.truth(map(str.encode, refused)).created_s == pytest.approx([0.007549])
    # Others than the simulator write a pod's status, too: the scheduler that finds no node.
    other = [line.replace("kwok/", "kube-scheduler/") for line in lines]
    alone = audit_oracle.truth(map(str.encode, other))
    assert alone.startup_s == []
    assert math.isnan(alone.running_s)


def test_a_log_without_pods() -> None:
    with pytest.raises(ValueError, match="no pod that was created"):
        audit_oracle.truth([])


def test_figures_of_kube_burner(tmp_path: Path) -> None:
    found = kube_burner_figures(recorded("kube-burner-quantiles.json"), recorded("kube-burner-pods.json"))
    assert found == Reported(0.0, 0.0, 3)
    nothing = kube_burner(BINARY).reported(tmp_path)
    assert (math.isnan(nothing.p50_s), nothing.count) == (True, 0)
    with pytest.raises(ValueError, match="Ready"):
        kube_burner_figures("[]", "[]")


def test_figures_of_cluster_loader(tmp_path: Path) -> None:
    summary = recorded("clusterloader2-PodStartupLatency.json")
    assert cluster_loader_figures(summary) == Reported(0.011524602, 0.029551943, None)
    with pytest.raises(ValueError, match="in s, not in ms"):
        cluster_loader_figures(summary.replace('"ms"', '"s"'))
    with pytest.raises(ValueError, match="no pod_startup"):
        cluster_loader_figures('{"dataItems": []}')
    with pytest.raises(ValueError, match="no PodStartupLatency"):
        cluster_loader(BINARY).reported(tmp_path)


def test_figures_of_kperf() -> None:
    result = recorded("kperf-result.json")
    assert kperf_figures(result) == Reported(0.005964701, 0.019871307, 100)
    with pytest.raises(ValueError, match="of 0 URLs"):
        kperf_figures('{"aggregated": {"total": 0, "percentileLatenciesByURL": {}}}')


def test_figures_of_planebench() -> None:
    result = (DATA.parent / "result.json").read_text()
    assert planebench_figures(result) == Reported(1.139092599, math.inf, 37), "3 of 40 pods never came up"
    with pytest.raises(ValueError, match=r"no creation\.startup"):
        planebench_figures('{"stages": []}')


@pytest.mark.parametrize("tool", [planebench(), kube_burner(BINARY), cluster_loader(BINARY), kperf(BINARY)])
def test_every_tool_gets_the_same_load(tool: Tool, tmp_path: Path) -> None:
    argv = tool.command(Load(pods=123, rate=7, nodes=5), tmp_path / "admin.conf", tmp_path)
    assert any("admin.conf" in argument for argument in argv)
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert any("123" in text and "7" in text for text in written.values())
    for text in written.values():
        yaml.safe_load(text)
    if tool.name == "planebench":
        wanted = scenario.load(str(tmp_path / "scenario.yaml"))
        assert (wanted.workload.count, wanted.node_count) == (123, 5)


def test_a_command_and_its_children(tmp_path: Path) -> None:
    child = "sum(range(3_000_000))"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('done'); sys.exit(3)"
    usage = tree_usage.watch([sys.executable, "-c", code], {}, tmp_path, tmp_path / "log")
    assert (usage.exit_code, (tmp_path / "log").read_text()) == (3, "done\n")
    assert usage.wall_s > 0
    assert usage.cpu_s > 0
    assert usage.apart_cpu_s == 0


def test_what_is_a_command_s_own_work_and_what_is_not() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "print(sum(range(10**6)), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        name = psutil.Process(child.pid).name()
        used: dict[tuple[int, bool], float] = {}
        assert tree_usage._look(child.pid, (), used) > 0
        assert tree_usage._look(child.pid, {name}, used) == 0
        assert used.keys() == {(child.pid, False), (child.pid, True)}
        assert tree_usage.cpu_s({"child": child.pid})["child"] >= used[child.pid, True]
        child.communicate(b"\n")
