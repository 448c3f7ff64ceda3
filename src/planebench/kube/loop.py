"""One epoll loop, exact to microseconds, made for open-loop sending: what is due goes before everything else.

Waking is what costs (caches are cold by then), so the loop wakes for what is due and reads in between as seldom as
the truth allows. Two kinds of files:

- *prompt* ones wake the loop: a watch carries many events, and the kernel stamps only the last of those that are
  read together. When reads follow each other closely, the loop sleeps ``batch_ns`` after each, so that no stamp is
  later than its event by more than that; or until the next send, if that is due within ``stretch_ns``.
- *patient* ones do not: a reply is alone on its connection and its stamp is exact whenever it is read. They are
  looked at after ``patience_ns`` while something is expected of them (with a send, if one is due at about that
  time), less and less often while nothing comes.

A wait for files is told in milliseconds; what is due sooner than ``stretch_ns`` is slept for, exactly.
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

NEVER: Final = 1 << 62
"""A monotonic time that never comes."""

_MOST_PATIENCE: Final = 4

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

    Raises:
        OSError: this system has no epoll.
    """

    def __init__(self, *, batch_ns: int, stretch_ns: int, patience_ns: int) -> None:
        self.batch_ns = batch_ns
        self.stretch_ns = stretch_ns
        self.patience_ns = patience_ns
        self.clock = StampClock()
        self.due_ns = NEVER
        self.on_due: Callable[[], None] = lambda: None
        self.look_ns = NEVER
        """When the patient files are looked at next (monotonic)."""
        self.expecting: Callable[[], bool] = lambda: False
        """Whether anything is expected of the patient files."""
        self.lag = Histogram()
        """How late the loop woke for a time it had set, ns."""
        self.running = False
        self._prompt = select.epoll()
        self._patient = select.epoll()
        self._looking = False
        self._wait_ns = patience_ns
        self._files: dict[int, tuple[select.epoll, Callable[[int], None]]] = {}
        self._alarms: list[tuple[int, int, Alarm]] = []
        self._order = itertools.count()

    def register(self, fd: int, events: int, call: Callable[[int], None], *, patient: bool = False) -> None:
        epoll = self._patient if patient else self._prompt
        epoll.register(fd, events)
        self._files[fd] = (epoll, call)

    def modify(self, fd: int, events: int) -> None:
        self._files[fd][0].modify(fd, events)

    def unregister(self, fd: int) -> None:
        file = self._files.pop(fd, None)
        if file is not None:
            file[0].unregister(fd)

    def at(self, monotonic_ns: int, call: Callable[[], None]) -> Alarm:
        """Call at a monotonic time."""
        alarm = Alarm(call)
        heapq.heappush(self._alarms, (monotonic_ns, next(self._order), alarm))
        return alarm

    def after(self, seconds: float, call: Callable[[], None]) -> Alarm:
        """Call after a delay in seconds."""
        return self.at(time.monotonic_ns() + int(seconds * 1e9), call)

    def expect(self) -> None:
        """Something is expected of the patient files from now on."""
        if self.look_ns == NEVER:
            self._wait_ns = self.patience_ns
            self.look_ns = time.monotonic_ns() + self.patience_ns

    def look(self) -> None:
        """Look at the patient files now."""
        if not self._looking:
            self._looking = True
            found = self._serve(self._patient.poll(0))
            self._looking = False
            self._wait_ns = (
                self.patience_ns if found else min(2 * self._wait_ns, _MOST_PATIENCE * self.patience_ns)
            )
            self.look_ns = time.monotonic_ns() + self._wait_ns if self.expecting() else NEVER

    def stop(self) -> None:
        self.running = False

    def run(self) -> None:
        """Run until :meth:`stop`."""
        self.running = True
        monotonic_ns, sleep = time.monotonic_ns, time.sleep
        clock, alarms, lag = self.clock, self._alarms, self.lag.add
        serve, poll = self._serve, self._prompt.poll
        batch_ns, stretch_ns = self.batch_ns, self.stretch_ns
        ready: list[tuple[int, int]] = []
        slept_until = quiet_until = last_read = 0
        while self.running:
            now = monotonic_ns()
            if slept_until:
                lag(max(now - slept_until, 0))
            early_ns = 0
            if now >= self.due_ns:
                self.on_due()
                early_ns = self.patience_ns // 2  # we are awake
            if slept_until:
                slept_until = 0
                ready = poll(0)
            if now > clock.read_again_ns:
                clock.read()
            if ready:
                serve(ready)
                now = monotonic_ns()
                quiet_until = now + batch_ns if now - last_read < 2 * batch_ns else 0
                last_read = now
            if now >= self.look_ns - early_ns:
                self.look()
            while alarms and alarms[0][0] <= now:
                alarm = heapq.heappop(alarms)[2]
                if alarm.call is not None:
                    alarm.call()
            if not self.running:
                break
            now = monotonic_ns()
            if self.due_ns - now < stretch_ns:
                slept_until = self.due_ns
            elif now < quiet_until:
                slept_until = quiet_until
            else:
                wake = min(self.due_ns - stretch_ns, self.look_ns, alarms[0][0] if alarms else NEVER)
                ready = poll(max(wake - now, 0) / 1e9)  # rounded up to a millisecond
                continue
            if slept_until > now:
                sleep((slept_until - now) / 1e9)

    def close(self) -> None:
        self._prompt.close()
        self._patient.close()

    def _serve(self, ready: list[tuple[int, int]]) -> bool:
        """Call back for each file, and send in between what has become due; False where there was none."""
        served = False
        files = self._files
        for fd, events in ready:
            file = files.get(fd)
            if file is not None:  # not closed meanwhile
                file[1](events)
                served = True
            if time.monotonic_ns() >= self.due_ns:
                self.on_due()
        return served
