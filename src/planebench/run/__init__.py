"""Runs of scenarios: the only wiring of planebench's parts."""

from planebench.run.interrupt import Interrupted, run_interruptibly
from planebench.run.listener import Listener, Silent
from planebench.run.trial import RunOptions, cluster_config, default_folder, provide, run

__all__ = [
    "Interrupted",
    "Listener",
    "RunOptions",
    "Silent",
    "cluster_config",
    "default_folder",
    "provide",
    "run",
    "run_interruptibly",
]
