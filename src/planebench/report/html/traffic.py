"""Requests by who sent them and what they asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from planebench.model import Role
from planebench.results.document import Component, Row
from planebench.slis.observations import Observations, id_of, seconds
from planebench.stats import Sample

SENT: Final = "sent"
ANSWERED: Final = "answered"
_CLIENT: Final = "client."
"""Indicators of what a component sends begin so."""


@dataclass(frozen=True, slots=True)
class Sender:
    """How much a component sent or, of a server, answered while the stages went on."""

    component: Component
    direction: str
    """``sent`` or ``answered``."""
    requests: int
    per_s: float | None
    errors: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """planebench's own requests of one kind."""

    phase: str
    verb: str
    resource: str
    n: int
    failed: int
    p50_s: float | None
    p99_s: float | None
    max_s: float | None
    """From due to done, as in the stages' figures; None: among the failed ones."""
    bytes_received: int


@dataclass(frozen=True, slots=True)
class Served:
    """What the API server counted, by verb and resource, and its most frequent kinds of request."""

    total: Row
    parts: tuple[Row, ...]


def senders(components: Sequence[Component]) -> tuple[Sender, ...]:
    """Components that tell of their requests, those that answer first."""
    found = [
        Sender(component, _direction(component), component.requests, component.rate_per_s, component.errors)
        for component in components
        if component.requests is not None
    ]
    return tuple(sorted(found, key=lambda sender: (sender.direction != ANSWERED, -sender.requests)))


def _direction(component: Component) -> str:
    client = component.role is Role.HARNESS or any(row.sli.startswith(_CLIENT) for row in component.metrics)
    return SENT if client else ANSWERED


def asked(seen: Observations) -> tuple[Asked, ...]:
    """All requests of the load engine by phase, verb and resource, in the order of time."""
    found = []
    keys = ["phase", "verb", "resource", "subresource"]
    for (phase, verb, resource, subresource), mine in seen.requests.group_by(keys, maintain_order=True):
        ok = mine.filter(pl.col("ok"))
        took = Sample.of(seconds(ok["done_ns"] - ok["due_ns"]), mine.height - ok.height)
        p50, p99, largest = (_finite(took.percentile(percent)) for percent in (50, 99, 100))
        what = id_of(str(resource)) + (f"/{subresource}" if subresource else "")
        received = int(mine["bytes_received"].sum())
        found.append(Asked(str(phase), str(verb), what, mine.height, took.missing, p50, p99, largest, received))
    return tuple(found)


def served(components: Sequence[Component]) -> Served | None:
    """None where the API server did not tell."""
    rows = [row for component in components if component.name == "kube-apiserver" for row in component.metrics]
    total = next((row for row in rows if row.sli == "apiserver.request"), None)
    if total is None:
        return None
    return Served(total, tuple(row for row in rows if row.part_of == total.sli))


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None
