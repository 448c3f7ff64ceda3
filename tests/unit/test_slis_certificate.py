"""What the machine, the simulator and the watches say of a run, against what was put into it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_run import SyntheticRun, looked_at, ns, pods

from planebench import slis, verdict
from planebench.model import Judgement
from planebench.results.document import Finding, Result
from planebench.slis.queueing import growth_s, in_hand

NEVER = np.nan


def evaluate(run: SyntheticRun, folder: Path, environment: dict[str, Any] | None = None) -> Result:
    path = run.write(folder / "run")
    if environment is not None:
        (path / "environment.json").write_text(json.dumps(environment))
    return slis.evaluate(path)


def check(result: Result, name: str) -> Finding:
    return next(finding for finding in result.validity if finding.name == name)


def judged(result: Result, sli: str) -> tuple[Judgement, str]:
    return next((slo.verdict, slo.reason) for slo in result.slos if slo.sli == sli)


# --- the machine ---------------------------------------------------------------------------------------------


def on_a_machine(
    run: SyntheticRun,
    *,
    own: float = 1.0,
    others: float = 0.0,
    steal: float = 0.0,
    waits: float = 0.5,
    memory: float = 0.0,
) -> SyntheticRun:
    """Two cores, of which ``own``, ``others`` and ``steal`` are taken from second 20 on; the rest are shares."""
    run.samples.clear()
    end_s = max(phase["end_ns"] for phase in run.phases) // 10**9
    for second in range(end_s + 1):
        busy_s = max(second - 20, 0)
        run.sample(second, "kube-apiserver", "kube-apiserver", "subject", 7 + own * busy_s / 2)
        run.sample(second, "kwok", "kwok", "simulator", 3 + own * busy_s / 2)
        run.machine.append(
            {
                "t_ns": ns(second),
                "capacity_s": 1000.0 + 2 * second,
                "busy_s": 500.0 + (own + others) * busy_s,
                "interrupts_s": 0.0,
                "steal_s": steal * busy_s,
                "iowait_s": 0.0,
                "cpu_some_s": waits * second,
                "io_some_s": 0.02 * second,
                "io_full_s": 0.0,
                "memory_some_s": memory * second,
                "memory_full_s": 0.0,
                "memory_available_bytes": 1 << 30,
                "wall_offset_ns": 0,
            }
        )
    return run


def test_a_machine_of_one_s_own(tmp_path: Path) -> None:
    """It is busy, and tasks wait for its CPU: that is what was asked of it."""
    result = evaluate(on_a_machine(pods()[0], own=2.0, waits=0.9), tmp_path)
    outside, pressure = check(result, "machine.outside"), check(result, "machine.pressure")
    assert outside.ok and outside.value.startswith("others took 0% of its CPU in the worst five seconds")
    assert pressure.ok and pressure.value == "waited for CPU 90.0%, I/O 2.0%, memory 0.0% of the time"
    assert result.verdict is Judgement.PASS


@pytest.mark.parametrize(
    ("others", "steal", "value"),
    [
        (0.5, 0.0, "others took 25% of its CPU"),
        (0.0, 0.3, "others took 15% of its CPU, 15% the host of this virtual machine"),
        (0.2, 0.1, "others took 15% of its CPU, 5% the host of this virtual machine"),
    ],
)
def test_others_on_the_machine(tmp_path: Path, others: float, steal: float, value: str) -> None:
    finding = check(evaluate(on_a_machine(pods()[0], others=others, steal=steal), tmp_path), "machine.outside")
    found = re.sub(r" in the worst five seconds \(\w+\)", "", finding.value)
    assert (finding.ok, found, finding.affects) == (False, value, verdict.MISSED)


def test_what_is_met_beside_others_is_met(tmp_path: Path) -> None:
    result = evaluate(on_a_machine(pods()[0], others=0.9), tmp_path)
    assert not check(result, "machine.outside").ok
    assert result.verdict is Judgement.PASS


def test_what_others_may_have_made_one_miss_is_inconclusive(tmp_path: Path) -> None:
    """They took 45% of the machine: without them, as little as 55% of the duration."""
    run, truth = pods(overrides={"slos[1].max": "1s"})
    assert 1.0 < max(truth.startup_s) < 1.0 / 0.55 + 1
    longest = max(truth.startup_s)
    run.overrides = {**run.overrides, "slos[1].max": f"{longest * 0.6:.3f}s"}
    result = evaluate(on_a_machine(run, others=0.9), tmp_path)
    assert judged(result, "creation.startup") == (
        Judgement.INCONCLUSIVE,
        "missed, but others took 45% of the machine's CPU meanwhile",
    )


def test_what_is_missed_by_more_is_missed(tmp_path: Path) -> None:
    run, truth = pods()
    run.overrides = {**run.overrides, "slos[1].max": f"{max(truth.startup_s) * 0.5:.3f}s"}
    result = evaluate(on_a_machine(run, others=0.9), tmp_path)
    assert judged(result, "creation.startup")[0] is Judgement.FAIL


def test_waiting_for_memory_is_told(tmp_path: Path) -> None:
    finding = check(evaluate(on_a_machine(pods()[0], memory=0.05), tmp_path), "machine.pressure")
    assert (finding.ok, finding.affects) == (False, "")


def test_a_kernel_that_does_not_tell_pressure(tmp_path: Path) -> None:
    run = on_a_machine(pods()[0])
    for row in run.machine:
        row |= dict.fromkeys(("cpu_some_s", "io_some_s", "io_full_s", "memory_some_s", "memory_full_s"), -1.0)
    names = [finding.name for finding in evaluate(run, tmp_path).validity]
    assert "machine.outside" in names
    assert "machine.pressure" not in names


# --- the clock -----------------------------------------------------------------------------------------------


def test_a_clock_that_was_set(tmp_path: Path) -> None:
    run, _ = pods()
    run.health["kernel_stamps"] = {"refused": 3, "clock_steps": 1}
    result = evaluate(run, tmp_path)
    assert check(result, "clock.steps").value == "set 1 times, 3 stamps refused"
    assert result.verdict is Judgement.INCONCLUSIVE
    assert judged(result, "creation.response") == (
        Judgement.INCONCLUSIVE,
        "met, but not so: the wall clock was not set (set 1 times, 3 stamps refused)",
    )


def with_clocks(run: SyntheticRun, *errors_ms: float) -> SyntheticRun:
    """Workers on other machines, and one here."""
    clocks = [{"shared": False, "error_ms": error_ms} for error_ms in errors_ms]
    senders = [*clocks, {"shared": True, "error_ms": 0.0}]
    run.health["senders"] = {f"w-{number}": {"lost": "", "clock": clock} for number, clock in enumerate(senders)}
    return run


def test_clocks_of_other_machines_are_told(tmp_path: Path) -> None:
    result = evaluate(with_clocks(pods()[0], 2.0, 5.0), tmp_path)
    finding = check(result, "load.clocks")
    assert (finding.ok, finding.value) == (True, "to 5.00 ms (w-1)")
    assert result.verdict is Judgement.PASS


def test_what_is_not_known_of_clocks_is_a_doubt_of_durations_that_span_two(tmp_path: Path) -> None:
    run, truth = pods()
    run.overrides = {
        **run.overrides,
        "slos[1].max": f"{max(truth.startup_s) - 0.1:.6f}s",
        "slos[1].percentile": "100",
    }
    result = evaluate(with_clocks(run, 200.0), tmp_path)
    assert not check(result, "load.clocks").ok
    assert result.verdict is Judgement.INCONCLUSIVE
    assert judged(result, "creation.startup") == (
        Judgement.INCONCLUSIVE,
        "missed, but workers' clocks are known to 200.0 ms only",
    )
    assert judged(result, "creation.response")[0] is Judgement.PASS, "within one clock"


def test_one_clock_needs_no_check(tmp_path: Path) -> None:
    assert "load.clocks" not in {finding.name for finding in evaluate(with_clocks(pods()[0]), tmp_path).validity}


# --- receipts ------------------------------------------------------------------------------------------------


def test_watch_events_close_behind_their_writes(tmp_path: Path) -> None:
    """Pods are put in as seen 1 ms before their answer; their end comes up to a second after the deletion's."""
    finding = check(evaluate(looked_at(pods()[0]), tmp_path), "observation.staleness")
    assert finding.value.startswith("p99 -1.0 ms in creation, ")
    assert "in cleanup" in finding.value and "monitoring" not in finding.value, "five writes are too few"


def seen_later(run: SyntheticRun, by_s: float) -> SyntheticRun:
    for milestone in run.milestones:
        if run.objects[milestone["object"]]["watch"] == "pods":
            milestone["t_ns"] += ns(by_s)
    return run


def test_late_watch_events_make_a_near_miss_doubtful(tmp_path: Path) -> None:
    run, truth = pods()
    run.overrides = {**run.overrides, "slos[1].max": f"{max(truth.startup_s):.3f}s"}
    result = evaluate(seen_later(run, 0.2), tmp_path)
    assert not check(result, "observation.staleness").ok
    assert judged(result, "creation.startup") == (
        Judgement.INCONCLUSIVE,
        "missed, but watch events came 199 ms (p99) after their writes' answers",
    )


# --- the simulator -------------------------------------------------------------------------------------------


def test_who_is_in_hand() -> None:
    start = np.array([0.0, 1.0, 2.0, 3.0])
    assert in_hand(start, np.array([1.5, 4.0, 2.5, 5.0])).tolist() == [0, 1, 1, 1]
    assert in_hand(start, np.array([NEVER, NEVER, NEVER, NEVER])).tolist() == [0, 1, 2, 3]
    assert in_hand(start, start).tolist() == [-1, -1, -1, -1], "played at once"


@pytest.mark.parametrize(
    ("rate_rises", "slower_s", "grows_s", "expected_s"),
    [
        (False, 0.0, 0.0, 0.0),
        (False, 0.0, 0.1, 0.1),
        (False, 0.01, 0.1, 0.07),  # the API server got slower by 10 ms, three times in each step
        (False, 0.1, 0.1, 0.0),
        (True, 0.0, 0.1, 0.0),  # no wonder
    ],
)
def test_growth(rate_rises: bool, slower_s: float, grows_s: float, expected_s: float) -> None:
    number = np.arange(500.0)
    start_s = np.sqrt(20 * number) if rate_rises else number / 20
    part = np.floor(number / 100) / 4
    found = growth_s(start_s, start_s + 0.005 + grows_s * part, 0.004 + slower_s * part)
    assert found == pytest.approx(expected_s)


def test_too_few_to_tell_growth() -> None:
    number = np.arange(99.0)
    assert growth_s(number, number + number, number * 0) == 0


def workers(count: int) -> dict[str, Any]:
    return {"machine": {"usable_cores": 2}, "simulator": {"workers": {"pod": count}}}


def test_a_simulator_that_kept_up(tmp_path: Path) -> None:
    finding = check(evaluate(pods()[0], tmp_path, workers(100)), "simulator.kept_up")
    assert finding.ok
    assert "0.0% waited for one of 100 workers" in finding.value


def test_a_simulator_whose_workers_were_all_busy(tmp_path: Path) -> None:
    """Pods take a second, 20 come in each: five workers are not enough."""
    result = evaluate(pods()[0], tmp_path, workers(5))
    finding = check(result, "simulator.kept_up")
    assert (finding.ok, finding.affects) == (False, "run")
    assert judged(result, "creation.startup")[0] is Judgement.INCONCLUSIVE
    assert judged(result, "creation.response")[0] is Judgement.PASS
    assert result.verdict is Judgement.INCONCLUSIVE
    assert "the simulator kept up" in result.reason


def test_a_simulator_that_took_all_cores(tmp_path: Path) -> None:
    run = on_a_machine(pods()[0], own=3.0)
    finding = check(evaluate(run, tmp_path, workers(100)), "simulator.kept_up")
    assert not finding.ok and "1.50 cores" in finding.value


def test_what_calibration_found_stands_beside_it(tmp_path: Path) -> None:
    noted = workers(100) | {"calibration": {"simulator": {"unloaded_p50_s": 0.0042}}}
    assert "p50 4.2 ms when calibrated" in check(evaluate(pods()[0], tmp_path, noted), "simulator.kept_up").value


def test_a_run_in_which_nothing_is_played(tmp_path: Path) -> None:
    run, _ = pods()
    run.objects.clear()
    run.milestones.clear()
    names = [finding.name for finding in evaluate(run, tmp_path).validity]
    assert "simulator.kept_up" not in names and "observation.staleness" not in names


# --- judging -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "value", "bound", "expected"),
    [
        ("s", 1.0, {"max": "600ms"}, Judgement.INCONCLUSIVE),
        ("s", 1.0, {"max": "400ms"}, Judgement.FAIL),
        ("s", 1.0, {"max": "1s"}, Judgement.PASS),
        ("/s", 10.0, {"min": "19/s"}, Judgement.INCONCLUSIVE),
        ("/s", 10.0, {"min": "21/s"}, Judgement.FAIL),
        ("/s", 10.0, {"min": "10/s"}, Judgement.PASS),
    ],
)
def test_half_of_the_machine_was_taken(
    unit: Any, value: float, bound: dict[str, str], expected: Judgement
) -> None:
    from planebench.scenario import SLO

    slo = SLO.model_validate({"sli": "creation.startup", "percentile": 99, **bound})
    doubt = verdict.Doubt(0.5, "others", relative=True, worse_only=True)
    assert verdict.judge(slo, verdict.Figure(value, 10, 0, unit, (doubt,))).verdict is expected
