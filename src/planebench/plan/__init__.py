"""Plans: a scenario and a seed become ordered operations with due times."""

from planebench.plan.arrivals import arrivals, stream
from planebench.plan.canary import CANARY
from planebench.plan.objects import REVISION_LABEL, RUN_LABEL, Kind, children_of, source_of
from planebench.plan.operations import Naming, Operations
from planebench.plan.pinning import pinned
from planebench.plan.planner import LEASES, LIST_FORMS, NODES, OUT_OF_SERVICE, STORM, Planner

__all__ = [
    "CANARY",
    "LEASES",
    "LIST_FORMS",
    "NODES",
    "OUT_OF_SERVICE",
    "REVISION_LABEL",
    "RUN_LABEL",
    "STORM",
    "Kind",
    "Naming",
    "Operations",
    "Planner",
    "arrivals",
    "children_of",
    "pinned",
    "source_of",
    "stream",
]
