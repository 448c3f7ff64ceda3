"""A small client for set-up work: objects are plain data, errors are the API server's own words.

The load's hot path has its own client (:mod:`planebench.kube.tls`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

import aiohttp

from planebench.kube import trust
from planebench.kube.relay import Relay, relay
from planebench.model import Access, Identity, Manifest, PlanebenchError

APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_TIMEOUT_S = 60.0
_ATTEMPTS = 5
_CONNECTIONS = 32
_LARGEST_EVENT_BYTES = 4 * 2**20
"""Of a watch, a line each: etcd takes objects up to 1.5 MiB."""
_KEEP_ALIVE_S = 120.0
"""Behind a load balancer the next scrape is to reach the same API server as the last one."""


class ApiError(PlanebenchError):
    """The API server refused a request, or could not be reached (status 0)."""

    def __init__(self, method: str, path: str, status: int, reason: str, message: str) -> None:
        what = f"{method} {path}: {message}"
        super().__init__(f"{what} (HTTP {status})" if status else f"the API server does not answer: {what}")
        self.words = message
        """The API server's own, or what became of the connection."""
        self.status = status
        self.reason = reason
        """The Status object's reason, for instance ``NotFound`` or ``AlreadyExists``."""


def plain_reason(error: Exception) -> str:
    """Why there was no answer, in the system's own words where it has some."""
    cause = getattr(error, "os_error", error)
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__


def tls_context(ca: Path | None, identity: Identity | None) -> ssl.SSLContext:
    """A context that trusts ``ca`` (None: any server) and shows ``identity``'s certificate.

    Raises OSError where a file is missing or unusable.
    """
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


class Renewable(Protocol):
    """A user whose credentials may change, see :class:`planebench.kube.login.Login`."""

    @property
    def access(self) -> Access: ...

    async def renew(self) -> bool: ...


class Client:
    """Requests to one API server as one user; an async context manager.

    A 429 or a reply that asks for a later retry is retried, and a 401 where credentials can be renewed. Every
    other refusal raises ApiError.
    """

    def __init__(
        self, who: Access | Renewable, *, user_agent: str = "planebench-setup", timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._who = who
        self._user_agent = user_agent
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._identity: Identity | None = None
        """Of the session."""
        self._earlier: list[aiohttp.ClientSession] = []
        """With certificates of before: requests may still be going on."""
        self._relay: Relay | None = None
        self._stack = contextlib.AsyncExitStack()
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}

    @property
    def access(self) -> Access:
        return self._who if isinstance(self._who, Access) else self._who.access

    async def __aenter__(self) -> Self:
        access = self.access
        if access.proxy:
            self._relay = await self._stack.enter_async_context(relay(access))
        self._session = self._open(access)
        return self

    def _open(self, access: Access) -> aiohttp.ClientSession:
        self._identity = access.identity
        return aiohttp.ClientSession(
            connector=_connector(access),
            headers={"User-Agent": self._user_agent},
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (*self._earlier, *([self._session] if self._session else ())):
            await session.close()
        self._earlier, self._session = [], None
        await self._stack.aclose()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """An object, or whatever else the path holds as JSON."""
        return await self._object("GET", path, query=query)

    async def list(self, path: str, **query: str) -> Sequence[Manifest]:
        """The items of a collection."""
        items: Sequence[Manifest] = (await self.get(path, **query)).get("items") or []
        return items

    async def list_metadata(self, path: str, **query: str) -> Sequence[Manifest]:
        """The items of a collection, without spec and status."""
        content = await self.request("GET", path, query=query, accept=_METADATA)
        items: Sequence[Manifest] = json.loads(content).get("items") or []
        return items

    async def watch(self, path: str, **query: str) -> AsyncIterator[tuple[str, Manifest]]:
        """Events of a collection, each its type (``ADDED``, ``MODIFIED``, ``DELETED``, ...) and object, until the
        API server ends the watch. ``resourceVersion`` says from when on.

        Raises ApiError where it is refused, or the connection is lost.
        """
        async for line in self.watch_lines(path, **query):
            event = json.loads(line)
            yield event["type"], event["object"]

    async def watch_lines(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """The same, each event as it came: one line of JSON."""
        try:
            async with self._send(
                self.access,
                "GET",
                path,
                query={**query, "watch": "true"},
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=_LARGEST_EVENT_BYTES,
            ) as response:
                if not response.ok:
                    raise _error("GET", path, response.status, await response.read())
                async for line in response.content:
                    yield line
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError("GET", path, 0, "", plain_reason(error)) from None

    async def create(self, manifest: Manifest) -> dict[str, Any]:
        """Create an object where its kind, namespace and name say."""
        return await self._object("POST", await self.collection(manifest), manifest)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post to a path, for instance a review; the answer."""
        return await self._object("POST", path, body)

    async def apply(
        self, manifest: Manifest, *, subresource: str = "", field_manager: str = "planebench"
    ) -> dict[str, Any]:
        """Create or change an object by server-side apply; conflicts are won."""
        path = await self.path(manifest) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": field_manager, "force": "true"}
        return await self._object("PATCH", path, manifest, APPLY_PATCH, query)

    async def patch(
        self, path: str, body: Mapping[str, Any] | Sequence[Any], content_type: str = MERGE_PATCH
    ) -> dict[str, Any]:
        """Change an object or a subresource."""
        return await self._object("PATCH", path, body, content_type)

    async def delete(self, path: str, **query: str) -> dict[str, Any]:
        """Delete an object or a collection."""
        return await self._object("DELETE", path, query=query)

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> bytes:
        """The body of a successful reply; raises ApiError for every other one."""
        return (await self.fetch(method, path, body, content_type, query, accept))[0]

    async def fetch(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> tuple[bytes, str]:
        """The body of a successful reply and its media type; raises ApiError for every other one."""
        data = None if body is None else json.dumps(body).encode()
        form = {"Accept": accept} | ({} if data is None else {"Content-Type": content_type})
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._send(self.access, method, path, form, data=data, query=query) as response:
                    content = await response.read()
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                words = (self._relay.complaint if self._relay else "") or plain_reason(error)
                raise ApiError(method, path, 0, "", words) from None
            if response.ok:
                return content, response.content_type
            if response.status == 401 and attempt == 1 and not isinstance(self._who, Access):
                if await self._who.renew():
                    continue
                break
            retry_after = response.headers.get("Retry-After", "")
            if not retry_after.isdigit() or attempt == _ATTEMPTS:
                break
            await asyncio.sleep(int(retry_after))
        raise _error(method, path, response.status, content)

    def _send(
        self,
        access: Access,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None,
        **options: Any,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session_for(access).request(
            method,
            (self._relay.url + access.prefix if self._relay else access.url) + path,
            headers=[("Host", access.authority), *(headers or {}).items(), *access.headers],
            params=query,
            server_hostname=access.server_name or access.host,
            **options,
        )

    def _session_for(self, access: Access) -> aiohttp.ClientSession:
        """A session that shows the certificate of now."""
        assert self._session is not None, "use the client as a context manager"  # noqa: S101
        if access.identity != self._identity:
            self._earlier.append(self._session)
            self._session = self._open(access)
        return self._session

    async def collection(self, manifest: Manifest) -> str:
        """The path of the collection that an object belongs to.

        Raises ApiError where the API server does not know its kind.
        """
        api_version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        kinds = self._plurals.get(root, {})
        if kind not in kinds:  # asked anew each time: a CRD may have come in between
            resources = (await self.get(root))["resources"]
            kinds = {
                item["kind"]: (item["name"], item["namespaced"]) for item in resources if "/" not in item["name"]
            }
            self._plurals[root] = kinds
        if kind not in kinds:
            raise ApiError("GET", root, 404, "NotFound", f"the server knows no kind {kind} in {api_version}")
        plural, namespaced = kinds[kind]
        namespace = manifest["metadata"].get("namespace", "default")
        return f"{root}/namespaces/{quote(namespace)}/{plural}" if namespaced else f"{root}/{plural}"

    async def path(self, manifest: Manifest) -> str:
        """The path of an object."""
        return f"{await self.collection(manifest)}/{quote(manifest['metadata']['name'], safe=':')}"

    async def _object(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(await self.request(method, path, body, content_type, query))
        return result


def _connector(access: Access) -> aiohttp.TCPConnector:
    context = trust.context(access) if access.tls else True
    return aiohttp.TCPConnector(ssl=context, limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_S)


def _error(method: str, path: str, status: int, content: bytes) -> ApiError:
    try:
        answer = json.loads(content)
        return ApiError(method, path, status, answer.get("reason", ""), answer["message"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return ApiError(
            method, path, status, "", content[:300].decode(errors="replace").strip() or "no reason given"
        )
