"""How a family of a component's metrics becomes rows of its figures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from planebench.results.document import Kind, Levels, Row, Unit, finite
from planebench.slis.prometheus import Between, Histogram, Labels

MOST_PARTS: Final = 12
"""The parts that were counted most often are told."""
MOST_POINTS: Final = 500
"""Of a figure over time; more are thinned out evenly."""

_CLASSIC: Final = "from buckets: percentiles are interpolated, max is a bucket's end, value is the mean"
_NATIVE: Final = "from native buckets, at most 9% wide: max is a bucket's end, value is the mean"
_MEAN: Final = "mean only: the component's buckets are too wide for percentiles"
_GAUGE: Final = "level at the last scrape; max is the highest of all scrapes, what was between them is not seen"
_RATE: Final = "mean over all stages; max is the highest between two scrapes"


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of a component's metrics and what is told of it."""

    id: str
    title: str
    kind: Kind
    family: str
    """A regular expression for the family's whole name."""
    unit: Unit = "s"
    only: Mapping[str, str] = field(default_factory=dict)
    """Label -> regular expression that its whole value matches."""
    unless: Mapping[str, str] = field(default_factory=dict)
    """Label -> regular expression that its whole value must not match."""
    by: tuple[str, ...] = ()
    """Labels whose values make parts."""
    most_parts: int = MOST_PARTS
    scale: float = 1.0
    """What its values are multiplied by to get the unit."""
    largest: bool = False
    """Of gauges, the largest series stands for all; without, their sum."""
    late: bool = False
    """Of gauges: 0 until the component has counted for the first time, which may be after the run."""
    always: bool = True
    """A component serves it from its start; others come with what they count, and until then are left out."""
    headline: bool = False
    """To be looked at first."""

    def selects(self, labels: Labels) -> bool:
        return all(
            re.fullmatch(pattern, labels.get(label, "")) for label, pattern in self.only.items()
        ) and not any(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in self.unless.items())

    def rows(self, between: Between) -> list[Row]:
        """The whole, then its largest parts; empty where there is nothing."""
        whole = self._row(between, self.selects, self.id, self.title)
        if whole is None:
            return []
        rows = [whole]
        for values in self._largest_parts(between):
            part = self._row(
                between,
                self._selects_part(values),
                ".".join((self.id, *(value.lower() or "-" for value in values))),
                " ".join(value for value in values if value) or "(none)",
            )
            if part is not None:
                rows.append(part.model_copy(update={"part_of": self.id}))
        return rows

    def levels(self, between: Between) -> list[Levels]:
        """A gauge or rate over time: the whole, then its largest parts; empty of other kinds."""
        if self.kind not in ("gauge", "rate"):
            return []
        wanted = [(self.id, self.title, self.selects)] + [
            (".".join((self.id, *values)), " ".join(values), self._selects_part(values))
            for values in self._largest_parts(between)
        ]
        found = []
        for sli, title, select in wanted:
            points = self._points(between, select)
            points = points[:: -(-len(points) // MOST_POINTS)] if points else []
            if points:
                found.append(
                    Levels(
                        sli=sli.lower(),
                        title=title,
                        unit=self.unit,
                        t_s=tuple(round(t_s, 3) for t_s, _ in points),
                        values=tuple(finite(level) for _, level in points),
                    )
                )
        return found

    def missing(self, between: Between) -> str | None:
        """What a component does not serve of what it is known to: the family, or labels of it."""
        name = _readable(self.family)
        if not between.serves(self.family):
            return f"no metric {name}" if self.always else None
        labels = between.label_names(self.family)
        gone = sorted({*self.only, *self.unless, *self.by} - labels)
        return f"metric {name} has no label {', '.join(gone)}" if gone else None

    def _largest_parts(self, between: Between) -> list[tuple[str, ...]]:
        if not self.by:
            return []
        sizes: dict[tuple[str, ...], float] = {}
        for labels, size in self._sizes(between):
            values = tuple(labels.get(label, "") for label in self.by)
            sizes[values] = sizes.get(values, 0.0) + size
        found = sorted((values for values, size in sizes.items() if size > 0), key=lambda key: (-sizes[key], key))
        return found[: self.most_parts]

    def _sizes(self, between: Between) -> Iterable[tuple[Labels, float]]:
        """Labels and weight of every series: its growth, or of a gauge its highest levels' sum."""
        if self.kind == "gauge":
            pattern = re.compile(self.family)
            for _, scrape in between.during:
                for name, series in scrape.samples.items():
                    if pattern.fullmatch(name):
                        yield from (
                            (labels, value)
                            for labels, value in ((dict(key), value) for key, value in series.items())
                            if self.selects(labels)
                        )
            return
        name = f"(?:{self.family})_count" if self.kind in ("histogram", "mean") else self.family
        yield from ((labels, growth) for _, labels, growth in between.series(name) if self.selects(labels))

    def _selects_part(self, values: tuple[str, ...]) -> Callable[[Labels], bool]:
        return lambda labels: self.selects(labels) and tuple(labels.get(label, "") for label in self.by) == values

    def _points(self, between: Between, select: Callable[[Labels], bool]) -> list[tuple[float, float]]:
        if self.kind == "gauge":
            found = between.levels(self.family, select, max if self.largest else math.fsum)
        else:
            found = between.rates(self.family, select)
        return [(t_s, level * self.scale) for t_s, level in found]

    def _row(self, between: Between, select: Callable[[Labels], bool], sli: str, title: str) -> Row | None:
        match self.kind:
            case "histogram":
                return self._percentiles(between, select, sli, title)
            case "mean":
                return self._mean(between, select, sli, title)
            case "counter" | "rate":
                return self._growth(between, select, sli, title)
            case _:
                return self._level(between, select, sli, title)

    def _level(self, between: Between, select: Callable[[Labels], bool], sli: str, title: str) -> Row | None:
        points = self._points(between, select)
        if not points or (self.late and not any(level for _, level in points)):
            return None
        return Row(
            kind=self.kind,
            sli=sli,
            title=title,
            unit=self.unit,
            n=len(points),
            value=finite(points[-1][1]),
            max=finite(max(level for _, level in points)),
            notes=(_GAUGE,),
        )

    def _growth(self, between: Between, select: Callable[[Labels], bool], sli: str, title: str) -> Row | None:
        grown = between.total(self.family, select)
        if grown is None:
            if not between.serves(self.family):
                return None
            grown = 0.0  # a series appears with what it counts first
        grown *= self.scale
        if self.kind == "rate":
            points = self._points(between, select)
            return Row(
                kind=self.kind,
                sli=sli,
                title=title,
                unit=self.unit,
                n=len(points),
                value=_per_s(grown, between),
                max=finite(max((rate for _, rate in points), default=math.nan)),
                notes=(_RATE,),
            )
        return Row(
            kind=self.kind,
            sli=sli,
            title=title,
            unit=self.unit,
            n=round(grown) if self.unit == "count" else 1,
            value=finite(grown),
            rate_per_s=_per_s(grown, between),
        )

    def _mean(self, between: Between, select: Callable[[Labels], bool], sli: str, title: str) -> Row | None:
        count = between.total(f"(?:{self.family})_count", select)
        total = between.total(f"(?:{self.family})_sum", select)
        if not count or total is None:
            return None
        return Row(
            kind=self.kind,
            sli=sli,
            title=title,
            unit=self.unit,
            n=round(count),
            value=finite(total * self.scale / count),
            rate_per_s=_per_s(count, between),
            notes=(_MEAN,),
        )

    def _percentiles(self, between: Between, select: Callable[[Labels], bool], sli: str, title: str) -> Row | None:
        found = between.histogram(self.family, select)
        if found is None:
            return None
        whole_numbers = self.unit == "count"

        def scaled(value: float) -> float | None:
            return finite(value * self.scale)

        def percentile(percent: float) -> tuple[float, float, float]:
            value, low, high = found.percentile(percent)
            # Nothing lies between whole numbers: a bucket from 0.92 to 1 holds ones.
            return (math.floor(high) if whole_numbers and math.isfinite(high) else value), low, high

        p50, p90 = (percentile(percent)[0] for percent in (50, 90))
        p99, low, high = percentile(99)

        return Row(
            kind=self.kind,
            sli=sli,
            title=title,
            unit=self.unit,
            n=found.n,
            p50=scaled(p50),
            p90=scaled(p90),
            p99=scaled(p99),
            max=scaled(
                math.floor(found.largest) if whole_numbers and math.isfinite(found.largest) else found.largest
            ),
            p99_low=scaled(low),
            p99_high=scaled(high),
            value=scaled(found.mean),
            rate_per_s=_per_s(found.n, between),
            notes=(_buckets(found),),
        )


def _buckets(found: Histogram) -> str:
    return _NATIVE if found.native else _CLASSIC


def _per_s(count: float, between: Between) -> float | None:
    return finite(count / between.took_s) if between.took_s > 0 else None


def _readable(family: str) -> str:
    """A family's regular expression for people."""
    return family.replace(".*", "*")


@dataclass(frozen=True, slots=True)
class Figures:
    """What is read of a component's metrics; the first histogram that has values stands for it."""

    metrics: tuple[Metric, ...]
    requests: Metric | None = None
    """Counter of the requests that it answers or, of a client, sends."""
    error: str = "429|5..|<error>"
    """Regular expression of the values of its label that are errors."""
    error_label: str = "code"
    told_by: Mapping[str, tuple[Metric, ...]] = field(default_factory=dict)
    """What another component tells of this one: that component's name -> its metrics."""
    per_object: Metric | None = None
    """A counter that is told per object of the workload, too."""

    @property
    def families(self) -> list[str]:
        counted = [metric for metric in (self.requests, self.per_object) if metric]
        return list(dict.fromkeys(metric.family for metric in (*self.metrics, *counted)))

    @property
    def over_time(self) -> list[str]:
        """The families that are read of every scrape."""
        return list(dict.fromkeys(metric.family for metric in self.metrics if metric.kind in ("gauge", "rate")))

    def count(self, between: Between) -> tuple[int | None, int | None]:
        """Requests and errors; None where the component does not tell."""
        requests = self.requests
        total = between.total(requests.family, requests.selects) if requests else None
        if requests is None or total is None:
            return None, None
        failed = between.total(
            requests.family,
            lambda labels: (
                requests.selects(labels) and re.fullmatch(self.error, labels.get(self.error_label, "")) is not None
            ),
        )
        return round(total), round(failed or 0.0)

    def missing(self, between: Between) -> list[str]:
        """What the component does not serve of what it is known to."""
        return list(dict.fromkeys(found for metric in self.metrics if (found := metric.missing(between))))
