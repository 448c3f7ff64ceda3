"""A step's run folder becomes figures and a judgement: does this level hold, does it not, or can nobody tell?

A step holds where, without its warm-up, all of these are so: goodput is at least 99% of what was offered, errors
are at most 0.1%, the scenario's SLOs are met, the backlog does not grow, and Little's law holds within 5%.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from planebench import verdict
from planebench.capacity.document import Criterion, EndedBy, Step, StepFigures, Usage, Waiting
from planebench.capacity.limits import limits
from planebench.capacity.steady import Backlog, Trend, WarmUp, little, mser5
from planebench.model import ADDED, Judgement, Role, Stage
from planebench.results.document import Finding, Result, SLOResult, finite
from planebench.results.folder import RunFolder
from planebench.slis import creation, scheduling
from planebench.slis.certificate import Certificate
from planebench.slis.evaluation import evaluate_folder, indicators_by_stage, judge_slos
from planebench.slis.harness import Doubts, engine_health, lateness
from planebench.slis.indicator import Indicator
from planebench.slis.monitoring import node_times_s
from planebench.slis.observations import Created, Observations, look_up, seconds
from planebench.slis.prometheus import Scrapes
from planebench.stats import Sample, Values

LEAST_GOODPUT: Final = 0.99
"""Of what was offered."""
MOST_ERRORS: Final = 0.001
"""Of the objects, and of the requests."""
LITTLE_TOLERANCE: Final = 0.05
NEGLIGIBLE_GROWTH: Final = 0.001
"""Of the offered rate: a backlog that grows by less is within what errors may be."""
_LEAST_OBJECTS: Final = 20
"""In a window: fewer tell nothing."""


def judge(path: Path, number: int, level: float) -> Step:
    """Judge a step by its run folder; writes the run's ``result.json``.

    Raises:
        PlanebenchError: the folder is not whole.
    """
    result = evaluate_folder(path)
    folder = RunFolder(path)
    folder.write_result(result)
    seen = Observations(folder)
    course = _Course.of(seen)
    if course is None:
        return Step(
            number=number,
            level=level,
            verdict=Judgement.INCONCLUSIVE,
            reason=f"fewer than {_LEAST_OBJECTS} objects are left without the warm-up: give more (--step-objects)",
            ended_by="measurement",
        )
    figures = course.figures(result)
    criteria = tuple(_criteria(figures))
    certificate = Certificate(seen, engine_health(folder.harness()))
    slos = tuple(_slos(seen, course.window_index, certificate))
    at_limit = limits(seen, Scrapes(folder), result, figures)
    doubts = list(_doubts(result, certificate))
    judgement, reason, ended_by = _verdict(result, figures, criteria, slos, doubts)
    return Step(
        number=number,
        level=level,
        verdict=judgement,
        reason=reason,
        ended_by=ended_by,
        figures=figures,
        criteria=criteria,
        slos=slos,
        limits=at_limit,
    )


# --- the verdict ---------------------------------------------------------------------------------------------


def _verdict(
    result: Result,
    figures: StepFigures,
    criteria: Sequence[Criterion],
    slos: Sequence[SLOResult],
    doubts: Sequence[tuple[EndedBy, str]],
) -> tuple[Judgement, str, EndedBy]:
    """FAIL outweighs INCONCLUSIVE outweighs PASS; but where something did not hold that the harness, the simulator
    or others on the machine may have caused, nobody can tell whose limit it was."""
    missed = [slo for slo in slos if slo.verdict is Judgement.FAIL]
    broken = [criterion for criterion in criteria if not criterion.ok]
    if (missed or broken) and (simulator := _simulator(figures)):
        return Judgement.INCONCLUSIVE, simulator, "simulator"
    if missed:
        return Judgement.FAIL, _missed(missed), ""
    wrong = [finding for finding in result.validity if not finding.ok and finding.affects == "run"]
    if wrong:
        return Judgement.INCONCLUSIVE, _not_so(wrong[0]), _whose(wrong[0])
    if broken and doubts:
        whose, why = doubts[0]
        return Judgement.INCONCLUSIVE, f"{_unmet(broken)}, but {why}", whose
    doubtful = [slo for slo in slos if slo.verdict is Judgement.INCONCLUSIVE]
    if doubtful and not broken:
        whose = doubts[0][0] if doubts else "measurement"
        return Judgement.INCONCLUSIVE, f"{doubtful[0].sli}: {doubtful[0].reason}", whose
    if broken:
        return Judgement.FAIL, _unmet(broken), ""
    return Judgement.PASS, "", ""


def _doubts(result: Result, certificate: Certificate) -> Iterator[tuple[EndedBy, str]]:
    """What else than the control plane may have kept objects from coming up in time."""
    for finding in result.validity:
        if not finding.ok and finding.name == "lateness.creation":
            yield "harness", _not_so(finding)
    outside = certificate.outside.get(Stage.CREATION)
    if outside is not None and outside.worst > verdict.MOST_OUTSIDE:
        yield "measurement", f"others took {outside.worst * 100:.0f}% of the machine's CPU meanwhile"
    stale = certificate.staleness.get(Stage.CREATION)
    if stale is not None and (late_s := stale.percentile(99)) > verdict.MOST_STALE_S:
        yield "measurement", f"watch events came {late_s * 1e3:.0f} ms (p99) after their writes' answers"


def _simulator(figures: StepFigures) -> str:
    """Where objects pile up before the simulator and nowhere else, its limit is met, not the control plane's."""
    growing = [waiting for waiting in figures.waiting if waiting.grows]
    if not growing or any(waiting.role is not Role.SIMULATOR for waiting in growing):
        return ""
    return (
        f"objects pile up before the simulator ({growing[0].component}) only: "
        f"{growing[0].growth_per_s:+.1f} objects/s"
    )


def _whose(finding: Finding) -> EndedBy:
    if finding.name == verdict.SIMULATOR:
        return "simulator"
    return "harness" if finding.name.startswith("engine.") else "measurement"


def _not_so(finding: Finding) -> str:
    return f"not so: {finding.title} ({finding.value})"


def _missed(slos: Sequence[SLOResult]) -> str:
    found = []
    for slo in slos:
        name = slo.sli if slo.percentile is None else f"{slo.sli} p{slo.percentile:g}"
        value = (
            "never came" if slo.value is None else f"{slo.value:.3g} s" if slo.unit == "s" else f"{slo.value:.4g}"
        )
        found.append(f"{name} {value}")
    return f"SLO missed: {', '.join(found)}"


def _unmet(criteria: Sequence[Criterion]) -> str:
    return "; ".join(f"{criterion.name} {criterion.value} (should be {criterion.bound})" for criterion in criteria)


def _criteria(found: StepFigures) -> list[Criterion]:
    share, low, high = (1 - growth / found.offered_per_s for growth in _growth(found))
    grows = _trend(found).grows(NEGLIGIBLE_GROWTH * found.offered_per_s)
    little_ok = found.little is not None and abs(found.little - 1) <= LITTLE_TOLERANCE
    return [
        Criterion(
            name="goodput",
            title="as many objects come up as are due",
            value=f"{share * 100:.1f}% ({low * 100:.1f} to {high * 100:.1f}%)",
            bound=f"at least {LEAST_GOODPUT * 100:g}% of the offered rate, or an interval with it",
            ok=high >= LEAST_GOODPUT,
        ),
        Criterion(
            name="errors",
            title="objects and requests do not fail",
            value=f"{found.errors * 100:.2f}%",
            bound=f"at most {MOST_ERRORS * 100:g}%",
            ok=found.errors <= MOST_ERRORS,
        ),
        Criterion(
            name="backlog",
            title="objects on their way do not grow in number",
            value=f"{found.backlog_growth_per_s:+.2f}/s "
            f"({found.backlog_growth_low:+.2f} to {found.backlog_growth_high:+.2f})",
            bound=f"an interval with 0 or less in it, or at most {NEGLIGIBLE_GROWTH * 100:g}% of the offered rate",
            ok=not grows,
        ),
        Criterion(
            name="little",
            title="Little's law holds: L = lambda W",
            value="cannot be told" if found.little is None else f"L / (lambda W) = {found.little:.3f}",
            bound=f"1 within {LITTLE_TOLERANCE * 100:g}%",
            ok=little_ok,
        ),
    ]


def _growth(found: StepFigures) -> tuple[float, float, float]:
    """The backlog's growth with its interval, from high to low: what grows is what does not come up."""
    return found.backlog_growth_per_s, found.backlog_growth_high, found.backlog_growth_low


def _trend(found: StepFigures) -> Trend:
    return Trend(found.backlog_growth_per_s, found.backlog_growth_low, found.backlog_growth_high)


# --- SLOs ----------------------------------------------------------------------------------------------------


def _slos(seen: Observations, window: pl.Series, certificate: Certificate) -> list[SLOResult]:
    """The demands; durations of the creation stage are those of the window's objects."""
    steady = Observations(seen.folder)
    inside = pl.col("index").is_in(window.implode())
    steady.requests = steady.requests.filter((pl.col("stage") != Stage.CREATION) | inside)
    own = {
        indicator.name: indicator
        for indicator in (*creation.indicators(steady), *scheduling.indicators(steady))
        if indicator.sample is not None and indicator.definition.unit == "s"
    }
    nodes = node_times_s(seen)
    whole: list[Indicator] = [nodes] if nodes else []
    whole += [indicator for found in indicators_by_stage(seen).values() for indicator in found]
    wrong = [*verdict.check_engine(engine_health(seen.folder.harness())), *certificate.clock()]
    doubts = Doubts(seen, lateness(seen), wrong, certificate.doubts)
    return judge_slos(seen, [own.get(indicator.name, indicator) for indicator in whole], doubts)


# --- figures -------------------------------------------------------------------------------------------------


class _Course:
    """The objects of a step on their way: arrays by object, in the order in which they were due."""

    def __init__(self, seen: Observations, index: pl.Series, due_s: Values, up_s: Values) -> None:
        self._seen = seen
        self._index = index
        self._due_s = due_s
        self._up_s = up_s
        self._warm_up = _warm_up(due_s, up_s)
        self._cut = self._warm_up.cut
        self._start_s = float(due_s[self._cut])
        self._end_s = float(due_s[-1])

    @classmethod
    def of(cls, seen: Observations) -> _Course | None:
        """None: there are too few objects."""
        if not seen.expected:
            return None
        index = pl.concat([made.index for made in seen.expected])
        due_s = np.concatenate([made.due_s for made in seen.expected])
        up_s = np.concatenate([_up_s(seen, made) for made in seen.expected])
        order = np.argsort(due_s, kind="stable")
        if len(order) < _LEAST_OBJECTS:
            return None
        course = cls(seen, index[order.tolist()], due_s[order], up_s[order])
        return course if len(course.window_index) >= _LEAST_OBJECTS else None

    @property
    def window_index(self) -> pl.Series:
        """The numbers of the window's objects."""
        return self._index[self._cut :]

    def figures(self, result: Result) -> StepFigures:
        start_s, end_s = self._start_s, self._end_s
        backlog = Backlog(self._due_s, self._up_s)
        growth = backlog.trend(start_s, end_s)
        law = little(backlog, start_s, end_s)
        inside = slice(self._cut, None)
        stay = self._up_s[inside] - self._due_s[inside]
        came = ~np.isnan(stay)
        sample = Sample.of(stay[came], int((~came).sum()))
        requests = self._seen.requests.filter(pl.col("stage") != "")
        failed = 1 - float(requests["ok"].mean() or 0.0) if requests.height else 0.0  # type: ignore[arg-type]
        never = int(np.isnan(self._up_s).sum())
        answered = self._seen.of_stage(Stage.CREATION, "create")
        answered = answered.filter(pl.col("index").is_in(self.window_index.implode()) & pl.col("ok"))
        response = Sample.of(seconds(answered["done_ns"] - answered["due_ns"]))
        busy = self._busy_cores()
        machine = result.environment.get("machine", {})
        return StepFigures(
            objects=len(self._due_s),
            warm_up_objects=self._cut,
            warm_up_ended=self._warm_up.ended,
            window_s=end_s - start_s,
            offered_per_s=law.arrivals_per_s,
            goodput_per_s=law.arrivals_per_s - growth.slope,
            never_came=never,
            errors=max(never / len(self._due_s), failed),
            backlog=law.backlog,
            backlog_growth_per_s=growth.slope,
            backlog_growth_low=growth.low,
            backlog_growth_high=growth.high,
            stay_s=finite(law.stay_s),
            little=finite(law.ratio),
            p50_s=finite(sample.percentile(50)),
            p99_s=finite(sample.percentile(99)),
            response_p99_s=finite(response.percentile(99)),
            waiting=tuple(self._waiting(law.arrivals_per_s)),
            cores=machine.get("usable_cores", machine.get("cores")),
            busy_cores=busy,
            usage=tuple(self._usage()),
        )

    # --- what objects wait for ---

    def _waiting(self, offered_per_s: float) -> list[Waiting]:
        ways: dict[str, tuple[str, str, Role, list[Values], list[Values]]] = {}
        for made in self._seen.expected:
            before = made.due_s
            for name, title, component, role, reached in self._way(made):
                _, _, _, arrivals, departures = ways.setdefault(name, (title, component, role, [], []))
                began = ~np.isnan(before)
                arrivals.append(before[began])
                departures.append(reached[began])
                before = np.fmax(before, reached) if len(reached) else before
                before = np.where(np.isnan(reached), np.nan, before)
        found = []
        for name, (title, component, role, arrivals, departures) in ways.items():
            backlog = Backlog(np.concatenate(arrivals), np.concatenate(departures))
            growth = backlog.trend(self._start_s, self._end_s)
            found.append(
                Waiting(
                    name=name,
                    title=title,
                    component=component,
                    role=role,
                    mean=backlog.mean(self._start_s, self._end_s),
                    growth_per_s=growth.slope,
                    grows=growth.grows(NEGLIGIBLE_GROWTH * offered_per_s),
                )
            )
        return found

    def _way(self, made: Created) -> list[tuple[str, str, str, Role, Values]]:
        """What an object goes through until it is up: name, title, whose work it is, and when it was done."""
        seen, workload = self._seen, made.workload
        controller = seen.plane.name if seen.plane.processes else "kube-controller-manager"
        requests = seen.of_stage(Stage.CREATION, "create").filter(pl.col("done_ns") >= 0)
        done = requests.unique("index", keep="first").select("index", t_s=pl.col("done_ns") / 1e9)
        way = [
            ("request", "its creation to be answered", "kube-apiserver", Role.SUBJECT, look_up(made.index, done))
        ]
        bound = workload.bound
        if bound.watch != workload.tracked:
            pods_s = seen.reached_s(made.index, bound.watch, ADDED, made.count(bound.watch))
            way.append(("object", "its pod to be made", controller, Role.SUBJECT, pods_s))
        bound_s = seen.reached_s(made.index, bound.watch, bound.milestone, made.count(bound.watch))
        way.append(("binding", "a node", "kube-scheduler", Role.SUBJECT, bound_s))
        up = next(
            rule for rule in seen.plane.watches[workload.up.watch].milestones if rule.name == workload.up.milestone
        )
        component, role = ("kwok", Role.SIMULATOR) if up.simulated else (controller, Role.SUBJECT)
        way.append(("start", "its start", component, role, _up_s(seen, made)))
        return way

    # --- CPU ---

    def _usage(self) -> list[Usage]:
        window_ns = [self._start_s * 1e9, self._end_s * 1e9]
        cores: dict[tuple[str, Role], float] = {}
        for mine in self._seen.samples.partition_by("process"):
            mine = mine.sort("t_ns")
            used = np.interp(window_ns, mine["t_ns"].to_numpy(), mine["cpu_s"].to_numpy())
            key = (str(mine["component"][0]), Role(mine["role"][0]))
            cores[key] = cores.get(key, 0.0) + float(used[1] - used[0]) / (self._end_s - self._start_s)
        found = [Usage(component=name, role=role, cores=round(used, 3)) for (name, role), used in cores.items()]
        return sorted(found, key=lambda usage: -usage.cores)

    def _busy_cores(self) -> float | None:
        machine = self._seen.machine.sort("t_ns")
        if machine.height < 2:
            return None
        window_ns = [self._start_s * 1e9, self._end_s * 1e9]
        busy = np.interp(window_ns, machine["t_ns"].to_numpy(), machine["busy_s"].to_numpy())
        return round(float(busy[1] - busy[0]) / (self._end_s - self._start_s), 3)


def _warm_up(due_s: Values, up_s: Values) -> WarmUp:
    """The longer of two warm-ups: that of the stays, and that of the backlog that each object meets, which begins
    empty even where stays are the same from the first object on."""
    came = np.flatnonzero(~np.isnan(up_s))
    stays = mser5((up_s - due_s)[came])
    met = mser5(Backlog(due_s, up_s).at(due_s))
    cut = max(int(came[stays.cut]) if stays.cut else 0, met.cut)
    return WarmUp(cut, stays.ended and met.ended)


def _up_s(seen: Observations, made: Created) -> Values:
    up = made.workload.up
    return seen.reached_s(made.index, up.watch, up.milestone, made.count(up.watch))
