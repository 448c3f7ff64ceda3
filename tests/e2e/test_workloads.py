"""One run of everything that a scenario can have beyond plain pods, on a real control plane."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import Planebench

SCENARIO = """
apiVersion: planebench.dev/v1
name: everything
nodes:
  - {name: node, count: 4, zones: 2, capacity: {cpu: "8", memory: 32Gi, pods: "110"}}
  - {name: kept, count: 1, taints: [{key: example.com/kept, effect: NoSchedule}]}
settings: {replicas: 2, scaled_replicas: 4, added_replicas: 2, completions: 2}
setup:
  - {apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: everything}, value: 10}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: everything}, data: {a: b}}
  - {apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: limited}, value: 20}
  - apiVersion: v1
    kind: ResourceQuota
    metadata: {name: limited}
    spec:
      hard: {pods: "0"}
      scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [limited]}]}
workload:
  count: 10
  order: listed
  objects:
    - {template: pod, share: 20%, patch: {spec: {priorityClassName: everything}}}
    - {template: web, share: 20%}
    - {template: job, share: 20%}
    - {template: daemonset, share: 10%}
    - {template: namespace, share: 10%}
    - {template: pod, name: none, share: 10%, expect: unschedulable, patch: {spec: {nodeSelector: {a: b}}}}
    - {template: pod, name: no, share: 10%, expect: refused, patch: {spec: {priorityClassName: limited}}}
components:
  kube-scheduler:
    config:
      profiles:
        - schedulerName: default-scheduler
          pluginConfig:
            - name: NodeResourcesFit
              args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
faults:
  - {kind: node-silence, nodes: 40%, at: 100ms, for: 500ms}
  - {kind: drain, zone: zone-0}
lifecycle:
  creation: {arrival: {rate: 20/s}}
  management: {scale: {share: 100%, rate: 20/s}}
  monitoring: {duration: 1s, lists: 1}
timeouts: {running: 1m, management: 1m, cleanup: 1m, run: 3m}
slos:
  - {sli: creation.reached, min: 100%}
  - {sli: scheduling.unexpected, max: 0}
  - {sli: scheduling.violations, max: 0}
  - {sli: cleanup.leftovers, max: 0}
"""


@pytest.fixture
def result(planebench: Planebench, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "everything.yaml").write_text(SCENARIO)
    command = planebench("run", "everything.yaml", "--out", "run")
    found: dict[str, Any] = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["status"] == "completed", command.errors
    return found


def test_everything_comes_up_and_goes(result: dict[str, Any], tmp_path: Path) -> None:
    rows = {row["sli"]: row for stage in result["stages"] for row in stage["rows"]}
    assert {slo["sli"]: slo["verdict"] for slo in result["slos"] if slo["verdict"] == "FAIL"} == {}
    counts = result["counts"]
    assert (counts["planned"], counts["up"], counts["leftovers"]) == (10, 8, 0)
    assert (counts["unschedulable"], counts["refused"]) == (1, 1)
    for sli in ("scheduling.refused", "creation.refused"):
        assert (rows[sli]["n"], rows[sli]["missing"]) == (1, 0)
    [refusal] = [error for error in result["errors"] if error["phase"] == "creation"]
    assert "quota: limited" in refusal["error"], "exceeded, or not yet counted"
    assert any("didn't match Pod's node affinity/selector" in one["reason"] for one in result["stuck"])
    children = {"web": 2, "job": 2, "daemonset": 1}
    for kind, number in children.items():
        row = rows[f"management.children.{kind}"]
        assert (row["n"], row["missing"]) == (number, 0)
    for sli, number in (
        ("management.endpoints", 2),
        ("management.change.scale", 2),
        ("cleanup.collected", 5),
        ("cleanup.net", 1),
    ):
        assert (rows[sli]["n"], rows[sli]["missing"]) == (number, 0), sli
    found = result["distribution"]
    assert found["pods"] == 2 + 2 * 2 + 4, "the Jobs' pods have run to their end"
    assert [row["eligible"] for row in found["per_node"]] == [True] * 4 + [False]
    assert found["violations"] == []
    drain, fault = json.loads((tmp_path / "run" / "run.json").read_text())["faults"]
    assert drain["nodes"] == ["node-000000", "node-000002"]
    assert (rows["management.drained"]["n"], rows["management.drained"]["missing"]) == (2, 0)
    assert rows["management.evicted"]["n"] == len(drain["evictions"])
    assert len(fault["nodes"]) == 2
    assert fault["end_ns"] - fault["start_ns"] > 500_000_000
    assert rows["monitoring.node_unknown"]["n"] == 0, "too short to be noticed"
