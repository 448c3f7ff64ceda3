"""Kubeconfig files, read as client-go reads them: which clusters there are, and as whom one comes to them.

Several files are one, the first that says something counts (``$KUBECONFIG``), and relative paths in a file begin
at its folder. Source: client-go v0.37, tools/clientcmd.

The official Python client has a reader, too (kubernetes 37.0.2, config/kube_config.py). It knows no impersonation,
reads a token's file once, and goes on without credentials where a plugin fails.
"""

from __future__ import annotations

import base64
import binascii
import copy
import ipaddress
import os
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from planebench.kube import proxy
from planebench.model import UsageError

VARIABLE: Final = "KUBECONFIG"
_CLUSTER_FILES: Final = ("certificate-authority",)
_USER_FILES: Final = ("client-certificate", "client-key", "tokenFile")


@dataclass(frozen=True, slots=True)
class Server:
    """Where an API server is, as a kubeconfig says it."""

    host: str
    port: int
    tls: bool
    prefix: str
    """What stands before every API path; empty: nothing."""
    server_name: str
    proxy: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Context:
    """A cluster and a user, with all paths absolute."""

    name: str
    cluster_name: str
    user_name: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    files: tuple[Path, ...]
    """The kubeconfig files that it was read from."""

    @property
    def where(self) -> str:
        """For messages: the files, and the context."""
        return f"{', '.join(map(str, self.files))}: context {self.name!r}"

    def server(self) -> Server:
        """Raises UsageError where the cluster's address is none."""
        text = self.cluster.get("server")
        try:
            parts = urlsplit(text if isinstance(text, str) else "")
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
            raise UsageError(f"{self.where}: the server of cluster {self.cluster_name!r} is no URL: {text!r}")
        way = self.cluster.get("proxy-url") or _proxy_of_environment(parts.scheme, parts.hostname)
        if way:
            try:
                proxy.split(str(way))
            except UsageError as error:
                raise UsageError(f"{self.where}: {error}") from None
        return Server(
            host=parts.hostname,
            port=port or (443 if parts.scheme == "https" else 80),
            tls=parts.scheme == "https",
            prefix=parts.path.rstrip("/"),
            server_name=str(self.cluster.get("tls-server-name") or ""),
            proxy=str(way or ""),
            verified=self.cluster.get("insecure-skip-tls-verify") is not True,
        )

    def content(self, part: Mapping[str, Any], field: str) -> bytes | None:
        """What ``FIELD-data`` holds, or the file that ``FIELD`` names; None: the context has neither.

        Raises UsageError where it cannot be read.
        """
        if data := part.get(f"{field}-data"):
            try:
                return base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError, TypeError):
                raise UsageError(f"{self.where}: {field}-data is not base64") from None
        if path := part.get(field):
            try:
                return Path(path).read_bytes()
            except OSError as error:
                raise UsageError(f"{self.where}: {field} {path}: {error.strerror}") from None
        return None


class Kubeconfig:
    """One or more files, merged."""

    def __init__(self, files: Iterable[tuple[Path, Mapping[str, Any]]]) -> None:
        self.files: list[Path] = []
        self.current = ""
        self.contexts: dict[str, Mapping[str, Any]] = {}
        self._clusters: dict[str, Mapping[str, Any]] = {}
        self._users: dict[str, Mapping[str, Any]] = {}
        for file, content in files:
            folder = file.absolute().parent
            self.files.append(file)
            self.current = self.current or str(content.get("current-context") or "")
            for name, item in _named(content, "contexts", "context", file):
                self.contexts.setdefault(name, item)
            for name, item in _named(content, "clusters", "cluster", file):
                self._clusters.setdefault(name, _absolute(item, _CLUSTER_FILES, folder))
            for name, item in _named(content, "users", "user", file):
                self._users.setdefault(name, _absolute(item, _USER_FILES, folder))

    @classmethod
    def load(cls, file: Path | None = None) -> Kubeconfig:
        """A file; None: those of ``$KUBECONFIG``, else ``~/.kube/config``.

        Raises UsageError where there is none, or it is no kubeconfig.
        """
        if file is not None:
            return cls([(file, _read(file))])
        chosen = [Path(item) for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]
        default = Path.home() / ".kube" / "config"
        there = [item for item in chosen or [default] if item.exists()]
        if not there:
            places = ", ".join(map(str, chosen or [default]))
            raise UsageError(f"there is no kubeconfig ({places}); name one by --kubeconfig FILE")
        return cls([(item, _read(item)) for item in there])

    def context(self, name: str | None) -> Context:
        """A context by its name; None: the current one. Raises UsageError where there is none."""
        files = ", ".join(map(str, self.files))
        known = ", ".join(self.contexts) or "none"
        wanted = name or self.current
        if not wanted:
            raise UsageError(f"{files}: has no current context; name one by --context (there are: {known})")
        if wanted not in self.contexts:
            raise UsageError(f"{files}: has no context {wanted!r}; there are: {known}")
        found = self.contexts[wanted]
        cluster, user = str(found.get("cluster") or ""), str(found.get("user") or "")
        if cluster not in self._clusters:
            raise UsageError(f"{files}: context {wanted!r} names a cluster {cluster!r} that is not there")
        if user and user not in self._users:
            raise UsageError(f"{files}: context {wanted!r} names a user {user!r} that is not there")
        return Context(
            name=wanted,
            cluster_name=cluster,
            user_name=user,
            cluster=self._clusters[cluster],
            user=self._users.get(user, {}),
            files=tuple(self.files),
        )


def _read(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise UsageError(f"--kubeconfig {file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UsageError(f"--kubeconfig {file}: is no kubeconfig: it is no YAML") from None
    if not isinstance(content, Mapping) or content.get("kind", "Config") != "Config":
        raise UsageError(f"--kubeconfig {file}: is no kubeconfig")
    return content


def _named(content: Mapping[str, Any], many: str, one: str, file: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    items = content.get(many) or []
    for item in items if isinstance(items, list) else [None]:
        inner = item.get(one) or {} if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(inner, Mapping) or "name" not in item:
            raise UsageError(f"--kubeconfig {file}: is no kubeconfig: {many} is damaged")
        yield str(item["name"]), inner


def _absolute(part: Mapping[str, Any], fields: Iterable[str], folder: Path) -> Mapping[str, Any]:
    found: dict[str, Any] = copy.deepcopy(dict(part))
    for field in fields:
        if found.get(field):
            found[field] = str(folder / str(found[field]))
    plugin = found.get("exec")
    # As in client-go: a bare name is looked up in $PATH, everything else begins at the file's folder.
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command") or ""):
        plugin["command"] = str(folder / str(plugin["command"]))
    return found


def _proxy_of_environment(scheme: str, host: str) -> str:
    """As Go's net/http: ``$HTTPS_PROXY`` and ``$NO_PROXY``, and never for this machine."""
    found = urllib.request.getproxies_environment().get(scheme, "")
    if not found or _is_loopback(host) or urllib.request.proxy_bypass(host) or _in_networks(host):
        return ""
    return found if "://" in found else f"http://{found}"


def _is_loopback(host: str) -> bool:
    return host == "localhost" or _as_address(host, lambda address: address.is_loopback)


def _in_networks(host: str) -> bool:
    """Whether ``$NO_PROXY`` names a network that an address is in: Python does not look for these."""
    networks = [item.strip() for item in urllib.request.getproxies_environment().get("no", "").split(",")]

    def inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        for item in networks:
            try:
                if "/" in item and address in ipaddress.ip_network(item, strict=False):
                    return True
            except ValueError:
                continue
        return False

    return _as_address(host, inside)


def _as_address(host: str, holds: Callable[[ipaddress.IPv4Address | ipaddress.IPv6Address], bool]) -> bool:
    try:
        return holds(ipaddress.ip_address(host))
    except ValueError:
        return False
