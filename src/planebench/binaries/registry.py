"""A client of the OCI distribution API: anonymous, reading, every byte checked against its digest.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md, and for tokens
https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final

from planebench import __version__
from planebench.model import ComponentError, UsageError

_REACHABLE_S: Final = 2.0
"""How long to wait for a registry's first answer: a machine without one must not become slow."""
_TIMEOUT_S: Final = 30.0
"""Without a byte."""
_CHUNK_BYTES: Final = 1 << 20
_MANIFEST_BYTES: Final = 4 << 20
"""The largest manifest that registries have to take, says the specification."""
_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")

INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class ImageUnavailableError(ComponentError):
    """There is no such image to be had here: another source may serve."""


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index."""

    media_type: str
    digest: str
    """``sha256:`` and hex, of its very bytes."""
    content: dict[str, Any]


class Registry:
    """One registry, or a mirror with a prefix."""

    def __init__(self, address: str) -> None:
        """``address``: ``HOST[:PORT][/PREFIX]``. Plain HTTP is for loopback only. Raises UsageError."""
        scheme, _, rest = address.rpartition("://")
        host, _, prefix = rest.strip("/").partition("/")
        loopback = _LOOPBACK.fullmatch(host) is not None
        if scheme not in {"", "http", "https"} or not _HOST.fullmatch(host):
            raise UsageError(f"registry {address}: expected HOST[:PORT][/PREFIX]")
        if scheme == "http" and not loopback:
            raise UsageError(f"registry {address}: http is for this machine alone; leave the scheme out for https")
        self.name = f"{host}/{prefix}" if prefix else host
        self._base = f"{scheme or ('http' if loopback else 'https')}://{host}/v2/"
        self._prefix = f"{prefix}/" if prefix else ""
        handlers = [urllib.request.ProxyHandler({})] if loopback else []
        self._opener = urllib.request.build_opener(*handlers)
        self._tokens: dict[str, str] = {}
        self._unreachable: ImageUnavailableError | None = None
        self._asked = False

    def demand_reachable(self) -> None:
        """Asks once, and not for long. Raises ImageUnavailableError."""
        if not self._asked:
            self._asked = True
            self._unreachable = ImageUnavailableError(f"{self.name} does not answer within {_REACHABLE_S:g} s")
            # In a thread: nothing limits the time that a name's resolution takes.
            asking = threading.Thread(target=self._ask, daemon=True)
            asking.start()
            asking.join(_REACHABLE_S)
        if self._unreachable is not None:
            raise self._unreachable

    def _ask(self) -> None:
        try:
            with self._opener.open(self._request(self._base), timeout=_REACHABLE_S):
                pass
        except urllib.error.HTTPError as error:  # an answer, such as 401
            error.close()
        except (OSError, http.client.HTTPException) as error:
            self._unreachable = ImageUnavailableError(f"{self.name} cannot be reached: {_reason(error)}")
            return
        self._unreachable = None

    def manifest(self, repository: str, reference: str) -> Document:
        """The manifest or index of a tag or a digest.

        Raises:
            ImageUnavailableError: there is none, or the registry wants a login.
            ComponentError: it is not what its digest says, or no manifest.
        """
        accept = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
        what = f"{self.name}/{repository}:{reference}"
        response = self._open(repository, f"manifests/{reference}", what, accept)
        with response:
            body = _read(response, _MANIFEST_BYTES + 1, what)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        told = reference if _DIGEST.fullmatch(reference) else response.headers.get("Docker-Content-Digest", digest)
        if told.startswith("sha256:") and told != digest:
            raise ComponentError(
                f"image {what}: the manifest's digest is {digest}, not {told}: do not trust this registry"
            )
        try:
            content = json.loads(body)
            media_type = content.get("mediaType") or response.headers.get_content_type()
        except (ValueError, AttributeError):
            raise ComponentError(f"image {what}: its manifest is no JSON document") from None
        if media_type not in {*INDEX_TYPES, *MANIFEST_TYPES}:
            raise ComponentError(f"image {what}: a manifest of the unknown type {media_type}")
        return Document(media_type, digest, content)

    def blob(
        self, repository: str, digest: str, size: int, target: IO[bytes], on_bytes: Callable[[int], None]
    ) -> None:
        """Writes a blob into ``target``; ``on_bytes`` is told of every piece.

        Raises:
            ImageUnavailableError: the registry has no such blob.
            ComponentError: it ends early, is too long, or is not what its digest says.
        """
        what = f"{self.name}/{repository}@{digest}"
        if not _DIGEST.fullmatch(digest):
            raise ComponentError(f"image {what}: a digest that is no SHA-256")
        found = hashlib.sha256()
        left = size
        with self._open(repository, f"blobs/{digest}", what) as response:
            while left >= 0 and (chunk := _read(response, _CHUNK_BYTES, what)):
                left -= len(chunk)
                found.update(chunk)
                target.write(chunk)
                on_bytes(len(chunk))
        if left > 0:
            raise ComponentError(f"image {what}: ends after {size - left:,} of {size:,} bytes; try again")
        if left < 0:
            raise ComponentError(f"image {what}: has more than its {size:,} bytes: do not trust this registry")
        if (actual := f"sha256:{found.hexdigest()}") != digest:
            raise ComponentError(f"image {what}: its content has the digest {actual}: do not trust this registry")

    def _open(self, repository: str, path: str, what: str, accept: str = "*/*") -> Any:
        """The answer to a GET; a token is fetched where the registry asks for one."""
        url = f"{self._base}{self._prefix}{repository}/{path}"
        for again in (False, True):
            request = self._request(url, accept)
            if repository in self._tokens:
                # Not sent along with a redirect: storage behind registries refuses foreign tokens.
                request.add_unredirected_header("Authorization", f"Bearer {self._tokens[repository]}")
            try:
                return self._opener.open(request, timeout=_TIMEOUT_S)
            except urllib.error.HTTPError as error:
                with error:
                    challenge = error.headers.get("WWW-Authenticate", "")
                if error.code == http.HTTPStatus.UNAUTHORIZED and not again:
                    self._tokens[repository] = self._token(challenge, repository, what)
                    continue
                raise ImageUnavailableError(
                    f"image {what}: {self.name} says {error.code} {error.reason}"
                ) from None
            except (OSError, http.client.HTTPException) as error:
                raise ImageUnavailableError(
                    f"image {what}: {self.name} cannot be reached: {_reason(error)}"
                ) from None
        raise AssertionError("the second answer is returned or raised")

    def _token(self, challenge: str, repository: str, what: str) -> str:
        scheme, _, rest = challenge.partition(" ")
        values = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = values.get("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("https://", "http://")):
            raise ImageUnavailableError(
                f"image {what}: {self.name} wants a login, and planebench pulls without one: choose a mirror "
                "with --registry"
            )
        query = {"scope": values.get("scope") or f"repository:{self._prefix}{repository}:pull"}
        if "service" in values:
            query["service"] = values["service"]
        url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
        try:
            with self._opener.open(self._request(url), timeout=_TIMEOUT_S) as response:
                answer = json.loads(response.read(_MANIFEST_BYTES))
            return str(answer.get("token") or answer["access_token"])
        except urllib.error.HTTPError as error:
            error.close()
            raise ImageUnavailableError(
                f"image {what}: no token from {realm}: {error.code} {error.reason}"
            ) from None
        except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError) as error:
            raise ImageUnavailableError(f"image {what}: no token from {realm}: {_reason(error)}") from None

    @staticmethod
    def _request(url: str, accept: str = "*/*") -> urllib.request.Request:
        headers = {"Accept": accept, "User-Agent": f"planebench/{__version__}"}
        return urllib.request.Request(url, headers=headers)  # noqa: S310 (http and https only)


def _read(response: http.client.HTTPResponse, size: int, what: str) -> bytes:
    """Up to so many bytes; fewer only at the end. Raises ComponentError where the connection breaks."""
    try:
        return response.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise ComponentError(f"image {what}: the connection broke: {_reason(error)}; try again") from None


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
