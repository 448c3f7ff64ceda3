"""The leases of nodes, where the simulator is started again.

A kubelet's identity is its node's name, so one that is started again goes on with its Lease at once. KWOK takes a
new identity at each start, and plays no node before the Lease of its former life has expired, 40 s later.
Source: kwok v0.8.0, pkg/kwok/controllers, controller.go (Identity) and node_lease_controller.go
(tryAcquireOrRenew).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from planebench.kube.client import Client
from planebench.nodes import LEASES_PATH


async def release(client: Client, nodes: Collection[str]) -> None:
    """Let nobody hold those of ``nodes``, so that the next KWOK takes them; when they were renewed last stays.

    One that cannot be changed expires in its time. Raises ApiError where they cannot be listed.
    """
    there = {lease["metadata"]["name"] for lease in await client.list_metadata(LEASES_PATH)}
    names = sorted(there.intersection(nodes))
    nobody = {"spec": {"holderIdentity": None}}
    await asyncio.gather(
        *(client.patch(f"{LEASES_PATH}/{name}", nobody) for name in names), return_exceptions=True
    )
