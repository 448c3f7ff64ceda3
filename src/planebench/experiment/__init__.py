"""Experiments: trials of several variants, interleaved and randomised; plans, state and folders."""

from planebench.experiment.folder import ExperimentFolder, is_experiment
from planebench.experiment.plan import Experiment, Factor, Level, PlannedTrial, Variant, plan

__all__ = [
    "Experiment",
    "ExperimentFolder",
    "Factor",
    "Level",
    "PlannedTrial",
    "Variant",
    "is_experiment",
    "plan",
]
