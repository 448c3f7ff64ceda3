"""A capacity search for programs."""

from __future__ import annotations

import json

from planebench.capacity.document import Capacity, json_schema


def render(found: Capacity) -> str:
    """The whole document."""
    return found.model_dump_json(indent=1)


def schema() -> str:
    """Its JSON Schema."""
    return json.dumps(json_schema(), indent=2)
