"""Timers: alarm, the interval timers and those of timer_create (kernel/time/itimer.c, posix-timers.c).

Those of real time are timers of the family (``time.monotonic``). Those of processor time look at it when it could have been
used up at the earliest, and again if it has not. Where time is made up, a timer is also due when a sleep has passed its time
(:func:`passed`), so that a guest which sleeps finds its timers in order; one that waits for a timer in another way, waits.
"""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import ref

from vx32py._errors import CallError
from vx32py.personality.linux import cputime, delivery, siginfo
from vx32py.personality.linux.pending import living, of_process, of_thread
from vx32py.personality.linux.siginfo import SI_KERNEL, SIGALRM, SIGPROF, SIGVTALRM
from vx32py.personality.linux.table import MASK32, call

if TYPE_CHECKING:
    from vx32py._family import Timer as FamilyTimer
    from vx32py._group import ThreadGroup
    from vx32py._process import Process
    from vx32py._task import Task

SECOND: Final = 10**9
ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF = 0, 1, 2
_ITIMER_SIGNALS: Final = (SIGALRM, SIGVTALRM, SIGPROF)
SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID = 0, 1, 4
TIMER_ABSTIME: Final = 1
#: A timer that has come so often (DELAYTIMER_MAX), and how many timers a process may have.
_MOST_OVERRUNS: Final = 0x7FFF_FFFF
MOST_TIMERS: Final = 1024
#: No timer is set again for less than this: the interpreter could do nothing else.
_LEAST_INTERVAL: Final = 100_000
#: struct itimerval and itimerspec: interval and value, of seconds and micro- or nanoseconds.
_VAL: Final = struct.Struct("<iiii")
_SPEC64: Final = struct.Struct("<qi4xqi4x")


class IntervalTimer:
    """One timer. ``now`` tells its clock, in nanoseconds; ``due`` is when it comes next on that clock, 0 for never, and
    ``interval`` how long after that again, 0 for once. ``fire`` is called with how often it has come."""

    def __init__(self, group: ThreadGroup, now: Callable[[], int], fire: Callable[[int], None]) -> None:
        self._group = ref(group)  # which has it, and would not go with the last reference
        self.now = now
        self.fire = fire
        self.due = 0
        self.interval = 0
        self._timer: FamilyTimer | None = None

    @property
    def group(self) -> ThreadGroup:
        """Whose it is."""
        group = self._group()
        assert group is not None
        return group

    def left(self) -> int:
        """Nanoseconds until it comes; 0 when it is not set, and at least 1 when it is."""
        return max(self.due - self.now(), 1) if self.due else 0

    def set(self, due: int, interval: int) -> None:
        """Come at ``due``, or never (0)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.due, self.interval = due, interval
        if due:
            self._arm(max(due - self.now(), 0))

    def _arm(self, nanoseconds: int) -> None:
        when = time.monotonic() + min(nanoseconds, 1 << 62) / 1e9
        self._timer = self.group.family.add_timer(when, self._look)

    def _look(self) -> None:
        """The host's time has come; with made-up time that is enough."""
        if not self.due or self._group() is None or not self.group.alive:
            return
        left = self.due - self.now()
        if left > 0 and not self.group.family.clock.virtual:
            self._arm(left)
        else:
            self.come()

    def come(self) -> None:
        """It is due."""
        if not self.interval:
            self.set(0, 0)
            self.fire(1)
            return
        times = max(self.now() - self.due, 0) // self.interval + 1
        self.set(self.due + times * self.interval, self.interval)
        if self._timer is not None and self.interval < _LEAST_INTERVAL:
            self._timer.cancel()
            self._arm(_LEAST_INTERVAL)
        self.fire(times)


class PosixTimer(IntervalTimer):
    """A timer of timer_create: it sends ``number`` with ``value`` to a process or one ``thread`` of it, or (0) nothing. While
    its signal is pending it sends no other, and counts ``overruns``."""

    def __init__(
        self, group: ThreadGroup, now: Callable[[], int], ident: int, clock: int, number: int, value: int, thread: int
    ) -> None:
        super().__init__(group, now, self._expire)
        self.ident = ident
        self.clock = clock
        self.number = number
        self.value = value
        self.thread = thread
        self._missed = 0
        #: What timer_getoverrun tells: of the signal that was delivered last.
        self.overruns = 0

    def _is_pending(self) -> bool:
        queues = [of_process(self.group).pending, *(of_thread(task).pending for task in living(self.group))]
        return any(entry[2] is self for queue in queues for entry in queue.entries)

    def _expire(self, times: int) -> None:
        if not self.number:
            return
        if self._is_pending():
            self._missed += times
            return
        self._missed = times - 1
        thread = next((task for task in living(self.group) if task.tid == self.thread), None) if self.thread else None
        if self.thread and thread is None:
            return
        delivery.send(
            self.group,
            self.number,
            siginfo.of_timer(self.number, self.ident, 0, self.value),
            thread=thread,
            source=self,
        )

    def collected(self, info: bytes) -> bytes:
        """Its signal is delivered: the siginfo with the count of overruns."""
        self.overruns, self._missed = min(self._missed, _MOST_OVERRUNS), 0
        return siginfo.of_timer(self.number, self.ident, self.overruns, self.value)


class Timers:
    """The timers of a process."""

    def __init__(self, group: ThreadGroup) -> None:
        processor = cputime.clock_of_group(group)
        clocks = (group.family.clock.monotonic, processor, processor)
        self.interval = [
            IntervalTimer(group, now, _sender(ref(group), number))
            for now, number in zip(clocks, _ITIMER_SIGNALS, strict=True)
        ]
        self.posix: dict[int, PosixTimer] = {}
        self.next_ident = 0

    def everyone(self) -> list[IntervalTimer]:
        """All of them."""
        return [*self.interval, *self.posix.values()]

    def cancel(self) -> None:
        """The process has ended."""
        for timer in self.everyone():
            timer.set(0, 0)

    def execute(self) -> None:
        """Another program: interval timers go on."""
        for timer in self.posix.values():
            timer.set(0, 0)
        self.posix.clear()


def _sender(group: Callable[[], ThreadGroup | None], number: int) -> Callable[[int], None]:
    info = siginfo.of_sender(number, SI_KERNEL, 0, 0)

    def fire(times: int) -> None:
        found = group()
        if found is not None:
            delivery.send(found, number, info)

    return fire


def of(task: Task) -> Timers:
    """The timers of a thread's process."""
    process = of_process(task.group)
    if process.timers is None:
        process.timers = Timers(task.group)
    return process.timers


def next_due(task: Task) -> int | None:
    """In how many nanoseconds of made-up time the next timer of this process comes."""
    timers = of_process(task.group).timers
    left = [timer.left() for timer in timers.everyone() if timer.due] if timers is not None else []
    return min(left, default=None)


def passed(task: Task) -> None:
    """Made-up time has passed: whatever is due comes."""
    for group in tuple(task.family.processes.values()):
        timers = of_process(group).timers
        for timer in timers.everyone() if timers is not None and group.alive else ():
            if timer.due and timer.now() >= timer.due:
                timer.come()


# -- alarm and the interval timers -------------------------------------------------------------------------------


@call(27, "alarm")
def alarm(process: Process, seconds: int) -> int:
    """SIGALRM after so many seconds, 0 for never; the seconds that were left of the last one."""
    timer = of(process).interval[ITIMER_REAL]
    left = timer.left()
    timer.set(timer.now() + min(seconds, 1 << 31) * SECOND if seconds else 0, 0)
    # As the kernel rounds: not to 0 unless there is none.
    return max((left + SECOND // 2) // SECOND, 1) if left else 0


def _timeval(seconds: int, microseconds: int) -> int:
    """Nanoseconds. Raises CallError(EINVAL)."""
    if seconds < 0 or not 0 <= microseconds < 10**6:
        raise CallError(errno.EINVAL)
    return seconds * SECOND + microseconds * 1000


def _interval_timer(process: Process, which: int) -> IntervalTimer:
    if which > ITIMER_PROF:
        raise CallError(errno.EINVAL)
    return of(process).interval[which]


def _describe(timer: IntervalTimer) -> bytes:
    """struct itimerval."""
    left = timer.left()
    if left:
        left = max(left, 1000)
    return _VAL.pack(*_parts(timer.interval), *_parts(left))


def _parts(nanoseconds: int) -> tuple[int, int]:
    seconds, rest = divmod(nanoseconds, SECOND)
    return min(seconds, 0x7FFF_FFFF), rest // 1000


@call(105, "getitimer")
def getitimer(process: Process, which: int, value_out: int) -> None:
    """What is left of an interval timer."""
    process.memory.write(value_out, _describe(_interval_timer(process, which)))


@call(104, "setitimer")
def setitimer(process: Process, which: int, value: int, old_value_out: int) -> None:
    """Set an interval timer: of real time, of the process's time, or of that with what the kernel does for it (the same
    here)."""
    words = _VAL.unpack(process.memory.read(value, _VAL.size)) if value else (0, 0, 0, 0)
    interval, first = _timeval(*words[:2]), _timeval(*words[2:])
    timer = _interval_timer(process, which)
    old = _describe(timer)
    timer.set(timer.now() + first if first else 0, interval)
    if old_value_out:
        process.memory.write(old_value_out, old)


# -- timer_create ------------------------------------------------------------------------------------------------


def _posix_timer(process: Process, ident: int) -> PosixTimer:
    """A timer by its number. Raises CallError(EINVAL)."""
    found = of(process).posix.get(ident)
    if found is None:
        raise CallError(errno.EINVAL)
    return found


@call(259, "timer_create")
def timer_create(process: Process, clock_id: int, event: int, timer_out: int) -> None:
    """Make a timer that sends a signal, SIGALRM if nothing else is said (struct sigevent at ``event``)."""
    from vx32py.personality.linux import times

    timers = of(process)
    if len(timers.posix) >= MOST_TIMERS:
        raise CallError(errno.EAGAIN)
    now = times.clock_function(process, clock_id)
    ident = timers.next_ident
    value, number, notify, thread = ident, SIGALRM, SIGEV_SIGNAL, 0
    if event:
        value, number, notify, thread = struct.unpack("<IiiI", process.memory.read(event, 64)[:16])
        if notify not in (SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID, 2):  # SIGEV_THREAD is made by libraries
            raise CallError(errno.EINVAL)
        if notify == SIGEV_THREAD_ID:
            task = process.family.tasks.get(thread)
            if task is None or task.group is not process.group:
                raise CallError(errno.EINVAL)
        if notify != SIGEV_NONE and not 1 <= number <= 64:
            raise CallError(errno.EINVAL)
    process.memory.write_u32(timer_out, ident)
    timers.next_ident += 1
    timers.posix[ident] = PosixTimer(
        process.group, now, ident, clock_id, 0 if notify == SIGEV_NONE else number, value & MASK32,
        thread if notify == SIGEV_THREAD_ID else 0,
    )  # fmt: skip


def _describe_posix(timer: PosixTimer, layout: struct.Struct) -> bytes:
    left = timer.left()
    if timer.number == 0 and timer.due and timer.now() >= timer.due:
        left = 0
    parts = (*divmod(timer.interval, SECOND), *divmod(left, SECOND))
    return layout.pack(*parts)


def _set_posix(process: Process, ident: int, flags: int, value: int, old_value_out: int, layout: struct.Struct) -> None:
    if not value:
        raise CallError(errno.EINVAL)
    seconds, nanoseconds, first_seconds, first_nanoseconds = layout.unpack(process.memory.read(value, layout.size))
    if min(seconds, first_seconds, nanoseconds, first_nanoseconds) < 0 or max(nanoseconds, first_nanoseconds) >= SECOND:
        raise CallError(errno.EINVAL)
    timer = _posix_timer(process, ident)
    old = _describe_posix(timer, layout)
    first = first_seconds * SECOND + first_nanoseconds
    if first and not flags & TIMER_ABSTIME:
        first += timer.now()
    timer.set(first, seconds * SECOND + nanoseconds)
    if old_value_out:
        process.memory.write(old_value_out, old)


@call(260, "timer_settime")
def timer_settime(process: Process, timer: int, flags: int, value: int, old_value_out: int) -> None:
    """Set a timer: to a point in time with TIMER_ABSTIME, else from now on."""
    _set_posix(process, timer, flags, value, old_value_out, _VAL)


@call(409, "timer_settime64")
def timer_settime64(process: Process, timer: int, flags: int, value: int, old_value_out: int) -> None:
    """The same with 64-bit timespecs."""
    _set_posix(process, timer, flags, value, old_value_out, _SPEC64)


@call(261, "timer_gettime")
def timer_gettime(process: Process, timer: int, value_out: int) -> None:
    """What is left of a timer."""
    process.memory.write(value_out, _describe_posix(_posix_timer(process, timer), _VAL))


@call(408, "timer_gettime64")
def timer_gettime64(process: Process, timer: int, value_out: int) -> None:
    """The same with 64-bit timespecs."""
    process.memory.write(value_out, _describe_posix(_posix_timer(process, timer), _SPEC64))


@call(262, "timer_getoverrun")
def timer_getoverrun(process: Process, timer: int) -> int:
    """How often a timer has come while its last signal waited to be delivered."""
    return _posix_timer(process, timer).overruns


@call(263, "timer_delete")
def timer_delete(process: Process, timer: int) -> None:
    """Remove a timer, with a signal of its that is pending."""
    _posix_timer(process, timer).set(0, 0)
    del of(process).posix[timer]
