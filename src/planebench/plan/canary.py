"""Canaries: small objects that are read and written again and again, to tell how the API serves.

At rest there is one of them: how late its watch events come is what is asked. Beside the creations there are many:
after an outage all that has piled up comes at once, and on one object writers would only get in each other's way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np

from planebench.model import RequestTemplate, Resource, WatchSpec, json_body
from planebench.plan.arrivals import DueTimes, constant
from planebench.plan.objects import REVISION_LABEL, RUN_LABEL
from planebench.plan.operations import Naming, Operations
from planebench.scenario import Scenario

CANARY: Final = "canary"
"""The watch of these objects."""
NAMESPACE: Final = "planebench-canary"
AT_REST: Final = Naming("planebench-canary", (NAMESPACE,))
"""The one of the monitoring stage."""
BESIDE: Final = tuple(Naming(f"planebench-canary-{number:02d}", (NAMESPACE,)) for number in range(32))
"""Those of the creation stage, which are read and written in turn."""
_LABEL: Final = "planebench.dev/canary"
_CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")


def at_rest(scenario: Scenario) -> int:
    """How many writes there are in the monitoring stage."""
    monitoring = scenario.lifecycle.monitoring
    return int(monitoring.duration * monitoring.canary)


def beside(scenario: Scenario) -> tuple[int, int]:
    """How many reads and writes there are beside the creations."""
    creation = scenario.lifecycle.creation
    duration_s = creation.arrival.duration_s(scenario.workload.count)
    return int(duration_s * creation.reads), int(duration_s * creation.writes)


def names(scenario: Scenario) -> list[str]:
    """The objects that a scenario needs."""
    namings = [AT_REST] * bool(at_rest(scenario)) + [*BESIDE] * any(beside(scenario))
    return [naming.name for naming in namings]


def paths(scenario: Scenario) -> dict[str, str]:
    """Name -> API path of each of them."""
    return {name: _CONFIG_MAPS.path(NAMESPACE, name) for name in names(scenario)}


def watch() -> WatchSpec:
    return WatchSpec(
        name=CANARY,
        resource=_CONFIG_MAPS,
        milestones=(),
        label_selector=_LABEL,
        namespaces=(NAMESPACE,),
        revision_field=f'metadata.labels["{REVISION_LABEL}"]',
    )


def creations(scenario: Scenario, run_id: str) -> list[tuple[RequestTemplate, Naming]]:
    """What creates them."""
    return [
        (
            RequestTemplate(
                "create", _CONFIG_MAPS.id, "POST", _CONFIG_MAPS.path(NAMESPACE), _manifest(name, run_id)
            ),
            Naming(name, (NAMESPACE,)),
        )
        for name in names(scenario)
    ]


def template(verb: Literal["get", "patch"]) -> RequestTemplate:
    """A read, or the write of a revision: the operation's index."""
    path = _CONFIG_MAPS.path("__NAMESPACE__", "__NAME__")
    if verb == "get":
        return RequestTemplate(verb, _CONFIG_MAPS.id, "GET", path)
    return RequestTemplate(
        verb=verb,
        resource=_CONFIG_MAPS.id,
        method="PATCH",
        path=path,
        body=json_body({"metadata": {"labels": {REVISION_LABEL: "__INDEX__"}}}),
        content_type="application/merge-patch+json",
    )


def requests(scenario: Scenario) -> Iterator[tuple[list[RequestTemplate], Operations]]:
    """Reads, then writes, beside the creations as long as these go on; a write's index is its number. Reads and
    writes of one rate take turns."""
    creation = scenario.lifecycle.creation
    reads, writes = beside(scenario)
    if reads:
        index = np.full(reads, -1, np.int32)
        yield [template("get")] * len(BESIDE), _in_turn(_shifted(creation.reads, reads, 1), index)
    if writes:
        index = np.arange(writes, dtype=np.int32)
        yield [template("patch")] * len(BESIDE), _in_turn(_shifted(creation.writes, writes, 2), index)


def _in_turn(due_ns: DueTimes, index: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Operations:
    return Operations(due_ns, np.arange(len(due_ns), dtype=np.int32) % len(BESIDE), index, BESIDE)


def _shifted(rate_per_s: float, count: int, thirds: int) -> DueTimes:
    """One operation every 1/rate, the first one so many thirds of that after the start."""
    return constant(rate_per_s, count) + int(thirds * 1e9 / 3 / rate_per_s)


def _manifest(name: str, run_id: str) -> bytes:
    labels = {RUN_LABEL: run_id, _LABEL: "", REVISION_LABEL: "none"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return json_body({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
