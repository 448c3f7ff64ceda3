"""Whose cost it is, where objects' time went, and what packages cost, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from planebench.report import figures
from planebench.results.attribution import Cost, Greatest, ProfileResult, RoleCost, Trace, Way

_MOST_USERS: Final = 6
_MOST_STEPS: Final = 8
_MOST_PACKAGES: Final = 4
_BAR: Final = 20


def cost_lines(cost: Cost | None) -> Iterator[RenderableType]:
    """By role, and with an audit log by user."""
    if cost is None or all(role.cpu_s is None for role in cost.roles):
        return
    if not cost.audited:
        yield Text("CPU in the stages: " + ", ".join(f"{role.role} {_seconds(role.cpu_s)}" for role in cost.roles))
        moved = [f"{role.role} {_bytes(role.bytes)}" for role in cost.roles if role.bytes is not None]
        if moved:
            yield Text("Traffic with the API server: " + ", ".join(moved))
        return
    table = _table("", "requests", "failed", "request s", "traffic", "CPU s", "API server CPU s*")
    for role in cost.roles:
        table.add_row(*_role(role))
    yield table
    yield Text("* an estimate: the API server's CPU in proportion to request time", style="dim")
    users = _table("User", "requests", "failed", "request s")
    for user in cost.users[:_MOST_USERS]:
        users.add_row(
            f"{user.user.removeprefix('system:serviceaccount:')} ({user.role})",
            figures.count(user.requests),
            figures.count(user.failed),
            f"{user.request_s:.2f}",
        )
    yield users
    if cost.traffic:
        traffic = _table("Traffic", "sent", "received")
        for one in cost.traffic[:_MOST_USERS]:
            name = f"{one.component} to {one.peer}"
            traffic.add_row(name, _bytes(one.sent_bytes), _bytes(one.received_bytes))
        yield traffic


def trace_lines(trace: Trace | None) -> Iterator[RenderableType]:
    """The component with the greatest share, the steps, and one object's way."""
    if trace is None:
        return
    for greatest in trace.greatest:
        yield Text(_greatest(greatest))
    for line in dict.fromkeys(line for greatest in trace.greatest for line in greatest.evidence):
        yield Text(f"  {line}", style="dim")
    steps = _table("Step of all ways", "p50", "p99", "share")
    for step in trace.steps[:_MOST_STEPS]:
        steps.add_row(
            f"{step.component}: {step.step}",
            figures.duration(step.p50_s),
            figures.duration(step.p99_s),
            f"{step.share:.1%}",
        )
    yield steps
    if trace.unexplained_share:
        yield Text(f"{trace.unexplained_share:.1%} of the time is unexplained.")
    if trace.untraced:
        yield Text(f"{trace.untraced:,} objects are not in the audit log.")
    typical = next((way for way in trace.ways if way.why == "p50"), None)
    if typical is not None:
        yield Text(f"The way of {typical.name}, at p50:")
        yield _waterfall(typical)


def profile_lines(profiles: Sequence[ProfileResult]) -> Iterator[RenderableType]:
    """Each component's costliest packages."""
    for profile in profiles:
        if profile.error is not None:
            yield Text(f"{profile.process} {profile.kind}: none, {profile.error}")
        elif profile.kind == "cpu" and profile.packages and profile.total is not None:
            named = ", ".join(
                f"{package.package} {package.charged:.0%}" for package in profile.packages[:_MOST_PACKAGES]
            )
            yield Text(
                f"{profile.process}: {profile.total:.1f} CPU s in {profile.duration_s:.0f} s, "
                f"garbage collection {profile.gc_share or 0.0:.0%}; {named}"
            )


def _greatest(greatest: Greatest) -> str:
    return (
        f"At p{greatest.percentile:g}, of {figures.duration(greatest.whole_s)}: {greatest.component} "
        f'{greatest.share:.0%}, most of it "{greatest.step}" ({greatest.step_share:.0%})'
    )


def _role(role: RoleCost) -> list[str]:
    return [
        role.role,
        "-" if role.requests is None else figures.count(role.requests),
        "-" if role.failed is None else figures.count(role.failed),
        "-" if role.request_s is None else f"{role.request_s:.2f}",
        "-" if role.bytes is None else _bytes(role.bytes),
        "-" if role.cpu_s is None else f"{role.cpu_s:.2f}",
        "-" if role.apiserver_cpu_s is None else f"{role.apiserver_cpu_s:.2f}",
    ]


def _waterfall(way: Way) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False, pad_edge=False, expand=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, width=_BAR)
    table.add_column(overflow="fold")
    whole_s = way.whole_s or 1.0
    for part in way.parts:
        start = min(max(round(part.start_s / whole_s * _BAR), 0), _BAR - 1)
        end = min(max(round((part.start_s + part.duration_s) / whole_s * _BAR), start + 1), _BAR)
        table.add_row(
            figures.duration(part.duration_s),
            " " * start + "━" * (end - start),
            f"{part.component}: {part.step}",
        )
    return table


def _bytes(amount: int) -> str:
    return figures.value(amount, "bytes")


def _seconds(cpu_s: float | None) -> str:
    return "not sampled" if cpu_s is None else f"{cpu_s:.1f} s"


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    table.add_column(first, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
