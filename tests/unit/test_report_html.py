"""The HTML report as a document: whole, self-contained, and saying what is not there. Browsers: tests/browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import rich_run
from struck_run import struck
from synthetic_run import SyntheticRun, looked_at, machines, pods

from planebench.model import Judgement, Role, Stage, UsageError
from planebench.report.html import render
from planebench.report.html.template import described, gauge, is_records
from planebench.results import Result, RunFolder
from planebench.results.attribution import (
    Cost,
    Greatest,
    PackageCost,
    ProfileResult,
    RoleCost,
    StepTime,
    Trace,
    TracePart,
    UserCost,
    Way,
)
from planebench.results.document import SLOResult
from planebench.slis import evaluate

MOST_BYTES = 6_000_000


class Page(HTMLParser):
    """What tests want to know of a page."""

    VOID = frozenset(("meta", "img", "br", "input", "link", "hr"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.wanted: set[str] = set()
        self.urls: list[str] = []
        self.headings: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.charts: list[dict[str, Any]] = []
        self._script = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.append(found["id"])
        self.wanted |= {found[name] for name in ("popovertarget", "aria-labelledby") if name in found}
        self.urls += [found[name] for name in ("src", "href", "srcset", "action", "data") if name in found]
        self._script = found.get("class", "") if tag == "script" else ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            if self._script == "chart":
                self.charts.append(json.loads(data))
            return
        self.words.append(data)
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(data.strip())

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(path: Path) -> tuple[str, Page, Result]:
    result = evaluate(path)
    text = render(path, result)
    return text, Page(text), result


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page, Result]:
    return page_of(rich_run.write(tmp_path_factory.mktemp("rich") / "run"))


def test_the_page_is_whole(rich: tuple[str, Page, Result]) -> None:
    text, page, _ = rich
    assert text.startswith("<!doctype html>")
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.wanted <= set(page.ids)


def test_the_page_asks_nobody_for_anything(rich: tuple[str, Page, Result]) -> None:
    text, page, _ = rich
    assert all(url.startswith("#") for url in page.urls)
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\((?!['\"]?data:)", re.sub(r"<script>.*?</script>", "", text, flags=re.S))
    assert len(text.encode()) < MOST_BYTES


def test_every_chart_has_its_place(rich: tuple[str, Page, Result]) -> None:
    _, page, _ = rich
    roots = [element for chart in page.charts for element in chart["roots"].values()]
    assert len(roots) == len(set(roots)) > 20
    assert set(roots) <= set(page.ids)
    assert {element for element in page.ids if element.startswith("chart-")} == set(roots)


def test_what_an_api_server_says_is_only_text(rich: tuple[str, Page, Result]) -> None:
    text, page, _ = rich
    assert rich_run.HOSTILE not in text
    assert rich_run.HOSTILE in page.text


def test_the_verdict_comes_first(rich: tuple[str, Page, Result]) -> None:
    _, page, result = rich
    assert page.text.index(str(result.verdict)) < page.text.index("Timeline", page.text.index("synthetic"))
    assert page.headings[:3] == ["Objectives", "Can the measurement be trusted?", "Errors"]


def test_every_figure_is_as_in_the_result(rich: tuple[str, Page, Result]) -> None:
    text, _, result = rich
    for row in result.rows().values():
        part = text[text.index(f'data-row="{row.sli}"') :].partition("</tr>")[0]
        told = {name: float(amount) for amount, name in re.findall(r'value="(\S+)" data-figure="(\w+)"', part)}
        figures = {name: getattr(row, name) for name in ("n", "p50", "p90", "p99", "max", "rate_per_s", "value")}
        assert {name: told[name] for name in figures if name in told} == {
            name: amount for name, amount in figures.items() if amount is not None
        }


def test_definitions_are_at_hand(rich: tuple[str, Page, Result]) -> None:
    _, page, _ = rich
    assert "def-creation-startup" in page.wanted
    assert "From a creation due to the receipt that shows the object up" in page.text


def test_the_environment_is_told(rich: tuple[str, Page, Result]) -> None:
    _, page, result = rich
    for word in ("Linux 6.12", "8.0 GiB", "v3.7.3", "--name=planebench", "outgrow the default", "500m"):
        assert word in page.text
    assert all(line in page.text for line in result.unfaithful)
    limits = [limit for component in result.components for limit in component.limits]
    assert limits
    assert all(word in page.text for limit in limits for word in (limit.meaning, limit.value, limit.source))


def test_machines_have_a_report(tmp_path: Path) -> None:
    _, page, _ = page_of(looked_at(machines(), start_s=50).write(tmp_path / "run"))
    assert "VirtualMachineInstance" in page.text
    assert page.open == []


def test_a_broken_run_says_so(tmp_path: Path) -> None:
    _, page, _ = page_of(rich_run.write(tmp_path / "run", count=20, broken=True))
    assert "kube-apiserver ended with exit code 137" in page.text
    assert "Not so: the run came to its end." in page.text


def test_a_run_that_did_nothing_has_no_empty_charts(tmp_path: Path) -> None:
    _, page, _ = page_of(SyntheticRun(leftovers=None, health={}).write(tmp_path / "run"))
    assert page.charts == []
    assert not {"timeline", "nodes", "slowest", "requests", "costs", "components"} & set(page.ids)
    assert "Not measured: the run has no data of this stage." in page.text
    assert "the load engine told how it was" in page.text


def test_a_run_cut_off_in_its_creation(tmp_path: Path) -> None:
    run = SyntheticRun(status="interrupted", leftovers=None)
    run.phase("creation", Stage.CREATION, 10, 12, completed=False)
    run.request("creation", Stage.CREATION, "create", "pods", 0, "pod-000000", 10, took_s=None)
    _, page, result = page_of(run.write(tmp_path / "run"))
    assert result.verdict == "INCONCLUSIVE"
    assert "never" in page.text
    assert {"timeline", "slowest"} <= set(page.ids)
    assert "nodes" not in page.ids


def test_a_scenario_that_demands_nothing(tmp_path: Path) -> None:
    run, _ = pods(count=5)
    path = run.write(tmp_path / "run")
    result = evaluate(path).model_copy(
        update={"slos": (), "verdict": None, "reason": "the scenario demands nothing"}
    )
    assert "No verdict" in Page(render(path, result)).text


def test_a_run_folder_can_be_given(tmp_path: Path) -> None:
    run, _ = pods(count=5)
    path = run.write(tmp_path / "run")
    result = evaluate(path)
    assert len(render(RunFolder.open(path), result)) == len(render(path, result))


def test_no_run_folder_is_a_usage_error(tmp_path: Path, rich: tuple[str, Page, Result]) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        render(tmp_path / "nowhere", rich[2])


def slo(value: float | None, *, at_most: float | None = None, at_least: float | None = None) -> SLOResult:
    return SLOResult(
        sli="creation.response",
        percentile=99,
        at_most=at_most,
        at_least=at_least,
        unit="s",
        value=value,
        n=1,
        verdict=Judgement.PASS,
        reason="",
    )


def test_a_gauge_tells_how_far_a_value_is_on_its_way_to_the_bound() -> None:
    assert gauge(slo(0.5, at_most=2.0)) == 0.25
    assert gauge(slo(1.0, at_least=0.5)) == 2.0
    assert gauge(slo(None, at_most=1.0)) is None
    assert gauge(slo(1.0, at_most=0.0)) is None
    assert gauge(slo(-1.0, at_most=1.0)) == 0.0


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("memory_bytes", 1 << 30, "1.0 GiB"),
        ("start_s", 0.25, "250ms"),
        ("fsync", True, "yes"),
        ("x", None, "–"),
        ("cores", 2, "2"),
    ],
)
def test_keys_tell_units(key: str, value: object, words: str) -> None:
    assert described(value, key) == words


def test_records_are_mappings_of_one_form() -> None:
    assert is_records([{"a": 1, "b": 2}, {"a": 3, "b": 4}])
    assert not is_records([{"a": 1}, {"b": 2}])
    assert not is_records([{"a": [1]}])
    assert not is_records(["a"])
    assert not is_records([])


# --- attribution ---------------------------------------------------------------------------------------------

COST = Cost(
    audited=True,
    roles=tuple(
        RoleCost(role=role, requests=10, watches=1, failed=0, request_s=0.5, cpu_s=1.5, apiserver_cpu_s=0.25)
        for role in Role
    ),
    users=(
        UserCost(
            user="system:kube-scheduler",
            role=Role.SUBJECT,
            component="kube-scheduler",
            user_agents=("kube-scheduler/v1.37.2",),
            requests=7,
            watches=3,
            failed=1,
            request_s=0.5,
        ),
    ),
    clock_error_s=0.0001,
    notes=("bytes are planebench's alone",),
)
TRACE = Trace(
    n=100,
    untraced=2,
    p50_s=1.0,
    p99_s=2.0,
    unexplained_share=0.01,
    greatest=(
        Greatest(
            percentile=99,
            whole_s=2.0,
            objects=2,
            component="scheduler",
            share=0.6,
            step="bind",
            step_share=0.5,
            evidence=("waits of its client limiter: p99 1.9s",),
        ),
    ),
    steps=(StepTime(component="scheduler", step="bind", n=100, p50_s=0.5, p99_s=1.5, share=0.6),),
    ways=(
        Way(
            why="slowest",
            index=3,
            name="pod-000003",
            whole_s=2.0,
            parts=(
                TracePart(component="API server", step="create", start_s=0.0, duration_s=0.5),
                TracePart(component="scheduler", step="bind", start_s=0.5, duration_s=1.5),
            ),
        ),
    ),
    clock_error_s=0.0001,
)
PROFILES = (
    ProfileResult(
        process="etcd",
        component="etcd",
        kind="cpu",
        file="profiles/etcd.cpu.pb.gz",
        start_s=12.0,
        duration_s=10.0,
        total=3.25,
        gc_share=0.125,
        packages=(PackageCost(package="go.etcd.io/bbolt", charged=0.5, flat=0.25, cumulative=0.75),),
    ),
    ProfileResult(
        process="kwok-0",
        component="kwok",
        kind="cpu",
        file="profiles/kwok-0.cpu.pb.gz",
        start_s=12.0,
        duration_s=0.0,
        error="HTTP 404",
    ),
)


def test_costs_times_and_profiles_are_told_where_they_were_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "planebench.report.html.page.folded", lambda *_: ["main.main;go.etcd.io/bbolt.(*Tx).Commit 3"]
    )
    run, _ = pods(count=5)
    path = run.write(tmp_path / "run")
    result = evaluate(path).model_copy(update={"cost": COST, "trace": TRACE, "profiles": PROFILES})
    page = Page(render(path, result))
    assert page.open == []
    assert page.wanted <= set(page.ids)
    assert {"trace", "profiles"} <= set(page.ids)
    for words in (
        "system:kube-scheduler",
        "kube-scheduler/v1.37.2",
        "Bytes are planebench's alone.",
        "waits of its client limiter: p99 1.9s",
        "among the slowest",
        "2 objects could not be followed",
        "3.25 CPU s over 10.0s",
        "12.5% of it garbage collection",
        "bbolt.(*Tx).Commit",
        "none: HTTP 404",
    ):
        assert words in page.text, words


# --- colours -------------------------------------------------------------------------------------------------


def _palette() -> dict[str, tuple[str, str]]:
    style = (files("planebench.report.html") / "assets" / "report.css").read_text(encoding="utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", style)
    return {name: (light, dark) for name, light, dark in found}


def _luminance(color: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


PALETTE = _palette()
TEXTS = [(text, ground) for text in ("text", "muted", "link") for ground in ("page", "surface", "raised")]
TEXTS += [(tone, f"{tone}-soft") for tone in ("pass", "fail", "doubt")]
TEXTS += [("text", f"{tone}-soft") for tone in ("pass", "fail", "doubt")]
TEXTS += [("on-stage", f"stage-{stage}") for stage in (*Stage, "other")]
TEXTS += [("on-stage", f"series-{number}") for number in (1, 3, 4, 5, 8)]  # names in frames
SHAPES = [(name, "surface") for name in PALETTE if name.startswith(("series-", "stage-"))]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_texts_and_shapes_stand_out(theme: int) -> None:
    """WCAG 2.2 AA: 4.5 for text (1.4.3), 3 for what charts are made of (1.4.11)."""
    assert len(SHAPES) == 14
    for pairs, least in ((TEXTS, 4.5), (SHAPES, 3.0)):
        for front, ground in pairs:
            assert _contrast(PALETTE[front][theme], PALETTE[ground][theme]) >= least, (front, ground)


def test_faults_are_told_with_their_figures(tmp_path: Path) -> None:
    path = struck().write(tmp_path / "run")
    result = evaluate(path)
    text = render(path, result)
    assert len(result.faults) == 2
    for fault in result.faults:
        part = text[text.index(f'data-fault-figures="{fault.name}"') :].partition("</table>")[0]
        told = {name: float(amount) for amount, name in re.findall(r'value="(\S+)" data-figure="(\S+?)"', part)}
        assert told == {figure.sli: figure.value for figure in fault.figures if figure.value is not None}
        assert f"{fault.label}</h3>" in text
        for line in fault.followed:
            assert line in text


def test_a_run_without_faults_has_no_word_of_them(tmp_path: Path) -> None:
    path = pods(count=20)[0].write(tmp_path / "run")
    page = Page(render(path, evaluate(path)))
    assert not {"faults"} & {*page.ids}
    assert "hatched" not in page.text
