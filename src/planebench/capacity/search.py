"""The search itself, as a pure function: from the levels tried so far to the next one, or to the end.

The level rises by a factor until one does not hold. From then on the geometric mean of the highest level that
holds and the lowest that does not is tried, until these two are close. It finds the threshold of anything that
holds up to some level and no further.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from planebench.capacity.document import Ending, Load, Outcome, Plan
from planebench.model import Judgement

Tried = tuple[float, Judgement]
"""A level and whether it holds."""

_DIGITS: Final = 4
"""Of a rate, for people who have to read it; far finer than any precision that can be asked for."""


def next_level(plan: Plan, tried: Iterable[Tried]) -> float | None:
    """The level to try next, perhaps once more; None: the search has ended, see :func:`outcome`."""
    levels = list(tried)
    if levels and (again := _again(plan, levels)):
        return again
    passed, failed, doubted = _bracket(levels)
    if doubted is not None:
        return None
    if failed is None:
        if passed is None:
            return plan.start
        return None if passed >= plan.end else _raised(plan, passed)
    if passed is None:
        return None
    return _between(plan, passed, failed)


def outcome(plan: Plan, tried: Iterable[Tried], doubt: str = "") -> Outcome | None:
    """What the search has found; None: it has not ended. ``doubt`` says why a level could not be judged."""
    levels = list(tried)
    if next_level(plan, levels) is not None:
        return None
    passed, failed, doubted = _bracket(levels)
    if doubted is not None:
        return Outcome(ending=Ending.DOUBT, capacity=passed, next_above=doubted, reason=doubt)
    if failed is None:
        return Outcome(
            ending=Ending.RANGE,
            capacity=passed,
            next_above=None,
            reason=f"even the highest level holds: the capacity is {show(plan.of, plan.end)} or more (--to)",
        )
    if passed is None:
        return Outcome(
            ending=Ending.START,
            capacity=None,
            next_above=failed,
            reason=f"not even the first level holds: begin lower than {show(plan.of, failed)} (--from)",
        )
    return Outcome(
        ending=Ending.FOUND,
        capacity=passed,
        next_above=failed,
        reason=f"{show(plan.of, passed)} hold, {show(plan.of, failed)} do not",
    )


def most_levels(plan: Plan) -> int:
    """How many levels a search tries at most."""
    ramp = math.ceil(math.log(plan.end / plan.start) / math.log(plan.growth) + 1e-9) + 1
    return ramp + math.ceil(math.log2(max(math.log(plan.growth) / math.log1p(plan.precision), 1.0)) + 1e-9) + 1


def show(of: Load, level: float) -> str:
    """A level with its unit, for people."""
    return f"{level:,.0f}{of.unit}" if of.whole else f"{level:,.4g}{of.unit}"


def _again(plan: Plan, levels: list[Tried]) -> float | None:
    """The last level, where it did not hold and may be tried once more."""
    last = levels[-1][0]
    verdicts = [judgement for level, judgement in levels if level == last]
    return last if Judgement.PASS not in verdicts and len(verdicts) < plan.attempts else None


def _bracket(tried: Iterable[Tried]) -> tuple[float | None, float | None, float | None]:
    """The highest level that holds, the lowest that does not, the lowest that cannot be judged.

    A level holds where it does in one of its attempts; it cannot be judged where none of them could be.
    """
    by_level: dict[float, set[Judgement]] = {}
    for level, judgement in tried:
        by_level.setdefault(level, set()).add(judgement)
    levels: dict[Judgement, list[float]] = {judgement: [] for judgement in Judgement}
    for level, verdicts in by_level.items():
        word = next(word for word in (Judgement.PASS, Judgement.FAIL, Judgement.INCONCLUSIVE) if word in verdicts)
        levels[word].append(level)
    return (
        max(levels[Judgement.PASS], default=None),
        min(levels[Judgement.FAIL], default=None),
        min(levels[Judgement.INCONCLUSIVE], default=None),
    )


def _raised(plan: Plan, passed: float) -> float:
    if plan.of.whole:
        return min(max(float(round(passed * plan.growth)), passed + 1), plan.end)
    return min(_rounded(passed * plan.growth), plan.end)


def _between(plan: Plan, passed: float, failed: float) -> float | None:
    if failed <= passed * (1 + plan.precision):
        return None
    middle = math.sqrt(passed * failed)
    if plan.of.whole:
        return None if failed - passed <= 1 else min(max(float(round(middle)), passed + 1), failed - 1)
    return _rounded(middle)


def _rounded(level: float) -> float:
    return float(f"{level:.{_DIGITS}g}")
