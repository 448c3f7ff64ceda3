"""The data behind the HTML report's other parts: timeline, nodes, slowest objects, requests, costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import rich_run
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import SyntheticRun, machines, pods

from planebench.model import FaultRecord, Role
from planebench.report.html.charts.timeline import pack
from planebench.report.html.costs import costs
from planebench.report.html.panels.panel import Panel, envelope
from planebench.report.html.panels.processes import cores
from planebench.report.html.panels.workload import cumulative, width
from planebench.report.html.placement import columns, placement
from planebench.report.html.slowest import REQUEST, Slowest, slowest
from planebench.report.html.timeline import Band, Timeline, fault_in_words, timeline
from planebench.report.html.traffic import ANSWERED, SENT, asked, senders, served
from planebench.results import Result, RunFolder
from planebench.slis import evaluate
from planebench.slis.observations import Observations


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[Observations, Result]:
    path = rich_run.write(tmp_path_factory.mktemp("rich") / "run")
    return Observations(RunFolder.open(path)), evaluate(path)


@pytest.fixture(scope="module")
def course(rich: tuple[Observations, Result]) -> Timeline:
    found = timeline(*rich)
    assert found is not None
    return found


def panel(course: Timeline, name: str) -> Panel:
    return next(panel for panel in course.panels if panel.id == name)


def last(panel: Panel) -> dict[str, float]:
    return {series.name: float(series.values[-1]) for series in panel.series}


# --- timeline ------------------------------------------------------------------------------------------------


def test_objects_end_as_the_result_counts_them(course: Timeline, rich: tuple[Observations, Result]) -> None:
    counts = rich[1].counts
    found = last(panel(course, "objects"))
    assert found == {
        "planned": counts.planned,
        "created": counts.created,
        "scheduled": counts.scheduled,
        "up": counts.up,
        "deleted": counts.deleted,
    }


def test_every_request_is_in_its_panel(course: Timeline, rich: tuple[Observations, Result]) -> None:
    found = panel(course, "requests")
    step_s = float(found.times_s[1] - found.times_s[0])
    totals = {series.name: round(float(series.values.sum()) * step_s) for series in found.series}
    requests = rich[0].requests
    failed = requests.height - int(requests["ok"].sum())
    assert failed == 1
    assert totals == {"due": requests.height, "answered": requests.height - failed, "failed": failed}


def test_cpu_adds_up_to_what_was_used(course: Timeline, rich: tuple[Observations, Result]) -> None:
    found = panel(course, "cpu")
    seen, result = rich
    for series in found.series:
        samples = seen.samples.filter(pl.col("component") == series.name).sort("t_ns")
        grown = samples.group_by("process").agg(pl.col("cpu_s").last() - pl.col("cpu_s").first())["cpu_s"].sum()
        assert float(np.nansum(series.values)) == pytest.approx(grown, rel=1e-6)
    assert [series.name for series in found.series] == [component.name for component in result.components]


def test_memory_is_the_sum_of_a_components_processes(course: Timeline) -> None:
    kwok = next(series for series in panel(course, "memory").series if series.name == "kwok")
    assert kwok.values[0] == 160


def test_queues_are_as_the_result_tells_them(course: Timeline, rich: tuple[Observations, Result]) -> None:
    found = panel(course, "queues")
    assert [series.title for series in found.series] == [
        "API server: requests in flight",
        "scheduler: pods pending",
    ]
    for component in rich[1].components:
        for levels in component.over_time:
            for series in found.series:
                if series.name == f"{component.name}:{levels.sli}":
                    at = np.searchsorted(found.times_s, levels.t_s)
                    assert series.values[at].tolist() == list(levels.values)


def test_phases_and_gaps_are_marked(course: Timeline, rich: tuple[Observations, Result]) -> None:
    phases = [band for band in course.bands if band.kind == "phase"]
    assert [band.name for band in phases] == [phase.name for phase in rich[1].phases]
    gaps = [band for band in course.bands if band.kind == "gap"]
    assert [(band.name, band.start_s) for band in gaps] == [("watch of pods: closed", 12.0)]


def test_faults_are_marked(course: Timeline, rich: tuple[Observations, Result]) -> None:
    faults = [band for band in course.bands if band.kind == "fault"]
    end_s = rich[0].run.end_ns / 1e9
    assert [(band.name, band.start_s, band.end_s, band.completed) for band in faults] == [
        ("made up fault: 2 nodes", 11.0, 14.0, True),
        ("another", 13.0, end_s, False),  # not ended: until the run's end
    ]


def test_a_fault_of_any_kind_has_words() -> None:
    records = (
        FaultRecord("some-kind", (), 0, target="etcd"),
        FaultRecord("node-silence", ("node-1",), 0),
        FaultRecord("node-silence", ("node-1", "node-2"), 0, target=""),
        FaultRecord("other", (), 0),
    )
    assert [fault_in_words(record) for record in records] == [
        "some kind: etcd",
        "node silence: 1 node",
        "node silence: 2 nodes",
        "other",
    ]


def test_what_is_not_there_has_a_reason(tmp_path: Path) -> None:
    run, _ = pods(count=10)
    run.samples.clear()
    path = run.write(tmp_path / "run")
    found = timeline(Observations(RunFolder.open(path)), evaluate(path))
    assert found is not None
    assert [panel.id for panel in found.panels] == ["objects", "requests"]
    assert set(found.absent) == {"CPU", "Memory", "Queues"}


def test_a_run_that_did_nothing_has_no_timeline(tmp_path: Path) -> None:
    path = SyntheticRun().write(tmp_path / "run")
    assert timeline(Observations(RunFolder.open(path)), evaluate(path)) is None


def test_a_process_that_began_anew_goes_on() -> None:
    samples = pl.DataFrame({"t_ns": [0, 10**9, 2 * 10**9, 3 * 10**9], "cpu_s": [1.0, 1.5, 0.25, 0.5]})
    found = cores(samples, np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert found[:3].tolist() == [0.5, 0.25, 0.25]
    assert np.isnan(found[3])


def test_what_never_came_is_not_counted() -> None:
    found = cumulative(np.array([1.0, np.nan, 3.0]), np.array([0.0, 1.0, 2.0, 3.0]))
    assert found.tolist() == [0, 1, 1, 2]


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=300),
    st.integers(2, 40).map(lambda half: 2 * half),
)
def test_an_envelope_keeps_every_extreme(values: list[float], most: int) -> None:
    line = np.array(values)
    times, (thinned,), became_two = envelope(np.arange(len(line), dtype=np.float64), [line], most)
    assert len(times) == len(thinned) <= max(most, len(line) if not became_two else 0)
    assert (np.diff(times) >= 0).all()
    if np.isnan(line).all():
        assert np.isnan(thinned).all()
    else:
        assert (np.nanmin(thinned), np.nanmax(thinned)) == (np.nanmin(line), np.nanmax(line))


def test_counting_takes_pieces_that_fit() -> None:
    assert [width(length_s) for length_s in (10, 300, 3_600, 200_000)] == [0.5, 1.0, 20.0, 300.0]


def test_phases_at_the_same_time_stand_below_one_another() -> None:
    bands = [Band("phase", name, None, start, end) for name, start, end in (("a", 0, 5), ("b", 3, 8), ("c", 5, 9))]
    assert pack(bands) == [0, 1, 0]


# --- nodes ---------------------------------------------------------------------------------------------------


def test_every_node_has_its_place(rich: tuple[Observations, Result]) -> None:
    distribution = rich[1].distribution
    found = placement(distribution)
    assert found is not None
    assert distribution is not None
    assert [node.node for node in found.nodes] == [f"node-{number:06d}" for number in range(4)]
    assert sum(nodes for nodes in found.nodes_by_pods.values()) == distribution.nodes
    assert sum(pods * nodes for pods, nodes in found.nodes_by_pods.items()) == distribution.pods


def test_nodes_that_take_no_pods_are_on_the_map_but_do_not_count(rich: tuple[Observations, Result]) -> None:
    distribution = rich[1].distribution
    assert distribution is not None
    closed = distribution.per_node[0].model_copy(update={"node": "gpu-000000", "eligible": False, "pods": 0})
    found = placement(distribution.model_copy(update={"per_node": (*distribution.per_node, closed)}))
    assert found is not None
    assert len(found.nodes) == 5
    assert len(found.counted) == 4
    assert found.fewest > 0


@pytest.mark.parametrize(("nodes", "wanted"), [(4, 4), (10, 10), (100, 18), (5_000, 123)])
def test_the_map_is_wider_than_high(nodes: int, wanted: int) -> None:
    assert columns(nodes) == wanted


def test_no_pods_make_no_map(tmp_path: Path) -> None:
    assert placement(evaluate(SyntheticRun().write(tmp_path / "run")).distribution) is None
    assert placement(None) is None


# --- slowest -------------------------------------------------------------------------------------------------


def ways(path: Path, most: int = 5) -> Slowest:
    found = slowest(Observations(RunFolder.open(path)), most)
    assert found is not None
    return found


def test_what_never_came_up_is_slowest(rich: tuple[Observations, Result]) -> None:
    found = slowest(rich[0])
    assert found is not None
    assert (found.n, found.never) == (100, 3)
    assert [way.name for way in found.ways[:3]] == ["pod-000003", "pod-000005", "pod-000017"]
    assert [way.total_s for way in found.ways[:3]] == [None] * 3
    assert [step.reached for step in found.ways[1].steps] == ["sent", f"failed: {rich_run.HOSTILE}"]
    assert all(way.waited_s > 60 for way in found.ways[:3])


def test_the_slowest_is_the_indicators_maximum(tmp_path: Path) -> None:
    run, _ = pods(count=60)
    path = run.write(tmp_path / "run")
    startup = evaluate(path).rows()["creation.startup"]
    found = ways(path)
    assert found.ways[0].total_s == pytest.approx(startup.max, abs=1e-9)
    assert found.longest_s == found.ways[0].total_s
    assert found.typical is not None
    totals = [way.total_s or 0.0 for way in found.ways]
    assert totals == sorted(totals, reverse=True)


def test_the_steps_of_a_way_telescope(tmp_path: Path) -> None:
    for way in ways(machines().write(tmp_path / "run"), most=20).ways:
        assert way.steps[0].start_s == 0
        for before, after in zip(way.steps, way.steps[1:], strict=False):
            assert after.start_s == before.end_s
        assert way.total_s == pytest.approx(way.steps[-1].end_s, abs=1e-9)
        assert sum(step.took_s for step in way.steps) == pytest.approx(way.total_s)


def test_a_machines_way_leads_through_all_that_it_gives_rise_to(tmp_path: Path) -> None:
    found = ways(machines().write(tmp_path / "run"), most=20)
    machine = next(way for way in found.ways if way.name == "vm-000003")
    lanes = {step.lane for step in machine.steps}
    assert lanes == {REQUEST, "VirtualMachine", "VirtualMachineInstance", "Pod"}
    assert machine.node == "node-000003"
    assert {step.reached for step in machine.steps if step.simulated} == {"running", "running, ready"}


# --- requests and costs --------------------------------------------------------------------------------------


def test_all_requests_are_told_by_what_they_were(rich: tuple[Observations, Result]) -> None:
    found = asked(rich[0])
    assert sum(kind.n for kind in found) == rich[0].requests.height
    created = next(kind for kind in found if kind.phase == "creation")
    row = rich[1].rows()["creation.response"]
    assert (created.n, created.failed) == (row.n, row.errors)
    assert created.p99_s == pytest.approx(row.p99, abs=1e-9)
    assert created.max_s is None


def test_senders_and_servers_are_told_apart(rich: tuple[Observations, Result]) -> None:
    found = {sender.component.name: sender.direction for sender in senders(rich[1].components)}
    assert found == {"kube-apiserver": ANSWERED, "kube-scheduler": SENT, "planebench": SENT}


def test_what_the_api_server_served(rich: tuple[Observations, Result]) -> None:
    found = served(rich[1].components)
    assert found is not None
    assert [row.title for row in found.parts] == ["POST pods", "PATCH pods", "DELETE pods"]
    assert sum(row.n for row in found.parts) == found.total.n
    assert served([]) is None


def test_costs_add_up(rich: tuple[Observations, Result]) -> None:
    found = costs(rich[1].components)
    assert [cost.role for cost in found] == [Role.SUBJECT, Role.SIMULATOR, Role.HARNESS]
    assert sum(cost.share for cost in found) == pytest.approx(1)
    for role in found:
        assert role.cpu_s == pytest.approx(sum(cost.component.cpu_s or 0 for cost in role.costs))
        for cost in role.costs:
            assert sum(part.cpu_s for part in cost.parts) == pytest.approx(cost.component.cpu_s, abs=0.01)
    assert costs([]) == ()
