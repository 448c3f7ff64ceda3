"""A timer that an epoll waits for, exact to microseconds: Linux's timerfd, which Python has from 3.13 only."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_CLOCK_MONOTONIC: Final = 1
_TFD_TIMER_ABSTIME: Final = 1
_TFD_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC


class _Timerspec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timerspec), ("value", _Timerspec))


class Timer:
    """An absolute one-shot timer on CLOCK_MONOTONIC; its file descriptor is readable from then on.

    Raises:
        OSError: this system has no timerfd.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._settime = libc.timerfd_settime
            self.fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_FLAGS)
        except AttributeError as error:
            raise OSError("this C library has no timerfd") from error
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Itimerspec()
        self._reference = ctypes.byref(self._spec)

    def set(self, monotonic_ns: int) -> None:
        """Fire at a time (at once where it has passed); this also ends an earlier firing."""
        value = self._spec.value
        value.sec, value.nsec = divmod(max(monotonic_ns, 1), 1_000_000_000)
        self._settime(self.fd, _TFD_TIMER_ABSTIME, self._reference, None)

    def close(self) -> None:
        os.close(self.fd)
