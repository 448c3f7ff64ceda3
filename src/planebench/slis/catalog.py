"""Every service level indicator: its id, unit, definition and source of truth.

The documentation's table is made from this one, and so are the checks of a scenario's SLOs. *due* is when the plan
wanted a request to be sent; receipts are stamped by the kernel of the measuring machine. Both are on one clock; no
time of any server enters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from planebench.model import Stage
from planebench.results.document import Unit
from planebench.scenario import SLO

REQUESTS: Final = "requests.parquet"
RECEIPTS: Final = "milestones.parquet"
SCRAPES: Final = "scrapes"
MANIFESTS: Final = "scenario.yaml"
CLEANUP_CHECK: Final = "leftovers.json"


@dataclass(frozen=True, slots=True)
class Definition:
    """What an indicator is.

    Indicators have parts: ``creation.response.pods`` is the part of ``creation.response`` for one resource;
    ``parts`` names what they go by, in the id's order.
    """

    id: str
    title: str
    """Short, for tables that name the stage already."""
    unit: Unit
    stage: Stage | None
    """None: preparation, or a component."""
    definition: str
    source: str
    parts: str = ""
    single: bool = False
    """A single value; others are distributions, of which a percentile is asked."""
    only_parts: bool = False
    """Its parts have nothing in common that would make a whole."""

    def part(self, *names: str) -> str:
        """The id of a part: names in lower case, with what an id cannot hold as a dash."""
        return ".".join((self.id, *(_id_part(name) for name in names)))


def _id_part(name: str) -> str:
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_.-") else "-" for sign in name.lower())


_DEFINITIONS: Final = (
    # --- preparation
    Definition(
        "nodes.ready",
        "node ready",
        "s",
        None,
        "from a node's creation due to the receipt of its Ready condition",
        f"{REQUESTS}, {RECEIPTS}",
    ),
    # --- creation
    Definition(
        "creation.response",
        "response",
        "s",
        Stage.CREATION,
        "from a creation due to the receipt of its 2xx answer: what a user waits; a request sent late counts from "
        "its due time",
        REQUESTS,
        parts="resource",
    ),
    Definition(
        "creation.service",
        "service",
        "s",
        Stage.CREATION,
        "from a creation sent to the receipt of its 2xx answer: what the API server takes",
        REQUESTS,
        parts="resource",
    ),
    Definition(
        "creation.seen",
        "seen by a watch",
        "s",
        Stage.CREATION,
        "from a creation due to the receipt of the object's ADDED event",
        f"{REQUESTS}, {RECEIPTS}",
    ),
    Definition(
        "creation.startup",
        "startup",
        "s",
        Stage.CREATION,
        "from a creation due to the receipt that shows the object up: in the milestone that its workload names so",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "creation.reached",
        "objects up",
        "share",
        Stage.CREATION,
        "objects that came up before their deletion, of all planned ones",
        f"{REQUESTS}, {RECEIPTS}",
        single=True,
    ),
    Definition(
        "creation.refused",
        "refused",
        "s",
        Stage.CREATION,
        "of objects that are to be refused: from a creation due to the receipt of a 4xx answer; of Deployments, "
        "to the receipt of the condition ReplicaFailure",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "creation.unexpected",
        "not refused",
        "count",
        Stage.CREATION,
        "objects that were to be refused and were not; of Deployments, those that came up",
        f"{REQUESTS}, {RECEIPTS}",
        single=True,
    ),
    # --- scheduling
    Definition(
        "scheduling.latency",
        "until bound",
        "s",
        Stage.SCHEDULING,
        "from an object's creation due to the receipt of its pod with a node's name; where the pod belongs to "
        "another object, from that one's creation due",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "scheduling.pod",
        "pod until bound",
        "s",
        Stage.SCHEDULING,
        "from the receipt of a pod's ADDED event to the receipt of its node's name: the scheduler's part",
        RECEIPTS,
    ),
    Definition(
        "scheduling.throughput",
        "binds, sustained",
        "/s",
        Stage.SCHEDULING,
        "binds per second from the 10th to the 90th percent of all first binds",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "scheduling.throughput_peak",
        "binds, peak",
        "/s",
        Stage.SCHEDULING,
        "the most first binds in any window of one second",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "scheduling.distribution",
        "pods per node",
        "count",
        Stage.SCHEDULING,
        "first pods by node, over all nodes that take them, those without any included; nodes with a NoSchedule "
        "or NoExecute taint count only where pods are on them",
        RECEIPTS,
    ),
    Definition(
        "scheduling.distribution_cv",
        "variation",
        "ratio",
        Stage.SCHEDULING,
        "standard deviation / mean of pods per node: 0 is even; random placement gives sqrt((nodes - 1) / pods)",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "scheduling.distribution_jain",
        "Jain's index",
        "ratio",
        Stage.SCHEDULING,
        "(sum x)^2 / (nodes * sum x^2) of pods per node: 1 is even, 1 / nodes is all on one",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "scheduling.distribution_gini",
        "Gini coefficient",
        "ratio",
        Stage.SCHEDULING,
        "sum over nodes in ascending order of (2 i - nodes - 1) x / (nodes * sum x) of pods per node: 0 is even, "
        "1 - 1 / nodes is all on one",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "scheduling.cpu_cv",
        "variation of CPU",
        "ratio",
        Stage.SCHEDULING,
        "standard deviation / mean over nodes of CPU requested / CPU allocatable",
        f"{RECEIPTS}, {MANIFESTS}",
        single=True,
    ),
    Definition(
        "scheduling.memory_cv",
        "variation of memory",
        "ratio",
        Stage.SCHEDULING,
        "standard deviation / mean over nodes of memory requested / memory allocatable",
        f"{RECEIPTS}, {MANIFESTS}",
        single=True,
    ),
    Definition(
        "scheduling.zone_skew",
        "zone skew",
        "count",
        Stage.SCHEDULING,
        "pods in the fullest zone less those in the emptiest one, of zones with nodes that take pods",
        f"{RECEIPTS}, {MANIFESTS}",
        single=True,
    ),
    Definition(
        "scheduling.packing",
        "nodes used / lower bound",
        "ratio",
        Stage.SCHEDULING,
        "nodes with pods on them / the fewest nodes, taken from the largest on, whose CPU, memory and places for "
        "pods suffice for all pods together: 1 is a perfect packing, and may be out of reach",
        f"{RECEIPTS}, {MANIFESTS}",
        single=True,
    ),
    Definition(
        "scheduling.stranded_cpu",
        "CPU stranded",
        "share",
        Stage.SCHEDULING,
        "free CPU on nodes where not even the workload's smallest pod fits any more, of all allocatable CPU",
        f"{RECEIPTS}, {MANIFESTS}",
        single=True,
    ),
    Definition(
        "scheduling.stranded_memory",
        "memory stranded",
        "share",
        Stage.SCHEDULING,
        "free memory on nodes where not even the workload's smallest pod fits any more, of all allocatable memory",
        f"{RECEIPTS}, {MANIFESTS}",
        single=True,
    ),
    Definition(
        "scheduling.violations",
        "constraint violations",
        "count",
        Stage.SCHEDULING,
        "pods that stand where a required constraint of their manifest does not let them: taints, node selectors, "
        "node and pod (anti-)affinity, topology spread, more requested than a node has; as pods are when the "
        "creation stage ends",
        f"{RECEIPTS}, {MANIFESTS}",
        single=True,
    ),
    Definition(
        "scheduling.refused",
        "told unschedulable",
        "s",
        Stage.SCHEDULING,
        "of objects that are expected to find no node: from a creation due to the receipt that shows their pod's "
        "PodScheduled condition with the reason Unschedulable",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "scheduling.unexpected",
        "scheduled against expectation",
        "count",
        Stage.SCHEDULING,
        "pods with a node of objects that are expected to find none",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "scheduling.preempted",
        "pods preempted",
        "count",
        Stage.SCHEDULING,
        "bare pods that were marked as deleting while the creation stage went on, which deletes none itself",
        RECEIPTS,
        single=True,
    ),
    # --- management
    Definition(
        "management.running",
        "running",
        "s",
        Stage.MANAGEMENT,
        "from a creation due to the receipt that shows the object running",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "management.ready",
        "ready",
        "s",
        Stage.MANAGEMENT,
        "from a creation due to the receipt that shows the object ready",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "management.transition",
        "transition",
        "s",
        Stage.MANAGEMENT,
        "from the receipt of one milestone of an object's startup to the receipt of the next one, of the first "
        "object of each number; 0 where one event shows both",
        RECEIPTS,
        parts="watch, milestones",
        only_parts=True,
    ),
    Definition(
        "management.response",
        "response",
        "s",
        Stage.MANAGEMENT,
        "from a change due to the receipt of its 2xx answer",
        REQUESTS,
        parts="change",
    ),
    Definition(
        "management.change",
        "change in effect",
        "s",
        Stage.MANAGEMENT,
        "from a change due to the receipt that shows its effect, as the plane names it: a new revision at the "
        "object or its pod, the object's end, or a successor (another UID of the same number) that is up",
        f"{REQUESTS}, {RECEIPTS}",
        parts="change, kind",
        only_parts=True,
    ),
    Definition(
        "management.drained",
        "node drained",
        "s",
        Stage.MANAGEMENT,
        "from the first request of a drain to the receipt of the end of the last pod that was to leave the node; "
        "one that stayed fails it",
        f"run.json, {RECEIPTS}",
    ),
    Definition(
        "management.eviction",
        "eviction granted",
        "s",
        Stage.MANAGEMENT,
        "from the first request for a pod's eviction to the receipt of the answer that grants it; what is refused "
        "is asked for again every 5 s",
        "run.json",
    ),
    Definition(
        "management.evicted",
        "evicted pod gone",
        "s",
        Stage.MANAGEMENT,
        "from the first request for a pod's eviction to the receipt of its end",
        f"run.json, {RECEIPTS}",
    ),
    Definition(
        "management.replaced",
        "evicted pod replaced",
        "s",
        Stage.MANAGEMENT,
        "from the first request for a pod's eviction to the receipt of the pod that came in its place as Ready; "
        "of a virtual machine, the target of its migration",
        f"run.json, {RECEIPTS}",
    ),
    Definition(
        "management.eviction_refusals",
        "evictions refused",
        "count",
        Stage.MANAGEMENT,
        "how often an eviction was refused: by a disruption budget, or by KubeVirt, which migrates instead",
        "run.json",
        single=True,
    ),
    Definition(
        "management.churned",
        "churn: deleted object gone",
        "s",
        Stage.MANAGEMENT,
        "of objects that others replace (churn): from a deletion due to the receipt of the object's end",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "management.children",
        "all children made",
        "s",
        Stage.MANAGEMENT,
        "from a creation due to the ADDED event of the last pod that controllers make for the object",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "management.endpoints",
        "pods ready to endpoints",
        "s",
        Stage.MANAGEMENT,
        "from the receipt that shows the last pod of a Service ready to the receipt of its EndpointSlice with all "
        "of them; two watches, so it may be below zero",
        RECEIPTS,
        parts="kind",
    ),
    # --- monitoring
    Definition(
        "monitoring.list",
        "LIST",
        "s",
        Stage.MONITORING,
        "from a LIST due to the receipt of its answer's last byte",
        REQUESTS,
        parts="resource, form",
    ),
    Definition(
        "monitoring.storm",
        "LIST storm",
        "s",
        Stage.MONITORING,
        "from a LIST of a storm due to the receipt of its answer's last byte, or of its last initial event for a "
        "stream: all of them were due at the same moment",
        REQUESTS,
        parts="resource, form",
    ),
    Definition(
        "monitoring.list_bytes",
        "LIST size",
        "bytes",
        Stage.MONITORING,
        "bytes of a LIST's answer, as received",
        REQUESTS,
        parts="resource, form",
    ),
    Definition(
        "monitoring.read",
        "GET",
        "s",
        Stage.MONITORING,
        "from a single object's GET due to the receipt of its answer",
        REQUESTS,
    ),
    Definition(
        "monitoring.write",
        "canary write",
        "s",
        Stage.MONITORING,
        "from a canary write due to the receipt of its 2xx answer",
        REQUESTS,
    ),
    Definition(
        "monitoring.canary",
        "watch staleness",
        "s",
        Stage.MONITORING,
        "from the receipt of a canary write's answer to the receipt of its watch event; below zero where the "
        "event came first, which is possible and kept",
        f"{REQUESTS}, {RECEIPTS}",
    ),
    Definition(
        "monitoring.node_health",
        "nodes ready",
        "share",
        Stage.MONITORING,
        "nodes that the API server has told as Ready, of all nodes played",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "monitoring.node_unknown",
        "silent node: Unknown",
        "s",
        Stage.MONITORING,
        "from the last renewal of a silent node's lease that a watch has shown to the receipt of its Ready "
        "condition as Unknown",
        f"run.json, {RECEIPTS}, events.parquet",
        parts="fault",
    ),
    Definition(
        "monitoring.node_unknown_net",
        "silent node: Unknown, net",
        "s",
        Stage.MONITORING,
        "monitoring.node_unknown less the configured node-monitor-grace-period (50 s by default); up to one "
        "node-monitor-period (5 s) of it is the wait for the next look",
        f"run.json, {RECEIPTS}, events.parquet",
        parts="fault",
    ),
    Definition(
        "monitoring.node_noschedule",
        "Unknown to NoSchedule taint",
        "s",
        Stage.MONITORING,
        "from the receipt of a silent node's Unknown condition to that of its taint "
        "node.kubernetes.io/unreachable:NoSchedule",
        RECEIPTS,
        parts="fault",
    ),
    Definition(
        "monitoring.node_noexecute",
        "Unknown to NoExecute taint",
        "s",
        Stage.MONITORING,
        "from the receipt of a silent node's Unknown condition to that of its taint "
        "node.kubernetes.io/unreachable:NoExecute; node-eviction-rate (0.1 nodes per second and zone by default) "
        "lets nodes wait for one another",
        RECEIPTS,
        parts="fault",
    ),
    Definition(
        "monitoring.eviction_net",
        "NoExecute taint to eviction, net",
        "s",
        Stage.MONITORING,
        "from the receipt of a silent node's NoExecute taint to the receipt of the deletionTimestamp of each pod "
        "on it, less the pod's tolerationSeconds (300 by default)",
        f"{RECEIPTS}, {MANIFESTS}",
        parts="fault",
    ),
    Definition(
        "monitoring.node_recovered",
        "node back to Ready",
        "s",
        Stage.MONITORING,
        "from the end of a node's silence to the receipt of its Ready condition as True",
        f"run.json, {RECEIPTS}",
        parts="fault",
    ),
    Definition(
        "monitoring.node_losses",
        "times that nodes were lost",
        "count",
        Stage.MONITORING,
        "how often nodes that were made to fail (silent, flapping, with slow heartbeats) were called Unknown",
        f"run.json, {RECEIPTS}",
        single=True,
    ),
    Definition(
        "monitoring.replacement_net",
        "NoExecute taint to replacement, net",
        "s",
        Stage.MONITORING,
        "from the receipt of a lost node's NoExecute taint, plus the pod's tolerationSeconds, to the receipt of "
        "the pod that came in its place as Ready",
        f"{RECEIPTS}, {MANIFESTS}",
        parts="fault",
    ),
    Definition(
        "monitoring.out_of_service",
        "out-of-service taint to removal",
        "s",
        Stage.MONITORING,
        "from the receipt of a lost node's taint node.kubernetes.io/out-of-service to the receipt of the end of "
        "each evicted pod on it; the pod garbage collector looks every 20 s",
        RECEIPTS,
        parts="fault",
    ),
    # --- cleanup
    Definition(
        "cleanup.response",
        "response",
        "s",
        Stage.CLEANUP,
        "from a deletion due to the receipt of its 2xx answer",
        REQUESTS,
        parts="resource",
    ),
    Definition(
        "cleanup.deleting",
        "marked as deleting",
        "s",
        Stage.CLEANUP,
        "from a deletion due to the receipt of the object's deletionTimestamp, or of its end if that comes first",
        f"{REQUESTS}, {RECEIPTS}",
    ),
    Definition(
        "cleanup.deleted",
        "deleted",
        "s",
        Stage.CLEANUP,
        "from a deletion due to the receipt of the object's DELETED event",
        f"{REQUESTS}, {RECEIPTS}",
        parts="watch",
    ),
    Definition(
        "cleanup.gone",
        "all of it gone",
        "s",
        Stage.CLEANUP,
        "from a deletion due to the last DELETED event of the object and of all that it had given rise to, where "
        "the plane watches more than the object itself",
        f"{REQUESTS}, {RECEIPTS}",
    ),
    Definition(
        "cleanup.collected",
        "garbage collected",
        "s",
        Stage.CLEANUP,
        "from the DELETED event of an object to the last DELETED event of what controllers had made for it",
        RECEIPTS,
        parts="kind",
    ),
    Definition(
        "cleanup.net",
        "deleted, net of the wait by design",
        "s",
        Stage.CLEANUP,
        "from a deletion due to the object's DELETED event, less what its controller waits by design before it "
        "acts (namespaces: 5 s, kubernetes/pkg/controller/namespace)",
        f"{REQUESTS}, {RECEIPTS}",
        parts="kind",
    ),
    Definition(
        "cleanup.leftovers",
        "leftovers",
        "count",
        Stage.CLEANUP,
        "objects of the run that the API server still lists after the cleanup",
        CLEANUP_CHECK,
        single=True,
    ),
    # --- faults of components
    Definition(
        "faults.lost",
        "requests lost",
        "count",
        None,
        "by fault: requests for single objects (create, get, update, patch, delete) that failed for good, after "
        "what the load engine tries again, and were due from the fault's start to the next one's, or to the "
        "stage's end",
        f"run.json, {REQUESTS}",
        parts="fault",
    ),
    Definition(
        "faults.errors",
        "requests with errors",
        "count",
        None,
        "by fault: of the same requests, those that met an error at least once: answered with one, left without "
        "an answer, or cut off; lost, or cured by another try",
        f"run.json, {REQUESTS}",
        parts="fault",
    ),
    Definition(
        "faults.first_write",
        "first write",
        "s",
        None,
        "from a fault's start to the receipt of the first success of a write that was due while the fault was in "
        "effect, or later",
        f"run.json, {REQUESTS}",
        parts="fault",
    ),
    Definition(
        "faults.first_read",
        "first read",
        "s",
        None,
        "from a fault's start to the receipt of the first success of a GET that was due while the fault was in "
        "effect, or later",
        f"run.json, {REQUESTS}",
        parts="fault",
    ),
    Definition(
        "faults.as_before",
        "requests as before",
        "s",
        None,
        "from a fault's start to the first due time from which on requests for single objects were as before for "
        "5 s: none was lost, and no more than 3% took longer than the 99th percentile of the 10 s before the "
        "fault; both take at least 50 requests",
        f"run.json, {REQUESTS}",
        parts="fault",
    ),
    Definition(
        "faults.ready",
        "ready again",
        "s",
        None,
        "from a fault's start until what it struck said so itself: its readiness check answered after the fault "
        "had been taken back",
        "run.json",
        parts="fault",
    ),
    Definition(
        "faults.failover",
        "another leads",
        "s",
        None,
        "where the leader of several members was struck: from the fault's start until another one, or the same "
        "one in a new life, was seen to lead: by the holder of its Lease or, of etcd, by its own word, asked 20 "
        "times a second",
        "run.json",
        parts="fault",
    ),
    Definition(
        "faults.first_work",
        "works again",
        "s",
        None,
        "from a fault's start to the receipt of the first work that was handed over while the fault was in "
        "effect, or later, and done: of the scheduler a bind; of the simulator a played status; of the "
        "controller manager, or a plane's controller, all pods of an object of theirs; of all others an object "
        "that was created and is up. Receipts are a watching client's: where the API server was struck, its way "
        "back is part of it",
        f"run.json, {REQUESTS}, {RECEIPTS}",
        parts="fault",
    ),
    Definition(
        "faults.caught_up",
        "backlog gone",
        "s",
        None,
        "from a fault's start until no more of that work was in hand, handed over and not done, than at most in "
        "the 10 s before the fault, or one; 0 where there never was",
        f"run.json, {REQUESTS}, {RECEIPTS}",
        parts="fault",
    ),
    Definition(
        "faults.recovered",
        "all as before",
        "s",
        None,
        "the latest of a fault's other times, as far as they are known",
        f"run.json, {REQUESTS}, {RECEIPTS}",
        parts="fault",
    ),
    Definition(
        "faults.never_up",
        "promised, never up",
        "count",
        None,
        "objects whose creation was acknowledged in a run with faults of components and that never came up: work "
        "that was lost",
        f"{REQUESTS}, {RECEIPTS}",
        single=True,
    ),
    Definition(
        "faults.surplus",
        "pods too many",
        "count",
        None,
        "in a run with faults of components, when the creation had come to its end: pods that controllers had "
        "made beyond what their objects ask for: work that was done twice",
        RECEIPTS,
        single=True,
    ),
    Definition(
        "faults.lost_writes",
        "promised, not stored",
        "count",
        None,
        "when all faults are over and nothing changes any more: writes that were acknowledged and that etcd "
        "itself does not hold, of objects that no watch has shown to end",
        f"consistency.json, {REQUESTS}, {RECEIPTS}",
        single=True,
    ),
    Definition(
        "faults.inconsistent",
        "inconsistent objects",
        "count",
        None,
        "when all faults are over and nothing changes any more: objects of which the API server's watch cache, or "
        "the run's own watches, hold something else than etcd itself",
        f"consistency.json, {RECEIPTS}",
        single=True,
    ),
    # --- the harness
    Definition(
        "harness.lateness",
        "sent after due",
        "s",
        None,
        "from a request due to its sending, over all stages: the harness' own part of every response",
        REQUESTS,
    ),
)

CATALOG: Final[dict[str, Definition]] = {definition.id: definition for definition in _DEFINITIONS}


def find(sli: str) -> Definition | None:
    """The definition of an indicator, or of the one that it is a part of."""
    if sli in CATALOG:
        return CATALOG[sli]
    owners = [entry for entry in _DEFINITIONS if entry.parts and sli.startswith(f"{entry.id}.")]
    return max(owners, key=lambda entry: len(entry.id)) if owners else None


def check(slos: Iterable[SLO]) -> Iterator[str]:
    """What is wrong with a scenario's SLOs, one line each: unknown indicators, wrong units, no percentile."""
    for number, slo in enumerate(slos):
        where = f"slos[{number}]"
        definition = find(slo.sli)
        if definition is None:
            yield f"{where}.sli: there is no indicator {slo.sli!r}; see docs/results.md for all of them"
            continue
        if definition.only_parts and slo.sli == definition.id:
            yield f"{where}.sli: {slo.sli} has parts only ({definition.parts}), for instance {_EXAMPLES[slo.sli]}"
        for name, bound in (("max", slo.max), ("min", slo.min)):
            if bound is not None and not _fits(bound.unit, definition.unit):
                yield f"{where}.{name}: {slo.sli} is {_UNIT_WORDS[definition.unit]}, {bound} is not"
        if definition.single and slo.percentile is not None:
            yield f"{where}.percentile: {slo.sli} is a single value and has no percentiles"
        if not definition.single and slo.percentile is None:
            yield f"{where}: {slo.sli} is a distribution: give a percentile, for instance percentile: 99"


_EXAMPLES: Final = {
    "management.transition": "management.transition.pods.scheduled-running",
    "management.change": "management.change.patch",
}
_UNIT_WORDS: Final[dict[Unit, str]] = {
    "s": "a duration",
    "/s": "a rate",
    "share": "a share",
    "bytes": "a size",
    "count": "a number",
    "ratio": "a number",
}


def _fits(bound: str, unit: Unit) -> bool:
    return bound == (unit if unit not in ("count", "ratio") else "") or (unit == "bytes" and bound == "")
