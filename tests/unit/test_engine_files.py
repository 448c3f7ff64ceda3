"""What the engine writes comes back as Parquet, however much of it was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planebench.load.protocol import phase_file
from planebench.model import LoadPhase, Operation, PlanebenchError, RequestTemplate, Stage
from planebench.observe.milestones import Description
from planebench.observe.records import LAYOUT, Records
from planebench.results.engine_files import convert

PHASE = LoadPhase(
    "creation",
    Stage.CREATION,
    (
        RequestTemplate("create", "pods", "POST", "/a/__NAME__", b"{}"),
        RequestTemplate("update", "virtualmachines.kubevirt.io", "PUT", "/b", subresource="start"),
    ),
    [Operation(10 * i, i % 2, i - 1, f"pod-{i}", f"ns-{i % 3}") for i in range(6)],
)


def write(run: Path) -> None:
    folder = run / "raw" / "engine"
    records = Records(folder)
    (folder / "phase-0.json").write_bytes(msgspec.json.encode(phase_file(PHASE)))
    records.phase(0, 1000)
    code = records.strings.code
    for number in (1, 0, 3):
        due = 1000 + 10 * number
        records.requests.add((0, number, due, due + 1, due + 5, 201, 100, 200, 1, -1))
    records.requests.add((0, 2, 1020, 1021, -1, 0, 100, 0, 2, code("timeout")))
    for number in range(3):
        records.describe(Description(number, "pods", "ns", f"pod-{number}", f"uid-{number}", "", "", number))
        records.milestones.add((number, code("added"), 5 * number))
    records.describe(Description(1, "pods", "ns", "pod-1", "uid-1", "owner-1", "node-7", 1))
    records.milestones.add((1, code("revision:ü"), 50))
    records.events.add((1, 2, code("pods"), 0, code("ADDED"), 77, 999))
    records.events.add(
        [3, 4, code("pods"), 1, code("ADDED"), 78, 998, 5, 6, code("pods"), -1, code("BOOKMARK"), 79, 9]
    )
    records.gaps.add((code("pods"), 10, -1, code("410"), 0))
    records.close()
    (folder / "health.json").write_text('{"cpu_s": 1}')


def rows(run: Path, table: str) -> list[dict[str, Any]]:
    return pl.read_parquet(run / "raw" / f"{table}.parquet").to_dicts()


def test_round_trip(tmp_path: Path) -> None:
    write(tmp_path)
    convert(tmp_path)
    requests = rows(tmp_path, "requests")
    assert [row["name"] for row in requests] == [f"pod-{i}" for i in range(6)]
    assert requests[0] == {
        "phase": "creation",
        "stage": "creation",
        "verb": "create",
        "resource": "pods",
        "subresource": "",
        "index": -1,
        "namespace": "ns-0",
        "name": "pod-0",
        "due_ns": 1000,
        "sent_ns": 1001,
        "done_ns": 1005,
        "status": 201,
        "bytes_sent": 100,
        "bytes_received": 200,
        "attempts": 1,
        "error": None,
    }
    assert [(row["resource"], row["subresource"], row["verb"]) for row in requests[1:2]] == [
        ("virtualmachines.kubevirt.io", "start", "update")
    ]
    assert [(row["sent_ns"], row["done_ns"], row["attempts"], row["error"]) for row in requests[2:5:2]] == [
        (1021, -1, 2, "timeout"),
        (-1, -1, 0, "unfinished"),
    ]
    assert [row["due_ns"] for row in requests] == [1000 + 10 * i for i in range(6)]
    assert rows(tmp_path, "objects")[1] == {
        "object": 1,
        "watch": "pods",
        "namespace": "ns",
        "name": "pod-1",
        "uid": "uid-1",
        "owner": "owner-1",
        "node": "node-7",
        "index": 1,
    }
    assert [tuple(row.values()) for row in rows(tmp_path, "milestones")] == [
        (0, "added", 0),
        (1, "added", 5),
        (2, "added", 10),
        (1, "revision:ü", 50),
    ]
    assert [tuple(row.values()) for row in rows(tmp_path, "events")] == [
        (1, 2, "pods", 0, "ADDED", 77, 999),
        (3, 4, "pods", 1, "ADDED", 78, 998),
        (5, 6, "pods", -1, "BOOKMARK", 79, 9),
    ]
    assert [tuple(row.values()) for row in rows(tmp_path, "gaps")] == [("pods", 10, -1, "410", False)]
    assert json.loads((tmp_path / "raw" / "harness.json").read_text()) == {"cpu_s": 1}
    assert not (tmp_path / "raw" / "engine").exists()
    convert(tmp_path)  # a second time changes nothing


def test_nothing_was_recorded(tmp_path: Path) -> None:
    Records(tmp_path / "raw" / "engine").close()
    convert(tmp_path)
    for table in ("requests", "objects", "milestones", "events", "gaps"):
        assert rows(tmp_path, table) == []


@given(st.integers(0, 700))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_files_are_read_up_to_their_last_whole_row(tmp_path: Path, size: int) -> None:
    write(tmp_path)
    folder = tmp_path / "raw" / "engine"
    kept = {}
    for table, columns in LAYOUT.items():
        content = (folder / f"{table}.bin").read_bytes()[:size]
        (folder / f"{table}.bin").write_bytes(content)
        kept[table] = len(content) // (8 * len(columns))
    for name in ("objects.jsonl", "strings.jsonl"):
        (folder / name).write_bytes((folder / name).read_bytes()[:size])
    convert(tmp_path)
    requests = rows(tmp_path, "requests")
    assert len(requests) == 6
    assert sum(row["status"] == 201 for row in requests) == min(kept["requests"], 3)
    for table in ("milestones", "events", "gaps"):
        assert len(rows(tmp_path, table)) == kept[table]
    assert len(rows(tmp_path, "objects")) <= 3
    for path in (tmp_path / "raw").glob("*.parquet"):
        path.unlink()


def test_no_engine_was_there(tmp_path: Path) -> None:
    with pytest.raises(PlanebenchError, match="no records of a load engine"):
        convert(tmp_path)


def test_damaged_beyond_the_last_row(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "raw" / "engine" / "layout.json").write_text("{")
    with pytest.raises(PlanebenchError, match="damaged"):
        convert(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("layout.json", b"{}"),
        ("layout.json", b'{"byteorder": "little", "tables": {}}'),
        ("strings.jsonl", b'no json\n"creation"\n'),
        ("objects.jsonl", b"[1, 2]\n"),
        ("objects.jsonl", b"{\n"),
        ("phases.jsonl", b"{}\n"),
        ("phases.jsonl", b'{"phase": 9, "start_ns": 0}\n'),
        ("phase-0.json", b"{"),
        ("phase-0.json", b"{}"),
        ("phase-0.json", b"\xff"),
        ("requests.bin", None),
        ("milestones.bin", None),
        ("strings.jsonl", None),
        ("phase-0.json", None),
        ("requests.bin", b"\x7f" * 8 * 10),
    ],
)
def test_whatever_is_damaged_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    write(tmp_path)
    path = tmp_path / "raw" / "engine" / name
    if content is None:
        path.unlink()
    elif name == "requests.bin":  # a row of the phase whose operation does not exist
        path.write_bytes(bytes(8) + content[8:])
    else:
        path.write_bytes(content)
    with pytest.raises(PlanebenchError, match=r"raw/engine: the load engine's files are damaged: .") as raised:
        convert(tmp_path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "raw" / "requests.parquet").exists(), "all tables or none"
    assert (tmp_path / "raw" / "engine").exists()


def test_files_may_be_kept(tmp_path: Path) -> None:
    write(tmp_path)
    convert(tmp_path, keep=True)
    assert (tmp_path / "raw" / "engine" / "layout.json").exists()
    before = rows(tmp_path, "requests")
    convert(tmp_path)
    assert rows(tmp_path, "requests") == before
    assert not (tmp_path / "raw" / "engine").exists()
