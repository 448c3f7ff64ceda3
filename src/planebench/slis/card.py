"""A plane's cost card: what one object of a run has cost each component, over the stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from planebench.model import PlanebenchError, Role, Stage
from planebench.results.attribution import Traffic
from planebench.results.document import Component, Result
from planebench.results.folder import RunFolder
from planebench.slis.cost import API_SERVER, cpu_in_stages_s, requests_in_stages, role_of
from planebench.slis.evaluation import evaluate_seen
from planebench.slis.observations import Observations

_WRITES: Final = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class CardRow:
    """What a component has cost in all; None: it is not known."""

    component: str
    title: str
    role: Role
    requests: int | None
    """That it sent to the API server; of the API server, all that it answered. Watches are left out."""
    writes: int | None
    """Those of them that change something."""
    traffic_bytes: int | None
    """That it exchanged with the API server on connections of its own; of the API server, with etcd."""
    cpu_s: float | None
    """User and system, while the stages went on."""
    memory_bytes: int | None
    """How much its resident memory grew from before the first object to its most before the first deletion."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the objects of a run have cost."""

    run: str
    scenario: str
    plane: str
    objects: int
    """Created."""
    audited: bool
    """Whether the API server's audit log tells requests by component."""
    rows: tuple[CardRow, ...]


def card(path: Path) -> Card:
    """The cost card of a run folder.

    Raises:
        UsageError: there is no such run folder.
        PlanebenchError: it is damaged, or no object was created.
    """
    seen = Observations(RunFolder.open(path))
    result = evaluate_seen(seen)
    if not result.counts.created:
        raise PlanebenchError(f"{path}: no object was created, so there is no cost of one")
    audited = bool(seen.audit.height)
    sent = _sent(seen) if audited else {}
    return Card(
        run=result.run_id,
        scenario=result.scenario,
        plane=result.plane,
        objects=result.counts.created,
        audited=audited,
        rows=tuple(_row(seen, part, sent, result) for part in result.components),
    )


def _row(seen: Observations, part: Component, sent: dict[str, tuple[int, int]], result: Result) -> CardRow:
    requests, writes = sent.get(part.name, (None, None))
    return CardRow(
        component=part.name,
        title=part.title,
        role=part.role,
        requests=requests,
        writes=writes,
        traffic_bytes=_bytes(result.cost.traffic if result.cost else (), part.name),
        cpu_s=cpu_in_stages_s(part),
        memory_bytes=_grown(seen, part.name),
    )


def _sent(seen: Observations) -> dict[str, tuple[int, int]]:
    """Component -> its requests and writes; the API server has the sum of all, for it answers them."""
    requests = requests_in_stages(seen).filter(~pl.col("watch"))
    by_user = requests.group_by("user").agg(
        pl.len().alias("requests"), pl.col("verb").is_in(_WRITES).sum().alias("writes")
    )
    found: dict[str, tuple[int, int]] = {}
    for user, many, writes in by_user.iter_rows():
        for component in {role_of(user, seen.plane)[1], API_SERVER}:
            before = found.get(component, (0, 0))
            found[component] = before[0] + many, before[1] + writes
    return found


def _bytes(traffic: Sequence[Traffic], component: str) -> int | None:
    peer = "etcd" if component == API_SERVER else API_SERVER
    mine = [
        one.sent_bytes + one.received_bytes for one in traffic if one.component == component and one.peer == peer
    ]
    return sum(mine) if mine else None


def _grown(seen: Observations, component: str) -> int | None:
    creation = seen.run.span_ns(Stage.CREATION)
    if creation is None:
        return None
    cleanup = seen.run.span_ns(Stage.CLEANUP)
    end_ns = cleanup[0] if cleanup else seen.run.end_ns
    grown = []
    for samples in seen.samples.filter(pl.col("component") == component).sort("t_ns").partition_by("process"):
        before = samples.filter(pl.col("t_ns") <= creation[0]).tail(1)["rss_bytes"]
        during = samples.filter(pl.col("t_ns").is_between(creation[0], end_ns))["rss_bytes"].to_list()
        if before.len() and during:
            grown.append(max(max(during) - int(before[0]), 0))
    return sum(grown) if grown else None


def exponent(objects: Sequence[int], amounts: Sequence[float]) -> float | None:
    """How an amount grows with the number of objects: ``k`` of ``amount = c * objects**k``, by least squares of
    the logarithms. 1: in proportion; 2: with the square. None: there are not two numbers to tell it from."""
    if len(set(objects)) < 2 or min(amounts, default=0) <= 0:
        return None
    return float(np.polyfit(np.log(np.array(objects, float)), np.log(np.array(amounts, float)), 1)[0])
