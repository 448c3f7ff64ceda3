"""One object's way: where its time went from due to up, part by part, without gaps.

The stamps are the load engine's (due, sent), the API server's audit log (received and done, of every write that
concerns the object) and the watch's receipt. Of the writes, those count that the receipt depended on: from the
last one on the object that came up, back to each one's cause, which is the latest earlier write that its sender
watches. The scheduler and the simulator act on the object that they write; controllers act on what belongs to it,
too. The parts:

- a write in the API server's hands, from received to done, or to the next write that followed from it
- from there to the next write: its sender's, be it for the watch's delivery, a queue, a limiter or work
- from the last write to the receipt: the API server's watch

What no write accounts for is unexplained. The sum is the object's creation.startup.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from planebench.components.audit import audit_id
from planebench.components.users import LOAD_USER
from planebench.model import Role, Stage
from planebench.results.attribution import Greatest, StepTime, Trace, TracePart, Way
from planebench.results.audit_log import error_ns
from planebench.results.document import Component
from planebench.results.folder import RunFolder
from planebench.slis.cost import API_SERVER, HARNESS, role_of
from planebench.slis.observations import Created, Observations, id_of

UNEXPLAINED: Final = "unexplained"
CONNECTION: Final = "connection"
"""Between the load engine's write and the API server's first stamp: the kernel, TLS, HTTP, authentication."""
SCHEMA: Final = pl.Schema(
    {
        "index": pl.Int32(),
        "name": pl.String(),
        "resource": pl.String(),
        "place": pl.Int16(),
        "component": pl.String(),
        "step": pl.String(),
        "start_ns": pl.Int64(),
        "end_ns": pl.Int64(),
    }
)
"""``raw/traces.parquet``."""

_WRITES: Final = ("create", "update", "patch", "delete", "deletecollection")
_BINDING: Final = "binding"
_SCHEDULER: Final = "kube-scheduler"
_NEAR: Final = 0.02
"""The part of all objects that stands for a percentile."""
_SLOWEST: Final = 3
_EVIDENCE: Final = ("client.limiter", "queue.wait", "apiserver.queueing", "scheduler.algorithm")

Why = Literal["p50", "p99", "slowest"]


@dataclass(frozen=True, slots=True)
class Write:
    """A write that the API server has carried out."""

    received_ns: int
    done_ns: int
    role: Role
    component: str
    verb: str
    resource: str
    subresource: str

    @property
    def what(self) -> str:
        return f"{self.verb} {id_of(self.resource)}{'/' if self.subresource else ''}{self.subresource}"

    def watches(self, resource: str) -> bool:
        """Whether its sender acts on changes of such an object."""
        focused = self.role is Role.SIMULATOR or self.component == _SCHEDULER
        return resource == self.resource or not focused


@dataclass(frozen=True, slots=True)
class Origin:
    """How an object began."""

    due_ns: int
    sent_ns: int
    write: Write


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a way, on the trial's clock."""

    component: str
    step: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class _Traced:
    index: int
    name: str
    resource: str
    parts: tuple[Part, ...]

    @property
    def start_ns(self) -> int:
        return self.parts[0].start_ns

    @property
    def whole_ns(self) -> int:
        return self.parts[-1].end_ns - self.start_ns


# --- one way -------------------------------------------------------------------------------------------------


def way(origin: Origin, writes: Sequence[Write], up_ns: int, tracked: str) -> tuple[Part, ...]:
    """The parts of one object's way.

    Args:
        origin: due, sent, and the creation as the API server saw it.
        writes: all others that concern the object, in any order.
        up_ns: the receipt of the state that counts as up.
        tracked: the resource id of the object whose state that is.
    """
    chain = _chain(origin.write, writes, up_ns, tracked)
    bound = any(write.subresource == _BINDING for write in chain)
    first = origin.write
    parts = [
        Part(HARNESS, "wait to be sent", origin.due_ns, origin.sent_ns),
        Part(CONNECTION, "request on its way", origin.sent_ns, first.received_ns),
    ]
    for place, write in enumerate(chain):
        following = chain[place + 1] if place + 1 < len(chain) else None
        end_ns = up_ns if following is None else following.received_ns
        done_ns = min(write.done_ns, end_ns)
        parts.append(Part(API_SERVER, write.what, write.received_ns, done_ns))
        if following is not None:
            # A pod is played once it is bound: without a binding, something is missing.
            known = bound or following.role is not Role.SIMULATOR or following.resource != "pods"
            parts.append(
                Part(following.component if known else UNEXPLAINED, f"until {following.what}", done_ns, end_ns)
            )
        elif len(chain) > 1:
            parts.append(Part(API_SERVER, "watch to receipt", done_ns, up_ns))
        else:
            parts.append(Part(UNEXPLAINED, "no write is known that made it so", done_ns, up_ns))
    return tuple(part for part in parts if part.end_ns != part.start_ns)


def _chain(first: Write, writes: Sequence[Write], up_ns: int, tracked: str) -> list[Write]:
    """The writes that the receipt depended on, in their order, the creation first."""
    ordered = sorted(
        (write for write in writes if first.received_ns < write.received_ns < up_ns),
        key=lambda write: write.received_ns,
    )
    chain: list[Write] = []
    for write in reversed(ordered):
        if (not chain and write.resource == tracked) or (chain and chain[-1].watches(write.resource)):
            chain.append(write)
    return [first, *reversed(chain)]


# --- all ways ------------------------------------------------------------------------------------------------


def trace(seen: Observations, components: Sequence[Component]) -> tuple[Trace, pl.DataFrame] | None:
    """The result's part and ``raw/traces.parquet``; None where the load has not named its requests."""
    origins = _origins(seen)
    if not origins:
        return None
    writes = _writes(seen)
    ways: list[_Traced] = []
    untraced = 0
    for made in seen.expected:
        names = dict(_names(seen, made))
        tracked = seen.plane.watches[made.workload.up.watch].resource.resource().id
        for index, up_ns in _up_ns(seen, made):
            resource = made.workload.resource.resource().id
            origin = origins.get((resource, index))
            if origin is None:
                untraced += 1
                continue
            parts = way(origin, writes.get(index, ()), up_ns, tracked)
            ways.append(_Traced(index, names[index], resource, parts))
    if not ways:
        return None
    return _summary(seen, components, ways, untraced), _table(ways)


def write_table(folder: RunFolder, table: pl.DataFrame) -> None:
    """Keep the ways beside the other raw tables, if they are not there yet."""
    path = folder.raw / "traces.parquet"
    if not path.exists():
        partial = path.with_suffix(".partial")
        table.write_parquet(partial, compression="zstd")
        partial.replace(path)


def _up_ns(seen: Observations, made: Created) -> Iterator[tuple[int, int]]:
    up = made.workload.up
    times_s = seen.reached_s(made.index, up.watch, up.milestone, made.count(up.watch))
    for index, t_s in zip(made.index, times_s.tolist(), strict=True):
        if not math.isnan(t_s):
            yield index, round(t_s * 1e9)


def _names(seen: Observations, made: Created) -> Iterator[tuple[int, str]]:
    requests = seen.of_stage(Stage.CREATION, "create")
    mine = requests.filter(pl.col("resource") == made.workload.resource.resource().id)
    yield from mine.select("index", "name").iter_rows()


def _origins(seen: Observations) -> dict[tuple[str, int], Origin]:
    """Resource and number -> how the object began, of creations that name themselves in the audit log."""
    begins = f"{audit_id(seen.run.id)}-"
    own = seen.audit.filter((pl.col("user") == LOAD_USER) & pl.col("audit_id").str.starts_with(begins))
    # An error of the server's own leaves open whether it wrote: that of an object which came up did.
    refused = pl.col("code").is_between(400, 499)
    made = own.filter(~refused).sort(pl.col("code").is_between(200, 299), maintain_order=True)
    own = made.unique("audit_id", keep="last")
    planned = seen.requests.with_columns(operation=pl.int_range(pl.len()).over("phase"))
    planned = planned.filter((pl.col("stage") == Stage.CREATION) & (pl.col("verb") == "create")).with_columns(
        audit_id=pl.format("{}{}-{}", pl.lit(begins), pl.col("phase").cast(pl.String), "operation")
    )
    joined = planned.join(own.select("audit_id", "received_ns", "done_ns"), on="audit_id", how="inner").select(
        "index", "due_ns", "sent_ns", "resource", pl.col("received_ns"), pl.col("done_ns_right").alias("audit_ns")
    )
    return {
        (resource, index): Origin(
            due_ns, sent_ns, Write(received_ns, done_ns, Role.HARNESS, HARNESS, "create", resource, "")
        )
        for index, due_ns, sent_ns, resource, received_ns, done_ns in joined.iter_rows()
    }


def _writes(seen: Observations) -> dict[int, list[Write]]:
    """Number -> everybody else's writes of its objects."""
    resources = {name: watch.resource.resource().id for name, watch in seen.plane.watches.items()}
    objects = seen.objects.filter(pl.col("index") >= 0).with_columns(
        resource=pl.col("watch").cast(pl.String).replace(resources), namespace=pl.col("namespace").cast(pl.String)
    )
    writes = seen.audit.filter(
        pl.col("verb").cast(pl.String).is_in(_WRITES)
        & pl.col("code").is_between(200, 299)
        & (pl.col("resource") != "events")
    ).with_columns(
        resource=pl.when(pl.col("group") == "")
        .then(pl.col("resource").cast(pl.String))
        .otherwise(pl.format("{}.{}", pl.col("resource").cast(pl.String), pl.col("group").cast(pl.String))),
        namespace=pl.col("namespace").cast(pl.String),
    )
    by_name = objects.unique(["resource", "namespace", "name"], keep="first")
    named = writes.join(
        by_name.select("resource", "namespace", "name", "index"), on=["resource", "namespace", "name"]
    )
    owners = objects.filter(pl.col("uid") != "").unique("uid").select(pl.col("uid").alias("owner"), "index")
    owned = writes.filter((pl.col("name") == "") & (pl.col("owner") != "")).join(owners, on="owner")
    found: defaultdict[int, list[Write]] = defaultdict(list)
    columns = ("index", "received_ns", "done_ns", "user", "verb", "resource", "subresource")
    known: dict[str, tuple[Role, str]] = {}
    for frame in (named, owned):
        for index, received_ns, done_ns, user, verb, resource, subresource in frame.select(columns).iter_rows():
            role, component = known.setdefault(user, role_of(user, seen.plane))
            if role is not Role.HARNESS:
                found[index].append(Write(received_ns, done_ns, role, component, verb, resource, subresource))
    return found


def _table(ways: Sequence[_Traced]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (item.index, item.name, item.resource, place, part.component, part.step, part.start_ns, part.end_ns)
            for item in ways
            for place, part in enumerate(item.parts)
        ],
        schema=SCHEMA,
        orient="row",
    )


# --- what they say -------------------------------------------------------------------------------------------


def _summary(seen: Observations, components: Sequence[Component], ways: Sequence[_Traced], untraced: int) -> Trace:
    ordered = sorted(ways, key=lambda item: item.whole_ns)
    total_ns = sum(item.whole_ns for item in ordered)
    steps = _steps(ordered, total_ns)
    chosen: dict[Why, Sequence[_Traced]] = {
        "p50": [ordered[_rank(len(ordered), 50)]],
        "p99": [ordered[_rank(len(ordered), 99)]],
        "slowest": ordered[: -_SLOWEST - 1 : -1],
    }
    return Trace(
        n=len(ordered),
        untraced=untraced,
        p50_s=ordered[_rank(len(ordered), 50)].whole_ns / 1e9,
        p99_s=ordered[_rank(len(ordered), 99)].whole_ns / 1e9,
        unexplained_share=round(sum(step.share for step in steps if step.component == UNEXPLAINED), 4),
        greatest=tuple(_greatest(seen, components, ordered, percent) for percent in (50, 99)),
        steps=tuple(steps),
        ways=tuple(_way(why, item) for why, items in chosen.items() for item in items),
        clock_error_s=error_ns(seen.clock) / 1e9,
    )


def _rank(n: int, percent: float) -> int:
    """Nearest rank, from 0."""
    return max(math.ceil(percent / 100 * n), 1) - 1


def _steps(ways: Sequence[_Traced], total_ns: int) -> list[StepTime]:
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for item in ways:
        sums: defaultdict[tuple[str, str], int] = defaultdict(int)
        for part in item.parts:
            sums[part.component, part.step] += part.end_ns - part.start_ns
        for key, took_ns in sums.items():
            found[key].append(took_ns)
    steps = []
    for (component, step), times_ns in found.items():
        ordered = sorted(times_ns)
        steps.append(
            StepTime(
                component=component,
                step=step,
                n=len(ordered),
                p50_s=ordered[_rank(len(ordered), 50)] / 1e9,
                p99_s=ordered[_rank(len(ordered), 99)] / 1e9,
                share=round(sum(ordered) / total_ns, 4) if total_ns else 0.0,
            )
        )
    return sorted(steps, key=lambda item: (-item.share, item.component, item.step))


def _way(why: Why, item: _Traced) -> Way:
    return Way(
        why=why,
        index=item.index,
        name=item.name,
        whole_s=item.whole_ns / 1e9,
        parts=tuple(
            TracePart(
                component=part.component,
                step=part.step,
                start_s=(part.start_ns - item.start_ns) / 1e9,
                duration_s=(part.end_ns - part.start_ns) / 1e9,
            )
            for part in item.parts
        ),
    )


def _greatest(
    seen: Observations, components: Sequence[Component], ordered: Sequence[_Traced], percent: float
) -> Greatest:
    """Of the objects about a percentile: the component, and its step, with most of their time."""
    many = max(round(len(ordered) * _NEAR), 1)
    start = min(max(_rank(len(ordered), percent) - many // 2, 0), len(ordered) - many)
    near = ordered[start : start + many]
    by_component: defaultdict[str, int] = defaultdict(int)
    by_step: defaultdict[tuple[str, str], int] = defaultdict(int)
    for item in near:
        for part in item.parts:
            by_component[part.component] += part.end_ns - part.start_ns
            by_step[part.component, part.step] += part.end_ns - part.start_ns
    whole_ns = max(sum(item.whole_ns for item in near), 1)
    component = max(by_component, key=lambda name: by_component[name])
    step = max((key for key in by_step if key[0] == component), key=lambda key: by_step[key])
    return Greatest(
        percentile=percent,
        whole_s=whole_ns / many / 1e9,
        objects=many,
        component=component,
        share=round(by_component[component] / whole_ns, 4),
        step=step[1],
        step_share=round(by_step[step] / whole_ns, 4),
        evidence=tuple(_evidence(seen, components, component)),
    )


def _evidence(seen: Observations, components: Sequence[Component], name: str) -> Iterator[str]:
    """What a component's own figures say: CPU, and its waits; of the API server, etcd's disk, too."""
    known: Mapping[str, Component] = {item.name: item for item in components}
    component = known.get(name)
    span = seen.run.span_ns(Stage.CREATION)
    if component is None or span is None:
        return
    used_s = component.cpu_by_stage_s.get(Stage.CREATION)
    if used_s is not None and span[1] > span[0]:
        yield f"{used_s / (span[1] - span[0]) * 1e9:.2f} cores in the creation stage"
    for limit in component.limits:
        if "client" in limit.meaning:
            yield f"{limit.meaning}: {limit.value}"
    yield from _told(component, lambda sli: sli in _EVIDENCE)
    if name == API_SERVER and "etcd" in known:
        yield from _told(known["etcd"], lambda sli: sli == "etcd.fsync")


def _told(component: Component, wanted: Callable[[str], bool]) -> Iterator[str]:
    for row in component.metrics:
        if wanted(row.sli) and row.n and row.value is not None and np.isfinite(row.value):
            p99 = f", p99 {row.p99 * 1e3:.1f} ms" if row.p99 is not None else ""
            yield f"{row.title}: mean {row.value * 1e3:.1f} ms{p99} (n {row.n:,})"
