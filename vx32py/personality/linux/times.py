"""Clocks and sleep. Monotonic time starts with the sandbox; a policy without the TIME group has made-up time."""

from __future__ import annotations

import errno
import struct
import time as host_time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._clock import VirtualClock
from vx32py._errors import CallError
from vx32py.personality.linux import cputime, layouts, timers
from vx32py.personality.linux.delivery import Sleep
from vx32py.personality.linux.layouts import timespec
from vx32py.personality.linux.table import MASK32, call
from vx32py.personality.linux.timers import TIMER_ABSTIME

if TYPE_CHECKING:
    from vx32py._process import Process

#: Clock numbers by what they tell: REALTIME, _COARSE, TAI; MONOTONIC, _RAW, _COARSE, BOOTTIME.
_REALTIME: Final = frozenset({0, 5, 11})
_MONOTONIC: Final = frozenset({1, 4, 6, 7})
PROCESS_CPU, THREAD_CPU = 2, 3
#: Those that one cannot sleep by: _COARSE and _RAW.
_NOT_WAITED_FOR: Final = frozenset({4, 5, 6})
_COARSE: Final = frozenset({5, 6})
#: A tick of the kernel's, which coarse clocks count (CONFIG_HZ=250).
_TICK: Final = 4_000_000
TICKS: Final = 100
#: CLOCK_REALTIME, and where its seconds end: the nanoseconds since the epoch and 30 years more have to fit in 63 bits
#: (TIME_SETTOD_SEC_MAX of include/linux/time64.h).
_SETTABLE: Final = 0
_MOST_SECONDS: Final = (1 << 63) // layouts.SECOND - 30 * 365 * 24 * 3600


def clock_function(process: Process, number: int) -> Callable[[], int]:
    """What tells a clock's nanoseconds. Raises CallError(EINVAL) for an unknown one."""
    if number in _REALTIME:
        return process.clock.realtime
    if number in _MONOTONIC:
        return process.clock.monotonic
    if number == PROCESS_CPU:
        return cputime.clock_of_group(process.group)
    if number == THREAD_CPU:
        return cputime.clock_of_thread(process)
    number = signed(number)
    if number >= 0 or number & 3 == 3:
        raise CallError(errno.EINVAL)
    # Of any process or thread, by number (kernel/time/posix-cpu-timers.c: CPUCLOCK_PID).
    pid, of_thread = ~(number >> 3), bool(number & 4)
    task = process.family.tasks.get(pid) if pid else process
    if task is None or (of_thread and task.group is not process.group):
        raise CallError(errno.EINVAL)
    return cputime.clock_of_thread(task) if of_thread else cputime.clock_of_group(task.group)


def clock(process: Process, number: int) -> int:
    """A clock's nanoseconds. Raises CallError(EINVAL) for an unknown one."""
    if number in _REALTIME:
        return process.clock.realtime()
    if number in _MONOTONIC:
        return process.clock.monotonic()
    return clock_function(process, number)()


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
    """One nanosecond, or a tick."""
    clock_function(process, clock_id)
    if time_out:
        process.memory.write(time_out, layouts.TIMESPEC.pack(0, _TICK if clock_id in _COARSE else 1))


@call(406, "clock_getres_time64")
def clock_getres_time64(process: Process, clock_id: int, time_out: int) -> None:
    """One nanosecond, or a tick."""
    clock_function(process, clock_id)
    if time_out:
        process.memory.write(time_out, layouts.TIMESPEC64.pack(0, _TICK if clock_id in _COARSE else 1))


@call(264, "clock_settime")
def clock_settime(process: Process, clock_id: int, time: int) -> None:
    """EPERM: the clock is the host's; EINVAL for what nobody could set."""
    _refuse_to_set(process, clock_id, time, wide=False)


@call(404, "clock_settime64")
def clock_settime64(process: Process, clock_id: int, time: int) -> None:
    """The same with a 64-bit timespec."""
    _refuse_to_set(process, clock_id, time, wide=True)


def _refuse_to_set(process: Process, clock_id: int, time: int, *, wide: bool) -> None:
    """The kernel's checks in its order: whether the clock is one that can be set (the real-time one, and by their type those of
    processes and threads), whether there is a time, and what it is."""
    if clock_id != _SETTABLE and signed(clock_id) >= 0:
        raise CallError(errno.EINVAL)
    layout = layouts.TIMESPEC64 if wide else layouts.TIMESPEC
    seconds, nanoseconds = layout.unpack(process.memory.read(time, layout.size))
    if clock_id != _SETTABLE:
        clock_function(process, clock_id)
    elif not 0 <= seconds < _MOST_SECONDS or not 0 <= nanoseconds < layouts.SECOND:
        raise CallError(errno.EINVAL)
    raise CallError(errno.EPERM)


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
    """Processor time in hundredths of a second, of the process and of children that it has waited for; returns time since
    some point in the past."""
    if tms_out:
        used = (cputime.of_group(process.group), 0, cputime.of_children(process.group), 0)
        process.memory.write(tms_out, struct.pack("<4I", *(t * TICKS // layouts.SECOND & MASK32 for t in used)))
    return process.clock.monotonic() * TICKS // layouts.SECOND & 0x7FFF_FFFF


@call(162, "nanosleep")
def nanosleep(process: Process, duration: int, remaining_out: int) -> None:
    """Sleep; if a signal handler ends it, the time that remains."""
    _clock_sleep(process, 1, 0, duration, remaining_out, wide=False)


@call(267, "clock_nanosleep")
def clock_nanosleep(process: Process, clock_id: int, flags: int, duration: int, remaining_out: int) -> None:
    """Sleep by a clock, perhaps until a point in time."""
    _clock_sleep(process, clock_id, flags, duration, remaining_out, wide=False)


@call(407, "clock_nanosleep_time64")
def clock_nanosleep_time64(process: Process, clock_id: int, flags: int, duration: int, remaining_out: int) -> None:
    """The same with a 64-bit timespec."""
    _clock_sleep(process, clock_id, flags, duration, remaining_out, wide=True)


def _clock_sleep(process: Process, clock_id: int, flags: int, duration: int, remaining_out: int, *, wide: bool) -> None:
    clock_function(process, clock_id)
    if clock_id in _NOT_WAITED_FOR or clock_id == THREAD_CPU:
        raise CallError(errno.EOPNOTSUPP)
    seconds = timespec(process, duration, wide=wide)
    if seconds is None:
        raise CallError(errno.EFAULT)
    if flags & TIMER_ABSTIME:
        seconds, remaining_out = max(0.0, seconds - clock(process, clock_id) / layouts.SECOND), 0
    nanoseconds = int(seconds * 1e9)
    layout = layouts.TIMESPEC64 if wide else layouts.TIMESPEC

    def tell(left: int) -> None:
        if remaining_out:
            process.memory.write(remaining_out, layout.pack(*divmod(max(left, 0), layouts.SECOND)))

    if isinstance(process.clock, VirtualClock):
        _sleep_in_made_up_time(process, process.clock, nanoseconds, tell)
        return
    left = process.wait(seconds)
    if left > 0:
        deadline = host_time.monotonic() + left
        raise Sleep(lambda: False, deadline, lambda: tell(int((deadline - host_time.monotonic()) * 1e9)))


def _sleep_in_made_up_time(
    process: Process, made_up: VirtualClock, nanoseconds: int, tell: Callable[[int], None]
) -> None:
    """Time passes at once: up to the next timer, and then, if its signal does not end the sleep, on."""
    left: int = nanoseconds if process.kept is None else process.kept
    due = timers.next_due(process)
    step = left if due is None else min(left, due)
    made_up.elapsed += step
    left -= step
    process.kept = left
    if due is not None:
        timers.passed(process)
    if left > 0:
        raise Sleep(lambda: True, None, lambda: tell(left))
    process.give_way()
