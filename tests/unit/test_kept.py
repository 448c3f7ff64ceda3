"""How kept control planes wait for their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from planebench.model import ComponentError
from planebench.nodes import LEASES_PATH
from planebench.run import kept


class Nodes:
    """A client of a cluster whose nodes get a lease, and then Ready, one with each question."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.leases = self.ready = 0
        self.asked: list[str] = []

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        assert (path, query) == (LEASES_PATH, {"limit": "1"})
        self.asked.append("count")
        self.leases += 1
        rest = {"remainingItemCount": self.leases - 2} if self.leases > 2 else {}
        return {"items": [{}] if self.leases > 1 else [], "metadata": rest}

    async def list(self, path: str, **query: str) -> list[dict[str, Any]]:
        assert path == "/api/v1/nodes"
        self.asked.append("list")
        self.ready += 1
        return [
            {
                "metadata": {"name": name},
                "status": {"conditions": [{"type": "Ready", "status": str(place < self.ready)}]},
            }
            for place, name in enumerate([*self.names, "not-ours"])
        ]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_POLL_S", 0)


async def test_nodes_are_listed_once_all_have_leases() -> None:
    nodes = Nodes(["a", "b", "c"])
    await kept._until_ready(nodes, {"a", "b", "c"}, 60, "", leased=True)  # type: ignore[arg-type]
    assert nodes.asked == ["count"] * 4 + ["list"] * 3


async def test_nodes_without_leases() -> None:
    nodes = Nodes(["a", "b"])
    await kept._until_ready(nodes, {"a", "b"}, 60, "", leased=False)  # type: ignore[arg-type]
    assert nodes.asked == ["list"] * 2


async def test_no_nodes_at_all() -> None:
    nodes = Nodes([])
    await kept._until_ready(nodes, set(), 60, "", leased=True)  # type: ignore[arg-type]
    assert nodes.asked == ["count"]


async def test_nodes_that_do_not_get_ready() -> None:
    with pytest.raises(ComponentError, match=r"0 of 1 nodes Ready within 0 s \(timeouts\.nodes\)"):
        await kept._until_ready(Nodes(["a"]), {"b"}, 0, "(timeouts.nodes)", leased=True)  # type: ignore[arg-type]
