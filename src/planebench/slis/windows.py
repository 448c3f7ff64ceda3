"""Faults of components and the times around them: what was before, and until when effects belong to one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from planebench.model import FaultRecord, Stage
from planebench.results.folder import RunRecord
from planebench.stats import Values

NODE_FAULTS: Final = frozenset({"node-silence", "node-flapping", "slow-heartbeats", "drain"})
"""Kinds that strike nodes: they have figures of their own."""
BASELINE_S: Final = 10.0
"""How far back what was before is taken from."""
SETTLING_S: Final = 5.0
"""How long figures of the measurement itself are left aside after a fault: connections come back."""


@dataclass(frozen=True, slots=True)
class Window:
    """A fault, and the time in which its effects are looked for. Seconds on the trial's clock, NaN: never."""

    fault: FaultRecord
    before_s: float
    """What was before counts from here on."""
    calm_s: float
    """And up to here: the fault's start, or that of its preparation."""
    start_s: float
    struck_s: float
    """From when on it was in effect."""
    end_s: float
    ready_s: float
    until_s: float
    """The next fault's start, or its stage's end."""

    @property
    def over_s(self) -> float:
        """When what it had struck was ready again; the window's end where it was not."""
        found = np.nanmax([self.struck_s, self.end_s, self.ready_s, self.start_s])
        return self.until_s if math.isnan(self.ready_s) else float(found)


def windows(run: RunRecord) -> list[Window]:
    """One for each fault of a component, in the order of their starts."""
    faults = sorted(
        (fault for fault in run.faults if fault.kind not in NODE_FAULTS), key=lambda item: item.start_ns
    )
    found: list[Window] = []
    for place, fault in enumerate(faults):
        span = run.span_ns(Stage(fault.stage)) if fault.stage else None
        from_s, to_s = (span[0] / 1e9, span[1] / 1e9) if span else (0.0, run.end_ns / 1e9)
        start_s = fault.start_ns / 1e9
        calm_s = fault.prepared_ns / 1e9 if fault.prepared_ns >= 0 else start_s
        before = [window.over_s for window in found if window.over_s <= start_s]
        following = [other.start_ns / 1e9 for other in faults[place + 1 :]]
        found.append(
            Window(
                fault=fault,
                before_s=max([calm_s - BASELINE_S, from_s, *before]),
                calm_s=calm_s,
                start_s=start_s,
                struck_s=_s(fault.struck_ns),
                end_s=_s(fault.end_ns),
                ready_s=_s(fault.ready_ns),
                until_s=min([max(to_s, start_s), *following]),
            )
        )
    return found


def disturbed(found: Iterable[Window], times_s: Values) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which times fall into a fault, or into the time right after it."""
    hit = np.zeros(len(times_s), dtype=np.bool_)
    for window in found:
        hit |= (times_s >= window.calm_s) & (times_s <= window.over_s + SETTLING_S)
    return hit


def _s(t_ns: int) -> float:
    return t_ns / 1e9 if t_ns >= 0 else math.nan
