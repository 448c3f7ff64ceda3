"""The JSON Schema of scenarios, for editors."""

from __future__ import annotations

from typing import Any

from planebench.scenario.model import Scenario


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a scenario document, with a description of every field."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
