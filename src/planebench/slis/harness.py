"""The harness: how late it sent, how long its watches were blind, and what follows for each indicator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from planebench import verdict
from planebench.model import Stage
from planebench.results.document import Finding, Lateness, Row, finite
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator
from planebench.slis.observations import Observations, seconds
from planebench.slis.windows import disturbed
from planebench.stats import Sample
from planebench.verdict import Doubt, Figure


def lateness(seen: Observations) -> list[Lateness]:
    """From due to sent, by stage. What was never sent (no connection became free) is counted apart: it is missing
    in the stage's own figures. While a component was struck by a fault there may have been no connection at all:
    requests of that time are left out."""
    found = []
    for stage in Stage:
        requests = seen.undisturbed(seen.of_stage(stage), "due_ns")
        if not requests.height:
            continue
        sent = requests.filter(pl.col("sent_ns") >= 0)
        late = Sample.of(seconds(sent["sent_ns"] - sent["due_ns"]))
        found.append(
            Lateness(
                stage=stage,
                n=late.n,
                never_sent=requests.height - sent.height,
                p50_s=finite(late.percentile(50)),
                p99_s=finite(late.percentile(99)),
                max_s=finite(late.percentile(100)),
            )
        )
    return found


def lateness_row(seen: Observations) -> Row | None:
    """The harness' own part of every response: from due to sent, over all stages."""
    sent = seen.requests.filter((pl.col("sent_ns") >= 0) & (pl.col("stage") != ""))
    if not sent.height:
        return None
    late = Sample.of(seconds(sent["sent_ns"] - sent["due_ns"]))
    return Indicator(CATALOG["harness.lateness"], None, sample=late).row()


class Doubts:
    """What makes each indicator doubtful."""

    def __init__(
        self,
        seen: Observations,
        late: Sequence[Lateness],
        engine: Sequence[Finding],
        others: Callable[[Indicator], Iterable[Doubt]] = lambda _: (),
    ) -> None:
        """``others`` tells what else makes an indicator doubtful."""
        self._seen = seen
        self._others = others
        self._late_s = {found.stage: found.p99_s or 0.0 for found in late}
        self._engine = [finding for finding in engine if not finding.ok]

    def figure(self, indicator: Indicator, percentile: float | None) -> Figure:
        """An indicator's figure with its doubts."""
        return Figure(
            value=indicator.figure(percentile),
            n=indicator.n,
            missing=indicator.sample.missing if indicator.sample else 0,
            unit=indicator.definition.unit,
            doubts=tuple(self._of(indicator)),
            all_must_come=indicator.errors is None,
            # Of durations, notes tell how to read them; of others, how they come about.
            note=indicator.notes[0] if indicator.notes and indicator.definition.unit != "s" else "",
        )

    def _of(self, indicator: Indicator) -> list[Doubt]:
        doubts = []
        run = self._seen.run
        if run.status != "completed":
            doubts.append(Doubt(math.inf, f"the run did not come to its end ({run.status})"))
        if indicator.impossible:
            share = f"{indicator.impossible:,} of {indicator.n:,}"
            doubts.append(Doubt(math.inf, f"durations are below zero: {share}"))
        doubts += self._gaps(indicator)
        # What a lost one had sent, and what came of it, is in every figure or in none.
        doubts += [_not_so(finding) for finding in self._engine if finding.name == verdict.SENDERS]
        if indicator.definition.unit == "s":
            doubts += [_not_so(finding) for finding in self._engine]
            late_s = self._late_s.get(indicator.measured_in or "", 0.0)
            if indicator.from_due and late_s:
                doubts.append(Doubt(late_s, f"requests were sent late: p99 {late_s * 1e3:.1f} ms"))
        return [*doubts, *self._others(indicator)]

    def _gaps(self, indicator: Indicator) -> list[Doubt]:
        """Gaps of the indicator's watches while it was measured: lossy ones, and the longest of the others."""
        gaps = self._seen.gaps.filter(pl.col("watch").is_in(list(indicator.watches)))
        span = self._seen.run.span_ns(indicator.measured_in) if indicator.measured_in else None
        if span:
            ended = pl.when(pl.col("end_ns") >= 0).then(pl.col("end_ns")).otherwise(pl.lit(2**62))
            gaps = gaps.filter((pl.col("t_ns") <= span[1]) & (ended >= span[0]))
        if not gaps.height:
            return []
        lossy = gaps.filter(_lossy())
        explained = _explained(self._seen, lossy)
        if lossy.height > explained.height:
            return [Doubt(math.inf, f"the watch of {lossy['watch'][0]} had a gap ({lossy['reason'][0]})")]
        if explained.height:
            longest_s = longest_gap_s(explained)
            return [Doubt(longest_s, f"a fault kept a watch from seeing for {longest_s:.1f} s", worse_only=True)]
        longest_s = longest_gap_s(gaps)
        return [Doubt(longest_s, f"a watch was interrupted for {longest_s * 1e3:.1f} ms")]


def _not_so(finding: Finding) -> Doubt:
    return Doubt(math.inf, f"not so: {finding.title} ({finding.value})")


def _lossy() -> pl.Expr:
    """Not resumed from the last resourceVersion, or never at all."""
    return ~pl.col("resumed") | (pl.col("end_ns") < 0)


def _explained(seen: Observations, gaps: pl.DataFrame) -> pl.DataFrame:
    """Those that a fault of a component has brought about and that have ended: afterwards all was listed anew, so
    that nothing but times is lost, and these by no more than the gap."""
    began = disturbed(seen.faults, seconds(gaps["t_ns"]))
    return gaps.filter(pl.Series(began) & (pl.col("end_ns") >= 0))


def count_gaps(seen: Observations) -> tuple[int, int, float, int]:
    """Gaps with loss, gaps without, the longest of these in seconds, and those with loss that faults explain."""
    lossy = seen.gaps.filter(_lossy())
    explained = _explained(seen, lossy).height
    resumed = seen.gaps.filter(~_lossy())
    return lossy.height - explained, resumed.height, longest_gap_s(resumed), explained


def longest_gap_s(gaps: pl.DataFrame) -> float:
    """In seconds; 0 where there is none."""
    return float(seconds(gaps["end_ns"] - gaps["t_ns"]).max()) if gaps.height else 0.0


def engine_health(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The load engine's report, wherever the run has put it."""
    inner = found.get("engine")
    return inner if isinstance(inner, Mapping) else found
