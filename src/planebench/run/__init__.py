"""Runs of scenarios: the only wiring of planebench's parts."""

from planebench.run.capacity import search_capacity
from planebench.run.interrupt import Interrupted, run_interruptibly
from planebench.run.kept import up
from planebench.run.listener import Listener, Silent
from planebench.run.trial import RunOptions, default_folder, run

__all__ = [
    "Interrupted",
    "Listener",
    "RunOptions",
    "Silent",
    "default_folder",
    "run",
    "run_interruptibly",
    "search_capacity",
    "up",
]
