"""Thread: what the handlers of system calls know of a guest's thread, but for its registers and its memory.

Who it is, and of which process; its descriptors and files; its program; what personalities keep for it; and how the call
that it makes waits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from vx32py._clock import Clock, VirtualClock
from vx32py._group import ThreadGroup
from vx32py._wait import Exited, WouldBlock

if TYPE_CHECKING:
    from vx32py._descriptors import Descriptors, OpenFile
    from vx32py._family import Family
    from vx32py._loader import Layout
    from vx32py._mm import Mm
    from vx32py._module import Module
    from vx32py.vfs.files import Files


class PersonalityState(Protocol):
    """What a personality keeps for each process. Made without arguments when it is first asked for."""

    #: Whether each thread has one of its own.
    per_thread: ClassVar[bool]

    def fork(self) -> Self:
        """The state of a forked child."""

    def execute(self) -> Self:
        """The state when another program has been loaded."""


State = TypeVar("State", bound=PersonalityState)


class Thread:
    """A thread; :class:`vx32py._task.Task` is one with an engine.

    ``attention``: before it goes on, the personality has to look at it: a signal has come.
    """

    def __init__(
        self,
        family: Family,
        descriptors: Descriptors,
        files: Files,
        mm: Mm,
        *,
        creator: Thread | None = None,
        group: ThreadGroup | None = None,
    ) -> None:
        """``creator``: whose child or (with its ``group``) thread it is."""
        self.descriptors = descriptors
        self.files = files
        files.attach(family)
        self.mm = mm
        #: The files that were connected as standard streams, whatever descriptors they have, if any.
        self.streams: tuple[OpenFile, ...] = creator.streams if creator is not None else ()
        self._states: dict[Any, Any] = {}
        self.attention = False
        #: What the call that is being made waits for, and whether it is to fail: that cannot happen.
        self.waiting: WouldBlock | None = None
        self.gave_up = False
        # Of that call, kept while it is made again and again until it need not wait any more:
        self._waited_until: float | None = None
        self._yielded = False
        #: For handlers to remember how far they have come, and whatever else; 0 and None when a call begins.
        self.progress = 0
        self.kept: Any = None
        #: Whether its turn ends with the call that is being made.
        self.ends_turn = False
        #: Whether this thread has ended by itself.
        self.ended = False
        self._closed = False
        self.family = family
        self.tid = family.new_number()
        self.group: ThreadGroup = group or ThreadGroup(family, creator.group if creator is not None else None, self.tid)

    # -- who it is -----------------------------------------------------------------------------------------------

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
    def layout(self) -> Layout:
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

    # -- what is kept for it -------------------------------------------------------------------------------------

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

    def shares_descriptors(self) -> bool:
        """Whether another thread or process has the same descriptors."""
        for task in self.family.tasks.values():
            if task is not self and task.descriptors is self.descriptors and task.alive:
                return True
        return False

    # -- how it ends, and waits ----------------------------------------------------------------------------------

    def exit(self, code: int) -> int:
        """End the process with an exit code (its low 8 bits). Does not return."""
        self.group.end(code & 0xFF)
        raise Exited

    def exit_by_signal(self, number: int) -> int:
        """End the process as signal ``number`` does: the exit code is 128 + number. Does not return."""
        self.group.terminate(number)
        raise Exited

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
        """Let the other processes run once before this one goes on. The call waits for nobody: a signal comes when it is done."""
        if self.has_others() and not self._yielded:
            self._yielded = True
            raise WouldBlock(lambda: True, interruptible=False)

    def end_turn(self) -> None:
        """Let the other processes run once when the call that is being made is over."""
        self.ends_turn = True

    def has_others(self) -> bool:
        """Whether another thread or process of the family is alive."""
        return any(task is not self and task.alive for task in self.family.tasks.values())

    def children(self) -> list[ThreadGroup]:
        """The children that have not been waited for."""
        return self.group.children

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
        self.gave_up = True
