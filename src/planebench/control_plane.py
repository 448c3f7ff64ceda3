"""A control plane for Python programs and tests: what envtest is for Go.

    async with ControlPlane.local(nodes=3) as plane:
        pod = await plane.client.create(manifest)

Objects are plain data, as everywhere in planebench; any other client works with :attr:`ControlPlane.kubeconfig`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from planebench import nodes as simulated
from planebench.binaries import Sources
from planebench.cluster.local import LocalCluster
from planebench.cluster.process import tail
from planebench.kube.client import ApiError, Client
from planebench.model import ComponentError, Manifest
from planebench.planes import Plane, Setting, load_plane
from planebench.run import provision
from planebench.run.listener import Silent
from planebench.run.provision import cluster_config, provide
from planebench.scenario import NodePool, Scenario, Workload
from planebench.scenario.model import ObjectKind

T = TypeVar("T")

_POLL_S: Final = 0.02
_PATIENCE_S: Final = 60.0


class ControlPlane:
    """A running control plane of one's own. Made by :meth:`local`."""

    def __init__(self, cluster: LocalCluster, client: Client, plane: str) -> None:
        self.client = client
        """Speaks with the API server as an administrator."""
        self.plane = plane
        self._cluster = cluster

    @classmethod
    @contextlib.asynccontextmanager
    async def local(
        cls,
        *,
        nodes: int = 0,
        plane: str = "core",
        settings: Mapping[str, Setting] | None = None,
        components: Mapping[str, Path] | None = None,
        versions: Mapping[str, str] | None = None,
        sources: Sources | None = None,
        flags: Mapping[str, Mapping[str, str]] | None = None,
        folder: Path | None = None,
    ) -> AsyncIterator[ControlPlane]:
        """Start a control plane; end it, and remove everything of it, on the way out.

        Components are built where they are not in the cache yet, which takes minutes the first time.

        Args:
            nodes: how many simulated nodes to wait for.
            plane: ``core``, another built-in one (``planebench plane list``), or a plane's folder.
            settings: of the plane, where they differ from its defaults.
            components: component -> a binary of one's own.
            versions: project -> version, for instance ``{"kubernetes": "1.35.4"}``; else the pinned ones.
            sources: where components may come from; None: from everywhere.
            flags: component -> flags, without dashes.
            folder: for its files and logs; None: a temporary one.

        Raises:
            UsageError: the plane, a setting, a version or a binary is wrong.
            ComponentError: a component could not be built or did not get ready.
        """
        place = folder or Path(tempfile.mkdtemp(prefix="planebench-"))
        try:
            loaded = load_plane(plane, settings, versions)
            scenario = _scenario(loaded, nodes, settings or {}, versions or {}, flags or {})
            artifacts = await provide(
                loaded,
                components or {},
                Silent(),
                versions=provision.versions(scenario, loaded),
                sources=sources,
            )
            config = cluster_config(scenario, loaded, artifacts)
            async with (
                LocalCluster.start(config, place / "cluster", place / "logs", time.monotonic_ns()) as cluster,
                Client(cluster.admin, user_agent="planebench-python") as client,
            ):
                running = cls(cluster, client, plane)
                if nodes:
                    await running.add_nodes(nodes)
                yield running
        finally:
            if folder is None:
                shutil.rmtree(place, ignore_errors=True)
            else:
                shutil.rmtree(place / "cluster", ignore_errors=True)

    @property
    def url(self) -> str:
        """The API server's."""
        return self._cluster.admin.url

    @property
    def kubeconfig(self) -> Path:
        """An administrator's, with its certificates in it."""
        return self._cluster.layout.kubeconfig("admin")

    @property
    def processes(self) -> Mapping[str, int]:
        """Component -> process id."""
        return {process.name: process.pid for process in self._cluster.processes}

    def logs(self, lines: int = 20) -> Mapping[str, list[str]]:
        """Component -> the last lines of its log."""
        return {process.name: tail(process.log, lines) for process in self._cluster.processes}

    async def add_nodes(self, count: int, name: str = "node") -> list[str]:
        """Add simulated nodes, all alike, and wait until they are Ready; returns their names.

        Raises ComponentError where they do not get so in time, ApiError where one exists.
        """
        config = self._cluster.config
        by = simulated.simulators(config.topology)
        manifests = list(simulated.manifests([NodePool(name=name, count=count)], config.plane, by))
        async with asyncio.TaskGroup() as group:
            for manifest in manifests:
                group.create_task(self.client.create(manifest))
        wanted = {manifest["metadata"]["name"] for manifest in manifests}

        async def ready() -> bool:
            items = await self.client.list("/api/v1/nodes")
            return wanted <= {item["metadata"]["name"] for item in items if simulated.is_ready(item)}

        await self.until(ready, f"{count} nodes Ready")
        return sorted(wanted)

    async def create_namespace(self, name: str) -> str:
        """Create a namespace and wait until pods can be created in it. Raises ApiError where it exists."""
        await self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

        async def admits_pods() -> bool:
            try:
                await self.client.get(f"/api/v1/namespaces/{name}/serviceaccounts/default")
            except ApiError as error:
                if error.status == 404:
                    return False
                raise
            return True

        await self.until(admits_pods, f"the service account of namespace {name}")
        return name

    async def until(
        self, ask: Callable[[], Awaitable[T | None]], what: str = "it", timeout_s: float = _PATIENCE_S
    ) -> T:
        """Ask until the answer is true, and return it.

        Raises ComponentError where it is not in time, or as soon as a component has ended.
        """
        failing = asyncio.ensure_future(self._cluster.failure())
        try:
            async with asyncio.timeout(timeout_s):
                while not (answer := await ask()):
                    if failing.done():
                        raise failing.result()
                    await asyncio.sleep(_POLL_S)
                return answer
        except TimeoutError:
            raise ComponentError(f"waited {timeout_s:g} s in vain for {what}") from None
        finally:
            failing.cancel()


def condition(manifest: Manifest, kind: str) -> str:
    """The status of a condition of an object, for instance of ``Ready``: True, False, Unknown, or empty."""
    conditions: Any = (manifest.get("status") or {}).get("conditions") or ()
    return next((str(item["status"]) for item in conditions if item["type"] == kind), "")


def _scenario(
    plane: Plane,
    nodes: int,
    settings: Mapping[str, Setting],
    versions: Mapping[str, str],
    flags: Mapping[str, Mapping[str, str]],
) -> Scenario:
    """A scenario that describes the cluster alone."""
    found = Scenario.model_validate(
        {
            "apiVersion": "planebench.dev/v1",
            "name": "control-plane",
            "plane": plane.source,
            "settings": dict(settings),
            "nodes": [NodePool(count=max(nodes, 1))],
            "workload": Workload(count=1, objects=(ObjectKind(template=next(iter(plane.workloads))),)),
            "components": {name: {"flags": dict(values)} for name, values in flags.items()},
        }
    )
    return found.model_copy(update={"versions": versions})  # they are looked at where binaries are chosen
