"""What benches of the load engine watch."""

from planebench.model import MilestoneRule, Resource, WatchSpec

PODS = WatchSpec(
    "pods",
    Resource("", "v1", "pods", "Pod"),
    (
        MilestoneRule("scheduled", "spec.nodeName"),
        MilestoneRule("running", "status.phase", equals="Running"),
        MilestoneRule("ready", "status.conditions[Ready].status", equals="True"),
    ),
    node_field="spec.nodeName",
)
