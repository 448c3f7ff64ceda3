"""Components' own figures, from what real components have served (Kubernetes 1.37.2, etcd 3.7.3, kwok 0.8.0,
KubeVirt 1.8.4): tests/data/scrapes holds all families that are read, cut down to a few series."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import MACHINES, SyntheticRun, ns

from planebench import slis
from planebench.model import Stage
from planebench.planes import load_plane
from planebench.results.document import Component, Row
from planebench.slis.exposition import Exposition, Native, parse
from planebench.slis.families import figures_of
from planebench.slis.metrics import Metric
from planebench.slis.prometheus import Between

RECORDED = Path(__file__).parent.parent / "data" / "scrapes"
COMPONENTS = (
    "kube-apiserver",
    "etcd",
    "kube-scheduler",
    "kube-controller-manager",
    "kwok",
    "virt-controller",
    "virt-api",
)


KUBEVIRT = load_plane("kubevirt")


def recorded(component: str, kind: str = "pb") -> Between:
    names = [*figures_of(component, KUBEVIRT).families, "process_start_time_seconds"]
    before, after = (
        parse((RECORDED / f"{component}.{when}.{kind}").read_bytes(), names, protobuf=kind == "pb")
        for when in ("before", "after")
    )
    return Between(before, after, 60.0, ((0.0, before), (60.0, after)))


def rows(component: str, kind: str = "pb") -> dict[str, Row]:
    between = recorded(component, kind)
    return {row.sli: row for metric in figures_of(component, KUBEVIRT).metrics for row in metric.rows(between)}


def metric(component: str, sli: str) -> Metric:
    return next(metric for metric in figures_of(component, KUBEVIRT).metrics if metric.id == sli)


@pytest.mark.parametrize("component", COMPONENTS)
def test_real_components_serve_what_is_read_of_them(component: str) -> None:
    assert figures_of(component, KUBEVIRT).missing(recorded(component)) == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_figures_of_real_components(component: str) -> None:
    found = rows(component)
    assert found
    for row in found.values():
        assert row.kind
        assert row.n >= 0
        if row.kind == "histogram":
            assert row.p99_low is not None
            assert row.p50 is not None and row.p90 is not None
            assert row.p50 <= row.p90 + 1e-12
            assert row.p99 is None or row.p90 <= row.p99 + 1e-12
            assert row.p99 is None or row.max is None or row.p99 <= row.max + 1e-12
        else:
            assert (row.p50, row.p90, row.p99) == (None, None, None)


@pytest.mark.parametrize(
    ("component", "sli"),
    [
        ("kube-apiserver", "apiserver.request"),
        ("kube-apiserver", "apiserver.queueing"),
        ("kube-apiserver", "apiserver.dispatch"),
        ("kube-apiserver", "apiserver.etcd"),
        ("kube-scheduler", "scheduler.attempt"),
        ("kube-scheduler", "scheduler.algorithm"),
    ],
)
def test_native_histograms_agree_with_classic_ones(component: str, sli: str) -> None:
    """Both count the same values: each native percentile lies in the classic bucket of its rank."""
    between = recorded(component)
    wanted = metric(component, sli)
    exact = between.histogram(wanted.family, wanted.selects)
    classic = Between(Exposition(between.before.samples), Exposition(between.after.samples), 60.0)
    coarse = classic.histogram(wanted.family, wanted.selects)
    assert exact and coarse
    assert (exact.native, coarse.native) == (True, False)
    assert (exact.n, exact.sum) == (coarse.n, coarse.sum)
    for percent in (10, 50, 90, 99):
        _, low, high = exact.percentile(percent)
        _, wide_low, wide_high = coarse.percentile(percent)
        assert high / low == pytest.approx(2**0.125)
        assert low < wide_high and high > wide_low


def test_text_gives_the_same_kinds_of_figures() -> None:
    found = rows("etcd", "txt")
    assert found["etcd.fsync"].n > 0
    assert found["etcd.proposals"].unit == "/s"
    # Another run than the protobuf one: in that nothing was slow, and everything but the slow ones is there.
    assert {row.kind for row in found.values()} == {"histogram", "counter", "rate", "gauge"}


def test_decade_buckets_give_no_percentiles() -> None:
    found = rows("kube-controller-manager")
    waits = [row for sli, row in found.items() if sli.startswith(("queue.wait", "queue.work"))]
    assert waits
    assert {(row.kind, row.p50, row.p99, row.p99_low) for row in waits} == {("mean", None, None, None)}


def test_conditions_select_series() -> None:
    found = rows("kube-apiserver")
    assert found["apiserver.list"].n < found["apiserver.request"].n
    assert found["apiserver.errors"].value == 0
    assert {sli for sli in found if sli.startswith("apiserver.dispatch.")} <= {
        f"apiserver.dispatch.{name}"
        for name in ("pods", "configmaps", "leases", "virtualmachineinstances", "nodes")
    }


# --- exact figures -------------------------------------------------------------------------------------------


def exposition(samples: dict[str, float], natives: dict[str, Native] | None = None) -> Exposition:
    """Samples of one series each, or of one per value of the label ``name``: ``family{value}``."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for key, value in samples.items():
        name, _, label = key.rstrip("}").partition("{")
        found.setdefault(name, {})[frozenset({("name", label)} if label else ())] = value
    return Exposition(found, {name: {frozenset(): native} for name, native in (natives or {}).items()})


def test_a_gauge_is_its_last_level_and_its_highest() -> None:
    scrapes = [
        exposition({"depth{a}": 1, "depth{b}": 0}),
        exposition({"depth{a}": 5, "depth{b}": 7}),
        exposition({"depth{a}": 2, "depth{b}": 0}),
    ]
    between = Between(scrapes[0], scrapes[2], 10.0, tuple(zip((0.0, 5.0, 10.0), scrapes, strict=True)))
    depth = Metric("depth", "waiting", "gauge", "depth", "count", by=("name",))
    whole, most, other = depth.rows(between)
    assert (whole.value, whole.max, whole.n) == (2, 12, 3)
    assert (most.sli, most.value, most.max) == ("depth.a", 2, 5)
    assert (other.sli, other.value, other.max) == ("depth.b", 0, 7)
    levels = {levels.sli: levels for levels in depth.levels(between)}
    assert levels["depth"].values == (1, 12, 2)
    assert levels["depth.b"].values == (0, 7, 0)
    assert levels["depth"].t_s == (0, 5, 10)
    longest = Metric("longest", "longest", "gauge", "depth", "s", largest=True)
    assert [row.max for row in longest.rows(between)] == [7]


def test_a_rate_is_told_between_scrapes_that_are_a_second_apart() -> None:
    times = (0.0, 2.0, 2.5, 4.0, 10.0)
    scrapes = [exposition({"total": value}) for value in (0.0, 10.0, 90.0, 100.0, 106.0)]
    between = Between(scrapes[0], scrapes[-1], 10.0, tuple(zip(times, scrapes, strict=True)))
    rate = Metric("rate", "rate", "rate", "total", "/s")
    (row,) = rate.rows(between)
    assert (row.value, row.max, row.n) == (10.6, 45, 3), "2.5 s is too near to 2 s: from 2 to 4 s it was 45/s"
    (levels,) = rate.levels(between)
    assert (levels.t_s, levels.values) == ((2, 4, 10), (5, 45, 1))


def test_a_mean_is_growth_of_the_sum_over_growth_of_the_count() -> None:
    before, after = (exposition({"wait_count": n, "wait_sum": s}) for n, s in ((10, 100.0), (20, 105.0)))
    (row,) = Metric("wait", "wait", "mean", "wait").rows(Between(before, after, 10.0))
    assert (row.n, row.value, row.rate_per_s) == (10, 0.5, 1)
    assert Metric("wait", "wait", "mean", "wait").rows(Between(before, before, 10.0)) == []


def test_milliseconds_become_seconds() -> None:
    below = {"100.0": 3.0, "200.0": 4.0, "+Inf": 4.0}
    after = Exposition(
        {
            **exposition({"took_count": 4, "took_sum": 300.0}).samples,
            "took_bucket": {frozenset({("le", bound)}): count for bound, count in below.items()},
        }
    )
    (row,) = Metric("took", "took", "histogram", "took", scale=1e-3).rows(Between(exposition({}), after, 1.0))
    assert (row.value, row.p99_low, row.p99_high, row.max) == (0.075, 0.1, 0.2, 0.2)


def test_whole_numbers_stay_whole() -> None:
    """With native buckets of 9%, one attempt lies in the bucket from 0.917 to 1."""
    after = exposition({"tries_count": 10, "tries_sum": 19.0}, {"tries": Native(3, 1e-100, 0, {0: 9, 27: 1})})
    (row,) = Metric("tries", "tries", "histogram", "tries", "count").rows(Between(exposition({}), after, 1.0))
    assert (row.p50, row.p90, row.p99, row.max) == (1, 1, 10, 10)


def test_what_is_not_served_is_told_and_not_zero() -> None:
    between = Between(exposition({"other": 1}), exposition({"other": 1}), 1.0)
    gone = Metric("a", "a", "counter", "gone_total", "count")
    assert gone.rows(between) == []
    assert gone.missing(between) == "no metric gone_total"
    assert Metric("a", "a", "counter", "gone_total", "count", always=False).missing(between) is None
    renamed = Metric("a", "a", "counter", "other", "count", by=("reason",), only={"name": "x"})
    assert renamed.missing(between) == "metric other has no label name, reason"


def test_a_gauge_that_is_filled_late_is_left_out_until_then() -> None:
    scrape = exposition({"objects": 0})
    between = Between(scrape, scrape, 1.0, ((0.0, scrape), (1.0, scrape)))
    assert Metric("a", "a", "gauge", "objects", "count", late=True).rows(between) == []
    assert len(Metric("a", "a", "gauge", "objects", "count").rows(between)) == 1


# --- native histograms ---------------------------------------------------------------------------------------

COUNTS = st.dictionaries(st.integers(-60, 60), st.integers(1, 50), min_size=1, max_size=12)


def of(values: Native) -> Exposition:
    total = values.zero_count + math.fsum(values.buckets.values())
    return exposition({"h_count": total, "h_sum": total}, {"h": values})


@given(COUNTS, COUNTS, st.integers(0, 5), st.integers(0, 2))
def test_growth_of_native_histograms(before: dict[int, int], more: dict[int, int], zero: int, steps: int) -> None:
    """What was there before is taken off, even where buckets were merged meanwhile."""
    places = {*before, *more}
    after = {place: before.get(place, 0) + more.get(place, 0) for place in places}
    for _ in range(steps):
        merged: dict[int, int] = {}
        for place, count in after.items():
            merged[-(-place // 2)] = merged.get(-(-place // 2), 0) + count
        after = merged
    growth = Between(of(Native(3, 1e-100, 0, before)), of(Native(3 - steps, 1e-100, zero, after)), 1.0)
    found = growth.histogram("h")
    assert found is not None and found.native
    assert found.n == zero + sum(more.values())
    assert all(low <= high for low, high in zip(found.counts, found.counts[1:], strict=False))
    base = 2 ** (2 ** -(3 - steps))
    assert found.largest == pytest.approx(base ** -(-max(more) // 2**steps))


def test_buckets_that_the_zero_bucket_has_swallowed() -> None:
    before = Native(3, 1e-100, 1, {-50: 4, 0: 2})
    after = Native(3, 0.5, 8, {0: 5})
    found = Between(of(before), of(after), 1.0).histogram("h")
    assert found is not None
    assert (found.n, found.counts[0], found.bounds[0]) == (6, 3, 0.5)


def test_a_histogram_that_is_not_native_everywhere_is_told_from_its_classic_buckets() -> None:
    after = exposition({"h_count{a}": 3, "h_sum{a}": 3, "h_count{b}": 1, "h_sum{b}": 1})
    after = Exposition(
        {
            **after.samples,
            "h_bucket": {
                frozenset({("name", name), ("le", bound)}): count
                for name, bound, count in (
                    ("a", "1.0", 3.0),
                    ("a", "+Inf", 3.0),
                    ("b", "1.0", 1.0),
                    ("b", "+Inf", 1.0),
                )
            },
        },
        {"h": {frozenset({("name", "a")}): Native(3, 1e-100, 0, {0: 3})}},
    )
    found = Between(exposition({}), after, 1.0).histogram("h")
    assert found is not None
    assert (found.n, found.native) == (4, False)


# --- through a whole run -------------------------------------------------------------------------------------


def evaluated(folder: Path, *components: str) -> dict[str, Component]:
    """A run in which these components served what was recorded."""
    run = SyntheticRun(MACHINES)
    run.phase("creation", Stage.CREATION, 10, 20)
    run.phase("cleanup", Stage.CLEANUP, 40, 50)
    path = run.write(folder / "run")
    scrapes = path / "raw" / "scrapes"
    index = []
    for component in components:
        for t_s, when in ((9, "before"), (52, "after")):
            file = f"{component}.{when}.gz"
            (scrapes / file).write_bytes(gzip.compress((RECORDED / f"{component}.{when}.pb").read_bytes()))
            entry = {"t_ns": ns(t_s), "label": when, "process": component, "component": component}
            index.append({**entry, "file": file, "format": "protobuf"})
    (scrapes / "index.json").write_text(json.dumps(index))
    result = slis.evaluate(path)
    checks = {finding.name: finding for finding in result.validity}
    for component in components:
        assert checks[f"metrics.{component}"].ok
    return {component.name: component for component in result.components}


def test_a_run_with_protobuf_scrapes(tmp_path: Path) -> None:
    found = evaluated(tmp_path, "kube-apiserver", "virt-api", "kube-scheduler")
    scheduler = found["kube-scheduler"]
    assert scheduler.latency is not None
    assert scheduler.latency.sli == "scheduler.attempt"
    assert "scheduler.binds" in scheduler.headlines
    assert {levels.sli for levels in scheduler.over_time} >= {"scheduler.pending", "scheduler.binds"}
    webhooks = [row for row in found["virt-api"].metrics if row.sli == "webhook.call"]
    assert [row.kind for row in webhooks] == ["histogram"], "told by the API server"


def test_a_metric_that_is_gone_is_told_in_the_validity(tmp_path: Path) -> None:
    run = SyntheticRun()
    run.phase("creation", Stage.CREATION, 10, 20)
    for t_s in (9, 21):
        run.scrape(t_s, "kwok", "kwok", f"process_start_time_seconds 1\ngo_goroutines {t_s}\n")
    result = slis.evaluate(run.write(tmp_path / "run"))
    (check,) = [finding for finding in result.validity if finding.name == "metrics.kwok"]
    assert (check.ok, check.affects, check.value) == (False, "", "no metric go_memstats_heap_inuse_bytes")
    (kwok,) = result.components
    assert [row.sli for row in kwok.metrics] == ["go.goroutines"]
    assert kwok.absent == ("no metric go_memstats_heap_inuse_bytes",)
