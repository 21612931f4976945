"""Guest memory that the processor sees: an address space over linear memory below 4 GiB.

Checks are those of :class:`reference.memory.AddressSpace`; what is added is that the permissions are also those of the
host's pages, so that a guest's own loads and stores meet them in hardware. Execute permission never reaches the host, and
pages with derived code are not writable there. Python may therefore touch the buffer only where the permissions allow it;
for the rest there is ``/proc/self/mem``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import weakref
from collections.abc import Iterator
from typing import Final

from jit import lowmem, system
from jit.lowmem import Placement
from reference.errors import OutOfMemory
from reference.memory import MAPPED, PAGE, PAGE_SHIFT, USED, WATCHED, AddressSpace
from reference.traps import Access

# What a page is on the host: not there (its content is gone), there without access, readable, writable.
_ABSENT, _HIDDEN, _READABLE, _WRITABLE = range(4)
_EXECUTE: Final = int(Access.EXECUTE)
_PROTECTIONS: Final = (system.NONE, system.NONE, system.READ, system.READ | system.WRITE)


def _host_state(state: int) -> int:
    if not state & MAPPED:
        return _ABSENT
    if state & Access.WRITE and not state & WATCHED:
        return _WRITABLE  # on x86 what is writable is readable
    return _READABLE if state & (Access.READ | Access.WRITE) else _HIDDEN


#: For bytes.translate: permission bytes to host states.
_HOST_STATES: Final = bytes(_host_state(state) for state in range(256))


class _Mappings:
    """How many mappings the host's kernel needs for all guests. It allows a process a limited number, and a process
    without any left cannot even allocate memory for itself; so guests get at most half of them."""

    def __init__(self) -> None:
        try:
            with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
                self.most = int(file.read()) // 2
        except (OSError, ValueError):
            self.most = 1 << 15
        self.count = 0


_mappings: Final = _Mappings()


def _runs(states: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Runs of equal bytes: (byte, how many)."""
    while states:
        rest = states.lstrip(states[:1])
        yield states[0], len(states) - len(rest)
        states = rest


def _boundaries(states: bytes | bytearray) -> int:
    """The number of changes of protection within consecutive pages."""
    found = -1
    before = -1
    for state, _ in _runs(states):
        protection = _PROTECTIONS[state]
        found += protection != before
        before = protection
    return found


class HostSpace(AddressSpace):
    """An address space at linear address ``base``. ``placement`` says where that is and why; it is given back when the
    space is closed and the last view of its memory has gone."""

    def __init__(self, placement: Placement, *, budget: int | None = None) -> None:
        self.placement = placement
        self.base = placement.base
        window = (ctypes.c_ubyte * placement.limit).from_address(placement.base)
        # Views that the application still holds after close() must not meet unmapped memory: every view keeps `window`
        # alive, and with it the memory.
        self._release = weakref.finalize(window, lowmem.give_back, placement)
        self._release.atexit = False
        super().__init__(placement.limit, budget=budget, buffer=memoryview(window).cast("B"))
        self._host = bytearray(len(self.permissions))
        self._mappings = 0
        self._memory_file = -1
        self._memory_file_owner = 0

    def map(self, start: int, length: int, access: Access) -> None:
        """As the specification has it; OutOfMemory also for pages that this placement cannot have."""
        if start < self.placement.lowest and length:
            raise OutOfMemory(
                f"a guest at linear address zero cannot map pages below {self.placement.lowest:#x}, here {start:#x}"
            )
        super().map(start, length, access)

    def fetch(self, address: int, most: int) -> bytes:
        """As the specification has it, and quickly where all is on one page that can be read."""
        page = address >> PAGE_SHIFT
        if (
            address + most - 1 >> PAGE_SHIFT == page < len(self._host)
            and self.permissions[page] & _EXECUTE
            and self._host[page] >= _READABLE
        ):
            return self.buffer[address : address + most].tobytes()
        return super().fetch(address, most)

    def close(self) -> None:
        """Give the memory back, wiped; views that are still held read zeros from now on. Closing twice is fine."""
        if not self.permissions:
            return
        super().close()
        _mappings.count -= self._mappings
        self._mappings = 0
        if self._memory_file >= 0 and self._memory_file_owner == os.getpid():
            os.close(self._memory_file)
        self._memory_file = -1
        self.buffer = memoryview(b"")
        if self._release.alive:
            # Somebody holds a view: leave pages that can be read and written, until the view goes.
            low = self.placement.lowest
            lowmem.renew(self.base + low, self.limit - low, system.READ | system.WRITE)

    # -- what the specification leaves to engines ------------------------------------------------------------------

    def _apply(self, first: int, last: int) -> None:
        wanted = self.permissions[first:last].translate(_HOST_STATES)
        now = self._host[first:last]
        if wanted == now:
            return
        if not wanted.strip(wanted[:1]) and not now.strip(now[:1]):
            self._set_host_state(first, last, wanted[0])
            return
        start = first
        for state, count in _runs(wanted):
            end = start + count
            if self._host[start:end] != bytes([state]) * (end - start):
                self._set_host_state(start, end, state)
            start = end

    def _set_host_state(self, first: int, last: int, state: int) -> None:
        address, size = self.base + (first << PAGE_SHIFT), (last - first) << PAGE_SHIFT
        try:
            self._account(first, last, state)
            if state == _ABSENT:
                lowmem.renew(address, size)
            else:
                system.mprotect(address, size, _PROTECTIONS[state])
        except OSError as error:
            # Whatever the pages are now, nobody may touch them.
            self.mapped -= sum(PAGE for page in self.permissions[first:last] if page & MAPPED)
            self.permissions[first:last] = bytes([USED]) * (last - first)
            raise OutOfMemory(f"the host cannot map {size:#x} bytes at {first << PAGE_SHIFT:#010x}: {error}") from error

    def _account(self, first: int, last: int, state: int) -> None:
        """Note the state of pages, and what it means for the number of mappings. Raises OSError if they are too many."""
        low, high = max(first - 1, 0), min(last + 1, len(self._host))
        before = _boundaries(self._host[low:high])
        self._host[first:last] = bytes([state]) * (last - first)
        change = _boundaries(self._host[low:high]) - before
        self._mappings += change
        _mappings.count += change
        if change > 0 and _mappings.count > _mappings.most:
            raise OSError(errno.ENOMEM, f"guests may have {_mappings.most} mappings")

    def _clear(self, first: int, last: int) -> None:
        if self._host[first:last].strip(bytes([_ABSENT])):
            self._set_host_state(first, last, _ABSENT)

    def _host_read(self, address: int, length: int) -> bytes:
        if min(self._host[address >> PAGE_SHIFT : (address + length - 1 >> PAGE_SHIFT) + 1], default=0) >= _READABLE:
            return bytes(self.buffer[address : address + length])
        return os.pread(self._own_memory(), length, self.base + address)

    def _host_write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        length = len(data)
        if min(self._host[address >> PAGE_SHIFT : (address + length - 1 >> PAGE_SHIFT) + 1], default=0) >= _WRITABLE:
            self.buffer[address : address + length] = data
        else:
            os.pwrite(self._own_memory(), data, self.base + address)

    def _own_memory(self) -> int:
        """A descriptor for /proc/self/mem, through which page protection does not count. It names the memory of the
        process that opened it: after a fork a new one is needed."""
        if self._memory_file < 0 or self._memory_file_owner != os.getpid():
            self._memory_file = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
            self._memory_file_owner = os.getpid()
        return self._memory_file
