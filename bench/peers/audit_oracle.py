"""What really happened, by the API server's audit log: each request with the times of its receipt and of its end.

A line is an ``audit.k8s.io/v1`` Event (kubernetes v1.37.2, staging/src/k8s.io/apiserver/pkg/apis/audit/v1). Both
stamps are of the same clock, in whole microseconds, taken by the subject itself: no tool's client, watch or clock
is in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # Names that the API server chooses (generateName) stand in the answer alone: no tool here uses them.
        {"level": "Metadata", "resources": [{"group": "", "resources": ["pods", "pods/status"]}]},
        {"level": "None"},
    ],
}


class _Reference(msgspec.Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class _Event(msgspec.Struct, rename="camel"):
    stage_timestamp: datetime
    request_received_timestamp: datetime
    verb: str = ""
    user_agent: str = ""
    object_ref: _Reference = msgspec.field(default_factory=_Reference)
    response_status: _Status = msgspec.field(default_factory=_Status)

    @property
    def subject(self) -> tuple[str, str]:
        return self.object_ref.namespace, self.object_ref.name


@dataclass(frozen=True, slots=True)
class Truth:
    """Of all pods that a tool created."""

    created_s: list[float]
    """From the receipt of a pod's POST to the end of its answer; sorted."""
    startup_s: list[float]
    """From the receipt of a pod's POST until the simulator's first write of its status was done, which makes it
    Running and Ready at once; sorted. Pods that never started are missing."""
    creating_s: float
    """From the receipt of the first POST to that of the last one."""
    running_s: float
    """From the receipt of the first POST until the last pod was Running."""


def flags(folder: Path) -> dict[str, str]:
    """An API server's flags; writes the policy. The log is ``folder/audit.log``."""
    policy = folder / "policy.json"
    policy.write_text(json.dumps(POLICY))
    return {
        "audit-policy-file": str(policy),
        "audit-log-path": str(folder / "audit.log"),
        "audit-log-format": "json",
        "audit-log-mode": "blocking",
        "audit-log-maxsize": "4096",
    }


def read(log: Path) -> Truth:
    """Raises ValueError where the log has no pods."""
    with log.open("rb") as lines:
        return truth(lines)


def truth(lines: Iterable[bytes]) -> Truth:
    """Raises ValueError where there are no pods, msgspec.MsgspecError for a damaged line."""
    created: dict[tuple[str, str], _Event] = {}
    running: dict[tuple[str, str], datetime] = {}
    for event in _done(lines):
        match event.verb, event.object_ref.subresource:
            case "create", "":
                created[event.subject] = event
            case (("patch" | "update"), "status") if event.user_agent.startswith("kwok"):
                running.setdefault(event.subject, event.stage_timestamp)
    if not created:
        raise ValueError("the audit log has no pod that was created")
    received = {pod: event.request_received_timestamp for pod, event in created.items()}
    started = {pod: running[pod] for pod in created.keys() & running.keys()}
    first = min(received.values())
    return Truth(
        created_s=sorted(
            (event.stage_timestamp - received[pod]).total_seconds() for pod, event in created.items()
        ),
        startup_s=sorted((end - received[pod]).total_seconds() for pod, end in started.items()),
        creating_s=(max(received.values()) - first).total_seconds(),
        running_s=(max(started.values()) - first).total_seconds() if started else float("nan"),
    )


def _done(lines: Iterable[bytes]) -> Iterator[_Event]:
    """Requests for pods that succeeded."""
    decoder = msgspec.json.Decoder(_Event)
    for line in lines:
        event = decoder.decode(line)
        if event.object_ref.resource == "pods" and 200 <= event.response_status.code < 300:
            yield event
