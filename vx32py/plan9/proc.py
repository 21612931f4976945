"""Proc: a process of Plan 9's on a :class:`vx32py._task.Task`.

Every process is a task of its own, with one thread. Processes that share memory (rfork with RFMEM) have one address space
in which each has its own stack, always at the same place: whose turn it is has its stack mapped there.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from reference.shared import SharedRun
from vx32py._group import ThreadGroup
from vx32py._task import Task
from vx32py.plan9.calls.table import PLAN9_TRAP, TABLE
from vx32py.plan9.errors import ERRMAX, Ebadarg, Error
from vx32py.plan9.groups import EnvGroup, FdGroup, NoteGroup, RendezvousGroup
from vx32py.plan9.notes import Notes

if TYPE_CHECKING:
    from reference.engine import Engine
    from vx32py._family import Timer
    from vx32py._mm import Mm
    from vx32py.plan9.kernel import Kernel
    from vx32py.plan9.segments import Segment

#: So many wait messages are kept for a parent that does not ask for them (/sys/src/9/port/proc.c, pexit).
MOST_WAITS: Final = 128


class Proc(Task):
    """A process. Handlers of calls and devices get it.

    ``fds``, ``names``, ``env``, ``rendezvous`` and ``note_group`` are groups; ``dot`` and ``slash`` are channels: the current
    directory and the root. ``error`` is the error string, ``user`` who it is, ``text`` the name of its program, ``args`` what
    it was started with. ``notes``: see :class:`Notes`. ``memory`` is checked access to its memory.
    """

    fds: FdGroup
    env: EnvGroup
    rendezvous: RendezvousGroup
    note_group: NoteGroup
    #: A NameGroup.
    names: Any
    dot: Any
    slash: Any

    def __init__(
        self, kernel: Kernel, engine: Engine, mm: Mm, *, creator: Proc | None = None, group: ThreadGroup | None = None
    ) -> None:
        """Without its groups, which whoever makes it gives it."""
        sandbox = kernel.sandbox
        super().__init__(
            sandbox, engine, kernel.family, kernel.descriptors, kernel.files, sandbox.tables, mm, creator=creator, group=group
        )  # fmt: skip
        self.kernel = kernel
        self.error = ""
        self.user: str = creator.user if creator is not None else kernel.user
        self.text: str = creator.text if creator is not None else ""
        self.args: list[bytes] = list(creator.args) if creator is not None else []
        self.notes = Notes()
        #: The call that is being made.
        self.call = ""
        #: What it said when it ended: nothing is good.
        self.status: str | None = None
        #: Where it is told in: who waits, and what for (RFNOWAIT: nobody is).
        self.waited_for = True
        self.wait_queue: deque[WaitMessage] = deque()
        self.child_count = 0
        self.alarm: Timer | None = None
        self.started = time.monotonic()
        #: Processor time of ended children that were waited for, in ms: user, system.
        self.child_times = [0, 0]
        self.segments: list[Segment] = []
        #: In an address space that it shares: what its stack is there, and is in between.
        self.stack: SharedRun | None = None

    # -- for calls and devices -------------------------------------------------------------------------------------

    def string(self, address: int, most: int = 1 << 16) -> str:
        """A string of the process's, without its zero byte. Raises MemoryFault, and Error where it does not end."""
        try:
            return self.memory.read_string(address, most=most).decode(errors="surrogateescape")
        except ValueError:
            raise Error(Ebadarg) from None

    @property
    def ppid(self) -> int:
        """The parent's number; 0 for nobody."""
        parent = self.group.parent
        return parent.pid if parent is not None and parent.alive and self.waited_for else 0

    # -- for the scheduler -----------------------------------------------------------------------------------------

    def expect_calls(self) -> None:
        """See Task: always the same trap."""
        self._table, self._trap = TABLE, PLAN9_TRAP
        self.engine.expect_calls(PLAN9_TRAP, ())

    def __repr__(self) -> str:
        return f"<Proc {self.pid} {self.text} {'alive' if self.alive else repr(self.status)}>"


class WaitMessage:
    """What a parent is told of a child that has ended: times are in ms (user, system, real)."""

    __slots__ = ("pid", "text", "times")

    def __init__(self, pid: int, times: tuple[int, int, int], text: str) -> None:
        self.pid = pid
        self.times = times
        self.text = text.encode(errors="surrogateescape")[: ERRMAX - 1].decode(errors="surrogateescape")
