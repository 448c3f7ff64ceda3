"""Faults of components' processes: killed, paused, restarted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Final

from planebench.cluster.process import Supervisor
from planebench.kube.client import ApiError
from planebench.nodes import SIMULATOR, played_by, simulators
from planebench.run.faults import leases
from planebench.run.faults.fault import Conditions, Struck, Surroundings, not_ours
from planebench.run.faults.members import chosen, own_cluster
from planebench.scenario import ProcessFault

_GRACE_S: Final = 30.0
"""How long a component may take to end in order before it is killed: what a kubelet gives pods.
Source: k8s.io/api v0.37.2, core/v1/types.go (DefaultTerminationGracePeriodSeconds)."""


class _OfProcesses:
    """What faults of processes have in common."""

    def __init__(self, wanted: ProcessFault, around: Surroundings) -> None:
        self._wanted = wanted
        self._around = around
        self._names: tuple[str, ...] = ()

    @staticmethod
    def available(conditions: Conditions) -> str:
        return not_ours(conditions)

    async def prepare(self) -> None:
        self._names = await chosen(self._around, self._wanted.component, self._wanted.member)
        self._supervisor.reviving = True  # what others make of it is part of what is measured

    async def strike(self) -> Struck:
        async with asyncio.TaskGroup() as group:
            for name in self._names:
                group.create_task(self._strike(name))
        return Struck(processes=self._names)

    async def undo(self) -> None:
        exited = any(self._supervisor.named(name).exited.is_set() for name in self._names)
        if exited and self._wanted.component == SIMULATOR:
            with contextlib.suppress(ApiError):  # it is slower then
                await leases.release(self._around.client, self._played())
        for name in self._names:
            self._undo(name)

    def _played(self) -> list[str]:
        """The nodes that the struck processes play: those of others stay theirs."""
        scenario = self._around.scenario
        by = simulators(scenario.topology)
        found = played_by(scenario.nodes, by)
        return [node for node, name in found.items() if (by[0] if name == SIMULATOR else name) in self._names]

    async def recovered(self) -> None:
        supervisor = self._supervisor
        for name in self._names:
            await supervisor.wait_ready(supervisor.named(name), again=True)

    @property
    def _supervisor(self) -> Supervisor:
        return own_cluster(self._around).supervisor

    async def _strike(self, name: str) -> None:
        raise NotImplementedError

    def _undo(self, name: str) -> None:
        if self._supervisor.named(name).exited.is_set():
            self._supervisor.again(name)


class Killed(_OfProcesses):
    """SIGKILL, and started again."""

    async def _strike(self, name: str) -> None:
        await self._supervisor.end(name, signal.SIGKILL, _GRACE_S)


class Restarted(_OfProcesses):
    """SIGTERM, and started again."""

    async def _strike(self, name: str) -> None:
        await self._supervisor.end(name, signal.SIGTERM, _GRACE_S)


class Paused(_OfProcesses):
    """SIGSTOP, then SIGCONT."""

    async def _strike(self, name: str) -> None:
        self._supervisor.named(name).pause()

    def _undo(self, name: str) -> None:
        self._supervisor.named(name).resume()
