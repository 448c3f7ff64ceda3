"""The timeline's panels: lines over the trial's clock, in seconds."""

from planebench.report.html.panels.panel import Panel, Series
from planebench.report.html.panels.processes import cpu, memory
from planebench.report.html.panels.queues import queues
from planebench.report.html.panels.workload import objects, requests

__all__ = ["Panel", "Series", "cpu", "memory", "objects", "queues", "requests"]
