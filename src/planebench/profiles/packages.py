"""What a Go program's packages cost, and its garbage collection, told from a profile."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from planebench.profiles.pprof import Profile

_GC: Final = re.compile(
    r"runtime\.(?:gcBgMarkWorker|gcAssistAlloc|gcStart|gcMarkDone|gcMarkTermination|bgsweep|bgscavenge|gcDrain"
    r"|deductSweepCredit|\(\*mspan\)\.sweep|\(\*sweepLocked\)\.sweep)(?:\.func\d+)?\d*"
)
"""Where the work of Go's collector begins (go1.26, src/runtime/mgc.go, mgcmark.go, mgcsweep.go): its own workers,
and what allocating goroutines do for it."""
_GENERIC: Final = re.compile(r"\[.*\]")


@dataclass(frozen=True, slots=True)
class PackageShare:
    """A package's part of a profile, 1 is all of it."""

    package: str
    flat: float
    """Spent in its own functions."""
    cumulative: float
    """Spent in them and in all that they call; a stack counts once."""
    charged: float
    """Spent in them and in what they call of Go's standard library: memory that a package allocates is its own
    cost, not the runtime's. Charges add up to 1."""


def package_of(function: str) -> str:
    """``k8s.io/apimachinery/pkg/runtime`` of ``k8s.io/apimachinery/pkg/runtime.(*codec).Decode``.

    Vendored packages go by their own path; what has no dot (C and assembly) by its name.
    """
    name = _GENERIC.sub("", function)
    head, slash, tail = name.rpartition("/")
    package = f"{head}{slash}{tail.partition('.')[0]}".replace("%2e", ".")
    return package.rpartition("/vendor/")[2]


def is_standard(package: str) -> bool:
    """Of Go's standard library: the first element of every other import path has a dot (go help importpath)."""
    return "." not in package.partition("/")[0] and package != "main"


def by_package(profile: Profile, kind: str) -> list[PackageShare]:
    """All packages, those that are charged most first; empty where nothing was sampled."""
    column = profile.column(kind)
    flat: defaultdict[str, int] = defaultdict(int)
    cumulative: defaultdict[str, int] = defaultdict(int)
    charged: defaultdict[str, int] = defaultdict(int)
    known: dict[str, str] = {}
    total = 0
    for stack, values in zip(profile.stacks, profile.values, strict=True):
        value = values[column]
        if not value or not stack:
            continue
        total += value
        packages = [known.setdefault(name, package_of(name)) for name in stack]
        flat[packages[-1]] += value
        charged[next((name for name in reversed(packages) if not is_standard(name)), packages[-1])] += value
        for package in set(packages):
            cumulative[package] += value
    if not total:
        return []
    shares = [
        PackageShare(name, flat[name] / total, amount / total, charged[name] / total)
        for name, amount in cumulative.items()
    ]
    return sorted(shares, key=lambda share: (-share.charged, -share.cumulative, share.package))


def gc_share(profile: Profile, kind: str = "cpu") -> float:
    """Which part of it is garbage collection; 0 where nothing was sampled."""
    column = profile.column(kind)
    total = sum(values[column] for values in profile.values)
    spent = sum(
        values[column]
        for stack, values in zip(profile.stacks, profile.values, strict=True)
        if any(_GC.fullmatch(name) for name in stack)
    )
    return spent / total if total else 0.0
