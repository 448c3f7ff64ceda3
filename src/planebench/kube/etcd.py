"""etcd's own API, over its JSON gateway: for looking past the API server, and for what an operator does.

Source: etcd v3.7.3, api/etcdserverpb/rpc.proto; keys and values are base64 there, 64-bit numbers are text.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from planebench.kube.client import tls_context
from planebench.model import Endpoint, PlanebenchError

_TIMEOUT_S: Final = 30.0
_STATUS_TIMEOUT_S: Final = 0.5
_PAGE: Final = 5_000
NO_SPACE: Final = "NOSPACE"
"""The alarm of a member whose database has outgrown its quota: no more writes."""


class EtcdError(PlanebenchError):
    """etcd refused a request, or no member could be reached."""


class EtcdClient:
    """Requests to the members of one etcd; an async context manager."""

    def __init__(self, members: Sequence[Endpoint]) -> None:
        """``members``: the URL of each, without a path, and who may look into it."""
        self._members = tuple(members)

    async def __aenter__(self) -> Self:
        first = self._members[0]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls_context(first.ca, first.identity)),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def keys(self, prefix: str) -> list[str]:
        """All keys that begin with a prefix, as the majority of the members has them."""
        found: list[str] = []
        start, end = prefix.encode(), _after(prefix.encode())
        revision = "0"
        while True:
            answer = await self._ask(
                "kv/range",
                key=_text(start),
                range_end=_text(end),
                keys_only=True,
                limit=str(_PAGE),
                revision=revision,
            )
            page = [base64.b64decode(item["key"]) for item in answer.get("kvs") or ()]
            found += (key.decode(errors="replace") for key in page)
            revision = answer["header"]["revision"]
            if not answer.get("more"):
                return found
            start = page[-1] + b"\0"

    async def put(self, key: str, value: bytes) -> None:
        await self._ask("kv/put", key=_text(key.encode()), value=_text(value))

    async def delete(self, prefix: str) -> None:
        """All keys that begin with a prefix."""
        await self._ask("kv/deleterange", key=_text(prefix.encode()), range_end=_text(_after(prefix.encode())))

    async def compact(self) -> None:
        """Drop all history: only what is now stays; watches that lag behind have to begin anew."""
        answer = await self._ask("kv/range", key=_text(b"\0"), limit="1", keys_only=True)
        await self._ask("kv/compaction", revision=answer["header"]["revision"], physical=True)

    async def defragment(self) -> None:
        """Give what compaction has freed back to the file system, member by member: each stands still for it."""
        for member in self._members:
            await self._ask("maintenance/defragment", member)

    async def alarms(self) -> list[str]:
        """The alarms that are raised, one for each member that raises it."""
        answer = await self._ask("maintenance/alarm", action="GET")
        return [str(item.get("alarm", "")) for item in answer.get("alarms") or ()]

    async def disarm(self, alarm: str) -> None:
        """Take an alarm back on every member that raises it."""
        answer = await self._ask("maintenance/alarm", action="GET")
        for item in answer.get("alarms") or ():
            if item.get("alarm") == alarm:
                await self._ask("maintenance/alarm", action="DEACTIVATE", memberID=item["memberID"], alarm=alarm)

    async def database_bytes(self) -> int:
        """The largest size of a member's database file."""
        answers = [await self._ask("maintenance/status", member) for member in self._members]
        return max(int(answer.get("dbSize", 0)) for answer in answers)

    async def leader(self) -> tuple[int, int] | None:
        """The place of the member that leads, by its own word, and its term: every election begins another one.
        None: none says so; of several, one has not heard yet of the newest term."""
        answers = await asyncio.gather(*map(self._status, self._members))
        leading = [
            (int(answer["raftTerm"]), place)
            for place, answer in enumerate(answers)
            if answer and answer.get("leader") == answer["header"]["member_id"]
        ]
        if not leading:
            return None
        term, place = max(leading)
        return place, term

    async def move_leader(self, place: int, to: int) -> None:
        """Let the member that leads hand over to another one."""
        answer = await self._ask("maintenance/status", self._members[to])
        await self._ask(
            "maintenance/transfer-leadership", self._members[place], targetID=answer["header"]["member_id"]
        )

    async def _status(self, member: Endpoint) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(_STATUS_TIMEOUT_S):
                return await self._ask("maintenance/status", member)
        except (EtcdError, TimeoutError):
            return None

    async def _ask(self, method: str, member: Endpoint | None = None, /, **body: Any) -> dict[str, Any]:
        """A request to one member, or to the first one that can be reached."""
        reasons = []
        for endpoint in [member] if member else self._members:
            try:
                async with self._session.post(f"{endpoint.url}/v3/{method}", json=body) as response:
                    answer: dict[str, Any] = await response.json(content_type=None)
            except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
                reasons.append(str(error) or type(error).__name__)
                continue
            if response.ok:
                return answer
            raise EtcdError(f"etcd: {method}: {answer.get('message') or answer}")
        raise EtcdError(f"etcd: {method}: {'; '.join(reasons)}")


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _after(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with a prefix."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
