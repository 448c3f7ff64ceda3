"""What etcd holds when all is over, against what was acknowledged and what was shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from planebench.model import ADDED, DELETED, Stage
from planebench.plan.canary import NAMESPACE
from planebench.slis.observations import Observations


@dataclass(frozen=True, slots=True)
class Inconsistencies:
    """Objects that are not as they should be, by name."""

    lost: tuple[str, ...]
    """Writes that were acknowledged and are not in etcd: creations whose object is not there though no watch has
    shown its end, and writes of canaries that an earlier one has survived."""
    cache: tuple[str, ...]
    """What an API server serves from its watch cache and what etcd holds differ."""
    watch: tuple[str, ...]
    """What the run's own watches hold and what etcd holds differ."""


def inconsistencies(seen: Observations) -> Inconsistencies | None:
    """None where nobody has looked into etcd."""
    found = seen.folder.consistency()
    if not found:
        return None
    t_ns = int(found["t_ns"])
    lost: list[str] = []
    cache: list[str] = []
    watch: list[str] = []
    for collection in found["collections"]:
        resource, stored = str(collection["resource"]), set(collection["etcd"])
        gone = _watched(seen, resource, t_ns, DELETED)
        lost += (f"{resource} {name}" for name in sorted(_acknowledged(seen, resource, t_ns) - stored - gone))
        for number, held in enumerate(collection["caches"], 1):
            cache += (f"{resource} {name}: cache {number}" for name in sorted(stored ^ set(held)))
        if _is_watched(seen, resource):
            alive = _watched(seen, resource, t_ns, ADDED) - gone
            watch += (f"{resource} {name}: watch" for name in sorted(stored ^ alive))
    lost += _canaries(seen, found["canaries"], t_ns)
    return Inconsistencies(tuple(lost), tuple(cache), tuple(watch))


def _acknowledged(seen: Observations, resource: str, t_ns: int) -> set[str]:
    requests = seen.of_stage(Stage.CREATION, "create").filter(
        pl.col("ok") & (pl.col("resource") == resource) & (pl.col("done_ns") < t_ns)
    )
    return _names(requests)


def _watched(seen: Observations, resource: str, t_ns: int, milestone: str) -> set[str]:
    """Names of a resource's objects that have reached a milestone; of several of one name the last one counts."""
    watches = _watches_of(seen, resource)
    objects = seen.objects.filter(pl.col("watch").is_in(watches)).sort("object")
    objects = objects.unique(["namespace", "name"], keep="last", maintain_order=True)
    reached = seen.milestones.filter(
        pl.col("watch").is_in(watches) & (pl.col("milestone") == milestone) & (pl.col("t_ns") < t_ns)
    )
    return _names(objects.join(reached.select("object").unique(), on="object", how="semi"))


def _watches_of(seen: Observations, resource: str) -> list[str]:
    return [name for name, watch in seen.plane.watches.items() if watch.resource.resource().id == resource]


def _is_watched(seen: Observations, resource: str) -> bool:
    used = {watch for made in seen.created for watch in made.workload.watches}
    return any(watch in used for watch in _watches_of(seen, resource))


def _names(frame: pl.DataFrame) -> set[str]:
    return {f"{namespace}/{name}" for namespace, name in frame.select("namespace", "name").iter_rows()}


def _canaries(seen: Observations, stored: Mapping[str, Any], t_ns: int) -> Iterator[str]:
    """Writes of canaries that were acknowledged, and sent after the one that is stored had been: each of them must
    have taken its place."""
    writes = seen.requests.filter(
        (pl.col("namespace") == NAMESPACE)
        & (pl.col("verb") == "patch")
        & (pl.col("done_ns") < t_ns)
        & pl.col("ok")
    )
    for name, revision in stored.items():
        if not isinstance(revision, str) or not revision.isdecimal():
            continue
        mine = writes.filter(pl.col("name") == name)
        last = mine.filter(pl.col("index") == int(revision))
        if last.height:  # otherwise it took effect, but its answer was lost: nothing is known of its time
            later = mine.filter(pl.col("sent_ns") > last["done_ns"].max())
            yield from (f"{name} write {index}" for index in sorted(later["index"].to_list()))
