"""``planebench report``: where it writes, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from synthetic_run import pods
from typer.testing import CliRunner

from planebench.cli.report import report
from planebench.model import PlanebenchError, UsageError

app = typer.Typer()
app.command()(report)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, _ = pods(count=5)
    return run.write(tmp_path_factory.mktemp("report") / "run")


def ask(*arguments: str | Path) -> None:
    CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_it_is_written_into_the_run_folder(folder: Path) -> None:
    ask(folder)
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_it_is_written_where_one_wants_it(folder: Path, tmp_path: Path) -> None:
    ask(folder, "--out", tmp_path / "page.html")
    assert "synthetic" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_it_opens_in_the_browser(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", opened.append)
    ask(folder, "--open", "--out", tmp_path / "page.html")
    assert opened == [(tmp_path / "page.html").as_uri()]


def test_a_folder_is_no_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--out .*: is a folder; give a file"):
        ask(folder, "--out", tmp_path)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        ask(tmp_path / "nowhere")


def test_a_place_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanebenchError, match="cannot be written: No such file or directory"):
        ask(folder, "--out", tmp_path / "nowhere" / "page.html")
