"""A cluster of others: planebench brings the simulator, a local process, and an owner for what a run makes."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from planebench import __version__, stages
from planebench.cluster import pki, removal
from planebench.cluster.identities import SIMULATOR
from planebench.cluster.ports import Ports
from planebench.cluster.process import Supervisor
from planebench.components import Kwok, Layout
from planebench.components.layout import LOOPBACK
from planebench.kube.client import Client
from planebench.kube.login import Login
from planebench.model import Access, ComponentError, ComponentProcess, Manifest
from planebench.nodes import is_ready
from planebench.plan import RUN_LABEL
from planebench.planes import Plane

COMPONENTS: Final = ("kwok",)
_SERVER_NAMES: Final = ("localhost", LOOPBACK)
PROBE_LABELS: Final[Mapping[str, str]] = {}
"""Of the node that nobody is to play."""
_PROBE_S: Final = 1.0
"""KWOK makes a new node Ready within some tens of milliseconds."""
_REMOVAL_S: Final = 180.0
"""Namespaces go in seconds; pods whose node has gone wait for the garbage collector of pods, up to a minute."""


@dataclass(frozen=True, slots=True)
class ExistingConfig:
    """What a run brings along."""

    plane: Plane
    binary: Path
    """Of kwok."""
    version: str
    run_id: str
    scenario: str
    flags: Mapping[str, str] = field(default_factory=dict)
    """Of kwok, on top of planebench's own."""
    objects: tuple[Manifest, ...] = ()
    """Further objects to create for the run; they are owned by its owner."""
    timeout_s: float = 120.0


class ExistingCluster:
    """A cluster of others while a run uses it. Made by :meth:`start`."""

    def __init__(self, login: Login, config: ExistingConfig, folder: Path, logs: Path, t0_ns: int) -> None:
        self.login = login
        self.config = config
        self.owner: Manifest = {}
        """The owner reference of what the run makes."""
        self.left: list[str] = []
        """What could not be removed at the end; empty: nothing, or nothing had been made."""
        self.timeline_s: dict[str, float] = {}
        self._layout = Layout(folder)
        self._ports = Ports()
        self._supervisor = Supervisor(logs, folder, t0_ns)
        self._start_s = time.monotonic()
        self._deviations: tuple[str, ...] = ()
        self._made = False
        """Something may be there: its creation was asked for."""

    @contextlib.asynccontextmanager
    async def running(self, on_status: Callable[[str], None] = lambda _: None) -> AsyncIterator[ExistingCluster]:
        """Create the owner and start the simulator; on the way out remove everything that the run has made, then
        end the simulator. :attr:`left` tells what could not be removed.

        Raises:
            ApiError: the owner cannot be created.
            ComponentError: the simulator ended, or did not get ready in time.
        """
        try:
            async with Client(self.login) as client:
                on_status("creating the run's owner, starting the simulator")
                self._made = True
                made = await client.create(removal.owner(self.config.run_id, self._annotations()))
                self.owner = removal.reference(made)
                for item in self.config.objects:
                    await client.create(self._owned(item))
                await self._demand_no_other_simulator(client)
            await self._simulate()
            yield self
        finally:
            try:
                if self._made:
                    await self._remove(on_status)
            finally:
                self._supervisor.kill()
                self._ports.close()

    # --- what it is ---

    @property
    def processes(self) -> list[ComponentProcess]:
        """Those of planebench: of the cluster's own, nothing is known."""
        return self._supervisor.processes

    @property
    def answering(self) -> list[ComponentProcess]:
        """Those that have not ended."""
        return self._supervisor.answering

    @property
    def deviations(self) -> list[str]:
        return list(self._deviations)

    @property
    def etcd_data(self) -> None:
        """It lies elsewhere."""
        return None

    @property
    def admin(self) -> Login:
        """For set-up work: the kubeconfig's user."""
        return self.login

    @property
    def load(self) -> Access:
        """For load: the same user, with the credentials of now."""
        return self.login.access

    async def failure(self) -> ComponentError:
        """Waits until the simulator ends unasked, and says how."""
        await self._supervisor.failed.wait()
        assert self._supervisor.failure is not None  # noqa: S101 (set before the event)
        return self._supervisor.failure

    # --- start and end ---

    async def _simulate(self) -> None:
        layout = self._layout
        authority = pki.Authority.create(layout, "ca", "planebench")
        authority.issue(f"{SIMULATOR}-server", SIMULATOR, server_names=_SERVER_NAMES, client=False)
        spec = Kwok(
            layout,
            SIMULATOR,
            self._ports.take(),
            stages.stages(self.config.plane),
            flags=self.config.flags,
            plays=self.config.run_id,
            version=self.config.version,
            kubeconfig=self.login.kubeconfig,
        ).spec()
        self._deviations = spec.deviations
        try:
            async with asyncio.timeout(self.config.timeout_s):
                await self._supervisor.wait_ready(self._supervisor.start(spec, self.config.binary))
        except TimeoutError:
            raise ComponentError(
                f"the simulator was not ready within {self.config.timeout_s:g} s "
                f"({self._supervisor.waiting.get(SIMULATOR)}; logs: {self._supervisor.logs})",
                component=SIMULATOR,
            ) from None
        self.timeline_s["ready"] = round(time.monotonic() - self._start_s, 3)

    async def _demand_no_other_simulator(self, client: Client) -> None:
        """A node that is nobody's stays as it is, unless something plays every node (``kwok --manage-all-nodes``).

        Raises ComponentError: then figures would tell of two simulators that get in each other's way.
        """
        name = f"planebench-probe-{self.config.run_id.rpartition('-')[2]}"
        taint = {"key": RUN_LABEL, "value": self.config.run_id, "effect": "NoSchedule"}
        await client.create(
            self._owned(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": name, "labels": PROBE_LABELS},
                    "spec": {"taints": [taint]},
                }
            )
        )
        await asyncio.sleep(_PROBE_S)
        if is_ready(await client.get(f"/api/v1/nodes/{name}")):
            raise ComponentError(
                "another simulator plays every node of this cluster, so planebench's too; let it manage its own "
                "(of kwokctl: docs/existing-clusters.md)"
            )
        await client.delete(f"/api/v1/nodes/{name}")

    async def _remove(self, on_status: Callable[[str], None]) -> None:
        """Goes on while the run is being cancelled; a second cancellation ends it."""
        self.left = ["everything: its removal was interrupted"]
        on_status(f"removing what run {self.config.run_id} has made (Ctrl-C leaves it there)")
        async with Client(self.login) as client:
            self.left = await removal.remove(
                client,
                self.config.run_id,
                _REMOVAL_S,
                played=self._supervisor.failure is None and bool(self.processes),
                on_status=on_status,
            )

    def _owned(self, item: Manifest) -> Manifest:
        metadata = item["metadata"]
        labels = {**(metadata.get("labels") or {}), RUN_LABEL: self.config.run_id}
        return {**item, "metadata": {**metadata, "labels": labels, "ownerReferences": [self.owner]}}

    def _annotations(self) -> dict[str, str]:
        """For those who find it: whose it is."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # a user id without a name
            user = "unknown"
        return {
            "planebench.dev/scenario": self.config.scenario,
            "planebench.dev/by": f"{user}@{socket.gethostname()}",
            "planebench.dev/version": __version__,
        }


def is_this_machine(access: Access) -> bool:
    """Whether an API server runs on this machine, as far as its address tells; behind a proxy it does not."""
    if access.proxy:
        return False
    try:
        found = {item[4][0] for item in socket.getaddrinfo(access.host, access.port, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    return any(str(address).startswith("127.") or address == "::1" or address in own for address in found)
