"""Events as files: eventfd, timerfd."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py._eventfd import EventCounter
from vx32py._timerfd import (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    SECOND,
    TFD_TIMER_ABSTIME,
    TFD_TIMER_CANCEL_ON_SET,
    Setting,
    TimerFile,
)  # fmt: skip
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

EFD_SEMAPHORE: Final = 1
#: struct itimerspec with 32-bit and with 64-bit seconds: interval and first expiration.
ITIMERSPEC: Final = struct.Struct("<iiii")
ITIMERSPEC64: Final = struct.Struct("<qi4xqi4x")
#: CLOCK_REALTIME and its alarm, and MONOTONIC, BOOTTIME and its alarm: what each of them counts by.
_CLOCKS: Final = {0: CLOCK_REALTIME, 1: CLOCK_MONOTONIC, 7: CLOCK_MONOTONIC}
#: Those that wake a machine are for the privileged.
_ALARMS: Final = frozenset({8, 9})


@call(323, "eventfd")
def eventfd(process: Process, value: int) -> int:
    """A counter."""
    return eventfd2(process, value, 0)


@call(328, "eventfd2")
def eventfd2(process: Process, value: int, flags: int) -> int:
    """The same with flags."""
    if flags & ~(EFD_SEMAPHORE | os.O_NONBLOCK | os.O_CLOEXEC):
        raise CallError(errno.EINVAL)
    try:
        file = EventCounter(value, flags & os.O_NONBLOCK, semaphore=bool(flags & EFD_SEMAPHORE))
    except OSError as error:
        raise CallError(errno.ENFILE) from error
    return process.descriptors.install(file, close_on_exec=bool(flags & os.O_CLOEXEC))


@call(322, "timerfd_create")
def timerfd_create(process: Process, clock_id: int, flags: int) -> int:
    """A timer."""
    if flags & ~(os.O_NONBLOCK | os.O_CLOEXEC) or clock_id not in _CLOCKS.keys() | _ALARMS:
        raise CallError(errno.EINVAL)
    if clock_id in _ALARMS:
        raise CallError(errno.EPERM)
    try:
        file = TimerFile(process.clock, _CLOCKS[clock_id], flags & os.O_NONBLOCK)
    except OSError as error:
        raise CallError(errno.ENFILE) from error
    return process.descriptors.install(file, close_on_exec=bool(flags & os.O_CLOEXEC))


@call(325, "timerfd_settime")
def timerfd_settime(process: Process, fd: int, flags: int, new: int, old_out: int) -> None:
    """Set a timer; what it was set to."""
    _set(process, fd, flags, new, old_out, ITIMERSPEC)


@call(411, "timerfd_settime64")
def timerfd_settime64(process: Process, fd: int, flags: int, new: int, old_out: int) -> None:
    """The same with 64-bit times."""
    _set(process, fd, flags, new, old_out, ITIMERSPEC64)


def _set(process: Process, fd: int, flags: int, new: int, old_out: int, layout: struct.Struct) -> None:
    interval, interval_part, value, value_part = layout.unpack(process.memory.read(new, layout.size))
    if flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET):
        raise CallError(errno.EINVAL)
    if min(interval, value) < 0 or not (0 <= interval_part < SECOND and 0 <= value_part < SECOND):
        raise CallError(errno.EINVAL)
    timer = _timer(process, fd)
    if old_out:
        process.memory.check(old_out, layout.size, writable=True)
    setting = Setting(value * SECOND + value_part, interval * SECOND + interval_part)
    old = timer.set(setting, absolute=bool(flags & TFD_TIMER_ABSTIME), flags=flags & TFD_TIMER_CANCEL_ON_SET)
    if old_out:
        process.memory.write(old_out, _packed(old, layout))


@call(326, "timerfd_gettime")
def timerfd_gettime(process: Process, fd: int, setting_out: int) -> None:
    """What a timer is set to."""
    process.memory.write(setting_out, _packed(_timer(process, fd).get(), ITIMERSPEC))


@call(410, "timerfd_gettime64")
def timerfd_gettime64(process: Process, fd: int, setting_out: int) -> None:
    """The same with 64-bit times."""
    process.memory.write(setting_out, _packed(_timer(process, fd).get(), ITIMERSPEC64))


def _timer(process: Process, fd: int) -> TimerFile:
    file = process.descriptors.get(fd)
    if not isinstance(file, TimerFile):
        raise CallError(errno.EINVAL)
    return file


def _packed(setting: Setting, layout: struct.Struct) -> bytes:
    (interval, interval_part), (value, value_part) = divmod(setting.interval, SECOND), divmod(setting.value, SECOND)
    most = 0x7FFF_FFFF if layout is ITIMERSPEC else (1 << 63) - 1
    return layout.pack(min(interval, most), interval_part, min(value, most), value_part)
