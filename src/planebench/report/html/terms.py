"""What the report's figures mean, where the catalogue of indicators does not say."""

from __future__ import annotations

from typing import Final

from planebench.planes import Plane
from planebench.slis.families import figures_of
from planebench.slis.metrics import Metric
from planebench.stats import least_n

TERMS: Final[dict[str, tuple[str, str]]] = {
    "n": (
        "n",
        "How many values there should be. Those that never came count; in every percentile they are larger than "
        "all others.",
    ),
    "percentile": (
        "p50, p90, p99, max",
        "Nearest rank: the smallest measured value that so many percent of all n are not above. Never a value in "
        "between. Where the rank falls among the missing, what is known of those is told: more than a time, "
        "failed, or never.",
    ),
    "few": (
        "few values",
        f"p99 of fewer than {least_n(99)} values has no finite 95% upper bound: the true one may be larger than "
        "every value that was measured.",
    ),
    "rate": ("per second", "Successes per second, from the first due to the last success. Unit: 1/s."),
    "failed": (
        "failed",
        "Of requests: those without success after all retries. Of objects: those that never came. A dash: the "
        "indicator counts neither.",
    ),
    "value": ("value", "Of an indicator that is a single value, in the unit that it is told with."),
    "planned": ("planned", "Objects that the scenario asked for."),
    "created": ("created", "Objects whose creation was answered with success."),
    "scheduled": ("scheduled", "Objects whose pod was given a node, as a watch told."),
    "up": ("up", "Objects that reached the milestone that their workload counts as up."),
    "deleted": ("deleted", "Objects that a watch saw go, all of each number."),
    "failed-objects": ("failed", "Objects with a terminal failure before their deletion."),
    "unschedulable": ("unschedulable", "Of the planned objects, those that were to find no node."),
    "refused": ("to be refused", "Of the planned objects, those that were to be refused."),
    "role": (
        "role",
        "Whose cost it is. Subject: the control plane under test. Simulator: what plays the nodes. Harness: "
        "planebench itself.",
    ),
    "request-time": (
        "request time",
        "How long the API server had the requests in hand, added up, by its audit log. Watches are left out: they "
        "are open for as long as their clients want.",
    ),
    "estimate": (
        "API server's CPU",
        "An estimate: the API server's CPU seconds, divided by how long it had each side's requests in hand.",
    ),
    "charged": (
        "charged",
        "What a package cost in its own functions and in those of Go's standard library that they call. Charges "
        "of all packages add up to the whole.",
    ),
    "variation": (
        "variation",
        "Standard deviation / mean over the nodes: 0 is even. At random: the mean of 200 simulated placements, "
        "each pod on one of its eligible nodes.",
    ),
    "gini": ("Gini", "Gini coefficient over the nodes: 0 is even, 1 - 1 / nodes is all on one."),
    "over-time": (
        "over the run",
        "From the first scrape to the last, from 0 at the bottom to the highest at the top. What happened between "
        "two scrapes is not seen.",
    ),
    "leftovers": ("left over", "Objects of the run that the API server still listed after the cleanup."),
    "cpu": (
        "CPU seconds",
        "User and system time of all of a component's processes since their start. Stages share it by their "
        "times, evenly between samples; other is what lies before, between and after them.",
    ),
    "memory": (
        "peak memory",
        "The sum of the highest resident memory of each of a component's processes, as the kernel notes it "
        "(VmHWM).",
    ),
    "requests": (
        "requests",
        "Requests that a server answered, or a client sent, while the stages went on, by its own counters.",
    ),
    "errors": ("errors", "Requests that were answered with 429 or 5xx, or not at all."),
    "buckets": (
        "from buckets",
        "A component tells a histogram: how many values lay between fixed bounds. Its percentiles are "
        "interpolated within a bucket, so they may be off by as much as the bucket is wide; max is the end of "
        "the last bucket that holds a value.",
    ),
    "simulated": ("simulated", "Played by the simulator, no work of the control plane alone."),
    "received": ("received", "Bytes of the answers as they came over the wire, headers included, after TLS."),
}
"""Term -> its name and meaning."""


def metric(component: str, sli: str, plane: Plane) -> Metric | None:
    """The metric behind one of a component's own figures."""
    return next((found for found in figures_of(component, plane).metrics if found.id == sli), None)
