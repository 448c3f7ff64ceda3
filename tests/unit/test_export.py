"""A run's results in other programs' formats, read back by those formats' own readers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest
import rich_run
import typer
from golden import assert_golden
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from synthetic_run import pods
from trial_folders import write_trials
from typer.testing import CliRunner

from planebench import slis
from planebench.cli.export import export
from planebench.model import Judgement, PlanebenchError, UsageError
from planebench.report import junit, markdown, openmetrics, parquet
from planebench.results import Result, RunFolder, tables
from planebench.results.document import Finding, SLOResult


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_run.write(tmp_path_factory.mktemp("rich") / "run", 40)


@pytest.fixture(scope="module")
def result(run: Path) -> Result:
    return slis.evaluate(run)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return slis.evaluate(rich_run.write(tmp_path_factory.mktemp("broken") / "run", 40, broken=True))


FORMATS: dict[str, Callable[[Result], str]] = {
    "xml": junit.render,
    "md": markdown.render,
    "openmetrics.txt": openmetrics.render,
}


@pytest.mark.parametrize("kind", FORMATS)
def test_golden_exports(kind: str) -> None:
    """Of a result that is kept: what an analysis finds in a run is no matter of formats."""
    kept = Result.model_validate_json((Path(__file__).parent.parent / "data" / "result.json").read_bytes())
    assert_golden(f"export.{kind}", FORMATS[kind](kept))


# --- JUnit ---------------------------------------------------------------------------------------------------


def cases(result: Result) -> dict[str, Any]:
    return {case.name: case for suite in JUnitXml.fromstring(junit.render(result).encode()) for case in suite}


def slo(verdict: Judgement, **changes: Any) -> SLOResult:
    fields: dict[str, Any] = {
        "sli": "creation.response",
        "percentile": 99,
        "at_most": 1.0,
        "at_least": None,
        "unit": "s",
        "value": 0.5,
        "n": 1000,
        "verdict": verdict,
        "reason": "",
    }
    return SLOResult(**fields | changes)


def finding(*, ok: bool, affects: str) -> Finding:
    return Finding(
        name="a.b",
        title=f"a check of {affects or 'nothing'}",
        value="12",
        bound="0",
        ok=ok,
        affects=affects,
        action="do this",
    )


def test_a_case_for_each_slo_and_check(result: Result) -> None:
    found = cases(result)
    assert len(found) == len(result.slos) + len(result.validity)
    for demanded in result.slos:
        (name,) = [name for name in found if name.startswith(demanded.sli)]
        outcome = [type(part) for part in found[name].result]
        assert (
            outcome
            == {Judgement.PASS: [], Judgement.FAIL: [Failure], Judgement.INCONCLUSIVE: [Error]}[demanded.verdict]
        )
    assert {Judgement.PASS, Judgement.FAIL} <= {demanded.verdict for demanded in result.slos}


def test_inconclusive_is_an_error_and_no_success(result: Result) -> None:
    doubtful = result.model_copy(
        update={"slos": (slo(Judgement.INCONCLUSIVE, value=None, n=0, reason="no data"),), "validity": ()}
    )
    (case,) = cases(doubtful).values()
    (outcome,) = case.result
    assert isinstance(outcome, Error)
    assert (outcome.type, outcome.message) == ("INCONCLUSIVE", "found no data")


def test_checks_weigh_what_they_make_doubtful(result: Result) -> None:
    checks = (
        finding(ok=True, affects="run"),
        finding(ok=False, affects="creation"),
        finding(ok=False, affects=""),
    )
    found = cases(result.model_copy(update={"slos": (), "validity": checks}))
    assert [type(part) for case in found.values() for part in case.result] == [Error, Skipped]
    (error,) = found["a check of creation"].result
    assert error.message == "found 12, should be 0; makes creation doubtful; do this"


def test_counts_add_up(result: Result, broken: Result) -> None:
    for one in (result, broken):
        xml = JUnitXml.fromstring(junit.render(one).encode())
        told = (xml.tests, xml.failures, xml.errors, xml.skipped)
        xml.update_statistics()  # type: ignore[no-untyped-call]
        assert told == (xml.tests, xml.failures, xml.errors, xml.skipped)
    assert (
        cases(broken)["the run came to its end"].result[0].message.startswith("found broken: kube-apiserver ended")
    )


def test_names_hold_no_measured_value(result: Result, broken: Result) -> None:
    assert cases(result).keys() == cases(broken).keys()


@given(st.text())
def test_any_text_makes_valid_xml(words: str) -> None:
    case = junit._of_slo(slo(Judgement.FAIL, reason=words), words)
    ET.fromstring(ET.tostring(case))  # noqa: S314 (our own)


# --- Markdown ------------------------------------------------------------------------------------------------


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_the_verdict_comes_first(result: Result) -> None:
    assert markdown.render(result).startswith("### ❌ FAIL: synthetic\n\n")
    nothing = result.model_copy(update={"verdict": None, "slos": (), "reason": "the scenario demands nothing"})
    assert markdown.render(nothing).startswith("### No verdict: synthetic\n\nThe scenario demands nothing. ")


def test_it_is_short(result: Result) -> None:
    text = markdown.render(result)
    visible, _, _ = text.partition("<details>")
    assert len(visible.splitlines()) < 20
    assert text.count("<details>") == text.count("</details>") == 4


def test_tables_are_tables(result: Result) -> None:
    html = rendered(markdown.render(result))
    assert html.count("<table>") == 3
    body = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    for row in body:
        assert len(re.findall(r"<t[hd]", row)) in (4, 8, 6)
    for demanded in result.slos:
        assert f"{demanded.sli} " in plain(html)
    assert "|" not in plain(html)


def test_what_a_server_says_is_no_markup(result: Result) -> None:
    html = rendered(markdown.render(result))
    assert rich_run.HOSTILE in plain(html)
    assert "<img" not in html
    assert "<script" not in html


@given(st.text(min_size=1))
def test_any_text_is_one_cell(words: str) -> None:
    html = rendered("\n".join(markdown.table(("a", "b"), [(markdown.text(words), "c")], left=1)))
    assert html.count("<td") == 2
    assert plain(html).split() == ["a", "b", *words.replace("\0", "\ufffd").split(), "c"]


# --- OpenMetrics ---------------------------------------------------------------------------------------------


def series(result: Result) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample; a family or series that is there twice is an error of the parser."""
    found = {}
    for family in text_string_to_metric_families(openmetrics.render(result)):  # type: ignore[no-untyped-call]
        assert family.documentation
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def sample(result: Result, name: str, **labels: str) -> float:
    (value,) = [
        value
        for (family, found), value in series(result).items()
        if family == name and labels.items() <= dict(found).items()
    ]
    return value


def test_it_is_openmetrics(result: Result, broken: Result) -> None:
    for one in (result, broken):
        text = openmetrics.render(one)
        assert text.endswith("# EOF\n")
        assert "# UNIT planebench_sli_seconds seconds\n" in text
        assert "# HELP planebench_sli_seconds Service level indicators" in text
        assert all(("scenario", "synthetic") in labels for _, labels in series(one))


def test_figures_are_the_result_s(result: Result) -> None:
    row = result.rows()["creation.response"]
    assert sample(result, "planebench_sli_seconds", sli="creation.response", quantile="0.5") == row.p50
    assert sample(result, "planebench_sli_values", sli="creation.response") == row.n
    assert (
        sample(result, "planebench_sli_ratio", sli="creation.reached") == result.rows()["creation.reached"].value
    )
    etcd = next(component for component in result.components if component.name == "etcd")
    used = [
        value
        for (name, labels), value in series(result).items()
        if name == "planebench_component_cpu_seconds" and ("component", "etcd") in labels
    ]
    assert math.fsum(used) == pytest.approx(etcd.cpu_s)
    assert (
        sample(result, "planebench_component_peak_resident_memory_bytes", component="etcd") == etcd.peak_rss_bytes
    )


def test_what_never_came_is_infinite(result: Result) -> None:
    assert result.rows()["creation.startup"].missing
    assert sample(result, "planebench_sli_seconds", sli="creation.startup", quantile="1") == math.inf
    assert sample(result, "planebench_slo_value", sli="creation.startup") == math.inf


def test_one_state_of_a_verdict_is_set(result: Result) -> None:
    for name, extra in (("planebench_run_verdict", {}), ("planebench_slo_verdict", {"sli": "creation.startup"})):
        states = {state: sample(result, name, **{name: state}, **extra) for state in Judgement}
        assert states == {Judgement.FAIL: 1, Judgement.PASS: 0, Judgement.INCONCLUSIVE: 0}
    undemanding = result.model_copy(update={"verdict": None})
    assert not any(value for (name, _), value in series(undemanding).items() if name == "planebench_run_verdict")


def test_the_same_demand_twice_is_one_series(result: Result) -> None:
    twice = result.model_copy(update={"slos": (*result.slos, *result.slos)})
    assert series(twice) == series(result)


def test_a_time_that_is_none_is_left_out(result: Result) -> None:
    assert sample(result, "planebench_run_start_time_seconds") == 1_700_000_000
    timeless = result.model_copy(update={"started_wall": "yesterday"})
    assert not any(name == "planebench_run_start_time_seconds" for name, _ in series(timeless))


# --- Parquet -------------------------------------------------------------------------------------------------


def test_raw_tables_are_the_run_folder_s(run: Path, result: Result, tmp_path: Path) -> None:
    written = parquet.write([(RunFolder(run), result)], tmp_path / "out")
    assert {path.stem for path in written} == {*tables.SCHEMAS, "rows", "components", "slos", "runs"}
    for name, frame in tables.read(RunFolder(run)).items():
        found = pl.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert found["run"].unique().to_list() in ([result.run_id], [])
        assert found.drop("run").equals(frame)


def test_rows_are_all_figures(result: Result) -> None:
    frame = parquet.rows([result])
    assert frame.height == len(result.rows()) + sum(len(part.metrics) for part in result.components)
    row = frame.row(by_predicate=pl.col("sli") == "creation.startup", named=True)
    assert (row["stage"], row["p50"], row["max"], row["missing"]) == (
        "creation",
        result.rows()["creation.startup"].p50,
        None,
        result.rows()["creation.startup"].missing,
    )
    assert frame.filter(component="kube-apiserver").height


def test_several_runs_are_one_table(tmp_path: Path) -> None:
    trials = write_trials(tmp_path / "trials", 3)
    done = invoke([str(trials), "--format", "parquet", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    requests = pl.read_parquet(tmp_path / "out" / "requests.parquet")
    assert requests["run"].n_unique() == 3
    assert pl.read_parquet(tmp_path / "out" / "runs.parquet").height == 3
    assert pl.read_parquet(tmp_path / "out" / "components.parquet")["name"].to_list() == ["kube-apiserver"] * 3


def test_a_run_given_twice(run: Path, result: Result, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run synthetic-1 was given twice"):
        parquet.write([(RunFolder(run), result)] * 2, tmp_path)


def test_a_folder_that_cannot_be_made(run: Path, result: Result, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .*cannot be made"):
        parquet.write([(RunFolder(run), result)], tmp_path / "file" / "below")


# --- the command ---------------------------------------------------------------------------------------------


def invoke(arguments: list[str]) -> Any:
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, arguments, catch_exceptions=True)


def refused(arguments: list[str]) -> str:
    error = invoke(arguments).exception
    assert isinstance(error, PlanebenchError), error
    return str(error)


@pytest.mark.parametrize("form", ["json", "junit", "markdown", "openmetrics"])
def test_to_standard_output_and_to_a_file(run: Path, tmp_path: Path, form: str) -> None:
    printed = invoke([str(run), "--format", form])
    assert printed.exit_code == 0
    assert invoke([str(run), "--format", form, "--out", str(tmp_path / "file")]).stdout == ""
    assert (tmp_path / "file").read_text().rstrip("\n") == printed.stdout.rstrip("\n")


def test_json_is_result_json(run: Path, result: Result) -> None:
    assert Result.model_validate(json.loads(invoke([str(run), "--format", "json"]).stdout)) == result


def test_wrong_places(run: Path, tmp_path: Path) -> None:
    assert "no such folder" in refused([str(tmp_path / "none"), "--format", "json"])
    assert "is a folder; give a file" in refused([str(run), "--format", "json", "--out", str(tmp_path)])
    assert "--out is missing" in refused([str(run), "--format", "parquet"])
    assert "holds none" in refused([str(tmp_path), "--format", "parquet", "--out", str(tmp_path / "out")])
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused([str(run), "--format", "json", "--out", str(tmp_path / "file" / "x")])


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    path = pods(count=10)[0].write(tmp_path / "run")
    table = path / "raw" / "requests.parquet"
    table.write_bytes(table.read_bytes()[:-10])
    assert "requests.parquet: is truncated or damaged" in refused([str(path), "--format", "junit"])
