"""The machine's counters as they are written."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from planebench.observe.machine import COLUMNS, MachineSampler, pressure_s
from planebench.results import RunFolder, tables
from planebench.results.tables import SCHEMAS


def test_columns_are_the_table_s() -> None:
    assert list(SCHEMAS["machine"]) == list(COLUMNS)


def test_counters_grow_and_become_a_table(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    sampler = MachineSampler(folder.raw / "machine.csv", time.monotonic_ns())
    sampler.sample()
    until_s = time.process_time() + 0.05
    while time.process_time() < until_s:
        pass
    sampler.sample()
    sampler.close()
    tables.convert(folder)
    assert not (folder.raw / "machine.csv").exists()
    machine = tables.read(folder)["machine"]
    assert machine.height == 2
    for column in ("t_ns", "capacity_s", "busy_s"):
        before, after = machine[column].to_list()
        assert after > before, column
    assert (machine["capacity_s"] >= machine["busy_s"] + machine["steal_s"]).all()
    assert (machine["memory_available_bytes"] > 0).all()


def test_a_torn_last_row_is_left_out(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    sampler = MachineSampler(folder.raw / "machine.csv", 0)
    sampler.sample()
    sampler.close()
    path = folder.raw / "machine.csv"
    with path.open() as file:
        assert len(list(csv.reader(file))) == 2
    with path.open("a") as file:
        file.write("1,2,3")
    tables.convert(folder)
    assert tables.read(folder)["machine"].height == 1


@pytest.mark.parametrize(
    ("text", "kind", "expected_s"),
    [
        (
            "some avg10=1.0 avg60=0.5 avg300=0.1 total=1500000\nfull avg10=0 avg60=0 avg300=0 total=20\n",
            "some",
            1.5,
        ),
        (
            "some avg10=1.0 avg60=0.5 avg300=0.1 total=1500000\nfull avg10=0 avg60=0 avg300=0 total=20\n",
            "full",
            2e-5,
        ),
        ("some avg10=1.0 avg60=0.5 avg300=0.1 total=1500000\n", "full", -1),
        ("some total=many\n", "some", -1),
        ("", "some", -1),
    ],
)
def test_pressure(tmp_path: Path, text: str, kind: str, expected_s: float) -> None:
    (tmp_path / "cpu").write_text(text)
    assert pressure_s("cpu", kind, tmp_path) == expected_s
    assert pressure_s("io", kind, tmp_path) == -1, "a kernel without it"
