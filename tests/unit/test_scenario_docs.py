"""The documentation and the examples agree with the code."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from planebench import nodes, scenario
from planebench.plan import Planner
from planebench.planes import load_plane

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = [path for path in sorted((ROOT / "examples").glob("*.yaml")) if "kind: Pod" not in path.read_text()]


def test_the_reference_is_the_schemas() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "scenario_reference.py"))
    page: str = tool["page"]()
    assert (ROOT / "docs" / "scenarios.md").read_text() == page, "run python tools/scenario_reference.py"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_and_plannable(path: Path) -> None:
    example = scenario.load(path)
    plane = load_plane(example.plane, example.settings)
    assert scenario.warnings(example, plane) == []
    plan = Planner(example, plane, run_id="r")
    assert len(plan.creation().operations) == example.workload.count
    assert len(plan.nodes(list(nodes.manifests(example.nodes, plane))).operations) == example.node_count
