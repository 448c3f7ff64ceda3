"""Monitoring: what looking at the cluster takes, and how fresh what is seen is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from planebench.model import Stage
from planebench.plan import CANARY, NODES, STORM
from planebench.slis import node_health
from planebench.slis.catalog import CATALOG, Definition
from planebench.slis.indicator import Indicator, durations, pooled, responses, single
from planebench.slis.observations import Observations, id_of, seconds
from planebench.stats import Sample

_READY = "ready"


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``monitoring.*``."""
    requests = seen.of_stage(Stage.MONITORING)
    stormed = pl.col("phase").str.starts_with(STORM)
    yield from _storms(requests.filter(stormed))
    lists = requests.filter((pl.col("verb") == "list") & ~stormed)
    yield from pooled(
        CATALOG["monitoring.list"],
        [
            responses(
                CATALOG["monitoring.list"],
                mine,
                measured_in=Stage.MONITORING,
                part=(id_of(resource), form),
                title=f"LIST {id_of(resource)}, {form}",
            )
            for resource, form, mine in _by_form(lists)
        ],
    )
    yield from pooled(
        CATALOG["monitoring.list_bytes"],
        [
            _sizes(CATALOG["monitoring.list_bytes"], resource, form, mine)
            for resource, form, mine in _by_form(lists)
        ],
    )
    reads = requests.filter(pl.col("verb") == "get")
    reads = reads.filter(~seen.gone(reads))
    if reads.height:
        yield responses(CATALOG["monitoring.read"], reads, measured_in=Stage.MONITORING)
    writes = requests.filter(pl.col("verb") == "patch")
    if writes.height:
        yield responses(CATALOG["monitoring.write"], writes, measured_in=Stage.MONITORING)
        yield _staleness(seen, writes.filter(pl.col("ok")))
    if (seen.objects["watch"] == NODES).any():
        yield _node_health(seen)
    yield from node_health.indicators(seen)


def _storms(lists: pl.DataFrame) -> list[Indicator]:
    return pooled(
        CATALOG["monitoring.storm"],
        [
            responses(
                CATALOG["monitoring.storm"],
                mine,
                measured_in=Stage.MONITORING,
                part=(id_of(resource), form),
                title=f"LIST storm of {mine.height:,}: {id_of(resource)}, {form}",
            )
            for resource, form, mine in _by_form(lists)
        ],
    )


def _by_form(lists: pl.DataFrame) -> list[tuple[str, str, pl.DataFrame]]:
    """A LIST's operation is named by its form."""
    return [
        (str(resource), str(form), mine)
        for (resource, form), mine in lists.group_by("resource", "name", maintain_order=True)
    ]


def _sizes(definition: Definition, resource: str, form: str, lists: pl.DataFrame) -> Indicator:
    return Indicator(
        definition=definition,
        measured_in=Stage.MONITORING,
        id=definition.part(id_of(resource), form),
        title=f"LIST {id_of(resource)}, {form}: size",
        sample=Sample.of(lists.filter(pl.col("ok"))["bytes_received"].to_numpy()),
    )


def _staleness(seen: Observations, writes: pl.DataFrame) -> Indicator:
    answered_s, seen_s = seconds(writes["done_ns"]), seen.canary_s(writes["index"])
    return durations(
        CATALOG["monitoring.canary"],
        answered_s,
        seen_s,
        until_s=seen.end_s(Stage.MONITORING),
        measured_in=Stage.MONITORING,
        from_due=False,
        watches=(CANARY,),
        signed=True,
        notes=("below zero: the event came before the answer",) if (seen_s < answered_s).any() else (),
    )


def node_times_s(seen: Observations) -> Indicator | None:
    """``nodes.ready``; None where nodes were not watched."""
    if not (seen.objects["watch"] == NODES).any():
        return None
    requests = seen.requests.filter((pl.col("verb") == "create") & (pl.col("resource") == "nodes"))
    if not requests.height:
        return None
    ready = seen.milestones.filter((pl.col("watch") == NODES) & (pl.col("milestone") == _READY))
    times = ready.group_by("name").agg((pl.col("t_ns").min() / 1e9).alias("t_s"))
    joined = requests.join(times, on="name", how="left", maintain_order="left")
    ends = [phase.end_ns for phase in seen.run.phases if phase.name == requests["phase"][0]]
    return durations(
        CATALOG["nodes.ready"],
        seconds(requests["due_ns"]),
        joined["t_s"].fill_null(np.nan).to_numpy().astype(np.float64),
        until_s=(max(ends) if ends else seen.run.end_ns) / 1e9,
        measured_in=None,
        watches=(NODES,),
    )


def _node_health(seen: Observations) -> Indicator:
    ready = seen.milestones.filter((pl.col("watch") == NODES) & (pl.col("milestone") == _READY))["name"].n_unique()
    return single(
        CATALOG["monitoring.node_health"],
        ready / seen.scenario.node_count,
        measured_in=Stage.MONITORING,
        of=seen.scenario.node_count,
        watches=(NODES,),
        notes=(f"{ready:,} of {seen.scenario.node_count:,}",),
    )
