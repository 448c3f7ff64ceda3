"""A result for the terminal: what was measured, what it cost, and whether it is what was demanded.

Readable from 80 columns on, and without colours or a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from planebench.model import Judgement, Role
from planebench.report import attribution, components, faults, figures, placement
from planebench.report.stuck import in_words
from planebench.results.document import Component, Finding, Result, Row, SLOResult

_WIDE = 110
_MOST_ERRORS = 5
_STYLES = {Judgement.PASS: "bold green", Judgement.FAIL: "bold red", Judgement.INCONCLUSIVE: "bold yellow"}


def render(result: Result) -> RenderableType:
    """The whole report."""
    return _Report(result)


class _Report:
    def __init__(self, result: Result) -> None:
        self._result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        result = self._result
        wide = options.max_width >= _WIDE
        yield from _header(result)
        yield Text()
        yield _lifecycle(result)
        yield Text()
        yield _components(result.components, wide=wide)
        yield from _section("At first sight", components.brief(result.components))
        yield from _notes(result, wide=wide)
        yield from _section("Not seen: missing, not 0", unseen_lines(result))
        yield from _section("Placement", placement.lines(result.distribution))
        yield from _section("Faults", faults.lines(result.faults, result.resilience, wide=wide))
        yield from _section("Whose cost", attribution.cost_lines(result.cost))
        yield from _section("Where the time went", attribution.trace_lines(result.trace))
        yield from _section("Profiles", attribution.profile_lines(result.profiles))
        yield from _section("SLOs", _slos(result.slos))
        yield from _section("Validity", _validity(result.validity))
        yield from _section("Errors", _errors(result))
        yield from _section("Failed or waiting", stuck_lines(result))
        yield Text()
        yield _verdict(result)
        if result.left_behind:
            yield Text(result.left_behind[:1].upper() + result.left_behind[1:], style="bold red")
        if result.folder:
            yield Text(f"Run folder: {result.folder}", overflow="fold")


def _section(title: str, lines: Iterable[RenderableType]) -> Iterator[RenderableType]:
    found = list(lines)
    if found:
        yield Text(f"\n{title}", style="bold")
        yield Padding(Group(*found), (0, 0, 0, 2), expand=False)


def _header(result: Result) -> Iterator[Text]:
    took = f"{int(result.duration_s) // 60}:{int(result.duration_s) % 60:02d}"
    title = Text(result.scenario, style="bold")
    yield title + Text(
        f"  plane {result.plane}, seed {result.seed}, run {result.run_id}, took {took}", style="not bold"
    )
    counts = result.counts
    parts = [
        f"{counts.planned:,} planned",
        f"{counts.created:,} created",
        f"{counts.scheduled:,} scheduled",
        f"{counts.up:,} up",
        f"{counts.deleted:,} deleted",
        f"{counts.failed:,} failed",
        *([f"{counts.unschedulable:,} not to be scheduled"] if counts.unschedulable else []),
        *([f"{counts.refused:,} to be refused"] if counts.refused else []),
        "leftovers unknown" if counts.leftovers is None else f"{counts.leftovers:,} left over",
    ]
    yield Text(", ".join(parts))


# --- stages --------------------------------------------------------------------------------------------------


def _table(*first: str, numbers: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    for heading in first:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _lifecycle(result: Result) -> Table:
    table = _table("Lifecycle", numbers=("n", "p50", "p90", "p99", "max", "rate/s", "failed"))
    groups: list[tuple[str, Sequence[Row]]] = [(stage.stage, stage.rows) for stage in result.stages]
    if result.preparation:
        groups.insert(0, ("preparation", result.preparation))
    for name, rows in groups:
        shown = [row for row in rows if figures.is_step(row)]
        table.add_row(Text(name, style="bold cyan"), *([] if shown else [Text("-")]))
        for row in shown:
            table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[Text]:
    title = f"  {row.title}{'*' if row.simulated else ''}"
    if row.value is not None and row.p50 is None and not row.missing:
        return [Text(f"{title}: {figures.value(row.value, row.unit)}")]
    failed = row.errors if row.errors is not None else row.missing
    return [
        Text(title),
        Text(figures.count(row.n)),
        *_percentiles(row),
        Text("" if row.rate_per_s is None else figures.rate(row.rate_per_s)),
        Text("" if row.unit != "s" else figures.count(failed), style="bold red" if failed else ""),
    ]


def _percentiles(row: Row) -> list[Text]:
    amounts = (row.p50, row.p90, row.p99, row.max)
    if not row.n:
        return [Text("-")] * len(amounts)
    return [Text(figures.percentile(row, amount), style="red" if amount is None else "") for amount in amounts]


# --- components ----------------------------------------------------------------------------------------------


def _components(found: Sequence[Component], *, wide: bool) -> Table:
    first = ("Components", "latency of") if wide else ("Components",)
    table = _table(*first, numbers=("n", "p50", "p90", "p99", "max", "req/s", "err", "CPU s", "MiB"))
    for component in found:
        row = component.latency
        latency = [Text(figures.count(row.n)), *_measured(row)] if row and row.n else [Text("-")] * 5
        title = component.title + (f" x{len(component.processes)}" if len(component.processes) > 1 else "")
        cells = [Text(title, style="" if component.role is Role.SUBJECT else "italic")]
        if wide:
            cells.append(Text(_source(component), style="dim"))
        table.add_row(
            *cells,
            *latency,
            Text("-" if component.rate_per_s is None else figures.rate(component.rate_per_s)),
            Text("-" if component.errors is None else figures.count(component.errors)),
            Text("-" if component.cpu_s is None else f"{component.cpu_s:.1f}"),
            Text("-" if component.peak_rss_bytes is None else f"{component.peak_rss_bytes / 2**20:,.0f}"),
        )
    return table


def _measured(row: Row) -> list[Text]:
    """Percentiles that may come from a histogram: its maximum is a bucket's end."""
    cells = _percentiles(row)
    if row.p99_low is None:
        return cells
    largest = "?" if row.max is None else f"<{figures.duration(row.max)}"
    return [*cells[:-1], Text(largest)]


def _source(component: Component) -> str:
    row = component.latency
    return f"{row.title}{'*' if row.simulated else ''}" if row and row.n else ""


def _notes(result: Result, *, wide: bool) -> Iterator[RenderableType]:
    rows = [row for stage in result.stages for row in stage.rows if figures.is_step(row)]
    latencies = [component.latency for component in result.components if component.latency]
    lines = []
    if not wide:
        told = [(item.title, _source(item)) for item in result.components]
        if named := [f"{title}: {what}" for title, what in told if what]:
            lines.append(f"Latency of {'; '.join(named)}.")
    if any(row.p99_low is not None for row in latencies):
        lines.append("Components tell buckets: percentiles are interpolated, max is the end of the last bucket.")
    if any(row.simulated for row in (*rows, *latencies)):
        lines.append("* played by the simulator, no work of the control plane alone.")
    if any("no finite" in note for row in rows for note in row.notes):
        lines.append("p99 of fewer than 368 values has no finite 95% upper bound.")
    if result.unfaithful:
        more = len(result.unfaithful) - 1
        others = f" ({more} more in result.json)" if more else ""
        lines.append(f"Not as in a real cluster: {result.unfaithful[0].rstrip('.')}{others}.")
    if result.limits:
        lines.append(f"Limits by design: {'; '.join(result.limits)}.")
    for line in lines:
        yield Text(line, style="dim")


def unseen_lines(result: Result) -> Iterator[Text]:
    """A line for each thing that is missing for the same reason."""
    titles = {component.name: component.title for component in result.components}
    by_reason: dict[tuple[str, str], list[str]] = {}
    for item in result.unseen:
        by_reason.setdefault((item.what, item.why), []).append(titles.get(item.component, item.component))
    for (what, why), of in by_reason.items():
        yield Text(f"{', '.join(of)}: {what} ({why})")


# --- verdict -------------------------------------------------------------------------------------------------


def _slos(slos: Sequence[SLOResult]) -> Iterator[Text]:
    width = max((len(slo.verdict) for slo in slos), default=0)
    for slo in slos:
        yield Text.assemble(
            (f"{slo.verdict:<{width}}", _STYLES[slo.verdict]),
            "  ",
            figures.demand(slo),
            ": ",
            figures.found(slo),
            _because(slo),
        )


def _because(slo: SLOResult) -> str:
    plain = slo.verdict is Judgement.PASS or slo.reason == "no data"
    return "" if plain or not slo.reason else f", {slo.reason}"


def _validity(findings: Sequence[Finding]) -> Iterator[Text]:
    wrong = [finding for finding in findings if not finding.ok]
    held = len(findings) - len(wrong)
    yield Text(f"{held} of {len(findings)} checks held.")
    for finding in wrong:
        weight = f"makes {finding.affects} doubtful" if finding.affects else "told only"
        yield Text.assemble(
            ("not so: ", "bold yellow" if finding.affects else ""),
            f"{finding.title}: {finding.value}, should be {finding.bound} ({weight}). {finding.action[:1].upper()}"
            f"{finding.action[1:]}.",
        )


def _errors(result: Result) -> Iterator[Text]:
    for error in result.errors[:_MOST_ERRORS]:
        yield Text(f"{error.count:,} x {error.phase}: {error.verb} {error.resource}: {error.error}")
    if len(result.errors) > _MOST_ERRORS:
        yield Text(f"and {len(result.errors) - _MOST_ERRORS} more kinds, see result.json")


def stuck_lines(result: Result) -> Iterator[Text]:
    """Objects that failed or wait, a line for each reason."""
    for item in result.stuck[:_MOST_ERRORS]:
        yield Text(f"{item.count:,} x {in_words(item)}")
    if len(result.stuck) > _MOST_ERRORS:
        yield Text(f"and {len(result.stuck) - _MOST_ERRORS} more kinds, see result.json")


def _verdict(result: Result) -> Text:
    if result.verdict is None:
        return Text(f"No verdict: {result.reason}.", style="bold")
    return Text.assemble((str(result.verdict), _STYLES[result.verdict]), f": {result.reason}.")
