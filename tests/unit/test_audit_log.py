"""The audit log as a table: every line, its clock, and what is wrong with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.components import Audit
from planebench.model import PlanebenchError
from planebench.results import audit_log
from planebench.results.audit_log import CLOCK_SCHEMA, SCHEMA, Offsets, error_ns

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_NS = int(START.timestamp()) * 10**9


def stamp(t_s: float) -> str:
    return (START + timedelta(seconds=t_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(t_s: float, took_s: float = 0.005, **fields: Any) -> dict[str, Any]:
    """As the API server writes it."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/x/pods",
        "verb": "create",
        "user": {"username": "planebench:load", "groups": ["system:authenticated"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "planebench-load",
        "objectRef": {"resource": "pods", "namespace": "x", "name": "pod-0", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestReceivedTimestamp": stamp(t_s),
        "stageTimestamp": stamp(t_s + took_s),
        "annotations": {"authorization.k8s.io/decision": "allow"},
        **fields,
    }


def written(raw: Path, *lines: str, offset_ns: int = START_NS) -> Path:
    (raw / "audit").mkdir(parents=True)
    (raw / "audit" / "audit.log").write_text("".join(lines))
    clock = f"t_ns,wall_offset_ns,width_ns\n0,{offset_ns},300\n60000000000,{offset_ns},500\n"
    (raw / "clock.csv").write_text(clock)
    return raw


def line(*args: Any, **fields: Any) -> str:
    return json.dumps(event(*args, **fields), separators=(",", ":")) + "\n"


def table(raw: Path) -> pl.DataFrame:
    audit_log.convert(raw)
    return pl.read_parquet(raw / "audit.parquet")


def test_a_line_becomes_a_row_on_the_run_s_clock(tmp_path: Path) -> None:
    found = table(written(tmp_path, line(2.5), line(1.25)))
    assert found.columns == list(SCHEMA)
    assert found["received_ns"].to_list() == [1_250_000_000, 2_500_000_000]
    assert found["done_ns"].to_list() == [1_255_000_000, 2_505_000_000]
    row = found.row(0, named=True)
    assert (row["user"], row["user_agent"], row["verb"], row["resource"]) == (
        "planebench:load",
        "planebench-load",
        "create",
        "pods",
    )
    assert (row["namespace"], row["name"], row["code"], row["audit_id"]) == ("x", "pod-0", 201, "a-1")
    assert (row["owner"], row["slow"]) == ("", "")
    assert not (tmp_path / "audit").exists(), "the log is in the table"


def test_what_is_seldom_there_is_read_too(tmp_path: Path) -> None:
    owned = {"metadata": {"ownerReferences": [{"uid": "x"}, {"uid": "u-7", "controller": True}]}}
    slow = {"apiserver.latency.k8s.io/total": "1.2s", "apiserver.latency.k8s.io/etcd": "1s", "other": "x"}
    plain = event(3)
    del plain["objectRef"], plain["responseStatus"], plain["annotations"]
    found = table(
        written(tmp_path, line(1, requestObject=owned), line(2, annotations=slow), json.dumps(plain) + "\n")
    )
    assert found["owner"].to_list() == ["u-7", "", ""]
    assert found["slow"].to_list() == ["", "etcd=1s total=1.2s", ""]
    assert found["resource"].to_list() == ["pods", "pods", ""]
    assert found["code"].to_list() == [201, 201, 0]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    assert table(written(tmp_path, line(1), line(2)[:-20])).height == 1


def test_a_line_that_an_api_server_was_killed_at_is_left_out(tmp_path: Path) -> None:
    """It goes on with the next one's on the same line."""
    found = table(written(tmp_path, line(1), line(2)[:-20], line(3), line(4)))
    assert found["received_ns"].to_list() == [10**9, 3 * 10**9, 4 * 10**9]


def test_logs_of_several_api_servers_are_merged(tmp_path: Path) -> None:
    raw = written(tmp_path, line(2))
    (raw / "audit" / "audit.log").rename(raw / "audit" / "audit-2.log")
    (raw / "audit" / "audit-1.log").write_text(line(1) + line(3))
    assert table(raw)["received_ns"].to_list() == [10**9, 2 * 10**9, 3 * 10**9]
    assert not (raw / "audit").exists()


def test_an_empty_log_is_an_empty_table(tmp_path: Path) -> None:
    assert table(written(tmp_path)).height == 0


def test_without_a_log_nothing_is_made(tmp_path: Path) -> None:
    audit_log.convert(tmp_path)
    assert not list(tmp_path.iterdir())


def test_rotated_logs_are_read_in_their_order(tmp_path: Path) -> None:
    raw = written(tmp_path, line(3))
    (raw / "audit" / "audit-2026-03-01T12-00-02.000.log").write_text(line(1) + line(2))
    assert table(raw)["received_ns"].to_list() == [10**9, 2 * 10**9, 3 * 10**9]


def test_a_log_that_is_still_written_can_be_kept(tmp_path: Path) -> None:
    raw = written(tmp_path, line(1))
    audit_log.convert(raw, keep=True)
    assert (raw / "audit" / "audit.log").exists() and (raw / "audit.parquet").exists()


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanebenchError, match=r"audit\.log: line 2 is damaged"):
        table(written(tmp_path / "a", line(1), "{}\n"))


@pytest.mark.parametrize("clock", [None, "t_ns,wall_offset_ns,width_ns\n", "t_ns,wall_offset_ns,width_ns\n12,3"])
def test_a_run_that_ended_before_its_clock_was_read_keeps_its_log(tmp_path: Path, clock: str | None) -> None:
    raw = written(tmp_path, line(1))
    (raw / "clock.csv").unlink()
    if clock is not None:
        (raw / "clock.csv").write_text(clock)
    audit_log.convert(raw)
    assert (raw / "audit" / "audit.log").exists() and not (raw / "audit.parquet").exists()


def readings(*rows: tuple[int, int, int]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=CLOCK_SCHEMA, orient="row")


@given(
    st.integers(0, 10**11),
    st.integers(-(10**6), 10**6),
    st.lists(st.integers(0, 6 * 10**10), min_size=1, max_size=20),
)
def test_a_drifting_wall_clock_is_followed(base_ns: int, drift_ns: int, times_ns: list[int]) -> None:
    """The wall clock gains ``drift_ns`` in a minute, evenly."""
    offsets = Offsets(readings((0, START_NS + base_ns, 100), (6 * 10**10, START_NS + base_ns + drift_ns, 100)))
    t_ns = np.array(times_ns, dtype=np.int64)
    wall_ns = t_ns + START_NS + base_ns + np.rint(drift_ns * t_ns / (6 * 10**10)).astype(np.int64)
    assert np.abs(offsets.to_trial_ns(wall_ns) - t_ns).max() <= 2


def test_the_error_is_told() -> None:
    assert error_ns(readings((0, 5, 400), (1, 5, 800))) == 400 + 1000
    assert error_ns(readings((0, 5, 400), (1, 65, 400))) == 200 + 1000 + 60, "a clock that was set"


def test_the_policy_leaves_contents_out() -> None:
    policy = json.loads(Audit(Path("x")).policy())
    assert policy["omitStages"] == ["RequestReceived"]
    assert policy["rules"] == [{"level": "Metadata"}]
    first, last = json.loads(Audit(Path("x"), owners=True).policy())["rules"]
    assert (first["level"], first["verbs"], first["resources"]) == (
        "Request",
        ["create"],
        [{"group": "", "resources": ["pods"]}],
    )
    assert last == {"level": "Metadata"}
