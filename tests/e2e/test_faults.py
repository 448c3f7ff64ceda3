"""A run in which components are killed, paused and restarted on purpose, and go on."""

from __future__ import annotations

import json
import math
from pathlib import Path

from command import Planebench, left_running

from planebench.results.document import Result

SCENARIO = """
apiVersion: planebench.dev/v1
name: struck
nodes: [{count: 3}]
settings: {replicas: 1}
workload:
  count: 108
  objects: [{template: pod, share: 50%}, {template: deployment, share: 50%}]
lifecycle:
  creation: {arrival: {rate: 3/s}, reads: 20/s, writes: 20/s}
  monitoring: {duration: 0s}
faults:
  - {kind: kill, component: kube-scheduler, at: 3s, for: 1s}
  - {kind: pause, component: etcd, at: 9s, for: 2s}
  - {kind: kill, component: kube-apiserver, at: 16s}
  - {kind: kill, component: kwok, at: 29s}
timeouts: {running: 1m, cleanup: 1m, run: 3m}
slos:
  - {sli: faults.lost_writes, max: 0}
  - {sli: faults.inconsistent, max: 0}
  - {sli: faults.first_write, percentile: 100, max: 30s}
  - {sli: faults.first_work, percentile: 100, max: 30s}
"""


def test_components_that_are_struck_recover_and_nothing_promised_is_lost(
    planebench: Planebench, tmp_path: Path
) -> None:
    (tmp_path / "struck.yaml").write_text(SCENARIO)
    command = planebench("run", "struck.yaml", "--out", "run")
    assert "kill kube-scheduler" in command.output, command.errors
    folder = tmp_path / "run"
    result = Result.model_validate_json((folder / "result.json").read_bytes())
    assert result.status == "completed", result.error
    assert [slo.reason for slo in result.slos if slo.verdict != "PASS"] == []

    scheduler, etcd, apiserver, simulator = (
        {item.sli: item.value for item in fault.figures} for fault in result.faults
    )
    labels = [fault.label for fault in result.faults]
    assert labels == ["kill kube-scheduler", "pause etcd", "kill kube-apiserver", "kill kwok"]
    assert scheduler["faults.lost"] == 0
    assert (scheduler["faults.first_work"] or 0) > 1, "it binds nothing while it is away"
    assert 2 <= (etcd["faults.first_write"] or 0) < 4, "writes wait for etcd, and are answered when it goes on"
    assert (apiserver["faults.lost"] or 0) > 0
    assert (simulator["faults.first_work"] or math.inf) < 20, "it does not wait 40 s for its nodes' leases"
    assert result.rows()["faults.never_up"].value == 0

    run = json.loads((folder / "run.json").read_text())
    assert [item["process"] for item in run["restarts"] if item["asked"]] == [
        "kube-scheduler",
        "kube-apiserver",
        "kwok",
    ]
    held = json.loads((folder / "consistency.json").read_text())
    assert len(held["canaries"]) == 32
    assert {item["resource"] for item in held["collections"]} == {"pods", "deployments.apps"}
    wrong = {finding.name for finding in result.validity if not finding.ok}
    assert not wrong & {"watch.gaps", "components.restarted", "run.completed", "scrapes.failed"}
    restarted = {component.name for component in result.components if component.restarted}
    assert {"kube-apiserver", "kube-scheduler"} <= restarted
    assert all(component.metrics for component in result.components if component.name in restarted)
    assert not left_running(folder)


def test_faults_of_processes_want_a_cluster_of_the_run_s_own(planebench: Planebench, tmp_path: Path) -> None:
    (tmp_path / "struck.yaml").write_text(SCENARIO)
    command = planebench("run", "struck.yaml", "--keep-up")
    assert command.process.returncode == 2
    assert "faults[0]: kill is not available: " in command.errors


SEVERAL = """
apiVersion: planebench.dev/v1
name: several
nodes: [{count: 3}]
topology: {etcd: 3, kube-apiserver: 2, kube-scheduler: 2, kwok: 2}
workload: {count: 150, objects: [{template: pod}]}
components:
  kube-scheduler: {config: {leaderElection: {leaseDuration: 4s, renewDeadline: 3s, retryPeriod: 1s}}}
lifecycle:
  creation: {arrival: {rate: 3/s}, reads: 20/s, writes: 20/s}
  monitoring: {duration: 0s}
faults:
  - {kind: kill, component: etcd, at: 2s, for: 3s}    # longer than an election takes: another one has to lead
  - {kind: latency, between: [kube-apiserver, etcd], latency: 200ms, at: 8s, for: 2s}
  - {kind: etcd-full, quota: 48Mi, at: 15s, for: 1s}
  - {kind: kill, component: kube-scheduler, at: 26s}
  - {kind: kill, component: kwok, member: 2, at: 34s}
timeouts: {running: 1m, cleanup: 1m, run: 4m}
slos:
  - {sli: faults.lost_writes, max: 0}
  - {sli: faults.inconsistent, max: 0}
  - {sli: faults.failover, percentile: 100, max: 30s}
"""


def test_several_members_fail_over_and_connections_and_a_full_etcd_are_repaired(
    planebench: Planebench, tmp_path: Path
) -> None:
    (tmp_path / "several.yaml").write_text(SEVERAL)
    command = planebench("run", "several.yaml", "--trace", "--out", "run")
    folder = tmp_path / "run"
    result = Result.model_validate_json((folder / "result.json").read_bytes())
    assert result.status == "completed", (result.error, command.errors)
    assert [slo.reason for slo in result.slos if slo.verdict != "PASS"] == []
    records = {fault["name"]: fault for fault in json.loads((folder / "run.json").read_text())["faults"]}
    for name in ("kill-etcd", "kill-kube-scheduler"):
        assert records[name]["leader"], name
    assert records["kill-etcd"]["leader"] not in records["kill-etcd"]["processes"]
    figures = {fault.name: {item.sli: item.value for item in fault.figures} for fault in result.faults}
    slow = figures["latency-kube-apiserver-etcd"]
    assert 0.2 <= (slow["faults.first_write"] or 0) < 2, "a write takes a round trip to etcd"
    assert slow["faults.lost"] == 0
    full = figures["etcd-full-etcd"]
    assert (full["faults.lost"] or 0) > 0
    assert (full["faults.first_write"] or 0) >= 1, "not before it is repaired"
    assert result.rows()["faults.never_up"].value == 0
    names = {component.name for component in result.components}
    assert {"load-balancer", "toxiproxy"} <= names
    processes = {component.name: component.processes for component in result.components}
    assert len(processes["etcd"]) == 3
    assert sorted(processes["kwok"]) == ["kwok-1", "kwok-2"]
    assert records["kill-kwok"]["processes"] == ["kwok-2"]
    assert result.trace is not None and result.cost is not None and result.cost.audited
    assert result.trace.n >= 100 and result.trace.untraced == 0, "whichever API server it was that took it"
    assert not (folder / "raw" / "audit").exists(), "the logs of both are in the table"
    assert not left_running(folder)
