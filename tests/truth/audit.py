"""An independent observer: when the API server itself says that it has done what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    resources: [{group: "", resources: [pods, pods/binding, pods/status]}]
    verbs: [create, patch, delete]
  - level: None
"""


@dataclass(frozen=True)
class Entry:
    """A request as the API server has logged it; Unix time in seconds."""

    user: str
    verb: str
    subresource: str
    name: str
    code: int
    received_s: float
    done_s: float


def read(log: Path) -> list[Entry]:
    return [_entry(json.loads(line)) for line in log.read_text().splitlines()]


def successes(log: Path, user: str, verb: str, subresource: str = "") -> dict[str, Entry]:
    """By the object's name, the first one of each."""
    found: dict[str, Entry] = {}
    for entry in _matching(read(log), user, verb, subresource):
        found.setdefault(entry.name, entry)
    return found


def _matching(entries: list[Entry], user: str, verb: str, subresource: str) -> Iterator[Entry]:
    for entry in entries:
        if (entry.user, entry.verb, entry.subresource) == (user, verb, subresource) and 200 <= entry.code < 300:
            yield entry


def _entry(event: dict[str, Any]) -> Entry:
    reference = event["objectRef"]
    return Entry(
        user=event["user"]["username"],
        verb=event["verb"],
        subresource=reference.get("subresource", ""),
        name=reference.get("name", ""),
        code=event["responseStatus"]["code"],
        received_s=_seconds(event["requestReceivedTimestamp"]),
        done_s=_seconds(event["stageTimestamp"]),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
