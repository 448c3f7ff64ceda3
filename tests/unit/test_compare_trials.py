"""Trials from run folders: what a run's figures are, and which runs cannot be compared."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import rich_run
from trial_folders import write_trial, write_trials

from planebench import slis
from planebench.compare import (
    NothingToCompareError,
    check_alike,
    check_distinct,
    check_same_load,
    group,
    read_group,
    run_folders,
)
from planebench.compare.figures import MORE_IS_BETTER, NEITHER_IS_BETTER, Figure, of_own_metrics, of_result
from planebench.compare.setup import Setup, differences, of_run
from planebench.model import ExitCode, UsageError
from planebench.results import RunFolder
from planebench.results.tables import SCHEMAS
from planebench.slis.catalog import CATALOG

MACHINE = {
    "processor": "Made-Up 1",
    "usable_cores": 2,
    "memory_bytes": (24 << 30) - 12345,
    "architecture": "x86_64",
}
ETCD = {"name": "etcd", "version": "v3.7.3", "sha256": "1eda769fcc77aec0" * 4}


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    return of_result(slis.evaluate(rich_run.write(tmp_path_factory.mktemp("rich") / "run", 40)))


# --- figures -------------------------------------------------------------------------------------------------


def test_figures_are_the_result_s(tmp_path: Path) -> None:
    result = slis.evaluate(write_trial(tmp_path / "run", 1))
    found = of_result(result)
    row = result.rows()["creation.startup"]
    assert [found[f"creation.startup:{name}"].value for name in ("p50", "p90", "p99", "max")] == [
        row.p50,
        row.p90,
        row.p99,
        row.max,
    ]
    assert found["creation.reached"].value == 1
    assert found["scheduling.throughput"].better == "more"
    assert found["scheduling.distribution:p50"].better == ""
    assert found["scheduling.distribution_cv"].better == "less"
    assert found["scheduling.distribution_jain"].better == "more"
    (component,) = result.components
    cost = found["cost.kube-apiserver.cpu"]
    assert (cost.value, cost.kind, cost.unit, cost.title) == (component.cpu_s, "cost", "s", "API server CPU")
    assert found["cost.kube-apiserver.memory"].value == component.peak_rss_bytes


def test_every_indicator_is_better_one_way_or_told_to_be_neither() -> None:
    """One that is new, and no duration, is to be put where it belongs."""
    less_is_better = {
        "scheduling.distribution_cv",
        "scheduling.distribution_gini",
        "scheduling.cpu_cv",
        "scheduling.memory_cv",
        "scheduling.zone_skew",
        "scheduling.stranded_cpu",
        "scheduling.stranded_memory",
        "scheduling.violations",
        "scheduling.unexpected",
        "creation.unexpected",
        "management.eviction_refusals",
        "monitoring.node_losses",
        "monitoring.list_bytes",
        "cleanup.leftovers",
        "faults.lost",
        "faults.errors",
        "faults.never_up",
        "faults.surplus",
        "faults.lost_writes",
        "faults.inconsistent",
    }
    known = less_is_better | MORE_IS_BETTER | NEITHER_IS_BETTER
    assert {entry.id for entry in CATALOG.values() if entry.unit != "s"} == known


def test_what_never_came_is_infinite(rich: dict[str, Figure]) -> None:
    assert rich["creation.startup:p50"].value < 2
    assert rich["creation.startup:p99"].value == math.inf


def test_what_was_not_measured_is_no_number(tmp_path: Path) -> None:
    path = rich_run.write(tmp_path / "run", 20, broken=True)
    (path / "leftovers.json").unlink()
    assert math.isnan(of_result(slis.evaluate(path))["cleanup.leftovers"].value)


def test_demands_and_subjects_are_compared_by_default(rich: dict[str, Figure]) -> None:
    assert [name for name, figure in rich.items() if figure.by_default] == [
        "creation.response:p50",
        "creation.response:p99",
        "creation.startup:p50",
        "creation.startup:p99",
        "creation.reached",
        "cleanup.leftovers",
        *(
            f"cost.{component}.{what}"
            for component in ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager")
            for what in ("cpu", "memory")
        ),
    ]


def test_without_demands_every_indicator_is_compared(tmp_path: Path) -> None:
    path = write_trial(tmp_path / "run", 1, overrides={"slos": "[]"})
    chosen = [name for name, figure in of_result(slis.evaluate(path)).items() if figure.by_default]
    assert {"creation.startup:p50", "creation.startup:p99", "scheduling.throughput"} <= {*chosen}
    assert not any(name.startswith("management.transition") or name.endswith((":p90", ":max")) for name in chosen)


def test_other_percentiles_come_from_demands(tmp_path: Path) -> None:
    slos = (
        "[{sli: creation.response, percentile: 95, max: 1s}, {sli: creation.response, percentile: 100, max: 1s}]"
    )
    result = slis.evaluate(write_trial(tmp_path / "run", 1, overrides={"slos": slos}))
    found = of_result(result)
    assert found["creation.response:p95"].value == result.slos[0].value
    assert found["creation.response:max"].value == result.rows()["creation.response"].max


def test_components_own_metrics_by_their_mean(rich: dict[str, Figure]) -> None:
    own = rich["component.kube-apiserver.apiserver.request"]
    assert (own.kind, own.unit, own.by_default) == ("duration", "s", False)
    assert own.value == pytest.approx(0.008)
    assert not any(name.startswith("component.kube-scheduler.scheduler.pending") for name in rich)


def test_durations_know_how_late_their_requests_were(tmp_path: Path) -> None:
    path = write_trial(tmp_path / "run", 1)
    result = slis.evaluate(path)
    late = {found.stage: found.p99_s for found in result.harness.lateness}
    found = of_result(result)
    for name in ("creation.startup:p99", "scheduling.latency:p99", "management.running:p99"):
        assert found[name].doubt_s == late["creation"] == pytest.approx(0.0001)
    assert found["scheduling.throughput"].doubt_s == 0


# --- run folders ---------------------------------------------------------------------------------------------


def test_a_run_or_a_folder_of_runs(tmp_path: Path) -> None:
    trials = write_trials(tmp_path / "a", 3)
    (trials / "notes").mkdir()
    (trials / "readme.txt").write_text("")
    assert [path.name for path in run_folders(trials)] == ["000", "001", "002"]
    assert run_folders(trials / "001") == [trials / "001"]
    found = read_group(trials)
    assert [(trial.name, trial.block) for trial in found.trials] == [("000", 0), ("001", 1), ("002", 2)]
    assert found.left_out == ()
    check_alike(found)


def test_an_experiment_s_runs_are_its_trials(tmp_path: Path) -> None:
    """As a baseline, or to tell the noise; what was cut off is none of them."""
    trials = write_trials(tmp_path / "experiment" / "trials", 2)
    write_trial(trials / ".cut-off" / "000.1", 7)
    (tmp_path / "experiment" / "experiment.json").write_text("{}")
    assert run_folders(tmp_path / "experiment") == [trials / "000", trials / "001"]


def test_no_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        read_group(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="there is no such folder"):
        read_group(tmp_path / "file")
    with pytest.raises(UsageError, match=r"is no run folder \(it has no run\.json\), and holds none"):
        read_group(tmp_path)


def damage_run(path: Path) -> None:
    (path / "run.json").write_text('{"schema": 1, "id"')


def damage_table(path: Path) -> None:
    table = path / "raw" / "requests.parquet"
    table.write_bytes(table.read_bytes()[:-20])


def lose_table(path: Path) -> None:
    (path / "raw" / "objects.parquet").unlink()


def lose_scenario(path: Path) -> None:
    (path / "scenario.yaml").unlink()


def other_version(path: Path) -> None:
    change(path, schema=99)


def interrupt(path: Path) -> None:
    change(path, status="interrupted")


def die(path: Path) -> None:
    change(path, status="broken", error="etcd ended with exit code 137")


def starve(path: Path) -> None:
    health = json.loads((path / "raw" / "harness.json").read_text())
    (path / "raw" / "harness.json").write_text(json.dumps({**health, "busiest_second": 0.98}))


def change(path: Path, **fields: Any) -> None:
    (path / "run.json").write_text(json.dumps({**json.loads((path / "run.json").read_text()), **fields}))


FAULTS = [
    (damage_run, "unreadable", "run.json: is truncated or damaged"),
    (damage_table, "unreadable", "requests.parquet: is truncated or damaged"),
    (lose_table, "unreadable", "objects.parquet: is missing: the folder is not whole"),
    (lose_scenario, "unreadable", "scenario.yaml: is missing"),
    (other_version, "unreadable", "version 99 of the run folder's format"),
    (interrupt, "broken", r"did not come to its end \(interrupted\)"),
    (die, "broken", r"did not come to its end \(broken\): etcd ended with exit code 137"),
    (starve, "void", r"not so: the load engine had a core to spare \(98% .*--doubtful"),
]


@pytest.mark.parametrize(("fault", "kind", "reason"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_runs_that_are_no_trials_are_left_out_and_told(tmp_path: Path, fault: Any, kind: str, reason: str) -> None:
    trials = write_trials(tmp_path / "a", 2)
    fault(trials / "001")
    found = read_group(trials)
    assert [trial.name for trial in found.trials] == ["000"]
    (left_out,) = found.left_out
    assert (left_out.name, left_out.kind) == ("001", kind)
    with pytest.raises(NothingToCompareError, match=reason) as raised:
        read_group(trials / "001")
    assert raised.value.exit_code is ExitCode.INCONCLUSIVE
    assert "\n" not in str(raised.value)


def disturbed(path: Path, cores: float) -> Path:
    """A trial on a machine of two cores, of which others take so many."""
    rows = [
        {"t_ns": second * 10**9, "capacity_s": 2.0 * second, "busy_s": cores * second, "steal_s": 0.0}
        for second in range(120)
    ]
    frame = pl.DataFrame(rows)
    machine = path / "raw" / "machine.parquet"
    others = [column for column in SCHEMAS["machine"] if column not in frame.columns]
    frame.with_columns(pl.lit(0).alias(name) for name in others).select(
        pl.col(name).cast(kind) for name, kind in SCHEMAS["machine"].items()
    ).write_parquet(machine)
    return path


def test_trials_that_others_disturbed_are_left_out(tmp_path: Path) -> None:
    """They would spare one side and hit the other; SLOs that are met in spite of them are met all the same."""
    trials = write_trials(tmp_path / "a", 3)
    disturbed(trials / "000", cores=0.1)
    disturbed(trials / "001", cores=0.9)
    assert slis.evaluate(trials / "001").verdict == "PASS"
    found = read_group(trials)
    assert [trial.name for trial in found.trials] == ["000", "002"]
    (left_out,) = found.left_out
    assert left_out.kind == "void"
    assert "001: not so: the machine was left to the run (others took 40% of its CPU" in left_out.reason
    assert left_out.reason.endswith("--doubtful takes it anyway")
    assert len(read_group(trials, doubtful=True).trials) == 3


def test_components_own_metrics_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    path = rich_run.write(tmp_path / "run", 20)
    with_all, without = read_group(path).trials[0], read_group(path, own_metrics=False).trials[0]
    own = {name for name in with_all.figures if name.startswith("component.")}
    assert own
    assert {*without.figures} == {*with_all.figures} - own
    assert [figure.value for name, figure in without.figures.items() if name.startswith("cost.")] == [
        figure.value for name, figure in with_all.figures.items() if name.startswith("cost.")
    ]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [("component.etcd.*", True), ("comp*", True), ("*.etcd.*", True), ("[a-z]*", True), ("cost.*", False)],
)
def test_which_patterns_ask_for_components_own_metrics(pattern: str, wanted: bool) -> None:
    assert of_own_metrics(["creation.startup", pattern]) is wanted
    assert not of_own_metrics([])


def test_doubtful_runs_are_used_when_asked(tmp_path: Path) -> None:
    path = write_trial(tmp_path / "run", 1)
    starve(path)
    assert len(read_group(path, doubtful=True).trials) == 1


def test_the_analysis_is_made_anew(tmp_path: Path) -> None:
    """What an earlier version has concluded does not stand beside what this one does."""
    path = write_trial(tmp_path / "run", 1)
    result = slis.evaluate(path)
    RunFolder(path).write_result(result.model_copy(update={"slos": ()}))
    assert read_group(path).trials[0].figures["creation.startup:p99"].by_default


def test_a_baseline_may_be_stripped_of_raw_data(tmp_path: Path) -> None:
    path = write_trial(tmp_path / "run", 1)
    before = read_group(path).trials[0].figures
    RunFolder(path).write_result(slis.evaluate(path))
    shutil.rmtree(path / "raw")
    assert read_group(path).trials[0].figures == before
    (path / "result.json").unlink()
    with pytest.raises(NothingToCompareError, match=r"result\.json: is missing"):
        read_group(path)


# --- may they be compared? -----------------------------------------------------------------------------------


def test_the_same_run_twice(tmp_path: Path) -> None:
    trials = write_trials(tmp_path / "a", 2)
    shutil.copytree(trials / "000", trials / "copy")
    with pytest.raises(UsageError, match=r"copy: is the same run as 000"):
        read_group(trials)
    found = read_group(trials / "000")
    with pytest.raises(UsageError, match="every trial is a run of its own"):
        check_distinct([*found.trials, *found.trials])


def test_trials_of_several_variants(tmp_path: Path) -> None:
    write_trial(tmp_path / "a" / "0", 1)
    write_trial(tmp_path / "a" / "1", 2, overrides={"limits.kube-scheduler": "{qps: 100, burst: 200}"})
    with pytest.raises(
        UsageError, match=r"0 and 1 are not of one variant \(limits\.kube-scheduler\.burst: - -> 200\)"
    ):
        check_alike(read_group(tmp_path / "a"))


def test_trials_of_several_binaries_and_machines(tmp_path: Path) -> None:
    environment = {"machine": MACHINE, "components": [ETCD]}
    write_trial(tmp_path / "a" / "0", 1, environment=environment)
    other = ETCD | {"sha256": "2" * 64}
    write_trial(tmp_path / "a" / "1", 2, environment=environment | {"components": [other]})
    with pytest.raises(UsageError, match=r"etcd: v3\.7\.3 \(1eda769fcc77\) -> v3\.7\.3 \(222222222222\)"):
        check_alike(read_group(tmp_path / "a"))
    write_trial(tmp_path / "b" / "0", 1, environment=environment)
    write_trial(tmp_path / "b" / "1", 2, environment=environment | {"machine": MACHINE | {"usable_cores": 4}})
    with pytest.raises(UsageError, match=r"usable_cores: 2 -> 4"):
        check_alike(read_group(tmp_path / "b"))


def test_seeds_and_demands_may_differ_within_a_variant(tmp_path: Path) -> None:
    write_trial(tmp_path / "a" / "0", 1, scenario_seed=1)
    write_trial(
        tmp_path / "a" / "1", 2, scenario_seed=2, overrides={"seed": "2", "slos": "[]", "timeouts.run": "1h"}
    )
    check_alike(read_group(tmp_path / "a"))


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        ({"name": "other"}, "name: synthetic -> other"),
        ({"nodes.0.count": "8"}, r"nodes\[0\]\.count: 4 -> 8"),
        ({"lifecycle.creation.arrival.rate": "10/s"}, r"lifecycle\.creation\.arrival\.rate"),
    ],
)
def test_another_load_is_another_question(tmp_path: Path, overrides: dict[str, str], what: str) -> None:
    before = read_group(write_trial(tmp_path / "a", 1))
    after = read_group(write_trial(tmp_path / "b", 2, overrides=overrides))
    with pytest.raises(UsageError, match=rf"b: is of another load than .*a \({what}.*--anyway"):
        check_same_load(before, after)


def test_other_settings_are_what_is_compared(tmp_path: Path) -> None:
    before = read_group(write_trial(tmp_path / "a", 1))
    after = read_group(
        write_trial(tmp_path / "b", 2, overrides={"limits.kube-scheduler": "{qps: 100, burst: 200}"})
    )
    check_same_load(before, after)
    found = differences(before.trials[0].setup.settings, after.trials[0].setup.settings)
    assert [str(item) for item in found] == [
        "limits.kube-scheduler.burst: - -> 200",
        "limits.kube-scheduler.qps: - -> 100.0",
    ]


def test_what_is_observed_has_its_cost(tmp_path: Path) -> None:
    """An audit log costs: it shows in a flag; values are paths and ports, which are new in every run."""
    argv = ["kube-apiserver", "--secure-port=4711"]
    plain, audited = (
        read_group(
            write_trial(
                tmp_path / name,
                seed,
                environment={"processes": [{"name": "a", "component": "kube-apiserver", "argv": argv + more}]},
            )
        )
        for name, seed, more in (("a", 1, []), ("b", 2, ["--audit-log-path=/somewhere"]))
    )
    found = differences(plain.trials[0].setup.settings, audited.trials[0].setup.settings)
    assert [str(item) for item in found] == ["kube-apiserver --audit-log-path: - -> set"]


def test_a_machine_is_what_makes_figures_its_own(tmp_path: Path) -> None:
    trial = read_group(write_trial(tmp_path / "a", 1, environment={"machine": MACHINE})).trials[0]
    assert trial.setup.machine == {
        "processor": "Made-Up 1",
        "usable_cores": "2",
        "architecture": "x86_64",
        "memory": "24.0 GiB",
    }


@pytest.mark.parametrize("environment", [{"machine": "big", "components": "many"}, {"components": [1, {}]}, {}])
def test_an_odd_environment_is_no_fault(tmp_path: Path, environment: dict[str, Any]) -> None:
    folder = write_trial(tmp_path / "a", 1)
    result = slis.evaluate(folder).model_copy(update={"environment": environment})
    setup = of_run(RunFolder(folder).scenario(), result)
    assert setup.machine == Setup().machine
    assert list(setup.settings) == ["planebench"]


def test_blocks_are_given_with_folders(tmp_path: Path) -> None:
    trials = write_trials(tmp_path / "a", 2)
    found = group("variant", [(7, trials / "001"), (3, trials / "000")])
    assert [(trial.block, trial.name) for trial in found.trials] == [(7, "001"), (3, "000")]
    assert found.name == "variant"
