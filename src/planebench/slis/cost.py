"""Whose cost it is: requests, request time and CPU by role, and by user of the API server.

A request belongs to the user that sent it, whatever it was for. The API server's own CPU cannot be told by user.
An estimate splits it by the time that it had requests in hand, which is right as far as a second of every request
costs it the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from planebench.components.users import HARNESS_USERS, SIMULATOR_USER
from planebench.model import Role, Stage
from planebench.planes import Plane
from planebench.results.attribution import Cost, RoleCost, Traffic, UserCost
from planebench.results.audit_log import error_ns
from planebench.results.document import Component
from planebench.slis.components import OTHER
from planebench.slis.observations import Observations

API_SERVER: Final = "kube-apiserver"
HARNESS: Final = "planebench"
SIMULATOR: Final = "kwok"
_KNOWN: Final = {
    "system:apiserver": API_SERVER,
    "system:kube-scheduler": "kube-scheduler",
    "system:kube-controller-manager": "kube-controller-manager",
}
_CONTROLLERS: Final = "system:serviceaccount:kube-system:"


def cost(seen: Observations, components: Sequence[Component]) -> Cost:
    """Over the stages, from the first one's start to the last one's end."""
    own = {role: _cpu_s(item for item in components if item.role is role) for role in Role}
    api_cpu_s = _cpu_s(item for item in components if item.name == API_SERVER)
    requests = requests_in_stages(seen)
    traffic = _traffic(seen)
    bytes_by_role = _bytes_by_role(traffic)
    if not seen.audit.height:
        return Cost(
            audited=False,
            roles=tuple(RoleCost(role=role, cpu_s=own[role], bytes=bytes_by_role.get(role)) for role in Role),
            traffic=traffic,
            notes=("requests by role are told by runs with --audit",),
        )
    users = _users(requests, seen.plane)
    total_s = sum(user.request_s for user in users)
    roles = []
    for role in Role:
        mine = [user for user in users if user.role is role]
        request_s = sum(user.request_s for user in mine)
        estimate = api_cpu_s * request_s / total_s if api_cpu_s is not None and total_s else None
        roles.append(
            RoleCost(
                role=role,
                requests=sum(user.requests for user in mine),
                watches=sum(user.watches for user in mine),
                failed=sum(user.failed for user in mine),
                request_s=round(request_s, 6),
                bytes=bytes_by_role.get(role),
                cpu_s=own[role],
                apiserver_cpu_s=None if estimate is None else round(estimate, 3),
            )
        )
    return Cost(
        audited=True,
        roles=tuple(roles),
        users=tuple(users),
        traffic=traffic,
        clock_error_s=error_ns(seen.clock) / 1e9,
        notes=(
            "the API server's CPU by role is an estimate, in proportion to request time",
            *_shared(users),
        ),
    )


def role_of(user: str, plane: Plane) -> tuple[Role, str]:
    """Whose a user's requests are, and which component acts as it; one that is unknown goes by its own name."""
    simulator = plane.simulator.user.name if plane.simulator.user else SIMULATOR_USER
    if user in HARNESS_USERS:
        return Role.HARNESS, HARNESS
    if user == simulator:
        return Role.SIMULATOR, SIMULATOR
    for process in plane.processes:
        if user == process.user.name:
            return process.role, process.component
    if user.startswith(_CONTROLLERS):
        return Role.SUBJECT, "kube-controller-manager"
    return Role.SUBJECT, _KNOWN.get(user, user)


def _span_ns(seen: Observations) -> tuple[int, int]:
    """From the first stage's start to the last one's end."""
    spans = [span for stage in Stage if (span := seen.run.span_ns(stage))]
    if not spans:
        return 0, seen.run.end_ns
    return min(span[0] for span in spans), max(span[1] for span in spans)


def _traffic(seen: Observations) -> tuple[Traffic, ...]:
    """By component and peer: from the last sample before the stages to the first one after them."""
    start_ns, end_ns = _span_ns(seen)
    moved: dict[tuple[str, str, str], list[int]] = {}
    for part in seen.traffic.sort("t_ns").partition_by("process", "peer"):
        before = part.filter(pl.col("t_ns") <= start_ns).tail(1)
        after = part.filter(pl.col("t_ns") >= end_ns).head(1)
        last = after if after.height else part.tail(1)
        total = moved.setdefault((last["component"][0], last["role"][0], last["peer"][0]), [0, 0])
        for place, column in enumerate(("sent_bytes", "received_bytes")):
            total[place] += int(last[column][0]) - (int(before[column][0]) if before.height else 0)
    found = [
        Traffic(component=component, role=Role(role), peer=peer, sent_bytes=sent, received_bytes=received)
        for (component, role, peer), (sent, received) in moved.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.sent_bytes - one.received_bytes))


def _bytes_by_role(traffic: Sequence[Traffic]) -> dict[Role, int]:
    """What each role has exchanged with the API server."""
    found: dict[Role, int] = {}
    for one in traffic:
        if one.peer == API_SERVER and one.component != API_SERVER:
            found[one.role] = found.get(one.role, 0) + one.sent_bytes + one.received_bytes
    return found


def requests_in_stages(seen: Observations) -> pl.DataFrame:
    """The audit log's requests for objects that were received in the stages; watches are marked: they are open for
    as long as their clients like."""
    found = seen.audit.filter(pl.col("received_ns").is_between(*_span_ns(seen)) & (pl.col("resource") != ""))
    return found.with_columns(
        watch=pl.col("verb") == "watch", s=(pl.col("done_ns") - pl.col("received_ns")) / 1e9
    ).filter(~pl.col("watch") | (pl.col("stage") == "ResponseStarted"))


def _users(requests: pl.DataFrame, plane: Plane) -> list[UserCost]:
    plain = ~pl.col("watch")
    found = requests.group_by("user").agg(
        plain.sum().alias("requests"),
        pl.col("watch").sum().alias("watches"),
        (plain & (pl.col("code") >= 400)).sum().alias("failed"),
        pl.col("s").filter(plain).sum().alias("request_s"),
        pl.col("user_agent").unique().sort().alias("user_agents"),
    )
    users = []
    for row in found.iter_rows(named=True):
        role, component = role_of(row["user"], plane)
        agents = tuple(dict.fromkeys(map(_program, row["user_agents"])))
        fields = {**row, "request_s": round(row["request_s"], 6), "user_agents": agents}
        users.append(UserCost(role=role, component=component, **fields))
    return sorted(users, key=lambda user: (-user.request_s, user.user))


def _program(user_agent: str) -> str:
    """``kube-scheduler/v1.37.2`` of a Go client's long user agent."""
    return user_agent.partition(" ")[0]


def _shared(users: Sequence[UserCost]) -> list[str]:
    """User agents that two roles use: they must be distinct, to be told apart in metrics, too."""
    roles: dict[str, set[Role]] = {}
    for user in users:
        for agent in user.user_agents:
            roles.setdefault(agent, set()).add(user.role)
    return [
        f"user agent {agent} is used by {', '.join(sorted(used))}"
        for agent, used in roles.items()
        if len(used) > 1
    ]


def cpu_in_stages_s(component: Component) -> float | None:
    """User and system, while the stages went on; None: its processes were not sampled."""
    by_stage = component.cpu_by_stage_s
    return sum(used_s for stage, used_s in by_stage.items() if stage != OTHER) if by_stage else None


def _cpu_s(components: Iterable[Component]) -> float | None:
    found = [used_s for component in components if (used_s := cpu_in_stages_s(component)) is not None]
    return round(sum(found), 3) if found else None
