"""What a recovery reads out of the components' metrics, and what a run demands of a checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
from made_checkpoint import saved
from typer.testing import CliRunner

from planebench import scenario
from planebench.cli.checkpoint import app
from planebench.cluster import checkpoint as checkpoints
from planebench.cluster.checkpoint import Checkpoint
from planebench.model import UsageError
from planebench.plan import RUN_LABEL
from planebench.run import restored
from planebench.run.recovery import ApiLoad, Recovery, api_load, queued
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


def test_a_checkpoint_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Checkpoint] = []
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
        (saved(), "pod-density", {"topology": "{kwok: 2}"}, "shared out among 1 kwok, .*--set topology.kwok=1"),
        (
            saved("kubevirt", replicas=9),
            "kubevirt-density",
            {},
            "has replicas=9, .*--set settings.replicas=9",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit(
    full: Checkpoint, name: str, overrides: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        demand_fitting(full, scenario.load(name, overrides))


def test_one_saved_later_under_the_same_name_is_another_one() -> None:
    assert saved(files={"db": "1"}).sha256 == saved(files={"db": "1"}).sha256
    assert len({saved(files=files).sha256 for files in ({}, {"db": "1"}, {"db": "2"}, {"log": "1"})}) == 4


async def test_nodes_by_the_names_of_the_run_s_become_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nodes:
        """A client of a cluster with three of the run's nodes, and one of others."""

        def __init__(self) -> None:
            self.patched: list[str] = []

        async def list_metadata(self, path: str, **_: str) -> list[dict[str, Any]]:
            assert path == "/api/v1/nodes"
            return [{"metadata": {"name": name}} for name in [*names[:3], "of-others"]]

        async def patch(self, path: str, change: dict[str, Any]) -> None:
            assert change == {"metadata": {"labels": {RUN_LABEL: "r1"}}}
            self.patched.append(path.rpartition("/")[2])

    async def played(_: Any) -> None:
        assert not nodes.patched, "only afterwards"

    smoke = scenario.load("smoke")
    names = [smoke.nodes[0].node(number) for number in range(smoke.nodes[0].count)]
    monkeypatch.setattr(restored, "nodes_played", played)
    nodes = Nodes()
    await restored.take_over(object(), nodes, smoke, "r1")  # type: ignore[arg-type]
    assert sorted(nodes.patched) == sorted(names[:3])


def test_what_is_told_of_recoveries(monkeypatch: pytest.MonkeyPatch) -> None:
    load = ApiLoad({"GET": 300, "PUT": 9}, watches=120, rejected=0, list_bytes=2 << 20, list_mean_s=0.012)
    seconds, seeds = iter((4.0, 5.0, 9.0)), list[int]()

    async def recover(checkpoint: Checkpoint, _: Any, *, clients: int, seed: int) -> Recovery:
        assert (checkpoint, clients) == (saved(), 20)
        seeds.append(seed)
        steps_s = {"all nodes played": next(seconds), "etcd": 0.5}
        return Recovery(steps_s, load, {"etcd": 0.7}, {"etcd": 64 << 20}, 1.5)

    monkeypatch.setattr(checkpoints, "get", {"full": saved()}.__getitem__)
    monkeypatch.setattr("planebench.run.recovery.recover", recover)
    asked = CliRunner().invoke(app, ["recovery", "full", "--clients", "20"], env={"COLUMNS": "100"})
    assert asked.exit_code == 0, asked.output
    assert seeds == [1, 2, 3]
    lines = [" ".join(line.split()) for line in asked.stdout.splitlines()]
    assert lines == [
        "checkpoint 'full': 1,000 nodes, 5,000 pods, 20 further clients; 3 trials: median (least to most)",
        "etcd, after 0.50 s",
        "all nodes played, after 5.00 s (4.00 s to 9.00 s)",
        "API server: GET requests 300",
        "API server: watches that go on 120",
        "API server: requests rejected 0",
        "API server: mean LIST 12.0 ms",
        "API server: answers to LISTs 2.0 MiB",
        "etcd: CPU 0.70 s",
        "planebench and further clients: CPU 1.50 s",
        "etcd: peak memory 64.0 MiB",
    ]
