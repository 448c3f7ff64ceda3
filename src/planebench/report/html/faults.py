"""Faults of components: how long each took to be recovered from, by what was done and to what."""

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
    """Kinds of faults by what was struck; a cell has all faults of one kind and target."""

    targets: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[Recovered, ...], ...]], ...]


def matrix(found: Sequence[FaultResult]) -> Matrix | None:
    """None: there is nothing to tell apart."""
    targets, kinds = faults.targets(found), faults.kinds(found)
    if len(found) < 2:
        return None
    return Matrix(
        tuple(target or "other" for target in targets),
        tuple(
            (
                kind.replace("-", " "),
                tuple(
                    tuple(
                        Recovered(faults.amount(faults.of(fault, faults.HEADLINE)), fault.verdict)
                        for fault in found
                        if (fault.kind, fault.target) == (kind, target)
                    )
                    for target in targets
                ),
            )
            for kind in kinds
        ),
    )
