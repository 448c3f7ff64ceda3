"""Which node got how many pods, as a map of all nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from planebench.slis.observations import Observations
from planebench.slis.scheduling import pods_per_node

_WIDER: Final = 3.0
"""The map is about so many times wider than high, in cells."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Nodes in rows of ``columns``, in the order of their names; cell k is in row k // columns."""

    nodes: tuple[str, ...]
    pods: tuple[int, ...]
    columns: int

    @property
    def rows(self) -> int:
        return -(-len(self.nodes) // self.columns)

    @property
    def nodes_by_pods(self) -> dict[int, int]:
        """How many nodes have how many pods, from the fewest to the most."""
        found = dict.fromkeys(range(min(self.pods), max(self.pods) + 1), 0)
        for pods in self.pods:
            found[pods] += 1
        return found


def placement(seen: Observations) -> Placement | None:
    """None where no pod got a node."""
    counts = pods_per_node(seen) if seen.created else {}
    if not any(counts.values()):
        return None
    nodes = tuple(sorted(counts))
    return Placement(nodes, tuple(counts[node] for node in nodes), columns(len(nodes)))


def columns(nodes: int) -> int:
    """How many nodes stand in a row."""
    return min(nodes, max(10, math.ceil(math.sqrt(nodes * _WIDER))))
