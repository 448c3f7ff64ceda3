"""The machine during a run: what others took of its CPU, and what was waited for.

What planebench, the simulator and the components under test use is the run's own doing, also where it is all that
the machine has. What other programs use, and what the host of a virtual machine withholds (steal), is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from planebench.model import Stage
from planebench.slis.components import growing, of_each_process
from planebench.slis.observations import Observations
from planebench.slis.unseen import elsewhere
from planebench.stats import Values

WINDOW_S: Final = 5.0
"""Kernels count CPU by ticks of 10 ms: over one second and two cores, chance alone makes several percent."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What was taken from the run in a stage, as shares of the machine's CPU."""

    stage: Stage
    mean: float
    worst: float
    """In the worst window of five seconds."""
    worst_steal: float
    """The host's part of it."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """Shares of the stages' time in which some task waited for a resource (PSI); NaN: the kernel does not tell."""

    cpu: float
    io: float
    memory: float


def outside(seen: Observations) -> dict[Stage, Outside]:
    """By stage; stages without samples are left out.

    Empty where a cluster of others runs on this machine: who took what cannot be told.
    """
    machine = _samples(seen)
    if machine is None or elsewhere(seen).get("same_machine"):
        return {}
    at_s = machine["t_ns"].to_numpy() / 1e9
    capacity = machine["capacity_s"].to_numpy()
    steal = machine["steal_s"].to_numpy()
    foreign = machine["busy_s"].to_numpy() - _own_s(seen, at_s)
    found = {}
    for stage in Stage:
        span = seen.run.span_ns(stage)
        if span is None or span[0] / 1e9 < at_s[0] or span[1] <= span[0]:
            continue
        starts, ends = _windows(span[0] / 1e9, min(span[1] / 1e9, float(at_s[-1])))

        def share(used: Values, starts: Values = starts, ends: Values = ends) -> Values:
            had = np.interp(ends, at_s, capacity) - np.interp(starts, at_s, capacity)
            took = np.interp(ends, at_s, used) - np.interp(starts, at_s, used)
            return np.asarray(np.clip(took / np.maximum(had, 1e-9), 0.0, 1.0), dtype=np.float64)

        by_host, by_both = share(steal), np.minimum(share(foreign) + share(steal), 1.0)
        worst = int(by_both.argmax())
        found[stage] = Outside(stage, float(by_both.mean()), float(by_both[worst]), float(by_host[worst]))
    return found


def pressure(seen: Observations) -> Pressure | None:
    """Over all stages; None where the machine was not sampled."""
    machine = _samples(seen)
    spans = [span for stage in Stage if (span := seen.run.span_ns(stage))]
    if machine is None or not spans:
        return None
    span_ns = [min(span[0] for span in spans), max(span[1] for span in spans)]
    took_s = (span_ns[1] - span_ns[0]) / 1e9

    def share(column: str) -> float:
        waited = machine[column].to_numpy()
        if (waited < 0).any() or took_s <= 0:
            return float("nan")
        at = np.interp(span_ns, machine["t_ns"].to_numpy(), waited)
        return min(float(at[1] - at[0]) / took_s, 1.0)

    return Pressure(share("cpu_some_s"), share("io_some_s"), share("memory_some_s"))


def busiest_cores(seen: Observations, component: str) -> float | None:
    """The most cores that a component has used over five seconds of the creation stage; None: not sampled."""
    span = seen.run.span_ns(Stage.CREATION)
    samples = seen.samples.filter(pl.col("component") == component)
    if span is None or not samples.height or span[1] <= span[0]:
        return None
    starts, ends = _windows(span[0] / 1e9, span[1] / 1e9)
    used = sum(
        np.interp(ends, at_s, cpu_s) - np.interp(starts, at_s, cpu_s)
        for at_s, cpu_s in ((mine["t_ns"].to_numpy() / 1e9, growing(mine)) for mine in of_each_process(samples))
    )
    return float(np.max(used / (ends - starts)))


def _samples(seen: Observations) -> pl.DataFrame | None:
    return seen.machine.sort("t_ns") if seen.machine.height > 1 else None


def _own_s(seen: Observations, at_s: Values) -> Values:
    """CPU of all processes of the run together; each counts from its first sample on."""
    own = np.zeros_like(at_s)
    for mine in of_each_process(seen.samples):
        own += np.interp(at_s, mine["t_ns"].to_numpy() / 1e9, growing(mine))
    return own


def _windows(start_s: float, end_s: float) -> tuple[Values, Values]:
    """Windows of five seconds, one a second; one around a span that is shorter."""
    if end_s - start_s <= WINDOW_S:
        middle_s = (start_s + end_s) / 2
        return np.array([middle_s - WINDOW_S / 2]), np.array([middle_s + WINDOW_S / 2])
    starts = np.arange(start_s, end_s - WINDOW_S + 1e-9, 1.0)
    return starts, starts + WINDOW_S
