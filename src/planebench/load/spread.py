"""One schedule, sent by several engines: each has a share of every phase, another engine watches.

A sender that is lost takes its share of the phase along: nobody knows what became of what it had not told. The
phases that follow are cut for those that are left, so that the run still comes to its end and cleans up; the
certificate names the lost one, and every SLO is inconclusive.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from planebench.load.engine import Engine, EngineError
from planebench.load.protocol import PhaseFile, phase_file, write_phase
from planebench.load.shares import cut
from planebench.model import Access, LoadPhase, PlanebenchError, Progress, WatchSpec
from planebench.observe.records import write_start

LOCAL_LEAD_S: Final = 0.05
"""From the decision to a phase's start, where all senders are on this machine."""
_NEVER_S: Final = 1e9


class Load(Protocol):
    """What a run's stages ask for: one engine, or several."""

    on_unauthorized: Callable[[], None]

    @property
    def progress(self) -> Progress: ...
    @property
    def processes(self) -> Mapping[str, int]: ...
    async def watch(self, spec: WatchSpec) -> int: ...
    async def authorize(self, access: Access) -> None: ...
    async def execute(self, phase: LoadPhase) -> Progress: ...
    async def until(self, predicate: Callable[[Progress], bool], timeout_s: float) -> bool: ...


class Sender(Protocol):
    """An engine that sends shares of phases, here or on another machine; see :class:`planebench.load.Engine`."""

    on_unauthorized: Callable[[], None]

    @property
    def name(self) -> str: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def failure(self) -> PlanebenchError | None: ...
    async def prepare(self, number: int, plan: PhaseFile) -> None: ...
    async def send(self, number: int, start_ns: int) -> Progress: ...
    async def authorize(self, access: Access) -> None: ...
    async def stop(self) -> dict[str, Any]:
        """Its health; empty where it has none to tell."""


@dataclass
class _Share:
    sender: Sender
    plan: PhaseFile
    lost: bool = False

    def progress(self) -> Progress:
        """Of this phase; what a lost sender did not tell has failed, for all that is known."""
        found = self._told()
        if not self.lost:
            return found
        untold = self.untold()
        verbs = Counter(self.plan.templates[template].verb for template in self.plan.template)
        failed = {verb: min(found.failed_by_verb.get(verb, 0) + untold, count) for verb, count in verbs.items()}
        return replace(found, failed=found.failed + untold, failed_by_verb=failed, in_flight=0)

    def untold(self) -> int:
        """How many of its operations have no answer that is known."""
        found = self._told()
        return found.planned - found.answered - found.failed

    def _told(self) -> Progress:
        """The sender's newest report, if it is of this phase."""
        told = self.sender.progress
        found = told if told.phase == self.plan.name else Progress(told.t_ns)
        return replace(found, planned=len(self.plan.due_ns))


class Spread:
    """Several engines as one. Made by :func:`spread`."""

    def __init__(self, observer: Engine, senders: Sequence[Sender], t0_ns: int, lead_s: float) -> None:
        self._observer = observer
        self._senders = senders
        self._t0_ns = t0_ns
        self._lead_ns = round(lead_s * 1e9)
        self._shares: list[_Share] = []
        """Of the phase that was cut last."""
        self.lost: dict[str, str] = {}
        """Sender -> when and why it was lost, and what it took along."""

    @property
    def progress(self) -> Progress:
        """What the observer sees, and what all senders together have done."""
        told = [self._observer.progress, *(sender.progress for sender in self._senders)]
        seen = replace(told[0], errors=dict(_sum(progress.errors for progress in told)))
        return merged(seen, [share.progress() for share in self._shares]) if self._shares else seen

    @property
    def on_unauthorized(self) -> Callable[[], None]:
        return self._observer.on_unauthorized

    @on_unauthorized.setter
    def on_unauthorized(self, call: Callable[[], None]) -> None:
        for engine in (self._observer, *self._senders):
            engine.on_unauthorized = call

    @property
    def processes(self) -> Mapping[str, int]:
        """Name -> process id, of those on this machine."""
        here = {sender.name: sender.pid for sender in self._senders if isinstance(sender, Engine)}
        return {**self._observer.processes, **here}

    async def watch(self, spec: WatchSpec) -> int:
        """See :meth:`Engine.watch`."""
        return await self._observer.watch(spec)

    async def authorize(self, access: Access) -> None:
        """See :meth:`Engine.authorize`."""
        await self._observer.authorize(access)
        for sender in self._left():
            with self._losing(sender, "when it got other credentials"):
                await sender.authorize(access)

    async def until(self, predicate: Callable[[Progress], bool], timeout_s: float) -> bool:
        """See :meth:`Engine.until`."""
        return await self._observer.until(lambda _: predicate(self.progress), timeout_s)

    async def execute(self, phase: LoadPhase) -> Progress:
        """Execute a phase: preparations by the observer, which is idle then, stages by the senders.

        Raises:
            EngineError: the observer broke, or no sender is left.
        """
        if phase.stage is None:
            self._shares = []
            await self._observer.execute(phase)
            return self.progress
        plan = await asyncio.to_thread(phase_file, phase)
        number = self._observer.next_phase()
        await asyncio.to_thread(write_phase, self._observer.folder, number, plan)
        shares = await self._cut(plan, number)
        self._shares = shares
        start_ns = time.monotonic_ns() - self._t0_ns + self._lead_ns
        write_start(self._observer.folder, number, start_ns)
        await self._all(self._send(share, number, start_ns) for share in shares)
        self._left()
        return self.progress

    async def _all(self, work: Iterable[Any]) -> None:
        """Work for all senders; it ends at once when the observer does."""
        sending: asyncio.Future[Any] = asyncio.gather(*work)
        watching: asyncio.Future[Any] = asyncio.ensure_future(self._observer.until(lambda _: False, _NEVER_S))
        try:
            await asyncio.wait([sending, watching], return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await watching
            await sending
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)

    async def _cut(self, plan: PhaseFile, number: int) -> list[_Share]:
        """A share for each that is left, and prepared. Who is lost before anything was sent takes nothing along:
        the others share everything."""
        while True:
            senders = self._left()
            plans = await asyncio.to_thread(cut, plan, len(senders))
            shares = [_Share(sender, share) for sender, share in zip(senders, plans, strict=True)]
            await self._all(self._prepare(share, number) for share in shares)
            if not any(share.sender.name in self.lost for share in shares):
                return shares

    async def _prepare(self, share: _Share, number: int) -> None:
        with self._losing(share.sender, f"before {share.plan.name}"):
            await share.sender.prepare(number, share.plan)

    async def _send(self, share: _Share, number: int, start_ns: int) -> None:
        with self._losing(share.sender, f"in {share.plan.name}", share):
            await share.sender.send(number, start_ns)

    @contextlib.contextmanager
    def _losing(self, sender: Sender, when: str, share: _Share | None = None) -> Iterator[None]:
        try:
            yield
        except PlanebenchError as error:
            took = ""
            if share is not None:
                share.lost = True
                took = f", {share.untold():,} of its {len(share.plan.due_ns):,} requests unanswered"
            self.lost.setdefault(sender.name, f"lost {when}{took}: {error}")

    def _left(self) -> list[Sender]:
        for sender in self._senders:
            if sender.failure is not None:
                self.lost.setdefault(sender.name, f"lost between phases: {sender.failure}")
        left = [sender for sender in self._senders if sender.name not in self.lost]
        if not left:
            told = "; ".join(f"{name} was {what}" for name, what in sorted(self.lost.items()))
            raise EngineError(f"no load process is left: {told}")
        return left

    async def stop(self) -> dict[str, Any]:
        """Stop all; returns their health as one, see :func:`combined`."""
        healths = await asyncio.gather(*(sender.stop() for sender in self._senders))
        told = {}
        for sender, health in zip(self._senders, healths, strict=True):
            if "cpu_s" not in health:
                reason = sender.failure or "it did not tell how it was"
                self.lost.setdefault(sender.name, f"lost at the end: {reason}")
            told[sender.name] = {**health, "lost": self.lost.get(sender.name, "")}
        return combined(await self._observer.stop(), told)


@contextlib.asynccontextmanager
async def spread(
    observer: Engine,
    senders: Sequence[Sender],
    out: Path,
    t0_ns: int,
    *,
    lead_s: float = LOCAL_LEAD_S,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> AsyncIterator[Spread]:
    """Several engines as one; at the end all are stopped, and ``raw/harness.json`` tells how they were.

    Args:
        observer: watches, and sends what is no stage's.
        senders: send the stages' requests.
        out: the run's folder.
        t0_ns: ``time.monotonic_ns()`` at the trial's start.
        lead_s: how long it takes at most until all have heard of a phase's start.
        on_progress: called with every report of the observer.
    """
    together = Spread(observer, senders, t0_ns, lead_s)
    observer.on_progress = lambda _: on_progress(together.progress)
    try:
        yield together
    finally:
        health = await together.stop()
        (out / "raw" / "harness.json").write_text(json.dumps(health))


def merged(seen: Progress, shares: Sequence[Progress]) -> Progress:
    """One report of several shares of a phase. Counts add up. A percentile of the whole is at most the worst of
    the shares', and that is what is told on the way; the result comes from the records."""
    return replace(
        seen,
        phase=next((share.phase for share in shares if share.phase), seen.phase),
        planned=sum(share.planned for share in shares),
        sent=sum(share.sent for share in shares),
        answered=sum(share.answered for share in shares),
        failed=sum(share.failed for share in shares),
        failed_by_verb=dict(_sum(share.failed_by_verb for share in shares)),
        in_flight=sum(share.in_flight for share in shares),
        response_ms=_worst([share.response_ms for share in shares]),
    )


def combined(observer: Mapping[str, Any], senders: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The health of several engines as that of one: times and a core's use of the worst, sums of the rest.

    Args:
        observer: its health.
        senders: name -> its health, and ``lost``: how it was lost, empty where it was not. They are kept as they
            are in ``senders``.
    """
    told = [health for health in (observer, *senders.values()) if "cpu_s" in health]
    if not told:
        return {**observer, "senders": dict(senders)}
    found = dict(observer)
    for key in _WORST:
        found[key] = _worst([health[key] for health in told])
    for key in _SUMS:
        found[key] = sum(health[key] for health in told)
    found["busiest_second"] = max(health["busiest_second"] for health in told)
    stamps = [health["kernel_stamps"] for health in told]
    found["kernel_stamps"] = {
        "refused": sum(stamp["refused"] for stamp in stamps),
        "clock_steps": max(stamp["clock_steps"] for stamp in stamps),
    }
    return {**found, "senders": dict(senders)}


_WORST: Final = ("send_lateness_ms", "loop_lag_ms")
_SUMS: Final = (
    "cpu_s",
    "peak_rss_bytes",
    "connections",
    "connections_lost",
    "connections_opened",
    "retried_after_connection_loss",
    "retried_as_told",
)


def _worst(times: Sequence[Mapping[str, float]]) -> dict[str, float]:
    keys = dict.fromkeys(key for one in times for key in one)
    return {key: max(one[key] for one in times if key in one) for key in keys}


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total
