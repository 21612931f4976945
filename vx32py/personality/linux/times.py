"""Clocks and sleep. Monotonic time starts with the sandbox; a policy without the TIME group has made-up time."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py.personality.linux import layouts
from vx32py.personality.linux.polling import timespec
from vx32py.personality.linux.table import MASK32, call

if TYPE_CHECKING:
    from vx32py._process import Process

#: Clock numbers by what they tell: REALTIME, REALTIME_COARSE, TAI; MONOTONIC, _RAW, _COARSE, BOOTTIME; processor time.
_REALTIME: Final = frozenset({0, 5, 11})
_MONOTONIC: Final = frozenset({1, 4, 6, 7})
_CPU: Final = frozenset({2, 3})
TIMER_ABSTIME: Final = 1
TICKS: Final = 100


def clock(process: Process, number: int) -> int:
    """A clock's nanoseconds. Raises CallError(EINVAL) for an unknown one."""
    if number in _REALTIME:
        return process.clock.realtime()
    if number in _MONOTONIC:
        return process.clock.monotonic()
    if number in _CPU:
        return process.clock.cpu()
    raise CallError(errno.EINVAL)


@call(265, "clock_gettime", native="timespec")
def clock_gettime(process: Process, clock_id: int, time_out: int) -> None:
    """A clock, as seconds and nanoseconds of 32 bits."""
    seconds, nanoseconds = divmod(clock(process, clock_id), layouts.SECOND)
    if seconds > 0x7FFF_FFFF:
        raise CallError(errno.EOVERFLOW)
    process.memory.write(time_out, layouts.TIMESPEC.pack(seconds, nanoseconds))


@call(403, "clock_gettime64", native="timespec64")
def clock_gettime64(process: Process, clock_id: int, time_out: int) -> None:
    """A clock, with seconds of 64 bits."""
    process.memory.write(time_out, layouts.TIMESPEC64.pack(*divmod(clock(process, clock_id), layouts.SECOND)))


@call(266, "clock_getres")
def clock_getres(process: Process, clock_id: int, time_out: int) -> None:
    """One nanosecond."""
    clock(process, clock_id)
    if time_out:
        process.memory.write(time_out, layouts.TIMESPEC.pack(0, 1))


@call(406, "clock_getres_time64")
def clock_getres_time64(process: Process, clock_id: int, time_out: int) -> None:
    """One nanosecond."""
    clock(process, clock_id)
    if time_out:
        process.memory.write(time_out, layouts.TIMESPEC64.pack(0, 1))


@call(78, "gettimeofday", native="timeval_no_zone")
def gettimeofday(process: Process, time_out: int, zone_out: int) -> None:
    """Seconds and microseconds since the epoch; the time zone is UTC."""
    microseconds = process.clock.realtime() // 1000
    if time_out:
        process.memory.write(time_out, layouts.TIMEVAL.pack(microseconds // 10**6 & 0x7FFF_FFFF, microseconds % 10**6))
    if zone_out:
        process.memory.write(zone_out, bytes(8))


@call(13, "time", native="seconds")
def time(process: Process, time_out: int) -> int:
    """Seconds since the epoch."""
    seconds = process.clock.realtime() // layouts.SECOND & 0x7FFF_FFFF
    if time_out:
        process.memory.write_u32(time_out, seconds)
    return seconds


@call(43, "times")
def times(process: Process, tms_out: int) -> int:
    """Processor time in hundredths of a second; returns time since some point in the past."""
    ticks = process.clock.cpu() * TICKS // layouts.SECOND & MASK32
    if tms_out:
        process.memory.write(tms_out, ticks.to_bytes(4, "little") + bytes(12))
    return process.clock.monotonic() * TICKS // layouts.SECOND & 0x7FFF_FFFF


@call(162, "nanosleep")
def nanosleep(process: Process, duration: int, remaining_out: int) -> None:
    """Sleep. Nothing interrupts it, so nothing remains."""
    _sleep(process, timespec(process, duration))


@call(267, "clock_nanosleep")
def clock_nanosleep(process: Process, clock_id: int, flags: int, duration: int, remaining_out: int) -> None:
    """Sleep by a clock, perhaps until a point in time."""
    _clock_sleep(process, clock_id, flags, timespec(process, duration))


@call(407, "clock_nanosleep_time64")
def clock_nanosleep_time64(process: Process, clock_id: int, flags: int, duration: int, remaining_out: int) -> None:
    """The same with a 64-bit timespec."""
    _clock_sleep(process, clock_id, flags, timespec(process, duration, wide=True))


def _clock_sleep(process: Process, clock_id: int, flags: int, seconds: float | None) -> None:
    if signed(clock_id) not in _REALTIME | _MONOTONIC:
        raise CallError(errno.EINVAL)
    if seconds is not None and flags & TIMER_ABSTIME:
        seconds = max(0.0, seconds - clock(process, clock_id) / layouts.SECOND)
    _sleep(process, seconds)


def _sleep(process: Process, seconds: float | None) -> None:
    if seconds is None:
        raise CallError(errno.EFAULT)
    process.pause(seconds)
