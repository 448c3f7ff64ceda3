"""YAML text as plain data that remembers its lines; every fault of the text is a :class:`DocumentError`.

The YAML 1.2 core schema (``on``, ``1:30`` and dates are text), one document, no aliases, tags or duplicate keys: a
scenario says what it means where it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 1 << 18
"""256 KiB: the largest scenarios take a few; Kubernetes itself keeps no object above 1.5 MiB."""
MAX_DEPTH = 60

FieldPath = tuple[str | int, ...]
"""Where a value stands: keys of mappings and positions in lists, from the top."""

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CORE_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq")}


class DocumentError(ValueError):
    """Text that is no such document; ``line`` counts from 1."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data, and the line on which each value, by its path, begins."""

    data: Any
    lines: dict[FieldPath, int] = field(default_factory=dict)

    def line(self, path: FieldPath) -> int | None:
        """The line of the value, or of the innermost thing around it that is there."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path)


class _Loader(yaml.SafeLoader):
    """Every plain scalar stays text with its style: what it means is decided here, by the core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as in PyYAML)


def parse(text: str) -> Document:
    """The document of a YAML text.

    Raises:
        DocumentError: it is none.
    """
    if len(text) > MAX_CHARACTERS:
        raise DocumentError(f"too large: {len(text):,} characters, at most {MAX_CHARACTERS:,} are read")
    try:
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                raise DocumentError(f"aliases (*{event.anchor}) are not read: write the value out", _line(event))
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise DocumentError(f"nested more than {MAX_DEPTH} levels deep", _line(event))
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.problem, error.context) if part)
        raise DocumentError(f"no valid YAML: {what}", mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:  # control characters
        raise DocumentError(f"no valid YAML: {' '.join(str(error).split())}") from None
    if not nodes:
        raise DocumentError("is empty")
    if len(nodes) > 1:
        raise DocumentError("holds several YAML documents, expected one", _line(nodes[1]))
    lines: dict[FieldPath, int] = {}
    return Document(_plain(nodes[0], (), lines), lines)


def _line(part: yaml.Event | yaml.Node) -> int:
    return part.start_mark.line + 1 if part.start_mark else 1


def _plain(node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int]) -> Any:
    lines.setdefault(path, _line(node))
    if isinstance(node, yaml.SequenceNode):
        _check_tag(node)
        return [_plain(item, (*path, number), lines) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        _check_tag(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _text(key_node)
            if key in result:
                raise DocumentError(f"the key {key!r} stands twice", _line(key_node))
            lines[*path, key] = _line(key_node)
            result[key] = _plain(value_node, (*path, key), lines)
        return result
    text = _text(node)
    return _scalar(text, _line(node)) if node.style is None else text  # type: ignore[attr-defined]


def _text(node: yaml.Node) -> str:
    _check_tag(node)
    if not isinstance(node, yaml.ScalarNode):
        raise DocumentError("a key must be text", _line(node))
    text: str = node.value
    if _SURROGATE.search(text):
        raise DocumentError("half of a surrogate pair is no character", _line(node))
    return text


def _check_tag(node: yaml.Node) -> None:
    if node.tag not in _CORE_TAGS:
        raise DocumentError(f"tags are not read: {node.tag}", _line(node))


def _scalar(text: str, line: int) -> Any:
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _SPECIAL.fullmatch(text) or (_FLOAT.fullmatch(text) and abs(float(text)) == float("inf")):
        raise DocumentError(f"expected a finite number, got {text[:60]}", line)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes all text that :func:`parse` would take for something else."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        ambiguous = not isinstance(_scalar(text, 0), str)
    except DocumentError:
        ambiguous = True
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if ambiguous else None)


_Dumper.add_representer(str, _represent_text)


def render(data: Any) -> str:
    """Plain data as YAML text that :func:`parse` reads back to the same data."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text
