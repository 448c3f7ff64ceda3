"""The result document, ``result.json``: everything that a run has found, for people's and programs' reports alike.

Made from the run folder alone. Times are seconds, sizes bytes, rates per second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from planebench.model import Judgement, Role, Stage
from planebench.results.attribution import Cost, ProfileResult, Trace

SCHEMA_VERSION: Final = 1
"""Rises when a field changes its meaning or goes; new fields do not raise it."""

DIGITS: Final = 9
"""After the point: clocks tell nanoseconds; what floating point adds to them is cut off."""

Status = Literal["running", "completed", "broken", "interrupted"]
Unit = Literal["s", "/s", "share", "bytes", "count", "ratio"]
Kind = Literal["", "histogram", "mean", "counter", "rate", "gauge"]


def finite(number: float) -> float | None:
    """A number as documents have it: None for infinity and NaN."""
    return round(number, DIGITS) if math.isfinite(number) else None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class Row(_Part):
    """A service level indicator's figures: a distribution with percentiles, or a single value."""

    sli: str
    """Its id, see the catalogue (docs/results.md)."""
    title: str
    """In words, within its stage or component."""
    unit: Unit
    """Of every figure but rate_per_s: s, /s, share (1 is 100%), bytes, count or ratio."""
    kind: Kind = ""
    """Of a component's figure: what its metric is told as. histogram: percentiles; mean: a histogram whose buckets
    are too wide for them; counter: growth; rate: growth per second; gauge: a level."""
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
    """The 90th percentile."""
    p99: float | None = None
    """The 99th percentile."""
    max: float | None = None
    """The largest value; of a component's histogram, the end of the highest bucket that holds any."""
    p99_low: float | None = None
    """From a component's histogram: the bucket that holds the 99th percentile starts here."""
    p99_high: float | None = None
    """And it ends here; None: it is the last one, without an end."""
    value: float | None = None
    """Of an indicator that is a single value; of a component's histogram, the mean."""
    rate_per_s: float | None = None
    """Successes per second, from the first due to the last success."""
    errors: int | None = None
    """Requests that failed for good; None: the indicator counts no requests."""
    simulated: bool = False
    """Played by the simulator: no work of the control plane alone."""
    notes: tuple[str, ...] = ()
    """What one has to know to read it."""


class StageResult(_Part):
    """A lifecycle stage's indicators."""

    stage: Stage
    """Its name."""
    rows: tuple[Row, ...]
    """Its indicators; empty where the run did not come so far."""


class SLOResult(_Part):
    """A demand, and whether it is met."""

    sli: str
    """The indicator's id."""
    percentile: float | None
    """None: the indicator is a single value."""
    at_most: float | None
    """Its upper bound, inclusive."""
    at_least: float | None
    """Its lower bound, inclusive."""
    unit: Unit
    """Of the bounds and of the value."""
    value: float | None
    """None: there is no data, or (with n above 0) the percentile falls among the missing."""
    n: int
    """How many values there should be: missing ones count."""
    missing: int = 0
    """How many never came."""
    verdict: Judgement
    """PASS, FAIL or INCONCLUSIVE."""
    reason: str
    """In one line, with what to do where that is known."""


class Finding(_Part):
    """One check of whether the measurement can be trusted."""

    name: str
    """Its id."""
    title: str
    """What is to be so."""
    value: str
    """What was found, for people."""
    bound: str
    """What was to be found."""
    ok: bool
    """Whether it is so."""
    affects: str
    """What it makes inconclusive when it is not ok: ``run``, a stage, or nothing (it is told only)."""
    action: str = ""
    """What to do about it when it is not ok."""


class Levels(_Part):
    """A component's figure over time: a level at each scrape, or a rate between two."""

    sli: str
    """The id of the row that it belongs to."""
    title: str
    """In words."""
    unit: Unit
    """Of the values."""
    t_s: tuple[float, ...]
    """When, since the run's start; of a rate, the end of its interval."""
    values: tuple[float | None, ...]
    """One for each time; None: infinite or not a number."""


class Limit(_Part):
    """A limit by design that bounds a component's throughput."""

    component: str
    """The component's name."""
    meaning: str
    """In words."""
    value: str
    """As it was in the run."""
    source: str
    """Where the value comes from: default, plane, scenario, or the flag that sets it."""


class Component(_Part):
    """A component's cost and its own figures; a component may have several processes."""

    name: str
    """As in the catalogue of components; planebench for the harness."""
    title: str
    """In words."""
    role: Role
    """subject: under test; simulator: plays the nodes; harness: planebench itself."""
    processes: tuple[str, ...]
    """Their names."""
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
    """Its own figures, from its metrics over all stages."""
    headlines: tuple[str, ...] = ()
    """Ids of those of them that one looks at first."""
    over_time: tuple[Levels, ...] = ()
    """Its queues and other levels over the run."""
    limits: tuple[Limit, ...] = ()
    """What bounds its throughput by design."""
    absent: tuple[str, ...] = ()
    """Metrics, or labels of them, that this version of it does not serve: their figures are missing, not 0."""
    restarted: bool = False
    """One of its processes started anew during the run."""


class Unseen(_Part):
    """What could not be seen of a cluster that planebench has not started: it is missing, not 0."""

    component: str
    """The component's name."""
    what: str
    """What is missing."""
    why: str
    """Why that is so."""


class PhaseResult(_Part):
    """A phase as it was."""

    name: str
    """A change's phase has the change's name."""
    stage: Stage | None
    """None: preparation."""
    start_s: float
    """Since the run's start."""
    duration_s: float
    """With the wait for what it set going."""
    completed: bool
    """False: ended by its time limit, an error or an interruption."""
    planned: int
    """How many operations, or objects, it was to handle."""


class Counts(_Part):
    """What became of the workload's objects."""

    planned: int
    """Objects of the scenario's workload."""
    created: int
    """Creations that were answered with success."""
    scheduled: int
    """Objects whose pod got a node."""
    up: int
    """Objects that came up."""
    deleted: int
    """Objects whose end was seen."""
    failed: int
    """Objects with a terminal failure before their deletion."""
    leftovers: int | None
    """None: nobody looked."""
    unschedulable: int = 0
    """Of the planned ones, those that were to find no node: they are not to come up."""
    refused: int = 0
    """Of the planned ones, those that were to be refused: they are not to come up."""


class ErrorCount(_Part):
    """Requests that failed alike."""

    phase: str
    """The phase that they belong to."""
    verb: str
    """As in Kubernetes' metrics."""
    resource: str
    """Plural, with its group."""
    error: str
    """The API server's reason, or what became of the connection."""
    count: int
    """How many."""


class StuckCount(_Part):
    """Objects that failed, or still waited, for the same reason."""

    stage: Stage
    """At whose end they were found so first."""
    resource: str
    """Plural, with its group."""
    state: str
    """Their phase, or the condition that tells of it."""
    reason: str
    """The control plane's own words, from conditions, status or events; empty: it gives none."""
    count: int
    """How many objects; at most 2,000 of a resource are looked at by name."""
    examples: tuple[str, ...]
    """Some of them, as namespace/name."""


class Lateness(_Part):
    """How late requests of a stage were sent, against their plan."""

    stage: str
    """The stage."""
    n: int
    """Requests that were sent."""
    never_sent: int
    """Requests that were not: the run or their time ended before."""
    p50_s: float | None
    """Median of sent minus due; None: none was sent."""
    p99_s: float | None
    """Its 99th percentile."""
    max_s: float | None
    """The latest."""


class NodePlacement(_Part):
    """A node, and what the scheduler has put on it."""

    node: str
    """Its name."""
    pool: str
    """Its pool."""
    zone: str
    """Its zone; empty: none."""
    eligible: bool
    """Some kind of the workload may be placed on it."""
    pods: int
    """Pods on it."""
    pods_allocatable: int
    """Pods that it has room for."""
    cpu: float | None
    """Cores that they ask for; None: not known."""
    cpu_allocatable: float
    """Cores that it offers."""
    memory_bytes: float | None
    """Memory that they ask for; None: not known."""
    memory_allocatable_bytes: float
    """Memory that it offers."""


class Evenness(_Part):
    """How evenly something is spread over the eligible nodes, beside placement at random."""

    of: Literal["pods", "cpu", "memory"]
    """Pods per node, or requested / allocatable of a resource."""
    mean: float
    """Over the eligible nodes."""
    sd: float
    """Standard deviation, of the population."""
    min: float
    """The least."""
    max: float
    """The most."""
    cv: float
    """sd / mean: 0 is even."""
    gini: float
    """Gini coefficient: 0 is even, 1 - 1 / nodes is all on one."""
    jain: float
    """Jain's index: 1 is even, 1 / nodes is all on one."""
    random_cv: float
    """Mean CV of 200 simulated placements, each pod on one of its eligible nodes at random."""
    random_gini: float
    """The same for the Gini coefficient."""
    random_jain: float
    """The same for Jain's index."""


class ConstraintViolation(_Part):
    """A required constraint that does not hold."""

    constraint: str
    """taint, node-selector, node-affinity, pod-affinity, pod-anti-affinity, topology-spread or capacity."""
    kind: str
    """The workload's kind; empty for capacity."""
    pods: int
    """How many pods stand against it; of a spread, by how many pods its skew is too large."""
    where: str
    """The first node, zone or other domain where that is so."""


class Distribution(_Part):
    """Where the scheduler has put pods, as they are when the creation stage ends; pods that have run to their end
    are left out."""

    pods: int
    """Pods on nodes."""
    nodes: int
    """Nodes that some kind of the workload may be placed on."""
    nodes_used: int
    """Nodes with pods on them."""
    nodes_lower_bound: int | None
    """The fewest nodes, from the largest on, whose resources suffice for all pods together; None: what pods ask
    for is not known."""
    evenness: tuple[Evenness, ...]
    """Of pods, and of CPU and memory where what the pods ask for is known."""
    zones: Mapping[str, int] = Field(default_factory=dict)
    """Pods by zone; empty: nodes have none."""
    zone_skew: int | None = None
    """The fullest zone less the emptiest one."""
    stranded_cpu: float | None = None
    """Share of allocatable CPU that is free where not even the smallest pod fits."""
    stranded_memory: float | None = None
    """Share of allocatable memory that is free where not even the smallest pod fits."""
    fragmentation: float | None = None
    """1 - (how many more of the largest pod fit, node by node) / (how many would fit if all that is free were on
    one node)."""
    violations: tuple[ConstraintViolation, ...] = ()
    """Required constraints that do not hold."""
    per_node: tuple[NodePlacement, ...] = ()
    """Every node of the scenario, in the order of the pools."""


class FaultFigure(_Part):
    """A figure of one fault."""

    sli: str
    """The indicator that it is a part of."""
    title: str
    """In words."""
    unit: Unit
    """Of the value."""
    value: float | None
    """None: what it would measure never came."""
    beyond_s: float | None = None
    """What is known of one that never came: it would have been longer than this."""
    verdict: Judgement | None = None
    """By the scenario's demands on it; None: there are none."""


class FaultResult(_Part):
    """A fault of a component, and how it was recovered from."""

    name: str
    """Unique in the run; parts of the indicators faults.* go by it."""
    label: str
    """For people: what was done, to which processes."""
    kind: str
    """The kind of fault."""
    target: str
    """The component that it struck."""
    processes: tuple[str, ...] = ()
    """Those of its processes that it struck."""
    stage: Stage | None
    """The stage that it fell in."""
    start_s: float
    """When the first signal or request that brings it about was sent, since the run's start."""
    struck_s: float | None = None
    """From when on it was in effect."""
    end_s: float | None = None
    """When the first one that takes it back was sent; None: it was not."""
    work: str = ""
    """What faults.first_work is of this component."""
    figures: tuple[FaultFigure, ...] = ()
    """Times from the fault's start, and what was lost; what cannot be told is left out."""
    told: Mapping[str, int] = Field(default_factory=dict)
    """What lost requests were told last, as in raw/requests.parquet -> how many."""
    followed: tuple[str, ...] = ()
    """Processes that ended by themselves until the next fault, and were started anew."""
    verdict: Judgement | None = None
    """The worst of its figures' verdicts; None: nothing is demanded of it."""


class Harness(_Part):
    """How well planebench itself worked."""

    lateness: tuple[Lateness, ...] = ()
    """By stage."""
    engine: Mapping[str, Any] = Field(default_factory=dict)
    """The load engine's own health report."""


class Result(_Part):
    """What a run has found."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Rises when a field changes its meaning or goes; new fields do not raise it."""
    run_id: str
    """Every object of the run carries it in the label planebench.dev/run."""
    planebench_version: str
    """Which planebench made the analysis."""
    scenario: str
    """The scenario's name."""
    plane: str
    """The plane's name."""
    seed: int
    """The seed that the run used."""
    started_wall: str
    """When the run started, ISO 8601."""
    duration_s: float
    """From its start to its end, without builds."""
    status: Status
    """completed; broken; interrupted; running: it goes on, or was killed."""
    error: str | None = None
    """Why the run broke."""
    verdict: Judgement | None
    """None: the scenario demands nothing."""
    reason: str
    """The verdict in one line."""
    validity: tuple[Finding, ...]
    """Whether the measurement can be trusted."""
    slos: tuple[SLOResult, ...]
    """The scenario's demands, in its order."""
    preparation: tuple[Row, ...]
    """Before the stages: the nodes."""
    stages: tuple[StageResult, ...]
    """All five, in their order."""
    components: tuple[Component, ...]
    """Subjects first, then the simulator and the harness."""
    phases: tuple[PhaseResult, ...]
    """In the order in which they ended."""
    counts: Counts
    """The workload's objects."""
    distribution: Distribution | None = None
    """Where the scheduler has put pods; None: no pod got a node."""
    resilience: tuple[Row, ...] = ()
    """Indicators of faults of components, over all faults and by fault; empty: there were none."""
    faults: tuple[FaultResult, ...] = ()
    """Faults of components, in the order of their starts."""
    errors: tuple[ErrorCount, ...] = ()
    """Requests that failed for good, the most frequent kinds first; at most 50 kinds."""
    stuck: tuple[StuckCount, ...] = ()
    """Objects that had failed or still waited at a stage's end, with the reason, the most frequent first; among
    them those that were not to come up."""
    harness: Harness = Harness()
    """planebench itself."""
    cost: Cost | None = None
    """Whose cost it is: requests and CPU of subject, simulator and harness."""
    trace: Trace | None = None
    """Where objects' time went; None: the run was made without --trace."""
    profiles: tuple[ProfileResult, ...] = ()
    """What components' packages cost; empty: the run was made without --profile."""
    limits: tuple[str, ...] = ()
    """Limits by design that bound the figures."""
    unfaithful: tuple[str, ...] = ()
    """What is not as in a real cluster."""
    unseen: tuple[Unseen, ...] = ()
    """What could not be seen; empty: planebench has started the control plane itself."""
    left_behind: str = ""
    """What could not be removed from the cluster at the end, and how to do it later; empty: nothing."""
    environment: Mapping[str, Any] = Field(default_factory=dict)
    """As the run noted it: machine, versions, components."""
    folder: str = ""
    """Where the run folder was when this was made."""

    def rows(self) -> dict[str, Row]:
        """All rows of the preparation, the stages and the faults, by id."""
        parts = (self.preparation, *(part.rows for part in self.stages), self.resilience)
        return {row.sli: row for rows in parts for row in rows}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``result.json``."""
    schema = Result.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://planebench.dev/schemas/result-v{SCHEMA_VERSION}.json",
        **schema,
    }
