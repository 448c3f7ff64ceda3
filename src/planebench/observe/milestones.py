"""Milestones as a pure reducer: watch events in, milestones out.

The rules of a :class:`~planebench.model.WatchSpec` are compiled to a msgspec type that has the needed fields and
no others; the leaves may be of any type, so that decoding costs microseconds and cannot fail for an odd value.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, cast

import msgspec

from planebench.model import (
    ADDED,
    DELETED,
    DELETING,
    INDEX_LABEL,
    REVISION_PREFIX,
    MilestoneRule,
    UsageError,
    WatchSpec,
)

_RECENT_REVISIONS: Final = 32
"""How many revisions' counts are kept for progress; a canary makes new ones for ever."""

_META: Final = (
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.deletionTimestamp",
    "metadata.namespace",
    "metadata.name",
    f'metadata.labels["{INDEX_LABEL}"]',
)
"""What is read of every object: the first values of each."""
_UID, _VERSION, _DELETION, _NAMESPACE, _NAME, _INDEX = range(len(_META))

_TOKEN: Final = re.compile(r'\.?([^.\[\]"]+)|\["([^"\[\]]+)"\]|\[([^"\[\]]+)\]')


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
    read: bool = False
    """The field itself is somebody's value, not only on the way to one."""

    def add(self, steps: Sequence[Step], path: str) -> None:
        node = self
        for step in steps:
            if isinstance(step, Item):
                node.items = node = node.items or _Node()
            else:
                node = node.fields.setdefault(step, _Node())
        node.read = True

    def check(self, path: str) -> None:
        """Raises UsageError where one path ends at a map that another path goes through."""
        if self.fields and (self.items is not None or (self.read and path and not path.endswith("]"))):
            raise UsageError(f"field path {path!r}: another path reads the same field deeper, or as a list")
        for key, child in self.fields.items():
            child.check(f"{path}.{key}" if path else key)
        if self.items is not None:
            self.items.check(f"{path}[]")

    def struct(self, name: str, *, item: bool = False) -> type[msgspec.Struct]:
        """The partial type: immutable, so that missing maps share one empty default."""
        fields: list[tuple[str, Any, Any]] = [("type", str, "")] if item else []
        for number, child in enumerate(self.fields.values()):
            if child.items is not None:
                items = child.items.struct("Item", item=True)
                fields.append((f"f{number}", list[items] | None, ()))  # type: ignore[valid-type]
            elif child.fields:
                inner = child.struct("Map")
                fields.append((f"f{number}", inner | None, inner()))
            else:
                fields.append((f"f{number}", Any, None))
        names = {f"f{number}": key for number, key in enumerate(self.fields)}
        return msgspec.defstruct(name, fields, rename=names, gc=False, frozen=True)

    def attributes(self, steps: Sequence[Step]) -> str:
        """The attribute path of the steps, as :func:`operator.attrgetter` takes it."""
        node, names = self, []
        for step in steps:
            names.append(f"f{list(node.fields).index(str(step))}")
            node = node.fields[str(step)]
        return ".".join(names)


class ObjectType:
    """The partial type of an object that has the given field paths, read in one go.

    Raises:
        UsageError: a path is malformed, or two of them contradict each other.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._root = _Node()
        self._steps = {path: parse_path(path) for path in paths if path}
        for path, steps in self._steps.items():
            self._root.add(steps, path)
        self._root.check("")
        self.type = self._root.struct("Object")
        self._lists = {path: _until_item(steps) for path, steps in self._steps.items()}
        self._positions = {steps: number for number, steps in enumerate(dict.fromkeys(self._lists.values()))}
        self._attributes = [self._root.attributes(steps) for steps in self._positions]
        self._get: Callable[[Any], tuple[Any, ...]] = attrgetter(*self._attributes, *self._attributes[:1])

    def position(self, path: str) -> int:
        """Where :meth:`values` has the path's value, or the list that its item is in."""
        return self._positions[self._lists[path]]

    def pick(self, path: str) -> Callable[[Any], Any] | None:
        """What takes the path's value out of the list at its position; None where the value itself is there."""
        steps, before = self._steps[path], self._lists[path]
        if len(steps) == len(before):
            return None
        node = self._root
        for step in before:
            node = node.fields[str(step)]
        wanted, rest = cast(Item, steps[len(before)]).type, steps[len(before) + 1 :]
        if any(isinstance(step, Item) for step in rest):
            raise UsageError(f"no field path: {path!r} (a list within a list)")
        get = attrgetter(node.items.attributes(rest)) if node.items is not None and rest else attrgetter("type")

        def pick(items: Any) -> Any:
            for item in items or ():
                if item.type == wanted:
                    return get(item)
            return None

        return pick

    def values(self, obj: Any) -> tuple[Any, ...]:
        """The values of an instance of :attr:`type`; None for what it has not."""
        try:
            return self._get(obj)
        except AttributeError:  # a map on the way is null
            return tuple(_follow(obj, attributes) for attributes in self._attributes)


def _until_item(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    for number, step in enumerate(steps):
        if isinstance(step, Item):
            return steps[:number]
    return steps


def _follow(obj: Any, attributes: str) -> Any:
    for attribute in attributes.split("."):
        obj = getattr(obj, attribute, None)
    return obj


def text(value: Any) -> str:
    """A decoded JSON scalar as the API server would write it, without quotes; empty for none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def present(value: Any) -> bool:
    """Neither missing nor null nor empty; zero and false are values."""
    return bool(value) or value == 0


def _compile(rule: MilestoneRule, types: ObjectType) -> Callable[[Any], bool]:
    pick = types.pick(rule.field)
    if rule.at_least:
        return _of_value(pick, lambda value: _size(value) >= rule.at_least)
    if rule.contains:
        wanted = rule.contains
        return _of_value(
            pick,
            lambda items: any(all(item.get(key) == value for key, value in wanted) for item in _mappings(items)),
        )
    if rule.equals is None and not rule.one_of:
        return present if pick is None else lambda items: present(pick(items))
    accepted: set[Any] = {rule.equals, *rule.one_of} - {None}
    for value in [*accepted]:
        try:  # a number or boolean, as JSON has it
            accepted.add(msgspec.json.decode(value, type=int | float | bool))
        except msgspec.MsgspecError:
            continue
    test = frozenset(accepted).__contains__
    return test if pick is None else lambda items: test(pick(items))


def _of_value(pick: Callable[[Any], Any] | None, test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return test if pick is None else lambda items: test(pick(items))


def _size(value: Any) -> float:
    """A number, or how many items a list has."""
    return len(value) if isinstance(value, list) else value if isinstance(value, int | float) else 0


def _mappings(items: Any) -> Iterator[dict[str, Any]]:
    return (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())


# --- the reducer -------------------------------------------------------------------------------------------


class Tracked:
    """What is remembered of an object that exists."""

    __slots__ = ("holding", "name", "namespace", "node", "number", "owner", "reached", "revision", "version")

    def __init__(self, number: int, namespace: str, name: str) -> None:
        self.number = number
        self.namespace = sys.intern(namespace)  # one string for all objects, not one for each
        self.name = name
        self.owner = ""
        self.node = ""
        self.revision = ""
        self.version = ""
        self.reached = 0
        """Bits of the milestones that it has reached."""
        self.holding = 0
        """Bits of the rules that hold now."""


class Description(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an object is; written once, and again when its owner or node changes."""

    number: int
    watch: str
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
        self.version = ""
        """The object's resourceVersion."""
        self.milestones: list[str] = []
        """Milestones reached for the first time, or again where that is to be noted."""
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
        self._name = spec.name
        self.alive: dict[str, Tracked] = {}
        """UID -> object."""
        rules = [rule for rule in spec.milestones if rule.name not in (ADDED, DELETING, DELETED)]
        extra = (spec.owner_field, spec.node_field, spec.revision_field)
        types = ObjectType([*_META, *extra, *(rule.field for rule in rules)])
        self.object_type = types.type
        self._values = types.values
        self._rules = tuple(
            (1 << bit, rule.name, types.position(rule.field), _compile(rule, types))
            for bit, rule in enumerate(rules)
            if rule.field
        )
        self._always = sum(1 << bit for bit, rule in enumerate(rules) if not rule.field)
        self._again = sum(1 << bit for bit, rule in enumerate(rules) if rule.again)
        self._names = tuple((1 << bit, rule.name) for bit, rule in enumerate(rules))
        self._deleting = 1 << len(rules)
        self._extra = tuple((types.position(path), types.pick(path)) if path else None for path in extra)
        self._follows = any(self._extra)
        self._numbers = itertools.count() if numbers is None else numbers
        self._holding = dict.fromkeys((rule.name for rule in rules), 0)
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

    def uid(self, obj: Any) -> str:
        """An object's UID, the key of :attr:`alive`."""
        return str(self._values(obj)[_UID])

    def held(self, uid: str) -> frozenset[str]:
        """The milestones whose rules hold now for an object that exists."""
        tracked = self.alive[uid]
        return frozenset((ADDED, *(name for bit, name in self._names if tracked.holding & bit)))

    def listed(self, obj: Any) -> Change:
        """An object of the initial LIST: what already holds was reached before, at an unknown time."""
        values = self._values(obj)
        known = self.alive.get(values[_UID])
        if known is not None:  # the LIST was begun anew
            return self._update(known, values)
        change = self._appear(values)
        tracked = self.alive[values[_UID]]
        for name in change.milestones:
            self._uncount(name)
        tracked.reached = tracked.holding | (self._deleting if values[_DELETION] else 0)
        change.milestones = []
        return change

    def seen(self, obj: Any) -> Change:
        """An object was added or modified: which of the two, its UID tells."""
        values = self._values(obj)
        tracked = self.alive.get(values[_UID])
        return self._appear(values) if tracked is None else self._update(tracked, values)

    def deleted(self, obj: Any) -> Change:
        """An object is gone; its last state may hold milestones that no event showed before."""
        values = self._values(obj)
        uid = values[_UID]
        tracked = self.alive.get(uid)
        change = self._appear(values) if tracked is None else self._update(tracked, values)
        self._forget(uid, self.alive[uid])
        change.milestones.append(DELETED)
        return change

    def bookmark(self, obj: Any) -> Change:
        """Nothing changed up to the bookmark's resourceVersion."""
        change = self._change
        change.number, change.version = -1, self._values(obj)[_VERSION]
        change.description = None
        change.milestones = []
        return change

    def vanished(self, uid: str) -> Change:
        """An object that a new LIST no longer has: deleted while nobody watched."""
        tracked = self.alive[uid]
        change = self._change
        change.number, change.version = tracked.number, tracked.version
        change.description = None
        change.milestones = [DELETED]
        self._forget(uid, tracked)
        return change

    def _appear(self, values: tuple[Any, ...]) -> Change:
        tracked = Tracked(next(self._numbers), text(values[_NAMESPACE]), values[_NAME] or "")
        self.alive[values[_UID]] = tracked
        change = self._update(tracked, values)
        change.description = self._describe(tracked, values)
        change.milestones.insert(0, ADDED)
        self._reached[ADDED] += 1
        return change

    def _update(self, tracked: Tracked, values: tuple[Any, ...]) -> Change:
        change = self._change
        change.number = tracked.number
        change.description = None
        change.milestones = milestones = []
        change.version = version = values[_VERSION]
        if version == tracked.version:  # a resync
            return change
        tracked.version = version
        holding = self._always
        for bit, _, position, holds in self._rules:
            value = values[position]
            try:
                if value is not None and holds(value):
                    holding |= bit
            except TypeError:  # a map or a list equals nothing
                continue
        if values[_DELETION] and not tracked.reached & self._deleting:
            tracked.reached |= self._deleting
            milestones.append(DELETING)
            self._reached[DELETING] += 1
        if holding != tracked.holding:
            self._turn(tracked, holding, milestones)
        if self._follows:
            self._follow(tracked, values, change)
        return change

    def _turn(self, tracked: Tracked, holding: int, milestones: list[str]) -> None:
        """Other rules hold than before."""
        was = tracked.holding
        for bit, name in self._names:
            if holding & bit:
                if not tracked.reached & bit:
                    tracked.reached |= bit
                    milestones.append(name)
                    self._reached[name] += 1
                elif not was & bit and bit & self._again:
                    milestones.append(name)
                if not was & bit:
                    self._holding[name] += 1
            elif was & bit:
                self._holding[name] -= 1
        tracked.holding = holding

    def _follow(self, tracked: Tracked, values: tuple[Any, ...], change: Change) -> None:
        """Note another owner, node or revision than before."""
        owner, node, revision = (
            text(values[source[0]] if source[1] is None else source[1](values[source[0]])) if source else ""
            for source in self._extra
        )
        if (owner and owner != tracked.owner) or (node and node != tracked.node):
            tracked.owner = owner or tracked.owner
            tracked.node = sys.intern(node) if node else tracked.node
            change.description = self._describe(tracked, values)
        if revision != tracked.revision:
            tracked.revision = revision
            if revision:
                change.milestones.append(self._count_revision(revision))

    def _describe(self, tracked: Tracked, values: tuple[Any, ...]) -> Description:
        index = text(values[_INDEX])
        return Description(
            tracked.number,
            self._name,
            tracked.namespace,
            tracked.name,
            values[_UID] or "",
            tracked.owner,
            tracked.node,
            int(index) if index.isdecimal() else -1,
        )

    def _forget(self, uid: str, tracked: Tracked) -> None:
        del self.alive[uid]
        for bit, name in self._names:
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
