"""Control planes that are kept running: started with their nodes, and described."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from planebench import nodes as simulated
from planebench.binaries import Sources
from planebench.cluster import checkpoint as checkpoints
from planebench.cluster import keeping, named
from planebench.cluster.checkpoint import Checkpoint
from planebench.cluster.local import LocalCluster
from planebench.cluster.named import ClusterRecord, NamedCluster
from planebench.kube.client import ApiError, Client
from planebench.model import ComponentError, ComponentProcess, UsageError
from planebench.nodes import LEASES_PATH, SIMULATOR_LABEL
from planebench.planes import Plane
from planebench.run import provision
from planebench.run.listener import Listener
from planebench.run.provision import cluster_config, no_topology, provide, wanted_components
from planebench.scenario import Scenario, plane_of

_POLL_S: Final = 0.1
_NODES_S: Final = 120.0
_NO_LEASES: Final = "--node-lease-duration-seconds=0"


async def up(
    name: str,
    scenario: Scenario,
    keeper: asyncio.subprocess.Process,
    *,
    nodes: bool,
    components: Mapping[str, Path],
    listener: Listener,
    sources: Sources | None = None,
) -> Path:
    """Start a named cluster as a scenario describes it, with its nodes if they are wanted.

    ``keeper`` is told what to start; it may have been loading its code for a while. Returns the cluster's
    kubeconfig. Where this raises, nothing of the cluster is left.

    Raises:
        UsageError: one of that name is up.
        ComponentError: it, or its nodes, did not get ready in time.
    """
    named.demand_free(name)  # before anything is built
    if wrong := list(no_topology(scenario)):
        raise UsageError("\n".join(wrong))
    plane = plane_of(scenario)
    cluster = await keep(name, scenario, plane, keeper, components, listener, sources)
    try:
        if nodes:
            listener.status(f"adding {scenario.node_count:,} nodes")
            await _add_nodes(cluster, scenario, plane)
            listener.status(f"{scenario.node_count:,} nodes Ready")
    except BaseException:
        await asyncio.shield(asyncio.to_thread(named.stop, name))
        raise
    return cluster.record.kubeconfig


async def keep(
    name: str,
    scenario: Scenario,
    plane: Plane,
    keeper: asyncio.subprocess.Process,
    components: Mapping[str, Path],
    listener: Listener,
    sources: Sources | None = None,
) -> NamedCluster:
    """A named cluster as a scenario describes it, without nodes. Raises UsageError or ComponentError."""
    artifacts = await provide(
        plane,
        components,
        listener,
        names=wanted_components(scenario, plane),
        versions=provision.versions(scenario, plane),
        sources=sources,
    )
    versions = {artifact.name: artifact.version for artifact in artifacts.values()}
    config = cluster_config(scenario, plane, artifacts)
    return await named.start(keeper, name, config, versions, on_status=listener.status)


async def save(checkpoint_name: str, cluster_name: str) -> Checkpoint:
    """Take a checkpoint of a named cluster, which goes on.

    Raises UsageError where the cluster is not up, or there is a checkpoint of that name; ApiError where its API
    server does not answer.
    """
    checkpoints.demand_free(checkpoint_name)
    cluster = named.get(cluster_name)
    async with Client(cluster.admin) as client:
        nodes, pods = [await count(client, path) for path in ("/api/v1/nodes", "/api/v1/pods")]
    return await asyncio.to_thread(checkpoints.save, checkpoint_name, cluster, nodes=nodes, pods=pods)


async def restore(checkpoint_name: str, listener: Listener, *, fork: str | None = None) -> Path:
    """Start a cluster from a checkpoint, and wait until a simulator plays its nodes again; returns its kubeconfig.

    The cluster has the name of the one that the checkpoint was taken of, which is ended where it is up, or the
    name of a ``fork``.

    Raises:
        UsageError: there is no such checkpoint, it cannot be used, or a cluster with the fork's name is up.
        ComponentError: it, or its nodes, did not get ready in time; nothing of it is left but its logs.
    """
    checkpoint = checkpoints.get(checkpoint_name)
    name = fork or checkpoint.cluster
    if fork is not None:
        named.demand_free(name)
    listener.status(f"checking {checkpoint_name}")
    async with keeping.keeper() as keeper:
        await asyncio.to_thread(checkpoints.demand_usable, checkpoint)
        if fork is None and named.folder_of(name).exists():
            listener.status(f"ending cluster {name!r}")
            await asyncio.to_thread(named.stop, name)
        cluster = await named.serve(
            keeper,
            checkpoints.served(checkpoint, name),
            place=functools.partial(checkpoints.place, checkpoint),
            on_status=listener.status,
        )
    try:
        listener.status(f"waiting for {checkpoint.nodes:,} nodes")
        await nodes_played(cluster)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(named.stop, name))
        raise
    return cluster.record.kubeconfig


async def count(client: Client, path: str) -> int:
    """The size of a collection."""
    page = await client.get(path, limit="1")
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


async def nodes_played(cluster: NamedCluster | LocalCluster) -> None:
    """Wait until every simulated node is Ready and has a lease: those of before were removed at the start.

    Raises ComponentError where that takes too long.
    """
    async with Client(cluster.admin) as client:
        items = await client.list_metadata("/api/v1/nodes", labelSelector=SIMULATOR_LABEL)
        names = {item["metadata"]["name"] for item in items}
        await _until_ready(client, names, _NODES_S, "after the restore", leased=_keeps_leases(cluster))


async def _add_nodes(cluster: NamedCluster, scenario: Scenario, plane: Plane) -> None:
    async with Client(cluster.admin) as client:
        names = set()
        async with asyncio.TaskGroup() as group:
            for node in simulated.manifests(scenario.nodes, plane, simulated.simulators(scenario.topology)):
                names.add(node["metadata"]["name"])
                group.create_task(client.create(node))
        limit_s = scenario.timeouts.nodes
        await _until_ready(client, names, limit_s, "(timeouts.nodes)", leased=_keeps_leases(cluster))


def _keeps_leases(cluster: NamedCluster | LocalCluster) -> bool:
    """Whether the simulator keeps the nodes' leases; a flag of it may say otherwise."""
    return not any(_NO_LEASES in process.argv for process in cluster.processes)


async def _until_ready(client: Client, names: set[str], limit_s: float, remark: str, *, leased: bool) -> None:
    """Wait until nodes are Ready and, where they are ``leased``, the simulator has a lease for each. Raises
    ComponentError.

    Leases are counted first, for that costs next to nothing; a LIST of thousands of nodes holds up their start.
    """
    ready: set[str] = set()
    try:
        async with asyncio.timeout(limit_s):
            while leased and await count(client, LEASES_PATH) < len(names):  # noqa: ASYNC110 (no event to wait for)
                await asyncio.sleep(_POLL_S)
            while not names <= ready:
                items = await client.list("/api/v1/nodes", resourceVersion="0")
                ready = {item["metadata"]["name"] for item in items if simulated.is_ready(item)}
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise ComponentError(
            f"{len(names & ready):,} of {len(names):,} nodes Ready within {limit_s:g} s {remark}",
            component="kwok",
        ) from None


async def _count_nodes(client: Client) -> tuple[int, int]:
    """All nodes, and those that are Ready."""
    items = await client.list("/api/v1/nodes", resourceVersion="0")
    return len(items), sum(map(simulated.is_ready, items))


async def describe(name: str | None = None) -> list[dict[str, Any]]:
    """Every named cluster, or one, as plain data: state, nodes, processes with their cost.

    Raises UsageError where there is none of that name.
    """
    records = named.all_clusters()
    if name is not None:
        found = named.find(name)
        if found is None:
            known = ", ".join(record.name for record in records) or "none"
            raise UsageError(f"there is no cluster {name!r}; there are: {known}")
        records = [found]
    return [await _describe(record) for record in records]


async def _describe(record: ClusterRecord) -> dict[str, Any]:
    state = "up" if record.keeper.alive else "failed" if record.failure else "down"
    total: int | None = None
    ready: int | None = None
    if state == "up":
        try:
            async with Client(record.admin) as client:
                total, ready = await _count_nodes(client)
        except ApiError:
            state = "not answering"
    return {
        "name": record.name,
        "state": state,
        "plane": record.plane,
        "settings": record.settings,
        "started_wall_s": record.started_wall_s,
        "failure": record.failure,
        "kubeconfig": str(record.kubeconfig),
        "server": record.admin.url,
        "logs": str(record.logs),
        "versions": record.versions,
        "start_s": record.timeline_s,
        "nodes": total,
        "nodes_ready": ready,
        "processes": [_process(process) for process in record.processes],
    }


def _process(process: ComponentProcess) -> dict[str, Any]:
    cpu_s: float | None = None
    rss_bytes: int | None = None
    try:
        handle = psutil.Process(process.pid)
        if handle.cmdline()[:1] == [process.argv[0]]:  # and not a later process of the same number
            times = handle.cpu_times()
            cpu_s, rss_bytes = round(times.user + times.system, 2), handle.memory_info().rss
    except psutil.Error:
        pass
    return {"name": process.name, "pid": process.pid, "cpu_s": cpu_s, "rss_bytes": rss_bytes}
