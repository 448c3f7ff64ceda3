"""Faults that a scenario asks for, brought about beside its stages."""

from planebench.run.faults.fault import Conditions, Surroundings
from planebench.run.faults.injection import Faults, unavailable

__all__ = ["Conditions", "Faults", "Surroundings", "unavailable"]
