"""Proc: a process of Plan 9's on a :class:`vx32py._task.Task`.

Every process is a task of its own, with one thread. Processes that share memory (rfork with RFMEM) have one address space
in which each has its own stack, always at the same place: whose turn it is has its stack mapped there.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from reference.shared import SharedRun
from vx32py._calls import tell
from vx32py._group import ThreadGroup
from vx32py._task import Task
from vx32py.plan9 import ending, notes
from vx32py.plan9.answers import Plan9Answers
from vx32py.plan9.calls.table import PLAN9_TRAP, TABLE
from vx32py.plan9.errors import Ebadarg, Error
from vx32py.plan9.groups import EnvGroup, FdGroup, NoteGroup, RendezvousGroup
from vx32py.plan9.memory import Memory
from vx32py.plan9.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.engine import Engine
    from reference.traps import Trap
    from vx32py._family import Timer
    from vx32py._mm import Mm
    from vx32py._native import NativeAnswers
    from vx32py.plan9.chan import Chan
    from vx32py.plan9.host import Host
    from vx32py.plan9.kernel import Kernel
    from vx32py.plan9.namespace import NameGroup
    from vx32py.plan9.paths import Path
    from vx32py.plan9.segments import Segment

#: PriNormal: what processes begin with.
NORMAL_PRIORITY: Final = 10
#: With priority 0, of a turn; with much less it might be over before it has begun.
_LEAST_SHARE: Final = 0.3


class Proc(Task):
    """A process. Handlers of calls and devices get it.

    ``fds``, ``names``, ``env``, ``rendezvous`` and ``note_group`` are groups; ``dot`` and ``slash`` are channels: the current
    directory and the root. ``error`` is the error string, ``user`` who it is, ``text`` the name of its program, ``args`` what
    it was started with. ``notes``: see :class:`Notes`. ``memory`` is checked access to its memory.
    """

    env: EnvGroup
    rendezvous: RendezvousGroup
    note_group: NoteGroup
    names: NameGroup
    dot: Chan
    slash: Chan

    def __init__(
        self, kernel: Kernel, engine: Engine, mm: Mm, *, creator: Proc | None = None, group: ThreadGroup | None = None
    ) -> None:
        """Without its groups, which whoever makes it gives it."""
        sandbox = kernel.sandbox
        # Empty ones until then: Ctrl-C may come at any line, and then the process ends with these.
        host: Host = kernel.host
        self.env, self.names, self.rendezvous = host.env.empty(), host.names.empty(), RendezvousGroup()
        self._fds, self.note_group = host.fds.empty(), NoteGroup(0)
        self.slash, self.dot = host.slash.incref(), host.slash.incref()
        self.kernel = kernel
        self.may_prefer_zero = kernel.zero_is_possible
        self.error = ""
        self.user: str = creator.user if creator is not None else kernel.user
        self.text: str = creator.text if creator is not None else ""
        #: Where its program was found, if it was in the name space.
        self.program_path: Path | None = creator.program_path if creator is not None else None
        self.args: list[bytes] = list(creator.args) if creator is not None else []
        self.notes = Notes()
        #: The call that is being made, or that waits; and whether its handler is at work.
        self.call = ""
        self.in_call = False
        #: Whether it stops when it has executed another program, and when it is sent a note (``hang``, ``startstop`` of ctl).
        self.hang: bool = creator.hang if creator is not None else False
        self.stops_at_note = False
        #: What it said when it ended: nothing is good.
        self.status: str | None = None
        #: Where it is told in: who waits, and what for (RFNOWAIT: nobody is).
        self.waited_for = True
        self.wait_queue: deque[ending.WaitMessage] = deque()
        self.child_count = 0
        self.alarm: Timer | None = None
        #: Somebody has written "kill" to its ctl: it ends whatever it does about notes.
        self.doomed = False
        self.started = time.monotonic()
        self.seconds_running = 0.0
        #: Processor time of ended children that were waited for, in ms: user, system.
        self.child_times = [0, 0]
        self.segments: list[Segment] = []
        #: In an address space that it shares: what its stack is there, and is in between.
        self.stack: SharedRun | None = None
        # From here on others know it.
        super().__init__(
            sandbox, engine, kernel.family, kernel.descriptors, kernel.files, sandbox.tables, mm, creator=creator, group=group
        )  # fmt: skip
        self.priority = NORMAL_PRIORITY
        if creator is not None:
            self.set_priority(creator.priority)

    @property
    def fds(self) -> FdGroup:
        """Its descriptors."""
        return self._fds

    @fds.setter
    def fds(self, fds: FdGroup) -> None:
        self._fds = fds
        if isinstance(self.native, Plan9Answers):
            self.native.watch(fds)

    # -- for calls and devices -------------------------------------------------------------------------------------

    def string(self, address: int, most: int = 1 << 16) -> str:
        """A string of the process's, without its zero byte. Raises MemoryFault, and Error where it does not end."""
        try:
            return self.memory.read_string(address, most=most).decode(errors="surrogateescape")
        except ValueError:
            raise Error(Ebadarg) from None

    @property
    def view(self) -> Kernel:
        """The kernel, for devices."""
        return self.kernel

    def note(self, text: str) -> None:
        """It is sent a note, about something that it has done."""
        notes.post(self, text)

    def set_priority(self, priority: int) -> None:
        """From 0 to NORMAL_PRIORITY: with less, its turns are shorter; but it has them."""
        self.priority = priority
        self.share = _LEAST_SHARE + (1 - _LEAST_SHARE) * priority / NORMAL_PRIORITY

    @property
    def ppid(self) -> int:
        """The parent's number; 0 for nobody."""
        parent = self.group.parent
        return parent.pid if parent is not None and parent.alive and self.waited_for else 0

    def end(self, status: str) -> NoReturn:
        """End, with a status: nothing is good. Does not return."""
        self.status = status
        self.exit(bool(status))
        raise AssertionError

    def kill(self, status: str) -> None:
        """End a process, which need not be the one that runs. Does not return to a handler of its own."""
        if self.in_call:
            self.end(status)
        if self.alive:
            self.status = status
            self.group.end(bool(status))

    def say(self, message: str) -> None:
        """Tell on its descriptor 2 what becomes of it (pprint)."""
        self.kernel.say(self, f"{self.text} {self.pid}: {message}\n".encode(errors="surrogateescape"))

    @property
    def stack_top(self) -> int:
        """Where its stack ends."""
        return self.mm.layout.stack_end

    @property
    def is_in_call(self) -> bool:
        """Whether there is a call that is made again when it goes on."""
        return self.waiting is not None or self.pending is not None

    # -- memory ----------------------------------------------------------------------------------------------------

    def own_stack(self) -> None:
        """Have its stack mapped, where others have theirs at the same place."""
        memory = self.mm
        assert isinstance(memory, Memory)
        memory.take_stack(self)

    def peek(self, address: int, length: int) -> bytes:
        """Some of its memory, also while others run. Raises MemoryFault."""
        with self._stack_there():
            return self.memory.read(address, length)

    def poke(self, address: int, data: bytes) -> None:
        """Change some of it, whatever its rights are. Raises MemoryFault."""
        with self._stack_there():
            self.engine.space.store(address, data)

    @contextmanager
    def _stack_there(self) -> Iterator[None]:
        """Its own stack is mapped; then that is again which was."""
        memory = self.mm
        assert isinstance(memory, Memory)
        owner = memory.stack_owner
        self.own_stack()
        try:
            yield
        finally:
            if owner is not None:
                memory.take_stack(owner)

    def become(self, engine: Engine, mm: Mm) -> None:
        """See Task; with no stack of its own any more."""
        old_memory, self.stack = self.mm, None
        if isinstance(old_memory, Memory) and old_memory.stack_owner is self:
            old_memory.stack_owner = None
        super().become(engine, mm)
        if self.hang:
            self.group.stopped = self.attention = True

    # -- for the scheduler -----------------------------------------------------------------------------------------

    def advance(self, *, single: bool = False) -> Trap | None:
        """See Task; with its own stack."""
        if self.stack is not None:
            self.own_stack()
        began = time.monotonic()
        try:
            return super().advance(single=single)
        finally:
            self.seconds_running += time.monotonic() - began

    def tell_of_end(self) -> None:
        """It has ended: see :mod:`vx32py.plan9.ending`."""
        ending.ended(self)
        tell(self.observers, "ended", self)

    def answer_natively(self) -> NativeAnswers | None:
        """See Task."""
        page = getattr(self.engine, "answers", None)
        if page is None or self.observers or not self.sandbox.native_answers:
            return None
        if self.native is None:
            self.native = Plan9Answers(page, TABLE, self.clock, self.tally, self.fds)
        page.switch(True)
        return self.native

    def retire_native(self) -> None:
        if self.native is not None:
            self.native.retire()
            self.native = None

    def expect_calls(self) -> None:
        """See Task: always the same trap."""
        self.table, self.call_trap = TABLE, PLAN9_TRAP
        self.engine.expect_calls(PLAN9_TRAP, ())

    def __repr__(self) -> str:
        return f"<Proc {self.pid} {self.text} {'alive' if self.alive else repr(self.status)}>"
