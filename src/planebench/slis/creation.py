"""Creation: from a request due to an object that is up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from planebench.model import ADDED, Stage
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, by_resource, durations, pooled, single
from planebench.slis.kinds import from_due
from planebench.slis.observations import Observations, look_up


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``creation.*``."""
    requests = seen.of_stage(Stage.CREATION, "create")
    if not requests.height:
        return
    wanted = requests.filter(~_as_expected(seen, requests))
    yield from by_resource(CATALOG["creation.response"], wanted)
    yield from by_resource(CATALOG["creation.service"], wanted, since="sent_ns")
    yield from from_due(seen, "creation.seen", lambda made: (made.workload.tracked, ADDED))
    yield from from_due(
        seen, "creation.startup", lambda made: (made.workload.up.watch, made.workload.up.milestone)
    )
    yield from _refusals(seen, requests)
    up, planned = count_up(seen), seen.planned
    if not planned:
        return
    yield single(
        CATALOG["creation.reached"],
        up / planned,
        measured_in=Stage.CREATION,
        of=planned,
        notes=(f"{up:,} of {planned:,} came up",),
        watches=sorted({made.workload.up.watch for made in seen.expected}),
    )


def _as_expected(seen: Observations, requests: pl.DataFrame) -> pl.Series:
    """Creations that were refused as they were to be."""
    refused = [made.index for made in seen.created if made.refused and made.workload.refused is None]
    if not refused:
        return pl.Series([False] * requests.height, dtype=pl.Boolean)
    return requests["index"].is_in(pl.concat(refused).implode()) & requests["status"].is_between(400, 499)


def _refusals(seen: Observations, requests: pl.DataFrame) -> Iterator[Indicator]:
    """Of objects that are to be refused: themselves, or what they are made of."""
    parts, against = [], 0
    refused = requests.filter(_as_expected(seen, requests))
    answers = refused.select("index", (pl.col("done_ns") / 1e9).alias("t_s")).unique("index", keep="first")
    for made in seen.created:
        if not made.refused:
            continue
        told = made.workload.refused
        if told is None:
            end_s = look_up(made.index, answers)
            against += int(np.isnan(end_s).sum())
        else:
            end_s = seen.reached_s(made.index, told.watch, told.milestone)
            up = made.workload.up
            against += int((~np.isnan(seen.reached_s(made.index, up.watch, up.milestone))).sum())
        parts.append(
            durations(
                CATALOG["creation.refused"],
                made.due_s,
                end_s,
                until_s=seen.end_s(Stage.CREATION),
                measured_in=Stage.CREATION,
                part=(made.kind,),
                title=f"{made.kind}: {CATALOG['creation.refused'].title}",
                watches=(told.watch,) if told else (),
            )
        )
    if parts:
        yield from pooled(CATALOG["creation.refused"], parts)
        yield single(CATALOG["creation.unexpected"], against, measured_in=Stage.CREATION, of=len(parts))


def count_up(seen: Observations) -> int:
    """How many objects came up."""
    found = 0
    for made in seen.expected:
        up = made.workload.up
        found += int((~np.isnan(seen.reached_s(made.index, up.watch, up.milestone, made.count(up.watch)))).sum())
    return found
