"""Faults of etcd that no signal brings about: a full database, and a leader that hands over."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from planebench.kube.etcd import NO_SPACE, EtcdClient, EtcdError
from planebench.model import ComponentError
from planebench.run.faults.fault import Conditions, Struck, Surroundings, not_ours
from planebench.run.faults.members import chosen, own_cluster
from planebench.scenario import EtcdFull

_FILLING: Final = "/planebench/filling/"
_VALUE: Final = b"\0" * 2**20
"""etcd takes no more than 1.5 MiB in one request by default."""
_KEYS: Final = 8
"""The same ones are written again and again: it is their history that fills the database, as it does in clusters
that are not compacted, and compaction frees it."""
_RESERVE_BYTES: Final = 4 * 2**20
"""How far below the quota preparation stops."""
_POLL_S: Final = 0.05


class _OfEtcd:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    @staticmethod
    def available(conditions: Conditions) -> str:
        return not_ours(conditions)

    def _client(self) -> EtcdClient:
        return EtcdClient(own_cluster(self._around).etcd)


class Filled(_OfEtcd):
    """Written to until it raises the alarm NOSPACE; then repaired as etcd's documentation says.

    Source: https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
    """

    def __init__(self, wanted: EtcdFull, around: Surroundings) -> None:
        super().__init__(around)
        self._quota_bytes = wanted.quota_bytes
        self._written = 0

    async def prepare(self) -> None:
        async with self._client() as etcd:
            while await etcd.database_bytes() < self._quota_bytes - _RESERVE_BYTES:
                await self._write(etcd)

    async def strike(self) -> Struck:
        async with self._client() as etcd:
            with contextlib.suppress(EtcdError):  # that is what refuses the last one
                while NO_SPACE not in await etcd.alarms():
                    await self._write(etcd)
            if NO_SPACE not in await etcd.alarms():
                raise ComponentError("etcd could not be filled up to its quota", component="etcd")
        return Struck(processes=tuple(own_cluster(self._around).members("etcd")))

    async def undo(self) -> None:
        async with self._client() as etcd:
            await etcd.delete(_FILLING)
            await etcd.compact()
            await etcd.defragment()
            await etcd.disarm(NO_SPACE)

    async def recovered(self) -> None:
        async with self._client() as etcd:
            while await etcd.alarms():  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(_POLL_S)

    async def _write(self, etcd: EtcdClient) -> None:
        await etcd.put(f"{_FILLING}{self._written % _KEYS}", _VALUE)
        self._written += 1


class Moved(_OfEtcd):
    """The leader hands over to the next member."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._from = ""

    async def prepare(self) -> None:
        (self._from,) = await chosen(self._around, "etcd", "leader")

    async def strike(self) -> Struck:
        names = own_cluster(self._around).members("etcd")
        place = names.index(self._from)
        async with self._client() as etcd:
            await etcd.move_leader(place, (place + 1) % len(names))
        return Struck(processes=(self._from,))

    async def undo(self) -> None:
        """Whoever leads is as good as another one."""

    async def recovered(self) -> None:
        """It never stood still."""
