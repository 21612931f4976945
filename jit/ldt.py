"""The local descriptor table of this process: modify_ldt, and who has which entry.

Threads share the table and fork copies it, so entries are handed out under one lock a process. What an entry may say is
:class:`reference.segmentation.Descriptor`; the kernel checks that nobody gets more than user data and user code.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import struct
import threading
from collections.abc import Iterator
from typing import Final

from jit import system
from reference.segmentation import LDT_ENTRIES, USER_LDT, Descriptor

_READ: Final = 0
_WRITE: Final = 0x11  # the later form, which can also clear an entry

_DATA, _EXPAND_DOWN, _CODE = 0, 1, 2  # user_desc.contents


class LdtError(OSError):
    """The kernel refused an entry, or there is none left."""


def _user_desc(index: int, descriptor: Descriptor | None) -> bytes:
    """``struct user_desc`` of asm/ldt.h; None gives the one that clears the entry."""
    if descriptor is None:
        return struct.pack("<IIII", index, 0, 0, 1 << 3 | 1 << 5)  # read_exec_only and seg_not_present
    if descriptor.dpl != 3 or not descriptor.big:
        raise ValueError("the kernel makes 32-bit descriptors for ring 3 only")
    contents = _CODE if descriptor.code else _EXPAND_DOWN if descriptor.expand_down else _DATA
    read_or_execute_only = not (descriptor.readable if descriptor.code else descriptor.writable)
    flags = (
        1  # seg_32bit
        | contents << 1
        | read_or_execute_only << 3
        | descriptor.page_granular << 4
        | (not descriptor.present) << 5
    )
    return struct.pack("<IIII", index, descriptor.base, descriptor.limit, flags)


def _modify_ldt(function: int, buffer: ctypes.Array[ctypes.c_char] | bytes, length: int) -> int:
    try:
        result = system.call("SYS_MODIFY_LDT", function, buffer, length)
    except OSError as error:
        raise LdtError(error.errno, error.strerror) from error
    # The call returns errors as 32 bits without sign extension (a quirk that the kernel keeps for compatibility), which
    # the C library takes for success.
    code = -ctypes.c_int32(result).value
    if code > 0:
        raise LdtError(code, f"modify_ldt: {os.strerror(code)}")
    return result


def write_entry(index: int, descriptor: Descriptor | None) -> None:
    """Set entry ``index``, or clear it with None. Raises LdtError, ValueError."""
    if not 0 <= index < LDT_ENTRIES:
        raise ValueError(f"LDT index {index} is not below {LDT_ENTRIES}")
    raw = _user_desc(index, descriptor)
    _modify_ldt(_WRITE, raw, len(raw))


def read_entries() -> list[bytes]:
    """The table as it stands: eight bytes an entry, as far as the kernel has allocated it. Raises LdtError."""
    buffer = ctypes.create_string_buffer(8 * LDT_ENTRIES)
    length = _modify_ldt(_READ, buffer, len(buffer))
    raw = buffer.raw  # a copy of all of it, each time
    return [raw[at : at + 8] for at in range(0, length, 8)]


def selector(index: int) -> int:
    """The selector that names entry ``index`` from ring 3."""
    return index << 3 | USER_LDT


class Allocator:
    """Hands out entries, the lowest first (the kernel copies the table up to the highest one at each change).

    Entries that somebody else has set are found at the start and left alone.
    """

    def __init__(self) -> None:
        # Reentrant: the garbage collector may free entries at any time.
        self._lock = threading.RLock()
        self._free: list[int] = []
        #: Those that nobody has had yet; None before somebody has looked which others have set.
        self._unused: Iterator[int] | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()  # another thread of the parent may have held it

    def allocate(self, descriptor: Descriptor, kept: list[int] | None = None) -> int:
        """Set a free entry to ``descriptor``; its index, which ``kept`` has before it is set. Raises LdtError."""
        kept = [] if kept is None else kept
        with self._lock:
            if self._unused is None:
                foreign = {i for i, raw in enumerate(read_entries()) if any(raw)}
                self._unused = itertools.filterfalse(foreign.__contains__, itertools.count())
            # Each in one call, so that no signal handler's exception comes while an index is nobody's.
            if self._free:
                kept.extend(map(self._free.pop, (-1,)))
            else:
                kept.extend(map(next, (self._unused,)))
            if kept[-1] >= LDT_ENTRIES:
                self._unused = itertools.chain((kept.pop(),), self._unused)
                raise LdtError(errno.ENOSPC, f"all {LDT_ENTRIES} descriptors of the process are in use")
            try:
                write_entry(kept[-1], descriptor)
            except OSError:
                self._free.extend(map(kept.pop, (-1,)))
                raise
            return kept[-1]

    def free(self, index: int) -> None:
        """Clear an entry and take it back."""
        self.free_all([index])

    def free_all(self, kept: list[int]) -> None:
        """Clear these entries and take them back. ``kept`` has those that are not free yet, if an exception comes out."""
        with self._lock:
            while kept:
                write_entry(kept[-1], None)
                self._free.extend(map(kept.pop, (-1,)))
            self._free.sort(reverse=True)


allocator: Final = Allocator()


def probe() -> str | None:
    """None if this host lets us set descriptors, else the reason why not."""
    try:
        allocator.free(allocator.allocate(Descriptor.data(0, 1)))
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return "the kernel has no modify_ldt (CONFIG_MODIFY_LDT_SYSCALL is off, or a container forbids the call)"
        if error.errno in (errno.EPERM, errno.EACCES):
            return "modify_ldt is forbidden here (a seccomp filter, as container runtimes install it)"
        return str(error)
    return None
