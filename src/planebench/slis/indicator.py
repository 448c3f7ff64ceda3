"""An indicator with its values, ready to be shown and judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from planebench.model import Stage
from planebench.results.document import DIGITS, Row, finite
from planebench.slis.catalog import Definition
from planebench.slis.observations import id_of, seconds
from planebench.stats import Sample, Values, least_n

PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True, slots=True, eq=False)
class Indicator:
    """A distribution (``sample``) or a single value, and what its trustworthiness depends on."""

    definition: Definition
    measured_in: Stage | None
    """The stage whose load it comes from: binds happen in the creation stage."""
    id: str = ""
    """Empty: the definition's own."""
    title: str = ""
    sample: Sample | None = None
    value: float | None = None
    of: int = 1
    """Of a single value: how many things it was made from."""
    beyond_s: float | None = None
    span_s: tuple[float, float] | None = None
    """From the first start to the last success, on the trial's clock."""
    errors: int | None = None
    simulated: bool = False
    notes: tuple[str, ...] = ()
    from_due: bool = False
    """It counts from due times: a request sent late lengthens it."""
    watches: frozenset[str] = field(default_factory=frozenset)
    """The watches whose receipts it needs."""
    signed: bool = False
    """Values below zero are possible and no fault."""

    @property
    def name(self) -> str:
        return self.id or self.definition.id

    @property
    def n(self) -> int:
        return self.sample.n if self.sample else (0 if self.value is None else self.of)

    @property
    def rate_per_s(self) -> float | None:
        """Successes per second; None where they are too few to tell."""
        if self.span_s is None or self.sample is None or len(self.sample.values) < 2:
            return None
        took_s = self.span_s[1] - self.span_s[0]
        return len(self.sample.values) / took_s if took_s > 0 else None

    @property
    def impossible(self) -> int:
        """How many durations are below zero without a reason."""
        return self.sample.negative if self.sample and not self.signed else 0

    def renamed(self, name: str, title: str) -> Indicator:
        """The same under another id."""
        return replace(self, id=name, title=title)

    def figure(self, percentile: float | None) -> float:
        """The percentile, or the single value: infinite where it never came, NaN where there is no data."""
        if self.sample is None:
            return math.nan if self.value is None else self.value
        return self.sample.percentile(100 if percentile is None else percentile)

    def row(self) -> Row:
        """Its figures."""
        sample = self.sample or Sample.of([])
        p50, p90, p99, largest = (finite(sample.percentile(percent)) for percent in PERCENTILES)
        return Row(
            sli=self.name,
            title=self.title or self.definition.title,
            unit=self.definition.unit,
            part_of=self.definition.id if self.name != self.definition.id else "",
            n=self.n,
            missing=sample.missing,
            beyond_s=self.beyond_s,
            negative=sample.negative,
            p50=p50,
            p90=p90,
            p99=p99,
            max=largest,
            value=self.value,
            rate_per_s=self.rate_per_s,
            errors=self.errors,
            simulated=self.simulated,
            notes=(*self.notes, *(_too_few(sample) if self.definition.unit == "s" else ())),
        )


def durations(
    definition: Definition,
    start_s: Values,
    end_s: Values,
    *,
    until_s: float,
    measured_in: Stage | None,
    part: Sequence[str] = (),
    title: str = "",
    from_due: bool = True,
    watches: Sequence[str] = (),
    simulated: bool = False,
    signed: bool = False,
    notes: Sequence[str] = (),
) -> Indicator:
    """An indicator of durations: NaN in ``end_s`` is one that never ended, NaN in ``start_s`` one that never began
    and is left out.

    Args:
        until_s: until when it was waited for the missing ones.
    """
    began = ~np.isnan(start_s)
    start_s, end_s = start_s[began], end_s[began]
    ended = ~np.isnan(end_s)
    missing = int((~ended).sum())
    waited = until_s - start_s[~ended]
    return Indicator(
        definition=definition,
        measured_in=measured_in,
        id=definition.part(*part) if part else "",
        title=title,
        sample=Sample.of(np.round(end_s[ended] - start_s[ended], DIGITS), missing),
        beyond_s=max(float(waited.min()), 0.0) if missing else None,
        span_s=_span_s(start_s, end_s[ended]),
        simulated=simulated,
        notes=tuple(notes),
        from_due=from_due,
        watches=frozenset(watches),
        signed=signed,
    )


def responses(
    definition: Definition,
    requests: pl.DataFrame,
    *,
    measured_in: Stage,
    since: str = "due_ns",
    part: Sequence[str] = (),
    title: str = "",
) -> Indicator:
    """An indicator of requests, from ``since`` to the answer; a request without success never ended."""
    start_s = seconds(requests["due_ns"])
    ok = requests["ok"].to_numpy()
    done_s = seconds(requests["done_ns"])
    since_s = seconds(requests[since])
    failed = int((~ok).sum())
    return Indicator(
        definition=definition,
        measured_in=measured_in,
        id=definition.part(*part) if part else "",
        title=title,
        sample=Sample.of(np.round(done_s[ok] - since_s[ok], DIGITS), failed),
        span_s=_span_s(start_s, done_s[ok]),
        errors=failed,
        from_due=since == "due_ns",
    )


def by_resource(definition: Definition, requests: pl.DataFrame, *, since: str = "due_ns") -> list[Indicator]:
    """An indicator of a stage's requests, followed by its parts where they go to several resources."""
    stage = definition.stage
    assert stage is not None  # noqa: S101 (only stages have requests that are indicators)
    whole = responses(definition, requests, measured_in=stage, since=since)
    resources = requests["resource"].unique(maintain_order=True).to_list()
    if len(resources) < 2:
        return [whole]
    parts = [
        responses(
            definition,
            requests.filter(pl.col("resource") == resource),
            measured_in=stage,
            since=since,
            part=(id_of(resource),),
            title=f"{id_of(resource)}: {definition.title}",
        )
        for resource in resources
    ]
    return [whole, *parts]


def single(
    definition: Definition,
    value: float,
    *,
    measured_in: Stage | None,
    of: int = 1,
    watches: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Indicator:
    """An indicator of one value; NaN is none."""
    return Indicator(
        definition=definition,
        measured_in=measured_in,
        value=finite(value),
        of=of,
        notes=tuple(notes),
        watches=frozenset(watches),
    )


def pooled(definition: Definition, parts: Sequence[Indicator], *, together: bool = True) -> list[Indicator]:
    """The parts as one indicator, followed by the parts where there are several; without any, nothing.

    Args:
        together: they went on at the same time, so that they have a rate in common.
    """
    if not parts:
        return []
    samples = [part.sample for part in parts if part.sample]
    beyond = [part.beyond_s for part in parts if part.beyond_s is not None]
    spans = [part.span_s for part in parts if part.span_s] if together or len(parts) == 1 else []
    whole = Indicator(
        definition=definition,
        measured_in=parts[0].measured_in,
        sample=Sample.pooled(samples),
        beyond_s=min(beyond) if beyond else None,
        span_s=(min(span[0] for span in spans), max(span[1] for span in spans)) if spans else None,
        errors=None if parts[0].errors is None else sum(part.errors or 0 for part in parts),
        simulated=any(part.simulated for part in parts),
        from_due=parts[0].from_due,
        watches=frozenset().union(*(part.watches for part in parts)),
        signed=parts[0].signed,
    )
    return [whole, *parts] if len(parts) > 1 else [whole]


def _span_s(start_s: Values, end_s: Values) -> tuple[float, float] | None:
    return (float(start_s.min()), float(end_s.max())) if len(end_s) else None


def _too_few(sample: Sample) -> tuple[str, ...]:
    if not 0 < sample.n < (needed := least_n(99)):
        return ()
    return (f"p99 of {sample.n:,} values has no finite 95% upper bound, it takes {needed}",)
