"""What all parts of a scenario document have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from planebench.scenario.values import shorten


class Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )


def at_most(maximum: int, reason: str) -> Any:
    def check(value: Any) -> Any:
        if isinstance(value, int) and value > maximum:
            raise ValueError(f"must be at most {maximum:,}, {reason}; got {shorten(value)}")
        return value

    return BeforeValidator(check)


def as_tuple(value: Any) -> Any:
    """A YAML list as a tuple, so that a scenario cannot change."""
    return tuple(value) if isinstance(value, list) else value
