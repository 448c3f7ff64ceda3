"""Milestones as a pure reducer: watch events in, milestones out.

The rules of a :class:`~planebench.model.WatchSpec` are compiled to a msgspec type that has the needed fields and
no others; every leaf stays raw JSON, so that decoding costs microseconds and no value can be of a wrong type.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import msgspec

from planebench.model import MilestoneRule, UsageError, WatchSpec

ADDED: Final = "added"
DELETING: Final = "deleting"
DELETED: Final = "deleted"
REVISION_PREFIX: Final = "revision:"

INDEX_LABEL: Final = "planebench.dev/index"

_RECENT_REVISIONS: Final = 32
"""How many revisions' counts are kept for progress; a canary makes new ones for ever."""

_EMPTY: Final = frozenset((b"", b'""', b"null", b"{}", b"[]"))
_TOKEN: Final = re.compile(r'\.?([^.\[\]"]+)|\["([^"\[\]]+)"\]|\[([^"\[\]]+)\]')

Leaf = Callable[[Any], bytes]
"""Reads a field of a decoded object as raw JSON; empty where the object has none."""


# --- field paths -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """A step into a list: the item whose ``type`` is this."""

    type: str


Step = str | Item


def parse_path(path: str) -> tuple[Step, ...]:
    """The steps of a field path such as ``status.conditions[Ready].status`` or ``metadata.labels["a.b/c"]``.

    Raises:
        UsageError: the text is no field path.
    """
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None or (position == 0 and path.startswith((".", "["))):
            raise UsageError(f"no field path: {path!r} (like status.conditions[Ready].status)")
        plain, quoted, item = match.groups()
        if item is not None:
            if steps and isinstance(steps[-1], Item):
                raise UsageError(f"no field path: {path!r} (a list within a list)")
            steps.append(Item(item))
        else:
            steps.append(plain or quoted)
        position = match.end()
    if not steps:
        raise UsageError("an empty field path")
    return tuple(steps)


@dataclass(slots=True)
class _Node:
    """A field of the partial type: a leaf, a map of fields, or a list of items with fields."""

    fields: dict[str, _Node] = field(default_factory=dict)
    items: _Node | None = None

    def add(self, steps: Sequence[Step], path: str) -> None:
        node = self
        for step in steps:
            if isinstance(step, Item):
                if node.fields:
                    raise UsageError(
                        f"field path {path!r}: another path reads the same field as a map, not a list"
                    )
                node.items = node.items or _Node()
                node = node.items
            else:
                if node.items is not None:
                    raise UsageError(
                        f"field path {path!r}: another path reads the same field as a list, not a map"
                    )
                node = node.fields.setdefault(step, _Node())


class ObjectType:
    """The partial type of an object that has the given field paths, and the readers of its fields."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._root = _Node()
        self._steps = {path: parse_path(path) for path in paths if path}
        for path, steps in self._steps.items():
            self._root.add(steps, path)
        self.type: type[msgspec.Struct] = _struct(self._root, "Object")

    def leaf(self, path: str) -> Leaf:
        """A reader of one of the paths, from an instance of :attr:`type`."""
        if not path:
            return lambda _: b""
        return _leaf(self._root, self._steps[path])


def _struct(node: _Node, name: str, *, item: bool = False) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    if item:
        fields.append(("type", str, ""))
    for number, (key, child) in enumerate(node.fields.items()):
        attribute = f"f{number}"
        names[attribute] = key
        if child.items is not None:
            fields.append((attribute, list[_struct(child.items, "Item", item=True)] | None, ()))  # type: ignore[misc]
        elif child.fields:
            fields.append((attribute, _struct(child, "Map") | None, None))
        else:
            fields.append((attribute, msgspec.Raw, msgspec.Raw()))
    return msgspec.defstruct(name, fields, rename=names, gc=False, frozen=True)


def _leaf(node: _Node, steps: Sequence[Step]) -> Leaf:
    attributes: list[str] = []
    for number, step in enumerate(steps):
        if isinstance(step, Item):
            inner = _leaf(node.items or _Node(), steps[number + 1 :])
            return _item_leaf(attrgetter(".".join(attributes)), step.type, inner)
        attributes.append(f"f{list(node.fields).index(step)}")
        node = node.fields[step]
    if not attributes:
        return lambda _: b"true"  # a list item as such: its presence
    get = attrgetter(".".join(attributes))
    if node.fields or node.items is not None:  # read deeper by another path: here only its presence counts
        return lambda obj: b"true" if _get(get, obj) else b""

    def leaf(obj: Any) -> bytes:
        try:
            return bytes(get(obj))
        except AttributeError:  # a map on the way is missing
            return b""

    return leaf


def _get(get: Callable[[Any], Any], obj: Any) -> Any:
    try:
        return get(obj)
    except AttributeError:
        return None


def _item_leaf(get: Callable[[Any], Any], wanted: str, inner: Leaf) -> Leaf:
    def leaf(obj: Any) -> bytes:
        for item in _get(get, obj) or ():
            if item.type == wanted:
                return inner(item)
        return b""

    return leaf


def text(raw: bytes) -> str:
    """A raw JSON scalar as text; empty for what is missing or null."""
    if raw in _EMPTY:
        return ""
    if raw[:1] == b'"':
        return str(msgspec.json.decode(raw)) if b"\\" in raw else raw[1:-1].decode()
    return raw.decode()


def _compile(rule: MilestoneRule, types: ObjectType) -> Callable[[Any], bool]:
    if not rule.field:
        return lambda _: True
    leaf = types.leaf(rule.field)
    values = (*((rule.equals,) if rule.equals is not None else ()), *rule.one_of)
    if not values:
        return lambda obj: leaf(obj) not in _EMPTY
    accepted = frozenset(values)
    plain = frozenset(value.encode() for value in values) | {msgspec.json.encode(value) for value in values}

    def holds(obj: Any) -> bool:
        raw = leaf(obj)
        return raw in plain or (b"\\" in raw and text(raw) in accepted)

    return holds


# --- the reducer -------------------------------------------------------------------------------------------


class Tracked:
    """What is remembered of an object that exists."""

    __slots__ = ("holding", "name", "namespace", "node", "number", "owner", "reached", "revision", "version")

    def __init__(self, number: int, namespace: str, name: str) -> None:
        self.number = number
        self.namespace = namespace
        self.name = name
        self.owner = b""
        self.node = b""
        self.revision = b""
        self.version = b""
        self.reached = 0
        """Bits of the milestones that it has reached."""
        self.holding = 0
        """Bits of the rules that hold now."""


@dataclass(frozen=True, slots=True)
class Description:
    """What an object is; written once, and again when its owner or node changes."""

    number: int
    namespace: str
    name: str
    uid: str
    owner: str
    node: str
    index: int


class Change:
    """What one event changed; the reducer's only one, overwritten by its next event."""

    __slots__ = ("description", "milestones", "number", "version")

    def __init__(self) -> None:
        self.number = -1
        """The object's number; -1 for a bookmark."""
        self.version = b""
        """The object's resourceVersion, raw JSON."""
        self.milestones: list[str] = []
        """Milestones reached for the first time."""
        self.description: Description | None = None
        """The object's description where it is new or has changed."""


class Reducer:
    """Follows the objects of one watch, keyed by UID.

    Args:
        spec: what to note.
        numbers: hands out the objects' numbers, unique in the run.

    Raises:
        UsageError: a field path of the spec is malformed.
    """

    def __init__(self, spec: WatchSpec, numbers: Iterator[int] | None = None) -> None:
        self.spec = spec
        self.alive: dict[bytes, Tracked] = {}
        index_path = f'metadata.labels["{INDEX_LABEL}"]'
        meta = {
            key: f"metadata.{key}" for key in ("uid", "namespace", "name", "resourceVersion", "deletionTimestamp")
        }
        types = ObjectType(
            dict.fromkeys(
                [
                    *meta.values(),
                    index_path,
                    *(rule.field for rule in spec.milestones),
                    spec.owner_field,
                    spec.node_field,
                    spec.revision_field,
                ]
            )
        )
        self.object_type = types.type
        self._uid = types.leaf(meta["uid"])
        self._namespace = types.leaf(meta["namespace"])
        self._name = types.leaf(meta["name"])
        self._version = types.leaf(meta["resourceVersion"])
        self._deletion = types.leaf(meta["deletionTimestamp"])
        self._index = types.leaf(index_path)
        self._owner = types.leaf(spec.owner_field)
        self._node = types.leaf(spec.node_field)
        self._revision = types.leaf(spec.revision_field)
        self._follows = bool(spec.owner_field or spec.node_field)
        self._numbers = itertools.count() if numbers is None else numbers
        self._rules = tuple(
            (1 << bit, rule.name, _compile(rule, types))
            for bit, rule in enumerate(spec.milestones)
            if rule.name not in (ADDED, DELETING, DELETED)
        )
        self._deleting = 1 << len(spec.milestones)
        self._holding = dict.fromkeys((name for _, name, _ in self._rules), 0)
        self._reached = dict.fromkeys((ADDED, *self._holding, DELETING, DELETED), 0)
        self._revisions: dict[str, int] = {}
        self._change = Change()

    @property
    def reached(self) -> dict[str, int]:
        """milestone -> how many objects have reached it, by events; recent revisions included."""
        return {**self._reached, **self._revisions}

    @property
    def holding(self) -> dict[str, int]:
        """milestone -> how many of the existing objects its rule holds for now."""
        return {ADDED: len(self.alive), **self._holding}

    def listed(self, obj: Any) -> Change:
        """An object of the initial LIST: what already holds was reached before, at an unknown time."""
        change = self.added(obj)
        tracked = self.alive[self._uid(obj)]
        for name in change.milestones:
            self._uncount(name)
        tracked.reached = tracked.holding | (self._deleting if self._deletion(obj) not in _EMPTY else 0)
        change.milestones = []
        return change

    def added(self, obj: Any) -> Change:
        """An object that was not there before (one that was is taken as modified)."""
        uid = self._uid(obj)
        tracked = self.alive.get(uid)
        if tracked is not None:
            return self._update(uid, tracked, obj)
        tracked = Tracked(next(self._numbers), text(self._namespace(obj)), text(self._name(obj)))
        self.alive[uid] = tracked
        change = self._update(uid, tracked, obj)
        change.description = self._describe(uid, tracked, obj)
        change.milestones.insert(0, ADDED)
        self._reached[ADDED] += 1
        return change

    def modified(self, obj: Any) -> Change:
        """An object changed (one that is new is taken as added)."""
        uid = self._uid(obj)
        tracked = self.alive.get(uid)
        return self.added(obj) if tracked is None else self._update(uid, tracked, obj)

    def deleted(self, obj: Any) -> Change:
        """An object is gone; its last state may hold milestones that no event showed before."""
        uid = self._uid(obj)
        tracked = self.alive.get(uid)
        if tracked is None:
            change = self.added(obj)
            tracked = self.alive[uid]
        else:
            change = self._update(uid, tracked, obj)
        self._forget(uid, tracked)
        change.milestones.append(DELETED)
        return change

    def vanished(self, uid: bytes) -> Change:
        """An object that a new LIST no longer has: deleted while nobody watched."""
        tracked = self.alive[uid]
        change = self._change
        change.number, change.version = tracked.number, tracked.version
        change.description = None
        change.milestones = [DELETED]
        self._forget(uid, tracked)
        return change

    def uid(self, obj: Any) -> bytes:
        """An object's UID, the key of :attr:`alive`, raw JSON."""
        return self._uid(obj)

    def version(self, obj: Any) -> bytes:
        """An object's resourceVersion, raw JSON."""
        return self._version(obj)

    def _update(self, uid: bytes, tracked: Tracked, obj: Any) -> Change:
        change = self._change
        change.number = tracked.number
        change.description = None
        change.milestones = milestones = []
        version = change.version = self._version(obj)
        if version == tracked.version:  # a resync
            return change
        tracked.version = version
        holding = 0
        for bit, _, holds in self._rules:
            if holds(obj):
                holding |= bit
        reached = tracked.reached
        if holding != tracked.holding:
            was = tracked.holding
            for bit, name, _ in self._rules:
                if holding & bit:
                    if not reached & bit:
                        reached |= bit
                        milestones.append(name)
                        self._reached[name] += 1
                    if not was & bit:
                        self._holding[name] += 1
                elif was & bit:
                    self._holding[name] -= 1
            tracked.holding = holding
        if not reached & self._deleting and self._deletion(obj) not in _EMPTY:
            reached |= self._deleting
            milestones.append(DELETING)
            self._reached[DELETING] += 1
        tracked.reached = reached
        revision = self._revision(obj)
        if revision != tracked.revision:
            tracked.revision = revision
            if revision not in _EMPTY:
                milestones.append(self._count_revision(text(revision)))
        if self._follows:
            owner, node = self._owner(obj), self._node(obj)
            if (owner and owner != tracked.owner) or (node and node != tracked.node):
                change.description = self._describe(uid, tracked, obj)
        return change

    def _describe(self, uid: bytes, tracked: Tracked, obj: Any) -> Description:
        tracked.owner = self._owner(obj) or tracked.owner
        tracked.node = self._node(obj) or tracked.node
        index = text(self._index(obj))
        return Description(
            tracked.number,
            tracked.namespace,
            tracked.name,
            text(uid),
            text(tracked.owner),
            text(tracked.node),
            int(index) if index.isdecimal() else -1,
        )

    def _forget(self, uid: bytes, tracked: Tracked) -> None:
        del self.alive[uid]
        for bit, name, _ in self._rules:
            if tracked.holding & bit:
                self._holding[name] -= 1
        self._reached[DELETED] += 1

    def _count_revision(self, value: str) -> str:
        name = REVISION_PREFIX + value
        self._revisions[name] = self._revisions.get(name, 0) + 1
        if len(self._revisions) > _RECENT_REVISIONS:
            del self._revisions[next(iter(self._revisions))]
        return name

    def _uncount(self, name: str) -> None:
        if name in self._revisions:
            self._revisions[name] -= 1
            if not self._revisions[name]:
                del self._revisions[name]
        else:
            self._reached[name] -= 1
