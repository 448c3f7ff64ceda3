"""A plane's cost card for people: what one object costs, component by component."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planebench import units
from planebench.report import figures
from planebench.slis.card import Card, CardRow, exponent

_Amount = Callable[[CardRow], float | None]
_COLUMNS: tuple[tuple[str, _Amount, Callable[[float], str]], ...] = (
    ("requests", lambda row: row.requests, figures.number),
    ("writes", lambda row: row.writes, figures.number),
    ("traffic", lambda row: row.traffic_bytes, units.format_bytes),
    ("CPU", lambda row: row.cpu_s, figures.duration),
    ("memory", lambda row: row.memory_bytes, units.format_bytes),
)


def render(cards: Sequence[Card]) -> RenderableType:
    """One table for each run, and with several how each figure grows with the number of objects."""
    ordered = sorted(cards, key=lambda card: card.objects)
    parts: list[RenderableType] = []
    for card in ordered:
        head = f"{card.plane}, {card.scenario}: each of {card.objects:,} objects"
        parts += [Text(head, style="bold"), _table(card), Text()]
    if len({card.objects for card in ordered}) > 1:
        sizes = ", ".join(f"{card.objects:,}" for card in ordered)
        parts += [Text(f"Growth from {sizes} objects", style="bold"), _growth(ordered), Text()]
        parts.append(Text("n^1: in proportion to the number of objects; more: each one costs more.", style="dim"))
    parts += [Text(line, style="dim") for line in _notes(ordered)]
    return Group(*parts)


def _table(card: Card) -> Table:
    table = _empty()
    for row in card.rows:
        amounts = ((amount(row), written) for _, amount, written in _COLUMNS)
        cells = ("-" if found is None else written(found / card.objects) for found, written in amounts)
        table.add_row(row.title, *cells)
    return table


def _growth(cards: Sequence[Card]) -> Table:
    table = _empty()
    for row in cards[-1].rows:
        of_runs = [next((own for own in card.rows if own.component == row.component), None) for card in cards]
        table.add_row(row.title, *(_exponent(cards, of_runs, amount) for _, amount, _ in _COLUMNS))
    return table


def _exponent(cards: Sequence[Card], rows: Sequence[CardRow | None], amount: _Amount) -> str:
    told = [
        (card.objects, found)
        for card, row in zip(cards, rows, strict=True)
        if row is not None and (found := amount(row))
    ]
    grows = exponent([objects for objects, _ in told], [found for _, found in told])
    return "-" if grows is None else f"n^{round(grows, 2) + 0.0:.2f}"  # no "-0.00"


def _empty() -> Table:
    table = Table(box=None, padding=(0, 1, 0, 2), header_style="dim")
    table.add_column("component")
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _notes(cards: Sequence[Card]) -> Iterator[str]:
    yield (
        "Over all stages, divided by the objects created. Requests are those sent to the API server, without "
        "watches (its own row: all that it answered); traffic is with the API server (its own row: with etcd); "
        "memory is how much the process grew until the first deletion."
    )
    if not all(card.audited for card in cards):
        yield "Requests and writes by component are told by runs with --audit."
