"""A comparison as GitHub-flavoured Markdown, for a comment on a pull request.

What was shown comes first, the rest is folded away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from planebench.compare.document import Comparison, Comparisons, FigureComparison
from planebench.compare.gate import Gate
from planebench.model import Judgement
from planebench.report.comparison import words
from planebench.report.markdown import details, table, text

_SIGNS: Final = {Judgement.PASS: "✅", Judgement.FAIL: "❌", Judgement.INCONCLUSIVE: "⚠️"}


def render(found: Comparisons, gate: Gate | None = None) -> str:
    """All candidates against the baseline; with a gate, its judgement comes first."""
    return "\n".join(_lines(found, gate)).strip() + "\n"


def _lines(found: Comparisons, gate: Gate | None) -> Iterator[str]:
    if gate:
        yield f"### {_SIGNS[gate.judgement]} {gate.judgement}: {text(found.scenario)} against its baseline"
        yield ""
        yield from (f"- {text(words.how_sure(figure))}" for figure in gate.worse)
        yield from (f"- unclear: {text(reason)}" for reason in gate.unclear)
        yield ""
    for one in found.comparisons:
        yield from _comparison(found, one, titled=gate is None)
    yield f"<sub>{text(words.method(found))}</sub>"


def _comparison(found: Comparisons, one: Comparison, *, titled: bool) -> Iterator[str]:
    if titled:
        yield f"### {text(found.scenario)}: {text(words.summary(one))}"
        yield ""
    sides = [words.trials(side.name, len(side.trials)) for side in (one.baseline, one.candidate)]
    yield f"A is {text(sides[0])}. B is {text(sides[1])}. Not the same: {text(words.differences(one))}."
    shown = [figure for figure in one.figures if figure.word.shown]
    rest = [figure for figure in one.figures if not figure.word.shown]
    if shown:
        yield ""
        yield from _table(shown)
    said = " or ".join(sorted({str(figure.word) for figure in rest}))
    yield from details(f"{len(rest)} figures: {said}", list(_table(rest)) if rest else [])
    yield from details("Remarks", [f"- {text(remark)}" for remark in words.remarks(found, one)])
    yield ""


def _table(chosen: Sequence[FigureComparison]) -> Iterator[str]:
    yield from table(
        ("figure", "", "A", "B", "B/A", "95% interval", "p"),
        [
            (
                text(figure.title),
                f"**{figure.word}**" if figure.word.shown else str(figure.word),
                text(words.amount(figure.baseline_median, figure)),
                text(words.amount(figure.candidate_median, figure)),
                text(words.changed(figure)),
                text(words.interval(figure)),
                text(words.probability(figure.p_adjusted)),
            )
            for figure in chosen
        ],
        left=2,
    )
