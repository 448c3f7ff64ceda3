"""How work went on around faults: when a component did its part again, and when what had piled up was done."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from planebench.model import ADDED, Stage
from planebench.slis import simulator
from planebench.slis.observations import Created, Observations, seconds
from planebench.slis.windows import Window
from planebench.stats import Values

_CONTROLLER_MANAGER: Final = "kube-controller-manager"


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a component does again and again: handed over at one time, done at another (NaN: never)."""

    what: str
    """In words."""
    handed_s: Values
    done_s: Values

    def first_s(self, window: Window) -> float | None:
        """When the first piece that was handed over while the fault was in effect, or later, was done; NaN: none
        was; None: none was handed over."""
        mine = (self.handed_s >= window.struck_s) & (self.handed_s < window.until_s)
        if not mine.any():
            return None
        done_s = self.done_s[mine & (self.done_s <= window.until_s)]
        return float(done_s.min()) if len(done_s) else math.nan

    def caught_up_s(self, window: Window) -> float | None:
        """When there was no more in hand than before the fault; its start where there never was; NaN: not until
        the window's end; None: it is not known what was before."""
        if window.before_s >= window.calm_s or not (self.handed_s < window.until_s).any():
            return None
        times_s, in_hand = self._in_hand(window.until_s)
        before = in_hand[(times_s >= window.before_s) & (times_s <= window.calm_s)]
        most = max(int(before.max()) if len(before) else 0, 1)
        after = (times_s > window.start_s) & (times_s <= window.until_s)
        above = np.flatnonzero(after & (in_hand > most))
        if not len(above):
            return window.start_s
        # It may dip and rise again while the fault goes on: what counts is the last rise of that time, and how it
        # was when the fault was over. What rises later belongs to the load.
        rises = above[times_s[above] <= window.over_s]
        first = rises[-1] if len(rises) else above[0]
        below = np.flatnonzero(after & (in_hand <= most) & (np.arange(len(times_s)) > first))
        return float(times_s[below[0]]) if len(below) else math.nan

    def _in_hand(self, until_s: float) -> tuple[Values, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """At each time at which something was handed over or done, how many were in hand afterwards."""
        done = ~np.isnan(self.done_s)
        times_s = np.concatenate([self.handed_s, self.done_s[done]])
        steps = np.concatenate([np.ones(len(self.handed_s), np.int64), -np.ones(int(done.sum()), np.int64)])
        order = np.lexsort((steps, times_s))  # what is done and handed over at once was never two
        return times_s[order], np.cumsum(steps[order])


def work_of(seen: Observations, target: str) -> Work | None:
    """What a component, or the client of a connection, is known to do; None where the workload gives it nothing
    that can be told apart."""
    component = target.partition(" to ")[0]
    simulated = {
        str(name) for name in seen.samples.filter(seen.samples["role"] == "simulator")["component"].unique()
    }
    if component == "kube-scheduler":
        return _joined("first bind", (_between(seen, made, *_bind(made)) for made in seen.expected))
    if component in simulated:
        steps = ((made, simulator.played_step(seen, made.workload)) for made in seen.expected)
        return _joined("first status", (_between(seen, made, *step) for made, step in steps if step))
    leaders = {process.name for process in seen.plane.processes if process.lease}
    if component in {*leaders, _CONTROLLER_MANAGER}:
        own = component == _CONTROLLER_MANAGER
        found = _joined(
            "first reconcile", (_reconciled(seen, made) for made in seen.expected if _reconciles(made, own))
        )
        if found is not None:
            return found
    return _joined("first object up", (_up(seen, made) for made in seen.expected))


def _reconciles(made: Created, own: bool) -> bool:
    """Whether controllers make pods for an object: the controller manager for Kubernetes' own kinds (``own``), a
    plane's controllers for theirs."""
    resource = made.workload.resource.resource()
    return made.workload.tracked != made.workload.bound.watch and own == ("." not in resource.group)


def _bind(made: Created) -> tuple[str, str, str]:
    bound = made.workload.bound
    return bound.watch, ADDED, bound.milestone


def _between(seen: Observations, made: Created, watch: str, before: str, after: str) -> tuple[Values, Values]:
    """Of all objects of a watch that a kind gave rise to: from one milestone to another."""
    objects = seen.objects.filter(
        (seen.objects["watch"] == watch) & seen.objects["index"].is_in(made.index.implode())
    )
    return seen.times_s(objects["object"], before), seen.times_s(objects["object"], after)


def _reconciled(seen: Observations, made: Created) -> tuple[Values, Values]:
    """From an object's first sight to that of all pods that controllers make for it."""
    pods = made.workload.bound.watch
    return (
        seen.reached_s(made.index, made.workload.tracked, ADDED),
        seen.reached_s(made.index, pods, ADDED, made.count(pods)),
    )


def _up(seen: Observations, made: Created) -> tuple[Values, Values]:
    """From a creation due that was answered with success to the object up."""
    created = seen.of_stage(Stage.CREATION, "create")
    created = created.filter(created["ok"] & created["index"].is_in(made.index.implode()))
    created = created.filter(created["resource"] == made.workload.resource.resource().id)
    created = created.unique("index", keep="first", maintain_order=True)
    up = made.workload.up
    return seconds(created["due_ns"]), seen.reached_s(
        created["index"], up.watch, up.milestone, made.count(up.watch)
    )


def _joined(what: str, parts: Iterator[tuple[Values, Values]]) -> Work | None:
    found = list(parts)
    if not found:
        return None
    handed_s, done_s = (np.concatenate(columns) for columns in zip(*found, strict=True))
    known = ~np.isnan(handed_s)
    return Work(what, handed_s[known], done_s[known]) if known.any() else None
