"""Family: a guest and the processes it has forked, run in turn by one Python thread.

Scheduling is cooperative and deterministic: a process runs until it ends or has to wait for another one (a pipe, a child)
or gives way (sleep, sched_yield); a forked child waits until then. There is one clock for all: the limits of time and the
fuel of the sandbox are the family's. When the first process ends, so does the family.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import ref

from reference.traps import Trap, Vector
from reference.weak import WeakGroup
from vx32py._errors import LimitExceeded, Timeout
from vx32py._wait import Interrupted
from vx32py._watchdog import WATCHDOG

if TYPE_CHECKING:
    from vx32py._clock import Clock
    from vx32py._module import Module
    from vx32py._task import Task

#: How long a wait for the host goes on before the family looks whether it has to stop, in seconds.
SLICE: Final = 0.02
#: The first process's number; its children count on from there.
FIRST_PID: Final = 100


class _Runner:
    """Is there while somebody runs the family."""

    __slots__ = ("__weakref__",)


def _nobody() -> None:
    return None


_families: Final[WeakGroup[Family]] = WeakGroup()


class Family:
    """All processes of one spawn. ``fuel`` is the number of instructions that are left, None without limit."""

    def __init__(
        self, clock: Clock, *, timeout: float | None, fuel: int | None, most: int, cpu_time: float | None = None
    ) -> None:
        self.clock = clock
        self.timeout = timeout
        self.cpu_time = cpu_time
        self.fuel = fuel
        self.most = most
        self.processes: dict[int, Task] = {}
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
        self.next_pid = FIRST_PID
        #: What the family was started with: a sandbox may refuse to let it run anything else.
        self.program: Module | None = None
        #: For the watchdog: when to look whether a limit of time has been passed.
        self.when = 0.0
        #: The thread of who runs the family, where there is a limit of time.
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

    def add(self, process: Task) -> int:
        """Take a process in; its number."""
        pid = self.next_pid
        self.next_pid += 1
        self.processes[pid] = process
        return pid

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

    def time_is_up(self) -> None:
        """The watchdog's call: see that the thread in run() makes a checkpoint."""
        if self._lock.acquire(blocking=False):
            try:
                if self.current is not None:
                    self.current.engine.interrupt()
            finally:
                self._lock.release()

    def _nudge(self) -> None:
        with self._lock:
            if self.current is not None:
                self.current.engine.interrupt()

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
            self._watch_for(left, now)
        if self.killed or self.interrupted:
            raise Interrupted

    def _slice(self) -> float:
        """How long to wait before the next checkpoint, at most."""
        if self.deadline is None:
            return SLICE
        return max(min(SLICE, self.deadline - time.monotonic()), 0)

    def sleep_until(self, deadline: float) -> None:
        """Wait until ``deadline`` of ``time.monotonic``, with checkpoints."""
        while True:
            self.checkpoint()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, self._slice()))

    def wait_for_descriptor(self, fd: int, *, write: bool) -> None:
        """Wait until a host descriptor is ready, with checkpoints."""
        poll = select.poll()
        poll.register(fd, select.POLLOUT if write else select.POLLIN)
        while not poll.poll(self._slice() * 1000):
            self.checkpoint()

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, wanted: Task) -> Trap:
        """Run until ``wanted`` ends, traps or is interrupted; the trap. Raises RuntimeError when it is running already."""
        return self._run_watched(wanted, single=False)

    def step(self, wanted: Task) -> Trap:
        """One instruction of ``wanted``. If its system call waits, the others run until it can go on."""
        return self._run_watched(wanted, single=True)

    def _run_watched(self, wanted: Task, *, single: bool) -> Trap:
        runner, limited = _Runner(), self.timeout is not None or self.cpu_time is not None
        started, cpu_started = time.monotonic(), 0.0
        # An exception of a signal handler's may come between any two lines.
        try:
            self._claim(runner)
            if limited:
                self.thread, cpu_started = threading.get_ident(), time.thread_time()
                self._set_limits(started, cpu_started)
            return self._run(wanted, single=single)
        except Exception as error:
            if self.closed and self._runner() is runner and not isinstance(error, LimitExceeded):
                raise ValueError("the process was closed while it ran") from error
            raise
        finally:
            if self._runner() is runner:
                if limited:
                    WATCHDOG.remove(self)
                    if self._cpu_deadline is not None:
                        self.cpu_seconds += time.thread_time() - cpu_started
                self.deadline = self._cpu_deadline = None
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
        self.when = now + left
        WATCHDOG.add(self)

    def _watch_for(self, cpu_left: float, now: float) -> None:
        """A thread that had so much processor time left cannot have used it up before that has passed."""
        self.when = now + cpu_left if self.deadline is None else min(self.deadline, now + cpu_left)

    def _no_processor_time(self) -> LimitExceeded:
        return LimitExceeded("cpu", f"the guest used more than {self.cpu_time:g} s of processor time")

    def _run(self, wanted: Task, *, single: bool = False) -> Trap:
        process = wanted
        try:
            # In this order: who asks for a stop in between finds the engine to interrupt.
            self.set_current(process)
            self.checkpoint()
            while True:
                trap = process.advance(single=single and process is wanted)
                if trap is not None:
                    if process is wanted:
                        return trap
                    process.die_of(trap)
                following = self._others_first(process)
                if not process.alive and (process.parent is None or not process.parent.alive):
                    process.reap()
                process = following
                self.set_current(process)
                self.checkpoint()
        except Interrupted:
            self.interrupted = False
            return Trap(Vector.IRQ, wanted.registers.eip)

    def _others_first(self, process: Task) -> Task:
        """The next process that can run, starting behind ``process``; waits for one if need be."""
        while True:
            order = list(self.processes.values())
            here = order.index(process)
            candidates = [p for p in (*order[here + 1 :], *order[: here + 1]) if p.alive]
            for candidate in candidates:
                if candidate.can_run():
                    return candidate
            deadlines = [p.waiting.deadline for p in candidates if p.waiting is not None]
            times = [deadline for deadline in deadlines if deadline is not None]
            if not times:
                # Everybody waits for somebody else, for ever. The call that closed the circle fails instead.
                blamed = process if process.alive else candidates[0]
                blamed.give_up_waiting()
                return blamed
            self.sleep_until(min(times))

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
