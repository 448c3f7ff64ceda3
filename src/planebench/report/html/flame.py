"""Flame graphs: where a component's time or memory went, by who called whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from planebench.profiles.packages import is_standard, package_of

LEAST: Final = 0.004
"""Of the whole: narrower frames cannot be read, and are left out with all that they call."""
MOST_DEPTH: Final = 70
KINDS: Final = {
    "runtime": "Go's runtime: garbage collection, scheduling, memory",
    "standard": "Go's standard library",
    "kubernetes": "Kubernetes",
    "etcd": "etcd",
    "plane": "the plane's own code",
    "other": "other modules",
}
"""What a frame's colour says."""
_PREFIXES: Final = (
    ("runtime", ("runtime", "internal/runtime")),
    ("kubernetes", ("k8s.io/", "sigs.k8s.io/")),
    ("etcd", ("go.etcd.io/",)),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A function, below the one that called it; left and width are shares of the whole."""

    depth: int
    left: float
    width: float
    function: str
    kind: str

    @property
    def short(self) -> str:
        """Without the path of its package."""
        return self.function.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Flame:
    """Frames, callers before what they call; ``total`` in the stacks' unit."""

    frames: tuple[Frame, ...]
    total: int

    @property
    def depth(self) -> int:
        return max((frame.depth for frame in self.frames), default=-1) + 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those that appear, in the order of the legend."""
        found = {frame.kind for frame in self.frames}
        return tuple(kind for kind in KINDS if kind in found)


@dataclass(slots=True)
class _Call:
    total: int = 0
    calls: dict[str, _Call] = field(default_factory=dict)


def flame(stacks: Iterable[str], own: Sequence[str] = ()) -> Flame | None:
    """A flame graph of folded stacks (``outer;inner VALUE``); None where they hold nothing.

    ``own``: what the import paths of the plane's own code begin with.
    """
    root = _Call()
    for line in stacks:
        functions, _, value = line.rpartition(" ")
        _add(root, functions.split(";")[:MOST_DEPTH], int(value))
    if root.total <= 0:
        return None
    return Flame(tuple(_frames(root, root.total, 0, 0.0, own)), root.total)


def _add(root: _Call, functions: Sequence[str], value: int) -> None:
    root.total += value
    call = root
    for function in functions:
        call = call.calls.setdefault(function, _Call())
        call.total += value


def _frames(call: _Call, whole: int, depth: int, left: float, own: Sequence[str]) -> Iterator[Frame]:
    """The widest first: equal graphs look alike."""
    for function, inner in sorted(call.calls.items(), key=lambda item: (-item[1].total, item[0])):
        width = inner.total / whole
        if width < LEAST:
            return
        yield Frame(depth, left, width, function, kind_of(function, own))
        yield from _frames(inner, whole, depth + 1, left, own)
        left += width


def kind_of(function: str, own: Sequence[str] = ()) -> str:
    """What a function belongs to, by its package."""
    package = package_of(function)
    for kind, prefixes in (("plane", own), *_PREFIXES):
        if any(package == prefix or package.startswith(prefix.rstrip("/") + "/") for prefix in prefixes):
            return kind
    return "standard" if is_standard(package) else "other"
