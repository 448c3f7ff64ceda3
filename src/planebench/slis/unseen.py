"""What a run could not see of a cluster that planebench has not started."""

from __future__ import annotations

from typing import Any

from planebench.results.document import Unseen
from planebench.slis.observations import Observations


def unseen(seen: Observations) -> tuple[Unseen, ...]:
    """As the run noted it; empty for a control plane of planebench's own."""
    noted = seen.folder.environment().get("unseen") or ()
    return tuple(Unseen.model_validate(item) for item in noted)


def elsewhere(seen: Observations) -> dict[str, Any]:
    """The cluster, as the run noted it; empty for a control plane of planebench's own."""
    found = seen.folder.environment().get("cluster")
    return found if isinstance(found, dict) else {}
