"""Mm: an address space with all that is known of it; what Linux calls an mm_struct.

The threads of a process have one, and a child of vfork has its parent's until it ends or executes another program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.memory import PAGE_SHIFT, rights_of, runs
from reference.records import dataclass

if TYPE_CHECKING:
    from reference.contents import Contents
    from reference.memory import AddressSpace
    from reference.shared import CopiedRun, SharedRun
    from vx32py._loader import Layout
    from vx32py._module import Module
    from vx32py._task import Task
    from vx32py.vfs.walk import Location


@dataclass(frozen=True, slots=True)
class HeldMemory:
    """What a space held: its contents, and which of its pages it shared with others or had copied from files."""

    contents: Contents
    shared: tuple[SharedRun, ...] = ()
    copied: tuple[CopiedRun, ...] = ()

    @classmethod
    def of(cls, space: AddressSpace) -> HeldMemory:
        """What a space holds now. Raises OSError."""
        return cls(space.capture(), tuple(space.shared), tuple(space.copied))

    def put_back(self, space: AddressSpace) -> None:
        """Let a space hold that. Raises ValueError for a space of another size, OutOfMemory."""
        space.restore(self.contents)
        for run in self.shared:
            _share(space, run)
        space.copied = list(self.copied)


def _share(space: AddressSpace, run: SharedRun) -> None:
    """Let pages that are mapped, with whatever rights, be shared memory. Raises OutOfMemory."""
    first = run.first
    for state, pages in runs(space.permissions[run.first : run.last]):
        offset = run.offset + ((first - run.first) << PAGE_SHIFT)
        start, length = first << PAGE_SHIFT, pages << PAGE_SHIFT
        space.map_shared(start, length, rights_of(state), run.shared, offset, fixed=run.fixed)
        first += pages


@dataclass(frozen=True, slots=True)
class Parked:
    """What a space held, with its size and its budget."""

    memory: HeldMemory
    limit: int
    budget: int


class Mm:
    """``space`` with the program that was loaded there, its layout, and the end of its heap. ``users`` are the tasks that
    have it; the last one that leaves closes the space."""

    def __init__(self, space: AddressSpace, module: Module, layout: Layout) -> None:
        self._space: AddressSpace | None = space
        #: What it held when it was parked: see :meth:`park`.
        self.parked: Parked | None = None
        #: When one of its tasks has run last, in turns of the family.
        self.last_turn = 0
        self.module = module
        self.layout = layout
        self._heap_end = layout.heap
        self.arguments: list[bytes] = []
        self.environment: list[bytes] = []
        #: Where in the guest's name space the program is, and ESP at its beginning.
        self.executable: Location | None = None
        self.initial_stack = 0
        self.users: list[Task] = []

    @property
    def space(self) -> AddressSpace:
        """The address space, which comes back if it is parked."""
        if self._space is None:
            self.users[0].come_back()
        assert self._space is not None
        return self._space

    @space.setter
    def space(self, space: AddressSpace) -> None:
        self._space = space

    def park(self) -> None:
        """Keep what it holds somewhere else, and give the room that it takes below 4 GiB to another one; until one of its
        tasks is asked for its engine. Raises OSError."""
        space = self.space
        memory = HeldMemory.of(space)
        for task in self.users:
            task.park()
        self.parked = Parked(memory, space.limit, space.budget)
        self._space = None
        space.close()

    @property
    def heap_end(self) -> int:
        """Where the heap ends."""
        return self._heap_end

    @heap_end.setter
    def heap_end(self, end: int) -> None:
        self._heap_end = end
        for task in self.users:
            if task.native is not None:
                task.native.page.set_heap(self.layout.heap, end)

    def copy(self, space: AddressSpace) -> Mm:
        """The same of another space, with the same contents."""
        other = Mm(space, self.module, self.layout)
        other._heap_end = self._heap_end
        other.arguments, other.environment = self.arguments, self.environment
        other.executable, other.initial_stack = self.executable, self.initial_stack
        return other

    def join(self, task: Task) -> None:
        """``task`` uses it, too."""
        self.users.append(task)
        if len(self.users) > 1:
            for user in self.users:
                user.engine.leave_space()

    def leave(self, task: Task) -> None:
        """``task``, whose engine is closed, does not use it any more."""
        if task in self.users:
            self.users.remove(task)
            if not self.users and self._space is not None:
                self._space.close()  # which not every engine does
