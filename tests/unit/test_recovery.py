"""What a recovery reads out of the components' metrics, and what a run demands of a checkpoint."""

from __future__ import annotations

from typing import Any

import pytest

from planebench import scenario
from planebench.cluster import checkpoint as checkpoints
from planebench.cluster.checkpoint import Checkpoint
from planebench.cluster.named import ServedConfig
from planebench.model import UsageError
from planebench.run.recovery import api_load, queued
from planebench.run.restored import demand_fitting, description

API_SERVER = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="pods",verb="LIST"} 3
apiserver_request_total{code="200",resource="nodes",verb="LIST"} 1
apiserver_request_total{code="429",resource="pods",verb="GET"} 2
apiserver_request_total{code="200",resource="pods",verb="GET"} 40
# TYPE apiserver_longrunning_requests gauge
apiserver_longrunning_requests{resource="pods",verb="WATCH"} 7
apiserver_longrunning_requests{resource="pods",verb="CONNECT"} 1
# TYPE apiserver_request_duration_seconds histogram
apiserver_request_duration_seconds_bucket{verb="LIST",le="+Inf"} 4
apiserver_request_duration_seconds_sum{verb="LIST"} 0.5
apiserver_request_duration_seconds_count{verb="LIST"} 4
apiserver_request_duration_seconds_sum{verb="GET"} 9
apiserver_request_duration_seconds_count{verb="GET"} 9
# TYPE apiserver_response_sizes histogram
apiserver_response_sizes_bucket{verb="LIST",le="+Inf"} 4
apiserver_response_sizes_sum{verb="LIST"} 4096
apiserver_response_sizes_count{verb="LIST"} 4
"""


def test_what_api_servers_were_asked() -> None:
    load = api_load([API_SERVER, API_SERVER])
    assert load.requests == {"GET": 84, "LIST": 8}
    assert (load.watches, load.rejected, load.list_bytes) == (14, 4, 8192)
    assert load.list_mean_s == pytest.approx(0.125)


def test_an_api_server_that_nobody_asked() -> None:
    load = api_load([""])
    assert (load.requests, load.watches, load.list_mean_s) == ({}, 0, 0.0)


def test_what_waits_in_queues() -> None:
    assert queued('# TYPE workqueue_depth gauge\nworkqueue_depth{name="a"} 2\nworkqueue_depth{name="b"} 1\n') == 3
    assert queued('# TYPE workqueue_adds_total counter\nworkqueue_adds_total{name="a"} 2\n') == 0


def saved(plane: str = "core", **settings: Any) -> Checkpoint:
    return Checkpoint(
        format=1,
        name="full",
        cluster="default",
        plane=plane,
        planebench="0.1.0",
        saved_wall_s=0.0,
        pause_s=0.1,
        nodes=1000,
        pods=5000,
        served=ServedConfig("default", plane, {"settings": settings}, {}),
        files=[],
    )


def test_a_checkpoint_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    monkeypatch.setattr(checkpoints, "demand_whole", looked_at.append)
    full = saved()
    demand_fitting(full, scenario.load("smoke", {"plane": "core"}))
    assert looked_at == [full]
    assert description(full) == "started from checkpoint full (1,000 nodes, 5,000 pods), with empty caches"


@pytest.mark.parametrize(
    ("full", "name", "overrides", "words"),
    [
        (saved("kubevirt"), "pod-density", {}, "is of plane kubevirt, the scenario's is core"),
        (saved(), "pod-density", {"topology": "{etcd: 3}"}, "leave topology.etcd out"),
        (saved("kubevirt", api_qps=1), "kubevirt-density", {}, "--set settings.api_qps=1"),
    ],
)
def test_a_checkpoint_that_does_not_fit(
    full: Checkpoint, name: str, overrides: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        demand_fitting(full, scenario.load(name, overrides))
