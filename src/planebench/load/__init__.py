"""The load engine: a process of its own for open-loop requests and watches.

The engine's process imports this package too and must stay small, so the parent's side is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planebench.load.engine import Engine, EngineError, connections_for

__all__ = ["Engine", "EngineError", "connections_for"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from planebench.load import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
