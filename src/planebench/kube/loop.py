"""One epoll loop with exact timers, made for open-loop sending: what is due goes before everything else.

While a lot arrives, the loop reads in batches: after a round of reads it sleeps until something is due or
``batch_ns`` have passed, rather than waking for each reply. The kernel stamps what arrives meanwhile, so a reply
that is read late is not recorded late.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable
from typing import Final

from planebench.kube.clock import StampClock
from planebench.kube.histogram import Histogram
from planebench.kube.timer import Timer

NEVER: Final = 1 << 62
"""A monotonic time that never comes."""

EPOLLIN: Final = select.EPOLLIN
EPOLLOUT: Final = select.EPOLLOUT


class Alarm:
    """A call at a time; :meth:`cancel` takes it back."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Calls back for readable files, alarms, and the one stream of due sends.

    ``due_ns`` is when the next send is due (monotonic), ``on_due`` sends it and everything else that is due by
    then, and moves ``due_ns`` on.
    """

    def __init__(self, *, batch_ns: int, stretch_ns: int = 0) -> None:
        self.batch_ns = batch_ns
        self.stretch_ns = stretch_ns
        self.clock = StampClock()
        self.due_ns = NEVER
        self.on_due: Callable[[], None] = lambda: None
        self.lag = Histogram()
        """How late the loop woke for a time it had set, ns."""
        self.running = False
        self._epoll = select.epoll()
        self._timer = Timer()
        self._epoll.register(self._timer.fd, EPOLLIN)
        self._calls: dict[int, Callable[[int], None]] = {}
        self._alarms: list[tuple[int, int, Alarm]] = []
        self._order = itertools.count()

    def register(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        self._calls[fd] = call
        self._epoll.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        if self._calls.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at(self, monotonic_ns: int, call: Callable[[], None]) -> Alarm:
        """Call at a monotonic time."""
        alarm = Alarm(call)
        heapq.heappush(self._alarms, (monotonic_ns, next(self._order), alarm))
        return alarm

    def after(self, seconds: float, call: Callable[[], None]) -> Alarm:
        """Call after a delay in seconds."""
        return self.at(time.monotonic_ns() + int(seconds * 1e9), call)

    def stop(self) -> None:
        self.running = False

    def run(self) -> None:
        """Run until :meth:`stop`."""
        self.running = True
        monotonic_ns = time.monotonic_ns
        clock = self.clock
        calls = self._calls
        alarms = self._alarms
        timer_fd = self._timer.fd
        poll = self._epoll.poll
        quiet_until = 0
        while self.running:
            now = monotonic_ns()
            if now >= self.due_ns:
                self.on_due()
                now = monotonic_ns()
            while alarms and alarms[0][0] <= now:
                alarm = heapq.heappop(alarms)[2]
                if alarm.call is not None:
                    alarm.call()
            if not self.running:
                break
            wake = self.due_ns
            if alarms and alarms[0][0] < wake:
                wake = alarms[0][0]
            if now < quiet_until:
                until = quiet_until if quiet_until < wake else wake
                time.sleep(max(until - now, 0) / 1e9)
                now = monotonic_ns()
                self.lag.add(now - until)
                if now >= self.due_ns:
                    self.on_due()
                ready = poll(0)
            else:
                self._timer.set(wake)
                ready = poll()
                now = monotonic_ns()
                if now >= wake:
                    self.lag.add(now - wake)
                    if now >= self.due_ns:
                        self.on_due()
            if now > clock.read_again_ns:
                clock.read()
            quiet_until = 0
            for fd, events in ready:
                if fd == timer_fd:
                    continue
                call = calls.get(fd)
                if call is not None:
                    call(events)
                    quiet_until = 1
                if monotonic_ns() >= self.due_ns:
                    self.on_due()
            if quiet_until:
                now = monotonic_ns()
                due = self.due_ns
                quiet_until = due if due - now < self.stretch_ns else now + self.batch_ns

    def close(self) -> None:
        self._timer.close()
        self._epoll.close()
