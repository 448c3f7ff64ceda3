"""Creation: from a request due to an object that is up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planebench.model import Stage
from planebench.slis.catalog import CATALOG
from planebench.slis.indicator import Indicator, by_resource, single
from planebench.slis.kinds import from_due
from planebench.slis.observations import ADDED, Observations


def indicators(seen: Observations) -> Iterator[Indicator]:
    """``creation.*``."""
    requests = seen.of_stage(Stage.CREATION, "create")
    if not requests.height:
        return
    yield from by_resource(CATALOG["creation.response"], requests)
    yield from by_resource(CATALOG["creation.service"], requests, since="sent_ns")
    yield from from_due(seen, "creation.seen", lambda made: (made.workload.tracked, ADDED))
    yield from from_due(
        seen, "creation.startup", lambda made: (made.workload.up.watch, made.workload.up.milestone)
    )
    up, planned = count_up(seen), seen.planned
    if not planned:
        return
    yield single(
        CATALOG["creation.reached"],
        up / planned,
        measured_in=Stage.CREATION,
        of=planned,
        notes=(f"{up:,} of {planned:,} came up",),
        watches=sorted({made.workload.up.watch for made in seen.expected}),
    )


def count_up(seen: Observations) -> int:
    """How many objects came up."""
    found = 0
    for made in seen.expected:
        up = made.workload.up
        found += int((~np.isnan(seen.reached_s(made.index, up.watch, up.milestone, made.count(up.watch)))).sum())
    return found
