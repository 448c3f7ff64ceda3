"""Faults of components: what they did, and how long it took until all was well again."""

from planebench.slis.resilience.recovery import Resilience
from planebench.slis.resilience.scorecard import scorecard

__all__ = ["Resilience", "scorecard"]
