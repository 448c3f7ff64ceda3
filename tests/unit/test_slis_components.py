"""What components have cost, and what they say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import SyntheticRun, pods

from planebench import slis
from planebench.model import Role, Stage
from planebench.results.document import Component, Result


def components(run: SyntheticRun, folder: Path) -> dict[str, Component]:
    return {component.name: component for component in slis.evaluate(run.write(folder / "run")).components}


def empty_run() -> SyntheticRun:
    """Creation from 10 to 20 s, management from 20 to 30 s, cleanup from 40 to 50 s."""
    run = SyntheticRun()
    run.phase("creation", Stage.CREATION, 10, 20)
    run.phase("patch", Stage.MANAGEMENT, 20, 30)
    run.phase("cleanup", Stage.CLEANUP, 40, 50)
    return run


def test_cpu_by_stage_is_linear_between_samples(tmp_path: Path) -> None:
    run = empty_run()
    for t_s, cpu_s in ((0, 1.0), (10, 2.0), (15, 7.0), (25, 9.0), (50, 14.0)):
        run.sample(t_s, "etcd", "etcd", "subject", cpu_s)
    found = components(run, tmp_path)["etcd"]
    assert found.cpu_s == 14
    # 15 to 25 s: 0.2 a second, so 8 at 20 s; 25 to 50 s as well, so 10 at 30 s and 12 at 40 s.
    assert found.cpu_by_stage_s == {"creation": 6, "management": 2, "cleanup": 2, "other": 4}


def test_cpu_goes_on_after_a_restart(tmp_path: Path) -> None:
    run = empty_run()
    for t_s, cpu_s in ((0, 0.0), (10, 4.0), (20, 6.0), (21, 0.5), (50, 1.5)):
        run.sample(t_s, "etcd", "etcd", "subject", cpu_s)
    found = components(run, tmp_path)["etcd"]
    assert found.cpu_s == 7.5
    assert found.cpu_by_stage_s["creation"] == 2


def test_a_component_of_several_processes_is_their_sum(tmp_path: Path) -> None:
    run = empty_run()
    for name, cpu_s, rss in (("kwok-0", 3.0, 100), ("kwok-1", 4.0, 50)):
        run.sample(0, name, "kwok", "simulator", 0, rss * 2)
        run.sample(50, name, "kwok", "simulator", cpu_s, rss)
    found = components(run, tmp_path)["kwok"]
    assert (found.cpu_s, found.peak_rss_bytes, found.processes) == (7, 300, ("kwok-0", "kwok-1"))
    assert (found.role, found.title) == (Role.SIMULATOR, "KWOK (simulator)")


def test_their_order(tmp_path: Path) -> None:
    run = empty_run()
    for name, role in (
        ("planebench", "harness"),
        ("kwok", "simulator"),
        ("virt-controller", "subject"),
        ("virt-api", "subject"),
        ("kube-controller-manager", "subject"),
        ("kube-scheduler", "subject"),
        ("etcd", "subject"),
        ("kube-apiserver", "subject"),
    ):
        run.sample(0, name, name, role, 1)
    assert list(components(run, tmp_path)) == [
        "kube-apiserver",
        "etcd",
        "kube-scheduler",
        "kube-controller-manager",
        "virt-api",
        "virt-controller",
        "kwok",
        "planebench",
    ]


def test_what_was_not_measured_is_not_zero(tmp_path: Path) -> None:
    run = empty_run()
    run.scrape(1, "etcd", "etcd", "process_start_time_seconds 1\n")
    found = components(run, tmp_path)["etcd"]
    assert (found.cpu_s, found.cpu_by_stage_s, found.peak_rss_bytes) == (None, {}, None)
    assert (found.requests, found.errors, found.rate_per_s, found.latency, found.metrics) == (None,) * 4 + ((),)


def test_the_harness_answers_for_the_load(tmp_path: Path) -> None:
    run, _ = pods(count=20, refused=[1])
    run.sample(0, "planebench", "planebench", "harness", 0.5)
    found = components(run, tmp_path)["planebench"]
    asked = [request for request in run.requests if request["stage"]]
    assert (found.requests, found.errors) == (len(asked), 1)
    assert found.latency is not None
    assert (found.latency.sli, found.latency.n, found.latency.p99) == ("harness.lateness", len(asked), 0.0001)


def test_the_simulator_is_told_by_what_it_plays(tmp_path: Path) -> None:
    run, truth = pods(count=20)
    run.sample(0, "kwok", "kwok", "simulator", 0.5)
    found = components(run, tmp_path)["kwok"]
    played = [startup_s - bound_s for startup_s, bound_s in zip(truth.startup_s, truth.bound_s, strict=True)]
    assert found.latency is not None
    assert found.latency.sli == "management.transition.pods.scheduled-running"
    assert found.latency.max == pytest.approx(max(played), abs=2e-9)
    assert found.latency.simulated


CLIENT = """process_start_time_seconds 1
# TYPE rest_client_requests_total counter
rest_client_requests_total{{code="200",host="a",method="GET"}} {ok}
rest_client_requests_total{{code="201",host="a",method="POST"}} {ok}
rest_client_requests_total{{code="429",host="a",method="POST"}} {throttled}
rest_client_requests_total{{code="<error>",host="a",method="POST"}} {lost}
# TYPE rest_client_rate_limiter_duration_seconds histogram
rest_client_rate_limiter_duration_seconds_bucket{{host="a",verb="POST",le="0.1"}} {ok}
rest_client_rate_limiter_duration_seconds_bucket{{host="a",verb="POST",le="+Inf"}} {ok}
rest_client_rate_limiter_duration_seconds_sum{{host="a",verb="POST"}} {ok}
rest_client_rate_limiter_duration_seconds_count{{host="a",verb="POST"}} {ok}
# HELP kubevirt_workqueue_retries_total [ALPHA] Retries.
# TYPE kubevirt_workqueue_retries_total counter
kubevirt_workqueue_retries_total{{name="virt-controller-vmi"}} {ok}
kubevirt_workqueue_retries_total{{name="virt-controller-vm"}} 7
"""


def test_a_client_s_requests_and_queues(tmp_path: Path) -> None:
    run = empty_run()
    run.scrape(9, "virt-controller", "virt-controller", CLIENT.format(ok=10, throttled=1, lost=0))
    run.scrape(52, "virt-controller", "virt-controller", CLIENT.format(ok=110, throttled=4, lost=2))
    found = components(run, tmp_path)["virt-controller"]
    assert (found.requests, found.errors) == (205, 5)
    assert found.rate_per_s == pytest.approx(205 / 43)
    rows = {row.sli: row for row in found.metrics}
    assert rows["client.limiter"].n == 100
    assert rows["client.limiter"].value == 1, "the mean"
    assert rows["queue.retries"].value == 100
    assert rows["queue.retries.virt-controller-vmi"].part_of == "queue.retries"
    assert "queue.retries.virt-controller-vm" not in rows, "it has not grown"
    assert found.latency == rows["client.limiter"]


ETCD = """process_start_time_seconds 1
etcd_disk_wal_fsync_duration_seconds_bucket{{le="0.001"}} {n}
etcd_disk_wal_fsync_duration_seconds_bucket{{le="0.002"}} {twice}
etcd_disk_wal_fsync_duration_seconds_bucket{{le="+Inf"}} {twice}
etcd_disk_wal_fsync_duration_seconds_sum {n}
etcd_disk_wal_fsync_duration_seconds_count {twice}
etcd_server_slow_apply_total {n}
etcd_mvcc_db_total_size_in_bytes {n}000
grpc_server_handled_total{{grpc_code="OK"}} {n}
grpc_server_handled_total{{grpc_code="Unavailable"}} {n}
"""


def test_gauges_counters_and_histograms(tmp_path: Path) -> None:
    run = empty_run()
    run.scrape(9, "etcd", "etcd", ETCD.format(n=10, twice=20))
    run.scrape(51, "etcd", "etcd", ETCD.format(n=30, twice=60))
    found = components(run, tmp_path)["etcd"]
    rows = {row.sli: row for row in found.metrics}
    fsync = rows["etcd.fsync"]
    assert (fsync.n, fsync.p50, fsync.p99_low, fsync.p99_high, fsync.max) == (40, 0.001, 0.001, 0.002, 0.002)
    assert fsync.p99 == pytest.approx(0.00198)
    assert (rows["etcd.slow_apply"].value, rows["etcd.slow_apply"].unit) == (20, "count")
    assert (rows["etcd.size"].value, rows["etcd.size"].unit) == (30000, "bytes"), "a gauge is a level"
    assert (found.requests, found.errors) == (40, 20)
    assert found.latency == fsync


def test_only_the_largest_parts_are_told(tmp_path: Path) -> None:
    run = empty_run()
    lines = ["process_start_time_seconds 1", "# TYPE apiserver_request_total counter"]

    def text(scale: int) -> str:
        codes = [f'apiserver_request_total{{code="{200 + n}"}} {n * scale}' for n in range(20)]
        return "\n".join([*lines, *codes, ""])

    run.scrape(9, "kube-apiserver", "kube-apiserver", text(1))
    run.scrape(51, "kube-apiserver", "kube-apiserver", text(2))
    rows = components(run, tmp_path)["kube-apiserver"].metrics
    assert [row.sli for row in rows] == [
        "apiserver.codes",
        *(f"apiserver.codes.{200 + n}" for n in range(19, 7, -1)),
        "apiserver.errors",
    ]
    assert rows[-1].value == 0, "the counter is there, and no 429 or 5xx in it"
    assert rows[0].value == 190


def test_no_stage_no_figures(tmp_path: Path) -> None:
    run = SyntheticRun(status="broken", error="no")
    run.scrape(9, "etcd", "etcd", ETCD.format(n=10, twice=20))
    run.scrape(51, "etcd", "etcd", ETCD.format(n=30, twice=60))
    assert components(run, tmp_path)["etcd"].metrics == ()


def test_a_first_scrape_that_is_torn_gives_no_figures(tmp_path: Path) -> None:
    """Without it everything since the process's start would seem to be the run's."""
    run = empty_run()
    for t_s, n in ((9, 10), (51, 30)):
        run.scrape(t_s, "x", "x", f'rest_client_requests_total{{code="200"}} {n}\n')
    folder = run.write(tmp_path / "run")
    (folder / "raw" / "scrapes" / "0" / "x.prom.gz").write_bytes(b"")
    (found,) = slis.evaluate(folder).components
    assert found.requests is None


def test_a_result_is_the_same_from_its_text(tmp_path: Path) -> None:
    run, _ = pods(count=20)
    run.scrape(9, "etcd", "etcd", ETCD.format(n=10, twice=20))
    run.scrape(151, "etcd", "etcd", ETCD.format(n=30, twice=60))
    result = slis.evaluate(run.write(tmp_path / "run"))
    assert Result.model_validate_json(result.model_dump_json()) == result
