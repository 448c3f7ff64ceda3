"""A phase cut into shares for several engines: every operation is in one of them, at its own due time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from operator import itemgetter
from typing import Final, TypeVar

import msgspec

from planebench.load.protocol import PhaseFile

_READ: Final = "GET"
_T = TypeVar("_T")


def cut(plan: PhaseFile, shares: int) -> list[PhaseFile]:
    """A phase dealt out in turn, so that each share is as dense as the others at any time.

    Writes of one object (by namespace and name, its companions' included) stay together: their order is one
    engine's to keep. Reads, and what names no object, are dealt one by one.

    Returns:
        As many phases as ``shares``, the last ones without an operation where there are too few; ``number`` says
        which of the whole's they have.
    """
    hands: list[list[int]] = [[] for _ in range(shares)]
    known: dict[Hashable, int] = {}
    dealt = 0
    reads = [template.method == _READ for template in plan.templates]
    columns = zip(plan.template, plan.namespace, plan.object_name, strict=True)
    for number, (template, namespace, name) in enumerate(columns):
        hand = None if reads[template] or not name else known.get((namespace, name))
        if hand is None:
            hand = dealt % shares
            dealt += 1
            if name and not reads[template]:
                known[namespace, name] = hand
        hands[hand].append(number)
    return [_share(plan, numbers) for numbers in hands]


def _share(plan: PhaseFile, numbers: list[int]) -> PhaseFile:
    return msgspec.structs.replace(
        plan,
        due_ns=_pick(plan.due_ns, numbers),
        template=_pick(plan.template, numbers),
        index=_pick(plan.index, numbers),
        object_name=_pick(plan.object_name, numbers),
        namespace=_pick(plan.namespace, numbers),
        number=numbers,
    )


def _pick(column: Sequence[_T], numbers: list[int]) -> list[_T]:
    return [column[number] for number in numbers] if len(numbers) < 2 else list(itemgetter(*numbers)(column))
