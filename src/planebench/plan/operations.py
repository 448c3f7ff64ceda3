"""Planned operations in columns: fifty thousand of them cost four arrays, not fifty thousand objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from planebench.model import Operation
from planebench.plan.arrivals import DueTimes


@dataclass(frozen=True, slots=True)
class Naming:
    """How a template's operations are named: ``vmi-{:06d}``, and in turn over its namespaces."""

    name: str
    """A format that takes the index."""
    namespaces: tuple[str, ...] = ("",)

    def operation(self, due_ns: int, template: int, index: int) -> Operation:
        """One operation as plain data."""
        namespaces = self.namespaces
        return Operation(
            due_ns, template, index, self.name.format(index), namespaces[max(index, 0) % len(namespaces)]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Operations(Sequence[Operation]):
    """Operations ordered by their due time; each is made when it is asked for."""

    due_ns: DueTimes
    templates: NDArray[np.int32]
    indices: NDArray[np.int32]
    namings: tuple[Naming, ...]
    """For each template."""

    @classmethod
    def ordered(
        cls,
        due_ns: DueTimes,
        templates: NDArray[np.int32],
        indices: NDArray[np.int32],
        namings: Sequence[Naming],
    ) -> Operations:
        """Operations from columns in any order; those due at the same time keep theirs."""
        order = np.argsort(due_ns, kind="stable")
        return cls(due_ns[order], templates[order], indices[order], tuple(namings))

    def __len__(self) -> int:
        return len(self.due_ns)

    @overload
    def __getitem__(self, position: int) -> Operation: ...
    @overload
    def __getitem__(self, position: slice) -> Operations: ...
    def __getitem__(self, position: int | slice) -> Operation | Operations:
        if isinstance(position, slice):
            if (position.step or 1) < 0:
                raise ValueError("operations are ordered by their due time: no backward slices")
            return Operations(
                self.due_ns[position], self.templates[position], self.indices[position], self.namings
            )
        template = int(self.templates[position])
        return self.namings[template].operation(int(self.due_ns[position]), template, int(self.indices[position]))

    def __iter__(self) -> Iterator[Operation]:
        namings = self.namings
        columns = zip(self.due_ns.tolist(), self.templates.tolist(), self.indices.tolist(), strict=True)
        return (namings[template].operation(due_ns, template, index) for due_ns, template, index in columns)
