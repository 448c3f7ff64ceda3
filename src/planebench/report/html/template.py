"""The page's templates, and how they put things into words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import jinja2

from planebench import units
from planebench.report import figures
from planebench.report.html import charts
from planebench.results.document import Levels, SLOResult
from planebench.slis.catalog import find

_PACKAGE: Final = "planebench.report.html"
FEW: Final = "no finite 95% upper bound"
"""A note that says so becomes a badge."""


def asset(name: str) -> str:
    """A style sheet or script of this package."""
    return (files(_PACKAGE) / "assets" / name).read_text(encoding="utf-8")


def environment() -> jinja2.Environment:
    """Everything is escaped; a name that a template gets wrong is an error."""

    found = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # unsorted: Bokeh reads it in its order
    found.filters |= {
        "duration": figures.duration,
        "count": lambda number: f"{number:,}",
        "rate": figures.rate,
        "share": figures.share,
        "bytes": units.format_bytes,
        "amount": figures.value,
        "bound": figures.bound,
        "percentile": lambda amount, row: figures.percentile(row, amount),
        "words": lambda key: re.sub(r"_(s|bytes)$", "", str(key)).replace("_", " "),
        "remarks": lambda notes: [note for note in notes if FEW not in note],
        "slug": lambda text: "".join(sign if sign.isalnum() else "-" for sign in str(text)),
    }
    found.globals |= {
        "few": lambda notes: any(FEW in note for note in notes),
        "definition": find,
        "demand": charts.demand,
        "gauge": gauge,
        "spark": spark,
        "scalar": is_scalar,
        "described": described,
        "records": is_records,
    }
    found.tests["mapping"] = lambda value: isinstance(value, Mapping)
    return found


def spark(levels: Levels) -> str:
    """The points of a line over time in a box of 100 by 20, from 0 at its bottom to the highest at its top."""
    known = [(t_s, value) for t_s, value in zip(levels.t_s, levels.values, strict=True) if value is not None]
    if len(known) < 2:
        return ""
    start_s, length_s = known[0][0], (known[-1][0] - known[0][0]) or 1.0
    highest = max(max(value for _, value in known), 0.0) or 1.0
    return " ".join(
        f"{(t_s - start_s) / length_s * 100:.1f},{19 - max(value, 0.0) / highest * 18:.1f}" for t_s, value in known
    )


def gauge(slo: SLOResult) -> float | None:
    """How far a value is on its way to the bound: 1 is at the bound; None: there is nothing to draw."""
    bound = slo.at_most if slo.at_most is not None else slo.at_least
    if slo.value is None or not bound or bound < 0:
        return None
    return max(slo.value, 0.0) / bound


def described(value: Any, key: str) -> str:
    """A value of the environment in words; the key tells its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and key.endswith("_bytes"):
        return units.format_bytes(value)
    if isinstance(value, int | float) and key.endswith("_s"):
        return figures.duration(value)
    return "–" if value is None or value == "" else str(value)


def is_records(value: Any) -> bool:
    """Whether a list of the environment is a table: mappings with the same keys, each with one line."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        return False
    return len({tuple(item) for item in value}) == 1 and all(
        is_scalar(part) for item in value for part in item.values()
    )


def is_scalar(value: Any) -> bool:
    """Whether a value of the environment is shown in one line."""
    return not isinstance(value, Mapping | list | tuple)
