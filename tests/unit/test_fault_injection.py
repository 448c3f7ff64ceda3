"""When faults are brought about and taken back, whatever happens; the faults themselves are made up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from planebench import scenario
from planebench.model import Progress
from planebench.results import RunFolder
from planebench.run import faults
from planebench.run.faults import Conditions, Faults, Surroundings, injection
from planebench.run.faults.fault import Struck
from planebench.run.listener import Silent
from planebench.run.record import Recorder

SCENARIO = """
apiVersion: planebench.dev/v1
name: faults
nodes: [{count: 1}]
workload: {count: 1, objects: [{template: pod}]}
faults:
"""


class Played:
    """A made-up fault; ``log`` has what was asked of all of them, in order."""

    def __init__(self, number: int, log: list[str], *, recovers_s: float = 0.0, fails: bool = False) -> None:
        self.number, self.log, self.recovers_s, self.fails = number, log, recovers_s, fails

    async def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def strike(self) -> Struck:
        self.log.append(f"strike {self.number}")
        if self.fails:
            raise RuntimeError("it does not work")
        return Struck(processes=(f"process-{self.number}",))

    async def undo(self) -> None:
        self.log.append(f"undo {self.number}")

    async def recovered(self) -> None:
        await asyncio.sleep(self.recovers_s)
        self.log.append(f"recovered {self.number}")


class Engine:
    """Says that the nodes are Ready."""

    async def until(self, predicate: Any, timeout_s: float) -> bool:
        return bool(predicate(Progress(0, current={"nodes": {"ready": 1}})))


class Case:
    def __init__(self, tmp_path: Path, wanted: str, monkeypatch: pytest.MonkeyPatch, **played: Any) -> None:
        self.log: list[str] = []
        self.folder = RunFolder.create(tmp_path / "run")
        parsed = scenario.parse(SCENARIO + wanted)
        made = {number: Played(number, self.log, **played) for number in range(len(parsed.faults))}
        monkeypatch.setattr(injection, "make", lambda number, wanted, around: made[number])
        around = Surroundings(parsed, *cast(Any, (None, None, None)))
        recorder = Recorder(self.folder, {"id": "1", "scenario": "x", "seed": 1}, time.monotonic_ns(), Silent())
        self.faults = Faults(around, cast(Any, Engine()), recorder)

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder.path / "run.json").read_text())["faults"])


@contextlib.asynccontextmanager
async def during(case: Case, stage: str = "creation") -> AsyncIterator[None]:
    async with asyncio.timeout(20), case.faults.during(stage):
        yield


async def test_a_fault_is_brought_about_taken_back_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(tmp_path, "  - {kind: kill, component: etcd, at: 10ms, for: 20ms}", monkeypatch)
    async with during(case):
        pass
    assert case.log == ["strike 0", "undo 0", "recovered 0"], "the stage waits for it"
    [record] = case.records
    assert (record["kind"], record["name"], record["target"]) == ("kill", "kill-etcd", "etcd")
    assert (record["processes"], record["stage"]) == (["process-0"], "creation")
    assert 0 < record["start_ns"] <= record["struck_ns"] < record["end_ns"] <= record["ready_ns"]
    assert record["end_ns"] - record["struck_ns"] >= 20_000_000


async def test_only_those_of_the_stage_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path, "  - {kind: kill, component: etcd, stage: monitoring}", monkeypatch)
    async with during(case):
        pass
    assert case.log == []
    assert (case.faults.any("creation"), case.faults.any("monitoring")) == (False, True)


async def test_a_later_fault_waits_for_one_that_takes_longer_than_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "  - {kind: kill, component: etcd}\n  - {kind: kill, component: kwok, at: 20ms}"
    case = Case(tmp_path, wanted, monkeypatch, recovers_s=0.1)
    async with during(case):
        pass
    assert case.log == ["strike 0", "undo 0", "recovered 0", "strike 1", "undo 1", "recovered 1"]
    first, second = case.records
    assert second["start_ns"] - first["ready_ns"] >= 20_000_000, "and keeps the distance that was planned"


async def test_faults_that_are_to_go_on_together_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = "  - {kind: pause, component: etcd, for: 50ms}\n  - {kind: kill, component: kwok, at: 10ms}"
    case = Case(tmp_path, wanted, monkeypatch)
    async with during(case):
        pass
    assert case.log[:2] == ["strike 0", "strike 1"]


async def test_a_run_that_ends_takes_its_faults_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path, "  - {kind: pause, component: etcd, for: 1m}", monkeypatch)
    with pytest.raises(RuntimeError, match="the stage broke"):
        async with during(case):
            while not case.log:  # noqa: ASYNC110 (it is another task that writes it)
                await asyncio.sleep(0.001)
            raise RuntimeError("the stage broke")
    assert case.log == ["strike 0", "undo 0"]
    [record] = case.records
    assert record["struck_ns"] > 0
    assert (record["end_ns"], record["ready_ns"]) == (-1, -1)


async def test_half_a_strike_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path, "  - {kind: kill, component: etcd}", monkeypatch, fails=True)
    with pytest.raises(RuntimeError, match="it does not work"):
        async with during(case):
            pass
    assert case.log == ["strike 0", "undo 0"]
    [record] = case.records
    assert record["struck_ns"] == -1


async def test_what_does_not_get_ready_again_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = "  - {kind: kill, component: etcd}\ntimeouts: {cluster: 50ms}"
    case = Case(tmp_path, wanted, monkeypatch, recovers_s=5)
    async with during(case):
        pass
    [record] = case.records
    assert record["end_ns"] > 0
    assert record["ready_ns"] == -1


def test_processes_of_a_cluster_that_stays_up_are_left_alone() -> None:
    wanted = scenario.parse(
        SCENARIO + "  - {kind: node-silence, nodes: 1, for: 1s}\n  - {kind: kill, component: etcd}"
    )
    assert list(faults.unavailable(wanted, Conditions())) == []
    [line] = faults.unavailable(wanted, Conditions(kept=True))
    assert line.startswith("faults[1]: kill is not available: ")
    assert "leave --keep-up out" in line
