"""Fail-over: who leads where the leader was struck, and since when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Final

from planebench.cluster.leaders import Leadership, elects, leadership
from planebench.cluster.local import LocalCluster
from planebench.run.faults.fault import Surroundings
from planebench.scenario import Bandwidth, ConnectionLoss, Fault, Kill, Latency, MoveLeader, Pause, Restart

_POLL_S: Final = 0.05


class Failover:
    """Follows the leadership of what a fault strikes; does nothing where nobody is elected."""

    def __init__(self, wanted: Fault, around: Surroundings) -> None:
        self._around = around
        self._component = _struck(wanted)
        self._before: Leadership | None = None
        self.over = asyncio.Event()
        """The fault is over: whoever leads now may be the one that did before."""

    async def look(self) -> None:
        """See who leads, right before the fault."""
        cluster = self._around.cluster
        if self._component and isinstance(cluster, LocalCluster) and elects(cluster, self._component):
            self._before = await leadership(cluster, self._around.client, self._component)

    async def follow(self, struck: Collection[str]) -> tuple[str, int] | None:
        """Wait until another one leads than did before, or the same one again in a new life: which process, and
        when that was seen (monotonic, ns). None: the leader was not struck, or leads as ever when all is over."""
        cluster, before = self._around.cluster, self._before
        if before is None or before.member not in struck or not isinstance(cluster, LocalCluster):
            return None
        renewed = before.renewed
        while True:
            over = self.over.is_set()
            now = await leadership(cluster, self._around.client, self._component, () if over else struck)
            if now is not None and now.identity != before.identity:
                return now.member, time.monotonic_ns()
            if now is not None and over and (now.renewed != renewed or not now.renewed):
                return None
            if now is not None and not over:
                renewed = now.renewed
            await asyncio.sleep(_POLL_S)


def _struck(wanted: Fault) -> str:
    """The component whose leader may be struck; empty: none."""
    match wanted:
        case Kill() | Pause() | Restart():
            return wanted.component
        case Latency() | Bandwidth() | ConnectionLoss():
            return wanted.between[0]
        case MoveLeader():
            return "etcd"
        case _:
            return ""
