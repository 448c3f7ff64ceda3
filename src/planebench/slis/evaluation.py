"""The whole analysis: a run folder in, a result out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from planebench import __version__, verdict
from planebench.model import DELETED, Stage
from planebench.results.document import (
    Component,
    Counts,
    ErrorCount,
    Finding,
    Harness,
    Lateness,
    PhaseResult,
    Result,
    SLOResult,
    StageResult,
    Status,
)
from planebench.results.folder import RunFolder, RunRecord
from planebench.results.stuck import grouped
from planebench.slis import cleanup, creation, drain, management, monitoring, scheduling
from planebench.slis.catalog import find
from planebench.slis.certificate import Certificate
from planebench.slis.components import components
from planebench.slis.cost import cost
from planebench.slis.distribution import Placement
from planebench.slis.harness import Doubts, count_gaps, engine_health, lateness
from planebench.slis.indicator import Indicator
from planebench.slis.limits import in_words, limits
from planebench.slis.observations import Observations
from planebench.slis.profiles import profile_results
from planebench.slis.prometheus import Scrapes
from planebench.slis.resilience import Resilience, scorecard
from planebench.slis.trace import trace, write_table
from planebench.slis.unseen import unseen
from planebench.slis.windows import disturbed
from planebench.stats import Values

_MOST_ERRORS = 50
_BY_STAGE = {
    Stage.CREATION: creation.indicators,
    Stage.SCHEDULING: scheduling.indicators,
    Stage.MANAGEMENT: management.indicators,
    Stage.MONITORING: monitoring.indicators,
    Stage.CLEANUP: cleanup.indicators,
}
_RESPONSES = {
    Stage.CREATION: "creation.response",
    Stage.MANAGEMENT: "management.response",
    Stage.MONITORING: "monitoring.read",
    Stage.CLEANUP: "cleanup.response",
}
"""The requests that a stage's lateness is held against."""


def evaluate_folder(path: Path, *, own_metrics: bool = True) -> Result:
    """See :func:`planebench.slis.evaluate`."""
    return evaluate_seen(Observations(RunFolder.open(path)), own_metrics=own_metrics)


def evaluate_seen(seen: Observations, *, own_metrics: bool = True) -> Result:
    """The same, of what has been read already."""
    folder = seen.folder
    scrapes = Scrapes(folder)
    nodes = monitoring.node_times_s(seen)
    preparation = [nodes] if nodes else []
    by_stage = indicators_by_stage(seen)
    indicators = [*preparation, *(indicator for found in by_stage.values() for indicator in found)]
    resilience = Resilience(seen)
    after_faults = resilience.indicators()
    late = lateness(seen)
    health = engine_health(folder.harness())
    senders = verdict.check_senders(health)
    engine = [*verdict.check_engine(health), *([senders] if senders else [])]
    certificate = Certificate(seen, health)
    parts = components(seen, scrapes, indicators, own_metrics=own_metrics)
    findings = _findings(seen, scrapes, indicators, late, [*engine, *certificate.findings()], parts)
    doubts = Doubts(seen, late, [*engine, *certificate.clock()], certificate.doubts)
    slos = judge_slos(seen, [*indicators, *after_faults], doubts)
    judgement, reason = verdict.overall(slos, findings)
    run = seen.run
    ways = trace(seen, parts)
    if ways is not None and run.status != "running":
        write_table(folder, ways[1])
    return Result(
        run_id=run.id,
        planebench_version=__version__,
        scenario=seen.scenario.name,
        plane=seen.plane.name,
        seed=run.seed,
        started_wall=_iso(run.started_wall),
        duration_s=run.end_ns / 1e9,
        status=run.status,
        error=run.error,
        verdict=judgement,
        reason=reason,
        validity=tuple(findings),
        slos=tuple(slos),
        preparation=tuple(indicator.row() for indicator in preparation),
        stages=tuple(
            StageResult(stage=stage, rows=tuple(indicator.row() for indicator in found))
            for stage, found in by_stage.items()
        ),
        components=parts,
        phases=_phases(run),
        distribution=Placement(seen).distribution() if seen.created else None,
        counts=_counts(seen),
        resilience=tuple(indicator.row() for indicator in after_faults),
        faults=scorecard(seen, resilience, doubts),
        errors=_errors(seen.requests),
        stuck=(*drain.stuck(seen), *grouped(folder.stuck())),
        harness=Harness(lateness=tuple(late), engine=health),
        cost=cost(seen, parts),
        trace=ways[0] if ways is not None else None,
        profiles=profile_results(folder),
        limits=tuple(in_words(limits(seen), seen.plane)),
        unfaithful=seen.plane.unfaithful,
        unseen=unseen(seen),
        left_behind=run.left_behind,
        environment=folder.environment(),
        folder=str(folder.path),
    )


def indicators_by_stage(seen: Observations) -> dict[Stage, list[Indicator]]:
    """All indicators of the stages, with their values."""
    return {stage: list(indicators(seen)) for stage, indicators in _BY_STAGE.items()}


def _findings(
    seen: Observations,
    scrapes: Scrapes,
    indicators: Sequence[Indicator],
    late: Sequence[Lateness],
    engine: Sequence[Finding],
    parts: Sequence[Component],
) -> list[Finding]:
    known = {indicator.name: indicator for indicator in indicators}
    typical = {stage: known[name].figure(99) for stage, name in _RESPONSES.items() if name in known}
    watchers = [
        between.total("apiserver_terminated_watchers_total") or 0.0
        for process, component in scrapes.components.items()
        if component == "kube-apiserver"
        and (between := scrapes.between(process, 0, seen.run.end_ns, ["apiserver_terminated_watchers_total"]))
    ]
    terminated = verdict.check_terminated_watchers(sum(watchers) if watchers else None)
    return [
        verdict.check_completed(seen.run.status, seen.run.error),
        verdict.check_data(seen.requests.height),
        *(verdict.check_lateness(found, _finite(typical.get(Stage(found.stage)))) for found in late),
        *engine,
        verdict.check_watches(*count_gaps(seen)),
        verdict.check_restarts(_unexplained(seen, scrapes.restarted)),
        verdict.check_negative({found.name: found.impossible for found in indicators if found.impossible}),
        *([terminated] if terminated else []),
        verdict.check_scrapes(_undisturbed(seen, scrapes.failures)),
        *(verdict.check_metrics(part.name, part.absent) for part in parts if part.metrics),
    ]


def _unexplained(seen: Observations, restarted: Mapping[str, int]) -> dict[str, int]:
    """Restarts that were neither a fault nor came of one."""
    known = Counter(restart.process for restart in seen.run.restarts)
    return {process: count - known[process] for process, count in restarted.items() if count > known[process]}


def _undisturbed(seen: Observations, failures: Mapping[str, int]) -> list[str]:
    """Scrapes that failed though no component was struck by a fault."""
    hit = disturbed(seen.faults, np.array(list(failures.values()), dtype=np.float64) / 1e9)
    return [words for words, explained in zip(failures, hit, strict=True) if not explained]


def _finite(number: float | None) -> float | None:
    return number if number is not None and np.isfinite(number) else None


def judge_slos(seen: Observations, indicators: Sequence[Indicator], doubts: Doubts) -> list[SLOResult]:
    """The scenario's demands, each held against the indicator of its name."""
    known = {indicator.name: indicator for indicator in indicators}
    found = []
    for slo in seen.scenario.slos:
        indicator = known.get(slo.sli)
        figure = doubts.figure(indicator, slo.percentile) if indicator else None
        found.append(verdict.judge(slo, figure, "" if indicator else _why_none(slo.sli, known, seen.run.status)))
    return found


def _why_none(sli: str, known: Mapping[str, Indicator], status: Status) -> str:
    definition = find(sli)
    if definition is None:
        return f"there is no indicator {sli}; see docs/results.md"
    parts = [name for name in known if name.startswith(f"{definition.id}.")]
    if sli != definition.id and (parts or definition.id in known):
        return f"of {definition.id}, this run has {', '.join(parts) or 'the whole only'}"
    if status != "completed":
        return f"the run did not come to its end ({status})"
    return "the run has nothing to measure it by"


def _phases(run: RunRecord) -> tuple[PhaseResult, ...]:
    return tuple(
        PhaseResult(
            name=phase.name,
            stage=phase.stage,
            start_s=phase.start_ns / 1e9,
            duration_s=(phase.end_ns - phase.start_ns) / 1e9,
            completed=phase.completed,
            planned=phase.planned,
        )
        for phase in run.phases
    )


def _counts(seen: Observations) -> Counts:
    created = seen.of_stage(Stage.CREATION, "create")
    scheduled = deleted = failed = 0
    cleanup_ns = min((phase.start_ns for phase in seen.run.of_stage(Stage.CLEANUP)), default=seen.run.end_ns)
    for made in seen.created:
        bound = made.workload.bound
        scheduled += _arrived(seen.reached_s(made.index, bound.watch, bound.milestone, made.count(bound.watch)))
        deleted += _arrived(seen.last_reached_s(made.index, made.workload.tracked, DELETED))
        failures = [rule.name for rule in seen.plane.watches[made.workload.tracked].milestones if rule.failure]
        failed += (
            seen.milestones.filter(
                (pl.col("watch") == made.workload.tracked)
                & pl.col("milestone").is_in(failures)
                & pl.col("index").is_in(made.index.implode())
                & (pl.col("t_ns") < cleanup_ns)
            )["index"].n_unique()
            if failures
            else 0
        )
    leftovers = seen.folder.leftovers()
    return Counts(
        planned=seen.scenario.workload.count,
        created=created.filter(pl.col("ok"))["index"].n_unique(),
        scheduled=scheduled,
        up=creation.count_up(seen),
        deleted=deleted,
        failed=failed,
        leftovers=None if leftovers is None else len(leftovers),
        unschedulable=seen.planned_to("unschedulable"),
        refused=seen.planned_to("refused"),
    )


def _arrived(times_s: Values) -> int:
    return int((~np.isnan(times_s)).sum())


def _errors(requests: pl.DataFrame) -> tuple[ErrorCount, ...]:
    """Failed requests by what the API server, or the connection, said; the most frequent ones."""
    failed = requests.filter(~pl.col("ok")).with_columns(
        error=pl.col("error").fill_null("").replace("", None).fill_null(pl.format("HTTP {}", "status"))
    )
    found = failed.group_by("phase", "verb", "resource", "error").len("count")
    found = found.sort(["count", "phase", "verb", "resource", "error"], descending=[True, *[False] * 4])
    return tuple(ErrorCount(**row) for row in found.head(_MOST_ERRORS).iter_rows(named=True))


def _iso(wall: float | str) -> str:
    return wall if isinstance(wall, str) else datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
