"""Scenarios: YAML documents that say what is evaluated, under which load, and what is demanded of it."""

from planebench.scenario.check import check, warnings
from planebench.scenario.faults import Fault, Kill, NodeSilence, Pause, ProcessFault, Restart, fault_names
from planebench.scenario.load import builtin_names, builtin_text, dump, load, parse
from planebench.scenario.model import (
    SLO,
    Arrival,
    Burst,
    ChangeLoad,
    ClientLimits,
    Constant,
    NodePool,
    ObjectKind,
    Poisson,
    Ramp,
    Scenario,
    Taint,
    Timeouts,
    Workload,
    apportion,
    with_nodes,
)
from planebench.scenario.schema import json_schema
from planebench.scenario.values import Bound

__all__ = [
    "SLO",
    "Arrival",
    "Bound",
    "Burst",
    "ChangeLoad",
    "ClientLimits",
    "Constant",
    "Fault",
    "Kill",
    "NodePool",
    "NodeSilence",
    "ObjectKind",
    "Pause",
    "Poisson",
    "ProcessFault",
    "Ramp",
    "Restart",
    "Scenario",
    "Taint",
    "Timeouts",
    "Workload",
    "apportion",
    "builtin_names",
    "builtin_text",
    "check",
    "dump",
    "fault_names",
    "json_schema",
    "load",
    "parse",
    "warnings",
    "with_nodes",
]
