"""A comparison as people read it: golden files, and that it fits."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from golden import assert_golden
from hypothesis import given
from hypothesis import strategies as st
from made_trials import CPU, REACHED, SETUP, STARTUP, THROUGHPUT, group
from markdown_it import MarkdownIt
from rich.console import Console

from planebench.compare.comparison import Settings, compare
from planebench.compare.document import Comparisons
from planebench.compare.figures import Figure
from planebench.compare.gate import judge
from planebench.compare.trials import LeftOut
from planebench.report.comparison import json, markdown, terminal, words

BASE = [0.512, 0.498, 0.505, 0.521, 0.489, 0.509]
BEFORE = replace(SETUP, settings={"kube-apiserver": "1.35.4", "limits.kube-scheduler.qps": "50"})
AFTER = replace(SETUP, settings={"kube-apiserver": "1.36.0", "limits.kube-scheduler.qps": "100"})
RESPONSE = replace(STARTUP, title="creation.response p99")
CANARY = replace(STARTUP, title="monitoring.canary p50")
LEFTOVERS = replace(REACHED, title="cleanup.leftovers", unit="count", better="less", exact=False)
MEMORY = Figure("kube-controller-manager peak memory", "cost", "bytes", 1.0, "less", by_default=True)
SETTINGS = Settings(resamples=999)


def times(factor: float) -> list[float]:
    return [value * factor + number * 1e-5 for number, value in enumerate(BASE)]


def everything() -> Comparisons:
    """Something of all that can be said."""
    before = {
        STARTUP: BASE,
        RESPONSE: BASE,
        REACHED: [1.0] * 6,
        THROUGHPUT: times(40),
        CANARY: [-0.001, *BASE[1:]],
        LEFTOVERS: [0.0] * 6,
        CPU: times(30),
        MEMORY: [value * 2**28 for value in BASE],
    }
    after = {
        STARTUP: times(1.25),
        RESPONSE: [*times(1.01)[:5], math.inf],
        REACHED: [0.99] * 6,
        THROUGHPUT: times(41),
        CANARY: BASE,
        LEFTOVERS: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        CPU: times(20),
        MEMORY: [value * 2**28 * 1.08 for value in reversed(BASE)],
    }
    noise = {MEMORY: [value * 2**28 for value in (0.5, 0.6, 0.45, 0.7, 0.4, 0.55)]}
    left_out = (LeftOut("006", "candidate/006: the run did not come to its end (broken): etcd ended", "broken"),)
    return compare(
        group("baselines/main", before, setup=BEFORE),
        [group("candidate", after, setup=AFTER, seeds=[2] * 6, left_out=left_out)],
        SETTINGS,
        noise=group("noise", noise),
    )


def elsewhere() -> Comparisons:
    setups = [replace(SETUP, machine={"processor": name}) for name in ("Made-Up 1", "Made-Up 2")]
    return compare(
        group("a", {STARTUP: BASE, CPU: BASE}, setup=setups[0]),
        [group("b", {STARTUP: times(1.0), CPU: times(2.0)}, setup=setups[1])],
        SETTINGS,
    )


def too_few() -> Comparisons:
    return compare(
        group("a", {STARTUP: BASE[:3], CPU: BASE[:3]}),
        [group("b", {STARTUP: times(1.3)[:2], CPU: times(0.9)[:2]}), group("c", {STARTUP: BASE, CPU: BASE})],
        SETTINGS,
    )


def pairs() -> Comparisons:
    drift = [value * (number + 1) for number, value in enumerate([*BASE, 0.5, 0.51])]
    after = [value * 1.2 + number * 1e-4 for number, value in enumerate(drift)]
    return compare(group("a", {STARTUP: drift}), [group("b", {STARTUP: after})], replace(SETTINGS, paired=True))


CASES = {"everything": everything, "elsewhere": elsewhere, "too-few": too_few, "pairs": pairs}


def printed(found: Comparisons, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal.render(found))
    console.print(terminal.render_gate(judge(found)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("case", CASES)
def test_golden_comparisons(case: str, width: int) -> None:
    text = printed(CASES[case](), width)
    assert_golden(f"compare-{case}-{width}.txt", text)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("case", CASES)
def test_golden_markdown(case: str) -> None:
    found = CASES[case]()
    assert_golden(f"compare-{case}.md", markdown.render(found))
    assert_golden(f"gate-{case}.md", markdown.render(found, judge(found)))


def test_markdown_tables_are_tables() -> None:
    html = MarkdownIt("commonmark").enable("table").render(markdown.render(everything()))
    assert html.count("<table>") == 2
    assert html.count("<tr>") == 2 + len(everything().comparisons[0].figures)


def test_json_is_the_document() -> None:
    found = everything()
    assert Comparisons.model_validate_json(json.render(found)) == found


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "∞"),
        (0, "-100%"),
        (0.5, "-50%"),
        (0.958, "-4.2%"),
        (0.99951, "-0.0%"),
        (1, "0%"),
        (1.0996, "+10%"),
        (1.042, "+4.2%"),
        (2.5, "+150%"),
        (3, "x3.0"),
        (12345, "x12,345"),
    ],
)
def test_changes(ratio: float | None, text: str) -> None:
    assert words.change(ratio) == text


@given(st.floats(0, 1e6))
def test_changes_are_short(ratio: float) -> None:
    assert len(words.change(ratio)) <= 10


@pytest.mark.parametrize(
    ("p", "text"), [(None, ""), (0.0004, "<0.001"), (0.0312, "0.031"), (0.5, "0.50"), (1, "1.00")]
)
def test_probabilities(p: float | None, text: str) -> None:
    assert words.probability(p) == text
