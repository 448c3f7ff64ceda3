"""A result for programs: the same document as ``result.json``."""

from __future__ import annotations

import json
from typing import Any

from planebench.results.document import Result, json_schema


def render(result: Result) -> str:
    """The result as JSON text."""
    return result.model_dump_json(indent=2)


def schema() -> str:
    """The JSON Schema of what :func:`render` gives."""
    document: dict[str, Any] = json_schema()
    return json.dumps(document, indent=2)
