"""Fixtures are in modules of their own, where they are typed."""

from evaluated import all_observed, observed

__all__ = ["all_observed", "observed"]
