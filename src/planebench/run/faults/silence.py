"""Nodes that fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from planebench.kube.client import ApiError
from planebench.nodes import SIMULATOR, SIMULATOR_LABEL
from planebench.run.faults.fault import Conditions, Struck, Surroundings


class Silenced:
    """KWOK plays a node only as long as it has its label: without it the node falls silent."""

    def __init__(self, number: int, around: Surroundings) -> None:
        """``number``: the fault's, in its scenario."""
        self._number = number
        self._around = around
        self._simulators: dict[str, str] = {}
        """Those that are silent, and the value of the label that they had."""

    @staticmethod
    def available(conditions: Conditions) -> str:
        return ""

    async def prepare(self) -> None:
        """The seed has drawn them."""

    async def strike(self) -> Struck:
        names = self._around.planner.silenced(self._number)
        simulators = {
            f"{pool.name}-{place:06d}": pool.labels.get(SIMULATOR_LABEL, SIMULATOR)
            for pool in self._around.scenario.nodes
            for place in range(pool.count)
        }
        self._simulators = {name: simulators[name] for name in names}
        await self._label(dict.fromkeys(names))
        return Struck(nodes=names)

    async def undo(self) -> None:
        await self._label(self._simulators)

    async def recovered(self) -> None:
        """Nodes get Ready on their own: the run waits for all of them at the stage's end."""

    async def _label(self, values: Mapping[str, str | None]) -> None:
        """Set the label, or take it away (None), of all at once."""
        done = await asyncio.gather(
            *(
                self._around.client.patch(
                    f"/api/v1/nodes/{name}", {"metadata": {"labels": {SIMULATOR_LABEL: value}}}
                )
                for name, value in values.items()
            ),
            return_exceptions=True,
        )
        for failure in done:
            if isinstance(failure, ApiError):
                raise failure
