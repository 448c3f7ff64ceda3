"""What bounds components by design: what they really ran with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthetic_run import MACHINES, SyntheticRun

from planebench.results import RunFolder
from planebench.slis.limits import in_words, limits
from planebench.slis.observations import Observations


def found(
    folder: Path,
    *processes: Mapping[str, Any],
    scenario: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> dict[str, dict[str, tuple[str, str]]]:
    """Component -> meaning -> value and source, of a run with these processes."""
    run = SyntheticRun(overrides=overrides or {})
    if scenario:
        run.scenario_text = scenario
    path = run.write(folder / "run")
    (path / "environment.json").write_text(json.dumps({"processes": processes}))
    return {
        component: {limit.meaning: (limit.value, limit.source) for limit in told}
        for component, told in limits(Observations(RunFolder.open(path))).items()
    }


def process(component: str, *argv: str, configuration: Any = None) -> dict[str, Any]:
    return {"name": component, "component": component, "argv": ["/bin/x", *argv], "configuration": configuration}


def test_defaults_are_told_as_such(tmp_path: Path) -> None:
    told = found(
        tmp_path, process("kube-scheduler"), process("kube-controller-manager"), process("kube-apiserver")
    )
    assert told["kube-scheduler"] == {
        "client requests per second": ("50", "default"),
        "client burst": ("100", "default"),
        "workers of its algorithm": ("16", "default"),
    }
    assert told["kube-controller-manager"]["workers for DaemonSets"] == ("2", "default")
    assert told["kube-apiserver"]["requests in flight, mutating"] == ("200", "default")


def test_the_configuration_file_that_ran_comes_first(tmp_path: Path) -> None:
    """The scheduler ignores its client's flags beside a file, and the run knows better than the scenario."""
    configuration = {"clientConnection": {"qps": 700.0, "burst": 900}, "parallelism": 4}
    told = found(
        tmp_path,
        process("kube-scheduler", "--config=/x", "--kube-api-qps=1", configuration=configuration),
    )
    assert told["kube-scheduler"] == {
        "client requests per second": ("700", "configuration"),
        "client burst": ("900", "configuration"),
        "workers of its algorithm": ("4", "configuration"),
    }


def test_flags_that_ran(tmp_path: Path) -> None:
    told = found(
        tmp_path,
        process("kube-controller-manager", "--kube-api-qps=5", "--kube-api-qps=300", "--concurrent-gc-syncs=7"),
        process("etcd", "--quota-backend-bytes=8589934592"),
    )
    controllers = told["kube-controller-manager"]
    assert controllers["client requests per second of each controller"] == ("300", "--kube-api-qps")
    assert controllers["client burst of each controller"] == ("30", "default")
    assert controllers["workers for garbage collection"] == ("7", "--concurrent-gc-syncs")
    assert told["etcd"] == {"bytes of its database": ("8589934592", "--quota-backend-bytes")}


def test_the_scenario_where_the_run_noted_no_file(tmp_path: Path) -> None:
    told = found(
        tmp_path,
        process("kube-scheduler", "--config=/gone"),
        overrides={"limits.kube-scheduler": "{qps: 1000, burst: 2000}"},
    )
    assert told["kube-scheduler"]["client requests per second"] == ("1000", "scenario")
    assert told["kube-scheduler"]["client burst"] == ("2000", "scenario")


def test_the_plane_s_settings(tmp_path: Path) -> None:
    told = found(
        tmp_path,
        process("virt-controller", "--vmi-controller-threads=40", "--vm-controller-threads=12"),
        process("kwok", configuration={"options": {"podPlayStageParallelism": 16}}),
        scenario=MACHINES + "settings: {virt_controller_qps: 2000, virt_controller_burst: 4000}\n",
    )
    assert told["virt-controller"]["client requests per second"] == ("2000", "plane")
    assert told["virt-controller"]["client burst"] == ("4000", "plane")
    assert told["virt-controller"]["workers for VMIs"] == ("40", "--vmi-controller-threads")
    assert told["virt-controller"]["workers for nodes"] == ("3", "default")
    assert told["kwok"] == {"workers for pods": ("16", "configuration")}


def test_damaged_notes_give_defaults(tmp_path: Path) -> None:
    damaged = {"component": "kube-scheduler", "argv": None, "configuration": ["x"]}
    assert found(tmp_path, damaged)["kube-scheduler"]["client burst"] == ("100", "default")


def test_in_words(tmp_path: Path) -> None:
    run = SyntheticRun()
    path = run.write(tmp_path / "run")
    running = [
        process("kube-scheduler"),
        process("kube-apiserver", "--max-requests-inflight=800", "--max-mutating-requests-inflight=200"),
        process("kwok", configuration={"options": {"podPlayStageParallelism": 16}}),
    ]
    (path / "environment.json").write_text(json.dumps({"processes": running}))
    seen = Observations(RunFolder.open(path))
    assert list(in_words(limits(seen), seen.plane)) == [
        "kube-scheduler: client requests per second 50, client burst 100",
        "kube-apiserver: requests in flight, read only 800 (set)",
        "kube-controller-manager: client requests per second of each controller 20, "
        "client burst of each controller 30",
    ]
