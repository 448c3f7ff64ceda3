"""What a capacity search says in words, the same in every form of its report."""

from __future__ import annotations

from collections.abc import Iterator

from planebench.capacity.document import Capacity, Ending, Interval, Load, ScalabilityLaw, Step
from planebench.capacity.search import show
from planebench.model import Judgement, Role
from planebench.report import figures

_NOTHING = 1e-6
"""No parameter that can be told from none by a few steps."""
_WHOSE = {
    "harness": "the harness, not the control plane, ends here",
    "simulator": "the simulator, not the control plane, ends here",
    "measurement": "the measurement, not the control plane, ends here",
}


def level(found: Capacity, amount: float) -> str:
    return show(found.plan.of, amount)


def verdict(found: Capacity) -> str:
    """The result in one sentence."""
    outcome = found.outcome
    if outcome is None:
        done = len(found.steps)
        return f"the search has not ended: {done} steps so far; the same command goes on with it"
    match outcome.ending:
        case Ending.FOUND:
            return f"{_what(found)} {outcome.reason}"
        case Ending.DOUBT:
            doubted = found.steps[-1]
            held = (
                "no level was shown to hold"
                if outcome.capacity is None
                else (f"{_what(found)} {level(found, outcome.capacity)} hold")
            )
            whose = _WHOSE.get(doubted.ended_by, _WHOSE["measurement"])
            return f"{held}; {level(found, doubted.level)} cannot be judged: {whose} ({outcome.reason})"
        case _:
            return f"{_what(found)} {outcome.reason}"


def judgement(found: Capacity) -> Judgement:
    """In one word: PASS where a capacity was found, FAIL where not even the first level holds."""
    match found.outcome.ending if found.outcome else Ending.DOUBT:
        case Ending.FOUND | Ending.RANGE:
            return Judgement.PASS
        case Ending.START:
            return Judgement.FAIL
        case Ending.DOUBT:
            return Judgement.INCONCLUSIVE


def headline(found: Capacity) -> str:
    """The capacity itself: ``98.7/s``, ``500/s or more``, ``none``."""
    outcome = found.outcome
    if outcome is None or outcome.capacity is None:
        return "none shown"
    more = " or more" if outcome.ending is not Ending.FOUND else ""
    return f"{level(found, outcome.capacity)}{more}"


def _what(found: Capacity) -> str:
    return {
        Load.RATE: "objects per second:",
        Load.OBJECTS: "objects at a time:",
        Load.NODES: "nodes:",
    }[found.plan.of]


def limiting(found: Capacity) -> Step | None:
    """The step whose components tell what the limit is: of the lowest level that never held, one that failed, or
    else one in doubt."""
    held = {step.level for step in found.steps if step.verdict is Judgement.PASS}
    above = [step for step in found.steps if step.level not in held]
    return min(above, key=lambda step: (step.level, step.verdict is not Judgement.FAIL), default=None)


def limits(found: Capacity) -> Iterator[str]:
    """At the knee, which components are at a limit and why; the simulator and the harness are named as such."""
    step = limiting(found)
    if step is None:
        return
    for limit in step.limits:
        whose = "" if limit.role is Role.SUBJECT else f" ({limit.role}, no part of the control plane)"
        yield f"{limit.component}{whose}: {limit.kind}: {limit.reason}"
    if not step.limits:
        yield "none of the components' own figures shows a limit"


def waiting(step: Step) -> str:
    """Where objects are on their way, by how many there are."""
    if step.figures is None:
        return ""
    return ", ".join(f"{part.mean:.1f} wait for {part.title}" for part in step.figures.waiting)


def law(found: ScalabilityLaw) -> Iterator[str]:
    """The law's parameters and projections, with a warning where they go beyond what was measured."""
    yield (
        f"X(N) = gamma N / (1 + sigma (N - 1) + kappa N (N - 1)), fitted to {found.steps} steps with up to "
        f"{found.measured_up_to:,.1f} objects under way"
    )
    yield f"gamma {interval(found.gamma)} /s, sigma {interval(found.sigma)}, kappa {interval(found.kappa)}"
    peak = f"greatest throughput: {interval(found.peak_per_s)} /s"
    if found.peak_at.value is None:
        yield f"{peak}, approached but not reached: these steps show no point after which throughput falls"
    else:
        yield f"{peak}, with {interval(found.peak_at)} objects under way"
    for projection in found.projections:
        where = "extrapolated" if projection.extrapolated else "as far as measured"
        yield f"with {projection.concurrency:,.1f} under way: {interval(projection.per_s)} /s ({where})"
    if found.peak_extrapolated or any(projection.extrapolated for projection in found.projections):
        yield (
            f"WARNING: nothing beyond {found.measured_up_to:,.1f} objects under way was measured. What is said of "
            "it is a curve's continuation, not a measurement: it knows of no limit that was not met yet."
        )


def interval(found: Interval) -> str:
    """``12.3 (11.8 to 12.9)``."""
    return f"{_number(found.value)} ({_number(found.low)} to {_number(found.high)})"


def _number(value: float | None) -> str:
    if value is None:
        return "without end"
    if abs(value) < _NOTHING:
        return "0"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def latency(seconds: float | None) -> str:
    return "never" if seconds is None else figures.duration(seconds)
