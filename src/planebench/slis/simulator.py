"""The simulator: how long it takes to play what a node would do, and whether it kept up.

A real cluster has a kubelet on every node; KWOK has a number of workers for all of them. As long as one of them is
free whenever an object comes, what it adds is its own request's time. Where objects queue for a worker, figures
that rest on the simulator tell KWOK's limits, not the control plane's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from planebench.model import Role, Stage
from planebench.planes import Workload
from planebench.slis.machine import busiest_cores
from planebench.slis.observations import Created, Observations, look_up
from planebench.slis.queueing import growth_s, in_hand
from planebench.stats import Sample, Values

RESTS_ON_IT: Final = (
    "creation.startup",
    "management.running",
    "management.ready",
    "management.change",
    "cleanup.deleted",
    "cleanup.gone",
)
"""Indicators that contain what is played, beside those that are nothing else."""


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What the simulator played of a run's first step: an object that a node has got, until it runs."""

    watch: str
    step: str
    sample: Sample
    """From the receipt that hands it over to the receipt of what is played, in seconds."""
    workers: int | None
    """None: the run did not note it."""
    queued: float | None
    """The share of objects that found all workers busy."""
    growth_s: float
    """By how much its median rose: :func:`planebench.slis.queueing.growth_s`."""
    cores: float | None
    """The most CPU it used over five seconds."""
    unloaded_s: float | None
    """Its median when objects come one by one, by ``planebench calibrate`` on this machine; None: not measured."""


def played(seen: Observations) -> Played | None:
    """None where nothing is played. Of a run with faults of components, what was played before the first one."""
    found: list[tuple[Values, Values, Values]] = []
    watch = step = ""
    for made in seen.created:
        place = played_step(seen, made.workload)
        if place is None:
            continue
        watch, before, after = place
        step = f"{before} to {after}"
        objects = seen.firsts(watch, [made])
        start_s = seen.times_s(objects["object"], before)
        came = ~np.isnan(start_s)
        end_s = seen.times_s(objects["object"], after)
        found.append((start_s[came], end_s[came], _service_s(seen, made, objects["index"])[came]))
    if not found or not sum(len(part[0]) for part in found):
        return None
    start_s, end_s, service_s = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(start_s, kind="stable")
    if seen.faults:  # what a component's fault holds up is no fault of the simulator's
        order = order[start_s[order] < seen.faults[0].start_s]
        if not len(order):
            return None
    start_s, end_s, service_s = start_s[order], end_s[order], service_s[order]
    ended = ~np.isnan(end_s)
    noted = seen.folder.environment()
    workers = _workers(noted, seen.plane.watches[watch].resource.kind)
    return Played(
        watch=watch,
        step=step,
        sample=Sample.of(end_s[ended] - start_s[ended], int((~ended).sum())),
        workers=workers,
        queued=None if workers is None else float((in_hand(start_s, end_s) >= workers).mean()),
        growth_s=growth_s(start_s, end_s, service_s),
        cores=busiest_cores(seen, _component(seen)),
        unloaded_s=_unloaded_s(noted),
    )


def played_step(seen: Observations, workload: Workload) -> tuple[str, str, str] | None:
    """A watch, and the milestones before and after the first step that is played there.

    Where a plane plays custom resources, their pods also wait for the plane's controllers: so the last watch other
    than the pods' that has such a step, else the pods'.
    """
    pods = workload.bound.watch
    for watch in [*(watch for watch in reversed(workload.watches) if watch != pods), pods]:
        step = seen.plane.first_played(watch)
        if step is not None:
            return watch, *step
    return None


def _service_s(seen: Observations, made: Created, index: pl.Series) -> Values:
    """What the API server took for the creation that each of these objects came of."""
    requests = seen.of_stage(Stage.CREATION, "create").filter(
        pl.col("ok") & (pl.col("resource") == made.workload.resource.resource().id)
    )
    times = requests.select("index", ((pl.col("done_ns") - pl.col("sent_ns")) / 1e9).alias("t_s"))
    return look_up(index, times.unique("index", keep="first"))


def _component(seen: Observations) -> str:
    found = seen.samples.filter(pl.col("role") == Role.SIMULATOR)["component"]
    return str(found[0]) if len(found) else ""


def _workers(environment: dict[str, Any], kind: str) -> int | None:
    noted = environment.get("simulator")
    workers = noted.get("workers") if isinstance(noted, dict) else None
    found = workers.get(kind.lower()) if isinstance(workers, dict) else None
    return found if isinstance(found, int) and found > 0 else None


def _unloaded_s(environment: dict[str, Any]) -> float | None:
    noted = environment.get("calibration")
    simulator = noted.get("simulator") if isinstance(noted, dict) else None
    found = simulator.get("unloaded_p50_s") if isinstance(simulator, dict) else None
    return float(found) if isinstance(found, int | float) else None
