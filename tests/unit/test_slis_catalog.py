"""The catalogue of indicators, and demands on them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench import scenario
from planebench.model import Stage
from planebench.scenario import SLO
from planebench.slis.catalog import _EXAMPLES, CATALOG, check, find


def demand(text: str) -> list[str]:
    """What is wrong with one SLO, in YAML."""
    document = (
        "apiVersion: planebench.dev/v1\nname: a\nnodes: [{count: 1}]\n"
        f"workload: {{count: 1, objects: [{{template: pod}}]}}\nslos: [{{{text}}}]\n"
    )
    return list(check(scenario.parse(document).slos))


def test_entries_are_whole() -> None:
    for name, entry in CATALOG.items():
        assert entry.id == name
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
        assert entry.definition
        assert not entry.definition[0].isupper()
        assert not entry.definition.endswith(".")
        assert entry.source
        if entry.stage:
            assert name.startswith(f"{entry.stage}.")
        assert not (entry.single and entry.parts), "a single value has no parts"
        assert not entry.only_parts or entry.parts


def test_every_stage_is_measured() -> None:
    assert {entry.stage for entry in CATALOG.values()} == {*Stage, None}


def test_examples_are_parts_of_what_has_parts_only() -> None:
    assert _EXAMPLES.keys() == {name for name, entry in CATALOG.items() if entry.only_parts}
    for name, example in _EXAMPLES.items():
        assert find(example) is CATALOG[name]


@pytest.mark.parametrize(
    ("sli", "owner"),
    [
        ("creation.response", "creation.response"),
        ("creation.response.pods", "creation.response"),
        ("monitoring.list.pods.full", "monitoring.list"),
        ("monitoring.list_bytes.pods.full", "monitoring.list_bytes"),
        ("management.transition.pods.scheduled-running", "management.transition"),
        ("cleanup.gone.pods", None),
        ("creation", None),
        ("", None),
    ],
)
def test_parts_are_found_by_their_owner(sli: str, owner: str | None) -> None:
    found = find(sli)
    assert (found.id if found else None) == owner


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_a_part_s_id_may_be_demanded(names: list[str]) -> None:
    name = CATALOG["monitoring.list"].part(*names)
    assert find(name) is CATALOG["monitoring.list"]
    assert SLO.model_validate({"sli": name[:100], "percentile": 99, "max": "1s"}).sli == name[:100]


def test_names_become_ids() -> None:
    assert CATALOG["creation.response"].part("Virtual Machines") == "creation.response.virtual-machines"


@pytest.mark.parametrize("name", scenario.builtin_names())
def test_the_built_in_scenarios_demand_what_there_is(name: str) -> None:
    assert list(check(scenario.load(name).slos)) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sli: creation.response, percentile: 99, max: 1s", None),
        ("sli: creation.reached, min: 100%", None),
        ("sli: cleanup.leftovers, max: 0", None),
        ("sli: scheduling.throughput, min: 50/s", None),
        ("sli: scheduling.distribution_cv, max: 0.5", None),
        ("sli: monitoring.list_bytes, percentile: 100, max: 1Mi", None),
        ("sli: monitoring.list_bytes, percentile: 100, max: 1000000", None),
        ("sli: management.change.patch, percentile: 50, max: 1s", None),
        (
            "sli: creation.respnse, percentile: 99, max: 1s",
            "slos[0].sli: there is no indicator 'creation.respnse'; see docs/results.md for all of them",
        ),
        (
            "sli: creation.response, percentile: 99, max: 20/s",
            "slos[0].max: creation.response is a duration, 20/s is not",
        ),
        ("sli: creation.reached, min: 1s", "slos[0].min: creation.reached is a share, 1s is not"),
        ("sli: cleanup.leftovers, max: 1%", "slos[0].max: cleanup.leftovers is a number, 1% is not"),
        (
            "sli: creation.response, max: 1s",
            "slos[0]: creation.response is a distribution: give a percentile, for instance percentile: 99",
        ),
        (
            "sli: creation.reached, percentile: 50, min: 100%",
            "slos[0].percentile: creation.reached is a single value and has no percentiles",
        ),
        (
            "sli: management.change, percentile: 50, max: 1s",
            "slos[0].sli: management.change has parts only (change, kind), for instance management.change.patch",
        ),
    ],
)
def test_demands_are_checked(text: str, problem: str | None) -> None:
    assert demand(text) == ([problem] if problem else [])


def test_all_that_is_wrong_is_told() -> None:
    assert len(demand("sli: management.change, max: 1%")) == 3


def test_no_demands() -> None:
    slos: list[SLO] = []
    assert list(check(slos)) == []
