"""A kubeconfig's user: how to prove oneself now, renewed before it ends.

Certificates, tokens, tokens in files (read again every minute, as client-go does), user and password, plugins
(``exec``), and whom to act as. Whatever it is ends up as files in a folder of the run's own, with a kubeconfig
beside them that refers to these: the simulator reads the same credentials from there, renewed ones too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cryptography import x509

from planebench.kube import trust
from planebench.kube.kubeconfig import Context
from planebench.kube.private import write_private
from planebench.model import Access, Identity, PlanebenchError, UsageError

_TOKEN_FILE_PERIOD_S: Final = 60.0
"""client-go v0.37, transport/token_source.go."""
_LEEWAY_S: Final = 60.0
"""A plugin's credentials are renewed so long before they end."""
_LEAST_PERIOD_S: Final = 5.0
_PLUGIN_TIMEOUT_S: Final = 60.0
_ASKING_TIMEOUT_S: Final = 600.0
_API_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_CLUSTER_EXTENSION: Final = "client.authentication.k8s.io/exec"
_HEADER_SIGNS: Final = "!#$&'*+-.^_`|~"
"""What may stand in a header's name beside letters and digits (RFC 9110, 5.6.2)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user shows now."""

    headers: tuple[tuple[str, str], ...] = ()
    certificate: bytes | None = None
    key: bytes | None = None
    token: str = ""
    ends_wall_s: float | None = None
    """When they are renewed at the latest (Unix time); None: they are not known to end."""


class Login:
    """A user of a cluster, in a folder of one's own.

    Made by :meth:`open`; :meth:`keep` renews its credentials while a run goes on.
    """

    def __init__(self, context: Context, folder: Path) -> None:
        self.context = context
        self._folder = folder
        self._credentials = Credentials()
        self._access = Access("", 0)
        self._renewing = asyncio.Lock()
        self.on_renewed: Callable[[Access], Awaitable[None]] | None = None
        """Told of other credentials."""

    @classmethod
    async def open(cls, context: Context, folder: Path) -> Login:
        """Get credentials; the folder is made, for the owner's eyes only.

        A plugin may ask at the terminal, where there is one.

        Raises UsageError: a file is missing, a certificate has expired, a plugin failed, or the way to log in is
        not known.
        """
        login = cls(context, folder)
        login._credentials = await login._get(asks=sys.stdin.isatty())
        login._settle()
        return login

    def _settle(self) -> None:
        """Write everything for the first time."""
        context, folder = self.context, self._folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        server = context.server()
        ca = context.content(context.cluster, "certificate-authority")
        self._access = Access(
            host=server.host,
            port=server.port,
            ca=write_private(folder / "ca.crt", ca) if ca and server.verified else None,
            server_name=server.server_name,
            prefix=server.prefix,
            proxy=server.proxy,
            tls=server.tls,
            verified=server.verified,
        )
        self._show()
        try:
            trust.context(self._access)
        except OSError as error:
            raise UsageError(f"{context.where}: a certificate or key cannot be used: {error}") from None

    @property
    def access(self) -> Access:
        """With the credentials of now."""
        return self._access

    @property
    def kubeconfig(self) -> Path:
        """For another program: of this one context, with the same credentials, also when they are renewed."""
        return self._folder / "kubeconfig"

    @property
    def renewable(self) -> bool:
        """Other credentials can be had than those of now."""
        return bool(self.context.user.get("exec") or self.context.user.get("tokenFile"))

    async def renew(self) -> bool:
        """Get other credentials now; False where they are the same as before.

        Raises UsageError as :meth:`open` does.
        """
        before = self._credentials
        async with self._renewing:
            if not self.renewable or self._credentials is not before:  # someone else has been quicker
                return self._credentials is not before
            found = await self._get(asks=False)
            changed = replace(found, ends_wall_s=None) != replace(before, ends_wall_s=None)
            self._credentials = found
            self._show()
        if changed and self.on_renewed is not None:
            await self.on_renewed(self._access)
        return changed

    async def keep(self) -> None:
        """Renew credentials before they end, until cancelled. A failure is left for the requests to tell."""
        while self.renewable:
            ends = self._credentials.ends_wall_s
            if ends is None:
                return
            await asyncio.sleep(max(ends - time.time(), _LEAST_PERIOD_S))
            try:
                await self.renew()
            except PlanebenchError:
                self._credentials = replace(self._credentials, ends_wall_s=time.time() + _LEAST_PERIOD_S)

    # --- credentials

    async def _get(self, *, asks: bool) -> Credentials:
        user = self.context.user
        if provider := user.get("auth-provider"):
            name = provider.get("name") if isinstance(provider, Mapping) else provider
            raise UsageError(
                f"{self.context.where}: auth-provider {name!r} is of the past; use a plugin (exec) instead"
            )
        found = Credentials(
            certificate=self.context.content(user, "client-certificate"),
            key=self.context.content(user, "client-key"),
        )
        if (found.certificate is None) != (found.key is None):
            raise UsageError(f"{self.context.where}: client-certificate and client-key belong together")
        if user.get("tokenFile"):
            content = self.context.content(user, "tokenFile") or b""
            found = replace(
                found,
                token=content.decode("utf-8", "replace").strip(),
                ends_wall_s=time.time() + _TOKEN_FILE_PERIOD_S,
            )
        elif user.get("token"):
            found = replace(found, token=str(user["token"]).strip())
        elif user.get("exec"):
            found = await self._of_plugin(found, asks=asks)
        found = replace(found, headers=tuple(self._headers(found.token)))
        if any(not value.isprintable() for _, value in found.headers):
            raise UsageError(f"{self.context.where}: user {self.context.user_name!r} has a line break in a value")
        if found.certificate is not None:
            self._check_certificate(found.certificate)
        return found

    def _headers(self, token: str) -> Iterator[tuple[str, str]]:
        user = self.context.user
        if token:
            yield "Authorization", f"Bearer {token}"
        elif user.get("username"):
            secret = f"{user['username']}:{user.get('password') or ''}"
            yield "Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}"
        if user.get("as"):
            yield "Impersonate-User", str(user["as"])
        if user.get("as-uid"):
            yield "Impersonate-Uid", str(user["as-uid"])
        for group in user.get("as-groups") or ():
            yield "Impersonate-Group", str(group)
        for key, values in (user.get("as-user-extra") or {}).items():
            for value in values:
                yield f"Impersonate-Extra-{quote(str(key), safe=_HEADER_SIGNS)}", str(value)

    def _check_certificate(self, content: bytes) -> None:
        try:
            certificate = x509.load_pem_x509_certificate(content)
        except ValueError:
            raise UsageError(f"{self.context.where}: client-certificate is no PEM certificate") from None
        ends = certificate.not_valid_after_utc
        if ends < datetime.now(UTC):
            raise UsageError(
                f"{self.context.where}: the certificate of user {self.context.user_name!r} has expired on "
                f"{ends:%Y-%m-%d %H:%M} UTC"
            )

    # --- plugins

    async def _of_plugin(self, before: Credentials, *, asks: bool) -> Credentials:
        status = await self._ask_plugin(asks=asks)
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if bool(certificate) != bool(key) or not (certificate or status.get("token")):
            raise self._plugin_error("gave neither a token nor a certificate with its key")
        ends: float | None = None
        if stamp := status.get("expirationTimestamp"):
            try:
                ends = datetime.fromisoformat(str(stamp)).timestamp() - _LEEWAY_S
            except ValueError:
                raise self._plugin_error(f"gave an expirationTimestamp that is none: {stamp!r}") from None
        return replace(
            before,
            token=str(status.get("token") or "").strip(),
            certificate=str(certificate).encode() if certificate else before.certificate,
            key=str(key).encode() if key else before.key,
            ends_wall_s=ends,
        )

    async def _ask_plugin(self, *, asks: bool) -> Mapping[str, Any]:
        plugin = self.context.user["exec"]
        if not isinstance(plugin, Mapping) or not plugin.get("command"):
            raise UsageError(f"{self.context.where}: exec has no command")
        version = plugin.get("apiVersion")
        if version not in _API_VERSIONS:
            raise UsageError(f"{self.context.where}: exec: apiVersion {version!r} is none of {_API_VERSIONS}")
        mode = plugin.get("interactiveMode") or "IfAvailable"
        asks = asks and mode != "Never"
        if mode == "Always" and not asks:
            raise self._plugin_error("wants to ask at the terminal, and there is none now")
        spec: dict[str, Any] = {"interactive": asks}
        if plugin.get("provideClusterInfo"):
            spec["cluster"] = self._cluster_info()
        told = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
        environment = {str(item["name"]): str(item["value"]) for item in plugin.get("env") or ()}
        try:
            process = await asyncio.create_subprocess_exec(
                str(plugin["command"]),
                *(str(argument) for argument in plugin.get("args") or ()),
                stdin=None if asks else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=None if asks else asyncio.subprocess.PIPE,
                env={**os.environ, **environment, "KUBERNETES_EXEC_INFO": json.dumps(told)},
            )
        except OSError as error:
            hint = f"; {str(plugin['installHint']).strip()}" if plugin.get("installHint") else ""
            raise self._plugin_error(f"cannot be started: {error.strerror}{hint}") from None
        try:
            async with asyncio.timeout(_ASKING_TIMEOUT_S if asks else _PLUGIN_TIMEOUT_S):
                output, complaint = await process.communicate()
        except TimeoutError:
            raise self._plugin_error(f"gave no answer within {_PLUGIN_TIMEOUT_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            last = (complaint or b"").decode("utf-8", "replace").strip().splitlines()[-1:]
            raise self._plugin_error(": ".join([f"ended with exit status {process.returncode}", *last]))
        try:
            answer = json.loads(output)
            status = answer["status"]
            if answer["kind"] != "ExecCredential" or answer["apiVersion"] != version:
                raise self._plugin_error(f"answered with {answer['kind']} {answer['apiVersion']}, not {version}")
        except (ValueError, KeyError, TypeError):
            raise self._plugin_error("answered with something else than an ExecCredential with a status") from None
        return status if isinstance(status, Mapping) else {}

    def _cluster_info(self) -> Mapping[str, Any]:
        cluster = self.context.cluster
        fields = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
        info: dict[str, Any] = {field: cluster[field] for field in fields if field in cluster}
        if ca := self.context.content(cluster, "certificate-authority"):
            info["certificate-authority-data"] = base64.b64encode(ca).decode()
        for extension in cluster.get("extensions") or ():
            if extension.get("name") == _CLUSTER_EXTENSION:
                info["config"] = extension.get("extension")
        return info

    def _plugin_error(self, what: str) -> UsageError:
        command = Path(str(self.context.user["exec"]["command"])).name
        return UsageError(f"{self.context.where}: the plugin {command} of user {self.context.user_name!r} {what}")

    # --- files

    def _show(self) -> None:
        """Put the credentials of now where they are looked for."""
        found, folder = self._credentials, self._folder
        identity = None
        user: dict[str, Any] = {
            field: self.context.user[field]
            for field in ("username", "password", "as", "as-uid", "as-groups", "as-user-extra")
            if field in self.context.user
        }
        if found.certificate is not None and found.key is not None:
            user["client-certificate"] = str(write_private(folder / "client.crt", found.certificate))
            user["client-key"] = str(write_private(folder / "client.key", found.key))
            # Other contents need other names: whoever uses the old ones must not get halves of both.
            name = hashlib.sha256(found.certificate).hexdigest()[:16]
            identity = Identity(
                self.context.user_name,
                (),
                write_private(folder / f"{name}.crt", found.certificate),
                write_private(folder / f"{name}.key", found.key),
            )
        if found.token:
            user["tokenFile"] = str(write_private(folder / "token", found.token.encode()))
        self._access = replace(self._access, identity=identity, headers=found.headers)
        cluster: dict[str, Any] = {"server": self._access.url}
        if self._access.ca is not None:
            cluster["certificate-authority"] = str(self._access.ca)
        if self._access.proxy:
            cluster["proxy-url"] = self._access.proxy
        if self._access.server_name:
            cluster["tls-server-name"] = self._access.server_name
        if not self._access.verified:
            cluster["insecure-skip-tls-verify"] = True
        name = "planebench"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        write_private(self.kubeconfig, json.dumps(content, indent=1).encode())
