"""Capacity: the greatest sustained load at which a scenario's SLOs hold; search, tests of a step, projection."""

from planebench.capacity.document import Capacity, Ending, Load, Outcome, Plan, Step
from planebench.capacity.folder import CapacityFolder

__all__ = ["Capacity", "CapacityFolder", "Ending", "Load", "Outcome", "Plan", "Step"]
