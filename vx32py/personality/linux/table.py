"""The table that the modules of this package fill, and what they keep for each process."""

from __future__ import annotations

from typing import ClassVar, Final, Self

from reference.records import dataclass, field
from vx32py._calls import LINUX_REGISTERS, LINUX_TRAP, LinuxNumbering, SystemCalls

TABLE: Final = SystemCalls("linux", LINUX_TRAP, LINUX_REGISTERS, numbering=LinuxNumbering())
call = TABLE.define

MASK32: Final = 0xFFFF_FFFF


@dataclass
class ThreadState:
    """What Linux keeps for a thread beyond its registers and signals.

    ``thread_areas``: entry → (base, limit, flags) of set_thread_area. ``name``: PR_SET_NAME. ``clear_child_tid``: where to
    store 0 when the thread ends, waking who waits there; ``robust_list``: the head of the list of locks that it holds. Both
    0 for none.
    """

    thread_areas: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    name: bytes = b""
    clear_child_tid: int = 0
    robust_list: int = 0

    per_thread: ClassVar[bool] = True

    def fork(self) -> Self:
        """The same for the thread of a child, or another thread."""
        return type(self)(dict(self.thread_areas), self.name)

    def execute(self) -> Self:
        """The same for another program."""
        return type(self)()
