"""Runs of scenarios: the only wiring of planebench's parts.

Each name is loaded when it is first asked for: who starts a cluster needs nothing of what analyses a run, which
takes longer to load than etcd takes to start.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_MODULES: Final = {
    "Interrupted": "interrupt",
    "Listener": "listener",
    "RunOptions": "trial",
    "Silent": "listener",
    "default_folder": "trial",
    "demand_possible": "trial",
    "reach": "existing",
    "run": "trial",
    "run_interruptibly": "interrupt",
    "search_capacity": "capacity",
    "steps_of": "preflight",
    "up": "kept",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
