"""A trial of one object: what status a plane's controller gives it."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from planebench import nodes
from planebench.cluster.local import LocalCluster
from planebench.kube.client import ApiError, Client
from planebench.model import Manifest, UsageError
from planebench.planes import Plane
from planebench.run.listener import Listener
from planebench.run.plane_check import scenario_of
from planebench.run.provision import cluster_config, provide

QUIET_S: Final = 5.0
"""An object whose status has stayed the same for so long is taken to have settled."""
_NODES: Final = 3
_NAMES: Final = {"__NAME__": "trial", "__NAMESPACE__": "planebench-trial", "__INDEX__": "0"}


async def try_object(
    plane: Plane,
    workload: str,
    listener: Listener,
    *,
    timeout_s: float,
    components: Mapping[str, Path] | None = None,
) -> list[dict[str, Any]]:
    """Start a plane's control plane, create one object of a workload, and take down each status that it has, in
    order, until it stays the same for :data:`QUIET_S`. Nothing of it is left.

    Args:
        timeout_s: how long the control plane and the object may take, each.

    Raises:
        UsageError: the descriptor or a binary is wrong, or the API server refuses the object; tells its words.
        ComponentError: a component did not get ready or ended; names it, with its last log lines.
    """
    scenario = scenario_of(plane, _NODES, timeout_s, {})
    config = cluster_config(scenario, plane, await provide(plane, components or {}, listener))
    with tempfile.TemporaryDirectory(prefix="planebench-trial-") as place:
        folder = Path(place)
        async with (
            LocalCluster.start(
                config, folder / "cluster", folder / "logs", time.monotonic_ns(), on_status=listener.status
            ) as cluster,
            Client(cluster.admin) as client,
        ):
            for node in nodes.manifests(scenario.nodes, plane):
                await client.create(node)
            await client.create(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMES["__NAMESPACE__"]}}
            )
            manifest = _filled(plane.manifest(workload))
            try:
                made = await client.create(manifest)
            except ApiError as error:
                raise UsageError(
                    f"the API server refuses the sample object: {error.words}; give one with --sample, or leave "
                    "the trial out with --no-trial and mend the file"
                ) from None
            listener.status(f"{made['kind']} {made['metadata']['name']}: watching its status")
            watching = asyncio.create_task(_statuses(client, await client.collection(manifest), made, timeout_s))
            failing = asyncio.create_task(cluster.failure())
            try:
                await asyncio.wait((watching, failing), return_when=asyncio.FIRST_COMPLETED)
                if failing.done():
                    raise failing.result()
                return watching.result()
            finally:
                watching.cancel()
                failing.cancel()


def _filled(manifest: Manifest) -> dict[str, Any]:
    text = json.dumps(manifest)
    for placeholder, value in _NAMES.items():
        text = text.replace(placeholder, value)
    filled: dict[str, Any] = json.loads(text)
    return filled


async def _statuses(client: Client, collection: str, made: Manifest, timeout_s: float) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = [made["status"]] if made.get("status") else []  # by a default of its schema
    metadata = made["metadata"]
    events = client.watch(
        collection, fieldSelector=f"metadata.name={metadata['name']}", resourceVersion=metadata["resourceVersion"]
    )
    clock = asyncio.get_running_loop().time
    end_s = clock() + timeout_s
    try:
        async with asyncio.timeout_at(end_s) as limit:
            async for kind, item in events:
                status = item.get("status") or {}
                if kind in ("ADDED", "MODIFIED") and status and status != (seen[-1] if seen else None):
                    seen.append(status)
                    limit.reschedule(min(end_s, clock() + QUIET_S))
    except TimeoutError:
        pass
    return seen
