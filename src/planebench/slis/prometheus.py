"""Components' own metrics: two scrapes of one process, and what lies between them.

Counters and histograms are told as the difference of two scrapes of a process that did not restart in between
(``process_start_time_seconds`` is the same). Only the families that are asked for are parsed: an API server serves
megabytes.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from prometheus_client.parser import text_string_to_metric_families

from planebench.results.folder import RunFolder, ScrapeEntry

START_TIME = "process_start_time_seconds"
Labels = Mapping[str, str]
Series = tuple[str, Mapping[str, str], float]
"""A sample's name (with ``_bucket`` and the like), labels and value."""


def parse(text: bytes, names: Sequence[str]) -> list[Series]:
    """The samples of the metric families that these regular expressions match whole; nothing where it is torn."""
    wanted = re.compile(
        rf"^(?!#)(?:{'|'.join(names)})(?:_bucket|_sum|_count)?(?:\{{[^\n]*| [^\n]*)$".encode(), re.MULTILINE
    )
    lines = b"\n".join(line[0] for line in wanted.finditer(text)) + b"\n"
    try:
        families = text_string_to_metric_families(lines.decode("utf-8", "replace"))
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
    except ValueError:
        return []


@dataclass(frozen=True, slots=True)
class Between:
    """What two scrapes of one process differ by."""

    before: Mapping[tuple[str, frozenset[tuple[str, str]]], float]
    after: Mapping[tuple[str, frozenset[tuple[str, str]]], float]
    took_s: float

    def total(self, name: str, select: Callable[[Labels], bool] = lambda _: True) -> float | None:
        """By how much the matching counters have grown; None: there is none of that name.

        ``name`` is a regular expression for the whole name.
        """
        grown = [value for _, labels, value in self.series(name) if select(labels)]
        return math.fsum(grown) if grown else None

    def by_label(
        self, name: str, label: str, select: Callable[[Labels], bool] = lambda _: True
    ) -> dict[str, float]:
        """Growth by a label's values, the largest first; what did not grow is left out."""
        found: dict[str, float] = {}
        for _, labels, value in self.series(name):
            if value and select(labels):
                found[labels.get(label, "")] = found.get(labels.get(label, ""), 0.0) + value
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def gauge(self, name: str) -> float | None:
        """The sum of the matching gauges at the second scrape."""
        pattern = re.compile(name)
        found = [value for (key, _), value in self.after.items() if pattern.fullmatch(key)]
        return math.fsum(found) if found else None

    def series(self, name: str) -> Iterable[Series]:
        """Every matching series and its growth; one that was not there before began at zero."""
        pattern = re.compile(name)
        for (key, labels), value in self.after.items():
            if pattern.fullmatch(key):
                yield key, dict(labels), value - self.before.get((key, labels), 0.0)

    def histogram(self, name: str, select: Callable[[Labels], bool] = lambda _: True) -> Histogram | None:
        """The matching histograms as one; None where nothing was counted."""
        buckets: dict[float, float] = {}
        for _, labels, value in self.series(f"{name}_bucket"):
            if select(labels):
                bound = float(labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + value
        if not buckets or buckets.get(math.inf, 0.0) <= 0:
            return None
        bounds = sorted(buckets)
        return Histogram(
            tuple(bounds), tuple(buckets[bound] for bound in bounds), self.total(f"{name}_sum", select) or 0.0
        )


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts by upper bounds, the last of which is infinite."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float

    @property
    def n(self) -> int:
        return round(self.counts[-1])

    @property
    def mean(self) -> float:
        return self.sum / self.counts[-1]

    @property
    def largest(self) -> float:
        """The upper end of the highest bucket that holds anything: no value was above it."""
        return next(
            bound for bound, count in zip(self.bounds, self.counts, strict=True) if count >= self.counts[-1]
        )

    def percentile(self, percent: float) -> tuple[float, float, float]:
        """The percentile, and the bucket that holds it: that is how far it may be off.

        Linear within the bucket, from zero for the first one, as Prometheus' ``histogram_quantile`` does; infinite
        in the last bucket, which has no end.
        """
        rank = percent / 100 * self.counts[-1]
        low, below = 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and count > below:
                if math.isinf(bound):
                    break
                return low + (bound - low) * max(rank - below, 0.0) / (count - below), low, bound
            low, below = bound if math.isfinite(bound) else low, count
        return math.inf, low, math.inf


class Scrapes:
    """All scrapes of a run."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._entries: dict[str, list[ScrapeEntry]] = {}
        for entry in folder.scrape_index():
            self._entries.setdefault(entry.process, []).append(entry)

    @property
    def components(self) -> dict[str, str]:
        """Process -> component."""
        return {process: entries[0].component or process for process, entries in self._entries.items()}

    @property
    def failures(self) -> list[str]:
        """Scrapes that failed, in words."""
        return [
            f"{entry.process} at {entry.label}: {entry.error}"
            for entries in self._entries.values()
            for entry in entries
            if entry.error
        ]

    @cached_property
    def restarted(self) -> dict[str, int]:
        """Process -> how often its start time changed; those that it never did for are left out."""
        return {process: changes for process in self._entries if (changes := self._restarts(process))}

    def between(self, process: str, start_ns: int, end_ns: int, names: Sequence[str]) -> Between | None:
        """The families that ``names`` match, from the last scrape before the start to the first after the end.

        Where there is no scrape outside, the nearest one inside is taken. None where fewer than two scrapes
        succeeded, or the process restarted between them.
        """
        entries = [entry for entry in self._entries.get(process, []) if not entry.error]
        before = [entry for entry in entries if entry.t_ns <= start_ns][-1:] or entries[:1]
        after = [entry for entry in entries if entry.t_ns >= end_ns][:1] or entries[-1:]
        if not before or before[0].t_ns >= after[0].t_ns:
            return None
        first, last = self._keyed(before[0], names), self._keyed(after[0], names)
        started = (START_TIME, frozenset[tuple[str, str]]())
        if not first or not last or first.get(started) != last.get(started):
            return None
        return Between(first, last, (after[0].t_ns - before[0].t_ns) / 1e9)

    def _keyed(
        self, entry: ScrapeEntry, names: Sequence[str]
    ) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        found = parse(self._folder.scrape(entry), [*names, START_TIME])
        return {(name, frozenset(labels.items())): value for name, labels, value in found}

    def _restarts(self, process: str) -> int:
        starts = [
            value
            for entry in self._entries[process]
            for _, _, value in parse(self._folder.scrape(entry), [START_TIME])
        ]
        return sum(before != after for before, after in itertools.pairwise(starts))
