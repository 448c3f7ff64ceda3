"""Faults as the result tells them: each with its figures, and whether these are what was demanded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from planebench.model import Judgement
from planebench.results.document import FaultFigure, FaultResult, finite
from planebench.scenario import SLO
from planebench.slis.harness import Doubts
from planebench.slis.indicator import Indicator
from planebench.slis.observations import Observations
from planebench.slis.resilience.recovery import COUNTS, RECOVERED, TIMES, Recovery, Resilience
from planebench.verdict import judge

_FIGURES = (*COUNTS, *TIMES, RECOVERED)
_WORST_FIRST = (Judgement.FAIL, Judgement.INCONCLUSIVE, Judgement.PASS)


def scorecard(seen: Observations, resilience: Resilience, doubts: Doubts) -> tuple[FaultResult, ...]:
    """One for each fault of a component, in the order of their starts.

    A demand counts for a fault where it names the fault's part, or the maximum over all faults.
    """
    indicators = {indicator.name: indicator for indicator in resilience.indicators()}
    return tuple(
        _result(seen, recovery, indicators, seen.scenario.slos, doubts) for recovery in resilience.recoveries
    )


def _result(
    seen: Observations,
    recovery: Recovery,
    indicators: Mapping[str, Indicator],
    slos: Iterable[SLO],
    doubts: Doubts,
) -> FaultResult:
    fault, window = recovery.window.fault, recovery.window
    figures = tuple(_figures(recovery, indicators, list(slos), doubts))
    verdicts = {figure.verdict for figure in figures}
    return FaultResult(
        name=recovery.name,
        label=fault.label,
        kind=fault.kind,
        target=fault.target,
        processes=fault.processes,
        stage=fault.stage or None,
        start_s=window.start_s,
        struck_s=finite(window.struck_s),
        end_s=finite(window.end_s),
        work=recovery.work,
        figures=figures,
        told=recovery.told,
        followed=tuple(
            f"{restart.process} {restart.how} {restart.ended_ns / 1e9 - window.start_s:.1f} s later"
            for restart in seen.run.restarts
            if not restart.asked and window.start_s <= restart.ended_ns / 1e9 < window.until_s
        ),
        verdict=next((verdict for verdict in _WORST_FIRST if verdict in verdicts), None),
    )


def _figures(
    recovery: Recovery, indicators: Mapping[str, Indicator], slos: list[SLO], doubts: Doubts
) -> Iterator[FaultFigure]:
    for name in _FIGURES:
        part = next(
            (
                indicator
                for indicator in indicators.values()
                if indicator.definition.id == f"faults.{name}"
                and indicator.name == indicator.definition.part(recovery.name)
            ),
            None,
        )
        if part is None:
            continue
        found = {
            judge(slo, doubts.figure(part, slo.percentile)).verdict
            for slo in slos
            if slo.sli == part.name or (slo.sli == part.definition.id and slo.percentile == 100)
        }
        value = part.figure(100)
        yield FaultFigure(
            sli=part.definition.id,
            title=part.definition.title,
            unit=part.definition.unit,
            value=finite(value),
            beyond_s=part.beyond_s,
            verdict=next((verdict for verdict in _WORST_FIRST if verdict in found), None),
        )
