"""Faults that are injected into planebench itself: see ``test_injected_faults.py``."""
