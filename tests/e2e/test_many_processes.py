"""The load sent from several processes, Dask workers, and hosts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import Planebench, left_running
from dask_cluster import dask

from planebench.results.document import Finding, Result

SMALL = ("--no-report", "--nodes", "3", "--set", "workload.count=20", "--set", "lifecycle.monitoring.duration=1s")
WENT_WELL = "20 planned, 20 created, 20 scheduled, 20 up, 20 deleted, 0 failed, 0 left over"


def result_of(run: Path) -> Result:
    return Result.model_validate_json((run / "result.json").read_bytes())


def check(result: Result, name: str) -> Finding:
    return next(finding for finding in result.validity if finding.name == name)


def senders(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "raw" / "harness.json").read_bytes())["senders"]
    return found


def test_several_processes_send_one_load(planebench: Planebench, tmp_path: Path) -> None:
    command = planebench("run", "smoke", "--out", "run", *SMALL, "--load-processes", "2", "--trace")
    assert command.process.returncode == 0, command.errors + command.output
    assert WENT_WELL in command.output
    result = result_of(tmp_path / "run")
    assert check(result, "load.senders").value == "all 2"
    assert result.trace is not None, "requests are known by their number in the whole"
    requests = pl.read_parquet(tmp_path / "run" / "raw" / "requests.parquet")
    assert requests.filter(pl.col("stage") == "creation")["index"].to_list() == [*range(20)]
    assert not left_running(tmp_path / "run")


def test_dask_workers_send_the_load(planebench: Planebench, tmp_path: Path) -> None:
    with dask(tmp_path / "dask", [("127.0.0.1", ())] * 2) as (scheduler, _):
        command = planebench("run", "smoke", "--out", "run", *SMALL, "--workers", scheduler)
    assert command.process.returncode == 0, command.errors + command.output
    assert WENT_WELL in command.output
    assert "Traceback" not in command.errors
    found = senders(tmp_path / "run")
    assert len(found) == 2
    assert all(told["clock"]["shared"] and told["connections_opened"] for told in found.values())


# --- several hosts ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def host(number: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A network namespace with an address, a way to this host and, from the second on, a clock of its own.

    Gives its address, and what stands before a command that is to run there.
    """
    name, address, gateway = f"pb-{os.getpid()}-{number}", f"10.231.{number}.2", f"10.231.{number}.1"
    here, there = f"pbh{os.getpid() % 100_000}{number}", f"pbn{os.getpid() % 100_000}{number}"
    inside = ("ip", "netns", "exec", name)

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        ip("addr", "add", f"{gateway}/24", "dev", here)
        ip("link", "set", here, "up")
        for line in (
            f"addr add {address}/24 dev {there}",
            f"link set {there} up",
            "link set lo up",
            f"route add default via {gateway}",
        ):
            ip("-n", name, *line.split())
        clock = ("unshare", "--time", "--fork", "--kill-child", "--monotonic", "100000") if number > 1 else ()
        yield address, (*inside, *clock)
    finally:
        ip("netns", "delete", name)


@pytest.mark.hosts
def test_hosts_with_clocks_of_their_own_send_the_load(
    start: Planebench, planebench: Planebench, tmp_path: Path
) -> None:
    reachable = (
        "--set", "components.kube-apiserver.flags={bind-address: 0.0.0.0}", "--workers-api-host", "10.231.1.1",
    )  # fmt: skip
    with (
        host(1) as first,
        host(2) as second,
        dask(tmp_path / "dask", [first, second], "10.231.1.1") as (scheduler, workers),
    ):
        command = planebench("run", "smoke", "--out", "run", *SMALL, "--workers", scheduler, *reachable)
        assert command.process.returncode == 0, command.errors + command.output
        assert WENT_WELL in command.output
        clocks = [told["clock"] for _, told in sorted(senders(tmp_path / "run").items())]
        assert clocks[0] == {"shared": True, "error_ms": 0.0}
        assert not clocks[1]["shared"]
        assert abs(clocks[1]["offset_ms"] - 100_000_000) <= clocks[1]["error_ms"] < 1000
        assert check(result_of(tmp_path / "run"), "load.clocks").value.startswith("to ")
        requests = pl.read_parquet(tmp_path / "run" / "raw" / "requests.parquet")
        mine = requests.filter(pl.col("stage") == "creation")
        spread_ns = (mine["sent_ns"] - mine["due_ns"]).max()
        assert isinstance(spread_ns, int)
        assert 0 <= spread_ns < 1_000_000_000, "sent by its own clock, told by ours"

        longer = (*SMALL[:-1], "lifecycle.monitoring.duration=5s")
        command = start("run", "smoke", "--out", "lost", *longer, "--workers", scheduler, *reachable)
        command.until_said("monitoring (")
        workers[1].kill()
        assert command.wait() == 3, command.errors + command.output
        assert WENT_WELL in command.output, "the other one has cleaned up"
    finding = check(result_of(tmp_path / "lost"), "load.senders")
    assert not finding.ok
    assert second[0] in finding.value
    assert re.search(r"lost (before|in) monitoring", finding.value)
