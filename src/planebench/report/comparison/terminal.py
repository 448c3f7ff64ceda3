"""A comparison for the terminal: readable from 80 columns on, and without colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from planebench.compare.document import Comparison, Comparisons, FigureComparison
from planebench.compare.gate import Gate
from planebench.model import Judgement
from planebench.report.comparison import words

_WIDE = 110
_STYLES = {Judgement.PASS: "bold green", Judgement.FAIL: "bold red", Judgement.INCONCLUSIVE: "bold yellow"}


def render(found: Comparisons) -> RenderableType:
    """All candidates against the baseline."""
    return _Report(found)


def render_gate(gate: Gate) -> RenderableType:
    """The gate's judgement and what it rests on; it stands below the comparison."""
    return Group(*_gate(gate))


class _Report:
    def __init__(self, found: Comparisons) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, one in enumerate(self._found.comparisons):
            if number:
                yield Text()
            yield from _comparison(self._found, one, wide=options.max_width >= _WIDE)
        yield Text(f"\n{words.method(self._found)}", style="dim")


def _comparison(found: Comparisons, one: Comparison, *, wide: bool) -> Iterator[RenderableType]:
    yield Text(found.scenario, style="bold") + Text(f"  plane {found.plane}", style="not bold")
    for letter, side in (("A", one.baseline), ("B", one.candidate)):
        yield Text(f"{letter}  {words.trials(side.name, len(side.trials))}", overflow="fold")
    yield Text(f"Not the same: {words.differences(one)}.", overflow="fold")
    for title, costs in (("Service levels", False), ("Costs", True)):
        chosen = [figure for figure in one.figures if (figure.kind == "cost") is costs]
        if chosen:
            yield Text()
            yield _table(title, chosen, wide=wide)
    remarks = list(words.remarks(found, one))
    if remarks:
        yield Text()
        for remark in remarks:
            yield Text(remark, overflow="fold")
    yield Text(f"\n{words.summary(one)}.", style="bold")


def _table(title: str, chosen: Sequence[FigureComparison], *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    table.add_column(title, overflow="fold")
    for heading in ("A", "B", "B/A", "95%", *(("p",) if wide else ())):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for figure in chosen:
        table.add_row(
            Text(figure.title),
            words.amount(figure.baseline_median, figure),
            words.amount(figure.candidate_median, figure),
            words.changed(figure),
            words.interval(figure),
            *([words.probability(figure.p_adjusted)] if wide else []),
            Text(figure.word, style=_style(figure)),
        )
    return table


def _style(figure: FigureComparison) -> str:
    if not figure.word.shown:
        return "dim"
    return "bold" if figure.worse is None else "bold red" if figure.worse else "bold green"


def _gate(gate: Gate) -> Iterator[RenderableType]:
    match gate.judgement:
        case Judgement.FAIL:
            told = f"{len(gate.worse)} {'figure is' if len(gate.worse) == 1 else 'figures are'} shown to be worse"
        case Judgement.INCONCLUSIVE:
            told = "nothing certain can be said"
        case Judgement.PASS:
            told = "no figure is shown to be worse"
    for figure in gate.worse:
        yield Padding(Text(f"worse: {words.how_sure(figure)}", overflow="fold"), (0, 0, 0, 2), expand=False)
    for reason in gate.unclear:
        yield Padding(Text(f"unclear: {reason}", overflow="fold"), (0, 0, 0, 2), expand=False)
    yield Text.assemble((str(gate.judgement), _STYLES[gate.judgement]), f": {told}.")
