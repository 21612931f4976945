"""What C libraries need of threads while there is one: a thread pointer, futexes that nobody holds, and no more."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py.personality.linux.polling import timespec
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

FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP = 0, 1, 3, 4, 5
FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET = 9, 10
#: FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME are no part of the operation.
FUTEX_COMMAND: Final = 0x7F


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


@call(258, "set_tid_address")
def set_tid_address(process: Process, address: int) -> int:
    """The number of the only thread."""
    return process.pid


@call(311, "set_robust_list")
def set_robust_list(process: Process, head: int, size: int) -> None:
    """Accepted: the locks of a thread that ends are of interest to nobody."""
    if size != 12:
        raise CallError(errno.EINVAL)


@call(386, "rseq")
def rseq(process: Process, area: int, size: int, flags: int, signature: int) -> int:
    """Not there; C libraries do without."""
    raise CallError(errno.ENOSYS)


@call(240, "futex")
def futex(process: Process, word: int, operation: int, value: int, timeout: int) -> int:
    """Wake nobody, or wait for nobody."""
    return _futex(process, word, operation, value, timeout, wide=False)


@call(422, "futex_time64")
def futex_time64(process: Process, word: int, operation: int, value: int, timeout: int) -> int:
    """The same with a 64-bit timespec."""
    return _futex(process, word, operation, value, timeout, wide=True)


def _futex(process: Process, word: int, operation: int, value: int, timeout: int, *, wide: bool) -> int:
    command = operation & FUTEX_COMMAND
    if word % 4:
        raise CallError(errno.EINVAL)
    if command in (FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP):
        process.memory.check(word, 4)
        return 0
    if command not in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        raise CallError(errno.ENOSYS)
    if process.memory.read_u32(word) != value or not timeout:
        # Nobody could ever end a wait without a time-out: there is one thread, and memory is not shared.
        process.give_way()
        raise CallError(errno.EAGAIN)
    seconds = timespec(process, timeout, wide=wide) or 0.0
    if command == FUTEX_WAIT_BITSET:  # an absolute time
        seconds = max(0.0, seconds - process.clock.monotonic() / 1e9)
    process.pause(seconds)
    raise CallError(errno.ETIMEDOUT)
