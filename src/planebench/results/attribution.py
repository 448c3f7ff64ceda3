"""The parts of a result that say whose cost something is: requests and CPU by role, one object's way, profiles."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from planebench.model import Role


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class RoleCost(_Part):
    """What one side of a run has cost while the stages went on."""

    role: Role
    """subject: under test; simulator: plays the nodes; harness: planebench itself."""
    requests: int | None = None
    """Requests to the API server, without watches; None: there is no audit log."""
    watches: int | None = None
    """Watches that it opened; None: there is no audit log."""
    failed: int | None = None
    """Requests that were answered with 400 or more; None: there is no audit log."""
    request_s: float | None = None
    """How long the API server had its requests in hand, added up; None: there is no audit log."""
    bytes: int | None = None
    """Sent to the API server and received from it, TLS included; None: the kernel does not tell."""
    cpu_s: float | None = None
    """Of its own processes, user and system; None: they were not sampled."""
    apiserver_cpu_s: float | None = None
    """Estimate: its part of the API server's CPU, by its part of request_s; None: there is no audit log."""


class UserCost(_Part):
    """What one user of the API server has asked for while the stages went on."""

    user: str
    """As the API server knows it."""
    role: Role
    """Whose requests they are."""
    component: str
    """The component that acts as this user."""
    user_agents: tuple[str, ...]
    """The programs that it uses."""
    requests: int
    """Without watches."""
    watches: int
    """Watches that it opened."""
    failed: int
    """Answered with 400 or more."""
    request_s: float
    """How long the API server had its requests in hand, added up."""


class Traffic(_Part):
    """What a component has exchanged with another one while the stages went on, on the connections it opened."""

    component: str
    """Who opened the connections."""
    role: Role
    """Of that component."""
    peer: str
    """Who was asked."""
    sent_bytes: int
    """Requests, TLS included."""
    received_bytes: int
    """Answers and watches, TLS included."""


class Cost(_Part):
    """Whose cost it is."""

    audited: bool
    """Whether the API server's audit log tells requests by user."""
    roles: tuple[RoleCost, ...]
    """All three."""
    users: tuple[UserCost, ...] = ()
    """Those with the most request time first; empty without an audit log."""
    traffic: tuple[Traffic, ...] = ()
    """The greatest first; empty where the kernel does not tell."""
    clock_error_s: float | None = None
    """How far the log's times may be off on the run's clock; None: there is no audit log."""
    notes: tuple[str, ...] = ()
    """What one has to know to read it."""


class TracePart(_Part):
    """One part of an object's way."""

    component: str
    """Who had it in hand; unexplained: nobody is known to."""
    step: str
    """What was done, or waited for."""
    start_s: float
    """Since the object was due."""
    duration_s: float
    """The parts of a way add up to its whole."""


class Way(_Part):
    """One object's way from due to up."""

    why: Literal["p50", "p99", "slowest"]
    """Why it is shown."""
    index: int
    """Its number in the workload."""
    name: str
    """Its name."""
    whole_s: float
    """From due to the receipt of the state that counts as up: its part of creation.startup."""
    parts: tuple[TracePart, ...]
    """In their order, without gaps."""


class StepTime(_Part):
    """A step over all ways."""

    component: str
    """Who has it in hand."""
    step: str
    """What is done, or waited for."""
    n: int
    """How many ways have it."""
    p50_s: float
    """Of those that have it."""
    p99_s: float
    """Of those that have it."""
    share: float
    """Of the time of all ways."""


class Greatest(_Part):
    """Where the time of the objects about a percentile went."""

    percentile: float
    """50 or 99."""
    whole_s: float
    """The mean of the objects about it."""
    objects: int
    """How many those are: 2% of all, at least one."""
    component: str
    """The one with the greatest share."""
    share: float
    """Of their time."""
    step: str
    """Its longest step."""
    step_share: float
    """Of their time."""
    evidence: tuple[str, ...] = ()
    """What the component's own figures say to it."""


class Trace(_Part):
    """Where the time of the workload's objects went, from due to up."""

    n: int
    """Objects whose way is known."""
    untraced: int
    """Objects that came up, but whose creation the audit log does not tell."""
    p50_s: float
    """Of the wholes."""
    p99_s: float
    """Of the wholes."""
    unexplained_share: float
    """Of the time of all ways."""
    greatest: tuple[Greatest, ...]
    """At p50 and p99."""
    steps: tuple[StepTime, ...]
    """Those with the greatest share first."""
    ways: tuple[Way, ...]
    """The slowest objects, and those at p50 and p99."""
    clock_error_s: float
    """How far the API server's times may be off on the run's clock."""


class PackageCost(_Part):
    """A package's part of a profile."""

    package: str
    """Its import path."""
    charged: float
    """In its own functions and what they call of Go's standard library; charges add up to 1."""
    flat: float
    """In its own functions."""
    cumulative: float
    """In its functions and all that they call."""


class ProfileResult(_Part):
    """A component's profile of itself."""

    process: str
    """Its name."""
    component: str
    """As in the catalogue of components."""
    kind: Literal["cpu", "heap"]
    """CPU time, or memory in use."""
    file: str
    """In the run folder; `go tool pprof` reads it."""
    start_s: float
    """Since the run's start."""
    duration_s: float
    """Of a heap, 0."""
    total: float | None = None
    """CPU seconds, or bytes; None: there is none."""
    gc_share: float | None = None
    """The part of the CPU time that is garbage collection."""
    packages: tuple[PackageCost, ...] = ()
    """The costliest."""
    error: str | None = None
    """Why there is none."""
