"""Where the command writes: results to standard output, the rest to standard error."""

from __future__ import annotations

from rich.console import Console

output = Console()
errors = Console(stderr=True)
