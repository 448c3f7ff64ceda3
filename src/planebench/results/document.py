"""The result document, ``result.json``: everything that a run has found, for people's and programs' reports alike.

Made from the run folder alone. Times are seconds, sizes bytes, rates per second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from planebench.model import Judgement, Role, Stage

SCHEMA_VERSION: Final = 1
"""Rises when a field changes its meaning or goes; new fields do not raise it."""

Status = Literal["running", "completed", "broken", "interrupted"]
Unit = Literal["s", "/s", "share", "bytes", "count", "ratio"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class Row(_Part):
    """A service level indicator's figures: a distribution with percentiles, or a single value."""

    sli: str
    """Its id, see the catalogue (docs/results.md)."""
    title: str
    """In words, within its stage or component."""
    unit: Unit
    part_of: str = ""
    """Id of the indicator that this one is a part of, by kind, resource, change or watch; empty: of none."""
    n: int = 0
    """How many values there should be: missing ones count."""
    missing: int = 0
    """How many never came; they are larger than every other value in all percentiles."""
    beyond_s: float | None = None
    """What is known of the missing ones: each would have been longer than this."""
    negative: int = 0
    """How many values are below zero: kept as they are; a fault of the measurement unless a note explains it."""
    p50: float | None = None
    """Nearest rank, like the others. None with n above 0: among the missing."""
    p90: float | None = None
    p99: float | None = None
    max: float | None = None
    p99_low: float | None = None
    """From a component's histogram: the bucket that holds the 99th percentile starts here."""
    p99_high: float | None = None
    """And it ends here; None: it is the last one, without an end."""
    value: float | None = None
    """Of an indicator that is a single value."""
    rate_per_s: float | None = None
    """Successes per second, from the first due to the last success."""
    errors: int | None = None
    """Requests that failed for good; None: the indicator counts no requests."""
    simulated: bool = False
    """Played by the simulator: no work of the control plane alone."""
    notes: tuple[str, ...] = ()


class StageResult(_Part):
    """A lifecycle stage's indicators."""

    stage: Stage
    rows: tuple[Row, ...]


class SLOResult(_Part):
    """A demand, and whether it is met."""

    sli: str
    percentile: float | None
    """None: the indicator is a single value."""
    at_most: float | None
    at_least: float | None
    unit: Unit
    """Of the bounds and of the value."""
    value: float | None
    """None: there is no data, or (with n above 0) the percentile falls among the missing."""
    n: int
    missing: int = 0
    verdict: Judgement
    reason: str
    """In one line, with what to do where that is known."""


class Finding(_Part):
    """One check of whether the measurement can be trusted."""

    name: str
    title: str
    value: str
    """What was found, for people."""
    bound: str
    """What was to be found."""
    ok: bool
    affects: str
    """What it makes inconclusive when it is not ok: ``run``, a stage, or nothing (it is told only)."""
    action: str = ""
    """What to do about it when it is not ok."""


class Component(_Part):
    """A component's cost and its own figures; a component may have several processes."""

    name: str
    title: str
    role: Role
    processes: tuple[str, ...]
    cpu_s: float | None
    """User and system, of all its processes since their start; None: never sampled."""
    cpu_by_stage_s: Mapping[str, float] = Field(default_factory=dict)
    """By stage; ``other`` is what lies before, between and after the stages."""
    peak_rss_bytes: int | None
    """The sum of its processes' highest resident memory, as the kernel has noted it."""
    requests: int | None = None
    """Requests that it answered or, of a client, sent in the stages; None: it does not tell."""
    rate_per_s: float | None = None
    """Those per second."""
    errors: int | None = None
    """Those answered with 429 or 5xx, or not at all."""
    latency: Row | None = None
    """The figure that stands for it in the summary."""
    metrics: tuple[Row, ...] = ()
    restarted: bool = False


class PhaseResult(_Part):
    """A phase as it was."""

    name: str
    stage: Stage | None
    start_s: float
    duration_s: float
    completed: bool
    planned: int


class Counts(_Part):
    """What became of the workload's objects."""

    planned: int
    created: int
    """Creations that were answered with success."""
    scheduled: int
    up: int
    deleted: int
    failed: int
    """Objects with a terminal failure before their deletion."""
    leftovers: int | None
    """None: nobody looked."""


class ErrorCount(_Part):
    """Requests that failed alike."""

    phase: str
    verb: str
    resource: str
    error: str
    count: int


class Lateness(_Part):
    """How late requests of a stage were sent, against their plan."""

    stage: str
    n: int
    never_sent: int
    p50_s: float | None
    p99_s: float | None
    max_s: float | None


class Harness(_Part):
    """How well planebench itself worked."""

    lateness: tuple[Lateness, ...] = ()
    engine: Mapping[str, Any] = Field(default_factory=dict)
    """The load engine's own health report."""


class Result(_Part):
    """What a run has found."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    planebench_version: str
    scenario: str
    plane: str
    seed: int
    started_wall: str
    duration_s: float
    status: Status
    error: str | None = None
    """Why the run broke."""
    verdict: Judgement | None
    """None: the scenario demands nothing."""
    reason: str
    """The verdict in one line."""
    validity: tuple[Finding, ...]
    slos: tuple[SLOResult, ...]
    preparation: tuple[Row, ...]
    """Before the stages: the nodes."""
    stages: tuple[StageResult, ...]
    components: tuple[Component, ...]
    phases: tuple[PhaseResult, ...]
    counts: Counts
    errors: tuple[ErrorCount, ...] = ()
    harness: Harness = Harness()
    limits: tuple[str, ...] = ()
    """Limits by design that bound the figures."""
    unfaithful: tuple[str, ...] = ()
    """What is not as in a real cluster."""
    environment: Mapping[str, Any] = Field(default_factory=dict)
    """As the run noted it: machine, versions, components."""
    folder: str = ""
    """Where the run folder was when this was made."""

    def rows(self) -> dict[str, Row]:
        """All rows of the preparation and the stages, by id."""
        return {row.sli: row for rows in (self.preparation, *(part.rows for part in self.stages)) for row in rows}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``result.json``."""
    schema = Result.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://planebench.dev/schemas/result-v{SCHEMA_VERSION}.json",
        **schema,
    }
