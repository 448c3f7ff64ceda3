"""Puts a plane's objects into a cluster: definitions and rights before its processes, webhooks and APIs after."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from planebench.kube.client import ApiError, Client
from planebench.model import ComponentError, Manifest
from planebench.planes import Plane

_POLL_S: Final = 0.05
_CRD: Final = "CustomResourceDefinition"
_WEBHOOKS: Final = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_API_SERVICE: Final = "APIService"
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_API_SERVICES: Final = "/apis/apiregistration.k8s.io/v1/apiservices"
_LOCALHOST: Final = "localhost"
_TOKEN: Final = {"expirationSeconds": 7 * 24 * 3600}


class Installation:
    """Installs one plane."""

    def __init__(
        self,
        client: Client,
        plane: Plane,
        ca: Path,
        ports: Mapping[str, Mapping[str, int]],
        *,
        again: bool = False,
    ) -> None:
        """``ports``: process -> name of a port, empty for its own -> the port. ``again``: objects may be there
        already, with ports of before; they are changed."""
        self._again = again
        self._client = client
        self._plane = plane
        self._ca = ca
        self._ports = ports

    async def prepare(self) -> None:
        """Everything that the processes need before they start, file after file.

        Raises ComponentError that names the object and has the API server's words.
        """
        for source in self._plane.install:
            objects = self._plane.manifests(source)
            await self._create_all(objects, with_status=source.with_status)
            definitions = [item["metadata"]["name"] for item in objects if item["kind"] == _CRD]
            if definitions:
                await self._until(_CRDS, definitions, "Established")

    async def expose(self, *, serving: bool = True) -> None:
        """Webhooks and aggregated APIs, once the processes behind them serve, file after file. Raises
        ComponentError.

        Where nothing is ``serving`` yet, only webhooks: an aggregated API that does not answer is asked again
        after ever longer times, but at once when its object changes (the API server's availability controller).
        """
        await self._create_all([self._service(item.name, item.namespace) for item in self._plane.services])
        for source in self._plane.expose:
            objects = [self._by_url(item) for item in self._plane.manifests(source)]
            if not serving:
                objects = [item for item in objects if item["kind"] in _WEBHOOKS]
            await self._create_all(objects, with_status=source.with_status)
            services = [item["metadata"]["name"] for item in objects if item["kind"] == _API_SERVICE]
            await self._until(_API_SERVICES, services, "Available")

    async def token(self, account: str) -> str:
        """A token of a service account, ``NAMESPACE/NAME``. Raises ComponentError."""
        namespace, name = account.split("/")
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": _TOKEN}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        try:
            answer = await self._client.request("POST", path, request)
        except ApiError as error:
            raise ComponentError(f"plane {self._plane.name}: no token for account {account}: {error}") from None
        return str(json.loads(answer)["status"]["token"])

    async def _create_all(self, objects: Iterable[Manifest], *, with_status: bool = False) -> None:
        async with asyncio.TaskGroup() as group:
            for item in objects:
                group.create_task(self._create(item, with_status=with_status and "status" in item))

    async def _create(self, item: Manifest, *, with_status: bool) -> None:
        try:
            try:
                await self._client.create(item)
            except ApiError as error:
                if not self._again or error.reason != "AlreadyExists":
                    raise
                await self._client.patch(await self._client.path(item), item)
            if with_status:
                await self._client.patch(f"{await self._client.path(item)}/status", {"status": item["status"]})
        except ApiError as error:
            name = f"{item['kind']} {item['metadata']['name']}"
            raise ComponentError(f"plane {self._plane.name}: {name} cannot be installed: {error}") from None

    async def _until(self, collection: str, names: Iterable[str], condition: str) -> None:
        """One after the other, for each is large: when the last one is asked, most have long been ready."""
        for name in names:
            while _condition(await self._client.get(f"{collection}/{name}"), condition) != "True":  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)  # nothing here could be told by an event

    def _service(self, name: str, namespace: str) -> Manifest:
        """A name for an address outside of a cluster network: there is none."""
        port = self._port(name, namespace)
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": "ExternalName", "externalName": _LOCALHOST, "ports": [{"port": port}]},
        }

    def _port(self, name: str, namespace: str) -> int:
        for service in self._plane.services:
            if (service.name, service.namespace) == (name, namespace):
                return self._ports[service.process][service.port]
        raise ComponentError(
            f"plane {self._plane.name}: its objects refer to a Service {namespace}/{name}; name it in `services`"
        )

    def _by_url(self, item: Manifest) -> Manifest:
        bundle = base64.b64encode(self._ca.read_bytes()).decode()
        if item["kind"] in _WEBHOOKS:
            webhooks = [
                {**webhook, "clientConfig": self._client_config(webhook["clientConfig"], bundle)}
                for webhook in item["webhooks"]
            ]
            return {**item, "webhooks": webhooks}
        if item["kind"] == _API_SERVICE:
            spec: dict[str, Any] = dict(item["spec"])
            service = spec["service"]
            spec["service"] = {**service, "port": self._port(service["name"], service["namespace"])}
            spec.pop("insecureSkipTLSVerify", None)
            return {**item, "spec": spec | {"caBundle": bundle}}
        return item

    def _client_config(self, config: Mapping[str, Any], bundle: str) -> Mapping[str, Any]:
        service = config["service"]
        port = self._port(service["name"], service["namespace"])
        return {"url": f"https://{_LOCALHOST}:{port}{service.get('path', '')}", "caBundle": bundle}


def _condition(item: Manifest, kind: str) -> str:
    for condition in item.get("status", {}).get("conditions") or ():
        if condition["type"] == kind:
            return str(condition["status"])
    return ""
