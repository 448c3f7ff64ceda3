"""KWOK stages: what the simulator does to nodes and pods, and when.

The built-in ones take no time of their own (heartbeats and second tries come after one), so that what is measured
is the control plane's. A delay can be set for each stage; the report then has to say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import yaml

from planebench.model import Manifest, UsageError
from planebench.planes import Plane

_WORKERS = "planebench.dev/workers"
_HEX = "0123456789abcdef"
_OF_NODES = ("Node", "Pod")


def builtin() -> list[Manifest]:
    """The stages for nodes and plain pods."""
    return [
        stage
        for source in ("node.yaml", "pod.yaml")
        for stage in yaml.safe_load_all((files(__package__) / source).read_text())
    ]


def stages(plane: Plane, delays_ms: Mapping[str, tuple[int, int]] | None = None) -> list[Manifest]:
    """The built-in stages with the plane's put over them, then delays: stage -> (shortest, longest) in ms.

    Raises UsageError where a delay names an unknown stage, or a plane's stage has no name or wrong workers.
    """
    by_name = {stage["metadata"]["name"]: stage for stage in builtin()}
    for stage in plane.stages():
        name = _name(stage, plane)
        by_name[name] = merge_patch(by_name.get(name, {}), stage)
    for name, (shortest, longest) in (delays_ms or {}).items():
        if name not in by_name:
            raise UsageError(f"no KWOK stage is called {name!r}; there are: {', '.join(sorted(by_name))}")
        delay = {"durationMilliseconds": shortest, "jitterDurationMilliseconds": longest}
        by_name[name] = merge_patch(by_name[name], {"spec": {"delay": delay}})
    return [share for stage in by_name.values() for share in _shared(stage)]


def _name(stage: Any, plane: Plane) -> str:
    try:
        return str(stage["metadata"]["name"])
    except (KeyError, TypeError):
        files = ", ".join(plane.simulator.stages)
        raise UsageError(f"plane {plane.name}: a stage has no metadata.name, see {files}") from None


def _shared(stage: Manifest) -> list[Manifest]:
    """A stage for each worker that its annotation asks for; objects are shared out by their UID's last digit.

    KWOK plays all stages of a custom kind with one worker. It tells kinds apart as they are written, and asks the
    API server for them in lower case: each way of writing a kind has a worker of its own.
    """
    asked = str((stage["metadata"].get("annotations") or {}).get(_WORKERS, 1))
    if asked == "1":
        return [stage]
    name, spec = stage["metadata"]["name"], stage["spec"]
    spellings = _spellings(spec["resourceRef"]["kind"])
    if not asked.isdecimal() or not 1 < int(asked) <= len(spellings):
        raise UsageError(f"stage {name}: {_WORKERS} must be from 1 to {len(spellings)}, not {asked}")
    workers = int(asked)
    shares: list[Manifest] = []
    for worker, kind in enumerate(spellings[:workers]):
        selector = dict(spec["selector"])
        digits = _HEX[worker::workers]
        share = {"cel": {"expression": f'self.metadata.uid.matches("[{digits}]$")'}}
        selector["matchExpressions"] = [share, *selector.get("matchExpressions", ())]
        shares.append(
            {
                **stage,
                "metadata": {"name": f"{name}-{worker}"},
                "spec": {**spec, "resourceRef": {**spec["resourceRef"], "kind": kind}, "selector": selector},
            }
        )
    return shares


def shard(played: Iterable[Manifest], number: int, of: int) -> list[Manifest]:
    """What one of several KWOK processes plays, ``number`` from 1: its own nodes and their pods; objects of other
    kinds belong to no node, so the workers for those are shared out."""
    every = list(played)
    if of == 1:
        return every
    workers = list(dict.fromkeys(kind for stage in every if (kind := _kind(stage)) not in _OF_NODES))
    own = {*_OF_NODES, *workers[number - 1 :: of]}
    return [stage for stage in every if _kind(stage) in own]


def _kind(stage: Manifest) -> str:
    return str(stage["spec"]["resourceRef"]["kind"])


def _spellings(kind: str) -> list[str]:
    """Different ways to write a kind, at most one for each hexadecimal digit: ``VM``, ``vM``, ``vm``."""
    ways = (kind[:place].lower() + kind[place:].upper() for place in range(len(kind) + 1))
    return list(dict.fromkeys(ways))[: len(_HEX)]


def workers(played: Iterable[Manifest], of_pods: int, of_nodes: int) -> dict[str, int]:
    """How many objects of each kind (in lower case) KWOK plays at once: ``of_pods`` pods and ``of_nodes`` nodes,
    by its parallelism, and one object of any other kind for each way in which the stages write that kind."""
    spellings: dict[str, set[str]] = {}
    for stage in played:
        kind = str(stage["spec"]["resourceRef"]["kind"])
        spellings.setdefault(kind.lower(), set()).add(kind)
    known = {"pod": of_pods, "node": of_nodes}
    return {kind: known.get(kind, len(ways)) for kind, ways in spellings.items()}


def merge_patch(target: Any, patch: Any) -> Any:
    """``target`` changed by a JSON merge patch (RFC 7396); neither is modified."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
