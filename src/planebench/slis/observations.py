"""A run's raw observations, joined: which object came of which creation, and when it reached what."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from planebench.model import Stage
from planebench.planes import Plane, Workload
from planebench.results import tables
from planebench.results.folder import RunFolder, RunRecord
from planebench.scenario import Scenario
from planebench.stats import Values

ADDED: Final = "added"
DELETING: Final = "deleting"
DELETED: Final = "deleted"
NEVER: Final = np.nan
"""A time that never came, in arrays of seconds."""

_GENERATIONS: Final = 3
"""How far owners are followed: pod, instance, machine."""


def succeeded() -> pl.Expr:
    """A request that had its effect: a 2xx answer, or, sent again after a lost connection, one that says so."""
    again = pl.col("error") == "connection"
    done = ((pl.col("verb") == "create") & (pl.col("status") == 409)) | (
        (pl.col("verb") == "delete") & (pl.col("status") == 404)
    )
    answered = pl.col("done_ns") >= 0
    return (answered & (pl.col("status").is_between(200, 299) | (again.fill_null(False) & done))).alias("ok")


@dataclass(frozen=True, slots=True, eq=False)
class Created:
    """The objects of one kind, by their creation requests; arrays go along with one another."""

    kind: str
    """The kind's name in the scenario: the prefix of its objects' names."""
    workload: Workload
    index: pl.Series
    """Their numbers."""
    due_s: Values


class Observations:
    """Everything that a run folder holds, read once.

    Raises:
        PlanebenchError: a file is missing, damaged or of another version; names it.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.run: RunRecord = folder.run()
        tables.convert(folder, keep=self.run.status == "running")
        self.scenario: Scenario = folder.scenario()
        self.plane: Plane = folder.plane(self.scenario)
        found = tables.read(folder)
        self.requests = found["requests"].with_columns(succeeded())
        """With ``ok``: it had its effect."""
        self.gaps = found["gaps"]
        self.samples = found["samples"]
        self.machine = found["machine"]
        self.events = found["events"]
        self.audit = found["audit"]
        self.clock = found["clock"]
        self.objects = _numbered(found["objects"])
        self.milestones = found["milestones"].join(
            self.objects.select("object", "watch", "index", "name"), on="object", how="inner"
        )
        """With each object's ``watch``, ``index`` and ``name``."""
        self._reached: dict[tuple[str, str], pl.DataFrame] = {}

    @cached_property
    def created(self) -> tuple[Created, ...]:
        """The workload by kind; an operation is a creation once, however often it was sent."""
        requests = self.requests.filter((pl.col("stage") == Stage.CREATION) & (pl.col("verb") == "create"))
        requests = requests.unique("index", keep="first", maintain_order=True)
        prefix = requests["name"].str.replace(r"-\d+$", "")
        found = []
        for kind in self.scenario.workload.objects:
            mine = requests.filter(prefix == kind.prefix)
            if mine.height:
                found.append(
                    Created(
                        kind.prefix, self.plane.workload(kind.template), mine["index"], seconds(mine["due_ns"])
                    )
                )
        return tuple(found)

    def of_stage(self, stage: Stage, verb: str | None = None) -> pl.DataFrame:
        """The stage's requests."""
        chosen = self.requests.filter(pl.col("stage") == stage)
        return chosen if verb is None else chosen.filter(pl.col("verb") == verb)

    def first_reached(self, watch: str, milestone: str) -> pl.DataFrame:
        """``index``, ``t_s``: when the first object of each number reached a milestone."""
        key = (watch, milestone)
        if key not in self._reached:
            self._reached[key] = (
                self._of(watch, milestone).group_by("index").agg((pl.col("t_ns").min() / 1e9).alias("t_s"))
            )
        return self._reached[key]

    def reached_s(self, index: pl.Series, watch: str, milestone: str) -> Values:
        """When the first object of each of these numbers reached a milestone; NaN: it never did."""
        return look_up(index, self.first_reached(watch, milestone))

    def reached_after_s(self, index: pl.Series, after_s: Values, watch: str, milestone: str) -> Values:
        """When an object of each of these numbers reached a milestone, first at or after a time."""
        asked = pl.DataFrame({"index": index, "after_ns": np.rint(after_s * 1e9).astype(np.int64)})
        found = self._of(watch, milestone).join(asked, on="index", how="inner")
        found = found.filter(pl.col("t_ns") >= pl.col("after_ns"))
        return look_up(index, found.group_by("index").agg((pl.col("t_ns").min() / 1e9).alias("t_s")))

    def succeeded_s(self, index: pl.Series, after_s: Values, watch: str, milestone: str) -> Values:
        """When an object that first showed after a time reached a milestone, for each of these numbers."""
        asked = pl.DataFrame({"index": index, "after_ns": np.rint(after_s * 1e9).astype(np.int64)})
        shown = (
            self._of(watch, ADDED)
            .join(asked, on="index", how="inner")
            .filter(pl.col("t_ns") >= pl.col("after_ns"))
        )
        found = self._of(watch, milestone).join(shown.select("object"), on="object", how="semi")
        return look_up(index, found.group_by("index").agg((pl.col("t_ns").min() / 1e9).alias("t_s")))

    def last_reached_s(self, index: pl.Series, watch: str, milestone: str) -> Values:
        """When all objects of each of these numbers had reached a milestone; NaN: one never did."""
        mine = self.objects.filter((pl.col("watch") == watch) & (pl.col("index") >= 0)).select("object", "index")
        times = self.milestones.filter((pl.col("watch") == watch) & (pl.col("milestone") == milestone))
        joined = mine.join(times.select("object", "t_ns"), on="object", how="left")
        last = joined.group_by("index").agg(
            pl.when(pl.col("t_ns").null_count() == 0).then(pl.col("t_ns").max() / 1e9).alias("t_s")
        )
        return look_up(index, last)

    def exists(self, index: pl.Series, watch: str) -> pl.Series:
        """Whether a watch has ever seen an object of each of these numbers."""
        return index.is_in(self.objects.filter(pl.col("watch") == watch)["index"].unique().implode())

    def end_s(self, *stages: Stage) -> float:
        """When the last of these stages' phases ended; the run's end where there are none."""
        spans = [span for stage in stages if (span := self.run.span_ns(stage))]
        return (max(span[1] for span in spans) if spans else self.run.end_ns) / 1e9

    def _of(self, watch: str, milestone: str) -> pl.DataFrame:
        return self.milestones.filter(
            (pl.col("watch") == watch) & (pl.col("milestone") == milestone) & (pl.col("index") >= 0)
        )


def seconds(times_ns: pl.Series) -> Values:
    """Nanoseconds as seconds."""
    return times_ns.to_numpy().astype(np.float64) / 1e9


def look_up(index: pl.Series, times: pl.DataFrame) -> Values:
    """``t_s`` of ``times`` for each number; NaN where it has none."""
    joined = pl.DataFrame({"index": index}).join(times, on="index", how="left", maintain_order="left")
    return joined["t_s"].fill_null(NEVER).to_numpy().astype(np.float64)


def earliest(times: Iterable[Values]) -> Values:
    """The earliest of several times, NaN where all never came."""
    return np.asarray(np.fmin.reduce(list(times)), dtype=np.float64)


def latest(times: Iterable[Values]) -> Values:
    """The latest of several times, NaN where one never came."""
    return np.asarray(np.maximum.reduce(list(times)), dtype=np.float64)


def id_of(resource: str) -> str:
    """A resource id as people say it: without its group."""
    return re.sub(r"\..*", "", resource)


def _numbered(objects: pl.DataFrame) -> pl.DataFrame:
    """Objects without a number of their own take their owner's."""
    for _ in range(_GENERATIONS):
        orphans = (objects["index"] < 0) & (objects["owner"] != "")
        if not orphans.any():
            break
        owners = objects.filter((pl.col("index") >= 0) & (pl.col("uid") != "")).select(
            pl.col("uid").alias("owner"), pl.col("index").alias("owner_index")
        )
        owners = owners.unique("owner")
        joined = objects.join(owners, on="owner", how="left", maintain_order="left")
        objects = joined.with_columns(
            index=pl.when((pl.col("index") < 0) & pl.col("owner_index").is_not_null())
            .then(pl.col("owner_index"))
            .otherwise(pl.col("index"))
        ).drop("owner_index")
    return objects
