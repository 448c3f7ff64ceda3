"""The capacity folder: state on disk, searches that go on, levels as scenarios."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import made_searches
import pytest

from planebench import scenario as scenarios
from planebench.capacity import CapacityFolder, Ending, Load, levels
from planebench.model import PlanebenchError, UsageError
from planebench.scenario import Constant, Poisson

SCHEMA = Path(__file__).parent.parent.parent / "docs" / "schemas" / "capacity-v1.json"


def test_a_search_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = made_searches.searched(tmp_path / "whole", made_searches.threshold())
    part = made_searches.searched(tmp_path / "part", made_searches.threshold(), steps=4)
    assert part.capacity.outcome is None
    part.start().mkdir()  # the fifth step is cut off
    again = made_searches.searched(tmp_path / "part", made_searches.threshold())
    assert again.capacity.id == part.capacity.id
    assert again.capacity.steps == whole.capacity.steps
    assert again.capacity.outcome == whole.capacity.outcome
    assert [entry.name for entry in (tmp_path / "part" / "steps" / ".cut-off").iterdir()] == ["005.1"]


def test_what_is_found_is_on_disk_and_valid(tmp_path: Path) -> None:
    folder = made_searches.searched(tmp_path / "search", made_searches.threshold())
    read = CapacityFolder.open(tmp_path / "search").capacity
    assert read == folder.capacity
    assert read.outcome is not None
    assert read.outcome.ending is Ending.FOUND
    assert read.outcome.capacity is not None
    assert read.outcome.next_above is not None
    assert read.outcome.capacity <= 100 < read.outcome.next_above <= read.outcome.capacity * 1.05
    assert read.law is not None
    assert read.environment == {"machine": {"cores": 2}}
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads((tmp_path / "search/capacity.json").read_text()))


def test_a_folder_goes_on_with_the_same_search_only(tmp_path: Path) -> None:
    made_searches.searched(tmp_path / "search", made_searches.threshold(), steps=2)
    with pytest.raises(UsageError, match=r"its search has end 500\.0, not 400\.0"):
        CapacityFolder.create(tmp_path / "search", scenarios.load("capacity-pods"), made_searches.plan(end=400.0))
    with pytest.raises(UsageError, match="another scenario"):
        CapacityFolder.create(tmp_path / "search", scenarios.load("smoke"), made_searches.plan())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty, and holds no search"):
        CapacityFolder.create(tmp_path, scenarios.load("smoke"), made_searches.plan())
    with pytest.raises(UsageError, match="is a file"):
        CapacityFolder.create(tmp_path / "notes.txt", scenarios.load("smoke"), made_searches.plan())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "truncated or damaged"),
        ("[]", "holds no object"),
        ('{"schema_version": 2}', "is of version 2"),
        ('{"schema_version": 1}', "is damaged: id: "),
    ],
)
def test_a_damaged_record_is_told(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "capacity.json").write_text(content)
    with pytest.raises(PlanebenchError, match=message):
        CapacityFolder.open(tmp_path)
    with pytest.raises(UsageError, match="is no capacity search"):
        CapacityFolder.open(tmp_path / "nowhere")


# --- levels --------------------------------------------------------------------------------------------------


def test_a_level_of_the_rate_lasts_as_long_as_it_is_to() -> None:
    base = scenarios.load("capacity-pods")
    low, high = (levels.at(base, made_searches.plan(), rate) for rate in (20.0, 75.94))
    assert (low.lifecycle.creation.arrival, low.workload.count) == (Constant.model_validate({"rate": "20/s"}), 400)
    assert (high.lifecycle.creation.arrival.model_dump()["rate"], high.workload.count) == ("75.94/s", 760)
    poisson = scenarios.load("capacity-pods", {"lifecycle.creation.arrival": "{pattern: poisson, rate: 1/s}"})
    assert isinstance(levels.at(poisson, made_searches.plan(), 20.0).lifecycle.creation.arrival, Poisson)


def test_levels_of_objects_and_nodes_leave_the_rest_alone() -> None:
    base = scenarios.load("capacity-pods")
    objects = levels.at(base, made_searches.plan(of=Load.OBJECTS), 1000.0)
    nodes = levels.at(base, made_searches.plan(of=Load.NODES, step_objects=300), 70.0)
    assert (objects.node_count, objects.workload.count) == (50, 1000)
    assert (nodes.node_count, nodes.workload.count) == (70, 300)
    assert objects.lifecycle == nodes.lifecycle == base.lifecycle


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({"start": 600.0}, {}, "--from 600/s: must be more than 0 and less than --to 500/s"),
        ({"start": 0.0}, {}, "--from 0/s: must be more than 0"),
        ({"end": 5000.0}, {}, r"--to 5,000/s: a step has up to 50,000 objects, but the nodes hold 5,500 pods"),
        ({}, {"slos": "[]"}, "it demands nothing"),
        ({}, {"lifecycle.creation.arrival": "{pattern: burst, size: 10, every: 1s}"}, "this scenario has burst"),
        ({"of": Load.NODES, "start": 10.0, "end": 9000.0}, {}, "--from, --to: 9000: must be from 1 "),
        ({"of": Load.NODES, "start": 1.0, "end": 90.0}, {}, "the nodes hold 110 pods"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    changes: dict[str, object], overrides: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        levels.check(scenarios.load("capacity-pods", overrides), made_searches.plan(**changes))
