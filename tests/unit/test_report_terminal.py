"""The summary on a terminal: golden files of whole reports, and that they fit whatever comes."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from golden import assert_golden
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic_run import SyntheticRun, looked_at, machines, pods

from planebench import slis
from planebench.model import Judgement, Stage
from planebench.report import terminal
from planebench.results.document import ErrorCount, Result, Row

APISERVER = """process_start_time_seconds 1
apiserver_request_total{{code="200",verb="GET"}} {n}
apiserver_request_total{{code="429",verb="POST"}} {few}
apiserver_request_duration_seconds_bucket{{verb="POST",resource="pods",subresource="",le="0.005"}} {n}
apiserver_request_duration_seconds_bucket{{verb="POST",resource="pods",subresource="",le="0.025"}} {more}
apiserver_request_duration_seconds_bucket{{verb="POST",resource="pods",subresource="",le="+Inf"}} {more}
apiserver_request_duration_seconds_sum{{verb="POST",resource="pods",subresource=""}} {n}
apiserver_request_duration_seconds_count{{verb="POST",resource="pods",subresource=""}} {more}
"""
ETCD = """process_start_time_seconds 1
etcd_server_request_duration_seconds_bucket{{type="Put",le="0.001"}} {n}
etcd_server_request_duration_seconds_bucket{{type="Put",le="+Inf"}} {more}
etcd_server_request_duration_seconds_sum{{type="Put"}} {n}
etcd_server_request_duration_seconds_count{{type="Put"}} {more}
"""


def measured(run: SyntheticRun) -> SyntheticRun:
    """The run with its components' cost and metrics."""
    for name, role, cpu_s, rss in (
        ("kube-apiserver", "subject", 58.3, 612),
        ("etcd", "subject", 9.1, 120),
        ("kube-scheduler", "subject", 3.2, 88),
        ("kube-controller-manager", "subject", 2.9, 104),
        ("kwok", "simulator", 6.5, 79),
        ("planebench", "harness", 1.2, 61),
    ):
        run.sample(0, name, name, role, 0.5, rss << 19)
        run.sample(210, name, name, role, cpu_s, rss << 20)
    run.scrape(5, "kube-apiserver", "kube-apiserver", APISERVER.format(n=1000, few=2, more=1100))
    run.scrape(211, "kube-apiserver", "kube-apiserver", APISERVER.format(n=13000, few=5, more=13400))
    run.scrape(5, "etcd", "etcd", ETCD.format(n=1000, more=1010))
    run.scrape(211, "etcd", "etcd", ETCD.format(n=9000, more=9100))
    return run


def sound() -> SyntheticRun:
    return measured(looked_at(pods()[0]))


def troubled() -> SyntheticRun:
    """Lost and refused objects, a lost answer, late requests, a gap with loss, a restart, leftovers."""
    run, _ = pods(never_up=range(0, 40, 3), refused=[7, 8, 9])
    run = measured(looked_at(run))
    run.gap("pods", 12, 13.5, resumed=False, reason="410")
    run.leftovers = ["pods/planebench-0/pod-000004"]
    run.requests[20] |= {"done_ns": -1, "status": 0, "error": "timeout"}
    for request in run.requests:
        if request["stage"] == Stage.CLEANUP:
            request["sent_ns"] += 80_000_000
            request["done_ns"] += 80_000_000
    run.scrape(300, "etcd", "etcd", "process_start_time_seconds 2\n")
    return run


def broken() -> SyntheticRun:
    run, _ = pods(count=40, overrides={"slos": "[]"})
    run.status, run.error = "broken", "etcd ended with exit status 137 (killed)"
    run.phases, run.leftovers = run.phases[:3], None
    run.requests = [request for request in run.requests if request["stage"] == Stage.CREATION]
    return run


RUNS = {"sound": sound, "machines": machines, "troubled": troubled, "broken": broken}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    return {
        name: slis.evaluate(run().write(tmp_path_factory.mktemp(name) / "run")).model_copy(
            update={"folder": f"planebench-runs/{name}"}
        )
        for name, run in RUNS.items()
    }


def printed(result: Result, width: int, *, colours: bool = False) -> str:
    out = io.StringIO()
    system = "truecolor" if colours else None
    console = Console(file=out, width=width, force_terminal=colours, color_system=system)  # type: ignore[arg-type]
    console.print(terminal.render(result))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", RUNS)
def test_golden_summaries(results: dict[str, Result], name: str, width: int) -> None:
    assert_golden(f"summary-{name}-{width}.txt", printed(results[name], width))


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("name", RUNS)
def test_no_line_is_too_wide(results: dict[str, Result], name: str, width: int) -> None:
    assert max(len(line) for line in printed(results[name], width).splitlines()) <= width


@pytest.mark.parametrize("name", RUNS)
def test_colours_change_nothing_but_colours(results: dict[str, Result], name: str) -> None:
    plain, coloured = printed(results[name], 80), printed(results[name], 80, colours=True)
    assert "\x1b" not in plain
    assert "\x1b" in coloured
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == [line.rstrip() for line in plain.splitlines()]


def test_every_figure_of_the_summary_is_the_document_s(results: dict[str, Result]) -> None:
    text = printed(results["sound"], 120)
    assert "startup                     100  1.14s  1.85s  2.01s  2.01s" in text
    row = results["sound"].rows()["creation.startup"]
    assert (row.n, f"{row.p50:.2f}", f"{row.p99:.2f}") == (100, "1.14", "2.01")


def test_a_folder_s_name_is_shown_whole(results: dict[str, Result]) -> None:
    folder = "planebench-runs/" + "long" * 40
    text = printed(results["sound"].model_copy(update={"folder": folder}), 80)
    assert folder in text.replace("\n", "")


def test_what_is_no_markup_is_shown_as_it_is(results: dict[str, Result]) -> None:
    error = ErrorCount(phase="creation", verb="create", resource="pods", error="[bold]no[/bold] [/]", count=1)
    text = printed(results["sound"].model_copy(update={"errors": (error,), "scenario": "[red]x[/red]"}), 120)
    assert "[bold]no[/bold] [/]" in text
    assert "[red]x[/red]" in text


def test_the_most_frequent_errors_only(results: dict[str, Result]) -> None:
    errors = tuple(
        ErrorCount(phase="creation", verb="create", resource="pods", error=f"e{n}", count=9 - n) for n in range(8)
    )
    text = printed(results["sound"].model_copy(update={"errors": errors}), 120)
    assert "5 x creation: create pods: e4" in text
    assert "e5" not in text
    assert "and 3 more kinds, see result.json" in text


def test_no_demands_no_verdict(results: dict[str, Result]) -> None:
    nothing = results["sound"].model_copy(
        update={"slos": (), "verdict": None, "reason": "the scenario demands nothing"}
    )
    text = printed(nothing, 80)
    assert "No verdict: the scenario demands nothing." in text
    assert "SLOs" not in text


numbers = st.none() | st.floats(0, 1e6) | st.integers(0, 10**9)


@given(
    st.lists(
        st.builds(
            Row,
            sli=st.sampled_from(
                ["creation.response", "creation.startup", "cleanup.deleted", "monitoring.list_bytes"]
            ),
            title=st.text("abcdefgh :", min_size=1, max_size=60),
            unit=st.sampled_from(["s", "/s", "share", "bytes", "count", "ratio"]),
            n=st.integers(0, 10**7),
            missing=st.integers(0, 10**6),
            beyond_s=st.none() | st.floats(0, 1e5),
            p50=numbers,
            p90=numbers,
            p99=numbers,
            max=numbers,
            p99_low=st.none() | st.floats(0, 1),
            value=numbers,
            rate_per_s=st.none() | st.floats(0, 1e5),
            errors=st.none() | st.integers(0, 10**6),
            simulated=st.booleans(),
        ),
        max_size=3,
    )
)
def test_whatever_the_figures_it_fits(results: dict[str, Result], rows: list[Row]) -> None:
    whole = results["sound"]
    stages = (whole.stages[0].model_copy(update={"rows": tuple(rows)}), *whole.stages[1:])
    components = tuple(
        component.model_copy(update={"latency": row, "cpu_s": row.beyond_s, "requests": row.n})
        for component, row in zip(whole.components, rows, strict=False)
    )
    result = whole.model_copy(update={"stages": stages, "components": components or whole.components})
    for width in (80, 120):
        assert max(len(line) for line in printed(result, width).splitlines()) <= width


def test_the_widest_figures_are_shown_whole(results: dict[str, Result]) -> None:
    whole = results["sound"]
    widest = Row(
        sli="creation.startup",
        title="pods: scheduled to running",
        unit="s",
        n=99_900,
        p50=12.3,
        p90=1250,
        p99=12500,
        max=12500,
        p99_low=1,
        rate_per_s=1250,
        errors=99_900,
        simulated=True,
    )
    stages = (whole.stages[0].model_copy(update={"rows": (widest,)}), *whole.stages[1:])
    cost = {"latency": widest, "cpu_s": 1234.5, "peak_rss_bytes": 9999 << 20, "rate_per_s": 1250, "errors": 99_900}
    components = tuple(component.model_copy(update=cost) for component in whole.components)
    text = printed(whole.model_copy(update={"stages": stages, "components": components}), 80)
    assert "…" not in text
    for figure in ("99.9k", "12.3s", "1,250s", "12,500s", "<12,500s", "1234.5", "9,999"):
        assert figure in text


def test_a_verdict_is_said_at_the_end(results: dict[str, Result]) -> None:
    for name, verdict in (("sound", Judgement.PASS), ("troubled", Judgement.FAIL)):
        *_, last, folder = printed(results[name], 80).splitlines()
        assert last.startswith(f"{verdict}: ")
        assert folder.startswith("Run folder: ")


def test_paths_stay_out_of_golden_files() -> None:
    for path in sorted((Path(__file__).parent / "golden").glob("*.txt")):
        assert "/tmp" not in path.read_text(), path
