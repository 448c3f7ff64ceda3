"""The capacity document, ``capacity.json``: what is searched, every step, and what was found."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from planebench.model import Judgement, Role
from planebench.results.document import SLOResult

SCHEMA_VERSION: Final = 1
"""Rises when a field changes its meaning or goes; new fields do not raise it."""


class Load(enum.StrEnum):
    """What is raised from step to step."""

    RATE = "rate"
    OBJECTS = "objects"
    NODES = "nodes"

    @property
    def whole(self) -> bool:
        """Whether its levels are whole numbers."""
        return self is not Load.RATE

    @property
    def unit(self) -> str:
        return "/s" if self is Load.RATE else f" {self}"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class Plan(_Part):
    """What is searched for, and how. A search goes on only with the same plan."""

    of: Load
    """rate (objects per second), objects or nodes."""
    start: float
    """The first level."""
    end: float
    """The highest level that is tried."""
    growth: float = 1.5
    """From one level of the ramp to the next."""
    precision: float = 0.05
    """The search ends where the lowest level that does not hold is at most this share above the highest one that
    does."""
    attempts: int = 2
    """A level that does not hold, or cannot be judged, is tried so many times: one stall of the machine is enough
    for one. It holds where it does in one of them."""
    step_objects: int
    """So many objects in each step at least."""
    step_duration_s: float
    """Of a rate: so long each step's load lasts at least."""
    settle_s: float
    """The pause between two steps on one control plane."""
    fresh: bool
    """Each step has a control plane of its own."""
    context: str = ""
    """Of a kubeconfig: the existing cluster that all steps run on; empty: control planes of planebench's own."""
    seed: int
    """Of every step's load."""


class Criterion(_Part):
    """One of the things that a step has to hold."""

    name: str
    """goodput, errors, backlog or little."""
    title: str
    """What is to be so."""
    value: str
    """What was found, for people."""
    bound: str
    """What was to be found."""
    ok: bool
    """Whether it is so."""


class Waiting(_Part):
    """Objects that wait for one thing on their way up."""

    name: str
    """Its id: request, object, binding or start."""
    title: str
    """In words."""
    component: str
    """The component whose work it is, as the catalogue names it."""
    role: Role
    """Whose work it is."""
    mean: float
    """How many objects wait for it, on average over the window."""
    growth_per_s: float
    """By how many they grow per second."""
    grows: bool
    """Whether that growth is shown, and not negligible."""


class Usage(_Part):
    """What a component used in the window."""

    component: str
    """As in the catalogue of components; planebench for the harness."""
    role: Role
    """subject, simulator or harness."""
    cores: float
    """Cores in use, on average."""


LimitKind = Literal["client limiter", "cpu", "workers", "queue", "disk", "rejections"]


class ComponentLimit(_Part):
    """A component that is at a limit, by its own figures."""

    component: str
    """As in the catalogue of components."""
    role: Role
    """subject, simulator or harness."""
    kind: LimitKind
    """Which kind of limit it is."""
    reason: str
    """The figures that show it."""


class StepFigures(_Part):
    """What a step measured. Rates and means are those of the window: without warm-up, while load went on."""

    objects: int
    """Objects of the step."""
    warm_up_objects: int
    """Those at its beginning that are left out, by MSER-5."""
    warm_up_ended: bool
    """False: it seems to last for more than half of the step, of which the first half is left out."""
    window_s: float
    """How long the window is."""
    offered_per_s: float
    """Objects due per second."""
    goodput_per_s: float
    """Objects that came up per second."""
    never_came: int
    """Objects of the whole step that did not come up."""
    errors: float
    """The share of the step's objects that did not come up or, if that is more, of its requests that failed."""
    backlog: float
    """Objects due and not up, on average."""
    backlog_growth_per_s: float
    """By how many they grow per second, by least squares."""
    backlog_growth_low: float
    """Of its 99% interval."""
    backlog_growth_high: float
    """Of its 99% interval."""
    stay_s: float | None
    """From due to up, on average; None: one never came."""
    little: float | None
    """L / (lambda W), Little's law: 1 in a steady state; None: one never came."""
    p50_s: float | None
    """From due to up; None: among those that never came."""
    p99_s: float | None
    """From due to up."""
    response_p99_s: float | None
    """From due to the answer of a creation."""
    waiting: tuple[Waiting, ...] = ()
    """What objects wait for on their way up, in order."""
    cores: int | None = None
    """Cores of the machine."""
    busy_cores: float | None = None
    """Cores in use by anything on the machine; None: not sampled."""
    usage: tuple[Usage, ...] = ()
    """Cores in use by component, the most first."""


EndedBy = Literal["", "harness", "simulator", "measurement"]
"""What a step's doubt comes from."""


class Step(_Part):
    """A level that was tried."""

    number: int
    """From 1, in order of time; names its run folder, ``steps/NNN``."""
    level: float
    """What was tried: a rate, or a number of objects or nodes."""
    verdict: Judgement
    """PASS: it holds. INCONCLUSIVE: it cannot be judged."""
    reason: str
    """In one line; empty for a PASS."""
    ended_by: EndedBy = ""
    """What makes it INCONCLUSIVE."""
    figures: StepFigures | None = None
    """None: there was nothing to measure by."""
    criteria: tuple[Criterion, ...] = ()
    """What it had to hold beside the SLOs."""
    slos: tuple[SLOResult, ...] = ()
    """The scenario's demands: those on the creation of objects in the window, the others over all."""
    limits: tuple[ComponentLimit, ...] = ()
    """Components at a limit."""


class Ending(enum.StrEnum):
    """How a search ends."""

    FOUND = "found"
    """Between two levels that are close enough."""
    RANGE = "range"
    """Even the highest level holds."""
    START = "start"
    """Not even the first level holds."""
    DOUBT = "doubt"
    """A level could not be judged."""


class Outcome(_Part):
    """What a search has found."""

    ending: Ending
    """found: between two levels; range: even the highest level holds; start: not even the first one does; doubt: a
    level could not be judged."""
    capacity: float | None
    """The greatest level that holds; None: none was shown to."""
    next_above: float | None
    """The lowest level that does not hold, or could not be judged; None: there is none."""
    reason: str
    """In one line."""


class Interval(_Part):
    """A value and its 95% interval; None is infinity."""

    value: float | None
    """The best estimate."""
    low: float | None
    """The interval's lower end."""
    high: float | None
    """The interval's upper end."""


class Projection(_Part):
    """What the law says of a concurrency."""

    concurrency: float
    """Objects under way at a time."""
    per_s: Interval
    """Objects per second."""
    extrapolated: bool
    """Beyond what was measured."""


class ScalabilityLaw(_Part):
    """Gunther's Universal Scalability Law, fitted to the steps."""

    steps: int
    """How many it is fitted to."""
    gamma: Interval
    """Throughput of one object alone, per second."""
    sigma: Interval
    """Contention: the share that waits in line."""
    kappa: Interval
    """Coherency: the cost of agreeing on shared data."""
    r_squared: float | None
    """How much of the spread of the throughput's logarithm it explains."""
    measured_up_to: float
    """The largest concurrency of a step."""
    peak_per_s: Interval
    """The greatest throughput; None: it has no end."""
    peak_at: Interval
    """The concurrency where it is; None: it is only approached."""
    peak_extrapolated: bool
    """It lies beyond what was measured."""
    projections: tuple[Projection, ...]
    """From the largest concurrency on."""


class Capacity(_Part):
    """A capacity search: its plan, its state and its result."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Rises when a field changes its meaning or goes; new fields do not raise it."""
    id: str
    """Of the search; steps that share a control plane share it as their run's id."""
    planebench_version: str
    """Which planebench searched."""
    scenario: str
    """The scenario's name."""
    scenario_digest: str
    """SHA-256 of ``scenario.yaml``: a search goes on with the same scenario only."""
    plane: str
    """The plane's name."""
    started_wall: str
    """When the search started, ISO 8601."""
    plan: Plan
    """What is searched for, and how."""
    steps: tuple[Step, ...] = ()
    """In order of time."""
    outcome: Outcome | None = None
    """None: the search goes on, or was interrupted."""
    law: ScalabilityLaw | None = None
    """None: there is none, see law_reason."""
    law_reason: str = ""
    """Why there is no law."""
    environment: Mapping[str, Any] = Field(default_factory=dict)
    """As the first step noted it: machine, versions, components."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``capacity.json``."""
    schema = Capacity.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://planebench.dev/schemas/capacity-v{SCHEMA_VERSION}.json",
        **schema,
    }
