"""What harness and simulator can do on this machine: the bounds within which runs can be trusted.

Everything is measured on a real control plane of its own. Each limit is the highest rate of a rising series at
which the checks hold that a run is judged by; then the gap to the first one that failed is halved a few times.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray

from planebench import __version__, nodes, verdict
from planebench.binaries.cache import default_dir
from planebench.cluster.local import ClusterConfig, LocalCluster
from planebench.components.kwok import Parallelism
from planebench.kube.client import ApiError, Client
from planebench.load import Engine
from planebench.load.engine import RAW_FOLDER
from planebench.model import (
    ADDED,
    INDEX_LABEL,
    REVISION_PREFIX,
    ComponentError,
    LoadPhase,
    MilestoneRule,
    Operation,
    Progress,
    RequestTemplate,
    Resource,
    WatchSpec,
)
from planebench.observe.records import LAYOUT
from planebench.planes import load_plane
from planebench.results.calibration import (
    Calibration,
    Disk,
    EngineLimit,
    Receipts,
    SimulatorLimit,
    read,
    warnings,
)
from planebench.run import environment
from planebench.run.listener import Listener
from planebench.run.provision import provide
from planebench.scenario import NodePool, Scenario
from planebench.slis.queueing import growth_s, in_hand
from planebench.stats import Sample

_NODES: Final = 50
_STEP_S: Final = 2.0
_FACTOR: Final = 1.5
_HALVINGS: Final = 3
_TRIES: Final = 2
"""A step that fails is tried once more: what disturbed it may have been somebody else."""
_SETTLE_S: Final = 1.2
"""The engine writes what it has seen every second."""
_WAIT_S: Final = 60.0
_FSYNCS: Final = 300
_FSYNC_BYTES: Final = 2048

_PODS: Final = WatchSpec(
    "pods",
    Resource("", "v1", "pods", "Pod"),
    (MilestoneRule("running", "status.phase", equals="Running", simulated=True),),
    label_selector=INDEX_LABEL,
)
_NODE_WATCH: Final = WatchSpec(
    "nodes",
    Resource("", "v1", "nodes", "Node", namespaced=False),
    (MilestoneRule("ready", "status.conditions[Ready].status", equals="True"),),
)
_CANARY: Final = WatchSpec(
    "canary",
    Resource("", "v1", "configmaps", "ConfigMap"),
    (),
    label_selector="planebench.dev/canary",
    namespaces=("default",),
    revision_field='metadata.labels["planebench.dev/revision"]',
)


def known() -> Calibration | None:
    """What was found on this machine before; None where nothing was."""
    return read(default_dir(), environment.machine(Path.cwd()))


def calibration_warnings(scenario: Scenario) -> list[str]:
    """What a scenario asks beyond what was found here; nothing where nothing was."""
    found = known()
    return [] if found is None else list(warnings(scenario, found))


async def calibrate(folder: Path, listener: Listener) -> Calibration:
    """Measure; takes one to two minutes.

    Args:
        folder: where runs are to live: the control plane's data lie there meanwhile.

    Raises:
        ComponentError: the control plane did not start, or its nodes did not get Ready.
        EngineError: the load engine broke.
    """
    plane = load_plane("core")
    artifacts = await provide(plane, {}, listener)
    config = ClusterConfig(plane, {name: artifact.path for name, artifact in artifacts.items()})
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    t0_ns = time.monotonic_ns()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".planebench-calibrate-") as name:
        scratch = Path(name)
        listener.status("measuring the disk")
        disk = await asyncio.to_thread(measure_disk, scratch)
        async with (
            LocalCluster.start(
                config, scratch / "cluster", scratch / "logs", t0_ns, on_status=listener.status
            ) as cluster,
            Client(cluster.admin) as client,
        ):
            async with Engine.start(cluster.load, scratch, t0_ns) as engine:
                bench = _Bench(engine, scratch / RAW_FOLDER, listener)
                await _prepare(client, engine)
                for spec in (_NODE_WATCH, _PODS, _CANARY):
                    await engine.watch(spec)
                if not await engine.until(lambda p: p.current["nodes"]["ready"] >= _NODES, _WAIT_S):
                    raise ComponentError(f"not all of {_NODES} nodes got Ready in {_WAIT_S:g} s", component="kwok")
                staleness = await bench.staleness()
                simulator = await bench.simulator()
                limit = await bench.engine()
            delays = engine.health["watches"]["canary"]["read_delay_ms"] if engine.health else {}
    return Calibration(
        planebench_version=__version__,
        measured_wall=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=environment.machine(folder),
        engine=limit,
        receipts=Receipts(
            staleness_p50_s=staleness.percentile(50),
            staleness_p99_s=staleness.percentile(99),
            read_delay_p50_s=delays.get("p50", math.nan) / 1e3,
            read_delay_p99_s=delays.get("p99", math.nan) / 1e3,
        ),
        simulator=simulator,
        disk=disk,
    )


def measure_disk(folder: Path) -> Disk:
    """The time to write 2 KiB at a file's end and to have them on the disk."""
    took_s = []
    file = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(_FSYNCS):
            start_ns = time.perf_counter_ns()
            os.write(file, bytes(_FSYNC_BYTES))
            os.fdatasync(file)
            took_s.append((time.perf_counter_ns() - start_ns) / 1e9)
    finally:
        os.close(file)
    sample = Sample.of(took_s)
    return Disk(
        file_system=str(environment.machine(folder)["etcd_file_system"]),
        fsync_p50_s=sample.percentile(50),
        fsync_p99_s=sample.percentile(99),
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried."""

    rate_per_s: float
    fault: str
    """What did not hold; empty: everything did."""
    lateness_p99_s: float = math.nan
    core_share: float = math.nan


async def greatest(first_per_s: float, attempt: Callable[[float], Awaitable[Step]]) -> tuple[Step, str]:
    """The highest rate that holds, and what ended the search; where none holds, the first step itself.

    The rate rises by half of itself (less where the engine would then use more than a core) until one fails; then
    the geometric mean of the last two is tried a few times.
    """
    best: Step | None = None
    rate, failed = first_per_s, Step(math.inf, "")
    halvings = 0
    while halvings <= _HALVINGS:
        step = await attempt(rate)
        if not step.fault:
            best = step
        else:
            failed = step
            if best is None:
                return step, step.fault
        if math.isfinite(failed.rate_per_s):
            halvings += 1
            rate = math.sqrt(best.rate_per_s * failed.rate_per_s) if best else rate
        else:
            rate *= min(_FACTOR, 0.8 / step.core_share if step.core_share > 0 else _FACTOR)
    assert best is not None  # noqa: S101 (the loop ends otherwise)
    return best, failed.fault


class _Bench:
    """Measurements with one engine, whose records are read as it writes them."""

    def __init__(self, engine: Engine, records: Path, listener: Listener) -> None:
        self._engine = engine
        self._records = records
        self._listener = listener
        self._phases = 0
        self._pods = 0

    # --- the load engine

    async def engine(self) -> EngineLimit:
        """The greatest open-loop rate of a cheap request, GET /version."""
        template = RequestTemplate("get", "version", "GET", "/version")

        async def attempt(rate_per_s: float) -> Step:
            self._listener.status(f"load engine: {rate_per_s:,.0f} requests/s")
            step = Step(rate_per_s, "")
            for _ in range(_TRIES):
                count = max(round(rate_per_s * _STEP_S), 1)
                step = await self._sent(rate_per_s, (template,), [_at(i, rate_per_s) for i in range(count)])
                if not step.fault:
                    break
            return step

        best, ended_by = await greatest(300.0, attempt)
        return EngineLimit(
            rate_per_s=0.0 if best.fault else best.rate_per_s,
            lateness_p99_s=best.lateness_p99_s,
            core_share=best.core_share,
            ended_by=ended_by,
        )

    async def _sent(
        self, rate_per_s: float, templates: tuple[RequestTemplate, ...], operations: list[Operation]
    ) -> Step:
        process = psutil.Process(self._engine.pid)
        before_s, start_s = sum(process.cpu_times()[:2]), time.monotonic()
        number = self._phases
        done = await self._execute(templates, operations)
        share = (sum(process.cpu_times()[:2]) - before_s) / (time.monotonic() - start_s)
        requests = self._rows("requests")
        mine = requests[requests[:, _column("requests", "phase")] == number]
        late = (mine[:, _column("requests", "sent_ns")] - mine[:, _column("requests", "due_ns")]) / 1e9
        late_s = Sample.of(late[mine[:, _column("requests", "sent_ns")] >= 0]).percentile(99)
        fault = ""
        if done.failed or len(mine) < len(operations):
            fault = "requests failed"
        elif share > verdict.MOST_BUSY:
            fault = f"it used {share:.0%} of a core"
        elif late_s > verdict.NEGLIGIBLE_S:
            fault = f"p99 was sent {late_s * 1e3:.1f} ms late"
        return Step(rate_per_s, fault, late_s, share)

    # --- receipts

    async def staleness(self) -> Sample:
        """From a write's answer to its watch event, ten times a second."""
        self._listener.status("watch receipts")
        template = RequestTemplate(
            "patch",
            "configmaps",
            "PATCH",
            "/api/v1/namespaces/default/configmaps/planebench-canary",
            b'{"metadata":{"labels":{"planebench.dev/revision":"__INDEX__"}}}',
            content_type="application/merge-patch+json",
        )
        number, count = self._phases, 50
        await self._execute((template,), [_at(i, 10.0, index=i) for i in range(count)])
        await asyncio.sleep(_SETTLE_S)
        requests = self._rows("requests")
        mine = requests[requests[:, _column("requests", "phase")] == number]
        answered_ns = dict(zip(mine[:, 1].tolist(), mine[:, _column("requests", "done_ns")].tolist(), strict=True))
        seen_ns = {int(name.partition(":")[2]): t_ns for name, t_ns in self._revisions()}
        return Sample.of([(seen_ns[i] - answered_ns[i]) / 1e9 for i in range(count) if i in seen_ns])

    def _revisions(self) -> list[tuple[str, int]]:
        strings = self._strings()
        found = [(strings[code], t_ns) for _, code, t_ns in self._rows("milestones").tolist()]
        return [
            (name, t_ns)
            for name, t_ns in found
            if name.startswith(REVISION_PREFIX) and name.removeprefix(REVISION_PREFIX).isdecimal()
        ]

    # --- the simulator

    async def simulator(self) -> SimulatorLimit:
        """Pods that have a node from the start: no scheduler is involved."""
        self._listener.status("simulator: one pod at a time")
        _, start_s, end_s = await self._play(10.0, 50)
        unloaded = Sample.of((end_s - start_s)[~np.isnan(end_s)])
        workers = Parallelism().pod_stages

        async def attempt(rate_per_s: float) -> Step:
            self._listener.status(f"simulator: {rate_per_s:,.0f} pods/s")
            step = Step(rate_per_s, "")
            for _ in range(_TRIES):
                step = await self._kept_up(rate_per_s, workers)
                if not step.fault:
                    break
            return step

        best, ended_by = await greatest(40.0, attempt)
        return SimulatorLimit(
            pods_per_s=0.0 if best.fault else best.rate_per_s,
            workers=workers,
            unloaded_p50_s=unloaded.percentile(50),
            unloaded_p99_s=unloaded.percentile(99),
            ended_by=ended_by,
        )

    async def _kept_up(self, rate_per_s: float, workers: int) -> Step:
        sent, start_s, end_s = await self._play(rate_per_s, max(round(rate_per_s * _STEP_S), 1))
        queued = float((in_hand(start_s, end_s) >= workers).mean())
        growth = growth_s(start_s, end_s, np.zeros_like(start_s))
        fault = sent.fault
        if not fault and np.isnan(end_s).any():
            fault = f"{int(np.isnan(end_s).sum()):,} pods did not run"
        elif not fault and queued > verdict.MOST_QUEUED:
            fault = f"{queued:.0%} of the pods waited for one of {workers} workers"
        elif not fault and growth > verdict.MOST_GROWTH_S:
            fault = f"its part grew by {growth * 1e3:.0f} ms"
        return Step(rate_per_s, fault)

    async def _play(self, rate_per_s: float, count: int) -> tuple[Step, NDArray[np.float64], NDArray[np.float64]]:
        """How they were sent, and when each pod was seen with its node and as running (NaN: never)."""
        templates = tuple(_pod(f"node-{number:06d}") for number in range(_NODES))
        first = self._pods
        self._pods += count
        operations = [
            Operation(round(i / rate_per_s * 1e9), i % _NODES, first + i, f"calibrate-{first + i:06d}", "default")
            for i in range(count)
        ]
        sent = await self._sent(rate_per_s, templates, operations)
        await self._engine.until(lambda p: p.milestones["pods"]["running"] >= self._pods, _WAIT_S)
        await asyncio.sleep(_SETTLE_S)
        strings = self._strings()
        rows = self._rows("milestones")
        times = {}
        for name in (ADDED, "running"):
            if name in strings:
                mine = rows[rows[:, 1] == strings.index(name)]
                times[name] = dict(zip(mine[:, 0].tolist(), mine[:, 2].tolist(), strict=True))
        running = times.get("running", {})
        # The last ``count`` pods that came; nodes and the canary were there before.
        came = sorted((t_ns, number) for number, t_ns in times.get(ADDED, {}).items())[-count:]
        start_s = np.array([t_ns / 1e9 for t_ns, _ in came])
        end_s = np.array([running[number] / 1e9 if number in running else np.nan for _, number in came])
        return sent, start_s, end_s

    # --- records

    async def _execute(self, templates: tuple[RequestTemplate, ...], operations: list[Operation]) -> Progress:
        phase = LoadPhase(f"calibrate-{self._phases}", None, templates, operations, request_timeout_s=20.0)
        self._phases += 1
        return await self._engine.execute(phase)

    def _rows(self, table: str) -> NDArray[np.int64]:
        width = len(LAYOUT[table])
        values = np.fromfile(self._records / f"{table}.bin", dtype=np.int64)
        return values[: len(values) // width * width].reshape(-1, width)

    def _strings(self) -> list[str]:
        return [json.loads(line) for line in (self._records / "strings.jsonl").read_text().splitlines()]


def _column(table: str, name: str) -> int:
    return LAYOUT[table].index(name)


def _at(number: int, rate_per_s: float, index: int = -1) -> Operation:
    return Operation(round(number / rate_per_s * 1e9), 0, index, "", "")


def _pod(node: str) -> RequestTemplate:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "__NAME__", "labels": {INDEX_LABEL: "__INDEX__"}},
        "spec": {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [{"name": "app", "image": "registry.k8s.io/pause:3.10.1"}],
        },
    }
    path = Resource("", "v1", "pods", "Pod").path("default")
    return RequestTemplate("create", "pods", "POST", path, json.dumps(manifest).encode())


async def _prepare(client: Client, engine: Engine) -> None:
    """Nodes, the canary, and the service account that pods are admitted with."""
    pool = NodePool.model_validate({"name": "node", "count": _NODES})
    async with asyncio.TaskGroup() as group:
        for node in nodes.manifests([pool], load_plane("core")):
            group.create_task(client.create(node))
    await client.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "planebench-canary",
                "namespace": "default",
                "labels": {"planebench.dev/canary": "", "planebench.dev/revision": "none"},
            },
        }
    )
    async with asyncio.timeout(_WAIT_S):
        while True:
            try:
                await client.get("/api/v1/namespaces/default/serviceaccounts/default")
            except ApiError as error:
                if error.status != 404:
                    raise
                await asyncio.sleep(0.1)
            else:
                return
