"""A comparison for programs."""

from __future__ import annotations

import json

from planebench.compare.document import Comparisons, json_schema


def render(found: Comparisons) -> str:
    """The comparison as JSON text."""
    return found.model_dump_json(indent=2)


def schema() -> str:
    """The JSON Schema of what :func:`render` gives."""
    return json.dumps(json_schema(), indent=2)
