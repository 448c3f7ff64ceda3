"""What is shown while a run goes on, with and without a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from planebench.binaries import BuildProgress
from planebench.cli.display import Display, describe_build, describe_load, describe_milestones
from planebench.model import Progress, Role, Stage
from planebench.observe.processes import ProcessSample

PROGRESS = Progress(
    t_ns=5_000_000_000,
    phase="creation",
    planned=1000,
    sent=420,
    answered=400,
    failed=3,
    milestones={
        "pods": {"added": 400, "scheduled": 390, "running": 0, "revision:patch": 7},
        "canary": {"added": 1},
    },
    response_ms={"p50": 4.26, "p99": 17.04, "max": 20.0},
)
SAMPLE = ProcessSample(0, "etcd", "etcd", Role.SUBJECT, 2.4, 55 << 20, 60 << 20, 9, 0, 0)


def test_a_build_says_which_component_and_how_far() -> None:
    progress = BuildProgress("etcd", "etcd", 12, 76, 95.0, "compile")
    assert describe_build(progress) == "building etcd: compile 12/76 packages, about 1:35 left"
    assert describe_build(BuildProgress("etcd", "etcd", 0, 0, None, "wait")) == "building etcd: wait"


def test_load_says_how_many_how_fast_and_what_failed() -> None:
    assert describe_load(PROGRESS) == "400/1,000 requests, response p50 4.3 ms, p99 17.0 ms, 3 failed"


def test_milestones_are_counted_by_watch_without_revisions_and_instruments() -> None:
    assert describe_milestones(PROGRESS) == ["pods: added 400  scheduled 390"]


def shown(*, live: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=live, color_system=None)
    with Display(console, live=live) as display:
        display.status("starting etcd")
        display.phase("creation", Stage.CREATION, 1000)
        display.processes({"etcd": SAMPLE}, {"etcd": 0.25})
        display.progress(PROGRESS)
        if live:
            console.print(display._panel())
    return stream.getvalue()


def test_without_a_terminal_there_are_plain_lines() -> None:
    text = shown(live=False)
    assert "\x1b" not in text
    assert "starting etcd" in text
    assert "creation (1,000)" in text
    assert "400/1,000 requests" in text


def test_in_a_terminal_there_is_a_panel_with_every_process() -> None:
    text = shown(live=True)
    assert "pods: added 400  scheduled 390" in text
    assert "0.25" in text
    assert "55" in text


@pytest.mark.parametrize("live", [False, True])
def test_a_display_that_has_seen_nothing_is_no_error(live: bool) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=live)
    with Display(console, live=live) as display:
        console.print(display._panel())
