"""Why an object is not what it is to be, in the control plane's own words: conditions, status, events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from planebench.model import Manifest
from planebench.results.document import StuckCount

MOST_KINDS: Final = 50
"""So many different reasons are told."""
_EXAMPLES: Final = 3

_DONE: Final = ("Succeeded", "Completed")
_TO_BE_TRUE: Final = ("PodScheduled", "QuotaReserved", "Available", "Ready")
"""Conditions that hold of an object that is well; the first that does not hold tells the most."""
_TO_BE_FALSE: Final = ("Failed", "FailureTarget", "ReplicaFailure", "Failure", "Suspended")
"""Conditions that hold of one that is not."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """An object that is not what it is to be."""

    resource: str
    """Plural, with its group."""
    namespace: str
    name: str
    state: str
    """Its phase, or the condition that tells: ``Pending``, ``ReplicaFailure``."""
    reason: str
    """The control plane's words; empty: it gives none."""


def stuck(resource: str, item: Manifest, warnings: Mapping[str, str]) -> Stuck | None:
    """An object, if it has failed, or waits for something.

    Args:
        item: the object as the API server has it.
        warnings: UID -> the newest warning among its events, for objects whose status gives no reason.
    """
    metadata, status = item["metadata"], item.get("status") or {}
    if _done(status):
        return None
    found = _told(metadata, status)
    if found is None:
        return None
    state, reason = found
    return Stuck(
        resource,
        metadata.get("namespace", ""),
        metadata["name"],
        state,
        reason or warnings.get(str(metadata.get("uid", "")), ""),
    )


def warnings_of(events: Iterable[Manifest]) -> dict[str, str]:
    """UID -> its newest warning, from core/v1 Events in the order in which the API server lists them."""
    found: dict[str, tuple[str, str]] = {}
    for event in events:
        uid = str((event.get("involvedObject") or {}).get("uid", ""))
        when = str(event.get("lastTimestamp") or event.get("eventTime") or "")
        if uid and when >= found.get(uid, ("", ""))[0]:
            found[uid] = (when, _joined(event.get("reason"), event.get("message")))
    return {uid: text for uid, (_, text) in found.items()}


def grouped(found: Sequence[tuple[str, Sequence[Stuck]]]) -> tuple[StuckCount, ...]:
    """Objects that are stuck for the same reason as one, the most frequent first; at most :data:`MOST_KINDS`.

    Args:
        found: stage -> what was stuck at its end. What is told of an object at one stage's end is not told again
            at a later one's.
    """
    told: set[Stuck] = set()
    counts: Counter[tuple[str, str, str, str]] = Counter()
    examples: dict[tuple[str, str, str, str], list[str]] = {}
    for stage, objects in found:
        for item in objects:
            if item in told:
                continue
            told.add(item)
            key = (stage, item.resource, item.state, item.reason)
            counts[key] += 1
            names = examples.setdefault(key, [])
            if len(names) < _EXAMPLES:
                names.append(f"{item.namespace}/{item.name}".lstrip("/"))
    order = sorted(counts, key=lambda key: (-counts[key], key))
    return tuple(
        StuckCount(
            stage=stage,
            resource=resource,
            state=state,
            reason=reason,
            count=counts[stage, resource, state, reason],
            examples=tuple(examples[stage, resource, state, reason]),
        )
        for stage, resource, state, reason in order[:MOST_KINDS]
    )


def _done(status: Mapping[str, Any]) -> bool:
    conditions = _conditions(status)
    return status.get("phase") in _DONE or conditions.get("Complete", {}).get("status") == "True"


def _told(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, str] | None:
    if metadata.get("deletionTimestamp"):
        held = metadata.get("finalizers") or ()
        return "Terminating", f"held by {', '.join(held)}" if held else ""
    conditions = _conditions(status)
    phase = str(status.get("printableStatus") or status.get("phase") or "")
    if status.get("phase") == "Failed":
        return "Failed", _joined(status.get("reason"), status.get("message")) or _first(conditions)
    for name in _TO_BE_FALSE:
        if (one := conditions.get(name, {})).get("status") == "True":
            return name, _words(one)
    for name in _TO_BE_TRUE:
        if (one := conditions.get(name, {})).get("status") in ("False", "Unknown"):
            return phase or f"not {name}", _words(one)
    if phase in ("Pending", "Scheduling"):
        return phase, ""
    # A Job that can make no pods says so in its events only.
    waits = "startTime" in status and not any(status.get(field) for field in ("active", "ready", "succeeded"))
    return ("no pods", "") if waits and "conditions" not in status and not phase else None


def _first(conditions: Mapping[str, Mapping[str, Any]]) -> str:
    """The first condition that does not hold and says why."""
    return next((_words(one) for one in conditions.values() if one.get("status") == "False" and _words(one)), "")


def _conditions(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(one.get("type")): one for one in status.get("conditions") or () if isinstance(one, Mapping)}


def _words(condition: Mapping[str, Any]) -> str:
    return _joined(condition.get("reason"), condition.get("message"))


def _joined(reason: object, message: object) -> str:
    return ": ".join(" ".join(str(part).split()) for part in (reason, message) if part)
