from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import SyntheticRun, ns

from planebench.results import RunFolder
from planebench.slis.exposition import parse
from planebench.slis.families import figures_of
from planebench.slis.prometheus import Between, Histogram, Scrapes, joined

TEXT = """# HELP apiserver_request_total [STABLE] Counter of apiserver requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",verb="GET",resource="pods"} %d
apiserver_request_total{code="429",verb="POST",resource="pods"} %d
# TYPE apiserver_request_total_other counter
apiserver_request_total_other 12
# TYPE apiserver_request_duration_seconds histogram
apiserver_request_duration_seconds_bucket{verb="POST",resource="pods",subresource="",le="0.005"} %d
apiserver_request_duration_seconds_bucket{verb="POST",resource="pods",subresource="",le="0.025"} %d
apiserver_request_duration_seconds_bucket{verb="POST",resource="pods",subresource="",le="+Inf"} %d
apiserver_request_duration_seconds_sum{verb="POST",resource="pods",subresource=""} %f
apiserver_request_duration_seconds_count{verb="POST",resource="pods",subresource=""} %d
apiserver_request_duration_seconds_bucket{verb="WATCH",resource="pods",subresource="",le="0.005"} 0
apiserver_request_duration_seconds_bucket{verb="WATCH",resource="pods",subresource="",le="0.025"} 0
apiserver_request_duration_seconds_bucket{verb="WATCH",resource="pods",subresource="",le="+Inf"} 500
apiserver_request_duration_seconds_sum{verb="WATCH",resource="pods",subresource=""} 100000
apiserver_request_duration_seconds_count{verb="WATCH",resource="pods",subresource=""} 500
# TYPE process_start_time_seconds gauge
process_start_time_seconds %s
"""
BEFORE = TEXT % (100, 0, 10, 20, 20, 0.2, 20, "1.5e+09")
AFTER = TEXT % (150, 2, 60, 110, 120, 1.7, 120, "1.5e+09")


def scrapes(tmp_path: Path, *texts: tuple[float, str]) -> Scrapes:
    run = SyntheticRun()
    for t_s, text in texts:
        run.scrape(t_s, "kube-apiserver", "kube-apiserver", text)
    return Scrapes(RunFolder.open(run.write(tmp_path / "run")))


def between(tmp_path: Path) -> Between:
    families = figures_of("kube-apiserver").families
    found = scrapes(tmp_path, (1, BEFORE), (11, AFTER)).between("kube-apiserver", ns(2), ns(10), families)
    assert found is not None
    return found


def test_only_the_asked_families_are_parsed() -> None:
    assert parse(AFTER.encode(), ["apiserver_request_total"]).samples.keys() == {"apiserver_request_total"}
    names = parse(AFTER.encode(), ["apiserver_request_duration_seconds"]).samples.keys()
    assert names == {f"apiserver_request_duration_seconds_{end}" for end in ("bucket", "sum", "count")}
    assert parse(b"apiserver_request_total{code=", ["apiserver_request_total"]).samples == {}


def test_counters_are_told_by_their_growth(tmp_path: Path) -> None:
    found = between(tmp_path)
    assert found.took_s == 10
    assert found.total("apiserver_request_total") == 52
    assert found.by_label("apiserver_request_total", "code") == {"200": 50, "429": 2}
    assert found.total("apiserver_nothing") is None
    assert figures_of("kube-apiserver").count(found) == (52, 2)


def test_histograms_leave_out_what_lasts_as_long_as_its_client_wants(tmp_path: Path) -> None:
    metric = figures_of("kube-apiserver").metrics[0]
    whole, part = metric.rows(between(tmp_path))
    assert whole.n == 100
    assert part.sli == "apiserver.request.post.pods.-.-"
    assert part.title == "POST pods"
    assert part.part_of == "apiserver.request"
    assert whole.value == pytest.approx(0.015)
    assert whole.p50 == pytest.approx(0.005)
    assert whole.p90 == pytest.approx(0.025)
    assert (whole.p99, whole.p99_low, whole.p99_high) == (None, 0.025, None)
    assert whole.max is None
    assert whole.rate_per_s == 10


def counted(number: int, start: str) -> str:
    return f"process_start_time_seconds {start}\nseen_total {number}\n"


def test_after_a_restart_counters_begin_at_zero(tmp_path: Path) -> None:
    found = scrapes(
        tmp_path,
        (1, counted(100, "1.5e+09")),
        (5, counted(130, "1.5e+09")),
        (8, counted(3, "1.6e+09")),
        (9, counted(7, "1.6e+09")),
        (11, counted(20, "1.7e+09")),
    )
    assert found.restarted == {"kube-apiserver": 2}
    between = found.between("kube-apiserver", ns(1), ns(11), ["seen_total"], ["seen_total"])
    assert between is not None
    assert between.total("seen_total") == 30 + 7 + 20, "and nothing of what is before, or is not known"
    assert between.rates("seen_total") == [(5, 30 / 4), (9, 4)], "no rate goes across a restart"
    first = found.between("kube-apiserver", ns(1), ns(5), ["seen_total"])
    assert first is not None
    assert first.total("seen_total") == 30


def test_one_scrape_gives_no_figures(tmp_path: Path) -> None:
    found = scrapes(tmp_path, (1, BEFORE))
    assert found.between("kube-apiserver", ns(2), ns(10), ["apiserver_request_total"]) is None
    assert found.between("etcd", ns(2), ns(10), ["etcd_.*"]) is None
    assert found.restarted == {}


def test_the_nearest_scrapes_outside_are_taken(tmp_path: Path) -> None:
    found = scrapes(
        tmp_path,
        (1, TEXT.replace("%d", "0").replace("%f", "0") % "1.5e+09"),
        (2, BEFORE),
        (11, AFTER),
        (20, AFTER),
    )
    inner = found.between("kube-apiserver", ns(3), ns(10), ["apiserver_request_total"])
    assert inner is not None
    assert (inner.total("apiserver_request_total"), inner.took_s) == (52, 9)


def test_a_scrape_that_failed_is_left_out(tmp_path: Path) -> None:
    found = scrapes(tmp_path, (1, BEFORE), (11, AFTER))
    (tmp_path / "run" / "raw" / "scrapes" / "1" / "kube-apiserver.prom.gz").write_bytes(b"torn")
    assert found.between("kube-apiserver", ns(2), ns(10), ["apiserver_request_total"]) is None


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any), st.floats(0.5, 100))
def test_percentiles_lie_in_their_bucket(sizes: list[int], percent: float) -> None:
    bounds = (0.01, 0.1, 1.0, math.inf)
    counts = tuple(float(sum(sizes[: place + 1])) for place in range(4))
    found = Histogram(bounds, counts, 1.0)
    value, low, high = found.percentile(percent)
    rank = percent / 100 * counts[-1]
    place = next(place for place, count in enumerate(counts) if count >= rank and sizes[place])
    assert (low, high) == ((0.0, *bounds)[place], bounds[place])
    assert low <= value <= high + 1e-12
    assert found.largest == bounds[max(place for place in range(4) if sizes[place])]


def test_a_pattern_that_would_match_a_comment_does_not_take_it_for_a_sample() -> None:
    text = b"# HELP rest_client_requests_total Number of requests.\nrest_client_requests_total 3\n"
    found = parse(text, [".*rest_client_requests_total"])
    assert found.samples == {"rest_client_requests_total": {frozenset(): 3.0}}


def test_a_pattern_with_a_group_takes_whole_lines() -> None:
    text = b'a_latency_seconds_count{x="1"} 3\n'
    found = parse(text, ["a_(duration|latency)_seconds"])
    assert found.samples == {"a_latency_seconds_count": {frozenset({("x", "1")}): 3.0}}


def test_members_of_one_component_count_together(tmp_path: Path) -> None:
    found = scrapes(tmp_path, (1, counted(100, "1.5e+09")), (5, counted(130, "1.5e+09")))
    own = found.between("kube-apiserver", ns(1), ns(5), ["seen_total"], ["seen_total"])
    assert own is not None
    together = joined([own, own, own])
    assert together is not None
    assert together.total("seen_total") == 90
    assert together.rates("seen_total") == own.rates("seen_total"), "levels are one member's"
    assert joined([]) is None
