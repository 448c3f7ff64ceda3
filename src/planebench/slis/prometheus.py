"""Components' own metrics: two scrapes of one process, and what lies between them.

Counters and histograms are told as the difference of two scrapes of a process. Where it was restarted in between
(``process_start_time_seconds`` changed), they are the sum of what each one counted: the first from the first
scrape on, the others from zero on, each up to its own last scrape. Gauges, and rates, are told over all of them.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from planebench.results.folder import RunFolder, ScrapeEntry
from planebench.slis.exposition import Exposition, Native, parse

START_TIME = "process_start_time_seconds"
LEAST_INTERVAL_S = 1.0
"""A rate between two scrapes is told where they are at least this far apart: nearer ones are noise."""

Labels = Mapping[str, str]
Series = tuple[str, Mapping[str, str], float]
"""A sample's name (with ``_bucket`` and the like), labels and value."""
_EVERY: Callable[[Labels], bool] = lambda _: True  # noqa: E731 (a default that reads as what it is)


@dataclass(frozen=True, slots=True)
class Between:
    """What two scrapes of one process differ by, and those between them.

    Where it was restarted, ``before`` and ``after`` are of the last one that went by its name.
    """

    before: Exposition
    after: Exposition
    took_s: float
    during: tuple[tuple[float, Exposition], ...] = field(default=(), repr=False)
    """All scrapes from the first to the last with their times, in seconds on the trial's clock."""
    earlier: tuple[tuple[Exposition, Exposition], ...] = field(default=(), repr=False)
    """First and last scrapes of other processes that count, too: of those that went before a restart, or of other
    members of one component."""

    @property
    def spans(self) -> tuple[tuple[Exposition, Exposition], ...]:
        return (*self.earlier, (self.before, self.after))

    def serves(self, family: str) -> bool:
        """Whether the last scrape has a family of this name, of whatever kind."""
        pattern = re.compile(f"(?:{family})(?:_bucket|_sum|_count)?")
        return any(pattern.fullmatch(name) for name in self.after.samples)

    def label_names(self, family: str) -> set[str]:
        """The names of all labels that a family has at the last scrape."""
        pattern = re.compile(f"(?:{family})(?:_count)?")
        return {
            label
            for name, found in self.after.samples.items()
            if pattern.fullmatch(name)
            for labels in found
            for label, _ in labels
        }

    def total(self, name: str, select: Callable[[Labels], bool] = _EVERY) -> float | None:
        """By how much the matching counters have grown; None: there is none of that name.

        ``name`` is a regular expression for the whole name.
        """
        grown = [value for _, labels, value in self.series(name) if select(labels)]
        return math.fsum(grown) if grown else None

    def by_label(self, name: str, label: str, select: Callable[[Labels], bool] = _EVERY) -> dict[str, float]:
        """Growth by a label's values, the largest first; what did not grow is left out."""
        found: dict[str, float] = {}
        for _, labels, value in self.series(name):
            if value and select(labels):
                found[labels.get(label, "")] = found.get(labels.get(label, ""), 0.0) + value
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def series(self, name: str) -> Iterator[Series]:
        """Every matching series and its growth; one that was not there before began at zero."""
        for before, after in self.spans:
            yield from _growth(before, after, re.compile(name))

    def levels(
        self,
        name: str,
        select: Callable[[Labels], bool] = _EVERY,
        together: Callable[[Iterable[float]], float] = math.fsum,
    ) -> list[tuple[float, float]]:
        """Gauges over time: of each scrape its time and its matching gauges as one; empty: there is none."""
        pattern = re.compile(name)
        found = []
        for t_s, scrape in self.during:
            values = [
                value
                for key, series in scrape.samples.items()
                if pattern.fullmatch(key)
                for labels, value in series.items()
                if select(dict(labels))
            ]
            if values:
                found.append((t_s, together(values)))
        return found

    def rates(self, name: str, select: Callable[[Labels], bool] = _EVERY) -> list[tuple[float, float]]:
        """Counters over time: of each interval between scrapes its end and its growth per second."""
        pattern = re.compile(name)
        found = []
        last = self.during[0] if self.during else None
        for t_s, scrape in self.during[1:]:
            if last is None or t_s - last[0] < LEAST_INTERVAL_S:
                continue
            if _started(last[1]) != _started(scrape):
                last = (t_s, scrape)
                continue
            grown = [value for _, labels, value in _growth(last[1], scrape, pattern) if select(labels)]
            if grown:
                found.append((t_s, math.fsum(grown) / (t_s - last[0])))
            last = (t_s, scrape)
        return found

    def histogram(self, name: str, select: Callable[[Labels], bool] = _EVERY) -> Histogram | None:
        """The matching histograms as one, from native buckets where all have them; None: nothing was counted."""
        count = self.total(f"(?:{name})_count", select) or 0.0
        if count <= 0:
            return None
        total = self.total(f"(?:{name})_sum", select) or 0.0
        pattern = re.compile(name)
        natives = [
            _native_growth(before.natives.get(family, {}).get(labels), native)
            for before, after in self.spans
            for family, series in after.natives.items()
            if pattern.fullmatch(family)
            for labels, native in series.items()
            if select(dict(labels))
        ]
        if natives:
            found = _native_histogram(natives, total)
            if found.n == round(count):
                return found
        return self._classic(name, select, total)

    def _classic(self, name: str, select: Callable[[Labels], bool], total: float) -> Histogram | None:
        buckets: dict[float, float] = {}
        for _, labels, value in self.series(f"(?:{name})_bucket"):
            if select(labels):
                bound = float(labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + value
        if buckets.get(math.inf, 0.0) <= 0:
            return None
        bounds = sorted(buckets)
        return Histogram(tuple(bounds), tuple(buckets[bound] for bound in bounds), total)


def joined(parts: Sequence[Between]) -> Between | None:
    """Several processes of one component as one: what they have counted is added up, all else is the first one's.
    None: there is none."""
    if not parts:
        return None
    first, *others = parts
    return replace(first, earlier=(*first.earlier, *(span for other in others for span in other.spans)))


def _growth(before: Exposition, after: Exposition, pattern: re.Pattern[str]) -> Iterator[Series]:
    for name, series in after.samples.items():
        if pattern.fullmatch(name):
            earlier = before.samples.get(name, {})
            for labels, value in series.items():
                yield name, dict(labels), value - earlier.get(labels, 0.0)


def _started(scrape: Exposition) -> float | None:
    """When the process started, as it says; None: it does not."""
    return scrape.samples.get(START_TIME, {}).get(frozenset())


# --- native histograms ---------------------------------------------------------------------------------------


def _coarser(native: Native, schema: int) -> Native:
    """The same in wider buckets: each step of the schema makes one of two."""
    buckets: dict[int, float] = {}
    for place, count in native.buckets.items():
        wide = -(-place >> (native.schema - schema))  # rounded up
        buckets[wide] = buckets.get(wide, 0.0) + count
    return Native(schema, native.zero_threshold, native.zero_count, buckets)


def _native_growth(before: Native | None, after: Native) -> Native:
    """What a native histogram has grown by. It may have become coarser, or its zero bucket wider, meanwhile."""
    if before is None:
        return after
    schema = min(before.schema, after.schema)
    before, after = _coarser(before, schema), _coarser(after, schema)
    zero, buckets = after.zero_count - before.zero_count, dict(after.buckets)
    for place, count in before.buckets.items():
        if place in buckets:
            buckets[place] -= count
        else:  # swallowed by the zero bucket
            zero -= count
    return Native(schema, after.zero_threshold, zero, buckets)


def _native_histogram(natives: Sequence[Native], total: float) -> Histogram:
    schema = min(native.schema for native in natives)
    zero_threshold = max(native.zero_threshold for native in natives)
    zero = math.fsum(native.zero_count for native in natives)
    buckets: dict[int, float] = {}
    for native in natives:
        for place, count in _coarser(native, schema).buckets.items():
            buckets[place] = buckets.get(place, 0.0) + count
    # Buckets that hold nothing are not served: a bound below each one closes the gap.
    below, counts = zero, {zero_threshold: zero}
    for place in sorted(buckets):
        counts.setdefault(_bound(place - 1, schema), below)
        below += buckets[place]
        counts[_bound(place, schema)] = below
    counts[math.inf] = below
    bounds = sorted(counts)
    return Histogram(tuple(bounds), tuple(counts[bound] for bound in bounds), total, native=True)


def _bound(place: int, schema: int) -> float:
    """The upper bound of a bucket (prometheus.io/docs/specs/native_histograms)."""
    return float(2.0 ** (place * 2.0**-schema))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts by upper bounds, the last of which is infinite."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float
    native: bool = False

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
    def failures(self) -> dict[str, int]:
        """Scrapes that failed, in words, with their times in nanoseconds."""
        return {
            f"{entry.process} at {entry.label}: {entry.error}": entry.t_ns
            for entries in self._entries.values()
            for entry in entries
            if entry.error
        }

    @cached_property
    def restarted(self) -> dict[str, int]:
        """Process -> how often its start time changed; those that it never did for are left out."""
        return {process: changes for process in self._entries if (changes := self._restarts(process))}

    def between(
        self, process: str, start_ns: int, end_ns: int, names: Sequence[str], over_time: Sequence[str] = ()
    ) -> Between | None:
        """The families that ``names`` match, from the last scrape before the start to the first after the end;
        those of ``over_time`` at all scrapes in between, too.

        Where there is no scrape outside, the nearest one inside is taken. None where fewer than two scrapes
        succeeded. What a process counted from its last scrape to its end is not known.
        """
        entries = [entry for entry in self._entries.get(process, []) if not entry.error]
        before = [entry for entry in entries if entry.t_ns <= start_ns][-1:] or entries[:1]
        after = [entry for entry in entries if entry.t_ns >= end_ns][:1] or entries[-1:]
        if not before or before[0].t_ns >= after[0].t_ns:
            return None
        first, last = self._read(before[0], names), self._read(after[0], names)
        if not first.samples or not last.samples:
            return None
        earlier: list[tuple[Exposition, Exposition]] = []
        if process in self.restarted:
            within = [entry for entry in entries if before[0].t_ns <= entry.t_ns <= after[0].t_ns]
            for own in self._by_process(within)[:-1]:
                earlier.append((first if not earlier else Exposition(), self._read(own[-1], names)))
        inner = [entry for entry in entries if before[0].t_ns < entry.t_ns < after[0].t_ns] if over_time else []
        during = [(entry, self._read(entry, over_time)) for entry in inner]
        return Between(
            Exposition() if earlier else first,
            last,
            (after[0].t_ns - before[0].t_ns) / 1e9,
            tuple(
                (entry.t_ns / 1e9, scrape)
                for entry, scrape in ((before[0], first), *during, (after[0], last))
                if scrape.samples
            ),
            tuple(earlier),
        )

    def _read(self, entry: ScrapeEntry, names: Sequence[str]) -> Exposition:
        return parse(self._folder.scrape(entry), [*names, START_TIME], protobuf=entry.format == "protobuf")

    def _restarts(self, process: str) -> int:
        return max(len(self._by_process(self._entries[process])) - 1, 0)

    def _by_process(self, entries: Iterable[ScrapeEntry]) -> list[list[ScrapeEntry]]:
        """Scrapes that succeeded, in groups of one process each: of one start time."""
        told = ((_started(self._read(entry, [])), entry) for entry in entries if not entry.error)
        groups = itertools.groupby(
            ((start, entry) for start, entry in told if start is not None), lambda item: item[0]
        )
        return [[entry for _, entry in group] for _, group in groups]
