"""The table that the modules of this package fill, and what they keep for each process."""

from __future__ import annotations

from typing import ClassVar, Final, Self

from reference.records import dataclass, field
from vx32py._calls import LINUX_REGISTERS, LINUX_TRAP, LinuxNumbering, SystemCalls

TABLE: Final = SystemCalls("linux", LINUX_TRAP, LINUX_REGISTERS, numbering=LinuxNumbering())
call = TABLE.define

MASK32: Final = 0xFFFF_FFFF
SIG_DFL, SIG_IGN = 0, 1
#: A stack_t with ss_flags = SS_DISABLE.
NO_STACK: Final = b"\0\0\0\0\x02\0\0\0\0\0\0\0"


@dataclass
class LinuxState:
    """What Linux keeps for a process beyond memory and descriptors.

    ``actions``: signal → its struct sigaction. ``umask``: permission bits that new files do not get.
    """

    actions: dict[int, bytes] = field(default_factory=dict)
    umask: int = 0o022

    per_thread: ClassVar[bool] = False

    def fork(self) -> Self:
        """The same for a child, to go its own way."""
        return type(self)(dict(self.actions), self.umask)

    def execute(self) -> Self:
        """The same for another program: without handlers, which have gone with the old one."""
        ignored = {n: action for n, action in self.actions.items() if int.from_bytes(action[:4], "little") == SIG_IGN}
        return type(self)(ignored, self.umask)


@dataclass
class ThreadState:
    """What Linux keeps for a thread beyond its registers.

    ``thread_areas``: entry → (base, limit, flags) of set_thread_area. ``mask``: the blocked signals.
    ``alternate_stack``: its stack_t. ``name``: PR_SET_NAME. ``clear_child_tid``: where to store 0 when the thread ends, waking
    who waits there; ``robust_list``: the head of the list of locks that it holds. Both 0 for none.
    """

    thread_areas: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    mask: bytes = bytes(8)
    alternate_stack: bytes = NO_STACK
    name: bytes = b""
    clear_child_tid: int = 0
    robust_list: int = 0

    per_thread: ClassVar[bool] = True

    def fork(self) -> Self:
        """The same for the thread of a child, or another thread."""
        return type(self)(dict(self.thread_areas), self.mask, self.alternate_stack, self.name)

    def execute(self) -> Self:
        """The same for another program."""
        return type(self)(mask=self.mask)
