"""Components' own figures for the terminal: what one looks at first, and all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from planebench.model import UsageError
from planebench.report import figures
from planebench.results.document import Component, Row, Unit

_FINE: Final = 0.1
"""A bucket up to this share of its end is as good as a value; of wider ones the end is told."""


def brief(components: Sequence[Component]) -> Iterator[Text]:
    """One paragraph for each component that has something to look at first."""
    for component in components:
        rows = {row.sli: row for row in component.metrics}
        told = [headline(rows[sli], _largest_part(component, sli)) for sli in component.headlines if sli in rows]
        if told:
            yield Text.assemble((f"{component.title}: ", "bold"), "; ".join(told))


def headline(row: Row, part: Row | None = None) -> str:
    """A figure in a few words: ``WAL fsync mean 1.2ms, p99 <=8ms``, ``pods pending 0, at most 12``.

    Args:
        part: what it is mostly made of; named with it.
    """
    mostly = f" (mostly {part.title})" if part is not None else ""
    return f"{row.title} {_amount(row)}{mostly}"


def _amount(row: Row) -> str:
    value = "-" if row.value is None else _value(row.value, row.unit)
    match row.kind:
        case "histogram":
            p99 = f"p99 {_percentile(row, row.p99, row.p99_high)}"
            return p99 if is_fine(row) else f"mean {value}, {p99}"
        case "mean":
            return f"mean {value}"
        case "rate" if row.max is not None:
            return f"at most {_value(row.max, row.unit)}"
        case "gauge" if row.max is not None and row.max != row.value:
            return f"{value}, at most {_value(row.max, row.unit)}"
    return value


def _largest_part(component: Component, sli: str) -> Row | None:
    """The part that most of a mean or level comes from, where there are several."""
    parts = [row for row in component.metrics if row.part_of == sli]
    if len(parts) < 2 or parts[0].kind not in ("mean", "gauge"):
        return None
    part = max(parts, key=_weight)
    return part if _weight(part) > 0 else None


def _weight(row: Row) -> float:
    return (row.value or 0.0) * row.n if row.kind == "mean" else (row.max or row.value or 0.0)


def _percentile(row: Row, amount: float | None, high: float | None) -> str:
    """A percentile of a histogram, no better than its bucket."""
    if amount is None:
        return "?" if row.p99_low is None else f">{_value(row.p99_low, row.unit)}"
    if is_fine(row) or high is None:
        return _value(amount, row.unit)
    return f"<={_value(high, row.unit)}"


def _value(amount: float, unit: Unit) -> str:
    """As elsewhere, but components have durations of microseconds, too."""
    if unit == "s" and 0 < amount < 0.0995e-3:
        return f"{amount * 1e6:.{1 if amount < 9.95e-6 else 0}f}us"
    return figures.value(amount, unit)


def is_fine(row: Row) -> bool:
    """Whether a histogram's buckets are so narrow that its percentiles are values."""
    if row.p99_low is None or row.p99_high is None:
        return False
    return row.p99_high - row.p99_low <= _FINE * row.p99_high


def details(components: Sequence[Component], names: Sequence[str] = ()) -> RenderableType:
    """All figures, limits and missing metrics of these components; of all of them where none is named.

    Raises:
        UsageError: the run has no component of that name.
    """
    known = {component.name: component for component in components}
    for name in names:
        if name not in known:
            raise UsageError(f"--component {name}: this run has {', '.join(known)}")
    parts: list[RenderableType] = []
    for name in names or known:
        parts += [*_details(known[name]), Text()]
    return Group(*parts[:-1])


def _details(component: Component) -> Iterator[RenderableType]:
    cost = [] if component.cpu_s is None else [f"{component.cpu_s:.1f} CPU s"]
    if component.peak_rss_bytes is not None:
        cost.append(f"{component.peak_rss_bytes / 2**20:,.0f} MiB")
    if component.restarted:
        cost.append("restarted: no figures across a restart")
    yield Text.assemble((component.title, "bold"), f"  {component.role}, {', '.join(cost) or 'never sampled'}")
    if component.limits:
        told = "; ".join(f"{limit.meaning} {limit.value} ({limit.source})" for limit in component.limits)
        yield Text(f"Limits: {told}.", style="dim")
    for absent in component.absent:
        yield Text(f"Not served: {absent}.", style="yellow")
    if not component.metrics:
        yield Text("It has told no figures of its own.", style="dim")
        return
    yield _table(component.metrics)
    yield Text(
        "~ and <=: from wide buckets, interpolated and a bucket's end. Of a level, now is the last scrape's.",
        style="dim",
    )


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    table.add_column("Figure", overflow="fold")
    for heading in ("n", "mean/now", "p50", "p99", "max", "/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    title = f"  {row.title}" if row.part_of else row.title
    value = "" if row.value is None else _value(row.value, row.unit)
    largest = "" if row.max is None else _value(row.max, row.unit)
    rate = "" if row.rate_per_s is None else figures.rate(row.rate_per_s)
    match row.kind:
        case "histogram":
            p50 = "" if row.p50 is None else _value(row.p50, row.unit)
            return [
                title,
                figures.count(row.n),
                value,
                p50 if is_fine(row) else f"~{p50}",
                _percentile(row, row.p99, row.p99_high),
                f"<={largest}" if largest else "?",
                rate,
            ]
        case "mean":
            return [title, figures.count(row.n), value, "", "", "", rate]
        case "rate":
            return [title, "", "", "", "", largest, "" if row.value is None else figures.rate(row.value)]
        case "gauge":
            return [title, "", value, "", "", largest, ""]
    if row.unit == "count":
        return [title, figures.count(row.value or 0), "", "", "", "", rate]
    return [title, "", value, "", "", "", ""]
