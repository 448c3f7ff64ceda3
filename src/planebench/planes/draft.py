"""A first descriptor of a plane, from a CustomResourceDefinition, the name of a controller's binary, and what a
trial has shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from planebench.model import INDEX_LABEL, UsageError

_Schema = Mapping[str, Any]
Status = Mapping[str, Any]
"""What an object's ``status`` holds."""

ARGUMENTS: Final = (
    "--kubeconfig=${kubeconfig}",
    "--health-probe-bind-address=127.0.0.1:${health_port}",
    "--metrics-bind-address=127.0.0.1:${metrics_port}",
    "--metrics-secure=false",
)
"""A kubebuilder project's."""
_DEEPEST: Final = 20
_PHASE_FIELDS: Final = ("phase", "state", "status")
_CONDITIONS: Final = "conditions"
_FAILURES: Final = re.compile(r"fail|error|crash|degraded|invalid|lost", re.IGNORECASE)
_UP: Final = ("Running", "Ready", "Active", "Available", "Bound", "Succeeded", "Completed", "Complete")
"""Phases that mean that an object does what it was created for, the surest first."""
_CONDITION_IN_PATH: Final = re.compile(
    r"""^\.status\.conditions\[\?\(@\.type\s*==\s*["']([^"']+)["']\)\]\.status$"""
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a first descriptor is made of."""

    files: Mapping[str, str]
    """File -> content, ``plane.yaml`` among them."""
    guesses: tuple[str, ...]
    """What was guessed and is to be looked at, in a line each."""


@dataclass(frozen=True, slots=True)
class _Type:
    """The kind that a definition defines, in its stored version."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    schema: _Schema
    columns: tuple[Mapping[str, Any], ...]


def draft(
    crd: Path,
    controller: Path,
    *,
    sample: Path | None = None,
    arguments: Sequence[str] = (),
    seen: Sequence[Status] = (),
) -> Draft:
    """A first descriptor for the kind that a file defines and the controller that works on it.

    Args:
        sample: a file with an object of the kind; None: one is made up, as the schema wants it.
        arguments: the controller's; empty: :data:`ARGUMENTS`.
        seen: each status that an object had in a trial, in order; empty: milestones are those of the schema.

    Raises UsageError that names the file: it cannot be read, or holds no CustomResourceDefinition with a schema,
    or no object of its kind.
    """
    definition = _definition(crd)
    kind = _type(crd, definition)
    guesses: list[str] = []
    milestones = list(_seen(kind, seen, guesses) if seen else _milestones(kind, guesses))
    up = _goal(milestones, seen[-1] if seen else None, guesses)
    manifest = _sample(kind) if sample is None else _given(sample, kind)
    name = kind.plural
    component = controller.name
    resource = {
        key: value
        for key, value in {
            "group": kind.group,
            "version": kind.version,
            "plural": kind.plural,
            "kind": kind.kind,
            "namespaced": kind.namespaced,
        }.items()
        if not (key == "namespaced" and value)
    }
    workload = kind.kind.lower()
    ways = "how it tells that it is ready, and where its metrics are, are those of a kubebuilder project"
    guesses.append(f"processes.{component}: {ways if arguments else f'its flags, {ways}'}")
    guesses.append(f"rights.yaml: {component} may do everything; give it the rights of its own project")
    plane = {
        "name": workload,
        "description": f"{kind.kind} of {kind.group}, with its controller {component}.",
        "binaries": {component: str(controller.absolute())},
        "install": [{"file": "crd.yaml"}, {"file": "rights.yaml"}],
        "processes": [
            {
                "name": component,
                "component": component,
                "user": {"name": _user(component)},
                "ports": ["health", "metrics"],
                "argv": list(arguments or ARGUMENTS),
                "ready": {"path": "/readyz", "port": "health", "tls": False},
                "metrics": {"port": "metrics", "tls": False},
            }
        ],
        "watches": {name: {"resource": resource, "milestones": milestones}},
        "workloads": {
            workload: {
                "description": f"{kind.kind} objects"
                + (" as the schema wants them at least" if sample is None else ""),
                "resource": resource,
                "manifest": f"{workload}.yaml",
                "tracked": name,
                "watches": [name],
                "bound": {"watch": name, "milestone": milestones[0]["name"]},
                "up": {"watch": name, "milestone": up},
            }
        },
        "unfaithful": ["The controller runs once, with all rights, as a local process."],
    }
    if sample is None:
        guesses.append(
            f"{workload}.yaml: its spec has what the schema requires, with values made up where it has none"
        )
    return Draft(
        files={
            "plane.yaml": _HEAD + _yaml(plane),
            "crd.yaml": _yaml({key: value for key, value in definition.items() if key != "status"}),
            "rights.yaml": _yaml(_rights(component)),
            f"{workload}.yaml": _yaml(manifest),
        },
        guesses=tuple(guesses),
    )


_HEAD: Final = "# A first descriptor: prove it with `planebench plane check`; docs/planes.md has all it may say.\n"


def value_of(schema: _Schema, depth: int = 0) -> Any:
    """A value that an OpenAPI schema accepts, as small as it may be: required fields only, each by its default,
    its example, the first of its enum, or its bounds."""
    if "default" in schema:
        return schema["default"]
    if "example" in schema:
        return schema["example"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    if depth > _DEEPEST:
        return None
    match schema.get("type"):
        case "object":
            return _object(schema, depth)
        case "array":
            items = schema.get("items") or {}
            return [value_of(items, depth + 1) for _ in range(int(schema.get("minItems") or 0))]
        case "integer":
            return int(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return False
        case "string":
            return _text(schema)
    for key in ("allOf", "oneOf", "anyOf"):
        if schema.get(key):
            return value_of(schema[key][0], depth + 1)
    return {}


def _object(schema: _Schema, depth: int) -> dict[str, Any]:
    fields: Mapping[str, _Schema] = schema.get("properties") or {}
    required = set(schema.get("required") or ())
    for key in ("anyOf", "oneOf"):  # the first alternative may want more
        if schema.get(key):
            required |= set(schema[key][0].get("required") or ())
    return {name: value_of(fields.get(name) or {}, depth + 1) for name in sorted(required)}


def _number(schema: _Schema) -> float:
    number = float(schema.get("minimum") or 0)
    step = float(schema.get("multipleOf") or 1)
    if schema.get("exclusiveMinimum") and number == schema.get("minimum"):
        number += step
    if "minimum" not in schema and "maximum" in schema:
        number = min(1.0, float(schema["maximum"]))
    elif "minimum" not in schema:
        number = step
    return number


_FORMATS: Final = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "duration": "1m",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com",
    "email": "user@example.com",
    "hostname": "example.com",
    "byte": "eA==",
}


def _text(schema: _Schema) -> str:
    text: str = _FORMATS.get(schema.get("format") or "", "example")
    text = text.ljust(int(schema.get("minLength") or 0), "x")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text


# --- the definition ---


def _definition(crd: Path) -> Mapping[str, Any]:
    try:
        documents = list(yaml.safe_load_all(crd.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{crd}: cannot be read: {' '.join(str(error).split())}") from None
    found = [
        item for item in documents if isinstance(item, dict) and item.get("kind") == "CustomResourceDefinition"
    ]
    if len(found) != 1:
        raise UsageError(f"{crd}: must hold one CustomResourceDefinition, not {len(found)}")
    return found[0]


def _type(crd: Path, definition: Mapping[str, Any]) -> _Type:
    try:
        spec = definition["spec"]
        version = next(item for item in spec["versions"] if item.get("storage"))
        return _Type(
            group=spec["group"],
            version=version["name"],
            kind=spec["names"]["kind"],
            plural=spec["names"]["plural"],
            namespaced=spec["scope"] == "Namespaced",
            schema=version["schema"]["openAPIV3Schema"],
            columns=tuple(version.get("additionalPrinterColumns") or ()),
        )
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        missing = "a stored version" if isinstance(error, StopIteration) else str(error)
        raise UsageError(
            f"{crd}: spec: is no definition of apiextensions.k8s.io/v1 with a schema; it lacks {missing}"
        ) from None


def _milestones(kind: _Type, guesses: list[str]) -> Iterator[dict[str, Any]]:
    """The first sight; then the phases of an enum in its order, or the conditions of the printed columns."""
    yield {"name": "created"}
    status: Mapping[str, _Schema] = ((kind.schema.get("properties") or {}).get("status") or {}).get(
        "properties"
    ) or {}
    for field in _PHASE_FIELDS:
        phases = [phase for phase in (status.get(field) or {}).get("enum") or () if phase]
        if phases:
            guesses.append(f"watches.{kind.plural}: the phases are those of status.{field}'s enum, in its order")
            yield from (_phase(field, str(phase)) for phase in phases)
            return
    conditions = [
        found[1] for column in kind.columns if (found := _CONDITION_IN_PATH.match(str(column.get("jsonPath", ""))))
    ]
    if conditions:
        guesses.append(f"watches.{kind.plural}: the milestones are the conditions that kubectl prints")
    elif _CONDITIONS in status:
        conditions = ["Ready"]
        guesses.append(f"watches.{kind.plural}: that there is a condition Ready is a guess: the schema names none")
    yield from (_condition(condition) for condition in dict.fromkeys(conditions))
    if conditions:
        return
    for field in _PHASE_FIELDS:
        if field in status:
            guesses.append(f"watches.{kind.plural}: status.{field} has no enum; any value of it counts as up")
            yield {"name": "up", "field": f"status.{field}"}
            return
    if status:
        guesses.append(
            f"watches.{kind.plural}: the status has neither phase nor conditions; any status counts as up"
        )
        yield {"name": "up", "field": f"status.{next(iter(status))}"}


def _phase(field: str, phase: str) -> dict[str, Any]:
    failure = {"failure": True} if _FAILURES.search(phase) else {}
    return {"name": phase.lower(), "field": f"status.{field}", "equals": phase, **failure}


def _condition(condition: str) -> dict[str, Any]:
    failure = {"failure": True} if _FAILURES.search(condition) else {}
    return {
        "name": condition.lower(),
        "field": f"status.conditions[{condition}].status",
        "equals": "True",
        **failure,
    }


def _seen(kind: _Type, seen: Sequence[Status], guesses: list[str]) -> Iterator[dict[str, Any]]:
    """The first sight; then phases and conditions in the order in which a trial came to them, and the failures
    that the schema names beside."""
    where = f"watches.{kind.plural}"
    found: dict[str, dict[str, Any]] = {}
    for status in seen:
        for milestone in _reached(status):
            found.setdefault(milestone["name"], milestone)
    first = next((field for status in seen for field in status if field != "observedGeneration"), "")
    if not found and first:
        guesses.append(f"{where}: the trial saw neither phase nor conditions; status.{first} counts as up")
        found["up"] = {"name": "up", "field": f"status.{first}"}
    named = [milestone for milestone in _milestones(kind, []) if milestone.get("equals")]
    unseen = [milestone for milestone in named if milestone["name"] not in found]
    failures = [milestone for milestone in unseen if milestone.get("failure")]
    if failures:
        told = ", ".join(milestone["name"] for milestone in failures)
        guesses.append(f"{where}: the schema names as failures, and the trial has not seen: {told}")
    if left_out := ", ".join(milestone["name"] for milestone in unseen if not milestone.get("failure")):
        guesses.append(f"{where}: the schema has more, left out as the trial has not seen them: {left_out}")
    yield {"name": "created"}
    yield from found.values()
    yield from failures


def _reached(status: Status) -> Iterator[dict[str, Any]]:
    """The milestones that a status says to have reached."""
    phases = ((field, status.get(field)) for field in _PHASE_FIELDS)
    phase = next(((field, value) for field, value in phases if value and isinstance(value, str)), None)
    if phase is not None:
        yield _phase(*phase)
    conditions = status.get(_CONDITIONS)
    for item in conditions if isinstance(conditions, list) else ():
        if isinstance(item, dict) and item.get("type") and item.get("status") == "True":
            yield _condition(str(item["type"]))


def _goal(milestones: list[dict[str, Any]], last: Status | None, guesses: list[str]) -> str:
    """What means that an object is up: of a trial, what it ended with."""
    names = [milestone["name"] for milestone in milestones if not milestone.get("failure")]
    if last is not None:
        ended = list(_reached(last))
        if failed := [milestone["name"] for milestone in ended if milestone.get("failure")]:
            guesses.append(f"the trial's object ended as {failed[0]}: give one that works with --sample")
        held = {milestone["name"] for milestone in ended}
        names = [name for name in names if name in held] or names
    known = [phase.lower() for phase in _UP if phase.lower() in names]
    goal: str = known[0] if known else names[-1]
    guesses.append(f"workloads: an object is taken to be up when it is {goal}")
    return goal


# --- the objects ---


def _sample(kind: _Type) -> dict[str, Any]:
    found = {"apiVersion": f"{kind.group}/{kind.version}", "kind": kind.kind, "metadata": _named(kind, {})}
    fields = kind.schema.get("properties") or {}
    wanted = {"spec", *(kind.schema.get("required") or ())} - {"apiVersion", "kind", "metadata", "status"}
    return found | {name: value_of(fields[name], 1) for name in sorted(wanted) if name in fields}


def _given(file: Path, kind: _Type) -> dict[str, Any]:
    """A sample of one's own, under the names of a workload's objects."""
    try:
        item = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{file}: cannot be read: {' '.join(str(error).split())}") from None
    wanted = f"{kind.group}/{kind.version}", kind.kind
    if not isinstance(item, dict) or (item.get("apiVersion"), item.get("kind")) != wanted:
        raise UsageError(f"{file}: must hold one object, a {kind.kind} of {wanted[0]}")
    metadata = item.get("metadata")
    return {**item, "metadata": _named(kind, metadata if isinstance(metadata, dict) else {})}


def _named(kind: _Type, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with the placeholders of names, namespaces and numbers."""
    namespace = {"namespace": "__NAMESPACE__"} if kind.namespaced else {}
    labels = {**(metadata.get("labels") or {}), INDEX_LABEL: "__INDEX__"}
    kept = {key: value for key, value in metadata.items() if key != "namespace"}
    return {**kept, "name": "__NAME__", **namespace, "labels": labels}


def _user(component: str) -> str:
    return f"planebench:{component}"


def _rights(component: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"planebench-{component.lower().replace('_', '-')}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": _user(component)}],
    }


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=115)
