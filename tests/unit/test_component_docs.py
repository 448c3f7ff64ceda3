"""docs/components agrees with the code, and the glossary with itself."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from planebench import scenario
from planebench.slis.families import figures_of
from planebench.slis.metrics import Metric

ROOT = Path(__file__).parent.parent.parent
TOOL = runpy.run_path(str(ROOT / "tools" / "component_reference.py"))
PAGES: dict[str, tuple[str, ...]] = TOOL["PAGES"]
VERSIONS = ("1.37.2", "3.7.3", "0.8.0", "1.8.4", "0.17.0")


def test_the_tables_are_the_code_s() -> None:
    for path, text in TOOL["pages"]().items():
        assert path.read_text(encoding="utf-8") == text, "run python tools/component_reference.py"


def figures(component: str, page: str) -> tuple[Metric, ...]:
    return figures_of(component, TOOL["plane_of"](page)).metrics


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_that_a_page_explains_is_there(page: str) -> None:
    text, _, _ = (ROOT / "docs" / "components" / page).read_text(encoding="utf-8").partition(TOOL["BEGIN"])
    prefixes = "apiserver|etcd|scheduler|queue|client|webhook|go|kueue"
    known = {metric.id for component in ("", *PAGES[page]) for metric in figures(component, page)}
    for component in PAGES[page]:
        told_of = figures_of(component, TOOL["plane_of"](page))
        known |= {metric.id for metrics in told_of.told_by.values() for metric in metrics}
        known |= {told_of.per_object.id} if told_of.per_object else set()
    if page == "api-server.md":
        known.add("etcd.request")  # to compare with
    told = set(re.findall(rf"`((?:{prefixes})\.[a-z_]+)`", text))
    assert told <= known
    headlines = {metric.id for component in PAGES[page] for metric in figures(component, page) if metric.headline}
    assert headlines <= told, "what is told at first sight is explained"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_which_versions_it_was_checked_against(page: str) -> None:
    text = (ROOT / "docs" / "components" / page).read_text(encoding="utf-8")
    (checked,) = re.findall(r"^Checked against (.*?)\.?$", text, re.MULTILINE)
    assert any(version in checked for version in VERSIONS)
    assert "## Traps" in text


def test_the_glossary_is_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| ")][1:]
    assert terms == sorted(terms, key=str.lower)
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("name", ["pod-density-raised", "kubevirt-density-raised"])
def test_the_raised_scenarios_raise_every_client_limit(name: str) -> None:
    raised, usual = scenario.load(name, {}), scenario.load(name.removesuffix("-raised"), {})
    assert usual.limits.kube_scheduler is None
    assert raised.limits.kube_scheduler and raised.limits.kube_scheduler.qps > 50
    assert raised.limits.kube_controller_manager and raised.limits.kube_controller_manager.qps > 20
    assert (raised.node_count, raised.workload) == (usual.node_count, usual.workload), "comparable"
