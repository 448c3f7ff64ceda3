"""Work that was done twice: pods beyond what an object asks for.

Leader election does not fence: a leader that was stopped goes on where it was until its next renewal fails, and
its successor works meanwhile.
"""

from __future__ import annotations

import polars as pl

from planebench.model import ADDED, DELETED, DELETING, Stage
from planebench.slis.observations import Observations


def surplus(seen: Observations) -> tuple[list[str], int]:
    """Names of pods too many when the creation had come to its end, and how many pods controllers had made by
    then; of objects that are pods themselves there are none."""
    span_ns = seen.run.span_ns(Stage.CREATION)
    names: list[str] = []
    of = 0
    for made in seen.created:
        watch = made.workload.bound.watch
        if span_ns is None or watch == made.workload.tracked:
            continue
        pods = _alive(seen, watch, span_ns[1]).filter(pl.col("index").is_in(made.index.implode()))
        of += pods.height
        names += beyond(pods, made.count(watch))
    return names, of


def beyond(pods: pl.DataFrame, count: int) -> list[str]:
    """Names of the last pods of each ``index`` that has more than ``count``; ``added_ns``: when each was seen."""
    ranked = pods.sort("added_ns").with_columns(place=pl.int_range(pl.len()).over("index"))
    return [str(name) for name in ranked.filter(pl.col("place") >= count)["name"].to_list()]


def _alive(seen: Observations, watch: str, t_ns: int) -> pl.DataFrame:
    """Objects of a watch that were there at a time, and not on their way out."""
    reached = seen.milestones.filter((pl.col("watch") == watch) & (pl.col("t_ns") <= t_ns))
    added = reached.filter(pl.col("milestone") == ADDED).select("object", added_ns="t_ns")
    gone = reached.filter(pl.col("milestone").is_in([DELETING, DELETED]))
    objects = seen.objects.select("object", "index", "name").join(added, on="object")
    return objects.join(gone, on="object", how="anti")
