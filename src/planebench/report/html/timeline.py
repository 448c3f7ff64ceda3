"""What happened when: everything that has a time, on one time axis.

All panels share the trial's clock in seconds. Where there are more readings than pixels, a panel holds the
smallest and the largest reading of each piece of time: peaks stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from planebench.model import FaultRecord, Stage
from planebench.report.html.panels import Panel, cpu, memory, objects, queues, requests
from planebench.results.document import Result
from planebench.slis.observations import Observations

Kind = Literal["phase", "fault", "gap"]


@dataclass(frozen=True, slots=True)
class Band:
    """Something that lasted: a phase of the run, a fault brought about on purpose, or a gap of a watch."""

    kind: Kind
    name: str
    stage: Stage | None
    start_s: float
    end_s: float
    completed: bool = True
    """Of a phase: it came to its end; of a fault: it was ended."""
    planned: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run's panels and what to mark on all of them."""

    end_s: float
    bands: tuple[Band, ...]
    panels: tuple[Panel, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Panel -> why it is not there."""


def timeline(seen: Observations, result: Result) -> Timeline | None:
    """None where the run has not come to any phase, nor to any reading."""
    found: list[Panel] = []
    absent: dict[str, str] = {}
    for title, panel, reason in (
        ("Objects", objects(seen), "no object was created"),
        ("Requests", requests(seen), "no request was recorded"),
        ("CPU", cpu(seen, result.components), "no process was sampled twice"),
        ("Memory", memory(seen, result.components), "no process was sampled twice"),
        ("Queues", queues(result.components), "no component told of a queue at three scrapes or more"),
    ):
        if panel is None:
            absent[title] = reason
        else:
            found.append(panel)
    bands = _bands(seen, {fault.name: fault.label for fault in result.faults})
    if not bands and not found:
        return None
    ends = [band.end_s for band in bands] + [float(panel.times_s[-1]) for panel in found]
    return Timeline(max([seen.run.end_ns / 1e9, *ends]), bands, tuple(found), absent)


def _bands(seen: Observations, labels: Mapping[str, str]) -> tuple[Band, ...]:
    phases = [
        Band(
            "phase",
            phase.name,
            phase.stage,
            phase.start_ns / 1e9,
            phase.end_ns / 1e9,
            phase.completed,
            phase.planned,
        )
        for phase in seen.run.phases
    ]
    gaps = [
        Band("gap", f"watch of {row['watch']}: {row['reason']}", None, row["t_ns"] / 1e9, row["end_ns"] / 1e9)
        for row in seen.gaps.filter(pl.col("end_ns") >= 0).iter_rows(named=True)
    ]
    return (*phases, *(_fault(fault, labels, seen.run.end_ns) for fault in seen.run.faults), *gaps)


def _fault(fault: FaultRecord, labels: Mapping[str, str], run_end_ns: int) -> Band:
    """One that was not ended lasts until the run's end."""
    ended = fault.end_ns >= 0
    end_ns = fault.end_ns if ended else max(run_end_ns, fault.start_ns)
    name = labels.get(fault.name) or fault_in_words(fault)
    return Band("fault", name, None, fault.start_ns / 1e9, end_ns / 1e9, ended)


def fault_in_words(fault: FaultRecord) -> str:
    """What was done to what, of any kind of fault: ``node silence: 3 nodes``."""
    kind = fault.kind.replace("-", " ").replace("_", " ")
    nodes = len(fault.nodes)
    told = [fault.target] if fault.target else [f"{nodes:,} {'node' if nodes == 1 else 'nodes'}"] if nodes else []
    return ": ".join([kind, *told])
