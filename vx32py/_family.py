"""Family: a guest and the processes it has forked, run in turn by one Python thread.

Scheduling is cooperative and deterministic: a process runs until it ends or has to wait for another one (a pipe, a child)
or gives way (sleep, sched_yield); a forked child waits until then. There is one clock for all: the time limit and the fuel
of the sandbox are the family's. When the first process ends, so does the family.
"""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING, Final

from reference.traps import Trap, Vector
from vx32py._errors import LimitExceeded, Timeout
from vx32py._wait import Interrupted

if TYPE_CHECKING:
    from vx32py._clock import Clock
    from vx32py._task import Task

#: How long a wait for the host goes on before the family looks whether it has to stop, in seconds.
SLICE: Final = 0.05
#: The first process's number; its children count on from there.
FIRST_PID: Final = 100


class Family:
    """All processes of one spawn. ``fuel`` is the number of instructions that are left, None without limit."""

    def __init__(self, clock: Clock, *, timeout: float | None, fuel: int | None, most: int) -> None:
        self.clock = clock
        self.timeout = timeout
        self.fuel = fuel
        self.most = most
        self.processes: dict[int, Task] = {}
        self.current: Task | None = None
        self.deadline: float | None = None
        self.seconds = 0.0
        self.interrupted = False
        self.killed = False
        #: Whether system calls may run code of the application's: a file object that a standard stream leads to.
        self.foreign_streams = False
        self._next_pid = FIRST_PID
        # Held while an engine is interrupted, so that it is not closed at that moment by the thread that runs it.
        # Reentrant: a signal handler may interrupt while its own thread is in here.
        self._lock = threading.RLock()

    def add(self, process: Task) -> int:
        """Take a process in; its number."""
        pid = self._next_pid
        self._next_pid += 1
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

    def _nudge(self) -> None:
        with self._lock:
            if self.current is not None:
                self.current.engine.interrupt()

    def set_current(self, process: Task | None) -> None:
        """Which process's engine interrupts go to from now on."""
        with self._lock:
            self.current = process

    def checkpoint(self) -> None:
        """Raise whatever has to stop the family now: Timeout, or Interrupted for an interrupt or kill."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            assert self.timeout is not None
            raise Timeout(self.timeout)
        if self.killed or self.interrupted:
            raise Interrupted

    def sleep_until(self, deadline: float) -> None:
        """Wait until ``deadline`` of ``time.monotonic``, with checkpoints."""
        while True:
            self.checkpoint()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, SLICE))

    def wait_for_descriptor(self, fd: int, *, write: bool) -> None:
        """Wait until a host descriptor is ready, with checkpoints."""
        poll = select.poll()
        poll.register(fd, select.POLLOUT if write else select.POLLIN)
        while not poll.poll(SLICE * 1000):
            self.checkpoint()

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, wanted: Task) -> Trap:
        """Run until ``wanted`` ends, traps or is interrupted; the trap."""
        self._check_time_left()
        watchdog: threading.Timer | None = None
        started = time.monotonic()
        if self.timeout is not None:
            self.deadline = started + self.timeout - self.seconds
            watchdog = threading.Timer(self.deadline - started, self._nudge_until_stopped)
            watchdog.daemon = True
            watchdog.start()
        try:
            return self._run(wanted)
        finally:
            if watchdog is not None:
                watchdog.cancel()
            self.deadline = None
            self.set_current(None)
            self.seconds += time.monotonic() - started

    def step(self, wanted: Task) -> Trap:
        """One instruction of ``wanted``. If its system call waits, the others run until it can go on."""
        self._check_time_left()
        started = time.monotonic()
        if self.timeout is not None:
            self.deadline = started + self.timeout - self.seconds
        try:
            return self._run(wanted, single=True)
        finally:
            self.deadline = None
            self.set_current(None)
            self.seconds += time.monotonic() - started

    def _check_time_left(self) -> None:
        if self.timeout is not None and self.seconds >= self.timeout:
            raise Timeout(self.timeout)

    def _run(self, wanted: Task, *, single: bool = False) -> Trap:
        process = wanted
        try:
            # In this order: who asks for a stop in between finds the engine to interrupt.
            self.set_current(process)
            self.checkpoint()
            while True:
                self.set_current(process)
                trap = process.advance(single=single and process is wanted)
                if trap is not None:
                    if process is wanted:
                        return trap
                    process.die_of(trap)
                following = self._others_first(process)
                if not process.alive and (process.parent is None or not process.parent.alive):
                    process.reap()
                process = following
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

    def _nudge_until_stopped(self) -> None:
        # The engine may be between two runs at the moment of the first nudge, and a handler may be at work.
        while self.deadline is not None:
            self._nudge()
            time.sleep(SLICE)

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
