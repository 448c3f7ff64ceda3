"""What a search says: golden files, and the words for every ending."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import made_searches
import pytest
from golden import assert_golden
from rich.console import Console

from planebench.capacity import Capacity, Step
from planebench.model import Judgement
from planebench.report.capacity import html, terminal, words
from planebench.report.capacity import json as report_json
from planebench.report.capacity.curve import curve


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Capacity:
    """A whole search; its law takes a second to fit."""
    return made_searches.searched(tmp_path_factory.mktemp("found") / "search", made_searches.threshold()).capacity


def text(found: Capacity, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal.render(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_search_on_the_terminal(found: Capacity, width: int) -> None:
    shown = text(found, width)
    assert all(len(line) <= width for line in shown.splitlines())
    assert_golden(f"capacity-{width}.txt", shown)


def harness(number: int, level: float) -> object:
    verdict = Judgement.PASS if level < 50 else Judgement.INCONCLUSIVE
    return made_searches.step(
        number, level, verdict, ended_by="harness", reason="not so: the load engine had a core to spare (95%)"
    )


def test_where_the_harness_ends_it_is_said_plainly(tmp_path: Path) -> None:
    found = made_searches.searched(tmp_path / "search", harness).capacity  # type: ignore[arg-type]
    said = words.verdict(found)
    assert "45/s hold; 67.5/s cannot be judged: the harness, not the control plane, ends here" in said
    assert "the load engine had a core to spare (95%)" in said


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (5.0, "not even the first level holds: begin lower than 20/s (--from)"),
        (1000.0, "even the highest level holds: the capacity is 500/s or more (--to)"),
    ],
)
def test_thresholds_out_of_range_are_said(tmp_path: Path, served: float, said: str) -> None:
    found = made_searches.searched(tmp_path / "search", made_searches.threshold(served)).capacity
    assert said in words.verdict(found)
    assert said in " ".join(text(found, 200).split())


def test_a_search_that_goes_on_says_so(tmp_path: Path) -> None:
    found = made_searches.searched(tmp_path / "search", made_searches.threshold(), steps=2).capacity
    assert "2 steps so far; the same command goes on with it" in text(found, 200)


def test_the_curve_has_one_knee(found: Capacity) -> None:
    drawn = curve(found)
    assert found.outcome is not None
    assert [point.level for point in drawn.points if point.knee] == [found.outcome.capacity]
    assert drawn.bound_s == 1.0
    assert [point.level for point in drawn.points] == sorted(step.level for step in found.steps)


def test_an_extrapolation_is_warned_of(found: Capacity) -> None:
    assert found.law is not None
    lines = list(words.law(found.law))
    assert any(line.startswith("WARNING: nothing beyond") for line in lines)
    assert sum("extrapolated" in line for line in lines) == 3


def test_json_is_the_document(found: Capacity) -> None:
    assert Capacity.model_validate(json.loads(report_json.render(found))) == found


def test_the_page_is_whole_and_asks_nobody(tmp_path: Path, found: Capacity) -> None:
    page = html.render(found)
    assert words.verdict(found)[1:] in page
    assert page.count('class="chart"') == 2
    for element in ("chart-curve", "chart-law"):
        assert f'id="{element}"' in page
    assert "WARNING: nothing beyond" in page
    own, _, _ = page.partition("<script>")  # Bokeh's script follows
    assert not re.search(r'(?:src|href)="(?:https?:)?//', own)
    short = html.render(made_searches.searched(tmp_path / "short", made_searches.threshold(5)).capacity)
    assert 'class="chart"' not in short
    assert "No projection: it takes 5 steps, there are 1." in short


def test_an_attempt_that_fails_at_a_level_that_holds_names_no_limit(tmp_path: Path) -> None:
    def stalls(number: int, level: float) -> Step:
        return made_searches.step(number, level, Judgement.FAIL if number == 2 or level > 100 else Judgement.PASS)

    found = made_searches.searched(tmp_path / "search", stalls, attempts=2).capacity
    assert [step.verdict for step in found.steps[1:3]] == [Judgement.FAIL, Judgement.PASS]
    limiting = words.limiting(found)
    assert limiting is not None
    assert found.outcome is not None
    assert limiting.level == found.outcome.next_above
