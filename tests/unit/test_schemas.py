"""The published JSON Schemas are current, and what we write is valid by them."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rich_run
from trial_folders import write_trials

from planebench import slis
from planebench.compare import read_group
from planebench.compare.comparison import Settings, compare
from planebench.experiment import Factor, Level, plan
from planebench.report import json as report_json
from planebench.report.comparison import json as comparison_json

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "schemas"


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def check(name: str, text: str) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(json.loads(text))


def test_published_schemas_are_current() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "schemas.py"))
    published = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert published == tool["schemas"](), "run python tools/schemas.py"


@pytest.mark.parametrize("broken", [False, True])
def test_results_are_valid(tmp_path: Path, broken: bool) -> None:
    check("result-v1.json", report_json.render(slis.evaluate(rich_run.write(tmp_path / "run", 30, broken=broken))))


@pytest.mark.parametrize("count", [1, 4])
def test_comparisons_are_valid(tmp_path: Path, count: int) -> None:
    groups = [
        read_group(write_trials(tmp_path / name, count, first_seed=seed)) for name, seed in (("a", 1), ("b", 9))
    ]
    found = compare(groups[0], groups[1:], Settings(figures=("*",), resamples=99))
    check("comparison-v1.json", comparison_json.render(found))


def test_experiments_are_valid() -> None:
    factor = Factor(name="qps", levels=(Level(name="50"), Level(name="100", overrides={"limits.x": "1"})))
    found = plan(id="x", scenario="smoke", factors=[factor], blocks=2, seed=1)
    check("experiment-v1.json", found.model_dump_json())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_field_has_a_meaning(path: Path) -> None:
    found = schema(path.name)
    for name, model in {path.stem: found, **found["$defs"]}.items():
        for key, field in model.get("properties", {}).items():
            assert field.get("description"), f"{name}.{key}"
