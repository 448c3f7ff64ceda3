from __future__ import annotations

from hypothesis import settings

# No deadlines: how long an example takes says more about the machine's other work than about the code.
settings.register_profile("planebench", deadline=None)
settings.load_profile("planebench")
