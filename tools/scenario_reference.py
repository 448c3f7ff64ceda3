"""Writes the reference part of docs/scenarios.md from the JSON Schema: ``python tools/scenario_reference.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planebench.scenario import json_schema

PAGE = Path(__file__).parent.parent / "docs" / "scenarios.md"
BEGIN = "<!-- reference: written by tools/scenario_reference.py -->\n"

SECTIONS = {
    "Scenario": "The document",
    "NodePool": "nodes[]",
    "Taint": "nodes[].taints[]",
    "Workload": "workload",
    "ObjectKind": "workload.objects[]",
    "Lifecycle": "lifecycle",
    "Creation": "lifecycle.creation",
    "Constant": "lifecycle.creation.arrival, pattern constant",
    "Poisson": "lifecycle.creation.arrival, pattern poisson",
    "Burst": "lifecycle.creation.arrival, pattern burst",
    "Ramp": "lifecycle.creation.arrival, pattern ramp",
    "ChangeLoad": "lifecycle.management.CHANGE",
    "Monitoring": "lifecycle.monitoring",
    "Cleanup": "lifecycle.cleanup",
    "Limits": "limits",
    "ClientLimits": "limits.COMPONENT",
    "ComponentOptions": "components.COMPONENT",
    "NodeSilence": "faults[], kind node-silence",
    "NodeFlapping": "faults[], kind node-flapping",
    "SlowHeartbeats": "faults[], kind slow-heartbeats",
    "Drain": "faults[], kind drain",
    "Kill": "faults[], kind kill",
    "Pause": "faults[], kind pause",
    "Restart": "faults[], kind restart",
    "Latency": "faults[], kind latency",
    "Bandwidth": "faults[], kind bandwidth",
    "ConnectionLoss": "faults[], kind connection-loss",
    "EtcdFull": "faults[], kind etcd-full",
    "MoveLeader": "faults[], kind move-leader",
    "Timeouts": "timeouts",
    "SLO": "slos[]",
}


def page() -> str:
    """The page with a new reference after its hand-written part."""
    head, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return head + BEGIN + "\n" + "\n".join(_reference())


def _reference() -> Iterator[str]:
    schema = json_schema()
    models = {"Scenario": schema, **schema["$defs"]}
    if missing := models.keys() ^ SECTIONS.keys():
        raise SystemExit(f"SECTIONS and the schema differ: {sorted(missing)}")
    for name, heading in SECTIONS.items():
        model = models[name]
        yield f"### {heading}\n"
        yield f"{model['description']}\n"
        yield "| key | value | default | meaning |\n|-|-|-|-|"
        for key, field in model["properties"].items():
            default = "required" if key in model.get("required", ()) else _default(field)
            yield f"| `{key}` | {_value(field)} | {default} | {field['description']} |"
        yield ""


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default is None or default in ({}, [], ""):
        return "none"
    if "$ref" in field or "oneOf" in field:
        return "see there"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _value(field: dict[str, Any]) -> str:
    variants = [variant for variant in field.get("anyOf", [field]) if variant.get("type") != "null"]
    text = "; ".join(dict.fromkeys(_type(variant) for variant in variants))
    examples = field.get("examples") or [
        example for variant in variants for example in variant.get("examples", [])
    ]
    return text + (": " + ", ".join(f"`{example}`" for example in examples) if examples else "")


def _type(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field or "oneOf" in field:
        return "mapping"
    kinds = field.get("type", "any")
    kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
    match kind:
        case "array":
            return f"list of {_type(field['items'])}"
        case "object":
            return "mapping"
        case "string":
            return "text"
        case "integer" | "number":
            low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
            above = "above " if "exclusiveMinimum" in field else ""
            upto = "" if high is None else f" to {high:,}"
            bounds = "" if low is None else f", {above or ('' if upto else 'from ')}{low:,}{upto}"
            return ("whole number" if kind == "integer" else "number") + bounds
        case _:
            return kind.replace("string", "text").replace("integer", "whole number")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
