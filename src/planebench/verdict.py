"""Verdicts: is an SLO met, and can the measurement be trusted? Pure functions of figures.

An SLO is PASS, FAIL or INCONCLUSIVE, and FAIL outweighs INCONCLUSIVE outweighs PASS. No data is never a PASS, and
what never arrived is larger than every bound.

**Doubt.** Where the harness may have falsified a duration by up to d (requests sent late, a watch that was
interrupted), the SLO is INCONCLUSIVE if d is more than 1 ms and more than 1% of the result that it would judge: of
the measured value or of the SLO's bound, whichever is larger. A duration from a due time contains the lateness, so
a value within its bound is within it without the lateness, too; what d is held against is then how far the load
was from its plan. A value that is above its bound by more than d is a FAIL all the same.

What disturbs from outside (other programs, the machine's host, watch events that come late) can only have made a
figure worse: what is met in spite of it is met, what is missed by no more than it may have added is INCONCLUSIVE.

**Missing.** A request without success is larger than every bound, in whichever percentile it falls. An object that
never came fails every upper bound on its way, also where the percentile would leave it out: a run that lost an
object has not shown what was demanded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from planebench.model import ExitCode, Judgement
from planebench.results.document import Finding, Lateness, Result, SLOResult, Status, Unit
from planebench.scenario import SLO
from planebench.stats import least_n

NEGLIGIBLE_S: Final = 0.001
NEGLIGIBLE_SHARE: Final = 0.01
MOST_BUSY: Final = 0.7
"""Of one core, by the load engine in its busiest second."""
MOST_LOOP_LAG_MS: Final = 5.0
MOST_OUTSIDE: Final = 0.1
"""Of the machine's CPU, taken by others over five seconds."""
MOST_STALE_S: Final = 0.05
"""1% of the 5 s within which a pod has to start (kubernetes/community, sig-scalability/slos/slos.md)."""
MOST_APART_S: Final = 0.01
"""By which a worker's clock may be wrong: what a time from its request to an event that we saw may be off."""
MOST_QUEUED: Final = 0.01
"""Of the objects that the simulator played: more, and the 99th percentile tells its queue."""
MOST_GROWTH_S: Final = 0.01
"""Of the simulator's own part during a run: as much as it takes when it has nothing else to do."""
MOST_MEMORY_PRESSURE: Final = 0.01
SIMULATOR: Final = "simulator.kept_up"
OUTSIDE: Final = "machine.outside"
SENDERS: Final = "load.senders"
MISSED: Final = "missed SLOs"
"""What a disturbance from outside makes doubtful, see :func:`judge`."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What may have been added to a figure."""

    amount: float
    """In the figure's unit; infinite: anything."""
    reason: str
    relative: bool = False
    """``amount`` is a share: of the machine, which may have made everything as much slower."""
    worse_only: bool = False
    """It can have made the figure worse, but not better: what is met in spite of it is met."""

    def of(self, figure: Figure) -> float:
        """How far the figure may be from the truth."""
        if not self.relative or not math.isfinite(figure.value):
            return self.amount if not self.relative else 0.0
        share = min(self.amount, 0.99)
        return figure.value * (share if figure.unit == "s" else share / (1 - share))


@dataclass(frozen=True, slots=True)
class Figure:
    """What an SLO is held against."""

    value: float
    """Infinite: among the missing; NaN: no data."""
    n: int
    missing: int
    unit: Unit
    doubts: tuple[Doubt, ...] = ()
    all_must_come: bool = False
    """What is missing are objects, not answers."""
    note: str = ""
    """What explains the value."""


def judge(slo: SLO, figure: Figure | None, why_none: str = "") -> SLOResult:
    """Hold an SLO against its indicator's figure; None: the run has no such indicator, ``why_none`` tells why."""
    at_most, at_least = slo.max, slo.min

    def result(verdict: Judgement, reason: str) -> SLOResult:
        return SLOResult(
            sli=slo.sli,
            percentile=slo.percentile,
            at_most=at_most.value if at_most else None,
            at_least=at_least.value if at_least else None,
            unit=figure.unit if figure else _unit(slo),
            value=figure.value if figure and figure.n and math.isfinite(figure.value) else None,
            n=figure.n if figure else 0,
            missing=figure.missing if figure else 0,
            verdict=verdict,
            reason=reason,
        )

    if figure is None or not figure.n or math.isnan(figure.value):
        return result(Judgement.INCONCLUSIVE, why_none or "no data")
    if wrong := _wrong_unit(slo, figure.unit):
        return result(Judgement.INCONCLUSIVE, wrong)
    missed = _missed(slo, figure)
    doubts = [doubt for doubt in figure.doubts if _matters(doubt, slo, figure)]
    if missed:
        for doubt in doubts:
            if not _missed(slo, figure, doubt.of(figure)):
                return result(Judgement.INCONCLUSIVE, f"missed, but {doubt.reason}")
        return result(Judgement.FAIL, _why_missed(figure))
    for doubt in doubts:
        if not doubt.worse_only:
            return result(Judgement.INCONCLUSIVE, f"met, but {doubt.reason}")
    return result(Judgement.PASS, _caution(slo, figure))


def _missed(slo: SLO, figure: Figure, doubt: float = 0.0) -> bool:
    """Whether the figure is out of its bounds by more than ``doubt``; an infinite one leaves nothing certain."""
    if math.isinf(doubt):
        return False
    lost = figure.all_must_come and figure.missing > 0
    above = slo.max is not None and (figure.value - doubt > slo.max.value or lost)
    below = slo.min is not None and figure.value + doubt < slo.min.value
    return above or below


def _matters(doubt: Doubt, slo: SLO, figure: Figure) -> bool:
    if figure.unit != "s" and not doubt.relative:
        return math.isinf(doubt.amount)
    sizes = [figure.value] if math.isfinite(figure.value) else []
    sizes += [bound.value for bound in (slo.max, slo.min) if bound]
    least = NEGLIGIBLE_S if figure.unit == "s" else 0.0
    return doubt.of(figure) > max(least, NEGLIGIBLE_SHARE * max(sizes))


def _why_missed(figure: Figure) -> str:
    if not figure.missing:
        return figure.note
    return f"{figure.missing:,} of {figure.n:,} {'never came' if figure.all_must_come else 'failed'}"


def _caution(slo: SLO, figure: Figure) -> str:
    if slo.percentile is None or slo.percentile >= 100 or figure.n >= least_n(slo.percentile):
        return ""
    needed = least_n(slo.percentile)
    return f"few values: p{slo.percentile:g} of {figure.n:,} has no finite 95% upper bound, it takes {needed:,}"


def _unit(slo: SLO) -> Unit:
    bound = slo.max or slo.min
    return _UNITS[bound.unit] if bound else "count"


_UNITS: Final[Mapping[str, Unit]] = {"s": "s", "/s": "/s", "share": "share", "bytes": "bytes", "": "count"}


def _wrong_unit(slo: SLO, unit: Unit) -> str:
    for bound in (slo.max, slo.min):
        if bound and _UNITS[bound.unit] != unit and not (bound.unit == "" and unit in ("ratio", "bytes")):
            return f"the bound {bound} has not the indicator's unit ({unit})"
    return ""


# --- validity ------------------------------------------------------------------------------------------------


def check_completed(status: Status, error: str | None) -> Finding:
    return Finding(
        name="run.completed",
        title="the run came to its end",
        value=status if error is None else f"{status}: {error}",
        bound="completed",
        ok=status == "completed",
        affects="run",
        action="see logs/ in the run folder, then run it again",
    )


def check_data(requests: int) -> Finding:
    return Finding(
        name="run.data",
        title="the load was recorded",
        value=f"{requests:,} requests",
        bound="some",
        ok=requests > 0,
        affects="run",
        action="see logs/load-engine.log in the run folder",
    )


def check_lateness(found: Lateness, typical_s: float | None) -> Finding:
    """Whether a stage's requests were sent when they were due; ``typical_s`` is their own p99 response."""
    bound_s = max(NEGLIGIBLE_S, NEGLIGIBLE_SHARE * (typical_s or 0.0))
    p99_s = math.inf if found.p99_s is None else found.p99_s
    return Finding(
        name=f"lateness.{found.stage}",
        title=f"{found.stage}: requests sent on time",
        value="none was sent" if found.p99_s is None else f"p99 {p99_s * 1e3:.2f} ms late",
        bound=f"{bound_s * 1e3:.2f} ms (1 ms, or 1% of the p99 response)",
        ok=p99_s <= bound_s,
        affects=found.stage,
        action="use an idle machine, permit real-time scheduling (root), or lower the rate",
    )


def check_engine(health: Mapping[str, Any]) -> list[Finding]:
    """Whether the load engine had time to spare."""
    findings = []
    busy = health.get("busiest_second")
    if isinstance(busy, int | float):
        findings.append(
            Finding(
                name="engine.busy",
                title="the load engine had a core to spare",
                value=f"{busy * 100:.0f}% of a core in its busiest second",
                bound=f"{MOST_BUSY * 100:.0f}%",
                ok=busy <= MOST_BUSY,
                affects="run",
                action="lower the rate",
            )
        )
    lag = health.get("loop_lag_ms")
    lag_ms = lag.get("p99") if isinstance(lag, Mapping) else None
    if isinstance(lag_ms, int | float):
        findings.append(
            Finding(
                name="engine.lag",
                title="the load engine's loop was prompt",
                value=f"p99 {lag_ms:.2f} ms",
                bound=f"{MOST_LOOP_LAG_MS:g} ms",
                ok=lag_ms <= MOST_LOOP_LAG_MS,
                affects="run",
                action="use an idle machine, or permit real-time scheduling (root)",
            )
        )
    if not findings:
        findings.append(
            Finding(
                name="engine.health",
                title="the load engine told how it was",
                value="no report",
                bound="a report",
                ok=False,
                affects="run",
                action="see logs/load-engine.log in the run folder",
            )
        )
    return findings


def check_senders(health: Mapping[str, Any]) -> Finding | None:
    """Whether all processes that sent the load came to the end; None where one engine did everything."""
    senders = health.get("senders")
    if not isinstance(senders, Mapping):
        return None
    lost = {name: told["lost"] for name, told in senders.items() if told.get("lost")}
    return Finding(
        name=SENDERS,
        title="every process that sent load came to the end",
        value="; ".join(f"{name} was {how}" for name, how in lost.items()) or f"all {len(senders):,}",
        bound="none lost",
        ok=not lost,
        affects="run",
        action="see its log (logs/ in the run folder, or the Dask worker's), mend it, and run it again",
    )


def check_worker_clocks(error_s: Mapping[str, float]) -> Finding | None:
    """How well the clocks of other machines are known; ``error_s``: machine's worker -> by how much its clock may
    be wrong. None where all processes read one clock."""
    if not error_s:
        return None
    name, worst = max(error_s.items(), key=lambda item: item[1])
    return Finding(
        name="load.clocks",
        title="workers' clocks are known",
        value=f"to {worst * 1e3:.2f} ms ({name})",
        bound=f"{MOST_APART_S * 1e3:g} ms",
        ok=worst <= MOST_APART_S,
        affects="run",
        action="use workers with a shorter way to the scheduler, and let their time services settle",
    )


def check_watches(lost: int, resumed: int, longest_s: float, explained: int = 0) -> Finding:
    """Whether watches were without a gap: ``lost`` were not resumed, nor were those ``explained`` by a fault;
    ``resumed`` were, without loss."""
    parts = [f"{lost:,} with loss"] if lost else []
    parts += [f"{explained:,} read anew after a fault"] if explained else []
    parts += [f"{resumed:,} resumed without loss, the longest {longest_s * 1e3:.1f} ms"] if resumed else []
    return Finding(
        name="watch.gaps",
        title="watches saw every event",
        value=", ".join(parts) or "no gaps",
        bound="no gap with loss",
        ok=not lost,
        affects="run",
        action="see raw/gaps.parquet and the API server's log for the reason; lower the rate",
    )


def check_restarts(restarted: Mapping[str, int]) -> Finding:
    return Finding(
        name="components.restarted",
        title="no component restarted",
        value=", ".join(f"{name} {count}x" for name, count in restarted.items()) or "none",
        bound="none",
        ok=not restarted,
        affects="run",
        action="see the component's log in logs/",
    )


def check_negative(found: Mapping[str, int]) -> Finding:
    """Whether no duration is below zero; ``found``: indicator -> how many are, without a reason."""
    return Finding(
        name="durations.negative",
        title="no duration is below zero",
        value=", ".join(f"{name} {count:,}" for name, count in found.items()) or "none",
        bound="none",
        ok=not found,
        affects="run",
        action="report it with the run folder: it is a fault of planebench",
    )


def check_terminated_watchers(count: float | None) -> Finding | None:
    """Watchers that the API server gave up, its other clients' included; None where it does not tell."""
    if count is None:
        return None
    return Finding(
        name="apiserver.terminated_watchers",
        title="the API server gave up no watcher",
        value=f"{count:.0f}",
        bound="0",
        ok=count == 0,
        affects="",
        action="some client was too slow to read: a component's figures may contain its new LIST",
    )


# --- the certificate: what lies outside of the harness -------------------------------------------------------


def check_clock(health: Mapping[str, Any]) -> Finding | None:
    """Whether the wall clock, which the kernel stamps receipts with, was left alone; None where nobody looked."""
    stamps = health.get("kernel_stamps")
    steps = stamps.get("clock_steps") if isinstance(stamps, Mapping) else None
    if not isinstance(steps, int | float):
        return None
    refused = stamps.get("refused", 0) if isinstance(stamps, Mapping) else 0
    return Finding(
        name="clock.steps",
        title="the wall clock was not set",
        value=f"set {steps:,.0f} times" + (f", {refused:,.0f} stamps refused" if refused else ""),
        bound="never by more than 1 ms",
        ok=steps == 0,
        affects="run",
        action="let the time service settle (chronyc tracking), then run it again",
    )


def check_observation(p99_s: Mapping[str, float]) -> Finding | None:
    """Whether watch events came close behind the answers of the writes that made them; ``p99_s``: by stage."""
    if not p99_s:
        return None
    worst = max(p99_s.values())
    return Finding(
        name="observation.staleness",
        title="watch events came close behind their writes",
        value="p99 " + ", ".join(f"{value_s * 1e3:.1f} ms in {stage}" for stage, value_s in p99_s.items()),
        bound=f"{MOST_STALE_S * 1e3:g} ms",
        ok=worst <= MOST_STALE_S,
        affects=MISSED,
        action="lower the rate; the API server's own fan-out is part of it, see its metrics",
    )


def check_simulator(
    *,
    step: str,
    p50_s: float,
    p99_s: float,
    unloaded_s: float | None,
    workers: int | None,
    queued: float | None,
    growth_s: float,
    busy_cores: float | None,
    cores: int | None,
) -> Finding:
    """Whether the simulator was never the bottleneck, see :class:`planebench.slis.simulator.Played`."""
    parts = [f"{step} p50 {p50_s * 1e3:.1f} ms, p99 {p99_s * 1e3:.1f} ms"]
    if unloaded_s is not None:
        parts.append(f"p50 {unloaded_s * 1e3:.1f} ms when calibrated")
    if queued is not None:
        parts.append(f"{queued * 100:.1f}% waited for one of {workers:,} workers")
    if growth_s > MOST_GROWTH_S:
        parts.append(f"grew by {growth_s * 1e3:.0f} ms at an even rate")
    if busy_cores is not None:
        parts.append(f"{busy_cores:.2f} cores")
    no_core_left = busy_cores is not None and cores is not None and busy_cores > MOST_BUSY * cores
    return Finding(
        name=SIMULATOR,
        title="the simulator kept up",
        value=", ".join(parts),
        bound=f"at most {MOST_QUEUED * 100:g}% wait, no growth by more than {MOST_GROWTH_S * 1e3:g} ms, at most "
        f"{MOST_BUSY * 100:.0f}% of the machine's cores",
        ok=(queued or 0.0) <= MOST_QUEUED and growth_s <= MOST_GROWTH_S and not no_core_left,
        affects="run",
        action="lower the rate, or set more workers where the plane has a setting for them",
    )


def check_outside(shares: Mapping[str, tuple[float, float]]) -> Finding | None:
    """Whether the machine was left to the run; ``shares``: stage -> what others took of its CPU in the worst five
    seconds, and the host's part of that. None where it was not sampled."""
    if not shares:
        return None
    stage, (worst, steal) = max(shares.items(), key=lambda item: item[1][0])
    by_host = f", {steal * 100:.0f}% the host of this virtual machine" if steal >= 0.005 else ""
    return Finding(
        name=OUTSIDE,
        title="the machine was left to the run",
        value=f"others took {worst * 100:.0f}% of its CPU in the worst five seconds ({stage}){by_host}",
        bound=f"at most {MOST_OUTSIDE * 100:.0f}%",
        ok=worst <= MOST_OUTSIDE,
        affects=MISSED,
        action="end other programs (top shows them); where it is the host, take a machine with CPUs of its own",
    )


def check_pressure(cpu: float, io: float, memory: float) -> Finding | None:
    """Whether memory was no bottleneck; CPU and I/O are told along with it: waiting for these is the run's own
    doing. Shares of the time in which something waited; NaN: the kernel does not tell."""
    if math.isnan(memory):
        return None
    told = [f"{name} {share:.1%}" for name, share in (("CPU", cpu), ("I/O", io), ("memory", memory)) if share >= 0]
    return Finding(
        name="machine.pressure",
        title="nothing waited for memory",
        value=f"waited for {', '.join(told)} of the time",
        bound=f"memory at most {MOST_MEMORY_PRESSURE * 100:g}%",
        ok=memory <= MOST_MEMORY_PRESSURE,
        affects="",
        action="take fewer nodes or objects, or a machine with more memory: what is measured is its swapping",
    )


def check_scrapes(failures: Sequence[str]) -> Finding:
    more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
    return Finding(
        name="scrapes.failed",
        title="all components served their metrics",
        value=f"{failures[0]}{more}" if failures else "all",
        bound="all",
        ok=not failures,
        affects="",
        action="a component's own figures may be missing",
    )


def check_metrics(component: str, absent: Sequence[str]) -> Finding:
    """Whether a component serves all metrics that it is known by; what it does not is missing, not 0."""
    more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
    return Finding(
        name=f"metrics.{component}",
        title=f"{component} serves the metrics that it is known by",
        value="; ".join(absent[:3]) + more if absent else "all",
        bound="all",
        ok=not absent,
        affects="",
        action="figures that rest on them are missing: this version may have renamed or dropped them",
    )


# --- the run -------------------------------------------------------------------------------------------------


def overall(slos: Sequence[SLOResult], findings: Iterable[Finding]) -> tuple[Judgement | None, str]:
    """The run's verdict and the reason for it in one line; None: nothing is demanded, and nothing is wrong."""
    failed = [slo for slo in slos if slo.verdict is Judgement.FAIL]
    if failed:
        return Judgement.FAIL, f"{len(failed)} of {len(slos)} SLOs missed"
    for finding in findings:
        if not finding.ok and finding.affects == "run":
            return Judgement.INCONCLUSIVE, f"not so: {finding.title} ({finding.value})"
    doubtful = [slo for slo in slos if slo.verdict is Judgement.INCONCLUSIVE]
    if doubtful:
        return (
            Judgement.INCONCLUSIVE,
            f"{len(doubtful)} of {len(slos)} SLOs cannot be judged: {doubtful[0].reason}",
        )
    if not slos:
        return None, "the scenario demands nothing"
    return Judgement.PASS, f"{len(slos)} of {len(slos)} SLOs met"


def exit_code(result: Result) -> ExitCode:
    """How the command ends: an interrupted or broken run says so, whatever its figures; a run without demands that
    came to its end is a success."""
    match result.status:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "broken" | "running":
            return ExitCode.BROKEN
    return code_of(result.verdict)


def code_of(judgement: Judgement | None) -> ExitCode:
    """What a verdict makes of a command's exit code; None: nothing was demanded."""
    match judgement:
        case Judgement.FAIL:
            return ExitCode.FAIL
        case Judgement.INCONCLUSIVE:
            return ExitCode.INCONCLUSIVE
    return ExitCode.PASS
