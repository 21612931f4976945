"""Task: what one thread of a guest is to the system calls and to the scheduler.

Most processes have one thread, and then the task is the process. :class:`vx32py.Process` is the first task of the first
process, with a host around it. Everything here is for handlers of system calls and for :class:`vx32py._family.Family`.

What concerns a thread without its engine is in :mod:`vx32py._thread`. How its turns go is in :mod:`vx32py._turn`, how others
are made of it in :mod:`vx32py._forking`, how programs begin in :mod:`vx32py._execution`, and how it does without its engine
for some time in :mod:`vx32py._parking`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from reference.registers import CPU, EAX, EIP
from reference.traps import Trap
from vx32py import _parking, _turn
from vx32py._calls import LINUX_TRAP, VX_TRAP, Call, Observer, SystemCalls, signed, tell
from vx32py._descriptors import Descriptors
from vx32py._family import Family
from vx32py._group import ThreadGroup
from vx32py._memory import GuestMemory
from vx32py._mm import Mm
from vx32py._native import NativeAnswers
from vx32py._parking import ParkedEngine
from vx32py._result import RunStats, signal_of
from vx32py._thread import Thread
from vx32py._wait import Exited
from vx32py.vfs.files import Files

if TYPE_CHECKING:
    from reference.engine import Engine
    from vx32py._guard import GuardedCall, Guards
    from vx32py._sandbox import Sandbox


class Task(Thread):
    """A thread: registers of its own; and, with the other threads of its :attr:`group`, memory, descriptors and files.

    ``registers`` is live: a :class:`reference.registers.CPU`. ``memory`` is checked access to guest memory. ``exit_code``
    is 0 to 255 once the process has exited (128 + n when a signal n ended it), else None; ``tid`` is the thread's number.
    ``observers`` see every system call; ``calls`` and ``unknown_calls`` count them, for the whole family.
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
        #: What is left of its engine while its memory is parked.
        self.parked: ParkedEngine | None = None
        self.engine_name = engine.name
        self.tables = tables
        #: The table of the calls that are expected, and the number of their trap.
        self.table: SystemCalls | None = None
        self.call_trap = -1
        self.native: NativeAnswers | None = None
        #: Called when it is closed, or forgotten: it has a place among its sandbox's guests.
        self.when_closed: Callable[[], object] | None = None
        self.trap: Trap | None = None
        #: A trap that has not been dealt with: its call has to be made, or waits and is made again.
        self.pending: Trap | None = None
        self.observers: list[Observer] = creator.observers if creator is not None else []
        #: The call that observers have been told of, until they are told its result.
        self.observed: Call | None = None
        #: Functions of the host's that see calls before they are made, and the call that they have let be while it waits.
        self.guards: Guards | None = sandbox.guards
        self.guarded: GuardedCall | None = None
        #: A plain dictionary, which is quicker than a Counter.
        self.tally: dict[str, int] = creator.tally if creator is not None else {}
        self.unknown_calls: Counter[tuple[str, int]] = creator.unknown_calls if creator is not None else Counter()
        self.replaced = False
        #: Whether it has executed a program, which has not run for long; and whether it has used up a turn.
        self.is_new_program = self.has_used_turn = False
        #: Whether its last turn has ended with a call that was made.
        self.ended_turn = False
        #: Its place among those who queue for their turns, which its family gives it.
        self.place = 0
        #: How long its turns are, beside those of others.
        self.share = 1.0
        super().__init__(family, descriptors, files, mm, creator=creator, group=group)
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
    def stats(self) -> RunStats:
        """Counters so far; the family's, where they are about calls and time. Still there after :meth:`close`."""
        if self._engine is not None:
            self._engine.settle()
            counters, mapped = self._engine.stats, self._engine.space.mapped
        else:
            assert self.parked is not None
            counters = self.parked.stats
            mapped = self.mm.parked.memory.contents.mapped if self.mm.parked is not None else 0
        return RunStats(
            self.engine_name,
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
        self.retire_native()
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

    def exit_thread(self, code: int) -> int:
        """End this thread alone; with the last one of them the process ends. Does not return."""
        if self.tid == self.pid:
            self.group.leader_code = code & 0xFF
        if all(task is self or task.ended for task in self.group.tasks):
            self.group.end(self.group.leader_code)
        else:
            self.leave()
        raise Exited

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

    def before_end(self) -> None:
        """Tell the personality that this thread ends."""
        if self.table is not None:
            self.table.hooks.thread_ends(self)

    def interrupt_engine(self) -> None:
        """Stop it soon, if it runs. From any thread."""
        engine = self._engine
        if engine is not None:
            engine.interrupt()

    def tell_of_end(self) -> None:
        """Tell the personality that the process has ended."""
        if self.table is not None:
            self.table.hooks.ended(self.group)
        tell(self.observers, "ended", self)

    def become(self, engine: Engine, mm: Mm) -> None:
        """Run another program, which has been loaded into another address space."""
        self.retire_native()
        old_engine, old_mm = self.engine, self.mm
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

    def begin_as_copy(self) -> None:
        """Behind the call by which it was made, with its result 0."""
        self.engine.cpu.words[EAX] = 0
        self.expect_calls()

    def have_own_descriptors(self) -> None:
        """Share descriptors with nobody any more: have a copy of what there is."""
        if not self.shares_descriptors():
            return
        shared, self.descriptors = self.descriptors, self.descriptors.clone()
        if self.native is not None:
            shared.unwatch(self.native)
            self.descriptors.watch(self.native)

    def expect_calls(self) -> None:
        """Tell the engine by which trap this program makes its calls; which of them have native answers it is told when the
        program runs."""
        trap = LINUX_TRAP if self.module.abi == "linux" or VX_TRAP not in self.tables else VX_TRAP
        self.table, self.call_trap = self.tables.get(trap), trap
        self.retire_native()
        self.engine.expect_calls(trap, self.table.registers if self.table is not None else ())

    def retire_native(self) -> None:
        """The page of answers is another guest's from now on, or about another program."""
        if self.native is not None:
            self.descriptors.unwatch(self.native)
            self.native.retire()
            self.native = None

    def answer_natively(self) -> NativeAnswers | None:
        """Have calls answered natively from now on, as far as they can be."""
        page = getattr(self.engine, "answers", None)
        if page is None or self.table is None or self.observers or not self.sandbox.native_answers:
            return None
        if self.native is None:
            numbers = self.pid, self.tid
            self.native = NativeAnswers(page, self.table, self.clock, numbers, self.tally, self.guards)
            self.native.writes_limited = self.table.hooks.limits_writes(self)
            self.descriptors.watch(self.native)
            page.set_heap(self.layout.heap, self.heap_end)
        else:
            self.limits_changed()
        page.switch(True)
        return self.native

    def limits_changed(self) -> None:
        """What it may write may be limited from now on, or no more."""
        native = self.native
        if native is None or self.table is None:
            return
        limited = self.table.hooks.limits_writes(self)
        if limited != native.writes_limited:
            native.writes_limited = limited
            self.descriptors.unwatch(native)
            self.descriptors.watch(native)

    # -- for the family ------------------------------------------------------------------------------------------

    def park(self) -> None:
        """Give up the engine: see :meth:`vx32py._mm.Mm.park`."""
        engine = self._engine
        assert engine is not None
        self.parked = ParkedEngine.of(engine)
        self.retire_native()
        engine.leave_space()
        engine.close()
        self._engine = None

    def come_back(self) -> None:
        """Have engines and memory again, for all tasks with this memory. Raises LimitExceeded("memory") where the host has no
        room for it."""
        kept = self.mm.parked
        if kept is None or self._closed:
            raise ValueError("the task is closed")
        _parking.come_back(self, kept)

    def advance(self, *, single: bool = False) -> Trap | None:
        """Run until it ends or traps (the trap), or has to wait or give way, or another one's turn has come (None).

        With ``single`` one instruction only. Raises Interrupted for an interrupt or kill.
        """
        return _turn.take(self, single=single)

    def trap_of_call(self) -> Trap:
        """The trap of the call that is being made, where the engine has not said more than that it is one."""
        return Trap(self.call_trap, self.engine.cpu.words[EIP])

    def send_signal_of_host(self, number: int) -> None:
        """The host sends the process a signal."""
        if self.table is not None:
            self.table.hooks.send(self.group, number)
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

    def die_of(self, trap: Trap) -> None:
        """The end of its process: of a trap it dies as of a signal."""
        self.trap = trap
        self.group.terminate(signal_of(trap))
