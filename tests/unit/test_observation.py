"""What a run looks at beside the usual: the audit log, profiles, the clocks; off unless they are asked for."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import polars as pl
import pytest

from planebench import run
from planebench import scenario as scenarios
from planebench.components import Audit, Etcd, KubeApiserver, Layout
from planebench.components.audit import audit_id
from planebench.components.process import ALONE, Member, ProcessSpec
from planebench.model import Identity, Profiler, UsageError
from planebench.observe import clock
from planebench.results.audit_log import CLOCK_SCHEMA

LAYOUT = Layout(Path("/cluster"))
SOMEBODY = Identity("somebody", (), Path("/c"), Path("/k"))


def apiserver(audit: Audit | None = None, member: Member = ALONE) -> ProcessSpec:
    etcd = "https://127.0.0.1:2379"
    return KubeApiserver(LAYOUT, 6443, etcd, SOMEBODY, SOMEBODY, audit=audit, member=member).spec()


def test_there_is_no_audit_log_unless_it_is_asked_for() -> None:
    assert not [flag for flag in apiserver().arguments if "audit" in flag]
    assert not apiserver().files


def test_the_audit_log_is_a_deviation_with_its_reason() -> None:
    spec = apiserver(Audit(Path("/run/raw/audit")))
    policy = LAYOUT.configuration("audit-policy")
    assert f"--audit-policy-file={policy}" in spec.arguments
    assert "--audit-log-path=/run/raw/audit/audit.log" in spec.arguments
    assert "--audit-log-mode=blocking" in spec.arguments, "none is ever dropped"
    assert set(spec.files) == {policy}
    told = [line for line in spec.deviations if "audit-log-path" in line]
    assert told == [
        "kube-apiserver --audit-log-path=/run/raw/audit/audit.log: "
        "an audit log was asked for: whose requests are whose"
    ]


def test_each_of_several_api_servers_has_an_audit_log_of_its_own() -> None:
    specs = [apiserver(Audit(Path("/run/raw/audit")), Member(number, 2)) for number in (1, 2)]
    logs = [flag for spec in specs for flag in spec.arguments if flag.startswith("--audit-log-path=")]
    assert logs == ["--audit-log-path=/run/raw/audit/audit-1.log", "--audit-log-path=/run/raw/audit/audit-2.log"]
    assert not set(specs[0].files) & set(specs[1].files)


@pytest.mark.parametrize("wanted", [True, False])
def test_etcd_serves_profiles_where_they_are_wanted(wanted: bool) -> None:
    spec = Etcd(LAYOUT, 2379, 2380, SOMEBODY, profiling=wanted).spec()
    assert ("--enable-pprof=true" in spec.arguments) is wanted
    assert (spec.profiler is Profiler.PPROF) is wanted


def test_a_reading_of_the_clocks_is_consistent() -> None:
    t_ns, offset_ns, width_ns = clock.read(t0_ns=0)
    assert width_ns >= 0
    assert t_ns + offset_ns > 1_700_000_000 * 10**9, "the wall clock, in Unix time"


async def test_the_clocks_are_read_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "clock.csv"
    task = asyncio.create_task(clock.record(path, 0, period_s=0.01))
    await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    found = pl.read_csv(path, schema=CLOCK_SCHEMA)
    assert found.height >= 2, "one at the start, one on the way out"
    assert found["t_ns"].is_sorted()


@pytest.mark.parametrize("what", ["audit", "trace", "profile"])
async def test_a_cluster_that_stays_up_is_not_observed_so(what: str, tmp_path: Path) -> None:
    options = run.RunOptions(keep_up="x", **{what: True})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--keep-up: a cluster that stays up is neither audited nor profiled"):
        await run.run(scenarios.load("smoke"), tmp_path / "run", options)
    assert not (tmp_path / "run").exists()


def test_tracing_implies_the_audit_log() -> None:
    assert run.RunOptions(trace=True).audited
    assert not run.RunOptions(profile=True).audited


def test_an_audit_id_fits_the_api_server_s_limit() -> None:
    """64 characters, with the longest phase's name and a million operations."""
    assert audit_id("kubevirt-density-4f3a2b1c") == "4f3a2b1c"
    assert len("4f3a2b1c-namespaces-1000000") <= 64
