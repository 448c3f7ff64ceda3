"""A gate for continuous integration: did anything get worse?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planebench.compare.document import Comparison, Comparisons, FigureComparison, Word
from planebench.model import Judgement


@dataclass(frozen=True, slots=True)
class Gate:
    """FAIL: something is shown to be worse. INCONCLUSIVE: nothing is, but not everything could be told. PASS: all
    was compared, and nothing is shown to be worse."""

    judgement: Judgement
    worse: tuple[FigureComparison, ...] = ()
    unclear: tuple[str, ...] = ()
    """What could not be told, and why."""


def judge(found: Comparisons, *, any_machine: bool = False) -> Gate:
    """The gate's judgement; differences for the better never matter."""
    worse = tuple(figure for one in found.comparisons for figure in one.figures if figure.worse)
    unclear = tuple(reason for one in found.comparisons for reason in _unclear(one, any_machine))
    if worse and not _elsewhere(found, any_machine):
        return Gate(Judgement.FAIL, worse, unclear)
    if unclear:
        return Gate(Judgement.INCONCLUSIVE, worse, unclear)
    return Gate(Judgement.PASS)


def _elsewhere(found: Comparisons, any_machine: bool) -> bool:
    return not any_machine and any(one.other_machine for one in found.comparisons)


def _unclear(one: Comparison, any_machine: bool) -> Iterator[str]:
    if one.other_machine and not any_machine:
        first = one.other_machine[0]
        yield (
            f"the baseline is of another machine ({first.what}: {first.baseline} -> {first.candidate}); measure "
            "it on this one, or give --anyway"
        )
    for run in one.candidate.left_out:
        if run.kind != "void":
            yield f"a run of the candidate cannot be used: {run.reason}"
    if any(figure.word is Word.TOO_FEW for figure in one.figures):
        yield (
            f"too few trials ({len(one.baseline.trials)} and {len(one.candidate.trials)}): it takes "
            f"{one.trials_needed} on each side"
        )
    for item in one.not_compared:
        yield f"{item.figure} cannot be compared: {item.reason}"
    if not one.figures and not one.not_compared:
        yield "the runs have no figure in common"
