"""Runs of scenarios: the only wiring of planebench's parts."""

from planebench.run.capacity import search_capacity
from planebench.run.existing import reach
from planebench.run.interrupt import Interrupted, run_interruptibly
from planebench.run.kept import up
from planebench.run.listener import Listener, Silent
from planebench.run.preflight import steps_of
from planebench.run.trial import RunOptions, default_folder, demand_possible, run

__all__ = [
    "Interrupted",
    "Listener",
    "RunOptions",
    "Silent",
    "default_folder",
    "demand_possible",
    "reach",
    "run",
    "run_interruptibly",
    "search_capacity",
    "steps_of",
    "up",
]
