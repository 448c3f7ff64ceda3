"""The JSON Schema of scenarios, for editors and for the reference in the documentation."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from planebench.scenario.model import Scenario


class _Generator(GenerateJsonSchema):
    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        """A default as it stands in a document: ``10s``, not 10.0."""
        default = super().get_default_value(schema)
        inner: Any = schema["schema"]
        while inner is not None and default is not None:
            serialization = inner.get("serialization", {})
            if serialization.get("type") == "function-plain":
                return serialization["function"](default)
            inner = inner.get("schema")
        return default


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a scenario document, with a description of every field."""
    schema = Scenario.model_json_schema(by_alias=True, schema_generator=_Generator)
    return {"$schema": GenerateJsonSchema.schema_dialect, **_tidy(schema)}


def _tidy(part: Any, *, named: bool = False) -> Any:
    """Without titles that only repeat a key, and with descriptions in one line; ``named``: the keys are names."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    if named:
        return {key: _tidy(value) for key, value in part.items()}
    result = {
        key: _tidy(value, named=key in ("properties", "$defs")) for key, value in part.items() if key != "title"
    }
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    return result
