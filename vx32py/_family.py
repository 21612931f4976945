"""Family: a guest, its threads and the processes it has forked, run in turn by one Python thread.

A task runs until it ends, has to wait (a pipe, a child, the host) or gives way (sched_yield); a forked child or a new
thread waits until then. Where several can run, each has a slice of time, or with fuel of instructions, which is
deterministic; with made-up time and no fuel there are no slices. There is one clock for all: the limits of time and the fuel
of the sandbox are the family's. When the first process ends, so does the family.
"""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Protocol
from weakref import ref

from reference.traps import Trap, Vector
from reference.weak import WeakGroup
from vx32py._errors import LimitExceeded, Timeout
from vx32py._wait import Interrupted
from vx32py._watchdog import WATCHDOG

if TYPE_CHECKING:
    from vx32py._clock import Clock
    from vx32py._group import ThreadGroup
    from vx32py._mm import Mm
    from vx32py._module import Module
    from vx32py._task import Task
    from vx32py._wait import WouldBlock

#: How long a wait for the host goes on before the family looks whether it has to stop, in seconds.
SLICE: Final = 0.02
#: How long a task runs while others could, in seconds.
TURN: Final = 0.01
#: The same while the others wait for one another: it may be the one that ends their waits.
LONG_TURN: Final = 0.05
#: The first process's number; its children and threads count on from there.
FIRST_PID: Final = 100
#: So many address spaces of a family, as large as they may be, have room below 4 GiB at a time.
MOST_SPACES: Final = 6
#: From so many timers on those that were cancelled are looked for.
MANY_TIMERS: Final = 256
_NEVER: Final = float("inf")
_place: Final = attrgetter("place")


class Timer:
    """Something that is to be done at a time."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """It is not to be done."""
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class _Runner:
    """Is there while somebody runs the family."""

    __slots__ = ("__weakref__",)


class Attending(Protocol):
    """What goes on beside the tasks of a family: it is looked after between their turns."""

    def advance(self) -> None:
        """Let go on what can."""

    def can_run(self) -> bool:
        """Whether anything can."""

    def waits(self) -> list[WouldBlock]:
        """What it waits for."""


#: A reference to a thread that is no more.
_nobody: Final = ref(_Runner())
_families: Final[WeakGroup[Family]] = WeakGroup()


class Family:
    """All processes of one spawn: ``processes`` by number, as long as they are known to their parents, and ``tasks``, the
    living threads of all of them. ``fuel`` is the number of instructions that are left, None without limit. ``endless``:
    see ``Sandbox.endless_waits``."""

    def __init__(
        self,
        clock: Clock,
        *,
        timeout: float | None,
        fuel: int | None,
        most: int,
        cpu_time: float | None = None,
        endless: bool = False,
    ) -> None:
        self.clock = clock
        self.timeout = timeout
        self.cpu_time = cpu_time
        self.fuel = fuel
        self.most = most
        self.endless = endless
        #: So many address spaces have room below 4 GiB at a time; those of other processes are parked.
        self.most_spaces = MOST_SPACES
        self.processes: dict[int, ThreadGroup] = {}
        self.tasks: dict[int, Task] = {}
        #: What the personality keeps for all of them: who waits for whom.
        self.futexes: object = None
        self.current: Task | None = None
        # Dead when nobody is in run() or step(), however that was left: an exception of a signal handler's may come before
        # the last line of all.
        self._runner: Callable[[], _Runner | None] = _nobody
        self.deadline: float | None = None
        self.seconds = 0.0
        #: Processor time of the threads in :meth:`run`; counted where it is limited.
        self.cpu_seconds = 0.0
        self.interrupted = False
        self.killed = False
        self.closed = False
        #: Whether system calls may run code of the application's: a file object that a standard stream leads to.
        self.foreign_streams = False
        #: What the family was started with: a sandbox may refuse to let it run anything else.
        self.program: Module | None = None
        self.next_number = FIRST_PID
        #: How many there have been.
        self.processes_started = self.threads_started = 0
        #: How often a task has queued for its turn.
        self._places = 0
        #: For the watchdog: when to look whether something is to be done; and when a limit of time may have been passed.
        self.when = _NEVER
        self._limit = _NEVER
        #: When the turn of the task that runs is over.
        self._turn_ends = 0.0
        #: The same until somebody has looked whether it is another one's turn.
        self._turn_wakes = _NEVER
        self._watched = False
        self._timers: list[Timer] = []
        self._many_timers = MANY_TIMERS
        self.attendants: Attending | None = None
        #: How many turns the tasks have had.
        self.turns = 0
        #: What others than the thread that runs the family want to have done.
        self._errands: deque[Callable[[], None]] = deque()
        #: The process group in the foreground of the terminal; the first process's, until somebody says otherwise.
        self.foreground = FIRST_PID
        #: The thread of who runs the family.
        self.thread = 0
        # What its clock says when the processor time is used up.
        self._cpu_deadline: float | None = None
        self.make_locks()
        _families.add(self)

    def make_locks(self) -> None:
        """Others than before."""
        # Held while an engine is interrupted, so that it is not closed at that moment by the thread that runs it.
        # Reentrant: a signal handler may interrupt while its own thread is in here.
        self._lock = threading.RLock()
        #: Held while processes are ended from outside of :meth:`run`.
        self.settling = threading.RLock()

    @staticmethod
    def after_fork() -> None:
        """In the child: other threads of the parent may have held locks, and they are not here to give them back."""
        for family in _families:
            family.make_locks()

    def new_number(self) -> int:
        """A number for a thread or a process."""
        self.next_number += 1
        self.threads_started += 1
        return self.next_number - 1

    def add(self, task: Task) -> None:
        """Take a thread in, and its process."""
        self.tasks[task.tid] = task
        self._queue(task)
        self.processes_started += task.pid not in self.processes
        self.processes[task.pid] = task.group
        if self.current is not None:  # which has had the processor to itself
            self._begin_turn(self.current)

    def add_timer(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` at ``when`` on ``time.monotonic``, in the thread that runs the family, between two instructions
        of whoever runs then."""
        timer = Timer(when, callback)
        if len(self._timers) >= self._many_timers:  # of which most may have been cancelled
            self._timers = [each for each in self._timers if each.callback is not None]
            heapq.heapify(self._timers)
            self._many_timers = max(MANY_TIMERS, 2 * len(self._timers))
        heapq.heappush(self._timers, timer)
        self._wake_at(when)
        return timer

    # -- stopping ------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Make run() return an IRQ trap soon. From any thread or signal handler."""
        self.interrupted = True
        self._nudge()

    def kill(self) -> None:
        """Make run() return soon, and end every process. From any thread or signal handler."""
        self.killed = True
        self._nudge()

    def close(self) -> None:
        """Nothing of it may run any more: a run() that another thread is in raises ValueError soon."""
        self.closed = True
        self._nudge()

    def ask(self, errand: Callable[[], None]) -> None:
        """Have something done by the thread that runs the family, between two instructions of whoever runs then. From any
        thread or signal handler."""
        self._errands.append(errand)
        self._nudge()

    def time_is_up(self) -> None:
        """The watchdog's call: see that the thread in run() makes a checkpoint."""
        if self._lock.acquire(blocking=False):
            try:
                if self.current is not None:
                    self.current.interrupt_engine()
            finally:
                self._lock.release()

    def _nudge(self) -> None:
        with self._lock:
            if self.current is not None:
                self.current.interrupt_engine()

    def set_current(self, process: Task | None) -> None:
        """Which process's engine interrupts go to from now on."""
        with self._lock:
            self.current = process

    @property
    def running(self) -> bool:
        """Whether a thread is in run() or step()."""
        return self._runner() is not None

    def checkpoint(self) -> None:
        """Raise whatever has to stop the family now: Timeout, LimitExceeded("cpu"), Interrupted for an interrupt or kill,
        ValueError when it was closed."""
        if self.closed:
            raise ValueError("the process was closed while it ran")
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            assert self.timeout is not None
            raise Timeout(self.timeout)
        if self._cpu_deadline is not None and threading.get_ident() == self.thread:
            left = self._cpu_deadline - time.thread_time()
            if left <= 0:
                raise self._no_processor_time()
            # A thread that has so much processor time left cannot have used it up before that has passed.
            self._limit = now + left if self.deadline is None else min(self.deadline, now + left)
        if self.killed or self.interrupted:
            raise Interrupted
        while self._errands:
            self._errands.popleft()()
        if self._watched and self.when <= now:
            # A turn may have ended before its task has begun to run.
            self._wake_at(min(self._limit, max(self._turn_wakes, now)))
        if self._timers and self._timers[0].when <= now:
            self._run_timers(now)

    def _run_timers(self, now: float) -> None:
        timers = self._timers
        while timers and (timers[0].when <= now or timers[0].callback is None):
            callback = heapq.heappop(timers).callback
            if callback is not None:
                callback()
        if timers:
            self._wake_at(timers[0].when)

    def _wake_at(self, when: float) -> None:
        """Have a checkpoint at ``when``, at the latest."""
        if when < self.when or self.when <= time.monotonic():
            self.when = when
            if when != _NEVER and self.running:
                self._watched = True
                WATCHDOG.add(self)

    # -- room below 4 GiB ----------------------------------------------------------------------------------------

    def limit_spaces(self, needed: Mm) -> None:
        """See to it that there can be one space more, besides ``needed``: other families need room, too."""
        while sum(mm.parked is None for mm in self._spaces()) >= self.most_spaces:
            if not self.park_somebody(needed):
                return

    def park_somebody(self, needed: Mm) -> bool:
        """Park the space that has not been needed for the longest time; False where there is none to park. That of who runs
        never is, and neither is the first process's, except in a jail: its host may look at it."""
        current = self.current.mm if self.current is not None else None
        candidates = [
            mm
            for mm in self._spaces()
            if mm.parked is None
            and mm is not needed
            and mm is not current
            # Nor can it be where somebody else knows where the memory is.
            and not any((task.parent is None and not self.endless) or task.guarded is not None for task in mm.users)
        ]
        if not candidates:
            return False
        min(candidates, key=lambda mm: mm.last_turn).park()
        return True

    def find_better_place(self, task: Task) -> None:
        """A program that was executed, and has proved to take its time, should not be in a slower place because of the program
        before it, or of a shell that waits for it."""
        space = task.engine.space
        if not space.displaced or not self.endless:
            return
        parent = task.parent.leader.mm if task.parent is not None and task.parent.leader is not None else None
        for mm in (parent, task.mm):
            if mm is None or mm.parked is not None or not all(user.waiting or user is task for user in mm.users):
                continue
            if mm is not task.mm and mm.space.displaced:
                continue
            if not any(user.guarded for user in mm.users):
                mm.park()
        if task.mm.parked is not None:
            task.come_back()  # before anybody else does

    def _spaces(self) -> list[Mm]:
        return list(dict.fromkeys(task.mm for task in self.tasks.values()))

    # -- taking turns --------------------------------------------------------------------------------------------

    def others_can_run(self, task: Task) -> bool:
        """Whether somebody else could go on."""
        if self.attendants is not None:
            self.attendants.advance()
        return any(other is not task and other.alive and other.can_run() for other in self.tasks.values())

    def is_others_turn(self, task: Task) -> bool:
        """Whether ``task``, which has been interrupted, has to let others run."""
        if time.monotonic() < self._turn_ends:
            self._wake_at(self._turn_ends)
            return False
        self._turn_wakes = _NEVER
        task.has_used_turn = True
        if self.others_can_run(task) or task.is_new_program:
            return True
        self._begin_turn(task, self._next_turn(task))
        return False

    @property
    def has_turns(self) -> bool:
        """Whether tasks run for a time each, where several could."""
        return not self.clock.virtual and self.fuel is None

    def _begin_turn(self, task: Task, turn: float = TURN) -> None:
        """``task`` may run for some time, if there is somebody who may want to run meanwhile."""
        if not self.has_turns:
            return
        if len(self.tasks) > 1 or task.is_new_program or (self.attendants is not None and self.attendants.waits()):
            self._turn_ends = self._turn_wakes = time.monotonic() + turn * task.share
            self._wake_at(self._turn_ends)

    def _next_turn(self, task: Task) -> float:
        """How long ``task``, whose turn is over, has another one: nobody else can run now."""
        waits = [other.waiting for other in self.tasks.values() if other is not task and other.alive]
        if self.attendants is not None:
            waits += self.attendants.waits()
        soon = any(wait is None or wait.fds or wait.deadline is not None or wait.ready() for wait in waits)
        return TURN if soon else LONG_TURN

    def _wait_for_host(self, waits: list[WouldBlock]) -> None:
        """Nobody can run: wait until a deadline of theirs has come, something happens to a host descriptor, or it is time for
        a checkpoint."""
        deadlines = [wait.deadline for wait in waits if wait.deadline is not None]
        if self._timers:
            deadlines.append(self._timers[0].when)
        if self.deadline is not None:
            deadlines.append(self.deadline)
        left = min(SLICE, max(min(deadlines, default=_NEVER) - time.monotonic(), 0))
        events: dict[int, int] = {}
        for wait in waits:
            for fd, wanted in wait.fds:
                events[fd] = events.get(fd, 0) | wanted
        if events:
            poll = select.poll()
            for fd, wanted in events.items():
                poll.register(fd, wanted)
            # At least a millisecond if there is anything to wait for: that is what poll can do.
            poll.poll(left * 1000)
        else:
            time.sleep(left)

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, wanted: Task, *, single: bool = False) -> Trap:
        """Run until ``wanted`` ends, traps or is interrupted; the trap. ``single``: one instruction of it; if its system call
        waits, the others run until it can go on. Raises RuntimeError when it is running already."""
        runner, limited = _Runner(), self.timeout is not None or self.cpu_time is not None
        started, cpu_started = time.monotonic(), 0.0
        # An exception of a signal handler's may come between any two lines.
        try:
            self._claim(runner)
            if limited:
                self.thread = threading.get_ident()
                if self.cpu_time is not None:
                    cpu_started = time.thread_time()
                self._set_limits(started, cpu_started)
            if self._timers:
                self._wake_at(self._timers[0].when)
            return self._run(wanted, single=single)
        except Exception as error:
            if self.closed and self._runner() is runner and not isinstance(error, LimitExceeded):
                raise ValueError("the process was closed while it ran") from error
            raise
        finally:
            if self._runner() is runner:
                if self._watched:
                    WATCHDOG.remove(self)
                    self._watched = False
                if self._cpu_deadline is not None:
                    self.cpu_seconds += time.thread_time() - cpu_started
                self.deadline = self._cpu_deadline = None
                self.when = self._limit = _NEVER
                self.set_current(None)
                self.seconds += time.monotonic() - started
                self._runner = _nobody

    def _claim(self, runner: _Runner) -> None:
        with self._lock:
            if self.running:
                raise RuntimeError("the process is running already")
            self._runner = ref(runner)

    def _set_limits(self, now: float, cpu_now: float) -> None:
        """Let the time that is left begin. Raises Timeout, LimitExceeded("cpu") where there is none."""
        left = float("inf")
        if self.timeout is not None:
            left = self.timeout - self.seconds
            if left <= 0:
                raise Timeout(self.timeout)
            self.deadline = now + left
        if self.cpu_time is not None:
            cpu_left = self.cpu_time - self.cpu_seconds
            if cpu_left <= 0:
                raise self._no_processor_time()
            self._cpu_deadline = cpu_now + cpu_left
            left = min(left, cpu_left)
        self._limit = now + left
        self._wake_at(self._limit)

    def _no_processor_time(self) -> LimitExceeded:
        return LimitExceeded("cpu", f"the guest used more than {self.cpu_time:g} s of processor time")

    def _run(self, wanted: Task, *, single: bool = False) -> Trap:
        task, group = wanted, wanted.group
        try:
            # In this order: who asks for a stop in between finds the engine to interrupt.
            self.set_current(task)
            self.checkpoint()
            if task.ended:
                task = self._next(task, wanted)
                self.set_current(task)
            while True:
                trap = task.advance(single=single and task is wanted) if task.alive else None
                if trap is not None:
                    if task is wanted:
                        return trap
                    task.die_of(trap)
                if group.exit_code is not None:
                    return trap or Trap(Vector.IRQ, wanted.registers.eip)
                task = self._next(task, wanted)
                self.turns += 1
                task.mm.last_turn = self.turns
                if task.mm.parked is not None:  # before anybody wants to interrupt it
                    self.set_current(None)
                    began = time.monotonic()
                    task.come_back()
                    # Else its turn could be over before it has begun, and nobody would get anywhere.
                    self._begin_turn(task, max(TURN, time.monotonic() - began))
                self.set_current(task)
                self.checkpoint()
        except Interrupted:
            self.interrupted = False
            return Trap(Vector.IRQ, wanted.registers.eip)

    def _queue(self, task: Task) -> None:
        """Give a task the last place. New ones, too: those who have waited have their turns before all of their children."""
        self._places += 1
        task.place = self._places

    def _next(self, task: Task, wanted: Task) -> Task:
        """The next task that can run, in the order in which they have queued, now that ``task`` does so again; waits for one if
        need be."""
        self._queue(task)
        while True:
            if self.attendants is not None:
                self.attendants.advance()
            everybody = sorted(self.tasks.values(), key=_place)
            for each in everybody:
                if each.alive and each.can_run():
                    self._begin_turn(each)
                    return each
            order = [each for each in everybody if each.alive]
            waits = [each.waiting for each in order if each.waiting is not None]
            if self.attendants is not None:
                if self.attendants.can_run():
                    continue
                waits += self.attendants.waits()
            if not self._timers and not self.endless and not any(w.fds or w.deadline is not None for w in waits):
                # Everybody waits for somebody else, for ever. The call that closed the circle fails instead.
                waiting = [each for each in order if each.waiting is not None]
                blamed = task if task in waiting else waiting[0] if waiting else wanted
                blamed.give_up_waiting()
                return blamed
            self._wait_for_host(waits)
            self.checkpoint()
            if wanted.group.exit_code is not None:  # somebody has ended it meanwhile
                return wanted

    def fuel_left(self) -> int:
        """How many instructions may still be executed. Raises LimitExceeded("fuel") when there are none."""
        assert self.fuel is not None
        if self.fuel <= 0:
            raise LimitExceeded("fuel", "the guest used up its fuel")
        return self.fuel

    def use_fuel(self, instructions: int) -> None:
        """Some instructions have been executed."""
        assert self.fuel is not None
        self.fuel -= instructions


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Family.after_fork)
