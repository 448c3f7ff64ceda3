"""Where the scheduler has put pods: how evenly, how tightly, and whether it was allowed to.

What pods ask for and what binds them is told from the manifests that the scenario and its plane give. The pods
that a plane's own controllers make (virt-launchers) are placed as their object says, but ask for more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from planebench import nodes as simulated
from planebench.constraints import ZONE, Group, PodSpec, allocatable, pod_of, requests_of, takes, violations
from planebench.model import DELETED, Manifest, Stage
from planebench.plan import source_of
from planebench.results.document import ConstraintViolation, Distribution, Evenness, NodePlacement
from planebench.slis.observations import Observations
from planebench.stats import Values, evenness, placed_at_random, unevenness

_SUCCEEDED: Final = "succeeded"
_RESOURCES: Final[tuple[Literal["cpu", "memory"], ...]] = ("cpu", "memory")
_REPETITIONS: Final = 200
_SEED: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """Pods of one kind: what they ask for, where they may be, where they are."""

    group: Group
    requests: Mapping[str, float] | None
    allowed: NDArray[np.int64]
    """Positions of the nodes that they may be placed on."""

    @property
    def pods(self) -> int:
        return sum(self.group.placed.values())


class Placement:
    """A run's nodes and what was on them when its creation stage ended."""

    def __init__(self, seen: Observations) -> None:
        self.nodes: list[Manifest] = list(simulated.manifests(seen.scenario.nodes, seen.plane))
        self.names = [str(node["metadata"]["name"]) for node in self.nodes]
        self._at = {name: place for place, name in enumerate(self.names)}
        placed = _placed(seen)
        self._kinds = [
            _kind(source, source_of(source, seen.plane), self.nodes, placed.get(source.prefix, {}))
            for source in seen.scenario.workload.objects
            if seen.plane.watches[seen.plane.workload(source.template).bound.watch].node_field
        ]
        eligible = {place for kind in self._kinds for place in kind.allowed.tolist()}
        self.eligible = np.array([place in eligible for place in range(len(self.nodes))], dtype=bool)
        self.pods = self._amounts(lambda _: 1.0)

    def counts(self) -> dict[str, int]:
        """Pods by node: over the eligible ones, and all others with pods on them."""
        return {
            name: int(pods)
            for name, pods, eligible in zip(self.names, self.pods, self.eligible, strict=True)
            if eligible or pods
        }

    def distribution(self) -> Distribution | None:
        """None where no pod is on a node."""
        if not self.pods.any():
            return None
        counted = self.eligible | (self.pods > 0)
        offered = {resource: np.array([allocatable(node, resource) for node in self.nodes]) for resource in _ROOM}
        asked: dict[str, Values] = {}
        if self._known:
            asked = {resource: self._requested(resource) for resource in _RESOURCES}
        zones = self._zones(counted)
        free = {resource: np.maximum(offered[resource] - asked[resource], 0.0) for resource in asked}
        stranded = self._stranded(free, offered, counted) if asked else {}
        return Distribution(
            pods=int(self.pods.sum()),
            nodes=int(counted.sum()),
            nodes_used=int((self.pods > 0).sum()),
            nodes_lower_bound=_lower_bound({**asked, "pods": self.pods}, offered, counted) if asked else None,
            evenness=tuple(self._evenness(offered, asked, counted)),
            zones=zones,
            zone_skew=max(zones.values()) - min(zones.values()) if zones else None,
            stranded_cpu=stranded.get("cpu"),
            stranded_memory=stranded.get("memory"),
            fragmentation=self._fragmentation(free, offered, counted) if asked else None,
            violations=tuple(
                ConstraintViolation(
                    constraint=found.constraint, kind=found.group, pods=found.pods, where=found.where
                )
                for found in violations(self.nodes, [kind.group for kind in self._kinds])
            ),
            per_node=tuple(self._rows(offered, asked)),
        )

    # --- parts ---

    @property
    def _known(self) -> bool:
        return all(kind.requests is not None for kind in self._kinds if kind.pods)

    def _amounts(self, amount: Any) -> Values:
        """The sum over all pods of an amount of their kind, by node."""
        total = np.zeros(len(self.nodes))
        for kind in self._kinds:
            for (_, node), pods in kind.group.placed.items():
                if node in self._at:
                    total[self._at[node]] += pods * amount(kind)
        return total

    def _requested(self, resource: str) -> Values:
        return self._amounts(lambda kind: (kind.requests or {}).get(resource, 0.0))

    def _evenness(
        self, offered: Mapping[str, Values], asked: Mapping[str, Values], counted: NDArray[np.bool_]
    ) -> list[Evenness]:
        ones = np.ones(len(self.nodes))
        parts: list[tuple[Literal["pods", "cpu", "memory"], Values, Values]] = [("pods", self.pods, ones)]
        parts += [(resource, asked[resource], offered[resource]) for resource in _RESOURCES if resource in asked]
        found = []
        for of, amounts, whole in parts:
            even = evenness((amounts / whole)[counted])
            if even is None:
                continue
            drawn = placed_at_random(
                [
                    (kind.pods, kind.allowed, self._one(kind, of) / whole[kind.allowed])
                    for kind in self._kinds
                    if kind.pods
                ],
                len(self.nodes),
                _REPETITIONS,
                _SEED,
            )[:, counted]
            cv, gini, jain = (float(measure.mean()) for measure in unevenness(drawn[drawn.sum(axis=1) > 0]))
            found.append(
                Evenness(
                    of=of,
                    mean=even.mean,
                    sd=even.sd,
                    min=even.smallest,
                    max=even.largest,
                    cv=even.cv,
                    gini=even.gini,
                    jain=even.jain,
                    random_cv=cv,
                    random_gini=gini,
                    random_jain=jain,
                )
            )
        return found

    def _one(self, kind: _Kind, of: str) -> float:
        return 1.0 if of == "pods" else (kind.requests or {}).get(of, 0.0)

    def _zones(self, counted: NDArray[np.bool_]) -> dict[str, int]:
        zones: dict[str, int] = {}
        for node, pods, counts in zip(self.nodes, self.pods, counted, strict=True):
            zone = node["metadata"]["labels"].get(ZONE)
            if counts and zone:
                zones[zone] = zones.get(zone, 0) + int(pods)
        return dict(sorted(zones.items()))

    def _sizes(self) -> list[Mapping[str, float]]:
        """What the kinds that have pods ask for, from the smallest to the largest by CPU."""
        sizes = [kind.requests for kind in self._kinds if kind.requests is not None and kind.pods]
        return sorted(sizes, key=lambda size: (size["cpu"], size["memory"]))

    def _fits(
        self, size: Mapping[str, float], free: Mapping[str, Values], offered: Mapping[str, Values]
    ) -> NDArray[np.int64]:
        """How many more pods of a size each node has room for."""
        room = offered["pods"] - self.pods
        for resource, amount in size.items():
            if amount:
                room = np.minimum(room, np.floor(free[resource] / amount + 1e-9))
        return np.maximum(room, 0).astype(np.int64)

    def _stranded(
        self, free: Mapping[str, Values], offered: Mapping[str, Values], counted: NDArray[np.bool_]
    ) -> dict[str, float]:
        fits = np.zeros(len(self.nodes), dtype=bool)
        for size in self._sizes():
            fits |= self._fits(size, free, offered) > 0
        useless = counted & ~fits
        return {
            resource: float(free[resource][useless].sum() / offered[resource][counted].sum()) for resource in free
        }

    def _fragmentation(
        self, free: Mapping[str, Values], offered: Mapping[str, Values], counted: NDArray[np.bool_]
    ) -> float | None:
        largest = self._sizes()[-1]
        room = float((offered["pods"] - self.pods)[counted].sum())
        shares = [float(free[resource][counted].sum()) / amount for resource, amount in largest.items() if amount]
        together = math.floor(min([room, *shares]) + 1e-9)
        if together <= 0:
            return None
        return 1 - float(self._fits(largest, free, offered)[counted].sum()) / together

    def _rows(self, offered: Mapping[str, Values], asked: Mapping[str, Values]) -> list[NodePlacement]:
        return [
            NodePlacement(
                node=name,
                pool=node["metadata"]["labels"][simulated.POOL_LABEL],
                zone=node["metadata"]["labels"].get(ZONE, ""),
                eligible=bool(self.eligible[place]),
                pods=int(self.pods[place]),
                pods_allocatable=int(offered["pods"][place]),
                cpu=round(float(asked["cpu"][place]), 6) if asked else None,
                cpu_allocatable=float(offered["cpu"][place]),
                memory_bytes=float(asked["memory"][place]) if asked else None,
                memory_allocatable_bytes=float(offered["memory"][place]),
            )
            for place, (name, node) in enumerate(zip(self.names, self.nodes, strict=True))
        ]


_ROOM: Final = ("cpu", "memory", "pods")


def _kind(
    source: Any, manifest: Manifest, nodes: Sequence[Manifest], placed: Mapping[tuple[str, str], int]
) -> _Kind:
    labels, spec = pod_of(manifest)
    allowed = _allowed(nodes, spec)
    return _Kind(Group(source.prefix, labels, spec, placed), requests_of(spec), allowed)


def _allowed(nodes: Sequence[Manifest], spec: PodSpec) -> NDArray[np.int64]:
    return np.array([place for place, node in enumerate(nodes) if takes(node, spec)], dtype=np.int64)


def _placed(seen: Observations) -> dict[str, dict[tuple[str, str], int]]:
    """Kind -> (namespace, node) -> pods that were bound, not gone and not at their end when creation ended."""
    end_s = seen.end_s(Stage.CREATION)
    found: dict[str, dict[tuple[str, str], int]] = {}
    bounds = {(made.workload.bound.watch, made.workload.bound.milestone) for made in seen.created}
    for watch, milestone in sorted(bounds):
        made = [kind for kind in seen.created if kind.workload.bound.watch == watch]
        numbers = pl.concat(
            [pl.DataFrame({"index": kind.index}).with_columns(pl.lit(kind.kind).alias("kind")) for kind in made]
        )
        pods = seen.objects.filter((pl.col("watch") == watch) & (pl.col("node") != "")).join(
            numbers, on="index", how="inner", maintain_order="left"
        )
        bound_s = seen.times_s(pods["object"], milestone)
        over_s = np.fmin(seen.times_s(pods["object"], DELETED), seen.times_s(pods["object"], _SUCCEEDED))
        there = (bound_s <= end_s) & ~(over_s <= end_s)
        counted = pods.filter(pl.Series(there)).group_by("kind", "namespace", "node").len()
        for kind, namespace, node, number in counted.sort("kind", "namespace", "node").iter_rows():
            found.setdefault(kind, {})[namespace, node] = number
    return found


def _lower_bound(asked: Mapping[str, Values], offered: Mapping[str, Values], counted: NDArray[np.bool_]) -> int:
    """The fewest nodes whose capacity, from the largest on, suffices: of each resource by itself, then the most.

    The continuous bound of bin packing (Martello and Toth, "Knapsack Problems", 1990, L1), for bins of several
    sizes.
    """
    least = 0
    for resource, amounts in asked.items():
        largest_first = np.cumsum(np.sort(offered[resource][counted])[::-1])
        needed = float(amounts.sum()) * (1 - 1e-9)
        least = max(least, int(np.searchsorted(largest_first, needed, side="left")) + 1)
    return min(least, int(counted.sum()))
