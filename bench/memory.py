"""What the load engine's process holds in memory, by how many objects a run has.

    python bench/memory.py --objects 10000 --objects 50000

Needs no cluster: a phase of creations is read as the engine reads it, and made-up watch events (added,
scheduled, running, changed, being deleted, gone) go through the engine's own decoder, reducer and column files,
as many objects alive at once as there are. A size is one process of its own. Connections and their buffers are
left out: see `bench/engine.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

import planebench.load.process  # noqa: F401 (what the engine's process loads)
from planebench.load.protocol import PhaseFile, phase_file
from planebench.model import LoadPhase, Operation, RequestTemplate, Stage
from planebench.observe.milestones import Change, Reducer
from planebench.observe.records import Records
from pods import PODS

CREATE = RequestTemplate("create", "pods", "POST", "/api/v1/namespaces/__NAMESPACE__/pods", b"{}")
PLAN = "phase.json"
STATES = ("ADDED", "bound", "running", "changed", "deleting", "DELETED")


def resident_mib(field: str = "VmRSS") -> float:
    """Of this process; ``VmHWM``: the most so far."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def event(number: int, state: int, version: int) -> bytes:
    """A watch event of pod ``number`` as it enters one of :data:`STATES`."""
    metadata: dict[str, object] = {
        "name": f"pod-{number:06d}",
        "namespace": f"planebench-{number % 4}",
        "uid": f"00000000-0000-4000-8000-{number:012d}",
        "resourceVersion": str(version),
        "labels": {"planebench.dev/index": str(number)},
    }
    if state >= STATES.index("deleting"):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pod: dict[str, object] = {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}}
    if state >= STATES.index("bound"):
        pod["spec"] = {"nodeName": f"node-{number % 1000:06d}"}
    if state >= STATES.index("running"):
        pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    kind = STATES[state] if STATES[state].isupper() else "MODIFIED"
    return json.dumps({"type": kind, "object": pod}).encode()


def write_plan(objects: int, path: Path) -> None:
    """The phase that creates them, as the engine gets it from the run's process."""
    operations = [
        Operation(number * 20_000_000, 0, number, f"pod-{number:06d}", f"planebench-{number % 4}")
        for number in range(objects)
    ]
    path.write_bytes(msgspec.json.encode(phase_file(LoadPhase("creation", Stage.CREATION, (CREATE,), operations))))


def measure(objects: int, folder: Path) -> dict[str, float]:
    """MiB at the start, with the phase's operations, with all objects alive, and when they are gone."""
    loaded = resident_mib()
    phase = msgspec.json.decode((folder / PLAN).read_bytes(), type=PhaseFile)
    planned = resident_mib()
    records = Records(folder / "raw")
    reducer = Reducer(PODS)
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(
        msgspec.defstruct("Event", [("type", str), ("object", reducer.object_type)], gc=False)
    ).decode
    versions = count(1)
    for state in range(len(STATES) - 1):
        for number in range(objects):
            note(records, reducer.seen(decode(event(number, state, next(versions))).object))
    alive = resident_mib()
    for number in range(objects):
        note(records, reducer.deleted(decode(event(number, len(STATES) - 1, next(versions))).object))
    gone = resident_mib()
    records.close()
    assert len(phase.due_ns) == objects and not reducer.alive
    return {"loaded": loaded, "planned": planned, "alive": alive, "gone": gone, "peak": resident_mib("VmHWM")}


def note(records: Records, change: Change) -> None:
    """As the engine's watches record it."""
    t_ns = time.monotonic_ns()
    string = records.strings.code
    for milestone in change.milestones:
        records.milestones.add((change.number, string(milestone), t_ns))
    if change.description is not None:
        records.describe(change.description)
    records.events.add((t_ns, t_ns, string("pods"), change.number, string("MODIFIED"), int(change.version), 900))


def in_a_process_of_its_own(objects: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        write_plan(objects, Path(name) / PLAN)
        argv = [sys.executable, __file__, "--objects", str(objects), "--child", name]
        found = subprocess.run(argv, capture_output=True, text=True, check=True)
    return {"objects": objects, **json.loads(found.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--objects", type=int, action="append")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    wanted = options.objects or [1000, 10_000, 50_000]
    if options.child is not None:
        found = measure(wanted[0], options.child)
        print(json.dumps({name: round(mib, 1) for name, mib in found.items()}))
        return
    for objects in wanted:
        print(json.dumps(in_a_process_of_its_own(objects)))


if __name__ == "__main__":
    main()
