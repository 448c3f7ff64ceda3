"""docs/compare.md agrees with the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import rich_run
import yaml
from typer.main import get_command

from planebench import slis
from planebench.cli import app
from planebench.compare import statistics
from planebench.compare.comparison import Settings
from planebench.compare.document import Word
from planebench.compare.figures import of_result, select
from planebench.model import ExitCode

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")


def table(first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    _, found, rest = PAGE.partition(f"\n| {first_heading} |")
    assert found, first_heading
    rows = rest.split("\n\n")[0].splitlines()[2:]
    return [re.split(r" *\| *", row)[1:-1] for row in rows]


def test_every_word_is_told() -> None:
    told = [word.strip() for cells in table("word") for word in cells[0].split(",")]
    assert sorted(told) == sorted(Word)


def test_smallest_p_is_the_code_s() -> None:
    alpha = Settings().alpha
    for cells in table("trials on each side"):
        n, p, figures, paired_p, paired_figures = (cell.replace(",", "") for cell in cells)
        for paired, told, enough in ((False, p, figures), (True, paired_p, paired_figures)):
            least = statistics.least_p(int(n), int(n), paired=paired)
            assert float(told) == pytest.approx(least, rel=0.1)
            assert int(enough) == int(alpha / least + 1e-9)


def test_defaults_are_the_code_s() -> None:
    settings = Settings()
    assert f"`--margin`, {settings.margin:.0%} unless set" in PAGE
    assert f"is at most {settings.alpha:g}." in PAGE
    assert f"{settings.resamples:,} resamples" in PAGE
    assert f"It takes at least {'four' if statistics.LEAST_TRIALS == 4 else '?'}." in PAGE


def test_the_gate_s_exit_codes() -> None:
    told = {int(cells[0]): cells[1] for cells in table("exit code")}
    assert told == {
        ExitCode.PASS: "PASS",
        ExitCode.FAIL: "FAIL",
        ExitCode.USAGE: "",
        ExitCode.INCONCLUSIVE: "INCONCLUSIVE",
    }


def test_patterns_select_something(tmp_path: Path) -> None:
    names = list(of_result(slis.evaluate(rich_run.write(tmp_path / "run", 30))))
    patterns = [pattern for cells in table("pattern") for pattern in re.findall(r"`([^`]+)`", cells[0])]
    assert len(patterns) >= 6
    for pattern in patterns:
        if pattern != "component.etcd.*":  # the made-up run has no metrics of etcd
            assert select(names, [pattern]), pattern


def commands() -> list[list[str]]:
    """All planebench commands of the page, as words."""
    joined = re.sub(r"\\\n\s*", "", PAGE)
    found = re.findall(
        r"^\s*(?:- run: )?planebench ((?:compare|gate|export|run|experiment)\b.*)$", joined, re.MULTILINE
    )
    return [shlex.split(line.partition(" #")[0].partition("||")[0], comments=True) for line in found]


def test_commands_exist_with_their_options() -> None:
    found = commands()
    assert len(found) >= 8
    known = get_command(app)
    for name, *rest in found:
        command = known.commands[name]  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, (name, rest)


def test_the_workflow_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target
