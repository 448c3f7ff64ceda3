"""A comparison in words and figures: what the terminal and Markdown share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from planebench.compare.document import Comparison, Comparisons, FigureComparison, Word
from planebench.report import figures

_MOST_DIFFERENCES = 8


def change(ratio: float | None) -> str:
    """A ratio as a change: ``+4.2%``, ``-12%``, ``x3.4``; ``∞`` where it is not finite."""
    if ratio is None:
        return "∞"
    if ratio >= 3:
        return f"x{ratio:,.0f}" if ratio >= 99.5 else f"x{ratio:.1f}"
    percent = (ratio - 1) * 100
    return "0%" if percent == 0 else f"{percent:+.0f}%" if abs(percent) >= 9.95 else f"{percent:+.1f}%"


def changed(figure: FigureComparison) -> str:
    """By how much a figure changed; from nothing, and to never, there is no ratio."""
    if figure.ratio is None:
        return "never" if figure.candidate_median is None else "from 0" if not figure.baseline_median else "∞"
    return change(figure.ratio)


def interval(figure: FigureComparison) -> str:
    """``+8.1..+22%``; empty where there is none, all values are the same, or none is finite."""
    if figure.p_adjusted is None or (figure.low is None and figure.high is None):
        return ""
    low, high = change(figure.low), change(figure.high)
    return f"{low.removesuffix('%') if high.endswith('%') else low}..{high}"


def amount(median: float | None, figure: FigureComparison) -> str:
    """A side's median with its unit."""
    return "never" if median is None else figures.value(median, figure.unit)


def probability(p: float | None) -> str:
    """``0.031``, ``<0.001``; empty where it was not tested."""
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def how_sure(figure: FigureComparison) -> str:
    """Of a difference that was shown: by how much, and how sure."""
    between = f" (95% interval {interval(figure)})" if interval(figure) else ""
    return (
        f"{figure.title}: {figure.word}, {changed(figure)}{between}, "
        f"{amount(figure.baseline_median, figure)} -> {amount(figure.candidate_median, figure)}, "
        f"p {probability(figure.p_adjusted)}"
    )


def summary(one: Comparison) -> str:
    """How many figures are said to be what, for instance ``1 slower, 17 no difference shown``."""
    counts = Counter(figure.word for figure in one.figures)
    found = [f"{counts[word]} {word}" for word in Word if counts[word]]
    if one.not_compared:
        found.append(f"{len(one.not_compared)} not compared")
    return ", ".join(found) or "nothing to compare"


def differences(one: Comparison) -> str:
    """What is not the same on both sides."""
    found = [f"{item.what} {item.baseline} -> {item.candidate}" for item in one.differences]
    more = f"; and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
    return "; ".join(found[:_MOST_DIFFERENCES]) + more if found else "nothing that the runs have noted"


def trials(name: str, count: int) -> str:
    return f"{name}: {count} {'trial' if count == 1 else 'trials'}"


def left_out(one: Comparison) -> Iterator[str]:
    """Runs that are no trials."""
    for letter, side in (("A", one.baseline), ("B", one.candidate)):
        for run in side.left_out:
            yield f"Left out of {letter}: {run.reason}."


def remarks(found: Comparisons, one: Comparison) -> Iterator[str]:
    """What one has to know to read the figures."""
    for item in one.other_machine:
        yield f"Other machine: {item.what} {item.baseline} -> {item.candidate}. Differences may be its doing."
    yield from left_out(one)
    for note in one.notes:
        yield f"{note[:1].upper()}{note[1:]}."
    for figure in one.figures:
        if figure.note:
            yield f"{figure.title}: {changed(figure)} is {figure.note}."
    for missing in one.not_compared:
        yield f"Not compared: {missing.figure} ({missing.reason})."
    if any(figure.word is Word.TOO_FEW for figure in one.figures):
        yield too_few(found, one)


def too_few(found: Comparisons, one: Comparison) -> str:
    """How many trials it would take."""
    sizes = f"{len(one.baseline.trials)} and {len(one.candidate.trials)} trials"
    if found.paired:
        sizes = f"{len(one.baseline.trials)} pairs"
    return (
        f"Too few trials: with {sizes} p is at least {one.least_p:.2g}; to show a difference of one figure among "
        f"{max(found.family, 1)} takes {one.trials_needed} on each side, or fewer figures (--sli)."
    )


def method(found: Comparisons) -> str:
    """How it was compared, in one line."""
    test = "Wilcoxon signed-rank" if found.paired else "Mann-Whitney"
    noise = ", or within the noise," if found.noise_from else ""
    return (
        f"Median of each side; ratio B/A by Hodges-Lehmann with a {found.confidence:.0%} bootstrap interval over "
        f"trials; {test} test, p by Holm over {found.family} figures; differences of less than "
        f"{found.margin * 100:g}%{noise} do not count."
    )
