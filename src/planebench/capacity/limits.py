"""Which components are at a limit, by their own figures from before the load until all of it was up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from planebench.capacity.document import ComponentLimit, LimitKind, StepFigures
from planebench.model import Role, Stage
from planebench.results.document import Result
from planebench.slis.observations import Observations
from planebench.slis.prometheus import Between, Scrapes

LONG_WAIT_S: Final = 0.01
"""A mean wait, in a client's limiter or in a work queue."""
MANY_TIMES: Final = 5.0
"""A work queue's wait against its work: then its workers are what is missing."""
BUSY: Final = 0.8
"""Of the time, by a loop that does one thing after the other."""
ALL_CORES: Final = 0.95
"""Of the machine."""
SLOW_FSYNC_S: Final = 0.01
SLOW_COMMIT_S: Final = 0.025
"""Both at the 99th percentile. Source: https://etcd.io/docs/v3.6/faq/, on slow disks."""

_LIMITER: Final = ".*rest_client_rate_limiter_duration_seconds"
_SCHEDULING: Final = "scheduler_scheduling_algorithm_duration_seconds"
_QUEUE: Final = ".*workqueue_"
_FSYNC: Final = "etcd_disk_wal_fsync_duration_seconds"
_COMMIT: Final = "etcd_disk_backend_commit_duration_seconds"
_REJECTED: Final = "apiserver_flowcontrol_rejected_requests_total"
_FAMILIES: Final = (_LIMITER, _SCHEDULING, f"{_QUEUE}(queue|work)_duration_seconds", _FSYNC, _COMMIT, _REJECTED)


def limits(
    seen: Observations, scrapes: Scrapes, result: Result, figures: StepFigures
) -> tuple[ComponentLimit, ...]:
    """Every component at a limit, whatever the step's verdict."""
    roles = {component.name: component.role for component in result.components}

    def limit(component: str, kind: LimitKind, reason: str, role: Role | None = None) -> ComponentLimit:
        known = role or roles.get(component, Role.SUBJECT)
        return ComponentLimit(component=component, role=known, kind=kind, reason=reason)

    found = [
        limit(
            waiting.component,
            "queue",
            f"{waiting.growth_per_s:+.1f} objects/s wait for {waiting.title}",
            waiting.role,
        )
        for waiting in figures.waiting
        if waiting.grows
    ]
    if reason := _cores(figures):
        subjects = [usage for usage in figures.usage if usage.role is not Role.HARNESS]
        found.append(limit(subjects[0].component if subjects else "machine", "cpu", reason))
    span = seen.run.span_ns(Stage.CREATION)
    for process, component in scrapes.components.items() if span else ():
        between = scrapes.between(process, *span, _FAMILIES) if span else None
        if between is not None:
            found += [limit(component, kind, reason) for kind, reason in _own(between)]
    return tuple(found)


def _cores(figures: StepFigures) -> str:
    """All cores in use, and by whom; empty where some are free."""
    if not figures.cores:
        return ""
    own = sum(usage.cores for usage in figures.usage)
    busy = max(figures.busy_cores or 0.0, own)
    if busy < ALL_CORES * figures.cores:
        return ""
    shares = [f"{usage.component} {usage.cores:.2f}" for usage in figures.usage if usage.cores >= 0.01]
    if busy - own >= 0.01:
        shares.append(f"others on this machine {busy - own:.2f}")
    return f"{busy:.2f} of {figures.cores} cores in use: {', '.join(shares)}"


def _own(between: Between) -> Iterator[tuple[LimitKind, str]]:
    """What a component's own metrics say, from before the load until all of it was up."""
    limiter = between.histogram(_LIMITER)
    if limiter and limiter.mean >= LONG_WAIT_S:
        yield (
            "client limiter",
            f"its requests wait {_ms(limiter.mean)} on average for its own client limit "
            f"({limiter.n:,} requests, {limiter.n / between.took_s:.0f}/s)",
        )
    loop = between.histogram(_SCHEDULING)
    if loop and (busy := loop.sum / between.took_s) >= BUSY:
        yield "workers", f"its scheduling loop is busy {busy * 100:.0f}% of the time ({_ms(loop.mean)} each pod)"
    yield from _queues(between)
    for family, most_s, what in (
        (_FSYNC, SLOW_FSYNC_S, "WAL fsync"),
        (_COMMIT, SLOW_COMMIT_S, "backend commit"),
    ):
        slow = between.histogram(family)
        if slow and (p99_s := slow.percentile(99)[0]) > most_s:
            yield "disk", f"{what} p99 {_ms(p99_s)} (should be below {_ms(most_s)})"
    if rejected := between.total(_REJECTED):
        yield "rejections", f"{rejected:,.0f} requests rejected by priority and fairness"


def _queues(between: Between) -> Iterator[tuple[LimitKind, str]]:
    """Work queues whose items wait long, and many times longer than they are worked on."""
    parts = {
        (kind, part): between.by_label(f"{_QUEUE}{kind}_duration_seconds_{part}", "name")
        for kind in ("queue", "work")
        for part in ("sum", "count")
    }
    for name, items in parts["work", "count"].items():
        waited_s = parts["queue", "sum"].get(name, 0.0) / items
        worked_s = parts["work", "sum"].get(name, 0.0) / items
        if waited_s >= max(LONG_WAIT_S, MANY_TIMES * worked_s):
            busy = parts["work", "sum"].get(name, 0.0) / between.took_s
            yield (
                "workers",
                f"items of its queue {name} wait {_ms(waited_s)} for {_ms(worked_s)} of work "
                f"({busy:.1f} workers busy)",
            )


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
