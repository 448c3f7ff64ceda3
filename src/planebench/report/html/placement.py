"""Which node got how many pods, as a map of all nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from planebench.results.document import Distribution, NodePlacement

_WIDER: Final = 3.0
"""The map is about so many times wider than high, in cells."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Nodes in rows of ``columns``, in the order of their pools; cell k is in row k // columns."""

    nodes: tuple[NodePlacement, ...]
    columns: int

    @property
    def rows(self) -> int:
        return -(-len(self.nodes) // self.columns)

    @property
    def counted(self) -> tuple[NodePlacement, ...]:
        """Those that pods may be placed on, or that have some all the same."""
        return tuple(node for node in self.nodes if node.eligible or node.pods)

    @property
    def fewest(self) -> int:
        return min(node.pods for node in self.counted)

    @property
    def most(self) -> int:
        return max(node.pods for node in self.counted)

    @property
    def nodes_by_pods(self) -> dict[int, int]:
        """How many nodes have how many pods, from the fewest to the most."""
        found = dict.fromkeys(range(self.fewest, self.most + 1), 0)
        for node in self.counted:
            found[node.pods] += 1
        return found


def placement(found: Distribution | None) -> Placement | None:
    """None where no pod got a node."""
    if found is None or not found.per_node or not any(node.pods for node in found.per_node):
        return None
    return Placement(found.per_node, columns(len(found.per_node)))


def columns(nodes: int) -> int:
    """How many nodes stand in a row."""
    return min(nodes, max(10, math.ceil(math.sqrt(nodes * _WIDER))))
