"""What is said of figures, and when nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_trials import CPU, REACHED, SETUP, SPREAD, STARTUP, THROUGHPUT, group

from planebench.compare import Group, statistics
from planebench.compare.comparison import Settings, compare
from planebench.compare.document import Comparison, Comparisons, FigureComparison, Word
from planebench.compare.figures import Figure, select
from planebench.compare.gate import judge
from planebench.compare.trials import LeftOut
from planebench.model import Judgement, UsageError

FAST = Settings(resamples=199)
BASE = (1.00, 1.01, 0.99, 1.02, 0.98, 1.005)
"""Six trials within 4% of one another."""


def times(factor: float, values: Sequence[float] = BASE) -> list[float]:
    """Other trials of that many times the size: none equals one of the baseline."""
    return [value * factor + 0.0001 * number for number, value in enumerate(values)]


def one(
    figure: Figure,
    before: Sequence[float | None],
    after: Sequence[float | None],
    settings: Settings = FAST,
    noise: Group | None = None,
) -> FigureComparison:
    found = compare(group("a", {figure: before}), [group("b", {figure: after})], settings, noise=noise)
    (told,) = found.comparisons[0].figures
    return told


# --- words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "factor", "word", "worse"),
    [
        (STARTUP, 1.2, Word.SLOWER, True),
        (STARTUP, 0.8, Word.FASTER, False),
        (CPU, 1.2, Word.DEARER, True),
        (CPU, 0.8, Word.CHEAPER, False),
        (THROUGHPUT, 1.2, Word.HIGHER, False),
        (THROUGHPUT, 0.8, Word.LOWER, True),
        (SPREAD, 1.2, Word.HIGHER, None),
        (STARTUP, 1.0, Word.NO_DIFFERENCE, None),
    ],
)
def test_words(figure: Figure, factor: float, word: Word, worse: bool | None) -> None:
    told = one(figure, BASE, times(factor))
    assert (told.word, told.worse) == (word, worse)
    assert told.ratio == pytest.approx(factor, abs=0.01)
    assert told.low is not None
    assert told.high is not None
    assert told.low <= told.ratio <= told.high  # type: ignore[operator]
    assert told.baseline_median == pytest.approx(1.0025)


def test_every_word_is_the_house_s() -> None:
    assert {*Word} == {
        "faster",
        "slower",
        "cheaper",
        "dearer",
        "higher",
        "lower",
        "no difference shown",
        "too few trials",
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_trials_whatever_the_difference(count: int) -> None:
    told = one(STARTUP, BASE[:count], times(10, BASE[:count]))
    assert told.word is Word.TOO_FEW
    assert told.ratio == pytest.approx(10, rel=0.05)
    assert (told.low, told.high, told.p, told.p_adjusted) == (None, None, None, None)


def test_four_trials_are_enough_for_one_figure_and_not_for_two() -> None:
    before, after = BASE[:4], times(2, BASE[:4])
    assert one(STARTUP, before, after).word is Word.SLOWER
    found = compare(
        group("a", {STARTUP: before, CPU: before}), [group("b", {STARTUP: after, CPU: after})], FAST
    ).comparisons[0]
    assert {figure.word for figure in found.figures} == {Word.TOO_FEW}
    assert found.least_p == pytest.approx(2 / 70)
    assert found.trials_needed == 5


def test_figures_that_cannot_differ_cost_nothing() -> None:
    """A figure of one value in all trials is no chance to err: it leaves the others their p."""
    same = [1.0] * 4
    found = compare(
        group("a", {STARTUP: BASE[:4], REACHED: same}),
        [group("b", {STARTUP: times(2, BASE[:4]), REACHED: same})],
        FAST,
    )
    assert found.family == 1
    assert [figure.word for figure in found.comparisons[0].figures] == [Word.SLOWER, Word.NO_DIFFERENCE]
    assert found.comparisons[0].figures[1].p_adjusted is None


def test_differences_within_the_margin_do_not_matter() -> None:
    after = times(1.08)
    assert one(STARTUP, BASE, after).word is Word.SLOWER
    told = one(STARTUP, BASE, after, Settings(margin=0.10, resamples=199))
    assert (told.word, told.note) == (Word.NO_DIFFERENCE, "significant, but within the margin")
    assert told.least == pytest.approx(1.10)


def test_the_margin_is_the_same_both_ways() -> None:
    wide = Settings(margin=0.25, resamples=199)
    assert one(STARTUP, BASE, times(0.81), wide).word is Word.NO_DIFFERENCE
    assert one(STARTUP, BASE, times(0.79), wide).word is Word.FASTER


def test_objects_that_did_not_come_have_no_margin() -> None:
    told = one(REACHED, [1.0] * 6, [0.99] * 6)
    assert (told.word, told.worse) == (Word.LOWER, True)


def test_differences_within_the_noise_do_not_count() -> None:
    loud = group("noise", {STARTUP: [1.0, 1.3, 0.8, 1.5, 0.7, 1.2, 1.0, 0.9]})
    told = one(STARTUP, BASE, times(1.2), noise=loud)
    assert told.note == "significant, but within the noise"
    assert told.noise is not None
    assert told.noise > 1.2
    assert told.least == told.noise
    quiet = group("noise", {STARTUP: times(1.0)})
    assert one(STARTUP, BASE, times(1.2), noise=quiet).word is Word.SLOWER


def test_noise_of_a_figure_that_it_has_not() -> None:
    told = one(STARTUP, BASE, times(1.2), noise=group("noise", {CPU: BASE}))
    assert (told.word, told.noise) == (Word.SLOWER, None)


def test_noise_takes_four_trials() -> None:
    with pytest.raises(UsageError, match="--noise noise: 3 trials, it takes at least 4"):
        one(STARTUP, BASE, BASE, noise=group("noise", {STARTUP: BASE[:3]}))


def test_many_figures_are_many_chances_to_err() -> None:
    """The same p is a find among a few figures, and none among many."""
    after = [1.03, 1.04, 1.015, 1.05, 1.035, 1.06]  # beyond most of the baseline
    loose = Settings(margin=0, resamples=199)
    assert one(STARTUP, BASE, after, loose).word is Word.SLOWER
    others = [Figure(f"other {number}", "duration", "s", 1.0, "less", by_default=True) for number in range(20)]
    found = compare(
        group("a", {STARTUP: BASE} | dict.fromkeys(others, BASE)),
        [group("b", {STARTUP: after} | dict.fromkeys(others, times(1.0, BASE)))],
        loose,
    )
    told = found.comparisons[0].figures[0]
    assert told.p == one(STARTUP, BASE, after, loose).p
    assert told.p_adjusted == pytest.approx(21 * (told.p or 0))
    assert told.word is Word.NO_DIFFERENCE


def test_several_candidates_are_one_family() -> None:
    found = compare(
        group("a", {STARTUP: BASE}),
        [group("b", {STARTUP: times(1.0)}), group("c", {STARTUP: times(1.3)})],
        FAST,
    )
    assert found.family == 2
    assert [part.figures[0].word for part in found.comparisons] == [Word.NO_DIFFERENCE, Word.SLOWER]
    assert found.comparisons[1].figures[0].p_adjusted == pytest.approx(
        2 * (found.comparisons[1].figures[0].p or 0)
    )


# --- what never came, zeros, and what has no ratio -----------------------------------------------------------


def test_what_never_came_is_slower_than_all() -> None:
    told = one(STARTUP, BASE, [math.inf] * 6)
    assert (told.word, told.ratio, told.candidate_median) == (Word.SLOWER, None, None)
    assert told.candidate == (None,) * 6
    back = one(STARTUP, [math.inf] * 6, BASE)
    assert (back.word, back.ratio) == (Word.FASTER, 0)


def test_what_never_came_on_both_sides_is_the_same() -> None:
    told = one(STARTUP, [math.inf] * 6, [math.inf] * 6)
    assert (told.word, told.ratio) == (Word.NO_DIFFERENCE, 1)


def test_some_that_never_came() -> None:
    told = one(STARTUP, BASE, [*times(1.0)[:5], math.inf])
    assert told.word is Word.NO_DIFFERENCE
    assert told.ratio == pytest.approx(1.0, abs=0.05)


def test_from_nothing() -> None:
    leftovers = replace(SPREAD, title="cleanup.leftovers", better="less")
    told = one(leftovers, [0.0] * 6, [3.0, 2.0, 4.0, 5.0, 1.0, 6.0])
    assert (told.word, told.worse, told.ratio) == (Word.HIGHER, True, None)
    assert one(leftovers, [0.0] * 6, [0.0] * 6).word is Word.NO_DIFFERENCE


def not_compared(before: Sequence[float | None], after: Sequence[float | None]) -> list[str]:
    found = compare(group("a", {STARTUP: before, CPU: BASE}), [group("b", {STARTUP: after, CPU: BASE})], FAST)
    assert [figure.figure for figure in found.comparisons[0].figures] == ["etcd CPU"]
    return [item.reason for item in found.comparisons[0].not_compared]


def test_what_cannot_be_compared_says_why() -> None:
    assert not_compared(BASE, [math.nan, *BASE[1:]]) == ["b: no data in 1 of 6 trials"]
    assert not_compared([None, None, *BASE[2:]], BASE) == ["a: no data in 2 of 6 trials"]
    assert not_compared(BASE, [-0.1, *BASE[1:]]) == ["b: values below zero have no ratio"]


def test_nothing_in_common() -> None:
    found = compare(group("a", {STARTUP: BASE}), [group("b", {CPU: BASE})], FAST)
    assert found.comparisons[0].figures == ()
    assert {item.reason for item in found.comparisons[0].not_compared} == {
        "b: no data in 6 of 6 trials",
        "a: no data in 6 of 6 trials",
    }
    assert judge(found).judgement is Judgement.INCONCLUSIVE


anything = st.one_of(
    st.floats(min_value=0, allow_nan=False, allow_infinity=True), st.just(math.nan), st.none(), st.floats(-5, 5)
)


@given(st.lists(anything, min_size=1, max_size=7), st.lists(anything, min_size=1, max_size=7), st.booleans())
def test_any_values_give_a_document(before: list[float | None], after: list[float | None], paired: bool) -> None:
    found = compare(
        group("a", {STARTUP: before, CPU: [1.0] * len(before)}),
        [group("b", {STARTUP: after, CPU: [1.0] * len(after)})],
        Settings(resamples=29, paired=paired),
    )
    assert Comparisons.model_validate_json(found.model_dump_json()) == found
    judge(found)


# --- late requests -------------------------------------------------------------------------------------------


def test_a_difference_that_late_requests_may_have_made_is_none() -> None:
    late = replace(STARTUP, doubt_s=0.3)
    told = one(late, BASE, times(1.2))
    assert told.word is Word.NO_DIFFERENCE
    assert told.note == "significant, but by less than requests were sent late (p99 300.0 ms)"
    assert one(late, BASE, times(1.4)).word is Word.SLOWER
    assert one(replace(STARTUP, doubt_s=0.0005), BASE, times(1.2)).word is Word.SLOWER


# --- pairs ---------------------------------------------------------------------------------------------------

PAIRED = Settings(paired=True, resamples=199)


def test_pairs_see_through_what_both_share() -> None:
    drift = [1.0, 3.0, 0.3, 10.0, 0.1, 2.0, 5.0]
    told = one(STARTUP, drift, times(1.2, drift), PAIRED)
    assert told.word is Word.SLOWER
    assert told.ratio == pytest.approx(1.2, abs=0.01)
    assert one(STARTUP, drift, times(1.2, drift)).word is Word.NO_DIFFERENCE


def test_five_pairs_are_too_few() -> None:
    assert one(STARTUP, BASE[:5], times(2, BASE[:5]), PAIRED).word is Word.TOO_FEW
    assert one(STARTUP, BASE, times(2), PAIRED).word is Word.SLOWER


def test_pairs_are_taken_by_themselves_where_there_are_enough() -> None:
    """Of one figure: eight, with which two contrary ones would still leave p at 0.039."""
    chosen = Settings(paired=None, resamples=199)
    values = [1.0 + number / 10 for number in range(8)]
    for count, paired in ((7, False), (8, True)):
        sides = group("a", {STARTUP: values[:count]}), group("b", {STARTUP: times(1.2, values[:count])})
        assert compare(sides[0], [sides[1]], chosen).paired is paired
        assert compare(sides[0], [sides[1]], replace(chosen, paired=True)).paired
    more = {STARTUP: values, CPU: values}
    candidates = [group(name, {figure: times(1.2, values) for figure in more}) for name in ("b", "c")]
    assert not compare(group("a", more), candidates, chosen).paired, "four figures differ: it takes ten"


@pytest.mark.parametrize(
    ("pairs", "figures", "enough"), [(8, 1, True), (8, 2, False), (12, 20, True), (11, 20, False)]
)
def test_enough_pairs_are_those_that_bear_two_contrary_ones(pairs: int, figures: int, enough: bool) -> None:
    assert statistics.enough_pairs(pairs, figures, 0.05) is enough
    differences = np.arange(1.0, pairs + 1)[:, None]
    differences[:2] *= -1
    p = statistics.p_values(np.zeros_like(differences), differences, paired=True, seed=0).item()
    assert (p * figures <= 0.05) is enough


def test_trials_without_a_partner_are_left_out() -> None:
    found = compare(group("a", {STARTUP: BASE}), [group("b", {STARTUP: times(1.0, [*BASE, 1, 1])})], PAIRED)
    assert [len(side.trials) for side in (found.comparisons[0].baseline, found.comparisons[0].candidate)] == [6, 6]
    assert "2 trials have no partner and are left out" in found.comparisons[0].notes


def test_no_pairs_at_all() -> None:
    after = group("b", {STARTUP: BASE})
    later = replace(after, trials=tuple(replace(trial, block=trial.block + 100) for trial in after.trials))
    with pytest.raises(UsageError, match="--paired: a and b have no pair of trials"):
        compare(group("a", {STARTUP: BASE}), [later], PAIRED)


# --- what is chosen ------------------------------------------------------------------------------------------


def test_patterns() -> None:
    names = [
        "creation.startup:p50",
        "creation.startup:p90",
        "creation.startup:p99",
        "creation.reached",
        "cost.etcd.cpu",
    ]
    assert select(names, ["creation.startup"]) == ["creation.startup:p50", "creation.startup:p99"]
    assert select(names, ["creation.startup:p90"]) == ["creation.startup:p90"]
    assert select(names, ["creation.*"]) == ["creation.startup:p50", "creation.startup:p99", "creation.reached"]
    assert select(names, ["cost.*", "creation.reached"]) == ["creation.reached", "cost.etcd.cpu"]
    assert select(names, ["*:p90"]) == ["creation.startup:p90"]
    assert select(names, ["startup"]) == []


def test_what_is_not_by_default_is_chosen_by_name() -> None:
    p50 = replace(STARTUP, title="creation.startup p50", by_default=False)
    before, after = {STARTUP: BASE, p50: BASE}, {STARTUP: times(1.0), p50: times(1.0)}
    for patterns, expected in (((), ["creation.startup:p99"]), (("*:p50",), ["creation.startup:p50"])):
        found = compare(group("a", before), [group("b", after)], Settings(figures=patterns, resamples=29))
        assert [figure.figure for figure in found.comparisons[0].figures] == expected


def test_a_pattern_without_a_figure() -> None:
    with pytest.raises(UsageError, match=r"--sli nothing\.\*: matches none .* creation\.startup:p99"):
        compare(group("a", {STARTUP: BASE}), [group("b", {STARTUP: BASE})], Settings(figures=("nothing.*",)))


@pytest.mark.parametrize(("field", "value"), [("margin", -0.1), ("margin", 10), ("alpha", 0), ("alpha", 1)])
def test_settings_out_of_range(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{field}"):
        Settings(**{field: value})  # type: ignore[arg-type]


# --- notes ---------------------------------------------------------------------------------------------------


def compared(before: Group, after: Group) -> Comparison:
    return compare(before, [after], FAST).comparisons[0]


def test_other_seeds_are_told() -> None:
    before = group("a", {STARTUP: BASE}, seeds=[1, 2, 3, 1, 2, 3])
    assert compared(before, group("b", {STARTUP: BASE}, seeds=[3, 2, 1, 3, 2, 1])).notes == ()
    (note,) = compared(before, group("b", {STARTUP: BASE}, seeds=[1, 2, 4, 1, 2, 4])).notes
    assert note.startswith("seeds differ (1, 2, 3; 1, 2, 4)")


def test_what_is_not_the_same_is_told() -> None:
    setup = replace(SETUP, settings={"etcd": "3.7", "limits.qps": "50"}, machine={"usable_cores": "2"})
    other = replace(SETUP, settings={"etcd": "3.8", "limits.qps": "50", "x": "1"}, machine={"usable_cores": "4"})
    found = compared(group("a", {STARTUP: BASE}, setup=setup), group("b", {STARTUP: BASE}, setup=other))
    assert [(item.what, item.baseline, item.candidate) for item in found.differences] == [
        ("etcd", "3.7", "3.8"),
        ("x", "-", "1"),
    ]
    assert [item.what for item in found.other_machine] == ["usable_cores"]


# --- the gate ------------------------------------------------------------------------------------------------


def test_the_gate_passes_where_nothing_is_worse() -> None:
    for factor in (1.0, 0.7):
        found = compare(group("a", {STARTUP: BASE}), [group("b", {STARTUP: times(factor)})], FAST)
        assert judge(found).judgement is Judgement.PASS


def test_the_gate_fails_on_what_is_worse_and_says_what() -> None:
    before = {STARTUP: BASE, CPU: BASE}
    found = compare(group("a", before), [group("b", {STARTUP: times(1.3), CPU: times(0.7)})], FAST)
    judged = judge(found)
    assert judged.judgement is Judgement.FAIL
    assert [figure.figure for figure in judged.worse] == ["creation.startup:p99"]


def test_a_regression_outweighs_what_is_unclear() -> None:
    before = {STARTUP: BASE, CPU: [None] * 6}
    judged = judge(compare(group("a", before), [group("b", {STARTUP: times(1.3), CPU: BASE})], FAST))
    assert judged.judgement is Judgement.FAIL
    assert judged.unclear == ("etcd CPU cannot be compared: a: no data in 6 of 6 trials",)


def test_the_gate_says_when_it_cannot_tell() -> None:
    few = compare(group("a", {STARTUP: BASE[:3]}), [group("b", {STARTUP: times(2, BASE[:3])})], FAST)
    assert judge(few).judgement is Judgement.INCONCLUSIVE
    assert judge(few).unclear == ("too few trials (3 and 3): it takes 4 on each side",)


@pytest.mark.parametrize(
    ("kind", "judgement"),
    [("broken", Judgement.INCONCLUSIVE), ("unreadable", Judgement.INCONCLUSIVE), ("void", Judgement.PASS)],
)
def test_a_candidate_that_broke_has_not_passed(kind: str, judgement: Judgement) -> None:
    left_out = (LeftOut("007", "b/007: etcd ended", kind),)  # type: ignore[arg-type]
    before, after = group("a", {STARTUP: BASE}), group("b", {STARTUP: times(1.0)}, left_out=left_out)
    assert judge(compare(before, [after], FAST)).judgement is judgement
    assert judge(compare(after, [before], FAST)).judgement is Judgement.PASS  # a baseline may have broken


def test_another_machine_says_nothing_of_the_candidate() -> None:
    here, there = (replace(SETUP, machine={"processor": name}) for name in ("X", "Y"))
    before = group("a", {STARTUP: BASE}, setup=there)
    for factor in (1.0, 1.5):
        found = compare(before, [group("b", {STARTUP: times(factor)}, setup=here)], FAST)
        judged = judge(found)
        assert judged.judgement is Judgement.INCONCLUSIVE
        assert "another machine (processor: Y -> X)" in judged.unclear[0]
        expected = Judgement.FAIL if factor > 1 else Judgement.PASS
        assert judge(found, any_machine=True).judgement is expected
