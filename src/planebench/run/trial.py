"""One run of a scenario: the only place where all parts meet."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from planebench import __version__, units
from planebench.binaries import Artifact, Sources
from planebench.cluster import checkpoint as checkpoints
from planebench.cluster import existing as beside
from planebench.cluster import keeping, named
from planebench.cluster.checkpoint import Checkpoint
from planebench.cluster.existing import ExistingCluster, ExistingConfig
from planebench.cluster.local import LocalCluster
from planebench.cluster.named import NamedCluster
from planebench.components import Audit, Layout
from planebench.components.audit import audit_id
from planebench.kube.client import ApiError, Client
from planebench.kube.etcd import EtcdError
from planebench.load import Engine, connections_for
from planebench.load.spread import LOCAL_LEAD_S, Load, Sender, spread
from planebench.load.workers import LEAD_S as REMOTE_LEAD_S
from planebench.load.workers import workers
from planebench.model import ComponentProcess, ExitCode, PlanebenchError, Progress, Stage, UsageError
from planebench.observe import clock
from planebench.observe.machine import MachineSampler
from planebench.observe.processes import ProcessSampler, harness_process
from planebench.observe.profiles import ProfileTaker
from planebench.observe.scrapes import MetricsScraper
from planebench.observe.traffic import TrafficSampler
from planebench.plan import CANARY, LEASES, NODES, Planner, canary, pinned
from planebench.planes import Plane
from planebench.results import RunFolder
from planebench.results.document import Status
from planebench.run import consistency, environment, existing, leftovers, restored, waiting
from planebench.run.existing import Target
from planebench.run.faults import Conditions, Faults, Surroundings, unavailable
from planebench.run.lifecycle import START, Lifecycle
from planebench.run.listener import Listener, Silent
from planebench.run.provision import cluster_config, no_topology, provide, versions, wanted_components
from planebench.run.record import Recorder
from planebench.scenario import NodeFault, Scenario, plane_of
from planebench.slis.catalog import check as check_slos

Cluster = LocalCluster | NamedCluster | ExistingCluster

_SCRAPE_PERIOD_S: Final = 5.0
_SHORTEST_PROFILE_S: Final = 10.0
_LONGEST_PROFILE_S: Final = 30.0
_MANY: Final = 1000
"""Senders: with so many, or nothing of its own to send, an engine opens as few connections as it can."""
_STILL_S: Final = 1.0
"""Nothing is asked for any more: time for the last watch events to arrive."""
_RAN_OUT: Final = "the run's time is over: {limit} (timeouts.run, or --timeout)"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is made of, beside its scenario and its folder."""

    seed: int | None = None
    """None: the scenario's own."""
    components: Mapping[str, Path] = field(default_factory=dict)
    """Component -> a binary of one's own."""
    sources: Sources = field(default_factory=Sources)
    """Where the other components may come from."""
    timeout_s: float | None = None
    """None: the scenario's own."""
    keep_up: str | None = None
    """Run on a named cluster of this name, and leave it up."""
    metrics: bool = True
    """Scrape the components; without, the run has no figures of theirs."""
    audit: bool = False
    """Let each API server write down whose every request was."""
    trace: bool = False
    """Follow each object's way through the components; implies ``audit``."""
    profile: bool = False
    """Take CPU and heap profiles of the components while objects are created."""
    load_processes: int = 1
    """How many send the load. More than one: another one watches."""
    workers: str = ""
    """A Dask scheduler, whose workers send the load."""
    workers_api_host: str = ""
    """By which name these reach the API server; empty: by the same as we."""

    checkpoint: Checkpoint | None = None
    """Start from this state; None: from an empty control plane."""

    target: Target | None = None
    """Run on this cluster of others; None: on a control plane of planebench's own."""

    @property
    def audited(self) -> bool:
        return self.audit or self.trace


@dataclass(frozen=True, slots=True)
class SharedControlPlane:
    """A control plane that several runs use, one after the other: nodes and namespaces stay from run to run."""

    cluster: LocalCluster
    artifacts: Mapping[str, Artifact]
    run_id: str
    """Of all its runs: the nodes carry it, and every run watches them by it."""


async def run(
    scenario: Scenario,
    out: Path,
    options: RunOptions | None = None,
    listener: Listener | None = None,
    *,
    on: SharedControlPlane | None = None,
) -> RunFolder:
    """Run a scenario on a control plane of its own, or ``on`` one that goes on, into a new run folder.

    The folder is complete when this returns. Where it raises after the folder was made, the folder holds what was
    seen until then, and ``run.json`` says how it ended.

    Raises:
        UsageError: the scenario, an option or the folder is wrong; nothing was started.
        ComponentError: a component could not be built, did not start, or ended during the run.
        PlanebenchError: the run ran out of its time, or no object could be created.
    """
    options, listener = options or RunOptions(), listener or Silent()
    demand_possible(scenario, options)
    plane = plane_of(scenario)
    started = datetime.now(UTC)
    folder = RunFolder.create(out)
    try:
        artifacts = on.artifacts if on else await _provide(scenario, plane, options, listener)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)  # nothing was started
        raise
    trial = _Trial(scenario, plane, options, folder, artifacts, started, listener, on)
    await trial.run()
    return folder


def demand_possible(scenario: Scenario, options: RunOptions) -> None:
    """Raises UsageError, with a line for each thing, where a scenario cannot be run so."""
    if options.workers and options.load_processes > 1:
        raise UsageError("--workers, --load-processes: the load is sent by workers or by processes here, not both")
    if options.target is not None:
        if options.audited or options.profile or options.keep_up:
            raise UsageError(
                "--audit, --trace, --profile and --keep-up are for control planes that planebench has started"
            )
        if foreign := sorted(options.components.keys() - set(beside.COMPONENTS)):
            raise UsageError(f"--component {foreign[0]}: components of an existing cluster are its own")
        options.target.preflight.demand()
    if options.checkpoint is not None:
        if options.target is not None or options.keep_up is not None:
            raise UsageError("--from is for control planes that are planebench's own, and end with the run")
        restored.demand_fitting(options.checkpoint, scenario)
    if options.keep_up is not None:
        if options.audited or options.profile:
            raise UsageError("--keep-up: a cluster that stays up is neither audited nor profiled; leave one out")
        named.demand_free(options.keep_up)
    conditions = Conditions(kept=options.keep_up is not None, elsewhere=options.target is not None)
    if wrong := [*check_slos(scenario.slos), *unavailable(scenario, conditions), *no_topology(scenario)]:
        raise UsageError("\n".join(wrong))


async def _provide(
    scenario: Scenario, plane: Plane, options: RunOptions, listener: Listener
) -> dict[str, Artifact]:
    return await provide(
        plane,
        options.components,
        listener,
        names=wanted_components(scenario, plane) if options.target is None else beside.COMPONENTS,
        versions=versions(scenario, plane),
        sources=options.sources,
    )


class _Trial:
    """Everything that a run holds while it goes on."""

    def __init__(
        self,
        scenario: Scenario,
        plane: Plane,
        options: RunOptions,
        folder: RunFolder,
        artifacts: Mapping[str, Artifact],
        started: datetime,
        listener: Listener,
        shared: SharedControlPlane | None = None,
    ) -> None:
        self._plane = plane
        self._folder = folder
        self._artifacts = artifacts
        self._listener = listener
        self._options = options
        self._keep_up = options.keep_up
        self._timeout_s = options.timeout_s or scenario.timeouts.run
        self._seed = scenario.seed if options.seed is None else options.seed
        self._shared = shared
        self._run_id = shared.run_id if shared else f"{scenario.name.lower()[:40]}-{secrets.token_hex(4)}"
        self._target = options.target
        self._scenario = scenario if options.target is None else pinned(scenario, plane, self._run_id)
        self._t0_ns = time.monotonic_ns()
        folder.write_scenario(self._scenario)
        folder.write_plane(plane)
        if options.target is not None:  # also for a run that breaks before it has anything to tell of itself
            folder.write_environment(self._of_target())
        header = {
            "id": self._run_id,
            "scenario": scenario.name,
            "seed": self._seed,
            "started_wall": started.isoformat(timespec="seconds"),
            "planebench_version": __version__,
        }
        self._record = Recorder(folder, header, self._t0_ns, listener)
        self._stuck: list[dict[str, Any]] = []
        """What had failed or waited, stage by stage."""
        self._sampler: ProcessSampler | None = None
        """None until processes are sampled; the engine reports before."""

    async def run(self) -> None:
        status: Status = "broken"
        error: str | None = None
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._run()
            except TimeoutError:
                limit = units.format_duration(self._timeout_s)
                raise PlanebenchError(_RAN_OUT.format(limit=limit)) from None
            status = "completed"
        except asyncio.CancelledError:
            status = "interrupted"
            raise
        except PlanebenchError as failure:
            status = "interrupted" if failure.exit_code is ExitCode.INTERRUPTED else "broken"
            error = str(failure)
            raise
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
            raise
        finally:
            self._record.close(status, error)

    async def _run(self) -> None:
        async with self._cluster() as cluster:
            self._write_environment(cluster)
            await self._alongside(cluster)

    @contextlib.asynccontextmanager
    async def _cluster(self) -> AsyncIterator[Cluster]:
        """A control plane of the run's own, or one that stays."""
        if self._shared is not None:
            yield self._shared.cluster
            return
        if self._target is not None:
            async with self._beside(self._target) as cluster:
                yield cluster
            return
        config = cluster_config(
            self._scenario,
            self._plane,
            self._artifacts,
            audit=self._audit(),
            profiling=self._options.profile,
        )
        if self._keep_up is not None:
            versions = {artifact.name: artifact.version for artifact in self._artifacts.values()}
            async with keeping.keeper() as keeper:
                kept = await named.start(keeper, self._keep_up, config, versions, on_status=self._listener.status)
            try:
                yield kept
            finally:
                for log in kept.record.logs.iterdir():
                    shutil.copyfile(log, self._folder.logs / log.name)
            return
        folder = self._folder.path / "cluster"
        try:
            if (checkpoint := self._options.checkpoint) is not None:
                await asyncio.to_thread(checkpoints.place, checkpoint, Layout(folder))
                config = replace(config, restored=True)
            async with LocalCluster.start(
                config, folder, self._folder.logs, self._t0_ns, on_status=self._listener.status
            ) as own:
                yield own
        finally:
            # Keys and data of a control plane that is gone are of no use to anyone.
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def _beside(self, target: Target) -> AsyncIterator[ExistingCluster]:
        """A cluster of others, from which everything is removed again."""
        kwok = self._artifacts["kwok"]
        options = self._scenario.components.get("kwok")
        config = ExistingConfig(
            plane=self._plane,
            binary=kwok.path,
            version=kwok.version,
            run_id=self._run_id,
            scenario=self._scenario.name,
            flags=options.flags if options else {},
            objects=existing.flow_schema(target, self._run_id),
            timeout_s=self._scenario.timeouts.cluster,
        )
        folder = self._folder.path / "cluster"
        cluster = ExistingCluster(target.login, config, folder, self._folder.logs, self._t0_ns)
        try:
            async with cluster.running(self._listener.status):
                yield cluster
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if told := existing.left_behind(target, cluster):
                self._record.leave_behind(told)

    def _audit(self) -> Audit | None:
        if not self._options.audited:
            return None
        logs = self._folder.audit_logs.resolve()
        logs.mkdir(parents=True)
        return Audit(logs, owners=self._options.trace)

    async def _alongside(self, cluster: Cluster) -> None:
        """The lifecycle; it ends at once when a component does."""
        going_on = asyncio.create_task(self._measure(cluster), name="lifecycle")
        failing = asyncio.create_task(cluster.failure(), name="supervision")
        try:
            await asyncio.wait((going_on, failing), return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise failing.result()
            await going_on
        finally:
            failing.cancel()
            going_on.cancel()
            await asyncio.gather(going_on, failing, return_exceptions=True)

    async def _measure(self, cluster: Cluster) -> None:
        listener = self._listener
        planner = Planner(
            self._scenario,
            self._plane,
            run_id=self._run_id,
            seed=self._seed,
            owner=cluster.owner if isinstance(cluster, ExistingCluster) else None,
        )

        async with (
            Client(cluster.admin, user_agent="planebench-scrape") as metrics,
            self._load(cluster) as engine,
            self._logged_in(cluster, engine),
            self._sampling(cluster, engine),
            self._scraping(cluster, metrics) as scraper,
            _going_on(scraper.every(_SCRAPE_PERIOD_S) if self._options.metrics else _nothing()),
            _going_on(
                clock.record(self._folder.raw / "clock.csv", self._t0_ns) if self._options.audited else _nothing()
            ),
            self._profiling(cluster, planner) as profile,
            Client(cluster.admin) as client,
        ):

            async def boundary(name: str) -> None:
                if self._options.metrics:
                    await scraper.scrape(name)
                if name == START:
                    profile()

            life = Lifecycle(
                self._scenario,
                self._plane,
                planner,
                engine,
                self._record,
                boundary,
                lambda: leftovers.find(
                    client, self._run_id, self._scenario.namespaces, everywhere=self._target is None
                ),
                client,
                Faults(Surroundings(self._scenario, planner, cluster, client), engine, self._record),
                lambda: self._read_consistency(cluster, planner),
                lambda stage: self._read_waiting(client, planner, stage),
            )
            if (checkpoint := self._options.checkpoint) is not None:
                assert isinstance(cluster, LocalCluster)  # noqa: S101 (no other one starts from a checkpoint)
                listener.status(f"control plane ready, waiting for the {checkpoint.nodes:,} nodes of before")
                await restored.take_over(cluster, client, self._scenario, self._run_id)
            listener.status(f"control plane ready, adding {self._scenario.node_count:,} nodes")
            await life.prepare(again=self._shared is not None or checkpoint is not None)
            listener.status(f"{self._scenario.node_count:,} nodes Ready after {self._record.now_ns() / 1e9:.1f} s")
            self._folder.write_leftovers(await life.run())
            if self._target is not None:
                await existing.take_over(self._target, self._plane, scraper, self._folder.scrapes, self._t0_ns)

    @contextlib.asynccontextmanager
    async def _load(self, cluster: Cluster) -> AsyncIterator[Load]:
        """One engine that watches and sends; or one that watches, and several that send."""
        options, path, t0_ns = self._options, self._folder.path, self._t0_ns
        audit = audit_id(self._run_id) if options.trace else ""
        start = functools.partial(Engine.start, cluster.load, path, t0_ns, audit_id=audit)
        async with contextlib.AsyncExitStack() as stack:
            if options.load_processes == 1 and not options.workers:
                alone = start(connections=self._connections(1), on_progress=self._progress)
                yield await stack.enter_async_context(alone)
                return
            observer = await stack.enter_async_context(start(connections=self._connections(_MANY)))
            senders: list[Sender] = []
            lead_s = LOCAL_LEAD_S
            if options.workers:
                there = workers(
                    options.workers,
                    cluster.load,
                    path,
                    t0_ns,
                    api_host=options.workers_api_host,
                    connections=self._connections,
                    audit_id=audit,
                )
                senders += await stack.enter_async_context(there)
                lead_s = REMOTE_LEAD_S
            else:
                several = self._connections(options.load_processes)
                for number in range(1, options.load_processes + 1):
                    engine = start(name=f"sender-{number}", connections=several)
                    senders.append(await stack.enter_async_context(engine))
            together = spread(observer, senders, path, t0_ns, lead_s=lead_s, on_progress=self._progress)
            yield await stack.enter_async_context(together)

    def _connections(self, senders: int) -> int:
        """How many each of so many senders opens beforehand."""
        return connections_for(self._peak_per_s / senders)

    async def _read_consistency(self, cluster: Cluster, planner: Planner) -> None:
        """After faults of components: etcd's truth, for all that was acknowledged and shown to be held against."""
        struck = any(not isinstance(fault, NodeFault) for fault in self._scenario.faults)
        if not struck or not isinstance(cluster, LocalCluster):
            return
        workloads = [kind.workload for kind in planner.kinds]
        watches = dict.fromkeys(name for item in workloads for name in (item.tracked, item.bound.watch))
        resources = [self._plane.watches[name].resource.resource() for name in watches]
        await asyncio.sleep(_STILL_S)
        now_ns = self._record.now_ns()
        try:
            found = await consistency.read(
                cluster.etcd,
                cluster.api_servers,
                [resource for resource in resources if resource.namespaced],
                self._scenario.namespaces,
                canary.paths(self._scenario),
                now_ns,
            )
        except (EtcdError, ApiError) as error:
            found = {"t_ns": now_ns, "error": str(error)}
        self._folder.write_consistency(found)

    async def _read_waiting(self, client: Client, planner: Planner, stage: Stage) -> None:
        """What has failed or still waits at a stage's end; a control plane that does not answer tells nothing."""
        watches = [spec for spec in planner.watches() if spec.name not in (NODES, LEASES, CANARY)]
        with contextlib.suppress(ApiError):
            objects = await waiting.read(client, watches, self._scenario.namespaces)
            self._stuck.append({"stage": stage, "objects": objects})
            self._folder.write_stuck(self._stuck)

    @contextlib.asynccontextmanager
    async def _logged_in(self, cluster: Cluster, engine: Load) -> AsyncIterator[None]:
        """The credentials of a kubeconfig are renewed meanwhile."""
        if not isinstance(cluster, ExistingCluster):
            yield
            return
        login = cluster.login
        renewals: set[asyncio.Task[bool]] = set()

        def renew() -> None:
            task = asyncio.create_task(login.renew())
            renewals.add(task)
            task.add_done_callback(renewals.discard)

        login.on_renewed = engine.authorize
        engine.on_unauthorized = renew
        try:
            async with _going_on(login.keep()):
                yield
        finally:
            login.on_renewed = None
            await asyncio.gather(*renewals, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _scraping(self, cluster: Cluster, client: Client) -> AsyncIterator[MetricsScraper]:
        """Of a cluster of others, what its API server, and Prometheus, tell."""
        target = self._target
        sources = existing.sources(target, client) if target else []
        yield MetricsScraper(lambda: cluster.answering, self._folder.scrapes, self._t0_ns, sources)

    @contextlib.asynccontextmanager
    async def _profiling(self, cluster: Cluster, planner: Planner) -> AsyncIterator[Callable[[], None]]:
        """Gives what starts the profiles, where they are wanted; they are whole when this ends in order."""
        taker = ProfileTaker(lambda: cluster.processes, self._folder.profiles, self._t0_ns)
        taking: list[asyncio.Task[None]] = []

        def start() -> None:
            if self._options.profile:
                creation_s = planner.creation().operations[-1].due_ns / 1e9
                duration_s = min(max(creation_s, _SHORTEST_PROFILE_S), _LONGEST_PROFILE_S)
                self._listener.status(f"profiling all components for {duration_s:.0f} s")
                taking.append(asyncio.create_task(taker.take(duration_s)))

        try:
            yield start
            await asyncio.gather(*taking)
        finally:
            for task in taking:
                task.cancel()

    @property
    def _peak_per_s(self) -> float:
        lifecycle = self._scenario.lifecycle
        return max(lifecycle.creation.arrival.peak_per_s, lifecycle.cleanup.rate)

    @contextlib.asynccontextmanager
    async def _sampling(self, cluster: Cluster, engine: Load) -> AsyncIterator[None]:
        own = [harness_process(name, pid) for name, pid in {"planebench": os.getpid(), **engine.processes}.items()]
        raw = self._folder.raw

        def processes() -> list[ComponentProcess]:
            return [*cluster.processes, *own]

        with (
            contextlib.closing(MachineSampler(raw / "machine.csv", self._t0_ns)) as machine,
            contextlib.closing(TrafficSampler(processes, raw / "traffic.csv", self._t0_ns)) as traffic,
        ):

            def also() -> None:
                machine.sample()
                traffic.sample()

            sampler = ProcessSampler(processes, raw / "samples.csv", self._t0_ns, also=also)
            self._sampler = sampler
            async with _going_on(sampler.run()):
                yield

    def _progress(self, progress: Progress) -> None:
        self._listener.progress(progress)
        if self._sampler is not None:
            self._listener.processes(self._sampler.newest, self._sampler.cpu_cores)

    def _write_environment(self, cluster: Cluster) -> None:
        checkpoint = self._options.checkpoint
        self._folder.write_environment(
            {
                "machine": environment.machine(cluster.etcd_data),
                "harness": environment.harness(),
                "simulator": environment.simulator(self._plane, self._scenario.topology.get("kwok", 1)),
                "calibration": environment.calibration(),
                "components": environment.components(self._artifacts.values()),
                "processes": environment.processes(cluster.processes),
                "deviations": [*cluster.deviations, *([restored.description(checkpoint)] if checkpoint else [])],
                "settings": dict(self._plane.settings),
                "start_s": cluster.timeline_s,
                **self._of_target(),
            }
        )

    def _of_target(self) -> dict[str, Any]:
        if self._target is None:
            return {}
        return {
            "cluster": existing.described(self._target),
            "unseen": existing.unseen(self._target, self._plane),
        }


async def _nothing() -> None:
    """For what is not wanted."""


@contextlib.asynccontextmanager
async def _going_on(work: Any) -> AsyncIterator[None]:
    """Work that goes on meanwhile; its failure shows at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def default_folder(scenario: Scenario) -> Path:
    """A new folder below ``planebench-runs``; runs of one second get a number each."""
    base = Path("planebench-runs") / f"{scenario.name}-{datetime.now():%Y%m%d-%H%M%S}"
    folder, number = base, 2
    while folder.exists():
        folder = base.with_name(f"{base.name}-{number}")
        number += 1
    return folder
