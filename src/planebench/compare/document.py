"""The comparison document: what two groups of trials differ by, for people's and programs' reports alike."""

from __future__ import annotations

import enum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from planebench.results.document import Unit

SCHEMA_VERSION: Final = 1
"""Rises when a field changes its meaning or goes; new fields do not raise it."""


class Word(enum.StrEnum):
    """What is said of a figure. The first six say that a difference was shown."""

    FASTER = "faster"
    SLOWER = "slower"
    CHEAPER = "cheaper"
    DEARER = "dearer"
    HIGHER = "higher"
    LOWER = "lower"
    NO_DIFFERENCE = "no difference shown"
    """There may be one; these trials do not show it."""
    TOO_FEW = "too few trials"
    """However large the difference, so few trials could not show it."""

    @property
    def shown(self) -> bool:
        return self not in (Word.NO_DIFFERENCE, Word.TOO_FEW)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class TrialNote(_Part):
    """A trial that was used."""

    name: str
    """Its folder's name."""
    run_id: str
    """Its run's id."""
    seed: int
    """The run's seed."""
    started_wall: str
    """When it started, ISO 8601."""


class LeftOutNote(_Part):
    """A run that was left out."""

    name: str
    """Its folder's name."""
    reason: str
    """Why, in one line."""
    kind: Literal["unreadable", "broken", "void"]
    """``broken``: it did not come to its end; ``void``: a check of the measurement did not hold."""


class Side(_Part):
    """The trials of one variant."""

    name: str
    """As it was given: a folder, or an experiment's variant."""
    trials: tuple[TrialNote, ...]
    """Those that were used; every figure's values are in their order."""
    left_out: tuple[LeftOutNote, ...] = ()
    """Those that were not."""


class DifferenceNote(_Part):
    """Something that is not the same on both sides."""

    what: str
    """A field of the scenario, a component, or a part of the machine."""
    baseline: str
    """On the baseline's side; ``-``: not there."""
    candidate: str
    """On the candidate's side."""


class FigureComparison(_Part):
    """One figure on both sides. What is not finite is None: a value that never came, a ratio from zero."""

    figure: str
    """Its id, for instance ``creation.startup:p99`` or ``cost.etcd.cpu``."""
    title: str
    """In words."""
    kind: Literal["duration", "cost", "other"]
    """Which words fit: faster or slower, cheaper or dearer, lower or higher."""
    unit: Unit
    """Of the values."""
    baseline: tuple[float | None, ...]
    """The trials' values."""
    candidate: tuple[float | None, ...]
    """The trials' values."""
    baseline_median: float | None
    """Of the trials' values."""
    candidate_median: float | None
    """Of the trials' values."""
    ratio: float | None
    """Candidate to baseline: the Hodges-Lehmann estimate."""
    low: float | None = None
    """The ratio's 95% bootstrap interval begins here; None: too few trials, or not finite."""
    high: float | None = None
    """And ends here."""
    p: float | None = None
    """Two-sided, of this figure alone; None: too few trials."""
    p_adjusted: float | None = None
    """By Holm over all figures of the document; None: too few trials, or all values are the same."""
    noise: float | None = None
    """The ratio that trials of the same thing stay below 95% of the time; None: not measured."""
    least: float | None
    """The smallest ratio that counts: the larger of 1 + margin and the noise."""
    word: Word
    """What is said of it."""
    worse: bool | None = None
    """Whether the difference shown is for the worse; None: none is shown, or neither way is better."""
    note: str = ""
    """Why a significant difference does not count."""


class NotCompared(_Part):
    """A figure that was to be compared, and why it could not be."""

    figure: str
    """Its id."""
    reason: str
    """Why, in a few words."""


class Comparison(_Part):
    """A candidate against the baseline."""

    baseline: Side
    """What the candidate is held against."""
    candidate: Side
    """What may be better or worse."""
    differences: tuple[DifferenceNote, ...]
    """Of load, settings and binaries: what may have caused what is shown."""
    other_machine: tuple[DifferenceNote, ...] = ()
    """The machines differ: what is shown may be their doing."""
    notes: tuple[str, ...] = ()
    """What else one has to know."""
    figures: tuple[FigureComparison, ...]
    """All figures that were chosen and could be compared."""
    not_compared: tuple[NotCompared, ...] = ()
    """Those that could not."""
    least_p: float
    """The smallest p that so many trials can reach."""
    trials_needed: int
    """On each side, so that a difference of one figure among all can be shown."""


class Comparisons(_Part):
    """One or more candidates against one baseline."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Of this document's format."""
    planebench_version: str
    """That compared."""
    scenario: str
    """Its name, from the baseline's first trial."""
    plane: str
    """Its plane, from the baseline's first trial."""
    paired: bool
    """Whether trials were compared as pairs."""
    alpha: float
    """The chance of finding any difference where there is none."""
    margin: float
    """Smaller differences do not matter: 0.05 is 5%."""
    confidence: float
    """Of intervals: 0.95."""
    resamples: int
    """Of the bootstrap."""
    seed: int
    """Of the bootstrap's random numbers."""
    family: int
    """How many figures differ at all, over all comparisons; p is adjusted for so many."""
    noise_from: Side | None = None
    """The trials of one thing that told the noise; None: it was not measured."""
    comparisons: tuple[Comparison, ...]
    """One for each candidate."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a comparison."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://planebench.dev/schemas/comparison-v{SCHEMA_VERSION}.json",
        **Comparisons.model_json_schema(mode="serialization"),
    }
