"""The users that planebench and its simulator act as: what they do is told apart from the subject's own work."""

from __future__ import annotations

from typing import Final

ADMIN_USER: Final = "kubernetes-admin"
"""system:masters: for set-up only."""
LOAD_USER: Final = "planebench:load"
OBSERVER_USER: Final = "planebench:observer"
SIMULATOR_USER: Final = "planebench:simulator"
"""The simulator, where the plane does not name another user for it."""
HARNESS_USERS: Final = frozenset({ADMIN_USER, LOAD_USER, OBSERVER_USER})
