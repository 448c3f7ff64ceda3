"""A cluster's control plane as processes of this machine: started in order, watched, and ended without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from planebench import stages
from planebench.cluster.identities import SIMULATOR, Identities, objects
from planebench.cluster.installation import Installation
from planebench.cluster.ports import Ports
from planebench.cluster.process import Running, Supervisor
from planebench.components import (
    Audit,
    ClientLimits,
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kwok,
    Layout,
    Probe,
    ProcessSpec,
)
from planebench.components.layout import LOOPBACK
from planebench.kube.client import Client
from planebench.model import Access, ComponentError, ComponentProcess, Endpoint, Identity
from planebench.planes import Plane, Process, Setting
from planebench.planes.plane import substitute

BASE_COMPONENTS: Final = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok")
_DEFAULT_TIMEOUT_S: Final = 120.0
_SYSTEM: Final = "kube-system"


def component_names(plane: Plane) -> list[str]:
    """The components, by the catalogue's names, that a cluster with this plane needs."""
    return list(dict.fromkeys((*BASE_COMPONENTS, *(process.component for process in plane.processes))))


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """What a cluster is made of."""

    plane: Plane
    binaries: Mapping[str, Path]
    """Component -> its binary, for every one of :func:`component_names`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Component -> its version, for instance ``v3.6.5``, where it is known: each gets the flags that it knows."""
    flags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Component -> flags on top of planebench's own."""
    scheduler_limits: ClientLimits | None = None
    scheduler_configuration: Mapping[str, Any] = field(default_factory=dict)
    """A part of the scheduler's configuration file."""
    controller_manager_limits: ClientLimits | None = None
    delays_ms: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """KWOK stage -> shortest and longest delay."""
    audit: Audit | None = None
    """The API server's audit log; None: it writes none."""
    profiling: bool = False
    """Components serve profiles of themselves."""
    timeout_s: float = _DEFAULT_TIMEOUT_S
    """From the first process to a healthy control plane."""


class LocalCluster:
    """A control plane that runs. Made by :meth:`start`."""

    def __init__(self, config: ClusterConfig, folder: Path, logs: Path, t0_ns: int) -> None:
        self.config = config
        self.layout = Layout(folder)
        self.timeline_s: dict[str, float] = {}
        """Step -> seconds from the start until it was done."""
        self._ports = Ports()
        self._api_port = self._ports.take()
        self.supervisor = Supervisor(logs, folder, t0_ns)
        self._specs: list[ProcessSpec] = []
        self._members: dict[str, list[str]] = {}
        self._etcd: list[Etcd] = []
        self._start_s = time.monotonic()
        self._identities: Identities | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        config: ClusterConfig,
        folder: Path,
        logs: Path,
        t0_ns: int,
        *,
        on_status: Callable[[str], None] = lambda _: None,
    ) -> AsyncIterator[LocalCluster]:
        """Start a control plane; end all its processes on the way out, whatever happens.

        Args:
            folder: for its certificates, kubeconfigs, configuration and etcd's data; must be new.
            logs: one log for each process.
            t0_ns: ``time.monotonic_ns()`` that start times are told from.

        Raises:
            ComponentError: a component ended, or did not get ready in time; names it, with its last log lines.
        """
        cluster = cls(config, folder, logs, t0_ns)
        try:
            await cluster._start(on_status)
            yield cluster
        finally:
            cluster.supervisor.kill()
            cluster._ports.close()

    # --- what it is ---

    @property
    def processes(self) -> list[ComponentProcess]:
        return self.supervisor.processes

    @property
    def answering(self) -> list[ComponentProcess]:
        """Those of its processes that have not ended and are not paused."""
        return self.supervisor.answering

    def members(self, component: str) -> list[str]:
        """The names of the processes of a component, or of what the plane calls a process."""
        return list(self._members.get(component, ()))

    @property
    def deviations(self) -> list[str]:
        """Where it differs from what kubeadm starts."""
        return [line for spec in self._specs for line in spec.deviations]

    @property
    def etcd_data(self) -> Path:
        return self.layout.etcd_data

    @property
    def etcd(self) -> list[Endpoint]:
        """The members of etcd, for those who look past the API server."""
        return [
            Endpoint(etcd.url, self.layout.certificate("etcd/ca"), self._issued.etcd_client) for etcd in self._etcd
        ]

    @property
    def admin(self) -> Access:
        """For set-up work: system:masters."""
        return self._access(self._issued.admin)

    @property
    def load(self) -> Access:
        """For load: an ordinary user with a priority level of its own."""
        return self._access(self._issued.load)

    async def failure(self) -> ComponentError:
        """Waits until a component ends unasked, and says how."""
        await self.supervisor.failed.wait()
        assert self.supervisor.failure is not None  # noqa: S101 (set before the event)
        return self.supervisor.failure

    # --- start ---

    async def _start(self, on_status: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(self.config.timeout_s):
                await self._start_all(on_status)
        except TimeoutError:
            waiting = [f"{name} is not ready ({answer})" for name, answer in self.supervisor.waiting.items()]
            raise ComponentError(
                f"the control plane was not up within {self.config.timeout_s:g} s: "
                f"{'; '.join(waiting) or 'its objects could not be installed in time'} "
                f"(time limit: timeouts.cluster; logs: {self.supervisor.logs})"
            ) from None
        except ExceptionGroup as group:  # all but the first one follow from it
            raise _first(group) from None

    async def _start_all(self, on_status: Callable[[str], None]) -> None:
        plane = self.config.plane
        on_status("starting etcd and the API server")
        self._identities = Identities.issue(self.layout, plane, (LOOPBACK, self._api_port))
        self._done("certificates")
        etcd = Etcd(
            self.layout,
            self._ports.take(),
            self._ports.take(),
            self._issued.etcd_client,
            self._flags("etcd"),
            version=self._version("etcd"),
            profiling=self.config.profiling,
        )
        self._etcd.append(etcd)
        await self._started(etcd.spec())
        api = KubeApiserver(
            self.layout,
            self._api_port,
            etcd.url,
            self._issued.admin,
            self._issued.observer,
            self._flags("kube-apiserver"),
            self.config.audit,
        )
        await self._started(api.spec())
        on_status("starting scheduler, controller manager and simulator")
        ports = {
            process.name: {name: self._ports.take() for name in ("", *process.ports)}
            for process in plane.processes
        }
        async with Client(self.admin) as client, asyncio.TaskGroup() as group:
            group.create_task(self._started(self._scheduler()))
            group.create_task(self._manage(client, api.url))
            group.create_task(self._extend(client, ports, on_status))

    async def _manage(self, client: Client, api_url: str) -> None:
        """The controller manager, and its controllers' accounts.

        It would make them itself, one after the other at 20 requests a second: most of its start. The API server's
        own role bindings name them.
        """
        bindings = await client.list("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings")
        accounts = {
            subject["name"]
            for binding in bindings
            for subject in binding.get("subjects") or ()
            if subject["kind"] == "ServiceAccount" and subject.get("namespace") == _SYSTEM
        }
        async with asyncio.TaskGroup() as group:
            for name in accounts:
                metadata = {"name": name, "namespace": _SYSTEM}
                group.create_task(
                    client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
                )
        self._done("accounts")
        await self._started(self._controller_manager(api_url))

    async def _extend(
        self, client: Client, ports: Mapping[str, Mapping[str, int]], on_status: Callable[[str], None]
    ) -> None:
        """The plane and the simulator, whose kinds have to be there before it starts."""
        plane = self.config.plane
        installation = Installation(client, plane, self.layout.ca, ports)
        async with asyncio.TaskGroup() as group:
            for item in objects(plane):
                group.create_task(client.create(item))
        if plane.install:
            on_status(f"installing {plane.name}")
        await installation.prepare()
        accounts = {item.metrics.account for item in plane.processes if item.metrics and item.metrics.account}
        tokens = {account: await installation.token(account) for account in accounts}
        self._done(f"{plane.name} installed")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._started(self._kwok()))
            for process in plane.processes:
                group.create_task(self._started(self._plane_process(process, ports[process.name], tokens)))
        await installation.expose()
        self._done("ready")

    async def _started(self, spec: ProcessSpec) -> Running:
        self._specs.append(spec)
        self._members.setdefault(spec.name, []).append(spec.name)
        running = self.supervisor.start(spec, self.config.binaries[spec.component])
        await self.supervisor.wait_ready(running)
        self._done(spec.name)
        return running

    def _done(self, step: str) -> None:
        self.timeline_s[step] = round(time.monotonic() - self._start_s, 3)

    # --- components ---

    def _scheduler(self) -> ProcessSpec:
        return KubeScheduler(
            self.layout,
            self._ports.take(),
            self._issued.observer,
            self.config.scheduler_limits,
            self._flags("kube-scheduler"),
            self.config.scheduler_configuration,
        ).spec()

    def _controller_manager(self, api_url: str) -> ProcessSpec:
        return KubeControllerManager(
            self.layout,
            self._ports.take(),
            api_url,
            self._issued.admin,
            self._issued.observer,
            self.config.controller_manager_limits,
            self._flags("kube-controller-manager"),
        ).spec()

    def _kwok(self) -> ProcessSpec:
        played: Sequence[Mapping[str, object]] = stages.stages(self.config.plane, self.config.delays_ms)
        return Kwok(
            self.layout,
            SIMULATOR,
            self._ports.take(),
            played,
            flags=self._flags("kwok"),
            version=self._version("kwok"),
            profiling=self.config.profiling,
        ).spec()

    def _plane_process(self, process: Process, ports: Mapping[str, int], tokens: Mapping[str, str]) -> ProcessSpec:
        layout = self.layout
        folder = layout.folder / process.name
        certificates = folder / "tls"
        certificates.mkdir(mode=0o700, parents=True)
        certificate, key = layout.certificate(f"{process.name}-server"), layout.key(f"{process.name}-server")
        (certificates / "tls.crt").symlink_to(certificate.absolute())
        (certificates / "tls.key").symlink_to(key.absolute())
        values: dict[str, Setting] = {
            "port": ports[""],
            "kubeconfig": str(layout.kubeconfig(process.name)),
            "cert": str(certificate),
            "key": str(key),
            "cert_folder": str(certificates),
            "ca": str(layout.ca),
            "folder": str(folder),
            **{f"{name}_port": port for name, port in ports.items() if name},
        }
        plane = self.config.plane
        flags = self._flags(process.component)
        given = [str(substitute(argument, {**plane.settings, **values})) for argument in process.argv]
        kept = [argument for argument in given if argument.lstrip("-").partition("=")[0] not in flags]
        ready, metrics = process.ready, process.metrics
        return ProcessSpec(
            name=process.name,
            component=process.component,
            arguments=(*kept, *(f"--{name}={value}" for name, value in flags.items())),
            ready=Probe(Endpoint(_url(ports[ready.port], ready.path, ready.tls), layout.ca), ready.contains),
            metrics=None
            if metrics is None
            else Endpoint(
                _url(ports[metrics.port], metrics.path, metrics.tls),
                None if metrics.own_certificate else layout.ca,
                token=tokens.get(metrics.account, ""),
            ),
            role=process.role,
            environment=process.environment,
            files={folder / name: text for name, text in plane.files(process, values).items()},
            ports=tuple(ports.values()),
            deviations=tuple(
                f"{process.name} --{name}={value}: set by the scenario" for name, value in flags.items()
            ),
        )

    def _version(self, component: str) -> str:
        return self.config.versions.get(component, "unknown")

    def _flags(self, component: str) -> Mapping[str, str]:
        return self.config.flags.get(component, {})

    @property
    def _issued(self) -> Identities:
        assert self._identities is not None, "certificates come first"  # noqa: S101
        return self._identities

    def _access(self, identity: Identity) -> Access:
        return Access(LOOPBACK, self._api_port, self.layout.ca, identity)


def _url(port: int, path: str, tls: bool) -> str:
    return f"{'https' if tls else 'http'}://{LOOPBACK}:{port}{path}"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first fault of a group, however deep."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
