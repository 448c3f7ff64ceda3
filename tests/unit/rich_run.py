"""A run folder with something of everything, for reports: samples, scrapes, gaps, errors, an environment."""

from __future__ import annotations

import math
from pathlib import Path

from synthetic_run import looked_at, ns, pods

from planebench.results import RunFolder

COMPONENTS = (
    ("etcd", "etcd", "subject", 0.12, 60),
    ("kube-apiserver", "kube-apiserver", "subject", 0.4, 320),
    ("kube-scheduler", "kube-scheduler", "subject", 0.08, 90),
    ("kube-controller-manager", "kube-controller-manager", "subject", 0.06, 110),
    ("kwok-0", "kwok", "simulator", 0.1, 80),
    ("kwok-1", "kwok", "simulator", 0.1, 80),
    ("load-engine", "planebench", "harness", 0.05, 40),
)
"""Process, component, role, cores in use on average, MiB."""
HOSTILE = "</script><img src=x onerror=alert(1)> & \"quoted\" 'text'"
"""What an API server might say."""


def write(path: Path, count: int = 100, *, broken: bool = False) -> Path:
    """The folder of a run of ``count`` pods, of which one is refused and two never come up.

    Args:
        broken: the run broke in its last phase.
    """
    long = {"timeouts.run": "24h"} if count > 10_000 else None
    run, _ = pods(count=count, never_up=(3, 17), refused=(5,), overrides=long)
    run.requests[0]["error"] = None
    for request in run.requests:
        if request["status"] == 403:
            request["error"] = HOSTILE
    run.samples.clear()
    end_s = max(phase["end_ns"] for phase in run.phases) / 1e9
    looked_at(run, start_s=math.ceil(end_s) + 5)
    end_s = max(phase["end_ns"] for phase in run.phases) / 1e9
    used = dict.fromkeys((process for process, *_ in COMPONENTS), 0.5)
    for second in range(2, int(end_s)):
        for process, component, role, cores, mib in COMPONENTS:
            busy = 1.6 if 10 <= second < 10 + count / 20 else 0.4
            used[process] += cores * busy * (1 + 0.5 * math.sin(second / 3 + len(process)))
            run.sample(second, process, component, role, round(used[process], 3), (mib + second // 4) << 20)
    run.gap("pods", 12.0, 12.004)
    run.faults += [
        {"kind": "made-up_fault", "nodes": ["node-000000", "node-000001"], "start_ns": ns(11), "end_ns": ns(14)},
        {"kind": "another", "nodes": [], "start_ns": ns(13), "end_ns": -1},
    ]
    run.health["watches"] = {"pods": {"events": 4 * count, "read_delay_ms": {"p50": 0.07, "p99": 2.3593}}}
    for number in range(6):
        at_s = 9.5 + number * (end_s - 9.5) / 5
        run.scrape(at_s, "kube-apiserver", "kube-apiserver", _api_server(number * count))
        run.scrape(at_s + 0.01, "kube-scheduler", "kube-scheduler", _scheduler(number, count))
    if broken:
        run.status, run.error = "broken", "kube-apiserver ended with exit code 137"
        run.phases[-1]["completed"] = False
    run.write(path)
    RunFolder.open(path).write_environment(
        {
            "machine": {"system": "Linux 6.12", "cores": 2, "memory_bytes": 8 << 30},
            "components": [
                {"name": "etcd", "version": "v3.7.3", "sha256": "1eda769fcc77aec0" * 4, "size_bytes": 24_748_194},
                {"name": "kwok", "version": "v0.8.0", "sha256": "0093d1ccb63f1438" * 4, "size_bytes": 63_881_378},
            ],
            "processes": [{"name": "etcd", "role": "subject", "argv": ["etcd", "--name=planebench"]}],
            "deviations": ["etcd --quota-backend-bytes=8589934592: large runs outgrow the default of 2 GiB"],
            "settings": {"pod_cpu": "500m"},
        }
    )
    return path


def _api_server(requests: int) -> str:
    lines = ["process_start_time_seconds 1.0", f"apiserver_current_inflight_requests {requests % 7}"]
    for verb, share in (("POST", 1.0), ("PATCH", 0.5), ("DELETE", 0.25)):
        n = int(requests * share)
        labels = f'verb="{verb}",resource="pods",subresource=""'
        for bound, part in (("0.005", 0.5), ("0.025", 0.9), ("0.1", 1.0), ("+Inf", 1.0)):
            lines.append(f'apiserver_request_duration_seconds_bucket{{{labels},le="{bound}"}} {int(n * part)}')
        lines.append(f"apiserver_request_duration_seconds_sum{{{labels}}} {n * 0.008}")
        lines.append(f"apiserver_request_duration_seconds_count{{{labels}}} {n}")
        lines.append(f'apiserver_request_total{{verb="{verb}",code="200"}} {n}')
    return "\n".join(lines) + "\n"


def _scheduler(number: int, count: int) -> str:
    return "\n".join(
        [
            "process_start_time_seconds 2.0",
            f'scheduler_pending_pods{{queue="active"}} {(5 - number) % 4}',
            f'rest_client_requests_total{{code="200",method="POST"}} {number * count // 2}',
            f'rest_client_request_duration_seconds_bucket{{verb="POST",le="0.01"}} {number * count // 2}',
            f'rest_client_request_duration_seconds_bucket{{verb="POST",le="+Inf"}} {number * count // 2}',
            f'rest_client_request_duration_seconds_sum{{verb="POST"}} {number}',
            "",
        ]
    )
