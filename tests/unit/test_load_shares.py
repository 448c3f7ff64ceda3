"""A phase cut into shares and put together again is the phase: nothing twice, nothing lost, nothing moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planebench.load.protocol import PhaseFile, phase_file
from planebench.load.shares import cut
from planebench.model import LoadPhase, Operation, RequestTemplate, Stage
from planebench.observe.records import Records
from planebench.results.engine_files import convert

TEMPLATES = (
    RequestTemplate("create", "pods", "POST", "/pods", b"{}"),
    RequestTemplate("get", "pods", "GET", "/pods/__NAME__"),
    RequestTemplate("delete", "pods", "DELETE", "/pods/__NAME__"),
)
COLUMNS = ("due_ns", "template", "index", "object_name", "namespace")

operations = st.builds(
    Operation,
    due_ns=st.integers(0, 10**9),
    template=st.integers(0, 2),
    index=st.integers(-1, 20),
    name=st.sampled_from(["", *(f"pod-{number}" for number in range(12))]),
    namespace=st.sampled_from(["a", "b"]),
)
plans = st.lists(operations, max_size=60).map(
    lambda found: phase_file(
        LoadPhase("creation", Stage.CREATION, TEMPLATES, sorted(found, key=lambda operation: operation.due_ns))
    )
)


def rows(plan: PhaseFile) -> list[tuple[Any, ...]]:
    return list(zip(*(getattr(plan, column) for column in COLUMNS), strict=True))


@given(plans, st.integers(1, 7))
def test_every_operation_is_in_one_share_as_it_was(plan: PhaseFile, count: int) -> None:
    shares = cut(plan, count)
    assert len(shares) == count
    whole = rows(plan)
    assert sorted(number for share in shares for number in share.number) == list(range(len(whole)))
    for share in shares:
        assert rows(share) == [whole[number] for number in share.number]
        assert share.number == sorted(share.number), "an engine takes them in the order in which they are due"
        assert (share.name, share.templates, share.namespaces) == (plan.name, plan.templates, plan.namespaces)


@given(plans, st.integers(1, 7))
def test_writes_of_one_object_stay_with_one_engine(plan: PhaseFile, count: int) -> None:
    owners: dict[tuple[int, str], set[int]] = {}
    for number, share in enumerate(cut(plan, count)):
        for template, namespace, name in zip(share.template, share.namespace, share.object_name, strict=True):
            if name and TEMPLATES[template].method != "GET":
                owners.setdefault((namespace, name), set()).add(number)
    assert all(len(found) == 1 for found in owners.values())


@given(st.integers(0, 200), st.integers(1, 7))
def test_shares_are_equally_dense_at_any_time(objects: int, count: int) -> None:
    plan = phase_file(
        LoadPhase(
            "creation", Stage.CREATION, TEMPLATES, [Operation(i, 0, i, f"pod-{i}", "a") for i in range(objects)]
        )
    )
    for number, share in enumerate(cut(plan, count)):
        assert share.due_ns == list(range(number, objects, count))


Answer = tuple[int, int, int, str]
"""Lateness, response (-1: none), status, error."""

answers = st.tuples(
    st.integers(0, 10**6),
    st.integers(-1, 10**9),
    st.sampled_from([0, 201, 409, 500]),
    st.sampled_from(["", "timeout", "connection", "Forbidden: no", "ü"]),
)


def record(records: Records, number: int, plan: PhaseFile, told: dict[int, Answer]) -> None:
    """What an engine writes of a phase that started at 1000."""
    records.phase(number, 1000)
    for operation, due_ns in enumerate(plan.due_ns):
        named = plan.number[operation] if plan.number else operation
        if named in told:
            late, took, status, error = told[named]
            sent = 1000 + due_ns + late
            done = -1 if took < 0 else sent + took
            code = records.strings.code(error) if error else -1
            records.requests.add((number, named, 1000 + due_ns, sent, done, status, 7, 9, 1, code))


@given(plans, st.integers(1, 5), st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_shares_records_are_the_one_engines_records(
    tmp_path_factory: Any, plan: PhaseFile, count: int, data: st.DataObject
) -> None:
    told = data.draw(st.dictionaries(st.integers(0, max(len(plan.due_ns) - 1, 0)), answers))
    one: Path = tmp_path_factory.mktemp("one")
    several: Path = tmp_path_factory.mktemp("several")
    for run in (one, several):
        folder = run / "raw" / "engine"
        observer = Records(folder)
        (folder / "phase-0.json").write_bytes(msgspec.json.encode(plan))
        if run is one:
            record(observer, 0, plan, told)
        else:
            observer.phase(0, 1000)
            for number, share in enumerate(cut(plan, count)):
                sender = Records(folder / f"sender-{number}")
                record(sender, 0, share, told)
                sender.close()
        observer.close()
        convert(run)
    frames = [pl.read_parquet(run / "raw" / "requests.parquet") for run in (one, several)]
    assert frames[0].cast({"error": pl.String}).equals(frames[1].cast({"error": pl.String}))
    took = [frame.filter(pl.col("done_ns") >= 0).select(pl.col("done_ns") - pl.col("due_ns")) for frame in frames]
    for quantile in (0.5, 0.9, 0.99, 1.0):
        assert took[0].quantile(quantile, "nearest").equals(took[1].quantile(quantile, "nearest"))
    unfinished = [number for number in range(len(plan.due_ns)) if number not in told]
    assert frames[1].filter(pl.col("error") == "unfinished").height == len(unfinished)
