"""Where pods stand, for the terminal: how even, how tight, and whether they may stand there."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from planebench.report import figures
from planebench.results.document import Distribution

_NAMES = {"pods": "pods", "cpu": "CPU requested", "memory": "memory requested"}


def lines(found: Distribution | None) -> Iterator[RenderableType]:
    """Nothing where no pod got a node."""
    if found is None:
        return
    yield Text(_where(found))
    yield _table(found)
    if found.stranded_cpu is not None and found.stranded_memory is not None:
        stranded = figures.share(found.stranded_cpu), figures.share(found.stranded_memory)
        broken = "" if found.fragmentation is None else f"; fragmentation {figures.share(found.fragmentation)}"
        yield Text(f"stranded: {stranded[0]} of CPU, {stranded[1]} of memory{broken}")
    if not found.violations:
        yield Text("constraint violations: none")
    for item in found.violations:
        what = f"{item.kind}: {item.constraint}" if item.kind else item.constraint
        yield Text(f"violated: {what}, {item.pods:,} pods, first at {item.where}", style="bold red")


def _where(found: Distribution) -> str:
    text = f"{found.pods:,} pods on {found.nodes_used:,} of {found.nodes:,} nodes"
    if found.nodes_lower_bound is not None:
        text += f", {found.nodes_lower_bound:,} would have room for all"
    if found.zone_skew is not None:
        text += f"; {len(found.zones)} zones differ by {found.zone_skew:,}"
    return text


def _table(found: Distribution) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    table.add_column("per node")
    for heading in ("mean", "min", "max", "CV", "random", "Gini", "random", "Jain", "random"):
        table.add_column(heading, justify="right", no_wrap=True)
    for even in found.evenness:
        form = ".1f" if even.of == "pods" else ".1%"
        ratios = (even.cv, even.random_cv, even.gini, even.random_gini, even.jain, even.random_jain)
        table.add_row(
            _NAMES[even.of],
            *(format(amount, form) for amount in (even.mean, even.min, even.max)),
            *(f"{ratio:.3f}" for ratio in ratios),
        )
    return table
