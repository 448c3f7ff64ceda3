"""Experiments: trials of several variants, interleaved and randomised; plans, state and folders."""
