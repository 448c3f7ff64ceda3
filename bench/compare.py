"""What comparisons find, and how often they err.

    python bench/compare.py trials [--comparisons 400] [--trials 6 8 10]
    python bench/compare.py intervals [--comparisons 2000]

``trials`` deals comparisons from recorded trials (tests/unit/recorded_trials.py) and prints, by trials on each
side, how often any figure is said to differ where none does, how often each figure that is 20% larger is found,
and how often intervals hold the true ratio. ``intervals`` does the last for known distributions and two kinds of
bootstrap. The figures in docs/compare.md are from here.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "unit"))

from recorded_trials import Recorded, recorded

from planebench.compare import statistics
from planebench.compare.comparison import Settings, compare
from planebench.compare.document import Comparison, Word

LARGER = 1.2
Draw = Callable[[np.random.Generator, tuple[int, int]], Any]
DISTRIBUTIONS: Mapping[str, Draw] = {
    "normal": lambda chance, shape: chance.normal(size=shape),
    "heavy tails (t, 3)": lambda chance, shape: chance.standard_t(3, size=shape),
    "skewed (exponential)": lambda chance, shape: chance.exponential(size=shape),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["trials", "intervals"])
    parser.add_argument("--comparisons", type=int, default=400)
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", type=int, nargs="+", default=[4, 6, 8, 10, 12])
    options = parser.parse_args()
    if options.what == "intervals":
        _intervals(options.comparisons, options.trials, options.seed)
        return
    source, settings = recorded(), Settings(margin=options.margin, paired=None, resamples=499)
    print(
        f"{len(source.values)} recorded trials, {len(source.figures)} figures, {options.comparisons} comparisons"
    )
    for count in options.trials:
        print(f"\n{count} trials on each side")
        _the_same(source, count, settings, options.comparisons, options.seed)
        _larger(source, count, settings, options.comparisons // 4, options.seed)


# --- recorded trials -----------------------------------------------------------------------------------------


def _the_same(source: Recorded, count: int, settings: Settings, comparisons: int, seed: int) -> None:
    chance = np.random.default_rng((seed, count))
    shown = found = 0
    held = np.zeros(len(source.figures))
    for _ in range(comparisons):
        one = _compared(source, chance, count, settings, {})
        shown += any(figure.word.shown for figure in one.figures)
        found += any(
            figure.p_adjusted is not None and figure.p_adjusted <= settings.alpha for figure in one.figures
        )
        held += [(figure.low or 0.0) <= 1 <= (figure.high or math.inf) for figure in one.figures]
    shares = held / comparisons
    print(
        f"  nothing differs: a difference is shown in {shown / comparisons:.1%}, "
        f"by the test alone in {found / comparisons:.1%}"
    )
    print(f"  95% intervals hold the truth in {shares.mean():.1%} (from {shares.min():.1%} to {shares.max():.1%})")


def _larger(source: Recorded, count: int, settings: Settings, comparisons: int, seed: int) -> None:
    """One figure at a time, among all others that stay as they are."""
    for name in source.figures:
        chance = np.random.default_rng((seed, count))
        found = alone = 0
        for _ in range(comparisons):
            one = _compared(source, chance, count, settings, {name: LARGER})
            figure = next(figure for figure in one.figures if figure.figure == name)
            found += figure.word in (Word.SLOWER, Word.DEARER, Word.HIGHER)
            clear = (figure.low or 0.0) > 1 and (figure.ratio or 1.0) > 1 + settings.margin
            alone += clear and figure.p is not None and figure.p <= settings.alpha
        print(
            f"  {name} 20% larger (spread {source.spread(name):.1%}): "
            f"found in {found / comparisons:.0%}, chosen alone in {alone / comparisons:.0%}"
        )


def _compared(
    source: Recorded, chance: np.random.Generator, count: int, settings: Settings, larger: Mapping[str, float]
) -> Comparison:
    before, after = source.deal(chance, count, larger)
    return compare(before, [after], settings).comparisons[0]


# --- known distributions -------------------------------------------------------------------------------------


def _intervals(comparisons: int, trials: Sequence[int], seed: int) -> None:
    print(f"share of 95% intervals that hold the truth, of {comparisons} comparisons")
    for name, draw in DISTRIBUTIONS.items():
        for count in trials:
            chance = np.random.default_rng((seed, count))
            a, b = draw(chance, (count, comparisons)), draw(chance, (count, comparisons))
            percentile = _held(*statistics.interval(a, b, paired=False, resamples=999, seed=seed))
            print(f"  {name}, {count} trials: percentile {percentile:.1%}, BCa {_held(*_bca(a, b, seed)):.1%}")


def _held(low: Any, high: Any) -> float:
    return float(np.mean((low <= 0) & (high >= 0)))


def _bca(a: Any, b: Any, seed: int) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # where resamples agree, it is undefined
        found = stats.bootstrap(
            (a, b),
            statistics.shift,
            n_resamples=999,
            batch=100,
            vectorized=True,
            axis=0,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    return found.confidence_interval.low, found.confidence_interval.high


if __name__ == "__main__":
    main()
