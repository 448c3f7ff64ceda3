"""Faults of connections between components, by a proxy that stands between them."""

from __future__ import annotations

from planebench.cluster.proxy import Direction, ProxyClient
from planebench.components import Link
from planebench.run.faults.fault import Conditions, Struck, Surroundings, not_ours
from planebench.run.faults.members import chosen, own_cluster
from planebench.scenario import Bandwidth, ConnectionLoss, Latency, LinkFault

_BOTH_WAYS: tuple[Direction, ...] = ("upstream", "downstream")


class _OfLinks:
    """What faults of connections have in common."""

    def __init__(self, wanted: LinkFault, around: Surroundings) -> None:
        self._wanted = wanted
        self._around = around
        self._links: list[Link] = []

    @staticmethod
    def available(conditions: Conditions) -> str:
        return not_ours(conditions)

    async def prepare(self) -> None:
        client, server = self._wanted.between
        cluster = own_cluster(self._around)
        links = cluster.wiring.between(client, server)
        if self._wanted.member is not None:
            names = await chosen(self._around, client, self._wanted.member)
            links = [link for link in links if link.client in names]
        self._links = links

    async def strike(self) -> Struck:
        async with self._proxy() as proxy:
            for link in self._links:
                await self._spoil(proxy, link)
        return Struck(processes=tuple(dict.fromkeys(link.client for link in self._links)))

    async def undo(self) -> None:
        async with self._proxy() as proxy:
            for link in self._links:
                await proxy.clear(link)

    async def recovered(self) -> None:
        """Connections cannot say so: what goes over them does."""

    def _proxy(self) -> ProxyClient:
        return ProxyClient(own_cluster(self._around).proxy_url)

    async def _spoil(self, proxy: ProxyClient, link: Link) -> None:
        raise NotImplementedError


class Delayed(_OfLinks):
    """What the server sends comes later."""

    async def _spoil(self, proxy: ProxyClient, link: Link) -> None:
        assert isinstance(self._wanted, Latency)  # noqa: S101 (made for it)
        attributes = {"latency": _ms(self._wanted.latency), "jitter": _ms(self._wanted.jitter)}
        await proxy.add(link, "latency", "downstream", attributes)


class Throttled(_OfLinks):
    """So many bytes per second, each way."""

    async def _spoil(self, proxy: ProxyClient, link: Link) -> None:
        assert isinstance(self._wanted, Bandwidth)  # noqa: S101 (made for it)
        for direction in _BOTH_WAYS:
            await proxy.add(link, "bandwidth", direction, {"rate": self._wanted.bytes_per_s // 1000})


class Cut(_OfLinks):
    """Connections that are closed and refused, or that carry nothing any more."""

    async def _spoil(self, proxy: ProxyClient, link: Link) -> None:
        assert isinstance(self._wanted, ConnectionLoss)  # noqa: S101 (made for it)
        if self._wanted.how == "refused":
            await proxy.enable(link, enabled=False)
            return
        for direction in _BOTH_WAYS:
            await proxy.add(link, "timeout", direction, {"timeout": 0})  # it closes connections when it goes


def _ms(seconds: float) -> int:
    return round(seconds * 1e3)
