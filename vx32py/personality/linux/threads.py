"""Thread-local storage: the descriptors that a thread loads into GS (arch/x86/kernel/tls.c)."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py.personality.linux.table import MASK32, ThreadState, call

if TYPE_CHECKING:
    from reference.traps import Trap
    from vx32py._process import Process
    from vx32py._task import Task

#: The entries of the GDT that are a thread's own (arch/x86/include/asm/segment.h, 32-bit: GDT_ENTRY_TLS_MIN).
FIRST_ENTRY: Final = 6
ENTRIES: Final = 3
#: struct user_desc: entry_number, base_addr, limit, flags.
_USER_DESC: Final = struct.Struct("<IIII")
#: Flags of an empty descriptor: read_exec_only and seg_not_present, and everything else zero (asm/desc.h, LDT_empty).
_EMPTY_FLAGS: Final = 0b101000

#: MOV Sreg, r/m16, and the ModRM bytes that name GS and a register.
_MOV_TO_SEGMENT: Final = 0x8E
_GS_FROM_REGISTER: Final = 0xE8


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
    loaded = process.registers.gs_selector
    # The first one is as good as loaded; from another one a thread changes when it loads it: see loads_gs.
    if loaded is None or loaded >> 3 not in state.thread_areas or loaded == selector(number):
        process.engine.set_thread_pointer(selector(number), base)


@call(244, "get_thread_area")
def get_thread_area(process: Process, descriptor: int) -> None:
    """The thread-local segment whose entry number is in the structure."""
    number = process.memory.read_u32(descriptor)
    if not FIRST_ENTRY <= number < FIRST_ENTRY + ENTRIES:
        raise CallError(errno.EINVAL)
    base, limit, flags = process.state(ThreadState).thread_areas.get(number, (0, 0, _EMPTY_FLAGS))
    process.memory.write(descriptor, _USER_DESC.pack(number, base, limit, flags))


def loads_gs(task: Task, trap: Trap) -> bool:
    """Whether the instruction that has trapped loads another of the thread's segments into GS: then that is done."""
    code = task.engine.space.fetch(trap.eip, 2)
    if len(code) < 2 or code[0] != _MOV_TO_SEGMENT or code[1] & ~7 != _GS_FROM_REGISTER:
        return False
    chosen = task.registers.words[code[1] & 7] & 0xFFFF
    area = task.state(ThreadState).thread_areas.get(chosen >> 3)
    if area is None or chosen != selector(chosen >> 3):
        return False
    task.engine.set_thread_pointer(chosen, area[0])
    task.registers.eip = trap.eip + len(code)
    return True


def selector(entry: int) -> int:
    """The selector of a GDT entry for user mode: RPL 3."""
    return entry << 3 | 3


@call(386, "rseq")
def rseq(process: Process, area: int, size: int, flags: int, signature: int) -> int:
    """Not there; C libraries do without."""
    raise CallError(errno.ENOSYS)
