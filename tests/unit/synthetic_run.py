"""Run folders made up for tests: every time is chosen, so every figure is known beforehand."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from planebench import scenario as scenarios
from planebench.model import Stage
from planebench.planes import load_plane
from planebench.results import RunFolder
from planebench.results.tables import SCHEMAS

PODS = """
apiVersion: planebench.dev/v1
name: synthetic
plane: core
nodes: [{name: node, count: 4, capacity: {cpu: "32", memory: 256Gi, pods: "110"}}]
workload: {count: 100, objects: [{template: pod}]}
lifecycle:
  creation: {arrival: {pattern: constant, rate: 20/s}}
  management: {patch: {share: 20%, rate: 20/s}}
slos:
  - {sli: creation.response, percentile: 99, max: 1s}
  - {sli: creation.startup, percentile: 99, max: 5s}
  - {sli: creation.reached, min: 100%}
  - {sli: cleanup.leftovers, max: 0}
"""

MACHINES = """
apiVersion: planebench.dev/v1
name: synthetic-machines
plane: kubevirt
nodes: [{name: node, count: 4, capacity: {cpu: "32", memory: 256Gi, pods: "110"}}]
workload: {count: 10, objects: [{template: vmi, share: 80%}, {template: vm, share: 20%}]}
lifecycle:
  management: {patch: {share: 50%, rate: 20/s}, restart: {share: 50%, rate: 5/s}}
slos:
  - {sli: creation.startup, percentile: 99, max: 60s}
  - {sli: cleanup.leftovers, max: 0}
"""


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


@dataclass
class SyntheticRun:
    """A run in the making; :meth:`write` makes its folder. All times are seconds on the trial's clock."""

    scenario_text: str = PODS
    overrides: Mapping[str, str] = field(default_factory=dict)
    status: str = "completed"
    error: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    milestones: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    traffic: list[dict[str, Any]] = field(default_factory=list)
    machine: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)
    scrapes: list[tuple[float, str, str, str]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    restarts: list[dict[str, Any]] = field(default_factory=list)
    consistency: dict[str, Any] | None = None
    leftovers: list[str] | None = field(default_factory=list)
    health: dict[str, Any] = field(
        default_factory=lambda: {
            "send_lateness_ms": {"p50": 0.05, "p99": 0.2, "max": 0.5},
            "loop_lag_ms": {"p50": 0.03, "p99": 0.1, "max": 0.9},
            "busiest_second": 0.12,
            "cpu_s": 0.5,
            "peak_rss_bytes": 30 << 20,
            "connections": 64,
            "scheduling": "fifo",
        }
    )

    def phase(
        self, name: str, stage: Stage | None, start_s: float, end_s: float, *, completed: bool = True
    ) -> None:
        self.phases.append(
            {
                "name": name,
                "stage": stage,
                "start_ns": ns(start_s),
                "end_ns": ns(end_s),
                "completed": completed,
                "planned": 0,
            }
        )

    def request(
        self,
        phase: str,
        stage: Stage | None,
        verb: str,
        resource: str,
        index: int,
        name: str,
        due_s: float,
        *,
        took_s: float | None = 0.005,
        late_s: float = 0.0001,
        status: int | None = None,
        error: str | None = None,
        subresource: str = "",
        received: int = 1000,
    ) -> None:
        """``took_s`` counts from due to done; None: no answer ever."""
        self.requests.append(
            {
                "phase": phase,
                "stage": stage or "",
                "verb": verb,
                "resource": resource,
                "subresource": subresource,
                "index": index,
                "namespace": "planebench-0",
                "name": name,
                "due_ns": ns(due_s),
                "sent_ns": ns(due_s + late_s),
                "done_ns": -1 if took_s is None else ns(due_s + took_s),
                "status": (0 if took_s is None else 201 if verb == "create" else 200)
                if status is None
                else status,
                "bytes_sent": 500,
                "bytes_received": received,
                "attempts": 1,
                "error": "timeout" if took_s is None and error is None else error,
            }
        )

    def object(
        self, watch: str, index: int, name: str, *, node: str = "", owner: str = "", uid: str | None = None
    ) -> int:
        number = len(self.objects)
        self.objects.append(
            {
                "object": number,
                "watch": watch,
                "namespace": "planebench-0",
                "name": name,
                "uid": f"uid-{number}" if uid is None else uid,
                "owner": owner,
                "node": node,
                "index": index,
            }
        )
        return number

    def reach(self, number: int, **milestones_s: float) -> None:
        for milestone, t_s in milestones_s.items():
            self.reach_named(number, milestone, t_s)

    def reach_named(self, number: int, milestone: str, t_s: float) -> None:
        self.milestones.append({"object": number, "milestone": milestone, "t_ns": ns(t_s)})

    def gap(
        self, watch: str, start_s: float, end_s: float, *, resumed: bool = True, reason: str = "closed"
    ) -> None:
        self.gaps.append(
            {"watch": watch, "t_ns": ns(start_s), "end_ns": ns(end_s), "reason": reason, "resumed": resumed}
        )

    def sample(
        self, t_s: float, process: str, component: str, role: str, cpu_s: float, rss: int = 1 << 20
    ) -> None:
        self.samples.append(
            {
                "t_ns": ns(t_s),
                "process": process,
                "component": component,
                "role": role,
                "cpu_s": cpu_s,
                "rss_bytes": rss,
                "peak_rss_bytes": rss,
                "threads": 1,
                "read_bytes": 0,
                "write_bytes": 0,
            }
        )

    def carried(self, t_s: float, process: str, component: str, role: str, peer: str, sent: int, got: int) -> None:
        """Bytes that a process's connections to a component have carried so far."""
        self.traffic.append(
            {
                "t_ns": ns(t_s),
                "process": process,
                "component": component,
                "role": role,
                "peer": peer,
                "sent_bytes": sent,
                "received_bytes": got,
            }
        )

    def fault(
        self,
        kind: str,
        target: str,
        start_s: float,
        *,
        struck_s: float,
        end_s: float | None,
        ready_s: float | None,
        stage: Stage = Stage.CREATION,
        name: str = "",
    ) -> None:
        """A fault of a component; None: it did not come to that."""
        self.faults.append(
            {
                "kind": kind,
                "nodes": [],
                "start_ns": ns(start_s),
                "end_ns": -1 if end_s is None else ns(end_s),
                "name": name or f"{kind}-{target}",
                "target": target,
                "processes": [target],
                "stage": stage,
                "struck_ns": ns(struck_s),
                "ready_ns": -1 if ready_s is None else ns(ready_s),
            }
        )

    def restart(self, process: str, ended_s: float, started_s: float, *, asked: bool = True) -> None:
        self.restarts.append(
            {
                "process": process,
                "component": process,
                "ended_ns": ns(ended_s),
                "started_ns": ns(started_s),
                "how": "was killed by SIGKILL" if asked else "ended with exit status 1",
                "asked": asked,
            }
        )

    def scrape(self, t_s: float, process: str, component: str, text: str) -> None:
        self.scrapes.append((t_s, process, component, text))

    def write(self, path: Path) -> Path:
        folder = RunFolder.create(path)
        scenario = scenarios.parse(self.scenario_text, overrides=self.overrides)
        folder.write_scenario(scenario)
        folder.write_plane(load_plane(scenario.plane, scenario.settings))
        folder.write_environment({"machine": {"cores": 2}})
        folder.write_run(
            {
                "id": "synthetic-1",
                "scenario": scenario.name,
                "seed": 7,
                "started_wall": 1_700_000_000.0,
                "status": self.status,
                "error": self.error,
                "end_ns": max([phase["end_ns"] for phase in self.phases] or [0]),
                "phases": self.phases,
                "faults": self.faults,
                "restarts": self.restarts,
            }
        )
        if self.consistency is not None:
            folder.write_consistency(self.consistency)
        if self.leftovers is not None:
            folder.write_leftovers(self.leftovers)
        tables: dict[str, Sequence[Mapping[str, Any]]] = {
            "requests": self.requests,
            "objects": self.objects,
            "milestones": self.milestones,
            "events": [],
            "gaps": self.gaps,
            "samples": self.samples,
            "traffic": self.traffic,
            "machine": self.machine,
        }
        for name, rows in tables.items():
            frame = pl.DataFrame(rows, schema=SCHEMAS[name])
            texts = [column for column in ("phase", "watch", "milestone", "error") if column in frame.columns]
            frame.with_columns(pl.col(texts).cast(pl.Categorical)).write_parquet(folder.raw / f"{name}.parquet")
        (folder.raw / "harness.json").write_text(json.dumps(self.health))
        self._write_scrapes(folder)
        return path

    def _write_scrapes(self, folder: RunFolder) -> None:
        index = []
        for number, (t_s, process, component, text) in enumerate(self.scrapes):
            file = f"{number}/{process}.prom.gz"
            (folder.scrapes / str(number)).mkdir()
            (folder.scrapes / file).write_bytes(gzip.compress(text.encode()))
            entry = {"t_ns": ns(t_s), "label": str(number), "process": process, "component": component}
            index.append({**entry, "file": file, "error": None, "bytes": len(text)})
        (folder.scrapes / "index.json").write_text(json.dumps(index))


@dataclass
class Truth:
    """What was put into a run of pods; seconds, by pod."""

    response_s: list[float] = field(default_factory=list)
    bound_s: list[float] = field(default_factory=list)
    startup_s: list[float] = field(default_factory=list)
    deleting_s: list[float] = field(default_factory=list)
    deleted_s: list[float] = field(default_factory=list)
    patched_s: list[float] = field(default_factory=list)
    nodes: dict[str, int] = field(default_factory=dict)


def pods(
    seed: int = 1,
    count: int = 100,
    *,
    never_up: Iterable[int] = (),
    refused: Iterable[int] = (),
    overrides: Mapping[str, str] | None = None,
) -> tuple[SyntheticRun, Truth]:
    """A whole run of plain pods at 20/s: bound, running and ready after random times.

    Args:
        never_up: pods that are bound, but never run.
        refused: pods whose creation is answered with 403.
    """
    chance = random.Random(seed)
    run = SyntheticRun(overrides={"workload.count": str(count), **(overrides or {})})
    truth = Truth(nodes={f"node-{number:06d}": 0 for number in range(4)})
    never_up, refused = set(never_up), set(refused)
    start_s = 10.0
    last_s = start_s + count / 20
    numbers: dict[int, int] = {}
    run.phase("namespaces", None, 8, 9)
    run.phase("nodes", None, 9, 10)
    run.phase("creation", Stage.CREATION, start_s, last_s + 60)
    for index in range(count):
        due_s, name = start_s + index / 20, f"pod-{index:06d}"
        if index in refused:
            run.request(
                "creation", Stage.CREATION, "create", "pods", index, name, due_s, status=403, error="Forbidden"
            )
            continue
        response_s = chance.uniform(0.002, 0.02)
        bound_s = response_s + chance.uniform(0.001, 0.05)
        startup_s = bound_s + chance.uniform(0.05, 2.0)
        node = f"node-{chance.randrange(4):06d}"
        run.request("creation", Stage.CREATION, "create", "pods", index, name, due_s, took_s=response_s)
        number = numbers[index] = run.object("pods", index, name, node=node)
        run.reach(number, added=due_s + response_s - 0.001, scheduled=due_s + bound_s)
        truth.response_s.append(response_s)
        truth.bound_s.append(bound_s)
        truth.nodes[node] += 1
        if index not in never_up:
            run.reach(number, running=due_s + startup_s, ready=due_s + startup_s)
            truth.startup_s.append(startup_s)
    patch_s = last_s + 60
    run.phase("patch", Stage.MANAGEMENT, patch_s, patch_s + 10)
    for place, index in enumerate(sorted(numbers)[: count // 5]):
        due_s, seen_s = patch_s + place / 20, chance.uniform(0.003, 0.03)
        run.request("patch", Stage.MANAGEMENT, "patch", "pods", index, f"pod-{index:06d}", due_s)
        run.reach_named(numbers[index], "revision:patch", due_s + seen_s)
        truth.patched_s.append(seen_s)
    cleanup_s = patch_s + 10
    run.phase("cleanup", Stage.CLEANUP, cleanup_s, cleanup_s + 60)
    for place, index in enumerate(sorted(numbers)):
        due_s, gone_s = cleanup_s + place / 50, chance.uniform(0.01, 1.0)
        going_s = gone_s / 100
        run.request("cleanup", Stage.CLEANUP, "delete", "pods", index, f"pod-{index:06d}", due_s)
        run.reach(numbers[index], deleting=due_s + going_s, deleted=due_s + gone_s)
        truth.deleting_s.append(going_s)
        truth.deleted_s.append(gone_s)
    for t_s in (0.0, cleanup_s + 60):
        run.sample(t_s, "kube-apiserver", "kube-apiserver", "subject", t_s / 10, 300 << 20)
    return run, truth


VMS, VMIS, LAUNCHERS = "vms", "vmis", "pods"
VM, VMI = "virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io"
MACHINE_NUMBERS = (3, 7)
"""Which of the ten objects of :func:`machines` are VirtualMachines; the others are instances of their own."""


def machines(*, labelled: bool = True) -> SyntheticRun:
    """A whole run of ten objects on KubeVirt, all times after each other's due by fixed steps.

    An instance is up 0.5 s after its due time and a hundredth more for each number, a machine 0.3 s later still.
    Instances 0, 1, 2, 4 and machine 3 are patched, machine 7 is restarted: its second instance is ready after 2 s.

    Args:
        labelled: machines' instances and launchers carry the number of what they come of; without, they have to be
            followed by their owners.
    """
    run = SyntheticRun(scenario_text=MACHINES)
    run.phase("creation", Stage.CREATION, 10, 20)
    run.phase("patch", Stage.MANAGEMENT, 20, 25)
    run.phase("restart", Stage.MANAGEMENT, 25, 30)
    run.phase("cleanup", Stage.CLEANUP, 30, 40)
    tracked: dict[int, int] = {}
    instances: dict[int, int] = {}
    launchers: dict[int, int] = {}

    def start(number: int, at_s: float, owner: str) -> None:
        """An instance and its launcher, seen from ``at_s`` on."""
        own = number if labelled or not owner else -1
        instance = run.object(VMIS, own, f"instance-{number}", owner=owner)
        launcher = run.object(
            LAUNCHERS,
            number if labelled else -1,
            f"virt-launcher-{number}",
            node=f"node-{number % 4:06d}",
            owner=f"uid-{instance}",
        )
        run.reach(instance, added=at_s, pending=at_s, scheduling=at_s + 0.1, scheduled=at_s + 0.3)
        run.reach(launcher, added=at_s + 0.12, scheduled=at_s + 0.15, running=at_s + 0.2, ready=at_s + 0.2)
        instances[number], launchers[number] = instance, launcher

    for number in range(10):
        due_s = 10 + number / 20
        is_machine = number in MACHINE_NUMBERS
        resource, name = (VM, "vm") if is_machine else (VMI, "vmi")
        run.request("creation", Stage.CREATION, "create", resource, number, f"{name}-{number:06d}", due_s)
        if is_machine:
            machine = tracked[number] = run.object(VMS, number, f"vm-{number:06d}")
            run.reach(machine, added=due_s + 0.01, starting=due_s + 0.02)
            start(number, due_s + 0.05, f"uid-{machine}")
        else:
            start(number, due_s + 0.01, "")
            tracked[number] = instances[number]
        up_s = due_s + 0.5 + number / 100
        run.reach(instances[number], running=up_s - 0.1, ready=up_s)
        if is_machine:
            run.reach(tracked[number], running=up_s + 0.2, ready=up_s + 0.3)
    for place, number in enumerate((0, 1, 2, 3, 4)):
        resource, name = (VM, "vm") if number in MACHINE_NUMBERS else (VMI, "vmi")
        run.request("patch", Stage.MANAGEMENT, "patch", resource, number, f"{name}-{number:06d}", 20 + place / 20)
        run.reach_named(launchers[number], "revision:patch", 20 + place / 20 + 0.1 + number / 100)
    run.request(
        "restart",
        Stage.MANAGEMENT,
        "update",
        "virtualmachines.subresources.kubevirt.io",
        7,
        "vm-000007",
        25,
        subresource="restart",
    )
    first, first_launcher = instances[7], launchers[7]
    for number in (first, first_launcher):
        run.reach(number, deleting=25.1, deleted=25.5)
    start(7, 26, f"uid-{tracked[7]}")
    run.reach(instances[7], running=26.9, ready=27)
    for number in range(10):
        due_s = 30 + number / 50
        resource, name = (VM, "vm") if number in MACHINE_NUMBERS else (VMI, "vmi")
        run.request("cleanup", Stage.CLEANUP, "delete", resource, number, f"{name}-{number:06d}", due_s)
        for place, item in enumerate((launchers[number], instances[number])):
            run.reach(item, deleting=due_s + 0.05, deleted=due_s + 0.2 + place / 10)
        if number in MACHINE_NUMBERS:
            run.reach(tracked[number], deleting=due_s + 0.02, deleted=due_s + 0.4)
    return run


def looked_at(run: SyntheticRun, start_s: float = 200.0) -> SyntheticRun:
    """The run with four nodes that were ready after 0.1, 0.2, 0.3 and 0.4 s, and a monitoring stage of 10 s.

    Two LISTs of each form, of 10 ms and 1,000 bytes and 20 ms and 2,000 bytes; ten reads of 1 to 10 ms; five
    canary writes that are answered after 4 ms and seen 1 to 5 ms after their answer, the last one 1 ms before it.
    """
    for number in range(4):
        name = f"node-{number:06d}"
        run.request("nodes", None, "create", "nodes", -1, name, 9 + number / 200)
        node = run.object("nodes", -1, name)
        run.reach(node, added=9 + number / 200 + 0.01, ready=9 + number / 200 + 0.1 + number / 10)
    run.phase("monitoring", Stage.MONITORING, start_s, start_s + 10)

    def ask(
        verb: str, resource: str, index: int, name: str, at_s: float, took_s: float, received: int = 500
    ) -> None:
        run.request(
            "monitoring",
            Stage.MONITORING,
            verb,
            resource,
            index,
            name,
            start_s + at_s,
            took_s=took_s,
            received=received,
        )

    for round_ in range(2):
        for form in ("full", "page", "metadata"):
            ask("list", "pods", -1, form, round_ * 5, (round_ + 1) / 100, (round_ + 1) * 1000)
    for number in range(10):
        ask("get", "pods", number, f"pod-{number:06d}", number, (number + 1) / 1000)
    canary = run.object("canary", -1, "planebench-canary")
    run.reach_named(canary, "revision:none", 9.5)
    for number in range(5):
        ask("patch", "configmaps", number, "planebench-canary", number + 0.5, 0.004)
        fresh_s = -0.001 if number == 4 else (number + 1) / 1000
        run.reach_named(canary, f"revision:{number}", start_s + number + 0.504 + fresh_s)
    return run
