"""Faults of components: how long each took to be recovered from, by what was struck and what was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planebench.model import Judgement
from planebench.report import faults
from planebench.results.document import FaultResult


@dataclass(frozen=True, slots=True)
class Recovered:
    """What stands for a fault in the matrix."""

    text: str
    verdict: Judgement | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """What was struck by kinds of faults; a cell has all faults of one target and kind."""

    kinds: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[Recovered, ...], ...]], ...]
    columns: tuple[tuple[str, str], ...]
    """Figures that faults have beside: their ids, and short names."""


def matrix(found: Sequence[FaultResult]) -> Matrix | None:
    """None: there is nothing to tell apart."""
    targets, kinds = faults.targets(found), faults.kinds(found)
    if len(found) < 2:
        return None
    return Matrix(
        tuple(kind.replace("-", " ") for kind in kinds),
        tuple(
            (
                target,
                tuple(
                    tuple(
                        Recovered(faults.amount(faults.of(fault, faults.HEADLINE)), fault.verdict)
                        for fault in found
                        if (fault.kind, fault.target) == (kind, target)
                    )
                    for kind in kinds
                ),
            )
            for target in targets
        ),
        tuple((sli, faults.COLUMNS[sli]) for sli in faults.told_of(found)),
    )
