"""From trials to words: which figures differ, by how much, how sure.

A difference is **shown** where three things hold: Holm's adjusted p is at most alpha (it is no chance find among
so many figures), the bootstrap interval of the ratio does not contain 1, and the ratio is beyond both the
practical margin and, where it was measured, the noise floor. Otherwise there is *no difference shown*, which does
not say that there is none; where even the greatest difference could not be shown, there are *too few trials*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, median_low
from typing import Final

import numpy as np

from planebench import __version__
from planebench.compare import statistics
from planebench.compare.document import (
    Comparison,
    Comparisons,
    DifferenceNote,
    FigureComparison,
    LeftOutNote,
    NotCompared,
    Side,
    TrialNote,
    Word,
)
from planebench.compare.figures import Figure, select
from planebench.compare.setup import Difference, differences
from planebench.compare.trials import Group, Trial
from planebench.model import UsageError
from planebench.verdict import NEGLIGIBLE_S, NEGLIGIBLE_SHARE

_MOST_NAMED: Final = 8
_MOST_SEEDS: Final = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How it is compared."""

    margin: float = 0.05
    """Differences of less than this share do not matter."""
    alpha: float = 0.05
    """The chance of finding any difference at all where there is none."""
    paired: bool | None = False
    """Trials of the same block are a pair; None: they are where there are enough pairs, see
    :func:`planebench.compare.statistics.enough_pairs`."""
    figures: tuple[str, ...] = ()
    """Patterns, see :func:`planebench.compare.figures.select`; empty: what is compared by default."""
    resamples: int = 9_999
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 10:
            raise UsageError(f"--margin {self.margin:g}: must be from 0 to less than 10 (1000%)")
        if not 0 < self.alpha < 1:
            raise UsageError(f"--alpha {self.alpha:g}: must be between 0 and 1")


def compare(
    baseline: Group, candidates: Sequence[Group], settings: Settings | None = None, *, noise: Group | None = None
) -> Comparisons:
    """Hold every candidate against the baseline.

    Args:
        noise: trials of one thing, to learn by how much such figures differ without a reason.

    Raises:
        UsageError: no figure is chosen, pairs do not match, or there are too few trials of noise.
    """
    settings = settings or Settings()
    names = _chosen([baseline, *candidates], settings.figures)
    if settings.paired is None:
        settings = replace(settings, paired=_enough_pairs(baseline, candidates, names, settings.alpha))
    floors = _floors(noise, names, settings.seed)
    drafts = [_Draft.of(baseline, candidate, names, settings) for candidate in candidates]
    # One family: p is adjusted over all figures of all candidates.
    adjusted = iter(statistics.holm(np.concatenate([draft.p[draft.differs] for draft in drafts])).tolist())
    family = sum(int(draft.differs.sum()) for draft in drafts)
    first = baseline.trials[0].setup
    return Comparisons(
        planebench_version=__version__,
        scenario=first.load.get("name", ""),
        plane=first.load.get("plane", ""),
        paired=bool(settings.paired),
        alpha=settings.alpha,
        margin=settings.margin,
        confidence=statistics.CONFIDENCE,
        resamples=settings.resamples,
        seed=settings.seed,
        family=family,
        noise_from=_side(noise) if noise else None,
        comparisons=tuple(
            draft.finished([next(adjusted) if differs else None for differs in draft.differs], family, floors)
            for draft in drafts
        ),
    )


def _chosen(groups: Sequence[Group], patterns: Sequence[str]) -> list[str]:
    found: dict[str, bool] = {}
    for group in groups:
        for trial in group.trials:
            for name, figure in trial.figures.items():
                found[name] = found.get(name, False) or figure.by_default
    if not patterns:
        return [name for name, by_default in found.items() if by_default]
    for pattern in patterns:
        if not select(list(found), [pattern]):
            some = ", ".join(list(found)[:_MOST_NAMED])
            raise UsageError(f"--sli {pattern}: matches none of the runs' figures; there are {some}, ...")
    return select(list(found), patterns)


def _floors(noise: Group | None, names: Sequence[str], seed: int) -> Mapping[str, float]:
    """Figure -> logarithm of the ratio that noise alone reaches."""
    if noise is None:
        return {}
    if len(noise.trials) < 2 * 2:
        raise UsageError(
            f"--noise {noise.name}: {len(noise.trials)} trials, it takes at least 4 of the same thing"
        )
    usable = [name for name in names if not _why_not(noise.trials, name)]
    if not usable:
        return {}
    return dict(zip(usable, statistics.noise_floor(_logs(noise.trials, usable), seed=seed).tolist(), strict=True))


# --- one candidate -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """A comparison before p is adjusted; arrays go along with ``names``."""

    baseline: Group
    candidate: Group
    settings: Settings
    names: tuple[str, ...]
    not_compared: tuple[NotCompared, ...]
    ratio: statistics.Logs
    low: statistics.Logs
    high: statistics.Logs
    p: statistics.Logs
    """1 where there are too few trials for a single figure."""
    differs: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """Figures whose values are not all the same: the others cannot differ, and count for nothing."""
    unpaired: int
    """How many trials have no partner."""

    @classmethod
    def of(cls, baseline: Group, candidate: Group, wanted: Sequence[str], settings: Settings) -> _Draft:
        unpaired = 0
        if settings.paired:
            baseline, candidate, unpaired = _pairs(baseline, candidate)
        both = (*baseline.trials, *candidate.trials)
        reasons = {name: reason for name in wanted if (reason := _why_not_both(baseline, candidate, name))}
        names = tuple(name for name in wanted if name not in reasons)
        a, b = _logs(baseline.trials, names), _logs(candidate.trials, names)
        low = high = np.full(len(names), math.nan)
        p = np.ones(len(names))
        if names and _enough(baseline, candidate, settings):
            paired = bool(settings.paired)
            low, high = statistics.interval(a, b, paired=paired, resamples=settings.resamples, seed=settings.seed)
            p = statistics.p_values(a, b, paired=paired, seed=settings.seed)
        differs = np.array([_differs(both, name) for name in names], dtype=np.bool_)
        return cls(
            baseline=baseline,
            candidate=candidate,
            settings=settings,
            names=names,
            not_compared=tuple(NotCompared(figure=name, reason=reason) for name, reason in reasons.items()),
            ratio=statistics.centre(b - a) if settings.paired else statistics.shift(a, b),
            low=low,
            high=high,
            p=p,
            differs=differs,
            unpaired=unpaired,
        )

    @property
    def least_p(self) -> float:
        return statistics.least_p(
            len(self.baseline.trials), len(self.candidate.trials), paired=bool(self.settings.paired)
        )

    def finished(self, adjusted: Sequence[float | None], family: int, floors: Mapping[str, float]) -> Comparison:
        paired, alpha = bool(self.settings.paired), self.settings.alpha
        family = max(family, 1)
        before, after = self.baseline.trials[0].setup, self.candidate.trials[0].setup
        return Comparison(
            baseline=_side(self.baseline),
            candidate=_side(self.candidate),
            differences=_notes_of(
                (*differences(before.load, after.load), *differences(before.settings, after.settings))
            ),
            other_machine=_notes_of(differences(before.machine, after.machine)),
            notes=tuple(self._notes()),
            figures=tuple(
                self._figure(number, name, adjusted[number], family, floors.get(name))
                for number, name in enumerate(self.names)
            ),
            not_compared=self.not_compared,
            least_p=self.least_p,
            trials_needed=statistics.trials_needed(family, alpha, paired=paired),
        )

    def _figure(
        self, number: int, name: str, adjusted: float | None, family: int, floor: float | None
    ) -> FigureComparison:
        before = [trial.figures[name] for trial in self.baseline.trials]
        after = [trial.figures[name] for trial in self.candidate.trials]
        about = before[0]
        margin = 0.0 if about.exact else math.log1p(self.settings.margin)
        least = max(margin, floor or 0.0)
        ratio, low, high = (float(array[number]) for array in (self.ratio, self.low, self.high))
        word, note = Word.NO_DIFFERENCE, ""
        tested = not math.isnan(low)
        if not tested or (adjusted is not None and self.least_p * family > self.settings.alpha):
            word = Word.TOO_FEW
        elif adjusted is not None and adjusted <= self.settings.alpha and (low > 0 or high < 0):
            if abs(ratio) <= least:
                note = (
                    "significant, but within the noise"
                    if abs(ratio) > margin
                    else "significant, but within the margin"
                )
            elif doubt := _doubt([*before, *after], ratio, _median(before)):
                note = doubt
            else:
                word = _WORDS[about.kind][ratio > 0]
        return FigureComparison(
            figure=name,
            title=about.title,
            kind=about.kind,
            unit=about.unit,
            baseline=tuple(_finite(figure.value) for figure in before),
            candidate=tuple(_finite(figure.value) for figure in after),
            baseline_median=_finite(_median(before)),
            candidate_median=_finite(_median(after)),
            ratio=_finite(statistics.ratio(ratio)),
            low=_ratio(low),
            high=_ratio(high),
            p=float(self.p[number]) if tested else None,
            p_adjusted=adjusted if tested else None,
            noise=None if floor is None else _finite(statistics.ratio(floor)),
            least=_finite(statistics.ratio(least)),
            word=word,
            worse=(ratio > 0) == (about.better == "less") if word.shown and about.better else None,
            note=note,
        )

    def _notes(self) -> list[str]:
        notes = []
        seeds = [[trial.seed for trial in group.trials] for group in (self.baseline, self.candidate)]
        if set(seeds[0]) != set(seeds[1]):
            notes.append(
                f"seeds differ ({_listed(seeds[0])}; {_listed(seeds[1])}): arrivals, changes and reads were not "
                "the same on both sides"
            )
        if self.unpaired:
            notes.append(f"{self.unpaired} trials have no partner and are left out")
        return notes


_WORDS: Final = {
    "duration": (Word.FASTER, Word.SLOWER),
    "cost": (Word.CHEAPER, Word.DEARER),
    "other": (Word.LOWER, Word.HIGHER),
}


def _enough(baseline: Group, candidate: Group, settings: Settings) -> bool:
    n_a, n_b = len(baseline.trials), len(candidate.trials)
    least = statistics.least_p(n_a, n_b, paired=bool(settings.paired))
    return min(n_a, n_b) >= statistics.LEAST_TRIALS and least <= settings.alpha


def _enough_pairs(baseline: Group, candidates: Sequence[Group], names: Sequence[str], alpha: float) -> bool:
    pairs = min(
        len({trial.block for trial in baseline.trials} & {trial.block for trial in candidate.trials})
        for candidate in candidates
    )
    family = sum(
        _differs((*baseline.trials, *candidate.trials), name)
        for candidate in candidates
        for name in names
        if not _why_not_both(baseline, candidate, name)
    )
    return statistics.enough_pairs(pairs, max(family, 1), alpha)


def _differs(trials: Sequence[Trial], name: str) -> bool:
    return len({trial.figures[name].value for trial in trials}) > 1


def _pairs(baseline: Group, candidate: Group) -> tuple[Group, Group, int]:
    """Both groups with those trials only whose block both have, in the blocks' order."""
    by_block = [{trial.block: trial for trial in group.trials} for group in (baseline, candidate)]
    blocks = sorted(by_block[0].keys() & by_block[1].keys())
    if not blocks:
        raise UsageError(f"--paired: {baseline.name} and {candidate.name} have no pair of trials")
    paired = [
        replace(group, trials=tuple(trials[block] for block in blocks))
        for group, trials in zip((baseline, candidate), by_block, strict=True)
    ]
    unpaired = sum(len(trials) - len(blocks) for trials in by_block)
    return paired[0], paired[1], unpaired


def _why_not_both(baseline: Group, candidate: Group, name: str) -> str:
    for group in (baseline, candidate):
        if reason := _why_not(group.trials, name):
            return f"{group.name}: {reason}"
    return ""


def _why_not(trials: Sequence[Trial], name: str) -> str:
    """Why a figure cannot be compared; empty: it can."""
    values = [figure.value if (figure := trial.figures.get(name)) else math.nan for trial in trials]
    if empty := sum(math.isnan(value) for value in values):
        return f"no data in {empty} of {len(values)} trials"
    if any(value < 0 for value in values):
        return "values below zero have no ratio"
    return ""


def _logs(trials: Sequence[Trial], names: Sequence[str]) -> statistics.Logs:
    """Shape (trials, figures)."""
    values = [[trial.figures[name].value for name in names] for trial in trials]
    return statistics.logarithms(np.array(values, dtype=np.float64).reshape(len(trials), len(names)))


def _doubt(figures: Sequence[Figure], ratio: float, baseline: float) -> str:
    """Whether a duration's difference is no larger than what late requests may have added to it, in words."""
    late_s = max(figure.doubt_s for figure in figures)
    difference_s = abs(math.expm1(ratio)) * baseline if math.isfinite(baseline) and abs(ratio) < 1 else math.inf
    if late_s <= max(NEGLIGIBLE_S, NEGLIGIBLE_SHARE * baseline) or difference_s > late_s:
        return ""
    return f"significant, but by less than requests were sent late (p99 {late_s * 1e3:.1f} ms)"


# --- how it is told ------------------------------------------------------------------------------------------


def _median(figures: Sequence[Figure]) -> float:
    """The median; where it would lie between a value and what never came, the value."""
    values = [figure.value for figure in figures]
    middle = median(values)
    return middle if math.isfinite(middle) else median_low(values)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _ratio(logarithm: float) -> float | None:
    return None if math.isnan(logarithm) else _finite(statistics.ratio(logarithm))


def _listed(numbers: Sequence[int]) -> str:
    distinct = sorted(set(numbers))
    return ", ".join(map(str, distinct[:_MOST_SEEDS])) + (", ..." if len(distinct) > _MOST_SEEDS else "")


def _notes_of(found: Sequence[Difference]) -> tuple[DifferenceNote, ...]:
    return tuple(
        DifferenceNote(what=item.what, baseline=item.baseline, candidate=item.candidate) for item in found
    )


def _side(group: Group) -> Side:
    return Side(
        name=group.name,
        trials=tuple(
            TrialNote(name=trial.name, run_id=trial.run_id, seed=trial.seed, started_wall=trial.started_wall)
            for trial in group.trials
        ),
        left_out=tuple(LeftOutNote(name=item.name, reason=item.reason, kind=item.kind) for item in group.left_out),
    )
