"""Fixtures are in modules of their own, where they are typed."""

from command import planebench, start

__all__ = ["planebench", "start"]
