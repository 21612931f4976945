"""The table that the modules of this package fill, and what they keep for each process."""

from __future__ import annotations

from typing import Final, Self

from reference.records import dataclass, field
from vx32py._calls import LINUX_REGISTERS, LINUX_TRAP, LinuxNumbering, SystemCalls

TABLE: Final = SystemCalls("linux", LINUX_TRAP, LINUX_REGISTERS, numbering=LinuxNumbering())
call = TABLE.define

MASK32: Final = 0xFFFF_FFFF


@dataclass
class LinuxState:
    """What Linux keeps for a process beyond memory and descriptors.

    ``thread_areas``: entry → (base, limit, flags) of set_thread_area. ``actions``: signal → its struct sigaction.
    ``mask``: the blocked signals. ``alternate_stack``: its stack_t. ``name``: PR_SET_NAME.
    """

    thread_areas: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    actions: dict[int, bytes] = field(default_factory=dict)
    mask: bytes = bytes(8)
    alternate_stack: bytes = b"\0\0\0\0\x02\0\0\0\0\0\0\0"  # ss_flags = SS_DISABLE
    umask: int = 0o022
    name: bytes = b""

    def fork(self) -> Self:
        """The same for a child, to go its own way."""
        return type(self)(
            dict(self.thread_areas),
            dict(self.actions),
            self.mask,
            self.alternate_stack,
            self.umask,
            self.name,
        )
