"""A result as GitHub-flavoured Markdown, short enough for a comment on a pull request.

The verdict comes first, then what it rests on; details are folded away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from planebench.model import Judgement
from planebench.report import figures
from planebench.report.stuck import in_words
from planebench.results.document import Component, Finding, Result, Row, SLOResult

_SIGNS: Final = {Judgement.PASS: "✅", Judgement.FAIL: "❌", Judgement.INCONCLUSIVE: "⚠️"}
_MOST_ERRORS: Final = 5
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~&@])")


def render(result: Result) -> str:
    """The result in Markdown (https://github.github.com/gfm/)."""
    return "\n".join(_lines(result)).rstrip() + "\n"


# --- the pieces that other Markdown outputs share ---


def text(plain: str) -> str:
    """Plain text in one line, with every sign escaped that Markdown, a table or GitHub would read as markup."""
    return _MARKUP.sub(r"\\\1", " ".join(plain.split()))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> Iterator[str]:
    """A table of cells that are Markdown already; columns after the first ``left`` are aligned to the right."""
    yield _row(headings)
    yield _row([":--" if number < left else "--:" for number in range(len(headings))])
    for cells in rows:
        yield _row(cells)


def details(summary: str, lines: Sequence[str]) -> Iterator[str]:
    """Lines folded away under a summary; nothing where there are none."""
    if lines:
        # Without the blank lines GitHub would not read the inside as Markdown.
        yield from ("", f"<details><summary>{summary}</summary>", "", *lines, "", "</details>")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


# --- a result ---


def _lines(result: Result) -> Iterator[str]:
    verdict = f"{_SIGNS[result.verdict]} {result.verdict}" if result.verdict else "No verdict"
    yield f"### {verdict}: {text(result.scenario)}"
    yield ""
    yield _summary(result)
    if result.slos:
        yield ""
        yield from table(("", "SLO", "found", "n"), [_slo(slo) for slo in result.slos], left=3)
    yield from _doubts([finding for finding in result.validity if not finding.ok])
    yield from details("Key figures", _key_figures(result))
    yield from details("Components", _components(result.components))
    yield from details("Errors", _errors(result))
    yield from details("Failed or waiting", _stuck(result))
    yield from details("What it ran on", _environment(result))


def _summary(result: Result) -> str:
    counts = result.counts
    left = "leftovers unknown" if counts.leftovers is None else f"{counts.leftovers:,} left over"
    return (
        f"{text(result.reason[:1].upper() + result.reason[1:])}. {counts.up:,} of {counts.planned:,} objects came "
        f"up, {counts.failed:,} failed, {left}. Plane {text(result.plane)}, seed {result.seed}, "
        f"took {figures.duration(result.duration_s)}."
    )


def _slo(slo: SLOResult) -> tuple[str, ...]:
    plain = slo.verdict is Judgement.PASS or slo.reason in ("", "no data")
    found = figures.found(slo.model_copy(update={"percentile": None}))  # its n has a column of its own
    return (
        _SIGNS[slo.verdict],
        text(figures.demand(slo)),
        text(found if plain else f"{found}, {slo.reason}"),
        f"{slo.n:,}",
    )


def _doubts(wrong: Sequence[Finding]) -> Iterator[str]:
    if not wrong:
        return
    yield from ("", "**Checks that did not hold**", "")
    for finding in wrong:
        weight = f"makes {finding.affects} doubtful" if finding.affects else "told only"
        yield f"- {text(f'{finding.title}: {finding.value}, should be {finding.bound} ({weight})')}"


def _key_figures(result: Result) -> list[str]:
    rows = [
        (str(stage.stage), *_figures(row)) for stage in result.stages for row in stage.rows if figures.is_step(row)
    ]
    headings = ("stage", "indicator", "n", "p50", "p90", "p99", "max", "failed")
    return list(table(headings, rows, left=2)) if rows else []


def _figures(row: Row) -> tuple[str, ...]:
    title = text(row.title + ("*" if row.simulated else ""))
    if row.value is not None and row.p50 is None and not row.missing:
        return title, figures.count(row.n), text(figures.value(row.value, row.unit)), "", "", "", ""
    failed = row.errors if row.errors is not None else row.missing
    amounts = (row.p50, row.p90, row.p99, row.max) if row.n else ()
    cells = [text(figures.percentile(row, amount)) for amount in amounts] or [""] * 4
    return title, figures.count(row.n), *cells, figures.count(failed) if row.unit == "s" else ""


def _components(components: Sequence[Component]) -> list[str]:
    rows = [
        (
            text(component.title),
            str(component.role),
            "" if component.cpu_s is None else f"{component.cpu_s:.1f}",
            "" if component.peak_rss_bytes is None else f"{component.peak_rss_bytes / 2**20:,.0f}",
            "" if component.requests is None else f"{component.requests:,}",
            "" if component.errors is None else f"{component.errors:,}",
        )
        for component in components
    ]
    headings = ("component", "role", "CPU s", "peak MiB", "requests", "errors")
    return list(table(headings, rows, left=2)) if rows else []


def _errors(result: Result) -> list[str]:
    lines = [
        f"- {error.count:,} x {text(f'{error.phase}: {error.verb} {error.resource}: {error.error}')}"
        for error in result.errors[:_MOST_ERRORS]
    ]
    more = len(result.errors) - len(lines)
    return [*lines, f"- and {more} more kinds, see result.json"] if more else lines


def _stuck(result: Result) -> list[str]:
    lines = [f"- {item.count:,} x {text(in_words(item))}" for item in result.stuck[:_MOST_ERRORS]]
    more = len(result.stuck) - len(lines)
    return [*lines, f"- and {more} more kinds, see result.json"] if more else lines


def _environment(result: Result) -> list[str]:
    facts = {"run": result.run_id, "started": result.started_wall, "planebench": result.planebench_version}
    machine = result.environment.get("machine")
    if isinstance(machine, Mapping):
        facts |= {str(name).replace("_", " "): _fact(name, value) for name, value in machine.items()}
    components = result.environment.get("components")
    for component in components if isinstance(components, list) else ():
        if isinstance(component, Mapping):
            facts[str(component.get("name"))] = str(component.get("version", "unknown"))
    return [
        *(f"- {text(name)}: {text(value)}" for name, value in facts.items()),
        *(f"- limit by design: {text(limit)}" for limit in result.limits),
        *(f"- not as in a real cluster: {text(deviation)}" for deviation in result.unfaithful),
        *(f"- not seen: {text(f'{item.component}: {item.what} ({item.why})')}" for item in result.unseen),
    ]


def _fact(name: Any, value: Any) -> str:
    return figures.value(value, "bytes") if str(name).endswith("_bytes") and isinstance(value, int) else str(value)
