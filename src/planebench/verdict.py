"""Verdicts: is an SLO met, and can the measurement be trusted? Pure functions of figures.

An SLO is PASS, FAIL or INCONCLUSIVE, and FAIL outweighs INCONCLUSIVE outweighs PASS. No data is never a PASS, and
what never arrived is larger than every bound.

**Doubt.** Where the harness may have falsified a duration by up to d (requests sent late, a watch that was
interrupted), the SLO is INCONCLUSIVE if d is more than 1 ms and more than 1% of the result that it would judge: of
the measured value or of the SLO's bound, whichever is larger. A duration from a due time contains the lateness, so
a value within its bound is within it without the lateness, too; what d is held against is then how far the load
was from its plan. A value that is above its bound by more than d is a FAIL all the same.

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


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the harness may have added to a duration."""

    seconds: float
    """Infinite: anything."""
    reason: str


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
            if not _missed(slo, figure, doubt.seconds):
                return result(Judgement.INCONCLUSIVE, f"missed, but {doubt.reason}")
        return result(Judgement.FAIL, _why_missed(figure))
    if doubts:
        return result(Judgement.INCONCLUSIVE, f"met, but {doubts[0].reason}")
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
    if figure.unit != "s":
        return math.isinf(doubt.seconds)
    sizes = [figure.value] if math.isfinite(figure.value) else []
    sizes += [bound.value for bound in (slo.max, slo.min) if bound]
    return doubt.seconds > max(NEGLIGIBLE_S, NEGLIGIBLE_SHARE * max(sizes))


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


def check_watches(lost: int, resumed: int, longest_s: float) -> Finding:
    """Whether watches were without a gap: ``lost`` were not resumed, ``resumed`` were, without loss."""
    parts = [f"{lost:,} with loss"] if lost else []
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
    match result.verdict:
        case Judgement.FAIL:
            return ExitCode.FAIL
        case Judgement.INCONCLUSIVE:
            return ExitCode.INCONCLUSIVE
    return ExitCode.PASS
