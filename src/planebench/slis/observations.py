"""A run's raw observations, joined: which object came of which creation, and when it reached what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from planebench.model import ADDED, DELETED, REVISION_PREFIX, Stage
from planebench.plan import CANARY, children_of
from planebench.planes import Plane, Workload
from planebench.results import tables
from planebench.results.folder import RunFolder, RunRecord
from planebench.scenario import Scenario, apportion
from planebench.slis.windows import Window, disturbed, windows
from planebench.stats import Values

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
    children: Mapping[str, int] = field(default_factory=dict)
    """Watch -> how many objects of it each of them gives rise to; a watch that is not here has one."""
    expected: bool = True
    """They are to come up."""
    refused: bool = False
    """They, or what they are made of, are to be refused; False, and not expected either: to find no node."""

    def count(self, watch: str) -> int:
        """How many objects of a watch each of them gives rise to."""
        return self.children.get(watch, 1)


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
        self.traffic = found["traffic"]
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
        prefix = pl.col("name").str.replace(r"-\d+$", "")
        found = []
        for kind in self.scenario.workload.objects:
            workload = self.plane.workload(kind.template)
            # Companions go by the same name and number.
            mine = requests.filter(
                (prefix == kind.prefix) & (pl.col("resource") == workload.resource.resource().id)
            )
            mine = mine.unique("index", keep="first", maintain_order=True)
            if mine.height:
                found.append(
                    Created(
                        kind=kind.prefix,
                        workload=workload,
                        index=mine["index"],
                        due_s=seconds(mine["due_ns"]),
                        children=children_of(kind, self.scenario, self.plane),
                        expected=kind.expect == "up",
                        refused=kind.expect == "refused",
                    )
                )
        return tuple(found)

    @cached_property
    def faults(self) -> tuple[Window, ...]:
        """Faults of components, in the order of their starts."""
        return tuple(windows(self.run))

    def undisturbed(self, frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """Rows of which none of these times (in ns) falls into a fault of a component, or right after one."""
        for column in columns:
            frame = frame.filter(~pl.Series(disturbed(self.faults, seconds(frame[column]))))
        return frame

    @property
    def expected(self) -> tuple[Created, ...]:
        """Those of the workload that are to come up."""
        return tuple(made for made in self.created if made.expected)

    @cached_property
    def planned(self) -> int:
        """How many objects the scenario wants to come up."""
        return self.planned_to("up")

    def planned_to(self, become: str) -> int:
        """How many objects the scenario expects this of: up, unschedulable or refused."""
        workload = self.scenario.workload
        sizes = apportion(workload.count, [kind.share for kind in workload.objects])
        return sum(size for kind, size in zip(workload.objects, sizes, strict=True) if kind.expect == become)

    def firsts(self, watch: str, kinds: Iterable[Created]) -> pl.DataFrame:
        """The objects of a watch that these kinds gave rise to at first, as many as each was to have: without
        their successors. Columns of the objects table, and ``kind``."""
        wanted = [
            pl.DataFrame({"index": made.index}).with_columns(
                pl.lit(made.kind).alias("kind"), pl.lit(made.count(watch)).alias("children")
            )
            for made in kinds
            if watch in made.workload.watched(self.scenario.lifecycle.management)
        ]
        mine = self.objects.filter((pl.col("watch") == watch) & (pl.col("index") >= 0)).sort("object")
        if not wanted:
            return mine.clear().with_columns(pl.lit("").alias("kind"))
        joined = mine.join(pl.concat(wanted), on="index", how="inner", maintain_order="left")
        return joined.filter(pl.int_range(pl.len()).over("index") < pl.col("children")).drop("children")

    def times_s(self, objects: pl.Series, milestone: str) -> Values:
        """When each of these objects reached a milestone; NaN: never."""
        times = self.milestones.filter(pl.col("milestone") == milestone)
        times = times.group_by("object").agg((pl.col("t_ns").min() / 1e9).alias("t_s"))
        joined = pl.DataFrame({"object": objects}).join(times, on="object", how="left", maintain_order="left")
        return joined["t_s"].fill_null(NEVER).to_numpy().astype(np.float64)

    def gone(self, requests: pl.DataFrame) -> pl.Series:
        """Whether each request asks in vain: its object had been seen to end before it was due and before any was
        to be deleted (preempted, evicted), or had never come to be."""
        cleanup = self.run.span_ns(Stage.CLEANUP)
        before_ns = cleanup[0] if cleanup else self.run.end_ns
        ends = [
            self._of(made.workload.tracked, DELETED).filter(pl.col("index").is_in(made.index.implode()))
            for made in self.created
        ]
        if not ends:
            return pl.Series("gone", [False] * requests.height, dtype=pl.Boolean)
        first = (
            pl.concat(ends)
            .filter(pl.col("t_ns") < before_ns)
            .group_by("index")
            .agg(pl.col("t_ns").min().alias("end_ns"))
        )
        # Another one of its number may be there in its place.
        first = first.filter(~pl.col("index").is_in(self._alive(before_ns).implode()))
        joined = requests.join(first, on="index", how="left", maintain_order="left")
        ended = (joined["end_ns"] < joined["due_ns"]).fill_null(value=False)
        return (ended | requests["index"].is_in(self._never.implode())).rename("gone")

    def _alive(self, t_ns: int) -> pl.Series:
        """Numbers of tracked objects that were there at a time, in place of others."""
        counts: list[pl.DataFrame] = []
        for watch in {made.workload.tracked for made in self.created}:
            for milestone, sign in ((ADDED, 1), (DELETED, -1)):
                mine = self._of(watch, milestone).filter(pl.col("t_ns") < t_ns)
                counts.append(mine.select("index", pl.lit(sign, dtype=pl.Int32).alias("n")))
        total = pl.concat(counts).group_by("index").agg(pl.col("n").sum())
        return total.filter(pl.col("n") > 0)["index"]

    @cached_property
    def _never(self) -> pl.Series:
        """Numbers of objects whose creation failed and that no watch has ever shown."""
        created = self.of_stage(Stage.CREATION, "create")
        made = created.group_by("index").agg(pl.col("ok").any())
        failed = made.filter(~pl.col("ok"))["index"]
        return failed.filter(~failed.is_in(self.objects["index"].unique().implode()))

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

    def reached_s(self, index: pl.Series, watch: str, milestone: str, count: int = 1) -> Values:
        """When ``count`` objects of each of these numbers had reached a milestone; NaN: they never did."""
        if count == 1:
            return look_up(index, self.first_reached(watch, milestone))
        return look_up(index, _nth(self._of(watch, milestone), count))

    def reached_after_s(self, index: pl.Series, after_s: Values, watch: str, milestone: str) -> Values:
        """When an object of each of these numbers reached a milestone, first at or after a time."""
        asked = pl.DataFrame({"index": index, "after_ns": np.rint(after_s * 1e9).astype(np.int64)})
        found = self._of(watch, milestone).join(asked, on="index", how="inner")
        found = found.filter(pl.col("t_ns") >= pl.col("after_ns"))
        return look_up(index, found.group_by("index").agg((pl.col("t_ns").min() / 1e9).alias("t_s")))

    def succeeded_s(self, index: pl.Series, after_s: Values, watch: str, milestone: str, count: int = 1) -> Values:
        """When ``count`` objects that first showed after a time had reached a milestone, by number."""
        asked = pl.DataFrame({"index": index, "after_ns": np.rint(after_s * 1e9).astype(np.int64)})
        shown = (
            self._of(watch, ADDED)
            .join(asked, on="index", how="inner")
            .filter(pl.col("t_ns") >= pl.col("after_ns"))
        )
        found = self._of(watch, milestone).join(shown.select("object"), on="object", how="semi")
        return look_up(index, _nth(found, count))

    def last_reached_s(self, index: pl.Series, watch: str, milestone: str) -> Values:
        """When all objects of each of these numbers had reached a milestone; NaN: one never did."""
        mine = self.objects.filter((pl.col("watch") == watch) & (pl.col("index") >= 0)).select("object", "index")
        times = self.milestones.filter((pl.col("watch") == watch) & (pl.col("milestone") == milestone))
        joined = mine.join(times.select("object", "t_ns"), on="object", how="left")
        last = joined.group_by("index").agg(
            pl.when(pl.col("t_ns").null_count() == 0).then(pl.col("t_ns").max() / 1e9).alias("t_s")
        )
        return look_up(index, last)

    def canary_s(self, index: pl.Series) -> Values:
        """When the canary's watch first showed each of these writes: its number is the revision; NaN: never."""
        shown = self.milestones.filter(
            (pl.col("watch") == CANARY) & pl.col("milestone").str.starts_with(REVISION_PREFIX)
        ).with_columns(index=pl.col("milestone").str.strip_prefix(REVISION_PREFIX).cast(pl.Int32, strict=False))
        first = shown.drop_nulls("index").group_by("index").agg((pl.col("t_ns").min() / 1e9).alias("t_s"))
        return look_up(index, first)

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


def _nth(times: pl.DataFrame, count: int) -> pl.DataFrame:
    """``index``, ``t_s``: the time of each number's ``count``-th object, where it has so many."""
    nth = times.sort("t_ns").filter(pl.int_range(pl.len()).over("index") == count - 1)
    return nth.select("index", (pl.col("t_ns") / 1e9).alias("t_s"))


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
