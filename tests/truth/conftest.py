"""Fixtures are in modules of their own, where they are typed."""

from evaluated import observed

__all__ = ["observed"]
