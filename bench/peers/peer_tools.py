"""The tools that are compared: what each is given for the same workload, and what it says of it.

The workload: ``pods`` bare pods at ``rate`` per second in one namespace, until all are Running; then all are
removed. Each configuration is as small as the tool permits. The figures are those that the tool itself writes.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from audit_oracle import Truth

from planebench.stats import Sample

NAMESPACE = "peers"
LABELS = {"group": "peers"}
_LIMIT = "10m"


@dataclass(frozen=True, slots=True)
class Load:
    """What every tool is asked for."""

    pods: int
    rate: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Reported:
    """A tool's own figures, in seconds; NaN where it has none."""

    p50_s: float
    p99_s: float
    count: int | None
    """Of how many pods; None: it does not say."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One of them."""

    name: str
    measures: Literal["startup", "created"]
    """From a pod's creation until it runs, or until the answer."""
    command: Callable[[Load, Path, Path], Sequence[str]]
    """Load, kubeconfig, a folder of its own -> its command line. Writes its configuration into that folder."""
    reported: Callable[[Path], Reported]
    """The folder, after its end -> its figures. Raises ValueError where there are none."""
    brings_nodes: bool = False
    """It makes its nodes itself; for the others the cluster has them already."""
    exit_codes: tuple[int, ...] = (0,)
    """Those of a run to the end."""
    apart: tuple[str, ...] = ()
    """Programs that it starts and that are not its own work."""
    needs: str = ""
    """A namespace that has to be there."""

    def truth(self, truth: Truth) -> Sample:
        """What its figures are of, in seconds; pods that never ran are missing."""
        if self.measures == "created":
            return Sample.of(truth.created_s)
        return Sample.of(truth.startup_s, len(truth.created_s) - len(truth.startup_s))


def pod(name: str, namespace: str | None) -> dict[str, Any]:
    """The same one that planebench's workload ``pod`` makes, but for its labels."""
    resources = {"cpu": "500m", "memory": "1Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": LABELS} | ({"namespace": namespace} if namespace else {}),
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [
                {
                    "name": "app",
                    "image": "registry.k8s.io/pause:3.10.1",
                    "resources": {"requests": resources, "limits": resources},
                }
            ],
        },
    }


# --- planebench ---


def planebench() -> Tool:
    def command(load: Load, kubeconfig: Path, folder: Path) -> Sequence[str]:
        scenario = {
            "apiVersion": "planebench.dev/v1",
            "name": "peers",
            "plane": "core",
            "nodes": [{"name": "node", "count": load.nodes}],
            "workload": {"count": load.pods, "objects": [{"template": "pod"}]},
            "lifecycle": {
                "creation": {"arrival": {"pattern": "constant", "rate": f"{load.rate}/s"}},
                "monitoring": {"duration": "0s"},
                "cleanup": {"rate": f"{load.rate}/s"},
            },
        }
        _write(folder / "scenario.yaml", scenario)
        arguments = ["run", "scenario.yaml", "--kubeconfig", str(kubeconfig), "--out", "run"]
        return [sys.executable, "-m", "planebench", *arguments]

    def reported(folder: Path) -> Reported:
        return planebench_figures((folder / "run" / "result.json").read_text())

    # 3: the figures do not permit a verdict, for instance because the machine was not its own.
    return Tool("planebench", "startup", command, reported, brings_nodes=True, exit_codes=(0, 3), apart=("kwok",))


def planebench_figures(result: str) -> Reported:
    """Of ``result.json``. Infinite is a percentile of pods that never came up."""
    rows = [row for stage in json.loads(result)["stages"] for row in stage["rows"]]
    for row in rows:
        if row["sli"] == "creation.startup" and not row["part_of"]:
            p50_s, p99_s = [math.inf if row[name] is None else row[name] for name in ("p50", "p99")]
            return Reported(p50_s, p99_s, row["n"] - row["missing"])
    raise ValueError("result.json has no creation.startup")


# --- kube-burner ---


def kube_burner(binary: Path) -> Tool:
    def command(load: Load, kubeconfig: Path, folder: Path) -> Sequence[str]:
        job = {
            "name": "pods",
            "jobIterations": load.pods,
            "qps": load.rate,
            "burst": 1,
            "namespace": NAMESPACE,
            "namespacedIterations": False,
            "waitWhenFinished": True,
            "maxWaitTimeout": _LIMIT,
            "preLoadImages": False,
            "objects": [{"objectTemplate": "pod.yml", "replicas": 1}],
        }
        configuration = {
            "global": {"gc": True, "measurements": [{"name": "podLatency"}]},
            "metricsEndpoints": [{"indexer": {"type": "local", "metricsDirectory": "metrics"}}],
            "jobs": [job],
        }
        _write(folder / "config.yml", configuration)
        _write(folder / "pod.yml", pod("pod-{{.Iteration}}", None))
        return [str(binary), "init", "-c", "config.yml", "--kubeconfig", str(kubeconfig), "--timeout", _LIMIT]

    def reported(folder: Path) -> Reported:
        metrics = folder / "metrics"
        documents = ("podLatencyQuantilesMeasurement-pods.json", "podLatencyMeasurement-pods.json")
        quantiles, each = [metrics / name for name in documents]
        if not quantiles.exists():  # it says so in its log ("empty document list"), and ends with exit status 0
            return Reported(math.nan, math.nan, 0)
        return kube_burner_figures(quantiles.read_text(), each.read_text())

    return Tool("kube-burner", "startup", command, reported)


def kube_burner_figures(quantiles: str, pods: str) -> Reported:
    """Of the documents ``podLatencyQuantilesMeasurement`` and ``podLatencyMeasurement``; milliseconds."""
    for item in json.loads(quantiles):
        if item["quantileName"] == "Ready":
            return Reported(item["P50"] / 1e3, item["P99"] / 1e3, len(json.loads(pods)))
    raise ValueError("there are no quantiles of Ready")


# --- ClusterLoader2 ---


def cluster_loader(binary: Path) -> Tool:
    def command(load: Load, kubeconfig: Path, folder: Path) -> Sequence[str]:
        def measurement(method: str, **parameters: Any) -> dict[str, Any]:
            selector = ", ".join(f"{key} = {value}" for key, value in LABELS.items())
            given = {"labelSelector": selector, **parameters}
            return {"measurements": [{"Identifier": method, "Method": method, "Params": given}]}

        def phase(count: int) -> dict[str, Any]:
            bundle = [{"basename": "pod", "objectTemplatePath": "pod.yaml"}]
            return {
                "phases": [
                    {
                        "namespaceRange": {"min": 1, "max": 1},
                        "replicasPerNamespace": count,
                        "tuningSet": "Steady",
                        "objectBundle": bundle,
                    }
                ]
            }

        configuration = {
            "name": "peers",
            "namespace": {"number": 1},
            "tuningSets": [{"name": "Steady", "qpsLoad": {"qps": load.rate}}],
            "steps": [
                {"name": "start", **measurement("PodStartupLatency", action="start", threshold="1h")},
                {"name": "create", **phase(load.pods)},
                {"name": "wait", **measurement("WaitForRunningPods", desiredPodCount=load.pods, timeout=_LIMIT)},
                {"name": "gather", **measurement("PodStartupLatency", action="gather")},
                {"name": "delete", **phase(0)},
            ],
        }
        _write(folder / "config.yaml", configuration)
        _write(folder / "pod.yaml", pod("{{.Name}}", None))
        return [
            str(binary),
            "--provider=local",
            f"--kubeconfig={kubeconfig}",
            "--testconfig=config.yaml",
            "--report-dir=report",
            "--enable-exec-service=false",
            "--v=0",  # from 2 on it logs the kubeconfig with its keys
        ]

    def reported(folder: Path) -> Reported:
        found = sorted((folder / "report").glob("PodStartupLatency_*.json"))
        if not found:
            raise ValueError("there is no PodStartupLatency")
        return cluster_loader_figures(found[0].read_text())

    return Tool("ClusterLoader2", "startup", command, reported)


def cluster_loader_figures(summary: str) -> Reported:
    """Of the summary ``PodStartupLatency``."""
    for item in json.loads(summary)["dataItems"]:
        if item["labels"]["Metric"] == "pod_startup":
            if item["unit"] != "ms":
                raise ValueError(f"PodStartupLatency is in {item['unit']}, not in ms")
            return Reported(item["data"]["Perc50"] / 1e3, item["data"]["Perc99"] / 1e3, None)
    raise ValueError("there is no pod_startup")


# --- kperf ---


def kperf(binary: Path) -> Tool:
    """It has pods of its own kind, waits for nothing but the answers, and removes nothing."""

    def command(load: Load, kubeconfig: Path, folder: Path) -> Sequence[str]:
        request = {"version": "v1", "resource": "pods", "namespace": NAMESPACE, "deleteRatio": 0}
        spec = {
            "rate": load.rate,
            "total": load.pods,
            "conns": 10,
            "client": 10,
            "contentType": "json",
            "requests": [{"shares": 1, "postDel": request}],
        }
        _write(folder / "profile.yaml", {"version": 1, "specs": [spec]})
        arguments = ["--kubeconfig", str(kubeconfig), "--config", "profile.yaml", "--result", "result.json"]
        return [str(binary), "runner", "run", *arguments]

    def reported(folder: Path) -> Reported:
        return kperf_figures((folder / "result.json").read_text())

    return Tool("kperf", "created", command, reported, needs=NAMESPACE)


def kperf_figures(result: str) -> Reported:
    """Of its result: seconds by URL, of which there is one."""
    whole = json.loads(result)["aggregated"]
    by_url: Mapping[str, Sequence[tuple[float, float]]] = whole["percentileLatenciesByURL"]
    if len(by_url) != 1:
        raise ValueError(f"there are latencies of {len(by_url)} URLs, not of one")
    [pairs] = by_url.values()
    seconds = dict(pairs)
    return Reported(seconds[0.5], seconds[0.99], whole["total"] - sum(whole.get("errorStats", {}).values()))


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False))
