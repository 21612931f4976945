"""Timers that are read (timerfd_create(2)): timers of the host. Made-up time passes at once, as everywhere: such a timer has
expired as soon as it is set, and to read it moves the clock to when it would have been."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache
from typing import Any, Final

from reference.records import dataclass
from vx32py._anonymous import HostAnonymousFile
from vx32py._clock import Clock, HostClock
from vx32py._errors import CallError
from vx32py._readiness import POLLIN, READABLE, events_of
from vx32py._wait import Waiter, WouldBlock

SECOND: Final = 10**9
CLOCK_REALTIME: Final = 0
CLOCK_MONOTONIC: Final = 1
TFD_TIMER_ABSTIME: Final = 1
TFD_TIMER_CANCEL_ON_SET: Final = 2
_COUNT: Final = struct.Struct("<Q")
#: The host's struct itimerspec: interval and first expiration.
_ITIMERSPEC: Final = struct.Struct("@llll")
#: What the host's 64-bit seconds take without trouble: some centuries.
_LONGEST: Final = (1 << 33) * SECOND


@dataclass(frozen=True, slots=True)
class Setting:
    """When a timer expires next, from now on (0: never), and then again and again. In nanoseconds."""

    value: int = 0
    interval: int = 0


class TimerFile(HostAnonymousFile):
    """A timer. ``clock_id`` is CLOCK_REALTIME or CLOCK_MONOTONIC. Raises OSError."""

    records = True

    def __init__(self, clock: Clock, clock_id: int, flags: int) -> None:
        super().__init__(os.O_RDWR | flags)
        self.clock = clock
        self.clock_id = clock_id
        self.fd = _call("timerfd_create", clock_id, os.O_NONBLOCK | os.O_CLOEXEC)
        self._made_up = Setting()
        self.outside = not clock.virtual

    def _now(self) -> int:
        return self.clock.realtime() if self.clock_id == CLOCK_REALTIME else self.clock.monotonic()

    def set(self, setting: Setting, *, absolute: bool = False, flags: int = 0) -> Setting:
        """Set it; what it was set to. ``absolute``: its value is a point in time of the guest's clock. Raises CallError."""
        before = self.get()
        value = min(setting.value, _LONGEST)
        if self.clock.virtual:
            first = value if not absolute else max(value - self._now(), 1)
            self._made_up = Setting(first if value else 0, setting.interval)
            self._host_set(Setting(min(value, 1)))
            return before
        if absolute and value and self.clock_id == CLOCK_MONOTONIC:
            assert isinstance(self.clock, HostClock)
            value += self.clock.started
        self._host_set(Setting(value, min(setting.interval, _LONGEST)), flags | (TFD_TIMER_ABSTIME if absolute else 0))
        return before

    def _host_set(self, setting: Setting, flags: int = 0) -> None:
        raw = _ITIMERSPEC.pack(*divmod(setting.interval, SECOND), *divmod(setting.value, SECOND))
        try:
            _call("timerfd_settime", self.fd, flags, raw, None)
        except OSError as error:
            raise CallError(error.errno or errno.EINVAL) from error

    def get(self) -> Setting:
        """What it is set to now."""
        if self.clock.virtual:
            return self._made_up
        raw = ctypes.create_string_buffer(_ITIMERSPEC.size)
        _call("timerfd_gettime", self.fd, raw)
        repeat, repeat_part, first, first_part = _ITIMERSPEC.unpack(raw.raw)
        return Setting(first * SECOND + first_part, repeat * SECOND + repeat_part)

    def read(self, view: memoryview, waiter: Waiter) -> int:
        if len(view) < _COUNT.size:
            raise CallError(errno.EINVAL)
        try:
            data = os.read(self.fd, _COUNT.size)
        except BlockingIOError:
            if self.nonblocking:
                raise CallError(errno.EAGAIN) from None
            fds = ((self.fd, POLLIN),) if self.outside else ()
            raise WouldBlock(lambda: bool(events_of(self.fd) & READABLE), fds=fds) from None
        except OSError as error:  # ECANCELED
            raise CallError(error.errno or errno.EIO) from error
        view[: _COUNT.size] = data
        if self.clock.virtual:
            self.clock.go_on_from(_later(self.clock.hold(), self._made_up.value))
            self._made_up = Setting(self._made_up.interval, self._made_up.interval)
            self._host_set(Setting(min(self._made_up.value, 1)))
        return _COUNT.size

    def poll(self) -> int:
        return events_of(self.fd) & READABLE

    def hold(self) -> Setting:
        return self.get()

    def go_back(self, held: Setting) -> bool:
        if not self.references:
            self.fd = _call("timerfd_create", self.clock_id, os.O_NONBLOCK | os.O_CLOEXEC)
        self.set(held)
        return True

    def copy(self, held: Setting, copies: dict[object, Any]) -> TimerFile:
        other = TimerFile(self.clock, self.clock_id, self.flags & ~os.O_ACCMODE)
        other.set(held)
        return other


def _later(held: tuple[int, int], nanoseconds: int) -> tuple[int, int]:
    return held[0] + nanoseconds, held[1]


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> int:
    """A function of the host's C library that Python does not offer. Raises OSError."""
    result: int = getattr(_library(), name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
