"""The plan of an experiment: which variants run, in which order, with which seeds.

Trials are run in blocks: each block has one trial of every variant, in an order drawn anew for each block. What
drifts slowly (a disk that fills, a neighbour that wakes) then meets all variants alike, and chance decides which
goes first. Source: Box, Hunter and Hunter, "Statistics for Experimenters" (2005), chapter 4, randomised block
designs. All trials of a block have one seed, so their arrivals are the same and they are a pair; blocks have
different ones, so that nothing rests on one order of arrivals.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from planebench.model import UsageError

SCHEMA_VERSION: Final = 1
"""Of ``experiment.json``. Rises when older readers would misread it."""
MOST_TRIALS: Final = 10_000

TrialState = Literal["planned", "running", "completed", "broken"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Level(_Part):
    """A value of a factor, and what it changes of a run."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """In words, for instance ``1.36.0`` or ``qps=100``."""
    overrides: Mapping[str, str] = Field(default_factory=dict)
    """Fields of the scenario, as ``--set`` takes them."""
    components: Mapping[str, str] = Field(default_factory=dict)
    """Component -> where its binary or its source comes from, as ``--component`` takes it."""


class Factor(_Part):
    """What is varied; the first level is the baseline's."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """In words, for instance ``kubernetes`` or ``scheduler-qps``."""
    levels: Annotated[tuple[Level, ...], Field(min_length=1)]
    """Its values."""


class Variant(_Part):
    """One level of every factor: what a trial is a trial of."""

    name: str
    """Its levels' names, fit for a folder's name."""
    levels: Mapping[str, str]
    """Factor -> level."""
    overrides: Mapping[str, str] = Field(default_factory=dict)
    """All that its levels change in the scenario."""
    components: Mapping[str, str] = Field(default_factory=dict)
    """All components that its levels name."""


class PlannedTrial(_Part):
    """A trial, and how far it is."""

    number: int
    """From 1, in the order of their running."""
    block: int
    """From 0: each block has one trial of every variant."""
    variant: str
    """The variant's name."""
    seed: int
    """Of the run."""
    state: TrialState = "planned"
    """``running`` where nobody works on it: it was cut off. ``broken`` is an outcome: it is not run again."""
    attempts: int = 0
    """How often it was started: more than once where it was cut off."""

    @property
    def folder(self) -> str:
        """The name of its run folder: ``007-b``."""
        return f"{self.number:03d}-{self.variant}"


class Experiment(_Part):
    """``experiment.json``: factors, schedule and state. Changed by making a new one."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Of this document's format."""
    id: str
    """The experiment's own."""
    scenario: str
    """The scenario's name; the document itself lies beside this one."""
    context: str = ""
    """Of a kubeconfig: the existing cluster that all trials run on; empty: each has a control plane of its own."""
    checkpoint: str = ""
    """The checkpoint that every trial starts from; empty: each starts from an empty control plane."""
    checkpoint_sha256: str = ""
    """Of that checkpoint: one that was saved later under the same name is another."""
    factors: Annotated[tuple[Factor, ...], Field(min_length=1)]
    """What is varied."""
    variants: tuple[Variant, ...]
    """The first is the baseline."""
    blocks: int
    """How many trials each variant has."""
    seed: int
    """Of the schedule: orders and seeds of trials follow from it."""
    trials: tuple[PlannedTrial, ...]
    """In the order of their running."""

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        known = {variant.name for variant in self.variants}
        if unknown := sorted({trial.variant for trial in self.trials} - known):
            raise ValueError(f"a trial is of variant {unknown[0]!r}, which there is not")
        if [trial.number for trial in self.trials] != list(range(1, len(self.trials) + 1)):
            raise ValueError("trials are not numbered from 1 on")
        return self

    @property
    def next(self) -> PlannedTrial | None:
        """The trial to run next: the first that was cut off or not begun; None: all have an outcome."""
        return next((trial for trial in self.trials if trial.state in ("planned", "running")), None)

    @property
    def done(self) -> int:
        """How many trials have an outcome."""
        return sum(trial.state in ("completed", "broken") for trial in self.trials)

    def variant(self, name: str) -> Variant:
        return next(variant for variant in self.variants if variant.name == name)

    def started(self, number: int) -> Experiment:
        """The same with a trial running."""
        trial = self.trials[number - 1]
        return self._with(trial.model_copy(update={"state": "running", "attempts": trial.attempts + 1}))

    def ended(self, number: int, state: Literal["completed", "broken"]) -> Experiment:
        """The same with a trial's outcome."""
        return self._with(self.trials[number - 1].model_copy(update={"state": state}))

    def extended(self, blocks: int) -> Experiment:
        """The same with more blocks after those that there are; nothing of these changes.

        Raises:
            UsageError: that is fewer than there are, or too many.
        """
        if blocks < self.blocks:
            raise UsageError(f"--trials {blocks}: the experiment has {self.blocks} of each variant already")
        more = _schedule([variant.name for variant in self.variants], self.blocks, blocks, self.seed)
        return self.model_copy(update={"blocks": blocks, "trials": (*self.trials, *more)})

    def _with(self, trial: PlannedTrial) -> Experiment:
        trials = (*self.trials[: trial.number - 1], trial, *self.trials[trial.number :])
        return self.model_copy(update={"trials": trials})


def plan(
    *,
    id: str,
    scenario: str,
    factors: Sequence[Factor],
    blocks: int,
    seed: int,
    context: str = "",
    checkpoint: str = "",
    checkpoint_sha256: str = "",
) -> Experiment:
    """A new experiment: every combination of the factors' levels, ``blocks`` times.

    Raises:
        UsageError: nothing is varied, a level stands twice, two factors change the same field, or there are too
            many trials.
    """
    variants = _variants(factors)
    if len(variants) < 2:
        raise UsageError("an experiment compares at least two variants; give a factor with several levels")
    if not 1 <= blocks <= MOST_TRIALS // len(variants):
        raise UsageError(
            f"--trials {blocks}: with {len(variants)} variants it must be from 1 to {MOST_TRIALS // len(variants)}"
        )
    return Experiment(
        id=id,
        scenario=scenario,
        context=context,
        checkpoint=checkpoint,
        checkpoint_sha256=checkpoint_sha256,
        factors=tuple(factors),
        variants=variants,
        blocks=blocks,
        seed=seed,
        trials=_schedule([variant.name for variant in variants], 0, blocks, seed),
    )


def _variants(factors: Sequence[Factor]) -> tuple[Variant, ...]:
    for factor in factors:
        names = [level.name for level in factor.levels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"factor {factor.name}: level {twice[0]!r} stands twice")
    found: list[Variant] = []
    for levels in itertools.product(*(factor.levels for factor in factors)):
        name = _folder_name("_".join(level.name for level in levels))
        if any(variant.name == name for variant in found):
            name = f"{name}-{len(found) + 1}"
        found.append(
            Variant(
                name=name,
                levels={factor.name: level.name for factor, level in zip(factors, levels, strict=True)},
                overrides=_joined([level.overrides for level in levels], "field"),
                components=_joined([level.components for level in levels], "component"),
            )
        )
    return tuple(found)


def _joined(changes: Sequence[Mapping[str, str]], what: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for change in changes:
        if both := sorted(joined.keys() & change.keys()):
            raise UsageError(f"two factors change the {what} {both[0]}")
        joined |= change
    return joined


def _folder_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-.")[:60] or "variant"


def _schedule(variants: Sequence[str], start: int, end: int, seed: int) -> tuple[PlannedTrial, ...]:
    """The trials of the blocks from ``start`` to ``end``; a block depends on its number and the seed alone."""
    trials = []
    for block in range(start, end):
        chance = random.Random(f"{seed}/{block}")  # noqa: S311 (a schedule, no secret)
        order = list(variants)
        chance.shuffle(order)
        trial_seed = chance.randrange(2**31)
        trials += [
            PlannedTrial(number=block * len(variants) + place + 1, block=block, variant=variant, seed=trial_seed)
            for place, variant in enumerate(order)
        ]
    return tuple(trials)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``experiment.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://planebench.dev/schemas/experiment-v{SCHEMA_VERSION}.json",
        **Experiment.model_json_schema(),
    }
