"""What etcd holds of a run, read past the API server, and what that one serves of the same from its cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from planebench.kube.client import ApiError, Client
from planebench.kube.etcd import EtcdClient
from planebench.model import Access, Endpoint, Resource
from planebench.plan import REVISION_LABEL

_PREFIX: Final = "/registry"
"""The API server's --etcd-prefix."""
_PATHS: Final[Mapping[str, str]] = {"services": "services/specs", "ingresses.networking.k8s.io": "ingress"}
"""Resources of Kubernetes' own that are not stored by their plurals.
Source: kubernetes v1.37.2, pkg/kubeapiserver/default_storage_factory_builder.go."""


async def read(
    etcd: Sequence[Endpoint],
    api: Sequence[Access],
    resources: Iterable[Resource],
    namespaces: Iterable[str],
    canaries: Mapping[str, str],
    t_ns: int,
) -> dict[str, Any]:
    """The names of all objects of these resources in these namespaces, as ``namespace/name``.

    Args:
        api: each API server by itself: each has a cache of its own.
        canaries: name -> API path of each; their stored revisions are told.
        t_ns: the time before, on the trial's clock: nothing may change any more.

    Raises:
        EtcdError, ApiError: one of them does not answer.
    """
    namespaces = tuple(namespaces)
    async with EtcdClient(etcd) as client, contextlib.AsyncExitStack() as opened:
        servers = [await opened.enter_async_context(Client(access)) for access in api]
        collections = [await _collection(client, servers, resource, namespaces) for resource in resources]
        revisions = {name: await _revision(servers[0], path) for name, path in canaries.items()}
    return {"t_ns": t_ns, "collections": collections, "canaries": revisions}


async def _collection(
    etcd: EtcdClient, api: Sequence[Client], resource: Resource, namespaces: Sequence[str]
) -> dict[str, Any]:
    stored: list[str] = []
    cached: list[list[str]] = [[] for _ in api]
    for namespace in namespaces:
        prefix = f"{_PREFIX}/{stored_as(resource)}/{namespace}/"
        stored += (f"{namespace}/{key.removeprefix(prefix)}" for key in await etcd.keys(prefix))
        for server, own in zip(api, cached, strict=True):
            items = await server.list_metadata(f"{resource.path(namespace)}?resourceVersion=0")
            own += (f"{namespace}/{item['metadata']['name']}" for item in items)
    return {"resource": resource.id, "etcd": sorted(stored), "caches": [sorted(own) for own in cached]}


async def _revision(api: Client, path: str) -> str | None:
    """A canary's, as it is stored; None: it is not there, or has none."""
    try:
        stored = await api.get(path)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    revision = (stored["metadata"].get("labels") or {}).get(REVISION_LABEL)
    return str(revision) if revision is not None else None


def stored_as(resource: Resource) -> str:
    """Where etcd has a resource: Kubernetes' own by their plurals, custom ones by their groups, too."""
    own = "." not in resource.group or resource.group.endswith(".k8s.io")
    return _PATHS.get(resource.id, resource.plural if own else f"{resource.group}/{resource.plural}")
