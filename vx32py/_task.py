"""Task: what one process of a guest is to the system calls and to the scheduler.

:class:`vx32py.Process` is a task with a host around it. Everything here is for handlers of system calls and for
:class:`vx32py._family.Family`.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from reference.registers import CPU, EAX, EIP, MASK32
from reference.traps import Trap, Vector
from vx32py import _engines, _loader
from vx32py._calls import LINUX_TRAP, VX_TRAP, Observer, SystemCalls
from vx32py._clock import Clock, VirtualClock
from vx32py._descriptors import Descriptors, OpenFile
from vx32py._errors import CallError, UnsupportedHost
from vx32py._family import Family
from vx32py._files import Files
from vx32py._memory import GuestMemory
from vx32py._native import NativeAnswers
from vx32py._result import RunStats, signal_of
from vx32py._snapshot import put_back, take
from vx32py._wait import WouldBlock

if TYPE_CHECKING:
    from reference.engine import Engine
    from vx32py._guard import GuardedCall, Guards
    from vx32py._module import Module
    from vx32py._sandbox import Sandbox


class PersonalityState(Protocol):
    """What a personality keeps for each process. Made without arguments when it is first asked for."""

    def fork(self) -> Self:
        """The state of a forked child."""


#: The number itself: comparing plain integers is quicker, and this is done at every trap.
IRQ: Final = int(Vector.IRQ)

State = TypeVar("State", bound=PersonalityState)


class _Exited(Exception):
    """Ends a handler whose process has ended."""


class Task:
    """A guest's registers, memory, descriptors and files, its system calls, its children.

    ``registers`` is live: a :class:`reference.registers.CPU`. ``memory`` is checked access to guest memory. ``exit_code``
    is 0 to 255 once the guest has exited (128 + n when a signal n ended it), else None. ``observers`` see every system
    call; ``calls`` and ``unknown_calls`` count them, for the whole family.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        module: Module,
        engine: Engine,
        family: Family,
        descriptors: Descriptors,
        files: Files,
        tables: dict[int, SystemCalls],
        layout: _loader.Layout,
        parent: Task | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.module = module
        self.engine = engine
        self.memory = GuestMemory(engine.space)
        self.descriptors = descriptors
        self.files = files
        self.layout = layout
        self.tables = tables
        self.parent: Task | None = parent
        #: Called when it is closed, or forgotten: it has a place among its sandbox's guests.
        self.when_closed: Callable[[], object] | None = None
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.trap: Trap | None = None
        self.waiting: WouldBlock | None = None
        self.observers: list[Observer] = parent.observers if parent is not None else []
        #: Functions of the host's that see calls before they are made, and the call that they have let be while it waits.
        self.guards: Guards | None = sandbox.guards
        self.guarded: GuardedCall | None = None
        #: A plain dictionary, which is quicker than a Counter.
        self.tally: dict[str, int] = parent.tally if parent is not None else {}
        self.unknown_calls: Counter[tuple[str, int]] = parent.unknown_calls if parent is not None else Counter()
        self.replaced = False
        #: The files that were connected as standard streams, whatever descriptors they have, if any.
        self.streams: tuple[OpenFile, ...] = ()
        self.native: NativeAnswers | None = None
        #: The table of the calls that are expected, and the number of their trap.
        self._table: SystemCalls | None = None
        self._trap = -1
        self.heap_end = layout.heap
        self.arguments: list[bytes] = []
        self.environment: list[bytes] = []
        self.states: dict[type[PersonalityState], PersonalityState] = {}
        # Of the call that is being made, kept while it is made again and again until it need not wait any more:
        self._pending: Trap | None = None
        self._waited_until: float | None = None
        self._yielded = False
        self._gave_up = False
        self._closed = False
        self.family = family
        self.pid = family.add(self)

    @property
    def registers(self) -> CPU:
        """The guest's registers, live."""
        return self.engine.cpu

    @property
    def calls(self) -> Counter[str]:
        """How many system calls of each name there were so far, in the whole family."""
        for process in self.family.processes.values():
            if process.native is not None:
                process.native.count()
        return Counter(self.tally)

    @property
    def heap_end(self) -> int:
        """Where the heap ends."""
        return self._heap_end

    @heap_end.setter
    def heap_end(self, end: int) -> None:
        self._heap_end = end
        if self.native is not None:
            self.native.page.set_heap(self.layout.heap, end)

    @property
    def alive(self) -> bool:
        """Whether the guest can still run: it has neither exited nor been killed or closed."""
        return self.exit_code is None and not self._closed

    @property
    def stats(self) -> RunStats:
        """Counters so far; the family's, where they are about calls and time. Still there after :meth:`close`."""
        self.engine.settle()
        return RunStats(
            self.engine.name,
            self.engine.stats,
            self.family.seconds,
            self.engine.space.mapped,
            self.calls,
            self.unknown_calls,
        )

    def close(self) -> None:
        """Give back memory and descriptors, also those of its children. Views of its memory must be gone by then."""
        if self._closed:
            return
        if self.parent is None:
            self.family.close()
            for process in tuple(self.family.processes.values()):
                if process is not self:
                    process.close()
        if self.family.current is self:
            self.family.set_current(None)
        self._closed = True
        if self.native is not None:
            self.native.count()
            self.native = None  # the page of answers is another guest's from now on
        self.descriptors.close_all()
        self.engine.close()
        self.engine.space.close()  # which not every engine does
        if self.parent is None:
            # No cycle of references, through the children either: then what the host lent is given back as soon as the last
            # view of memory has gone.
            self.family.processes.clear()
            if self.when_closed is not None:
                self.when_closed()

    def __repr__(self) -> str:
        if self._closed:
            return f"<Process {self.pid} {self.module.name} closed>"
        state = f"exited {self.exit_code}" if self.exit_code is not None else f"eip={self.registers.eip:#010x}"
        return f"<Process {self.pid} {self.module.name} {state}>"

    # -- for system-call handlers --------------------------------------------------------------------------------

    def state(self, kind: type[State]) -> State:
        """The state that a personality keeps for this process."""
        found = self.states.get(kind)
        if found is None:
            found = self.states[kind] = kind()
        assert isinstance(found, kind)
        return found

    def exit(self, code: int) -> int:
        """End the process with an exit code (its low 8 bits). Does not return."""
        self.end(code & 0xFF)
        raise _Exited

    def exit_by_signal(self, number: int) -> int:
        """End the process as signal ``number`` does: the exit code is 128 + number. Does not return."""
        self.signal = number
        self.end(128 + number)
        raise _Exited

    def terminate(self, number: int) -> None:
        """Let signal ``number`` end this process, at the request of another one of its family."""
        self.signal = number
        self.end(128 + number)
        self.close()

    @property
    def wait_status(self) -> int:
        """What waitpid tells of a process that has ended: the signal, or the exit code in the second byte."""
        assert self.exit_code is not None
        return self.signal if self.signal is not None else self.exit_code << 8

    def checkpoint(self) -> None:
        """Raise if the process has to stop now; for handlers that take long. See :class:`vx32py._wait.Waiter`."""
        self.family.checkpoint()

    def wait_for_descriptor(self, fd: int, *, write: bool) -> None:
        """Wait until a host descriptor is ready."""
        self.family.wait_for_descriptor(fd, write=write)

    @property
    def limited(self) -> bool:
        """Whether a time limit is running."""
        return self.family.deadline is not None

    @property
    def clock(self) -> Clock:
        """Time and randomness as this guest gets them."""
        return self.family.clock

    def wait(self, seconds: float) -> float:
        """Seconds that are left of a wait of the call that is being made, which began when it was first made."""
        if self._waited_until is None:
            self._waited_until = time.monotonic() + seconds
        return self._waited_until - time.monotonic()

    def pause(self, seconds: float) -> None:
        """Sleep; other processes of the family run meanwhile. Made-up time passes at once."""
        if isinstance(self.clock, VirtualClock):
            if not self._yielded:
                self.clock.elapsed += int(seconds * 1e9)
            self.give_way()
            return
        left = self.wait(seconds)
        if left > 0:
            if self.has_others():
                raise WouldBlock(lambda: False, time.monotonic() + left)
            self.family.sleep_until(time.monotonic() + left)

    def give_way(self) -> None:
        """Let the other processes run once before this one goes on."""
        if self.has_others() and not self._yielded:
            self._yielded = True
            raise WouldBlock(lambda: True)

    def has_others(self) -> bool:
        """Whether another process of the family is alive."""
        return any(p is not self and p.alive for p in self.family.processes.values())

    def children(self) -> list[Task]:
        """The children that have not been waited for."""
        return [p for p in self.family.processes.values() if p.parent is self]

    def fork_child(self) -> Self:
        """The guest's fork: a child that is this process all over, memory, registers, descriptors; of the same family.
        Raises CallError(EAGAIN)."""
        if len(self.family.processes) >= self.family.most:  # children that nobody has waited for count, too
            raise CallError(errno.EAGAIN)
        space = self.engine.space
        try:
            engine = _engines.create(
                self.engine.name,
                limit=space.limit,
                budget=space.budget,
                policy=self.engine.policy,
                verify=self.sandbox.verify,
                metered=self.family.fuel is not None,
            )
        except UnsupportedHost as error:  # no room for another guest of this size
            raise CallError(errno.EAGAIN) from error
        child = type(self)(
            self.sandbox, self.module, engine, self.family, self.descriptors.clone(), self.files.clone(), self.tables,
            self.layout, self,
        )  # fmt: skip
        try:
            child.streams = self.streams
            put_back(child, take(self))
        except BaseException:
            child.reap()
            raise
        child.engine.cpu.words[EAX] = 0
        child.expect_calls()
        return child

    def execute(self, module: Module, arguments: list[bytes], environment: list[bytes]) -> None:
        """Replace the program. Raises LimitExceeded and BadImage while the old one is still whole."""
        space = self.engine.space
        layout = _loader.plan(module, space.budget, limit=space.limit)
        _loader.check_arguments(layout, arguments, environment)
        self.descriptors.close_for_exec()
        self.module, self.layout, self.heap_end = module, layout, layout.heap
        self.states = {}
        self.start(arguments, environment)
        self.replaced = True

    def start(self, arguments: list[bytes], environment: list[bytes]) -> None:
        """Load the module into the empty address space and set the registers to its beginning."""
        space = self.engine.space
        self.arguments, self.environment = arguments, environment
        _loader.load(self.module, space, self.layout)
        esp = _loader.build_stack(
            self.module, space, self.layout, arguments, environment, self.engine.policy, self.clock.random(16)
        )
        cpu = self.engine.cpu
        cpu.reset()
        self.engine.set_thread_pointer(None, None)
        cpu.esp, cpu.eip = esp, self.module.entry
        self.expect_calls()

    def expect_calls(self) -> None:
        """Tell the engine by which trap this program makes its calls; which of them have native answers it is told when the
        program runs."""
        trap = LINUX_TRAP if self.module.abi == "linux" else VX_TRAP
        self._table, self._trap = self.tables.get(trap), trap
        if self.native is not None:
            self.native.retire()
            self.native = None
        self.engine.expect_calls(trap, self._table.registers if self._table is not None else ())

    def _answer_natively(self) -> NativeAnswers | None:
        """Have calls answered natively from now on, as far as they can be."""
        page = getattr(self.engine, "answers", None)
        if page is None or self._table is None or self.observers or not self.sandbox.native_answers:
            return None
        if self.native is None:
            self.native = NativeAnswers(page, self._table, self.clock, self.pid, self.tally, self.guards)
            self.descriptors.watch(self.native)
            page.set_heap(self.layout.heap, self.heap_end)
        page.switch(True)
        return self.native

    def reap(self) -> None:
        """The parent has been told; forget the process."""
        self.family.processes.pop(self.pid, None)
        self.close()

    # -- for the family ------------------------------------------------------------------------------------------

    def can_run(self) -> bool:
        """Whether it has nothing to wait for (any more)."""
        wait = self.waiting
        if wait is None or wait.ready():
            return True
        return wait.deadline is not None and time.monotonic() >= wait.deadline

    def give_up_waiting(self) -> None:
        """Make the call that waits fail with EDEADLK: what it waits for cannot happen."""
        self._gave_up = True

    def advance(self, *, single: bool = False) -> Trap | None:
        """Run until it ends or traps (the trap), or has to wait or give way (None).

        With ``single`` one instruction only. Raises Interrupted for an interrupt or kill.
        """
        plain = not single and self.family.fuel is None
        native = self._answer_natively() if plain else None
        try:
            return self._advance(native, plain=plain, single=single)
        finally:
            if native is not None:
                native.page.switch(False)
            self.engine.settle()

    def _advance(self, native: NativeAnswers | None, *, plain: bool, single: bool) -> Trap | None:
        engine = self.engine
        words, tables, observers = engine.cpu.words, self.tables, self.observers
        foreign_streams = self.family.foreign_streams
        resume = engine.resume
        # Whether nothing has happened since the last trap but a call and its answer, and whether code of the application's
        # had part in that.
        answered, foreign = False, True
        # Whether the engine knows the thread: a call that was pending may have come from another one, or from a snapshot.
        entered = False
        self.waiting = None
        while True:
            trap = self._pending
            if trap is None:
                number = -1
                try:
                    if answered:
                        number = resume(foreign)
                    if number < 0:
                        # Pending until it is dealt with: an exception of a signal handler's may come out of any line.
                        trap = self._pending = engine.run() if plain else self._run_limited(single)
                        entered = plain
                except BaseException:
                    if answered:
                        engine.recover()
                    raise
                if number >= 0:
                    table = self._table
            if trap is not None:
                if trap.number == IRQ:
                    self._pending, answered = None, False
                    self.family.checkpoint()
                    continue
                table = tables.get(trap.number)
            if table is None:
                self._pending = None
                return trap or Trap(self._trap, words[EIP])
            if self._gave_up:
                self._gave_up = False
                words[EAX] = -errno.EDEADLK & MASK32
            else:
                try:
                    foreign = table.dispatch(self, words) or foreign_streams
                except _Exited:
                    self._pending = None
                    return trap or Trap(self._trap, words[EIP])
                except WouldBlock as wait:
                    self._pending, self.waiting = trap or Trap(self._trap, words[EIP]), wait
                    return None
                except BaseException:
                    # Interrupted: the call is made again. An exception of the host's: it may repair and run again, too.
                    self._pending = trap or Trap(self._trap, words[EIP])
                    raise
                answered = entered
            self._pending = None
            if observers and native is not None:
                native.page.switch(False)
            self._waited_until, self._yielded, self.guarded = None, False, None
            if single:
                return trap

    def die_of(self, trap: Trap) -> None:
        """The end of a child: of a trap it dies as of a signal. Its memory goes now, its exit code when it is asked for."""
        self.trap = trap
        if self.exit_code is None:
            self.signal = signal_of(trap)
            self.end(128 + self.signal)
        self.close()
        for child in self.children():
            if not child.alive:
                child.reap()

    def _run_limited(self, single: bool) -> Trap:
        """Run one instruction, or as many as there is fuel for."""
        engine, family = self.engine, self.family
        if family.fuel is None:
            return engine.step()
        while True:
            # What the engine holds back has been paid for.
            left = family.fuel_left() if engine.held is None else 0
            before = engine.stats.instructions
            try:
                trap = engine.step() if single else engine.run_for(left)
            finally:
                family.use_fuel(engine.stats.instructions - before)
            if trap is not None:
                return trap

    def end(self, code: int) -> None:
        """Set the exit code and close descriptors; memory and registers can still be looked at."""
        self.exit_code = code
        self.descriptors.close_all()
