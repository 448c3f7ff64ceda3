"""What calibration finds, how it searches, and what it says of a scenario."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from planebench import scenario as scenarios
from planebench.cli import app
from planebench.cli.calibrate import table
from planebench.results import calibration
from planebench.results.calibration import Calibration
from planebench.run.calibrate import Step, greatest, measure_disk

MACHINE = {"system": "Linux 6", "processor": "some", "cores": 4, "usable_cores": 4, "memory_bytes": 8 << 30}


def found(**parts: Any) -> Calibration:
    content: dict[str, Any] = {
        "planebench_version": "0",
        "measured_wall": "2026-01-01T00:00:00+00:00",
        "machine": MACHINE,
        "engine": {
            "rate_per_s": 1000.0,
            "lateness_p99_s": 0.0004,
            "core_share": 0.4,
            "ended_by": "p99 was sent 1.2 ms late",
        },
        "receipts": {
            "staleness_p50_s": 0.0001,
            "staleness_p99_s": 0.001,
            "read_delay_p50_s": 0.00005,
            "read_delay_p99_s": 0.0002,
        },
        "simulator": {
            "pods_per_s": 150.0,
            "workers": 16,
            "unloaded_p50_s": 0.004,
            "unloaded_p99_s": 0.009,
            "ended_by": "5% of the pods waited for one of 16 workers",
        },
        "disk": {"file_system": "ext4 on /dev/vda", "fsync_p50_s": 0.0005, "fsync_p99_s": 0.002},
    }
    return Calibration.model_validate(content | parts)


# --- the file ------------------------------------------------------------------------------------------------


def test_it_is_read_back_on_the_same_machine(tmp_path: Path) -> None:
    calibration.write(found(), tmp_path / "new")
    assert calibration.read(tmp_path / "new", {**MACHINE, "load_average_1m": 3.0}) == found()


@pytest.mark.parametrize(
    "other",
    [{"cores": 8}, {"usable_cores": 2}, {"processor": "another"}, {"memory_bytes": 1}, {"system": "Linux 7"}],
)
def test_it_is_of_no_use_on_another_machine(tmp_path: Path, other: dict[str, Any]) -> None:
    calibration.write(found(), tmp_path)
    assert calibration.read(tmp_path, MACHINE | other) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": 2}'])
def test_a_damaged_file_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / calibration.FILE).write_text(content)
    assert calibration.read(tmp_path, MACHINE) is None
    assert calibration.read(tmp_path / "nowhere", MACHINE) is None


# --- warnings ------------------------------------------------------------------------------------------------


def warned(**overrides: str) -> list[str]:
    names = {name.replace("__", "."): value for name, value in overrides.items()}
    wanted = scenarios.load("smoke", names)
    return [line.partition(":")[0] for line in calibration.warnings(wanted, found())]


def test_a_scenario_within_the_limits() -> None:
    assert warned() == []


@pytest.mark.parametrize(
    ("arrival", "fields"),
    [
        ("{pattern: constant, rate: 150/s}", 0),
        ("{pattern: constant, rate: 151/s}", 1),
        ("{pattern: poisson, rate: 1001/s}", 2),
        ("{pattern: ramp, start: 2000/s, end: 1/s}", 2),
        ("{pattern: burst, size: 20, every: 1s}", 0),
    ],
)
def test_arrivals_beyond_the_limits(arrival: str, fields: int) -> None:
    assert warned(lifecycle__creation__arrival=arrival) == ["lifecycle.creation.arrival"] * fields


def test_other_rates_beyond_the_engine_s() -> None:
    assert warned(lifecycle__cleanup__rate="1500/s") == ["lifecycle.cleanup"]
    assert warned(lifecycle__management__patch__rate="1500/s") == ["lifecycle.management.patch"]
    assert warned(lifecycle__monitoring__reads="995/s") == ["lifecycle.monitoring"]


# --- the search ----------------------------------------------------------------------------------------------


@given(limit=st.floats(100, 1e5), core=st.floats(0.0, 0.001))
def test_the_search_ends_close_below_the_limit(limit: float, core: float) -> None:
    tried: list[float] = []

    async def attempt(rate_per_s: float) -> Step:
        tried.append(rate_per_s)
        return Step(rate_per_s, "too fast" if rate_per_s > limit else "", core_share=core)

    best, ended_by = asyncio.run(greatest(100.0, attempt))
    assert best.rate_per_s <= limit
    assert best.rate_per_s * 1.5 ** (1 / 8) * 1.001 >= limit, "the gap of one step was halved three times"
    assert ended_by == "too fast"
    assert len(tried) < 30


def test_a_first_step_that_fails_is_told() -> None:
    async def attempt(rate_per_s: float) -> Step:
        return Step(rate_per_s, "it never works")

    best, ended_by = asyncio.run(greatest(100.0, attempt))
    assert (best.rate_per_s, best.fault, ended_by) == (100.0, "it never works", "it never works")


def test_no_step_is_to_use_more_than_a_core() -> None:
    """A load engine that is too busy gives its priority back: later steps would tell of another one."""
    tried: list[float] = []

    async def attempt(rate_per_s: float) -> Step:
        tried.append(rate_per_s)
        share = rate_per_s / 1000
        return Step(rate_per_s, "busy" if share > 0.7 else "", core_share=share)

    asyncio.run(greatest(300.0, attempt))
    assert max(tried) <= 800 + 1e-9


def test_the_disk_is_measured(tmp_path: Path) -> None:
    disk = measure_disk(tmp_path)
    assert 0 < disk.fsync_p50_s <= disk.fsync_p99_s
    assert " on " in disk.file_system


# --- the command ---------------------------------------------------------------------------------------------


def test_the_table_fits_and_names_everything() -> None:
    text = io.StringIO()
    Console(file=text, width=80, color_system=None).print(table(found()))
    shown = text.getvalue()
    assert max(len(line) for line in shown.splitlines()) <= 80
    for part in ("1,000/s", "150 pods/s", "4.00 ms", "0.50 ms", "16 workers", "ext4"):
        assert part in shown


def test_the_command_is_there() -> None:
    shown = CliRunner().invoke(app, ["calibrate", "--help"])
    assert shown.exit_code == 0
    assert "load engine" in shown.output
