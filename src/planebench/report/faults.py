"""Faults of components for the terminal: a matrix of components and faults, and what each of them did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from planebench.model import Judgement
from planebench.report import figures
from planebench.results.document import FaultFigure, FaultResult, Row

STYLES = {Judgement.PASS: "green", Judgement.FAIL: "bold red", Judgement.INCONCLUSIVE: "yellow"}
HEADLINE = "faults.recovered"
"""The figure of a fault in the matrix."""
_WHOLE = ("faults.never_up", "faults.surplus", "faults.lost_writes", "faults.inconsistent")
"""Of objects: work that was lost or done twice, and what is not as it was promised or shown."""
COLUMNS = {
    "faults.lost": "lost",
    "faults.errors": "errors",
    "faults.first_write": "write",
    "faults.first_read": "read",
    "faults.as_before": "as before",
    "faults.ready": "ready",
    "faults.failover": "new leader",
    "faults.first_work": "work",
    "faults.caught_up": "caught up",
}
"""Figures of a fault beside the headline, and their short names."""
_WIDE_ONLY = ("faults.first_read", "faults.ready")


def lines(faults: Sequence[FaultResult], rows: Sequence[Row], *, wide: bool) -> Iterator[RenderableType]:
    """Nothing where there were none.

    Args:
        rows: of all faults together, and by fault.
        wide: there is room for all columns.
    """
    if not faults:
        return
    yield Text("From a fault's start until all was as before:", style="dim")
    yield _matrix(faults)
    yield Text()
    yield _table(faults, wide=wide)
    if whole := [row for row in rows if row.sli in _WHOLE]:
        yield Text()
        yield Text("When all were over: ").append_text(Text("; ").join(_whole(row) for row in whole))
    for fault in faults:
        if fault.told:
            yield Text(f"{fault.name}, lost: {told(fault)}", style="dim")
        for line in fault.followed:
            yield Text(f"{fault.name}: {line}, and was started anew", style="yellow")


def targets(faults: Sequence[FaultResult]) -> list[str]:
    """Components that were struck, in the order in which they were for the first time."""
    return list(dict.fromkeys(fault.target for fault in faults if fault.target))


def kinds(faults: Sequence[FaultResult]) -> list[str]:
    """The kinds of faults, in the same way."""
    return list(dict.fromkeys(fault.kind for fault in faults if fault.target))


def told_of(faults: Sequence[FaultResult]) -> list[str]:
    """Those of :data:`COLUMNS` that any fault has a figure of."""
    return [sli for sli in COLUMNS if any(of(fault, sli) for fault in faults)]


def of(fault: FaultResult, sli: str) -> FaultFigure | None:
    """One of its figures; None: it cannot be told."""
    return next((figure for figure in fault.figures if figure.sli == sli), None)


def amount(figure: FaultFigure | None) -> str:
    """``3.21s``, ``>30.0s`` for what never came, ``-`` for what cannot be told."""
    if figure is None:
        return "-"
    if figure.value is not None:
        return figures.value(figure.value, figure.unit)
    return "never" if figure.beyond_s is None else f">{figures.duration(figure.beyond_s)}"


def told(fault: FaultResult) -> str:
    """What its lost requests were told: ``32 connection; 4 timeout``."""
    return "; ".join(f"{count:,} {reason}" for reason, count in fault.told.items())


def _whole(row: Row) -> Text:
    """``promised, never up: 0 of 1,750``; names where there are some."""
    count = int(row.value or 0)
    of = f" of {row.n:,}" if row.n > 1 else ""
    names = f" ({'; '.join(row.notes)})" if count and row.notes else ""
    return Text(f"{row.title}: {count:,}{of}{names}", style="bold red" if count else "")


def _matrix(faults: Sequence[FaultResult]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    table.add_column("", overflow="fold")
    for kind in kinds(faults):
        table.add_column(kind, overflow="fold", justify="right")
    for target in targets(faults):
        mine = [fault for fault in faults if fault.target == target]
        table.add_row(target, *(_cell([fault for fault in mine if fault.kind == kind]) for kind in kinds(faults)))
    return table


def _cell(faults: Sequence[FaultResult]) -> Text:
    """Several of one kind and target stand below each other."""
    parts = []
    for fault in faults:
        verdict = fault.verdict
        text = amount(of(fault, HEADLINE)) + (f" {verdict}" if verdict else "")
        parts.append(Text(text, style=STYLES[verdict] if verdict else ""))
    return Text("\n").join(parts)


def _table(faults: Sequence[FaultResult], *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    table.add_column("fault", overflow="fold")
    columns = [sli for sli in told_of(faults) if wide or sli not in _WIDE_ONLY]
    for sli in columns:
        table.add_column(COLUMNS[sli], justify="right", overflow="fold")
    if wide:
        table.add_column("work is")
    for fault in faults:
        found = [of(fault, sli) for sli in columns]
        cells = [Text(amount(figure), style=_style(figure)) for figure in found]
        if wide:
            cells.append(Text(fault.work.removeprefix("first "), style="dim"))
        table.add_row(fault.label, *cells)
    return table


def _style(figure: FaultFigure | None) -> str:
    if figure is None or figure.verdict is None:
        return "red" if figure and figure.value is None else ""
    return STYLES[figure.verdict]
