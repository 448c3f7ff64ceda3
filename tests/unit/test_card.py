"""The cost card: every request, byte, CPU second and byte of memory over the objects that were created."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from audited_run import LOAD, audited
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic_run import SyntheticRun, pods

from planebench.model import PlanebenchError
from planebench.report import card as report
from planebench.slis.card import Card, CardRow, card, exponent


def measured(count: int = 100) -> SyntheticRun:
    run, _ = pods(3, count)
    for t_s, rss in ((0.0, 1000), (9.9, 3000), (30.0, 7000), (60.0, 5000), (200.0, 9000)):
        run.sample(t_s, "kube-scheduler", "kube-scheduler", "subject", t_s / 20, rss)
        run.sample(t_s, "kube-apiserver", "kube-apiserver", "subject", t_s / 10, rss)
    for t_s, sent in ((9.0, 10), (210.0, 710)):
        run.carried(t_s, "kube-scheduler", "kube-scheduler", "subject", "kube-apiserver", sent, sent)
        run.carried(t_s, "kube-apiserver", "kube-apiserver", "subject", "etcd", 2 * sent, 0)
    return run


def rows(path: Path) -> dict[str, CardRow]:
    return {row.component: row for row in card(path).rows}


def test_requests_and_writes_are_of_who_sent_them_and_the_api_server_answers_all(tmp_path: Path) -> None:
    run = measured()
    log = audited(run)
    log.add(20, 20.2, "system:kube-scheduler", "get", "pods")
    log.add(20, 20.0, LOAD, "watch", "pods", stage="ResponseStarted")
    folder = run.write(tmp_path / "run")
    log.write(folder)
    found = rows(folder)
    assert (found["kube-scheduler"].requests, found["kube-scheduler"].writes) == (101, 100)
    assert (found["kube-apiserver"].requests, found["kube-apiserver"].writes) == (301, 300)
    assert card(folder).objects == 100


def test_traffic_cpu_and_memory(tmp_path: Path) -> None:
    found = rows(measured().write(tmp_path / "run"))
    assert found["kube-scheduler"].traffic_bytes == 1400
    assert found["kube-apiserver"].traffic_bytes == 1400, "with etcd"
    assert found["kube-scheduler"].cpu_s is not None and found["kube-scheduler"].cpu_s > 0
    assert found["kube-scheduler"].memory_bytes == 7000 - 3000, "from before the creation to before the cleanup"
    assert found["kube-scheduler"].requests is None, "without an audit log nobody tells"


def test_there_is_no_cost_of_nothing(tmp_path: Path) -> None:
    run, _ = pods(3, 2, refused=(0, 1))
    with pytest.raises(PlanebenchError, match="no object was created"):
        card(run.write(tmp_path / "run"))


@given(st.floats(0, 3), st.floats(0.1, 1e6), st.lists(st.integers(1, 10**6), min_size=2, unique=True))
def test_the_exponent_of_a_power_is_found(power: float, factor: float, objects: list[int]) -> None:
    found = exponent(objects, [factor * many**power for many in objects])
    assert found == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize(
    ("objects", "amounts"), [([], []), ([3], [1.0]), ([3, 3], [1.0, 2.0]), ([1, 2], [0.0, 1.0])]
)
def test_growth_that_cannot_be_told(objects: list[int], amounts: list[float]) -> None:
    assert exponent(objects, amounts) is None


def shown(cards: list[Card]) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(report.render(cards))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_card_for_people(tmp_path: Path) -> None:
    small, large = measured(50).write(tmp_path / "small"), measured(100).write(tmp_path / "large")
    alone = shown([card(small)])
    assert "each of 50 objects" in alone
    assert "--audit" in alone
    assert "Growth" not in alone
    both = shown([card(large), card(small)])
    assert "Growth from 50, 100 objects" in both
    assert "n^0.00" in both, "the same traffic for twice as many objects"
