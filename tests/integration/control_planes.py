"""One real control plane for all integration tests, one with KubeVirt for those that need it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from planebench import binaries, nodes
from planebench.cluster.local import ClusterConfig, LocalCluster, component_names
from planebench.kube.client import Client
from planebench.planes import load_plane
from planebench.scenario import NodePool


def config(plane: str, **more: object) -> ClusterConfig:
    """A cluster's configuration, its components built where they must be."""
    loaded = load_plane(plane)
    artifacts = binaries.resolve(component_names(loaded))
    return ClusterConfig(loaded, {name: artifact.path for name, artifact in artifacts.items()}, **more)  # type: ignore[arg-type]


async def started(plane: str, folder: Path) -> AsyncIterator[LocalCluster]:
    async with LocalCluster.start(
        config(plane), folder / "cluster", folder / "logs", time.monotonic_ns()
    ) as cluster:
        async with Client(cluster.admin) as admin:
            for node in nodes.manifests([NodePool(count=3)], cluster.config.plane):
                await admin.create(node)
        yield cluster


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCluster]:
    """Kubernetes' own control plane with three nodes."""
    async for running in started("core", tmp_path_factory.mktemp("core")):
        yield running


@pytest.fixture(scope="session")
async def kubevirt(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCluster]:
    """The same with KubeVirt's."""
    async for running in started("kubevirt", tmp_path_factory.mktemp("kubevirt")):
        yield running


@pytest.fixture
async def admin(cluster: LocalCluster) -> AsyncIterator[Client]:
    async with Client(cluster.admin) as client:
        yield client
