"""How a control plane comes back with all its objects: forks of a checkpoint, watched until nothing is left to do.

Every component starts with empty caches at the same time, lists everything and watches it from then on; every node
has to be played anew, and every controller looks at every object once. That is what follows a power cut.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from planebench.cluster import checkpoint as checkpoints
from planebench.cluster import named
from planebench.cluster.checkpoint import Checkpoint
from planebench.cluster.local import LocalCluster, first_fault
from planebench.components import Layout
from planebench.kube.client import ApiError, Client, plain_reason, tls_context
from planebench.model import ComponentError, Endpoint, PlanebenchError
from planebench.nodes import LEASES_PATH, SIMULATOR_LABEL
from planebench.observe.processes import peak_rss_bytes
from planebench.observe.scrapes import fetch
from planebench.planes import load_plane
from planebench.run.herd import Herd
from planebench.run.kept import count, nodes_played
from planebench.run.listener import Listener
from planebench.slis.exposition import parse

_POLL_S: Final = 0.05
_LIMIT_S: Final = 180.0
_NAMESPACE: Final = "planebench-recovery"
_OF_REQUESTS: Final = (
    "apiserver_request_total",
    "apiserver_longrunning_requests",
    "apiserver_response_sizes_sum",
    "apiserver_request_duration_seconds_sum",
    "apiserver_request_duration_seconds_count",
)
_DEPTH: Final = "workqueue_depth"
Done = Callable[[str], None]
"""Told of a step when it is done."""


@dataclass(frozen=True, slots=True)
class ApiLoad:
    """What the API servers were asked since their start, by their own metrics."""

    requests: dict[str, int]
    """Verb -> requests; a WATCH counts when it is over."""
    watches: int
    """Those that go on."""
    rejected: int
    """By priority and fairness, or for being too many."""
    list_bytes: int
    """Of all answers to LISTs."""
    list_mean_s: float
    """How long a LIST took; 0 where there was none."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """One fork's way back."""

    steps_s: dict[str, float]
    """Step -> seconds from the first process's start until it was done."""
    load: ApiLoad
    """Until everything was done."""
    cpu_s: dict[str, float]
    """Process -> CPU seconds until then."""
    peak_bytes: dict[str, int]
    """Process -> the most memory that it had until then."""
    own_cpu_s: float
    """Of planebench, with the further clients: on the same machine, so the control plane does not have it."""


def api_load(expositions: Iterable[str]) -> ApiLoad:
    """Sums up the metrics of API servers, each in the text exposition format.

    Source of the names: kubernetes v1.37.2, staging/src/k8s.io/apiserver/pkg/endpoints/metrics.
    """
    requests: Counter[str] = Counter()
    watches = rejected = 0
    sums: defaultdict[str, float] = defaultdict(float)
    for text in expositions:
        for name, series in parse(text.encode(), _OF_REQUESTS).samples.items():
            for pairs, value in series.items():
                labels = dict(pairs)
                verb = labels.get("verb", "")
                match name:
                    case "apiserver_request_total":
                        requests[verb] += int(value)
                        rejected += int(value) if labels.get("code") == "429" else 0
                    case "apiserver_longrunning_requests" if verb == "WATCH":
                        watches += int(value)
                    case (
                        "apiserver_response_sizes_sum"
                        | "apiserver_request_duration_seconds_sum"
                        | "apiserver_request_duration_seconds_count"
                    ) if verb == "LIST":
                        sums[name] += value
    lists = sums["apiserver_request_duration_seconds_count"]
    return ApiLoad(
        requests=dict(requests.most_common()),
        watches=watches,
        rejected=rejected,
        list_bytes=int(sums["apiserver_response_sizes_sum"]),
        list_mean_s=sums["apiserver_request_duration_seconds_sum"] / lists if lists else 0.0,
    )


def queued(exposition: str) -> int:
    """How many objects wait in a controller manager's queues."""
    depths = parse(exposition.encode(), (_DEPTH,)).samples.get(_DEPTH, {})
    return int(sum(depths.values()))


async def recover(checkpoint: Checkpoint, listener: Listener, *, clients: int = 0, seed: int = 1) -> Recovery:
    """Start a control plane from a checkpoint, and watch it until every node is played, controllers act and have
    nothing left to look at, and all ``clients`` are in sync; it is ended then.

    Args:
        clients: so many further ones list and watch all pods from the moment at which the API server is ready.
        seed: of how long each of them waits after it was refused.

    Raises:
        UsageError: the checkpoint is damaged, or a binary is gone.
        ComponentError: it, or its nodes, did not come back in time.
    """
    await asyncio.to_thread(checkpoints.demand_usable, checkpoint)
    served = checkpoints.served(checkpoint, "recovery")
    settings = served.config.pop("settings")
    plane = load_plane(served.plane, settings)
    config = named.decode_cluster_config(served, plane=plane)
    with tempfile.TemporaryDirectory(prefix="planebench-recovery-") as place:
        layout = Layout(Path(place) / "cluster")
        await asyncio.to_thread(checkpoints.place, checkpoint, layout)
        steps_s: dict[str, float] = {}
        begun_s, begun_cpu_s = time.monotonic(), time.process_time()

        def done(step: str) -> None:
            steps_s[step] = round(time.monotonic() - begun_s, 3)

        def synced(count: int) -> None:
            if count == (clients + 1) // 2:
                done("half of the clients in sync")
            if count == clients:
                done("all clients in sync")

        async with (
            Herd(clients, seed, synced) as herd,
            LocalCluster.start(
                replace(config, restored=True),
                layout.folder,
                Path(place) / "logs",
                time.monotonic_ns(),
                on_status=listener.status,
                on_serving=lambda cluster: herd.begin(cluster.load),
            ) as cluster,
        ):
            listener.status(f"waiting for {checkpoint.nodes:,} nodes, the controllers and {clients:,} clients")
            await _alongside(cluster, herd, done)
            return await _cost(cluster, steps_s | cluster.timeline_s, begun_cpu_s)


async def _alongside(cluster: LocalCluster, herd: Herd, done: Done) -> None:
    """Until everything is done; it ends at once when a component does."""
    watching = asyncio.create_task(_watch(cluster, herd, done))
    failing = asyncio.create_task(cluster.failure())
    try:
        async with asyncio.timeout(_LIMIT_S):
            await asyncio.wait((watching, failing), return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            raise failing.result()
        watching.result()
    except TimeoutError:
        raise ComponentError(f"the control plane had not come back within {_LIMIT_S:g} s") from None
    except ExceptionGroup as failed:
        raise first_fault(failed) from None
    finally:
        for task in (watching, failing):
            task.cancel()
        await asyncio.gather(watching, failing, return_exceptions=True)


async def _watch(cluster: LocalCluster, herd: Herd, done: Done) -> None:
    async with Client(cluster.admin) as client, asyncio.TaskGroup() as group:
        group.create_task(_nodes(cluster, client, done))
        group.create_task(_controllers(cluster, client, done))
        group.create_task(herd.synced())


async def _nodes(cluster: LocalCluster, client: Client, done: Done) -> None:
    total = len(await client.list_metadata("/api/v1/nodes", labelSelector=SIMULATOR_LABEL))
    if not total:
        return
    half = (total + 1) // 2
    while await count(client, LEASES_PATH) < half:  # noqa: ASYNC110 (no event to wait for)
        await asyncio.sleep(_POLL_S)
    done("half of the nodes played")
    await nodes_played(cluster)
    done("all nodes played")


async def _controllers(cluster: LocalCluster, client: Client, done: Done) -> None:
    """They act once a new namespace gets its service account; they are done when no object waits in a queue."""
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}})
    while not await _admits(client):  # noqa: ASYNC110 (as above)
        await asyncio.sleep(_POLL_S)
    done("controllers act")
    while sum(map(queued, await _scraped(cluster, "kube-controller-manager"))):  # noqa: ASYNC110 (as above)
        await asyncio.sleep(_POLL_S)
    done("controllers' queues empty")


async def _admits(client: Client) -> bool:
    try:
        await client.get(f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts/default")
    except ApiError:
        return False
    return True


async def _scraped(cluster: LocalCluster, component: str) -> list[str]:
    endpoints = [item.metrics for item in cluster.processes if item.component == component and item.metrics]
    return [await _served(endpoint) for endpoint in endpoints]


async def _served(endpoint: Endpoint) -> str:
    try:
        async with aiohttp.ClientSession() as session:
            content, _ = await fetch(session, endpoint, "text/plain", tls_context(endpoint.ca, endpoint.identity))
    except (aiohttp.ClientError, OSError, PlanebenchError) as error:
        raise ComponentError(f"{endpoint.url}: no metrics: {plain_reason(error)}") from None
    return content.decode()


async def _cost(cluster: LocalCluster, steps_s: dict[str, float], begun_cpu_s: float) -> Recovery:
    own_cpu_s = round(time.process_time() - begun_cpu_s, 2)
    cpu_s, peak_bytes = {}, {}
    for process in cluster.processes:
        handle = psutil.Process(process.pid)
        times = handle.cpu_times()
        cpu_s[process.name] = round(times.user + times.system, 2)
        peak_bytes[process.name] = peak_rss_bytes(process.pid)
    load = api_load(await _scraped(cluster, "kube-apiserver"))
    return Recovery(steps_s, load, cpu_s, peak_bytes, own_cpu_s)
