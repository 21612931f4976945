"""Task: what one thread of a guest is to the system calls and to the scheduler.

Most processes have one thread, and then the task is the process. :class:`vx32py.Process` is the first task of the first
process, with a host around it. Everything here is for handlers of system calls and for :class:`vx32py._family.Family`.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, Self, TypeVar

from reference.registers import CPU, EAX, EIP, MASK32
from reference.traps import Trap, Vector
from vx32py import _engines, _loader
from vx32py._calls import LINUX_TRAP, VX_TRAP, Call, Observer, SystemCalls, signed, tell
from vx32py._clock import Clock, VirtualClock
from vx32py._descriptors import Descriptors, OpenFile
from vx32py._errors import CallError, LimitExceeded, UnsupportedHost
from vx32py._family import Family
from vx32py._group import ThreadGroup
from vx32py._memory import GuestMemory
from vx32py._mm import Mm
from vx32py._native import NativeAnswers
from vx32py._result import RunStats, signal_of
from vx32py._snapshot import put_back, put_registers, take
from vx32py._wait import WouldBlock
from vx32py.vfs.files import Files

if TYPE_CHECKING:
    from reference.engine import Engine, Stats
    from reference.memory import AddressSpace
    from reference.policy import Policy
    from vx32py._guard import GuardedCall, Guards
    from vx32py._module import Module
    from vx32py._sandbox import Sandbox


class PersonalityState(Protocol):
    """What a personality keeps for each process. Made without arguments when it is first asked for."""

    #: Whether each thread has one of its own.
    per_thread: ClassVar[bool]

    def fork(self) -> Self:
        """The state of a forked child."""

    def execute(self) -> Self:
        """The state when another program has been loaded."""


#: With fuel, tasks take turns of so many instructions: on every engine the same.
FUEL_SLICE: Final = 1_000_000
#: Threads beyond so many tasks of a family get small engines.
MOST_LARGE: Final = 8
#: The number itself: comparing plain integers is quicker, and this is done at every trap.
IRQ: Final = int(Vector.IRQ)

State = TypeVar("State", bound=PersonalityState)


class _Parked(NamedTuple):
    """What is left of an engine that was given up."""

    cpu: CPU
    held: Trap | None
    stats: Stats
    policy: Policy
    code: object


class _Exited(Exception):
    """Ends a handler whose process has ended."""


class Task:
    """A thread: registers of its own; and, with the other threads of its :attr:`group`, memory, descriptors and files.

    ``registers`` is live: a :class:`reference.registers.CPU`. ``memory`` is checked access to guest memory. ``exit_code``
    is 0 to 255 once the process has exited (128 + n when a signal n ended it), else None; ``tid`` is the thread's number.
    ``observers`` see every system call; ``calls`` and ``unknown_calls`` count them, for the whole family.

    ``attention``: before it goes on, the personality has to look at it: a signal has come.
    """

    #: Whether an engine of its may have the quickest place, if there is one to be had.
    may_prefer_zero = True

    def __init__(
        self,
        sandbox: Sandbox,
        engine: Engine,
        family: Family,
        descriptors: Descriptors,
        files: Files,
        tables: dict[int, SystemCalls],
        mm: Mm,
        *,
        creator: Task | None = None,
        group: ThreadGroup | None = None,
    ) -> None:
        """``creator``: whose child or (with its ``group``) thread it is."""
        self.sandbox = sandbox
        self._engine: Engine | None = engine
        self._memory = GuestMemory(engine.space)
        self._parked: _Parked | None = None
        self._engine_name = engine.name
        self.descriptors = descriptors
        self.files = files
        files.attach(family)
        self.tables = tables
        self.mm = mm
        #: Called when it is closed, or forgotten: it has a place among its sandbox's guests.
        self.when_closed: Callable[[], object] | None = None
        self.trap: Trap | None = None
        self.waiting: WouldBlock | None = None
        self.observers: list[Observer] = creator.observers if creator is not None else []
        #: Functions of the host's that see calls before they are made, and the call that they have let be while it waits.
        self.guards: Guards | None = sandbox.guards
        self.guarded: GuardedCall | None = None
        #: The call that observers have been told of, until they are told its result.
        self.observed: Call | None = None
        #: A plain dictionary, which is quicker than a Counter.
        self.tally: dict[str, int] = creator.tally if creator is not None else {}
        self.unknown_calls: Counter[tuple[str, int]] = creator.unknown_calls if creator is not None else Counter()
        self.replaced = False
        #: Whether it has executed a program, which has not run for long; and whether it has used up a turn.
        self.is_new_program = self.has_used_turn = False
        #: The files that were connected as standard streams, whatever descriptors they have, if any.
        self.streams: tuple[OpenFile, ...] = creator.streams if creator is not None else ()
        self.native: NativeAnswers | None = None
        #: The table of the calls that are expected, and the number of their trap.
        self._table: SystemCalls | None = None
        self._trap = -1
        self._states: dict[Any, Any] = {}
        self.attention = False
        #: How long its turns are, beside those of others.
        self.share = 1.0
        #: Whether this thread has ended by itself.
        self.ended = False
        # Of the call that is being made, kept while it is made again and again until it need not wait any more:
        self._pending: Trap | None = None
        self._waited_until: float | None = None
        self._yielded = False
        self._gave_up = False
        #: Whether its turn ends with the call that is being made; and whether its last one has ended so.
        self._ends_turn = self._ended_turn = False
        #: For handlers to remember how far they have come, and whatever else; 0 and None when a call begins.
        self.progress = 0
        self.kept: Any = None
        self._closed = False
        self.family = family
        self.tid = family.new_number()
        self.group: ThreadGroup = group or ThreadGroup(family, creator.group if creator is not None else None, self.tid)
        self.group.tasks.append(self)
        mm.join(self)
        family.add(self)

    @property
    def engine(self) -> Engine:
        """What runs it. A task whose memory is parked gets another one."""
        if self._engine is None:
            self.come_back()
        assert self._engine is not None
        return self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._engine, self._memory = engine, GuestMemory(engine.space)

    @property
    def memory(self) -> GuestMemory:
        """Checked access to guest memory."""
        if self._engine is None:
            self.come_back()
        return self._memory

    @memory.setter
    def memory(self, memory: GuestMemory) -> None:
        self._memory = memory

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.group.pid

    @property
    def parent(self) -> ThreadGroup | None:
        """The process that has made this one; None for the first."""
        return self.group.parent

    @property
    def exit_code(self) -> int | None:
        """How the process has ended, None while it has not."""
        return self.group.exit_code

    @property
    def signal(self) -> int | None:
        """The signal that has ended the process, if one has."""
        return self.group.signal

    @property
    def module(self) -> Module:
        """The program."""
        return self.mm.module

    @property
    def layout(self) -> _loader.Layout:
        """Where things are in memory."""
        return self.mm.layout

    @property
    def arguments(self) -> list[bytes]:
        """What the program was started with."""
        return self.mm.arguments

    @property
    def environment(self) -> list[bytes]:
        """The environment that it was started with."""
        return self.mm.environment

    @property
    def registers(self) -> CPU:
        """The guest's registers, live."""
        return self.engine.cpu

    @property
    def calls(self) -> Counter[str]:
        """How many system calls of each name there were so far, in the whole family."""
        for task in self.family.tasks.values():
            if task.native is not None:
                task.native.count()
        # Without its constructor, which looks at what it is given for a microsecond or two.
        calls: Counter[str] = Counter.__new__(Counter)
        dict.update(calls, self.tally)
        return calls

    @property
    def heap_end(self) -> int:
        """Where the heap ends."""
        return self.mm.heap_end

    @heap_end.setter
    def heap_end(self, end: int) -> None:
        self.mm.heap_end = end

    @property
    def alive(self) -> bool:
        """Whether the thread can still run: neither it nor its process has ended, been killed or closed."""
        return self.group.exit_code is None and not self.ended and not self._closed

    @property
    def stats(self) -> RunStats:
        """Counters so far; the family's, where they are about calls and time. Still there after :meth:`close`."""
        if self._engine is not None:
            self._engine.settle()
            counters, mapped = self._engine.stats, self._engine.space.mapped
        else:
            assert self._parked is not None
            counters = self._parked.stats
            mapped = self.mm.parked.memory.contents.mapped if self.mm.parked is not None else 0
        return RunStats(
            self._engine_name,
            counters,
            self.family.seconds,
            mapped,
            self.calls,
            self.unknown_calls,
            self.family.processes_started,
            self.family.threads_started,
        )

    def close(self) -> None:
        """Give back memory and descriptors, also those of its children. Views of its memory must be gone by then."""
        if self._closed:
            return
        first = self.parent is None and self.tid == self.pid
        if first:
            self.family.close()
            for task in tuple(self.family.tasks.values()):
                if task is not self:
                    task.close()
        if self.family.current is self:
            self.family.set_current(None)
        self._closed = True
        self.observed = None  # which leads back to here
        self._retire_native()
        self.group.tasks.remove(self)
        self.family.tasks.pop(self.tid, None)
        self.give_up_descriptors()
        if self._engine is not None:
            self._engine.close()
        self.mm.leave(self)
        if first:
            # No cycle of references, through the children either: then what the host lent is given back as soon as the last
            # view of memory has gone.
            self.family.processes.clear()
            self.family.tasks.clear()
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
        states = self._states if kind.per_thread else self.group.states
        found = states.get(kind)
        if found is None:
            found = states[kind] = kind()
        assert isinstance(found, kind)
        return found

    @property
    def states(self) -> dict[Any, Any]:
        """All that personalities keep for the process and for this thread."""
        return self.group.states | self._states

    @states.setter
    def states(self, states: dict[Any, Any]) -> None:
        self.group.states = {kind: state for kind, state in states.items() if not kind.per_thread}
        self._states = {kind: state for kind, state in states.items() if kind.per_thread}

    def exit(self, code: int) -> int:
        """End the process with an exit code (its low 8 bits). Does not return."""
        self.group.end(code & 0xFF)
        raise _Exited

    def exit_by_signal(self, number: int) -> int:
        """End the process as signal ``number`` does: the exit code is 128 + number. Does not return."""
        self.group.terminate(number)
        raise _Exited

    def exit_thread(self, code: int) -> int:
        """End this thread alone; with the last one of them the process ends. Does not return."""
        if self.tid == self.pid:
            self.group.leader_code = code & 0xFF
        if all(task is self or task.ended for task in self.group.tasks):
            self.group.end(self.group.leader_code)
        else:
            self.leave()
        raise _Exited

    def leave(self) -> None:
        """End this thread, which is not the last one."""
        self.before_end()
        self.ended = True
        # Of the first one registers and memory can still be looked at.
        if self.parent is not None or self.tid != self.pid:
            self.close()

    def give_up_descriptors(self) -> None:
        """It has ended, and does without its descriptors; they are closed if nobody else who lives has the same table."""
        if not self.shares_descriptors():
            self.descriptors.close_all()

    def shares_descriptors(self) -> bool:
        """Whether another thread or process has the same descriptors."""
        return any(t.descriptors is self.descriptors and t is not self and t.alive for t in self.family.tasks.values())

    def before_end(self) -> None:
        """Tell the personality that this thread ends."""
        if self._table is not None:
            self._table.hooks.thread_ends(self)

    def interrupt_engine(self) -> None:
        """Stop it soon, if it runs. From any thread."""
        engine = self._engine
        if engine is not None:
            engine.interrupt()

    def tell_of_end(self) -> None:
        """Tell the personality that the process has ended."""
        if self._table is not None:
            self._table.hooks.ended(self.group)
        tell(self.observers, "ended", self)

    def checkpoint(self) -> None:
        """Raise if the process has to stop now; for handlers that take long. See :class:`vx32py._wait.Waiter`."""
        self.family.checkpoint()

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
            raise WouldBlock(lambda: False, time.monotonic() + left, restart=False)

    def give_way(self) -> None:
        """Let the other processes run once before this one goes on."""
        if self.has_others() and not self._yielded:
            self._yielded = True
            raise WouldBlock(lambda: True)

    def end_turn(self) -> None:
        """Let the other processes run once when the call that is being made is over."""
        self._ends_turn = True

    def has_others(self) -> bool:
        """Whether another thread or process of the family is alive."""
        return any(task is not self and task.alive for task in self.family.tasks.values())

    def children(self) -> list[ThreadGroup]:
        """The children that have not been waited for."""
        return self.group.children

    def fork_child(self, *, descriptors: Descriptors | None = None, files: Files | None = None) -> Self:
        """The guest's fork: a child that is this process all over, memory, registers, descriptors; of the same family. Of its
        threads it has this one. ``descriptors``, ``files``: those of this process, if the child is to share them. Raises
        CallError(EAGAIN)."""
        self._check_number()
        space = self.engine.space
        # The quickest place is for programs: most children execute one.
        engine = self.new_engine(limit=space.limit, budget=space.budget, prefer_zero=not self.sandbox.allow_exec)
        child = type(self)(
            self.sandbox, engine, self.family, self.descriptors.clone() if descriptors is None else descriptors,
            files or self.files.clone(), self.tables, self.mm.copy(engine.space), creator=self,
        )  # fmt: skip
        try:
            put_back(child, take(self))
        except BaseException:
            child.group.reap()
            raise
        child.begin_as_copy()
        child.engine.take_code(self.engine.leave_code())
        return child

    def fork_sharing(self, *, descriptors: Descriptors | None = None, files: Files | None = None) -> Self:
        """The guest's vfork: a child that runs in this process's memory, and shares what it is given. Raises
        CallError(EAGAIN)."""
        self._check_number()
        engine = self.new_engine(space=self.engine.space)
        child = type(self)(
            self.sandbox, engine, self.family, self.descriptors.clone() if descriptors is None else descriptors,
            files or self.files.clone(), self.tables, self.mm, creator=self,
        )  # fmt: skip
        child.states = {kind: state.fork() for kind, state in self.states.items()}
        child.copy_registers(self)
        child.engine.take_code(self.engine.leave_code())
        return child

    def new_thread(self) -> Self:
        """Another thread of this process, whose registers are this one's. Raises CallError(EAGAIN)."""
        tasks = [task for task in self.family.tasks.values() if task.alive]
        if len(tasks) - len({task.pid for task in tasks}) >= self.sandbox.threads:
            raise CallError(errno.EAGAIN)
        engine = self.new_engine(space=self.engine.space, small=len(tasks) >= MOST_LARGE)
        thread = type(self)(
            self.sandbox, engine, self.family, self.descriptors, self.files, self.tables, self.mm, creator=self,
            group=self.group,
        )  # fmt: skip
        thread.states = self.group.states | {kind: state.fork() for kind, state in self._states.items()}
        thread.copy_registers(self)
        return thread

    def _check_number(self) -> None:
        """Children that nobody has waited for count, too."""
        if len(self.family.processes) >= self.family.most:
            raise CallError(errno.EAGAIN)

    def new_engine(
        self,
        *,
        limit: int = 0,
        budget: int = 0,
        space: AddressSpace | None = None,
        program: object = None,
        policy: Policy | None = None,
        prefer_zero: bool = True,
        small: bool = False,
    ) -> Engine:
        """An engine like this task's. Raises CallError(EAGAIN) where there is no room for another guest of this size."""
        if space is not None:
            limit, budget = space.limit, space.budget
        else:
            self.family.limit_spaces(self.mm)
        policy = policy or self.engine.policy
        while True:
            try:
                return _engines.create(
                    self._engine_name,
                    limit=limit,
                    budget=budget,
                    policy=policy,
                    program=program,
                    verify=self.sandbox.verify,
                    metered=self.family.fuel is not None,
                    space=space,
                    prefer_zero=prefer_zero and self.may_prefer_zero,
                    small=small,
                )
            except UnsupportedHost as error:
                if not self.family.park_somebody(self.mm):
                    raise CallError(errno.EAGAIN) from error

    def park(self) -> None:
        """Give up the engine: see :meth:`vx32py._mm.Mm.park`."""
        engine = self._engine
        assert engine is not None
        cpu = CPU()
        cpu.copy_from(engine.cpu)
        self._parked = _Parked(cpu, engine.held, engine.stats, engine.policy, engine.leave_code())
        self._retire_native()
        engine.leave_space()
        engine.close()
        self._engine = None

    def come_back(self) -> None:
        """Have engines and memory again, for all tasks with this memory. Raises LimitExceeded("memory") where the host has no
        room for it."""
        mm, kept = self.mm, self.mm.parked
        if kept is None or self._closed:
            raise ValueError("the task is closed")
        parked = self._parked
        assert parked is not None
        try:
            engine = self.new_engine(limit=kept.limit, budget=kept.budget, policy=parked.policy)
            left = [user.go_on_with(engine if user is self else user.share_engine(engine)) for user in mm.users]
            kept.memory.put_back(engine.space)
        except CallError as error:
            raise LimitExceeded("memory", f"no room below 4 GiB for process {self.pid} to go on") from error
        except OSError as error:
            raise LimitExceeded("memory", f"process {self.pid} cannot go on: {error}") from error
        mm.space, mm.parked = engine.space, None
        for user, code in zip(mm.users, left, strict=True):
            user.engine.take_code(code)
            user.expect_calls()

    def share_engine(self, other: Engine) -> Engine:
        """An engine with the memory of another one, for this task, which is parked."""
        assert self._parked is not None
        return self.new_engine(space=other.space, policy=self._parked.policy)

    def go_on_with(self, engine: Engine) -> object:
        """Have this engine, with the registers of the last one; the code that it left."""
        parked, self._parked = self._parked, None
        assert parked is not None
        if len(self.mm.users) > 1:
            engine.leave_space()
        put_registers(engine, parked.cpu)
        engine.held = parked.held
        engine.stats.add(parked.stats)
        self.engine = engine
        return parked.code

    def copy_registers(self, other: Task) -> None:
        """Begin where another one stands, in the same memory: behind the call by which it was made, with its result 0."""
        put_registers(self.engine, other.engine.cpu)
        self.begin_as_copy()

    def begin_as_copy(self) -> None:
        """Behind the call by which it was made."""
        self.engine.cpu.words[EAX] = 0
        self.expect_calls()

    def execute(self, module: Module, arguments: list[bytes], environment: list[bytes]) -> None:
        """Replace the program, in new memory; the other threads of the process end. Raises LimitExceeded, BadImage and
        CallError(EAGAIN) while the old one is still whole."""
        budget = self.sandbox.memory
        layout = _loader.plan(module, budget)
        _loader.check_arguments(layout, arguments, environment)
        engine = self.new_engine(
            limit=layout.limit, budget=budget, program=module.identity, policy=self.sandbox.policy_for(module)
        )
        mm = Mm(engine.space, module, layout)
        try:
            self._load(engine, mm, arguments, environment)
        except BaseException:
            engine.close()
            engine.space.close()
            raise
        for task in tuple(self.group.tasks):
            if task is not self and task.alive:
                task.leave()
        self._become_leader()
        old_engine, old_mm = self.engine, self.mm
        self._retire_native()
        self.have_own_descriptors()
        self.descriptors.close_for_exec()
        self.group.states = {kind: state.execute() for kind, state in self.group.states.items()}
        self._states = {kind: state.execute() for kind, state in self._states.items()}
        self.engine, self.mm = engine, mm
        if self.family.current is self:
            self.family.set_current(self)
        old_engine.settle()
        engine.stats.add(old_engine.stats)
        mm.join(self)
        old_engine.close()
        old_mm.leave(self)
        self.expect_calls()
        self.replaced, self.is_new_program, self.has_used_turn = True, True, False

    def have_own_descriptors(self) -> None:
        """Share descriptors with nobody any more: have a copy of what there is."""
        if not self.shares_descriptors():
            return
        shared, self.descriptors = self.descriptors, self.descriptors.clone()
        if self.native is not None:
            shared.unwatch(self.native)
            self.descriptors.watch(self.native)

    def _become_leader(self) -> None:
        """The thread that executes a program takes the place of the process's first one (execve(2))."""
        if self.tid == self.pid:
            return
        del self.family.tasks[self.tid]
        self.tid = self.pid
        self.family.add(self)

    def start(self, arguments: list[bytes], environment: list[bytes]) -> None:
        """Load the module into the empty address space and set the registers to its beginning."""
        self._load(self.engine, self.mm, arguments, environment)
        self.expect_calls()

    def _load(self, engine: Engine, mm: Mm, arguments: list[bytes], environment: list[bytes]) -> None:
        mm.arguments, mm.environment = arguments, environment
        _loader.load(mm.module, mm.space, mm.layout)
        esp = _loader.build_stack(
            mm.module, mm.space, mm.layout, arguments, environment, engine.policy, self.clock.random(16)
        )
        cpu = engine.cpu
        cpu.reset()
        engine.set_thread_pointer(None, None)
        cpu.esp, cpu.eip = esp, mm.module.image.start
        mm.initial_stack = esp

    def expect_calls(self) -> None:
        """Tell the engine by which trap this program makes its calls; which of them have native answers it is told when the
        program runs."""
        trap = LINUX_TRAP if self.module.abi == "linux" or VX_TRAP not in self.tables else VX_TRAP
        self._table, self._trap = self.tables.get(trap), trap
        self._retire_native()
        self.engine.expect_calls(trap, self._table.registers if self._table is not None else ())

    def _retire_native(self) -> None:
        """The page of answers is another guest's from now on, or about another program."""
        if self.native is not None:
            self.descriptors.unwatch(self.native)
            self.native.retire()
            self.native = None

    def _answer_natively(self) -> NativeAnswers | None:
        """Have calls answered natively from now on, as far as they can be."""
        page = getattr(self.engine, "answers", None)
        if page is None or self._table is None or self.observers or not self.sandbox.native_answers:
            return None
        if self.native is None:
            numbers = self.pid, self.tid
            self.native = NativeAnswers(page, self._table, self.clock, numbers, self.tally, self.guards)
            self.native.writes_limited = self._table.hooks.limits_writes(self)
            self.descriptors.watch(self.native)
            page.set_heap(self.layout.heap, self.heap_end)
        else:
            self.limits_changed()
        page.switch(True)
        return self.native

    def limits_changed(self) -> None:
        """What it may write may be limited from now on, or no more."""
        native = self.native
        if native is None or self._table is None:
            return
        limited = self._table.hooks.limits_writes(self)
        if limited != native.writes_limited:
            native.writes_limited = limited
            self.descriptors.unwatch(native)
            self.descriptors.watch(native)

    # -- for the family ------------------------------------------------------------------------------------------

    def can_run(self) -> bool:
        """Whether it has nothing to wait for (any more)."""
        if self.group.stopped:
            return False
        wait = self.waiting
        if wait is None or wait.ready() or (self.attention and wait.interruptible):
            return True
        return wait.deadline is not None and time.monotonic() >= wait.deadline

    def give_up_waiting(self) -> None:
        """Make the call that waits fail with EDEADLK: what it waits for cannot happen."""
        self._gave_up = True

    def advance(self, *, single: bool = False) -> Trap | None:
        """Run until it ends or traps (the trap), or has to wait or give way, or another one's turn has come (None).

        With ``single`` one instruction only. Raises Interrupted for an interrupt or kill.
        """
        plain = not single and self.family.fuel is None
        native = self._answer_natively() if plain else None
        try:
            return self._advance(native, plain=plain, single=single)
        finally:
            if native is not None and native is self.native:
                native.page.switch(False)
            if self.is_new_program and (self.has_used_turn or not self.family.has_turns):
                self.is_new_program = False
                self.family.find_better_place(self)

    def _advance(self, native: NativeAnswers | None, *, plain: bool, single: bool) -> Trap | None:
        engine = self.engine
        words, tables, observers = engine.cpu.words, self.tables, self.observers
        foreign_streams = self.family.foreign_streams
        resume = engine.resume
        # Whether nothing has happened since the last trap but a call and its answer, and whether code of the application's
        # had part in that.
        foreign = True
        # Whether the engine knows the thread: a call that was pending may have come from another one.
        entered = plain and engine.can_resume()
        answered, self._ended_turn = entered and self._ended_turn, False
        abandoned, self.waiting = self.waiting, None
        while True:
            if self.attention or self.group.stopped:
                try:
                    if not self._attend(abandoned):
                        return None
                except _Exited:
                    return self._end_of_run()
                answered = False
            abandoned = None
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
                        if trap is None:
                            return None
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
                    if not self.alive:  # somebody has ended the process
                        return self._end_of_run()
                    if self.family.is_others_turn(self):
                        return None
                    continue
                table = tables.get(trap.number)
            if table is None:
                self._pending = None
                trap = trap or Trap(self._trap, words[EIP])
                try:
                    if not single and self._table is not None and self._table.hooks.fault(self, trap):
                        answered = False
                        continue
                except _Exited:
                    pass
                return trap
            if self._gave_up:
                self._gave_up = False
                words[EAX] = -errno.EDEADLK & MASK32
            else:
                try:
                    foreign = table.dispatch(self, words) or foreign_streams
                except _Exited:
                    return self._end_of_run()
                except WouldBlock as wait:
                    table.uncount(self, words[EAX])
                    # Without what the handler had, views of memory perhaps.
                    self._pending, self.waiting = trap or Trap(self._trap, words[EIP]), wait.with_traceback(None)
                    return None
                except BaseException:
                    # Interrupted: the call is made again. An exception of the host's: it may repair and run again, too.
                    self._pending = trap or Trap(self._trap, words[EIP])
                    raise
                answered = entered
            self._pending = None
            if observers and native is not None:
                native.page.switch(False)
            self.end_of_call()
            if single:
                try:
                    if self.attention:  # a signal to itself has come by the time the call returns
                        self._attend(None)
                except _Exited:
                    return self._end_of_run()
                return trap
            if self.engine is not engine:  # another program
                return None
            if self._ends_turn:
                self._ends_turn, self._ended_turn = False, answered
                return None

    def _end_of_run(self) -> Trap | None:
        """What :meth:`advance` returns when the thread or its process has ended."""
        self._pending = None
        if self.group.exit_code is None or self.parent is not None:
            return None
        return Trap(self._trap, self.engine.cpu.words[EIP])

    def send_signal_of_host(self, number: int) -> None:
        """The host sends the process a signal."""
        if self._table is not None:
            self._table.hooks.send(self.group, number)
        else:
            self.group.terminate(number)

    def end_of_call(self) -> None:
        """The call that was being made is over: what was kept for it is not about the next one."""
        self._waited_until, self._yielded, self.progress, self.kept, self.guarded = None, False, 0, None, None
        if self.observed is not None:
            self.observe_end(signed(self.engine.cpu.words[EAX]))

    def observe_end(self, result: int | None) -> None:
        """Tell the observers the result of the call that was being made; None where there is none."""
        call, self.observed = self.observed, None
        if call is not None:
            tell(self.observers, "returned", call, result)

    def _attend(self, abandoned: WouldBlock | None) -> bool:
        """Let the personality look at the task before it goes on. False if it has to wait: it is stopped."""
        if self.group.stopped:
            self.waiting = abandoned
            return False
        if self._pending is not None and (abandoned is None or not abandoned.interruptible):
            return True  # a call that has not been made yet, or that must be completed
        self.attention = False
        if self._table is not None and self._table.hooks.deliver(self, abandoned):
            self._pending = None
            self.end_of_call()
        if self.group.stopped:
            self.waiting = abandoned if self._pending is not None else None
            return False
        return True

    def die_of(self, trap: Trap) -> None:
        """The end of its process: of a trap it dies as of a signal."""
        self.trap = trap
        self.group.terminate(signal_of(trap))

    def _run_limited(self, single: bool) -> Trap | None:
        """Run one instruction, or as many as there is fuel for; None when it is another one's turn."""
        engine, family = self.engine, self.family
        if family.fuel is None:
            return engine.step()
        while True:
            # What the engine holds back has been paid for.
            left = family.fuel_left() if engine.held is None else 0
            most = min(left, FUEL_SLICE)
            before = engine.stats.instructions
            try:
                trap = engine.step() if single else engine.run_for(most)
            finally:
                family.use_fuel(engine.stats.instructions - before)
            if trap is not None:
                return trap
            if most < left and family.others_can_run(self):
                return None
