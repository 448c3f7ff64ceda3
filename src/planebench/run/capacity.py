"""A capacity search on real control planes: runs a step, has it judged, goes on to the next."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from planebench import nodes as simulated
from planebench.binaries import Artifact, Sources
from planebench.capacity import CapacityFolder, Step, levels
from planebench.capacity.search import show
from planebench.cluster import existing as beside
from planebench.cluster.local import LocalCluster
from planebench.kube.client import Client
from planebench.model import ComponentError, UsageError
from planebench.results import RunFolder
from planebench.run.existing import Existing, reach_if_any
from planebench.run.listener import Listener, Silent
from planebench.run.provision import cluster_config, provide, versions, wanted_components
from planebench.run.trial import RunOptions, SharedControlPlane, run
from planebench.scenario import Scenario, plane_of
from planebench.slis.catalog import check as check_slos

_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What is no part of a search's plan."""

    components: Mapping[str, Path] = field(default_factory=dict)
    """Component -> a binary of one's own."""
    sources: Sources = field(default_factory=Sources)
    """Where all others may come from."""
    elsewhere: Existing | None = None
    """A cluster of others, whose context the plan names; None: control planes of planebench's own."""
    on_step: Callable[[Step], None] = lambda _: None
    """Called with every step, once it is judged."""


async def search_capacity(
    scenario: Scenario,
    folder: CapacityFolder,
    options: SearchOptions | None = None,
    listener: Listener | None = None,
) -> None:
    """Search until the folder's search has ended; where it had begun before, it goes on.

    Raises:
        UsageError: the scenario or the plan is wrong; nothing was started.
        ComponentError: a component could not be built, did not start, or ended during a step.
        PlanebenchError: a step ran out of its time, or no object could be created in it.
    """
    options, listener = options or SearchOptions(), listener or Silent()
    if faults := list(check_slos(scenario.slos)):
        raise UsageError("\n".join(faults))
    levels.check(scenario, folder.capacity.plan)
    if folder.next_level() is None:
        return
    plane = plane_of(scenario)
    artifacts = await provide(
        plane,
        options.components,
        listener,
        names=beside.COMPONENTS if options.elsewhere else wanted_components(scenario, plane),
        versions=versions(scenario, plane),
        sources=options.sources,
    )
    await _Search(scenario, folder, options, artifacts, listener).run()


class _Search:
    """Everything that a search holds while it goes on."""

    def __init__(
        self,
        scenario: Scenario,
        folder: CapacityFolder,
        options: SearchOptions,
        artifacts: Mapping[str, Artifact],
        listener: Listener,
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._options = options
        self._artifacts = artifacts
        self._listener = listener
        self._plan = folder.capacity.plan
        self._shared: SharedControlPlane | None = None
        self._running = contextlib.AsyncExitStack()

    async def run(self) -> None:
        try:
            while (level := self._folder.next_level()) is not None:
                step = await self._step(level)
                self._options.on_step(step)
        finally:
            await self._running.aclose()

    async def _step(self, level: float) -> Step:
        scenario = levels.at(self._scenario, self._plan, level)
        number = len(self._folder.capacity.steps) + 1
        self._listener.status(f"step {number}: {show(self._plan.of, level)}, {scenario.workload.count:,} objects")
        elsewhere = self._options.elsewhere
        if elsewhere is not None and number > 1:
            await asyncio.sleep(self._plan.settle_s)
        on = None if elsewhere or self._plan.fresh else await self._control_plane(scenario)
        async with reach_if_any(elsewhere, scenario) as target:
            out = self._folder.start()
            options = RunOptions(components=self._options.components, sources=self._options.sources, target=target)
            found = await run(scenario, out, options, self._listener, on=on)
        if on is not None and found.leftovers():
            # What is left of one step must not be load of the next.
            self._listener.status("objects are left over: the next step gets a new control plane")
            await self._stop()
        step = await asyncio.to_thread(_judge, out, number, level)
        self._folder.end(step, RunFolder(out).environment())
        return step

    async def _control_plane(self, scenario: Scenario) -> SharedControlPlane:
        """The one that goes on, at rest; with the nodes that the step is to have, and no others."""
        if self._shared is None:
            self._shared = await self._start()
        else:
            await asyncio.sleep(self._plan.settle_s)
        await self._remove_nodes(scenario, self._shared.cluster)
        return self._shared

    async def _start(self) -> SharedControlPlane:
        config = cluster_config(
            self._scenario,
            plane_of(self._scenario),
            self._artifacts,
        )
        place, logs = self._folder.path / "cluster", self._folder.path / "logs"
        shutil.rmtree(place, ignore_errors=True)  # a search that was killed may have left it
        logs.mkdir(exist_ok=True)
        self._running.callback(shutil.rmtree, place, ignore_errors=True)
        cluster = await self._running.enter_async_context(
            LocalCluster.start(config, place, logs, time.monotonic_ns(), on_status=self._listener.status)
        )
        return SharedControlPlane(cluster, self._artifacts, self._folder.capacity.id)

    async def _stop(self) -> None:
        await self._running.aclose()
        self._running, self._shared = contextlib.AsyncExitStack(), None

    async def _remove_nodes(self, scenario: Scenario, cluster: LocalCluster) -> None:
        """Nodes of earlier steps that this one is not to have."""
        plane = plane_of(scenario)
        wanted = {node["metadata"]["name"] for node in simulated.manifests(scenario.nodes, plane)}
        limit_s = scenario.timeouts.nodes
        async with Client(cluster.admin) as client:
            superfluous = await _node_names(client) - wanted
            await asyncio.gather(*(client.delete(f"/api/v1/nodes/{name}") for name in superfluous))
            try:
                async with asyncio.timeout(limit_s):
                    while await _node_names(client) - wanted:  # noqa: ASYNC110 (no event to wait for)
                        await asyncio.sleep(_POLL_S)
            except TimeoutError:
                raise ComponentError(
                    f"nodes of an earlier step are still there after {limit_s:g} s (timeouts.nodes)"
                ) from None


async def _node_names(client: Client) -> set[str]:
    return {node["metadata"]["name"] for node in await client.list_metadata("/api/v1/nodes")}


def _judge(out: Path, number: int, level: float) -> Step:
    from planebench.capacity.step import judge  # scipy: half a second that other commands save

    return judge(out, number, level)
