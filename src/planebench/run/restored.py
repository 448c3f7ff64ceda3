"""Runs that start from a checkpoint: what they demand of it, and how its nodes become theirs."""

from __future__ import annotations

import asyncio

from planebench.cluster import checkpoint as checkpoints
from planebench.cluster.checkpoint import Checkpoint
from planebench.cluster.local import LocalCluster
from planebench.kube.client import Client
from planebench.model import UsageError
from planebench.nodes import SIMULATOR, SIMULATOR_LABEL
from planebench.plan import RUN_LABEL
from planebench.run.kept import nodes_played
from planebench.scenario import Scenario, plane_of


def demand_fitting(checkpoint: Checkpoint, scenario: Scenario) -> None:
    """Raises UsageError where a scenario cannot start from a checkpoint, or its files are damaged."""
    plane = plane_of(scenario)
    what = f"--from {checkpoint.name}"
    if checkpoint.plane != plane.name:
        raise UsageError(f"{what}: is of plane {checkpoint.plane}, the scenario's is {plane.name}")
    kept = checkpoint.served.config.get("settings", {})
    differing = sorted(name for name, value in plane.settings.items() if kept.get(name, value) != value)
    if differing:
        name = differing[0]
        raise UsageError(
            f"{what}: has {name}={kept[name]}, the scenario {plane.settings[name]}, and its objects depend on it; "
            f"give --set settings.{name}={kept[name]}"
        )
    if scenario.topology.get("etcd", 1) > 1:
        raise UsageError(f"{what}: is of one member of etcd; leave topology.etcd out")
    players = checkpoint.served.config.get("topology", {}).get(SIMULATOR, 1)
    if (wanted := scenario.topology.get(SIMULATOR, 1)) != players:
        raise UsageError(
            f"{what}: its nodes are shared out among {players} {SIMULATOR}, the scenario's among {wanted}; "
            f"give --set topology.{SIMULATOR}={players}"
        )
    checkpoints.demand_whole(checkpoint)


def description(checkpoint: Checkpoint) -> str:
    """For those who read a run's figures."""
    return (
        f"started from checkpoint {checkpoint.name} ({checkpoint.nodes:,} nodes, {checkpoint.pods:,} pods), "
        "with empty caches"
    )


async def take_over(cluster: LocalCluster, client: Client, scenario: Scenario, run_id: str) -> None:
    """Wait until the checkpoint's nodes are played again, and make those the run's that have the names of its own.

    The other ones stay as they are, and take pods, too. Raises ComponentError where some are not played in time.
    """
    await nodes_played(cluster)
    items = await client.list_metadata("/api/v1/nodes", labelSelector=SIMULATOR_LABEL)
    there = {item["metadata"]["name"] for item in items}
    wanted = {pool.node(number) for pool in scenario.nodes for number in range(pool.count)}
    labels = {"metadata": {"labels": {RUN_LABEL: run_id}}}
    async with asyncio.TaskGroup() as group:
        for name in there & wanted:
            group.create_task(client.patch(f"/api/v1/nodes/{name}", labels))
