"""Objects that failed or wait, in words."""

from __future__ import annotations

from planebench.results.document import StuckCount


def in_words(item: StuckCount) -> str:
    """``creation: pods Pending: Unschedulable: 0/3 nodes are available (such as planebench-0/pod-000007)``."""
    example = f" (such as {item.examples[0]})" if item.examples else ""
    return f"{item.stage}: {item.resource} {item.state}: {item.reason or 'no reason given'}{example}"
