"""Writes the reference part of docs/results.md from the code: ``python tools/results_reference.py``.

The indicators come from ``planebench.slis.catalog``, the fields of result.json from its JSON Schema. Components'
own figures have pages of their own: ``tools/component_reference.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planebench.model import Stage
from planebench.results.document import json_schema
from planebench.slis.catalog import CATALOG, Definition

PAGE = Path(__file__).parent.parent / "docs" / "results.md"
BEGIN = "<!-- reference: written by tools/results_reference.py -->\n"

INDICATORS = """\
*Due* is when the plan wanted a request to be sent; a *receipt* is stamped by this machine's kernel. Both are
on one clock, no time of any server enters; where [workers on other machines](many-machines.md#clocks) send,
*due* is by theirs, and the certificate tells how well that is known. An indicator with *parts* is told as a
whole and, where a run has several, by each of them: `creation.response.pods` is the part of
`creation.response` for pods. A demand on a distribution names a percentile, one on a single value does not.
"""
OWN_FIGURES = """\
From each component's metrics, as growth from the last scrape before the stages to the first one after them. They
are told, not judged: no SLO can demand them. [components](components/README.md) has a page for each component:
what is measured, from which metric, and how to read it.
"""
PREPARATION, FAULTS = "Preparation and harness", "Faults of components"
"""Groups of indicators that belong to no stage."""
UNITS = {
    "s": "seconds",
    "/s": "per second",
    "share": "share",
    "bytes": "bytes",
    "count": "number",
    "ratio": "ratio",
}
SECTIONS = {
    "Result": "The document",
    "SLOResult": "slos[]",
    "Finding": "validity[]",
    "StageResult": "stages[]",
    "Row": "stages[].rows[], preparation[], components[].metrics[], components[].latency",
    "Component": "components[]",
    "Levels": "components[].over_time[]",
    "Limit": "components[].limits[]",
    "Unseen": "unseen[]",
    "Counts": "counts",
    "PhaseResult": "phases[]",
    "FaultResult": "faults[]",
    "FaultFigure": "faults[].figures[]",
    "ErrorCount": "errors[]",
    "StuckCount": "stuck[]",
    "Harness": "harness",
    "Lateness": "harness.lateness[]",
    "Distribution": "distribution",
    "Evenness": "distribution.evenness[]",
    "ConstraintViolation": "distribution.violations[]",
    "NodePlacement": "distribution.per_node[]",
    "Cost": "cost",
    "RoleCost": "cost.roles[]",
    "UserCost": "cost.users[]",
    "Traffic": "cost.traffic[]",
    "Trace": "trace",
    "Greatest": "trace.greatest[]",
    "StepTime": "trace.steps[]",
    "Way": "trace.ways[]",
    "TracePart": "trace.ways[].parts[]",
    "ProfileResult": "profiles[]",
    "PackageCost": "profiles[].packages[]",
}


def page() -> str:
    """The page with a new reference after its hand-written part."""
    head, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return head + BEGIN + "\n" + "\n".join((*_indicators(), *_components(), *_document()))


# --- indicators ----------------------------------------------------------------------------------------------


def _indicators() -> Iterator[str]:
    yield "## Indicators\n"
    yield INDICATORS
    groups: dict[str, list[Definition]] = {
        heading: [] for heading in (PREPARATION, *(stage.capitalize() for stage in Stage), FAULTS)
    }
    for entry in CATALOG.values():
        other = FAULTS if entry.id.startswith("faults.") else PREPARATION
        groups[entry.stage.capitalize() if entry.stage else other].append(entry)
    for heading, entries in groups.items():
        yield f"### {heading}\n"
        yield "| id | unit | definition | parts | from |\n|-|-|-|-|-|"
        for entry in entries:
            yield (
                f"| `{entry.id}` | {UNITS[entry.unit]}{', single' if entry.single else ''} "
                f"| {_cell(entry.definition)} | {_parts(entry)} | {_source(entry.source)} |"
            )
        yield ""


def _parts(entry: Definition) -> str:
    return (entry.parts or "none") + (", no whole" if entry.only_parts else "")


def _source(source: str) -> str:
    return ", ".join(f"`{name}`" for name in source.split(", "))


# --- components ----------------------------------------------------------------------------------------------


def _components() -> Iterator[str]:
    yield "## Components' own figures\n"
    yield OWN_FIGURES


# --- the document --------------------------------------------------------------------------------------------


def _document() -> Iterator[str]:
    schema = json_schema()
    models = {"Result": schema, **{k: model for k, model in schema["$defs"].items() if "properties" in model}}
    if missing := models.keys() ^ SECTIONS.keys():
        raise SystemExit(f"SECTIONS and the schema differ: {sorted(missing)}")
    yield "## Fields of result.json\n"
    for name, heading in SECTIONS.items():
        yield f"### {heading}\n"
        yield f"{models[name]['description']}\n"
        yield "| field | type | meaning |\n|-|-|-|"
        for key, field in models[name]["properties"].items():
            meaning = _cell(field["description"]).replace("``", "`").replace("None", "null")
            yield f"| `{key}` | {_type(field, schema)} | {meaning} |"
        yield ""


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    variants = field.get("anyOf", [field])
    names = [_one_type(variant, schema) for variant in variants]
    return " or ".join(dict.fromkeys(names))


def _one_type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in field:
        return _one_type(schema["$defs"][field["$ref"].rpartition("/")[2]], schema)
    match field.get("type"):
        case "array":
            return f"list of {_one_type(field['items'], schema)}"
        case "string":
            return "text"
        case "integer":
            return "whole number"
        case "boolean":
            return "true or false"
        case kind:
            return str(kind)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
