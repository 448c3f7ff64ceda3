"""Figures against the truth: what planebench tells of a run that somebody else has seen, or has meddled with.

Each comparison is of two measurements of the same thing. The tolerance, 5% or 2 ms, is what planebench promises.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path

import audit
import numpy as np
import polars as pl
import pytest
from evaluated import HELD_S, AtPhase, Evaluated, Observed, child, close, evaluate, percentile, undisturbed
from sleeping_webhook import NAME
from slow_path import Pulses, SlowProxy

from planebench import verdict
from planebench.model import ExitCode, Judgement, Stage
from planebench.run import Silent
from planebench.stats import Values

pytestmark = pytest.mark.truth

PERCENTILES = (50, 99)
KINDS = ("plain", "held")
"""Each by itself: the median of both together would lie in the gap between them."""


# --- an independent observer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_service_times_are_the_audit_log_s(all_observed: list[Observed], kind: str) -> None:
    """The API server logs when it has got a request and when it has answered it."""

    def times_s(observed: Observed) -> tuple[Values, Values]:
        entries = audit.successes(observed.log, "planebench:load", "create")
        created = observed.evaluated.created()
        assert set(entries) == set(created["name"])
        names = observed.evaluated.created(kind)["name"]
        true_s = np.array([entries[name].done_s - entries[name].received_s for name in names])
        return observed.evaluated.took_s(prefix=kind), true_s

    compare([times_s(observed) for observed in all_observed])


MILESTONES = [
    *((Stage.CREATION, "scheduled", "system:kube-scheduler", "create", "binding", kind) for kind in KINDS),
    *((Stage.CREATION, "running", "planebench:simulator", "patch", "status", kind) for kind in KINDS),
    (Stage.CLEANUP, "deleted", "planebench:simulator", "delete", "", ""),  # the webhook lets deletions pass
]


@pytest.mark.parametrize(("stage", "milestone", "user", "verb", "subresource", "kind"), MILESTONES)
def test_milestones_are_the_audit_log_s(
    all_observed: list[Observed], stage: Stage, milestone: str, user: str, verb: str, subresource: str, kind: str
) -> None:
    """From the request that sets it going until the write that makes the milestone has been answered."""
    own = "create" if stage is Stage.CREATION else "delete"

    def times_s(observed: Observed, at: str = "done_s") -> tuple[Values, Values]:
        begun = audit.successes(observed.log, "planebench:load", own)
        written = audit.successes(observed.log, user, verb, subresource)
        requests = observed.evaluated.seen.of_stage(stage, own).filter(pl.col("name").str.starts_with(kind))
        names = requests["name"].to_list()
        assert set(names) <= set(written)
        true_s = np.array([getattr(written[name], at) - begun[name].received_s for name in names])
        receipts_s = observed.evaluated.seen.reached_s(requests["index"], "pods", milestone)
        return receipts_s - requests["sent_ns"].to_numpy() / 1e9, true_s

    latest = [times_s(observed) for observed in all_observed]
    if milestone != "deleted":
        compare(latest)
        return
    # The API server goes on with a deletion after etcd has it and watchers know: its answer is the latest that the
    # object can have gone, the request's arrival the earliest.
    compare(latest, [times_s(observed, at="received_s") for observed in all_observed])


def compare(runs: list[tuple[Values, Values]], earliest: list[tuple[Values, Values]] | None = None) -> None:
    """p50 and p99 of what planebench found and of what is true, over the objects of all runs.

    The 99th percentile of one run's hundred objects would be a single one of them. With `earliest`, each true time
    is only known to lie between two; percentiles keep the order, so that the percentile of the truth does, too.
    """
    found_s, true_s = (np.concatenate(values_s) for values_s in zip(*runs, strict=True))
    first_s = true_s if earliest is None else np.concatenate([values_s for _, values_s in earliest])
    for percent in PERCENTILES:
        found, first, last = (percentile(values_s, percent) for values_s in (found_s, first_s, true_s))
        nearest = min(max(found, first), last)
        assert close(found, nearest), (
            f"p{percent} {found * 1e3:.2f} ms, in truth {first * 1e3:.2f} to {last * 1e3:.2f} ms"
        )


# --- planted delays --------------------------------------------------------------------------------------------


def test_a_webhook_that_sleeps_is_found_with_its_size(observed: Observed) -> None:
    """Every second pod passes it: the two halves differ in nothing else."""
    true_s = percentile(observed.held_s, 50)
    assert true_s >= HELD_S
    for since in ("due_ns", "sent_ns"):
        held_s, plain_s = (percentile(observed.evaluated.took_s(since, kind), 50) for kind in ("held", "plain"))
        assert close(held_s - plain_s, true_s), (since, held_s, plain_s, true_s)


def test_a_webhook_that_sleeps_is_found_in_the_api_server(observed: Observed) -> None:
    named = [row for sli, row in observed.evaluated.rows("kube-apiserver").items() if NAME in sli]
    assert named, "the API server's rows name the webhook"
    assert named[0].n == len(observed.held_s)
    assert named[0].value is not None and close(named[0].value, float(observed.held_s.mean())), named[0]


async def test_a_scheduler_that_is_held_is_found_with_its_rate(tmp_path: Path) -> None:
    """20 requests a second, one for each binding, none saved up."""
    overrides = {
        "limits.kube-scheduler": "{qps: 20, burst: 1}",
        "workload.count": "120",
        "lifecycle.creation.arrival.rate": "100/s",
    }
    evaluated = await evaluate(tmp_path / "run", overrides, Silent())
    binds = evaluated.result.rows()["scheduling.throughput"].value
    assert binds == pytest.approx(20, rel=0.05)
    assert any("kube-scheduler" in limit and "20" in limit for limit in evaluated.result.limits)
    assert slowest(evaluated) == "kube-scheduler client.limiter"


async def test_a_slow_etcd_is_found_with_its_size(tmp_path: Path) -> None:
    """What the API server sends to etcd is held for 30 ms, from the middle of the creations on."""
    delay_s = 0.030

    def etcd_port() -> int:
        line = " ".join(child("etcd", with_argument=str(tmp_path)).cmdline())
        found = re.search(r"listen-client-urls=https://127\.0\.0\.1:(\d+)", line)
        assert found
        return int(found[1])

    async def slowed(folder: Path) -> Slowed:
        with SlowProxy(etcd_port) as proxy:

            def begin() -> None:
                asyncio.get_running_loop().call_later(5.0, setattr, proxy, "delay_s", delay_s)

            def end() -> None:
                proxy.delay_s = 0.0

            flags = json.dumps({"etcd-servers": f"https://127.0.0.1:{proxy.port}"})
            overrides = {"components.kube-apiserver.flags": flags}
            evaluated = await evaluate(folder, overrides, AtPhase("creation", begin, end))
            return Slowed(evaluated, np.array(proxy.held_s))

    found = await undisturbed(slowed, tmp_path)
    true_s = percentile(found.held_s, 50)
    assert true_s >= delay_s
    early_s, late_s = (percentile(part, 50) for part in _ends(found.evaluated.took_s()))
    assert close(late_s - early_s, true_s), (early_s, late_s, true_s)
    assert slowest(found.evaluated) == "kube-apiserver apiserver.etcd"


@dataclass(frozen=True)
class Slowed:
    """A run, and how long the proxy held what it was given."""

    evaluated: Evaluated
    held_s: Values


def _ends(values: Values) -> tuple[Values, Values]:
    """The first and the last two fifths: the change lies in the middle."""
    size = len(values) * 2 // 5
    return values[:size], values[-size:]


CANDIDATES = {
    "kube-apiserver": ("apiserver.etcd", "apiserver.webhook"),
    "etcd": ("etcd.fsync", "etcd.commit", "etcd.apply"),
    "kube-scheduler": ("scheduler.algorithm", "client.limiter"),
}
"""Rows that tell of one component's own time, or of its waiting for something else."""


def slowest(evaluated: Evaluated) -> str:
    """Where the most time was spent per thing done, by the components' own metrics."""
    means = {
        f"{component} {sli}": row.value or 0.0
        for component, slis in CANDIDATES.items()
        for sli, row in evaluated.rows(component).items()
        if sli in slis
    }
    assert means
    return max(means, key=lambda name: means[name])


# --- a harness that cannot keep up -----------------------------------------------------------------------------


async def test_a_starved_harness_is_found_out(tmp_path: Path) -> None:
    """The load engine stands still for 30 ms of every 100: what it measures then is not the API server."""
    pulses = Pulses(0.030, 0.100)
    listener = AtPhase("creation", lambda: pulses.begin(child("planebench.load")), pulses.end)
    evaluated = await evaluate(tmp_path / "run", {"workload.count": "60"}, listener)
    result = evaluated.result
    late = next(found for found in result.harness.lateness if found.stage == Stage.CREATION)
    assert late.p99_s is not None and late.p99_s > verdict.NEGLIGIBLE_S
    checks = {finding.name: finding for finding in result.validity}
    assert not checks["lateness.creation"].ok
    (slo,) = result.slos
    assert slo.verdict is Judgement.INCONCLUSIVE
    assert "requests were sent late" in slo.reason or "not so" in slo.reason
    assert result.verdict is Judgement.INCONCLUSIVE
    assert verdict.exit_code(result) is ExitCode.INCONCLUSIVE
