"""Components' own figures in the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from test_component_figures import evaluated

from planebench.model import Role, UsageError
from planebench.report import components
from planebench.results.document import Component, Limit, Row


def component(*rows: Row, headlines: tuple[str, ...] = (), absent: tuple[str, ...] = ()) -> Component:
    return Component(
        name="etcd",
        title="etcd",
        role=Role.SUBJECT,
        processes=("etcd",),
        cpu_s=1.25,
        peak_rss_bytes=3 << 20,
        metrics=rows,
        headlines=headlines,
        limits=(Limit(component="etcd", meaning="bytes", value="8", source="--quota"),),
        absent=absent,
    )


def histogram(low: float, p99: float, high: float | None) -> Row:
    return Row(
        kind="histogram",
        sli="etcd.fsync",
        title="WAL fsync",
        unit="s",
        n=1000,
        p50=0.0005,
        p99=p99,
        p99_low=low,
        p99_high=high,
        max=high,
        value=0.00123,
    )


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (histogram(0.0115, 0.012, 0.0125), "WAL fsync p99 12.0ms"),
        (histogram(0.008, 0.012, 0.016), "WAL fsync mean 1.23ms, p99 <=16.0ms"),
        (
            histogram(8.192, 9, None).model_copy(update={"p99": None}),
            "WAL fsync mean 1.23ms, p99 >8.19s",
        ),
        (Row(kind="mean", sli="x", title="wait", unit="s", n=3, value=0.00002), "wait mean 20us"),
        (Row(kind="counter", sli="x", title="errors", unit="count", value=0), "errors 0"),
        (Row(kind="rate", sli="x", title="binds", unit="/s", value=20, max=51.5), "binds at most 51.5/s"),
        (Row(kind="gauge", sli="x", title="queue", unit="count", value=0, max=12), "queue 0, at most 12"),
        (Row(kind="gauge", sli="x", title="queue", unit="count", value=12, max=12), "queue 12"),
    ],
)
def test_headlines(row: Row, told: str) -> None:
    assert components.headline(row) == told


def test_a_headline_names_what_it_is_mostly_made_of() -> None:
    """The queue with the most time altogether, not the one with the slowest item."""
    found = component(
        Row(kind="mean", sli="w", title="wait", unit="s", n=1001, value=0.1),
        Row(kind="mean", sli="w.busy", title="busy", unit="s", part_of="w", n=1000, value=0.1),
        Row(kind="mean", sli="w.slow", title="slow", unit="s", part_of="w", n=1, value=2.0),
        headlines=("w",),
    )
    assert [line.plain for line in components.brief([found])] == ["etcd: wait mean 100ms (mostly busy)"]


def test_without_headlines_there_is_no_line() -> None:
    assert list(components.brief([component()])) == []


def printed(found: dict[str, Component], *names: str, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(components.details(list(found.values()), names))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_details_of_a_recorded_run_fit_80_columns(tmp_path: Path) -> None:
    found = evaluated(tmp_path, "kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager", "virt-api")
    text = printed(found)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "webhooks, as the API server sees" in text
    fsync = next(line for line in lines if line.startswith("WAL fsync"))
    assert "~" in fsync and "<=" in fsync, "a classic histogram is no better than its buckets"
    algorithm = next(line for line in lines if line.startswith("algorithm"))
    assert "~" not in algorithm, "a native one is"


def test_details_of_one_component() -> None:
    other = component().model_copy(update={"name": "kwok", "title": "KWOK"})
    found = {"etcd": component(absent=("no metric etcd_x",)), "kwok": other}
    text = printed(found, "etcd")
    assert "etcd  subject, 1.2 CPU s, 3 MiB" in text
    assert "Limits: bytes 8 (--quota)." in text
    assert "Not served: no metric etcd_x." in text
    assert "KWOK" not in text
    assert "It has told no figures of its own." in text


def test_an_unknown_component_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"^--component x: this run has etcd$"):
        printed({"etcd": component()}, "x")
