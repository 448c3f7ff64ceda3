"""A capacity search for the terminal: every step, the curve with its knee, the limits, the projection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from planebench.capacity.document import Capacity, Step
from planebench.model import Judgement
from planebench.report.capacity import words
from planebench.report.capacity.curve import Curve, Point, curve

_STYLES: Final = {Judgement.PASS: "green", Judgement.FAIL: "red", Judgement.INCONCLUSIVE: "yellow"}
_SIGNS: Final = {Judgement.PASS: "o", Judgement.FAIL: "x", Judgement.INCONCLUSIVE: "?"}
_KNEE: Final = "@"
_ROWS: Final = 12
_COLUMNS: Final = 60
_WIDE: Final = 110


def render(found: Capacity) -> RenderableType:
    """The whole report."""
    return _Report(found)


class _Report:
    def __init__(self, found: Capacity) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        yield Text(found.scenario, style="bold") + Text(
            f"  plane {found.plane}, capacity by {found.plan.of}, seed {found.plan.seed}", style="not bold"
        )
        yield Text()
        yield _table(found, wide=options.max_width >= _WIDE)
        failed = [step for step in found.steps if step.verdict is not Judgement.PASS]
        yield from _section("Why", (Text(f"step {step.number}: {step.reason}") for step in failed))
        drawn = list(plot(curve(found)))
        yield from _section("Throughput against latency", (Text(line, no_wrap=True) for line in drawn))
        if (step := words.limiting(found)) is not None:
            lines = [Text(line) for line in words.limits(found)]
            if told := words.waiting(step):
                lines.append(Text(f"objects on their way: {told}", style="dim"))
            yield from _section(f"What is at its limit at {words.level(found, step.level)}", lines)
        if found.law:
            yield from _section(
                "Projection (Universal Scalability Law)", (_line(line) for line in words.law(found.law))
            )
        elif found.law_reason:
            yield from _section("Projection", [Text(f"none: {found.law_reason}")])
        yield Text()
        yield _verdict(found)


def _section(title: str, lines: Iterator[Text] | Sequence[Text]) -> Iterator[RenderableType]:
    listed = list(lines)
    if listed:
        yield Text(f"\n{title}", style="bold")
        yield Padding(Group(*listed), (0, 0, 0, 2), expand=False)


def _line(line: str) -> Text:
    return Text(line, style="bold yellow" if line.startswith("WARNING") else "")


def _table(found: Capacity, *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, expand=False)
    headings = ["step", "level", "objects", "goodput/s", "p50", "p99", "under way", "growth/s"]
    headings += ["response p99", "L/(lambda W)", "cores"] if wide else []
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for step in found.steps:
        table.add_row(str(step.number), words.level(found, step.level), *_figures(step, wide=wide), _word(step))
    return table


def _figures(step: Step, *, wide: bool) -> list[str]:
    found = step.figures
    if found is None:
        return [""] * (9 if wide else 6)
    cells = [
        f"{found.objects:,}",
        f"{found.goodput_per_s:,.1f}",
        words.latency(found.p50_s),
        words.latency(found.p99_s),
        f"{found.backlog:,.1f}",
        f"{found.backlog_growth_per_s:+.2f}",
    ]
    if wide:
        cells += [
            words.latency(found.response_p99_s),
            "?" if found.little is None else f"{found.little:.3f}",
            "" if found.busy_cores is None else f"{found.busy_cores:.2f}",
        ]
    return cells


def _word(step: Step) -> Text:
    return Text(step.verdict, style=_STYLES[step.verdict])


def _verdict(found: Capacity) -> Text:
    known = found.outcome is not None and found.outcome.capacity is not None
    text = words.verdict(found)
    return Text(f"{text[:1].upper()}{text[1:]}.", style="bold green" if known else "bold yellow")


# --- the curve -----------------------------------------------------------------------------------------------


def plot(found: Curve) -> Iterator[str]:
    """Latency upwards (p99, logarithmic), goodput to the right; nothing where there are fewer than two steps."""
    points = [point for point in found.points if point.p99_s and point.goodput_per_s > 0]
    if len(points) < 2:
        return
    latencies = [point.p99_s for point in points if point.p99_s] + ([found.bound_s] if found.bound_s else [])
    low, high = math.log10(min(latencies)), math.log10(max(latencies))
    high = max(high, low + 0.1)
    most = max(point.goodput_per_s for point in points)

    def row(seconds: float) -> int:
        return round((math.log10(seconds) - low) / (high - low) * (_ROWS - 1))

    grid = [[" "] * (_COLUMNS + 1) for _ in range(_ROWS)]
    if found.bound_s:
        grid[row(found.bound_s)] = ["-"] * (_COLUMNS + 1)
    for point in sorted(points, key=lambda point: point.knee):
        grid[row(point.p99_s or 0.0)][round(point.goodput_per_s / most * _COLUMNS)] = _sign(point)
    for number in reversed(range(_ROWS)):
        label = words.latency(10 ** (low + (high - low) * number / (_ROWS - 1))) if number % 3 == 2 else ""
        if found.bound_s and row(found.bound_s) == number:
            label = words.latency(found.bound_s)
        yield f"{label:>8} |{''.join(grid[number]).rstrip()}"
    yield f"{'':>8} +{'-' * (_COLUMNS + 1)}"
    yield f"{'':>8}  0{f'{most:,.0f}/s':>{_COLUMNS}}"
    yield f"{'':>10}p99 from due to up (logarithmic), by goodput"
    yield f"{'':>10}{_legend(points, found)}"


def _sign(point: Point) -> str:
    return _KNEE if point.knee else _SIGNS[point.verdict]


def _legend(points: Sequence[Point], found: Curve) -> str:
    told = {"o": "holds", "x": "does not", "?": "in doubt", _KNEE: "the knee"}
    signs = {_sign(point) for point in points}
    parts = [f"{sign} {text}" for sign, text in told.items() if sign in signs]
    return ", ".join([*parts, *(["--- SLO"] if found.bound_s else [])])
