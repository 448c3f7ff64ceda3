"""Runs as polars frames, and the example that plots them."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from synthetic_run import looked_at, pods

from planebench import frames
from planebench.control_plane import ControlPlane
from planebench.kube.client import Client
from planebench.model import UsageError
from planebench.results.tables import SCHEMAS

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    synthetic, _ = pods()
    return looked_at(synthetic).write(tmp_path / "run")


def test_every_table_is_there(run: Path) -> None:
    found = frames.read(run)
    assert set(found) == {*SCHEMAS, "rows", "components", "slos", "runs"}
    assert all(frame.columns[0] == "run" for frame in found.values())
    assert found["runs"]["run"].to_list() == found["requests"]["run"].unique().to_list()
    startup = found["rows"].filter(pl.col("sli") == "creation.startup")
    assert startup.height == 1


def test_what_the_page_about_python_names_is_there() -> None:
    page = (EXAMPLES.parent / "docs" / "python.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        program = compile(block, "docs/python.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        imports = [node for node in ast.walk(program) if isinstance(node, ast.ImportFrom)]
        for node in imports:
            for alias in node.names:
                assert hasattr(importlib.import_module(str(node.module)), alias.name)
    table = page.partition("| `ControlPlane` | |")[2].partition("\n\n")[0]
    for name in re.findall(r"^\| `(\w+)", table, re.MULTILINE):
        assert hasattr(ControlPlane, name) or name in inspect.signature(ControlPlane).parameters
    for name in re.findall(r"`(\w+)`", table.partition("`client` | ")[2].partition(":")[0]):
        assert hasattr(Client, name)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        frames.read(tmp_path / "none")


def test_the_plots_are_drawn(run: Path, tmp_path: Path) -> None:
    program = EXAMPLES / "plot_run.py"
    command = [sys.executable, "-W", "error", str(program), str(run), str(tmp_path / "plots.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "creations" in done.stdout
    assert "Plotly" in (tmp_path / "plots.html").read_text()
