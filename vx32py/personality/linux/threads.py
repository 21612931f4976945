"""Thread-local storage: the descriptors that a thread loads into GS (arch/x86/kernel/tls.c)."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py.personality.linux.table import MASK32, ThreadState, call

if TYPE_CHECKING:
    from vx32py._process import Process

#: The entries of the GDT that are a thread's own (arch/x86/include/asm/segment.h, 32-bit: GDT_ENTRY_TLS_MIN).
FIRST_ENTRY: Final = 6
ENTRIES: Final = 3
#: struct user_desc: entry_number, base_addr, limit, flags.
_USER_DESC: Final = struct.Struct("<IIII")
#: Flags of an empty descriptor: read_exec_only and seg_not_present, and everything else zero (asm/desc.h, LDT_empty).
_EMPTY_FLAGS: Final = 0b101000


@call(243, "set_thread_area")
def set_thread_area(process: Process, descriptor: int) -> None:
    """Set a thread-local segment: the guest loads its selector, entry << 3 | 3, into GS."""
    state = process.state(ThreadState)
    number, base, limit, flags = _USER_DESC.unpack(process.memory.read(descriptor, _USER_DESC.size))
    if number == MASK32:
        free = [entry for entry in range(FIRST_ENTRY, FIRST_ENTRY + ENTRIES) if entry not in state.thread_areas]
        if not free:
            raise CallError(errno.ESRCH)
        number = free[0]
        process.memory.write_u32(descriptor, number)
    if not FIRST_ENTRY <= number < FIRST_ENTRY + ENTRIES:
        raise CallError(errno.EINVAL)
    if base == 0 and limit == 0 and flags & 0xFF in (0, _EMPTY_FLAGS):
        state.thread_areas.pop(number, None)
        if process.registers.gs_selector == selector(number):
            process.engine.set_thread_pointer(None, None)
        return
    state.thread_areas[number] = base, limit, flags
    process.engine.set_thread_pointer(selector(number), base)


@call(244, "get_thread_area")
def get_thread_area(process: Process, descriptor: int) -> None:
    """The thread-local segment whose entry number is in the structure."""
    number = process.memory.read_u32(descriptor)
    if not FIRST_ENTRY <= number < FIRST_ENTRY + ENTRIES:
        raise CallError(errno.EINVAL)
    base, limit, flags = process.state(ThreadState).thread_areas.get(number, (0, 0, _EMPTY_FLAGS))
    process.memory.write(descriptor, _USER_DESC.pack(number, base, limit, flags))


def selector(entry: int) -> int:
    """The selector of a GDT entry for user mode: RPL 3."""
    return entry << 3 | 3


@call(386, "rseq")
def rseq(process: Process, area: int, size: int, flags: int, signature: int) -> int:
    """Not there; C libraries do without."""
    raise CallError(errno.ENOSYS)
