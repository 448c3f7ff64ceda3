"""Scenarios from files: read, overridden, checked; every fault is one line of a ``UsageError``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from planebench.model import UsageError
from planebench.planes import Plane, load_plane
from planebench.scenario import document
from planebench.scenario.check import Problem, check, suggest
from planebench.scenario.document import Document, DocumentError, FieldPath
from planebench.scenario.faults import FAULT_KINDS
from planebench.scenario.model import Scenario
from planebench.scenario.values import shorten

_MAX_PROBLEMS = 20
_PATTERN_TAGS = ("constant", "poisson", "burst", "ramp")
_TAGS = {"pattern": _PATTERN_TAGS, "kind": FAULT_KINDS}
"""The key that tells variants of a part apart, and its values."""


def builtin_names() -> list[str]:
    """The scenarios that come with planebench."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _builtins().iterdir() if entry.name.endswith(".yaml")
    )


def builtin_text(name: str) -> str:
    """A built-in scenario's file, comments included.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in builtin_names():
        raise UsageError(f"no built-in scenario {name!r}{suggest(name, builtin_names())}")
    return (_builtins() / f"{name}.yaml").read_text(encoding="utf-8")


def load(source: str | Path, overrides: Mapping[str, str] | None = None) -> Scenario:
    """A scenario by a built-in name or a file's path, with ``overrides``: field path -> YAML value.

    Files that it names are read in, so that the scenario holds everything.

    Raises:
        UsageError: with one line for each fault: file, line, field, what was expected.
    """
    if isinstance(source, str) and source in builtin_names():
        return parse(builtin_text(source), name=source, overrides=overrides)
    path = Path(source)
    if isinstance(source, str) and path.suffix not in (".yaml", ".yml", ".json") and not path.exists():
        raise UsageError(f"{source}: neither a built-in scenario nor a file{suggest(source, builtin_names())}")
    return parse(_read(path, str(path)), name=str(path), overrides=overrides, folder=path.parent)


def parse(
    text: str, *, name: str = "scenario", overrides: Mapping[str, str] | None = None, folder: Path = Path()
) -> Scenario:
    """A scenario from YAML text; ``name`` stands in errors, ``folder`` is where the files that it names are.

    Raises:
        UsageError: as in :func:`load`.
    """
    try:
        parsed = document.parse(text)
    except DocumentError as error:
        raise UsageError(f"{_place(name, error.line)}: {error}") from None
    if not isinstance(parsed.data, dict):
        raise UsageError(f"{name}: expected a mapping with the keys of a scenario, got {shorten(parsed.data)}")
    source = _Source(name, parsed, _override(parsed.data, overrides or {}))
    source.fail_on(_resolve_files(parsed.data, folder))
    try:
        scenario = Scenario.model_validate(parsed.data)
    except ValidationError as error:
        source.fail_on(_problems(error))
        raise AssertionError("a validation error has at least one problem") from error
    source.fail_on(_check_with_plane(scenario))
    return scenario


def plane_of(scenario: Scenario) -> Plane:
    """The plane that a scenario runs on, by its settings and versions. Raises what ``load_plane`` does."""
    return load_plane(scenario.plane, scenario.settings, scenario.versions)


def _check_with_plane(scenario: Scenario) -> Iterator[Problem]:
    try:
        plane = load_plane(scenario.plane)
    except (UsageError, OSError) as error:
        yield Problem(("plane",), str(error))
        return
    if scenario.settings or scenario.versions:
        try:
            plane = plane_of(scenario)
        except UsageError as error:
            yield Problem(("settings" if scenario.settings else "versions",), str(error))
            return
    yield from check(scenario, plane)


def dump(scenario: Scenario) -> str:
    """A scenario as YAML text that :func:`parse` reads back to an equal one."""
    data = scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    return document.render(data)


@dataclass(frozen=True)
class _Source:
    """Where a scenario's values come from, to name in errors."""

    name: str
    document: Document
    overridden: Mapping[FieldPath, str]
    """Path -> the ``--set`` that set it."""

    def fail_on(self, problems: Iterable[Problem]) -> None:
        found = list(problems)
        if not found:
            return
        lines = sorted({self._line(problem) for problem in found})
        texts = [text for _, text in lines[:_MAX_PROBLEMS]]
        if len(lines) > _MAX_PROBLEMS:
            texts.append(f"{self.name}: and {len(lines) - _MAX_PROBLEMS} more faults")
        raise UsageError("\n".join(texts))

    def _line(self, problem: Problem) -> tuple[int, str]:
        for path, flag in self.overridden.items():
            if problem.path[: len(path)] == path:
                return (0, f"{flag}: {format_path(problem.path)}: {problem.message}")
        line = self.document.line(problem.path)
        where = f"{format_path(problem.path)}: " if problem.path else ""
        return (line or 0, f"{_place(self.name, line)}: {where}{problem.message}")


def _builtins() -> Traversable:
    return files("planebench.scenario") / "builtin"


def _place(name: str, line: int | None) -> str:
    return f"{name}:{line}" if line else name


def _read(path: Path, shown: str) -> str:
    try:
        if not path.is_file() and path.exists():
            raise UsageError(f"{shown}: is no file")
        data = path.read_bytes() if path.stat().st_size <= 4 * document.MAX_CHARACTERS else None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{shown}: {reason}") from None
    if data is None:
        raise UsageError(f"{shown}: too large, at most {document.MAX_CHARACTERS:,} characters are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{shown}: is no text (UTF-8)") from None


# --- overrides -----------------------------------------------------------------------------------------------

_STEP = re.compile(r"""\[(?P<index>\d{1,6})\]|\["(?P<quoted>[^"]*)"\]|(?P<dot>\.)?(?P<key>[^.\[\]]+)""")


def parse_path(text: str) -> FieldPath:
    """``nodes[0].labels["a.b/c"]`` as ``("nodes", 0, "labels", "a.b/c")``; ``nodes.0`` works as well.

    Raises:
        ValueError: it is none.
    """
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if not match or (match["key"] and bool(match["dot"]) != bool(steps)):
            raise ValueError("expected a field's path, for instance workload.count or nodes[0].count")
        if match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(match["key"] if match["key"] is not None else match["quoted"])
        position = match.end()
    if not steps:
        raise ValueError("expected a field's path, for instance workload.count")
    return tuple(steps)


def format_path(path: FieldPath) -> str:
    """``nodes[0].labels["a.b/c"]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.search(r"[.\[\]]", step):
            text += f'["{step}"]'
        else:
            text += f".{step}" if text else step
    return text


def _override(data: dict[str, Any], overrides: Mapping[str, str]) -> dict[FieldPath, str]:
    """Change ``data`` in place; gives back which paths were set, by which flag."""
    done: dict[FieldPath, str] = {}
    for key, text in overrides.items():
        flag = f"--set {key}={text}"
        try:
            value = document.parse(text).data if text.strip() else None
            done[_assign(data, parse_path(key), value)] = flag
        except ValueError as error:
            raise UsageError(f"{flag}: {error}") from None
    return done


def _assign(data: dict[str, Any], path: FieldPath, value: Any) -> FieldPath:
    inner: Any = data
    taken: list[str | int] = []
    for position, step in enumerate(path):
        last = position == len(path) - 1
        if isinstance(inner, list):
            if isinstance(step, str) and step.isdecimal() and len(step) <= 6:
                step = int(step)
            if not isinstance(step, int) or step >= len(inner):
                raise ValueError(f"{format_path(tuple(taken))} is a list of {len(inner)}, from [0] on")
            taken.append(step)
            if last:
                inner[step] = value
            else:
                inner = inner[step]
        elif isinstance(inner, dict):
            taken.append(str(step))
            if last:
                inner[str(step)] = value
            else:
                if inner.get(str(step)) is None:
                    inner[str(step)] = {}
                inner = inner[str(step)]
        else:
            raise ValueError(f"{format_path(tuple(taken))} is {shorten(inner)}, which has no fields")  # noqa: TRY004
    return tuple(taken)


# --- files that a scenario names -------------------------------------------------------------------------------


def _resolve_files(data: dict[str, Any], folder: Path) -> Iterator[Problem]:
    """Put each ``file``'s object in its place, and make the plane's path absolute, all in ``data``."""
    plane = data.get("plane")
    if isinstance(plane, str) and "/" in plane:
        data["plane"] = str((folder / plane).absolute())
    workload = data.get("workload")
    kinds = workload.get("objects") if isinstance(workload, dict) else None
    for number, kind in enumerate(kinds if isinstance(kinds, list) else []):
        if not isinstance(kind, dict) or not isinstance(kind.get("file"), str) or kind.get("manifest") is not None:
            continue
        shown = kind["file"]
        try:
            manifest = document.parse(_read(folder / shown, shown)).data
        except DocumentError as error:
            yield Problem(("workload", "objects", number, "file"), f"{_place(shown, error.line)}: {error}")
        except UsageError as error:
            yield Problem(("workload", "objects", number, "file"), str(error))
        else:
            if isinstance(manifest, dict):
                kind["manifest"] = manifest
                del kind["file"]
            else:
                yield Problem(("workload", "objects", number, "file"), f"{shown}: expected one Kubernetes object")


# --- pydantic's errors for people ----------------------------------------------------------------------------


def _problems(error: ValidationError) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        where = detail.get("ctx", {}).get("where")
        path = parse_path(where) if where else _path(detail["loc"])
        if detail["type"].startswith("union_tag") and path[0] == "faults" and isinstance(detail["input"], dict):
            path = (*path, "kind")
        yield Problem(path, _message(detail, path))


def _path(loc: tuple[int | str, ...]) -> FieldPath:
    """The location in the document, without the names that pydantic adds for variants and for keys."""
    path: list[str | int] = []
    for step in loc:
        if step == "[key]":
            continue
        if path and path[-1] == "arrival" and step in _PATTERN_TAGS:
            continue
        if len(path) == 2 and path[0] == "faults" and step in FAULT_KINDS:
            continue
        path.append(step)
    return tuple(path)


def _message(detail: ErrorDetails, path: FieldPath) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    got = f", got {shorten(detail.get('input'))}"
    match kind:
        case "missing":
            example = ": write apiVersion: planebench.dev/v1" if path == ("apiVersion",) else ""
            return f"is required{example}"
        case "extra_forbidden":
            return f"unknown key{suggest(str(path[-1]), _known_keys(detail['loc'][:-1]))}"
        case "value_error":
            return str(context.get("error", detail["msg"]))
        case "int_type" | "int_from_float" | "int_parsing":
            return f"expected a whole number{got}"
        case "float_type":
            return f"expected a number{got}"
        case "finite_number":
            return "expected a finite number"
        case "string_type":
            quote = " (write it in quotes)" if isinstance(detail.get("input"), int | float) else ""
            return f"expected text{got}{quote}"
        case "bool_type":
            return f"expected true or false{got}"
        case "model_type" | "dict_type" | "mapping_type" | "model_attributes_type":
            known = ", ".join(_known_keys(detail["loc"]))
            return f"expected a mapping{f' with the keys {known}' if known else ''}{got}"
        case "tuple_type":
            return f"expected a list{got}"
        case "literal_error" | "enum":
            return f"expected {context['expected']}{got}"
        case "union_tag_invalid":
            key = "" if path[-1] == "kind" else "pattern: "
            return f"{key}expected one of {context['expected_tags']}, got {context['tag']!r}"
        case "union_tag_not_found" if path[-1] == "kind":
            return f"is required, one of {', '.join(FAULT_KINDS)}"
        case "union_tag_not_found":
            example = "{kind: kill, component: etcd}" if path[0] == "faults" else "{pattern: constant, rate: 20/s}"
            return f"expected a mapping, for instance {example}{got}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:,}{got}"
        case "greater_than":
            return f"must be more than {context['gt']:,}{got}"
        case "less_than_equal":
            return f"must be at most {context['le']:,}{got}"
        case "too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"expected a name that matches {context['pattern']}{got}"
        case _:
            return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the model that stands at pydantic's location; none where there is no model."""
    found: list[type[BaseModel]] = [Scenario]
    for step in loc:
        found = [inner for outer in found for inner in _step_into(outer, step)]
    return list(dict.fromkeys(info.alias or name for model in found for name, info in model.model_fields.items()))


def _step_into(model: type[BaseModel], step: str | int) -> Iterator[type[BaseModel]]:
    for name, info in model.model_fields.items():
        if (info.alias or name) == step:
            yield from _models(info.annotation)
            return
    # Otherwise a list's item, a mapping's key or a variant: their models were found with the field around them.
    for key, tags in _TAGS.items():
        if step in tags:
            tag = model.model_fields.get(key)
            if tag and step in get_args(tag.annotation):
                yield model
            return
    yield model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that a field's type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType, tuple) or get_args(annotation):
        for argument in get_args(annotation):
            yield from _models(argument)
