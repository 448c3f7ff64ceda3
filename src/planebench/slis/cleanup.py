"""Cleanup: from a deletion due to nothing left."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from planebench.model import DELETED, DELETING, Stage
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, by_resource, durations, pooled, single
from planebench.slis.observations import Created, Observations, earliest, latest, seconds
from planebench.stats import Values


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``cleanup.*``; of objects that have existed, for what never was cannot be deleted."""
    requests = seen.of_stage(Stage.CLEANUP, "delete")
    requests = requests.filter(~seen.gone(requests))  # preempted, evicted: there is nothing to delete
    if requests.height:
        yield from by_resource(CATALOG["cleanup.response"], requests)
        yield from _deletions(seen, requests)
    leftovers = seen.folder.leftovers()
    if leftovers is not None:
        shown = ", ".join(str(item) for item in leftovers[:3]) + (", ..." if len(leftovers) > 3 else "")
        yield single(
            CATALOG["cleanup.leftovers"],
            len(leftovers),
            measured_in=Stage.CLEANUP,
            notes=(shown,) if shown else (),
        )


def _deletions(seen: Observations, requests: pl.DataFrame) -> Iterator[Indicator]:
    until_s = seen.end_s(Stage.CLEANUP)

    def ended(sli: str, due_s: Values, end_s: Values, *watches: str) -> Indicator:
        return durations(CATALOG[sli], due_s, end_s, until_s=until_s, measured_in=Stage.CLEANUP, watches=watches)

    deleting, deleted, gone, collected, net = [], [], [], [], []
    by_watch: dict[str, list[Indicator]] = {}
    for made in seen.created:
        tracked = made.workload.tracked
        index, due_s = _asked(seen, made, requests)
        end_s = seen.reached_after_s(index, due_s, tracked, DELETED)
        marked_s = earliest((seen.reached_after_s(index, due_s, tracked, DELETING), end_s))
        deleting.append(ended("cleanup.deleting", due_s, marked_s, tracked))
        deleted.append(ended("cleanup.deleted", due_s, end_s, tracked))
        ends = [end_s]
        for watch in made.workload.watches:
            all_s = seen.last_reached_s(index, watch, DELETED)
            # What was gone before its owner was to be deleted (a machine that is stopped) is no part of this.
            there = seen.exists(index, watch).to_numpy() & ~(all_s < due_s)
            ends.append(np.where(there, all_s, -np.inf))
            by_watch.setdefault(watch, []).append(ended("cleanup.deleted", due_s[there], all_s[there], watch))
        gone.append(ended("cleanup.gone", due_s, latest(ends), *made.workload.watches))
        if made.children:
            last_s = latest([end_s, *ends[1:]])
            found = durations(
                CATALOG["cleanup.collected"],
                end_s,
                last_s,
                until_s=until_s,
                measured_in=Stage.CLEANUP,
                part=(made.kind,),
                title=f"{made.kind}: {CATALOG['cleanup.collected'].title}",
                from_due=False,
                watches=made.workload.watches,
            )
            collected.append(found)
        if delay_s := made.workload.deletion_delay_s:
            net.append(
                durations(
                    CATALOG["cleanup.net"],
                    due_s + delay_s,
                    end_s,
                    until_s=until_s,
                    measured_in=Stage.CLEANUP,
                    part=(made.kind,),
                    title=f"{made.kind}: {CATALOG['cleanup.net'].title}",
                    watches=(tracked,),
                    notes=(f"{delay_s:g} s subtracted, which the controller waits by design",),
                )
            )
    yield pooled(CATALOG["cleanup.deleting"], deleting)[0]
    yield pooled(CATALOG["cleanup.deleted"], deleted)[0]
    if len(by_watch) > 1:
        for watch, parts in by_watch.items():
            whole = pooled(CATALOG["cleanup.deleted"], parts)[0]
            yield whole.renamed(CATALOG["cleanup.deleted"].part(watch), f"{watch}: deleted")
        yield pooled(CATALOG["cleanup.gone"], gone)[0]
    yield from pooled(CATALOG["cleanup.collected"], collected)
    yield from pooled(CATALOG["cleanup.net"], net)


def _asked(seen: Observations, made: Created, requests: pl.DataFrame) -> tuple[pl.Series, Values]:
    """The numbers of this kind's objects that were to be deleted and had existed, and when that was due."""
    resource = made.workload.resource.resource().id  # companions have the same number
    mine = requests.filter(pl.col("index").is_in(made.index.implode()) & (pl.col("resource") == resource))
    mine = mine.filter(seen.exists(mine["index"], made.workload.tracked))
    return mine["index"], seconds(mine["due_ns"])
