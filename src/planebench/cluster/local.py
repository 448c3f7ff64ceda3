"""A cluster's control plane as processes of this machine: started in order, watched, and ended without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from planebench import stages
from planebench.cluster.identities import SIMULATOR, Identities, objects
from planebench.cluster.installation import Installation
from planebench.cluster.ports import Ports
from planebench.cluster.process import Supervisor
from planebench.cluster.wiring import LOAD, Wiring
from planebench.components import (
    ALONE,
    Audit,
    Balancer,
    ClientLimits,
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kwok,
    Layout,
    Member,
    Probe,
    ProcessSpec,
    Toxiproxy,
)
from planebench.components.layout import LOOPBACK
from planebench.kube.client import ApiError, Client
from planebench.kube.etcd import EtcdClient
from planebench.model import Access, ComponentError, ComponentProcess, Endpoint, Identity, Manifest
from planebench.planes import Plane, Process, Setting
from planebench.planes.plane import substitute

BASE_COMPONENTS: Final = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok")
_DEFAULT_TIMEOUT_S: Final = 120.0
_SYSTEM: Final = "kube-system"
_LEASES: Final = "/registry/leases"
"""Where the API server keeps Leases in etcd, followed by namespace and name.
Source: kubernetes v1.37.2, pkg/registry/coordination/lease/storage; --etcd-prefix is /registry by default."""


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
    """The API servers' audit logs; None: they write none."""
    profiling: bool = False
    """Components serve profiles of themselves."""
    topology: Mapping[str, int] = field(default_factory=dict)
    """Component -> how many members it has; one where nothing is said."""
    links: frozenset[tuple[str, str]] = frozenset()
    """Pairs of a client and a server whose connections go through a proxy, see :class:`Wiring`."""
    seed: int = 1
    """Of what the proxy draws by chance."""
    restored: bool = False
    """Its folder has etcd's data and the authorities of a checkpoint: nothing is installed that is there."""
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
        self.wiring = Wiring(self._ports, config.plane, config.topology, config.links)
        self.supervisor = Supervisor(logs, folder, t0_ns)
        self._specs: list[ProcessSpec] = []
        self._members: dict[str, list[str]] = {}
        self._etcd: list[Etcd] = []
        self.proxy_url = ""
        """Of the proxy's API; empty: there is none."""
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
        on_serving: Callable[[LocalCluster], None] = lambda _: None,
    ) -> AsyncIterator[LocalCluster]:
        """Start a control plane; end all its processes on the way out, whatever happens.

        Args:
            folder: for its certificates, kubeconfigs, configuration and etcd's data; must be new, but for what a
                restored cluster finds there.
            logs: one log for each process.
            t0_ns: ``time.monotonic_ns()`` that start times are told from.
            on_serving: called once the API servers are ready, before anything else starts.

        Raises:
            ComponentError: a component ended, or did not get ready in time; names it, with its last log lines.
        """
        cluster = cls(config, folder, logs, t0_ns)
        try:
            await cluster._start(on_status, on_serving)
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
        """Of the first member."""
        return self._etcd[0].data

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
        return self._access(self._issued.load, self.wiring.api_port(LOAD, ALONE))

    @property
    def api_servers(self) -> list[Access]:
        """Each API server by itself, for set-up work."""
        return [self._access(self._issued.admin, port) for port in self.wiring.api_servers]

    async def failure(self) -> ComponentError:
        """Waits until a component ends unasked, and says how."""
        await self.supervisor.failed.wait()
        assert self.supervisor.failure is not None  # noqa: S101 (set before the event)
        return self.supervisor.failure

    # --- start ---

    async def _start(self, on_status: Callable[[str], None], on_serving: Callable[[LocalCluster], None]) -> None:
        try:
            async with asyncio.timeout(self.config.timeout_s):
                await self._start_all(on_status, on_serving)
        except TimeoutError:
            waiting = [f"{name} is not ready ({answer})" for name, answer in self.supervisor.waiting.items()]
            raise ComponentError(
                f"the control plane was not up within {self.config.timeout_s:g} s: "
                f"{'; '.join(waiting) or 'its objects could not be installed in time'} "
                f"(time limit: timeouts.cluster; logs: {self.supervisor.logs})"
            ) from None
        except ExceptionGroup as group:  # all but the first one follow from it
            raise first_fault(group) from None

    async def _start_all(
        self, on_status: Callable[[str], None], on_serving: Callable[[LocalCluster], None]
    ) -> None:
        plane = self.config.plane
        on_status("starting etcd and the API server")
        wiring = self.wiring
        self._identities = Identities.issue(self.layout, plane, wiring)
        self._done("certificates")
        if wiring.proxy is not None:
            proxy = Toxiproxy(self.layout, wiring.proxy, wiring.links, self.config.seed)
            self.proxy_url = proxy.url
            await self._started("toxiproxy", [proxy.spec()])
        self._etcd = [self._etcd_member(member) for member in wiring.members("etcd")]
        servers = [self._api_server(member) for member in wiring.members("kube-apiserver")]
        async with asyncio.TaskGroup() as group:
            # An API server has its own work to do before it needs etcd, and tries for 20 s to reach it then.
            group.create_task(self._start_etcd())
            group.create_task(self._started("kube-apiserver", [server.spec() for server in servers]))
        if wiring.balancer is not None:
            balancer = Balancer(self.layout, wiring.balancer, wiring.api_servers, self._issued.admin)
            await self._started("load-balancer", [balancer.spec()])
        on_serving(self)
        on_status("starting scheduler, controller manager and simulator")
        ports = {
            process.name: [
                {name: self._ports.take() for name in ("", *process.ports)} for _ in wiring.members(process.name)
            ]
            for process in plane.processes
        }
        async with Client(self.admin) as client, asyncio.TaskGroup() as group:
            schedulers = [self._scheduler(member) for member in wiring.members("kube-scheduler")]
            group.create_task(self._started("kube-scheduler", schedulers))
            group.create_task(self._manage(client))
            group.create_task(self._extend(client, ports, on_status))

    async def _start_etcd(self) -> None:
        await self._started("etcd", [etcd.spec() for etcd in self._etcd])
        if self.config.restored:
            await self._forget_holders()

    async def _forget_holders(self) -> None:
        """Remove the leases of processes that are gone: their successors would wait until those run out.

        In etcd itself, before anyone reads them: the API server takes seconds to delete a thousand of them.
        """
        leases = [process.lease for process in self.config.plane.processes if process.lease is not None]
        async with EtcdClient(self.etcd) as etcd:
            await etcd.delete(f"{_LEASES}/kube-node-lease/")
            for lease in leases:
                await etcd.delete(f"{_LEASES}/{lease.namespace}/{lease.name}")
        self._done("leases")

    async def _manage(self, client: Client) -> None:
        """The controller manager, and its controllers' accounts.

        It would make them itself, one after the other at 20 requests a second: most of its start. The API server's
        own role bindings name them. It needs them only a moment after its start; where one is not there yet, it
        makes that one.
        """
        bindings = await client.list("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings")
        accounts = {
            subject["name"]
            for binding in bindings
            for subject in binding.get("subjects") or ()
            if subject["kind"] == "ServiceAccount" and subject.get("namespace") == _SYSTEM
        }
        async with asyncio.TaskGroup() as group:
            group.create_task(self._account_for(client, accounts))
            name = "kube-controller-manager"
            members = self.wiring.members(name)
            group.create_task(self._started(name, [self._controller_manager(member) for member in members]))

    async def _account_for(self, client: Client, accounts: Iterable[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for name in accounts:
                metadata = {"name": name, "namespace": _SYSTEM}
                account: Manifest = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
                group.create_task(_create(client, account, may_exist=True))
        self._done("accounts")

    async def _extend(
        self,
        client: Client,
        ports: Mapping[str, Sequence[Mapping[str, int]]],
        on_status: Callable[[str], None],
    ) -> None:
        """The plane and the simulator, whose kinds have to be there before it starts."""
        plane = self.config.plane
        first = {name: own[0] for name, own in ports.items()}
        restored = self.config.restored
        installation = Installation(client, plane, self.layout.ca, first, again=restored)
        if restored:  # webhooks of before are not reached any more: first of all they get their new addresses
            await installation.expose(serving=False)
        async with asyncio.TaskGroup() as group:
            for item in objects(plane):
                group.create_task(_create(client, item, may_exist=restored))
        if plane.install and not restored:
            on_status(f"installing {plane.name}")
            await installation.prepare()
        accounts = {item.metrics.account for item in plane.processes if item.metrics and item.metrics.account}
        tokens = {account: await installation.token(account) for account in accounts}
        self._done(f"{plane.name} installed")
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self._started(SIMULATOR, [self._kwok(member) for member in self.wiring.members(SIMULATOR)])
            )
            for process in plane.processes:
                members = self.wiring.members(process.name)
                specs = [
                    self._plane_process(process, member, own, tokens)
                    for member, own in zip(members, ports[process.name], strict=True)
                ]
                group.create_task(self._started(process.name, specs))
        await installation.expose()
        self._done("ready")

    async def _started(self, component: str, specs: Sequence[ProcessSpec]) -> None:
        """Start all members of a component, and wait until each is ready."""
        self._specs += specs
        self._members[component] = [spec.name for spec in specs]
        binaries = self.config.binaries
        running = [self.supervisor.start(spec, binaries[spec.binary or spec.component]) for spec in specs]
        async with asyncio.TaskGroup() as group:
            for one in running:
                group.create_task(self.supervisor.wait_ready(one, again=self.config.restored))
        self._done(component)

    def _done(self, step: str) -> None:
        self.timeline_s[step] = round(time.monotonic() - self._start_s, 3)

    # --- components ---

    def _etcd_member(self, member: Member) -> Etcd:
        own = self.wiring.etcd[member.number - 1]
        return Etcd(
            self.layout,
            own.client,
            own.peer,
            self._issued.etcd_client,
            self._flags("etcd"),
            version=self._version("etcd"),
            profiling=self.config.profiling,
            member=member,
            cluster=self.wiring.etcd_cluster,
        )

    def _api_server(self, member: Member) -> KubeApiserver:
        return KubeApiserver(
            self.layout,
            self.wiring.api_servers[member.number - 1],
            self.wiring.etcd_url(member),
            self._issued.admin,
            self._issued.observer,
            self._flags("kube-apiserver"),
            self.config.audit,
            member=member,
        )

    def _scheduler(self, member: Member) -> ProcessSpec:
        return KubeScheduler(
            self.layout,
            self._ports.take(),
            self._issued.observer,
            self.config.scheduler_limits,
            self._flags("kube-scheduler"),
            self.config.scheduler_configuration,
            member=member,
        ).spec()

    def _controller_manager(self, member: Member) -> ProcessSpec:
        return KubeControllerManager(
            self.layout,
            self._ports.take(),
            self.admin.url,
            self._issued.admin,
            self._issued.observer,
            self.config.controller_manager_limits,
            self._flags("kube-controller-manager"),
            member=member,
        ).spec()

    def _kwok(self, member: Member) -> ProcessSpec:
        played: Sequence[Mapping[str, object]] = stages.stages(self.config.plane, self.config.delays_ms)
        return Kwok(
            self.layout,
            SIMULATOR,
            self._ports.take(),
            played,
            flags=self._flags("kwok"),
            version=self._version("kwok"),
            profiling=self.config.profiling,
            member=member,
        ).spec()

    def _plane_process(
        self, process: Process, member: Member, ports: Mapping[str, int], tokens: Mapping[str, str]
    ) -> ProcessSpec:
        layout = self.layout
        own_name = member.named(process.name)
        folder = layout.folder / own_name
        certificates = folder / "tls"
        certificates.mkdir(mode=0o700, parents=True)
        certificate, key = layout.certificate(f"{process.name}-server"), layout.key(f"{process.name}-server")
        (certificates / "tls.crt").symlink_to(certificate.absolute())
        (certificates / "tls.key").symlink_to(key.absolute())
        values: dict[str, Setting] = {
            "port": ports[""],
            "kubeconfig": str(layout.kubeconfig(own_name)),
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
        # Of several members only one ever says that it leads.
        ready = process.ready if member.alone or process.lease is None else process.lease.standby
        metrics = process.metrics
        return ProcessSpec(
            name=own_name,
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
            deviations=tuple(f"{own_name} --{name}={value}: set by the scenario" for name, value in flags.items()),
            hostname=member.hostname(process.name),
        )

    def _version(self, component: str) -> str:
        return self.config.versions.get(component, "unknown")

    def _flags(self, component: str) -> Mapping[str, str]:
        return self.config.flags.get(component, {})

    @property
    def _issued(self) -> Identities:
        assert self._identities is not None, "certificates come first"  # noqa: S101
        return self._identities

    def _access(self, identity: Identity, port: int = 0) -> Access:
        return Access(LOOPBACK, port or self.wiring.front, self.layout.ca, identity)


async def _create(client: Client, item: Manifest, *, may_exist: bool) -> None:
    """Create an object, or leave it as it is. Raises ApiError."""
    try:
        await client.create(item)
    except ApiError as error:
        if not may_exist or error.reason != "AlreadyExists":
            raise


def _url(port: int, path: str, tls: bool) -> str:
    return f"{'https' if tls else 'http'}://{LOOPBACK}:{port}{path}"


def first_fault(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first fault of a group, however deep."""
    first = group.exceptions[0]
    return first_fault(first) if isinstance(first, BaseExceptionGroup) else first
