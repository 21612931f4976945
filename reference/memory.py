"""Guest memory: an address space of 4 KiB pages with permissions.

An :class:`AddressSpace` is what lies behind a guest's data segment: addresses 0 to ``limit - 1``, each page unmapped or
mapped with read, write and execute permission. Execute permission is the translator's business alone: no host page of
guest memory is ever executable.

Pages that hold translated (or predecoded) code are *watched*. Whoever is about to change such a page (guest store, host
write, unmap) tells the watcher first, so that what was derived from the old bytes can be dropped.

The native engine derives its own space from this one, with the same checks over memory that the processor sees too.
"""

from __future__ import annotations

import mmap
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from reference import shared as _shared
from reference.contents import PIECE, Contents
from reference.errors import MemoryFault, OutOfMemory
from reference.shared import CopiedRun, Shared, SharedRun
from reference.traps import Access

PAGE: Final = 4096
PAGE_SHIFT: Final = 12
MAX_LIMIT: Final = 1 << 32

#: Further bits of a page's permission byte: derived code depends on its content; it is mapped; it was once mapped; it is
#: behind the end of what is mapped there, and has no rights until that grows; it will be writable then.
WATCHED: Final = 8
MAPPED: Final = 16
USED: Final = 32
BEYOND: Final = 64
_WRITABLE_THEN: Final = 128

#: The number itself: the arithmetic of enumerations is slow.
_EXECUTE: Final = int(Access.EXECUTE)
_WRITE: Final = int(Access.WRITE)
#: The permission bytes of pages that are mapped, and of pages that are not watched: for bytes.translate, which deletes
#: them from many pages' bytes at once.
_MAPPED_STATES: Final = bytes(state for state in range(256) if state & MAPPED)
_FREE_STATES: Final = bytes(state for state in range(256) if not state & MAPPED)
_UNWATCHED_STATES: Final = bytes(state for state in range(256) if not state & WATCHED)
#: For each access, the permission bytes that permit it.
_PERMITTING: Final = [bytes(state for state in range(256) if state & access == access) for access in range(8)]
#: Those of them with which nothing has to be done first: no code is derived from a page that is written to.
_READY: Final = [
    bytes(state for state in permitting if not access & _WRITE or not state & WATCHED)
    for access, permitting in enumerate(_PERMITTING)
]
#: What becomes of each when the page is unmapped, when it is no longer watched, and in
#: :class:`~reference.contents.Contents`.
_UNMAPPED: Final = bytes(state & USED for state in range(256))
_UNWATCHED: Final = bytes(state & ~WATCHED for state in range(256))
HELD_STATES: Final = bytes(state & ~WATCHED if state & MAPPED else 0 for state in range(256))
_ZEROS: Final = bytes(PIECE)


def _beyond(state: int) -> int:
    if not state & MAPPED or not state & (1 | _WRITE):
        return state
    return state & ~(7 | WATCHED) | BEYOND | (_WRITABLE_THEN if state & _WRITE else 0)


def _within(state: int) -> int:
    if not state & BEYOND:
        return state
    return state & ~(BEYOND | _WRITABLE_THEN) | 1 | (_WRITE if state & _WRITABLE_THEN else 0)


#: What becomes of each when the page comes to be behind the end of what is mapped there, and when it no longer is.
_GONE_BEYOND: Final = bytes(map(_beyond, range(256)))
_COME_WITHIN: Final = bytes(map(_within, range(256)))

_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
#: So many words can be read at a time.
_WORDS: Final = tuple(struct.Struct(f"<{count}I") for count in range(9))


def page_floor(address: int) -> int:
    """``address`` rounded down to a page."""
    return address & -PAGE


def page_ceil(address: int) -> int:
    """``address`` rounded up to a page."""
    return (address + PAGE - 1) & -PAGE


def _mapped_state(access: Access) -> int:
    """The permission byte of a mapped page. The processor has no pages that can be written but not read."""
    rights = int(access)
    return (rights | 1 if rights & 2 else rights) | MAPPED | USED


def rights_of(state: int) -> Access:
    """The rights that a permission byte gives, or will give when the page is no longer behind an end."""
    return Access(_COME_WITHIN[state] & 7)


def permissions_of(limit: int, regions: Iterable[tuple[int, int, Access]]) -> bytes:
    """The permission bytes of a space of ``limit`` bytes with nothing but these (start, end, access), all of whole
    pages; of two that overlap the later one counts."""
    permissions = bytearray(limit >> PAGE_SHIFT)
    for start, end, access in regions:
        pages = (end - start) >> PAGE_SHIFT
        permissions[start >> PAGE_SHIFT : end >> PAGE_SHIFT] = bytes([_mapped_state(access)]) * pages
    return bytes(permissions)


#: From so many pages on it is quicker to see first whether all of them are in the same state.
_MANY_PAGES: Final = 16


@lru_cache(maxsize=256)
def _alike(state: int, count: int) -> bytes:
    return bytes([state]) * count


def runs(states: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Runs of equal bytes: (byte, how many). Few of them, and long ones, in most spaces: their ends are found in steps that
    double as long as they fit, and then halve."""
    here = bytes(states)
    if here and here == _alike(here[0], len(here)):
        yield here[0], len(here)
        return
    start = 0
    while start < len(here):
        state = here[start]
        end, step = start + 1, 1
        while here.startswith(_alike(state, step), end):
            end += step
            step *= 2
        while step > 1:
            step //= 2
            if here.startswith(_alike(state, step), end):
                end += step
        yield state, end - start
        start = end


def _differences(before: bytes | bytearray, after: bytes) -> Iterator[tuple[int, int]]:
    """Where two equally long sequences differ: (start, end)."""
    spots = (int.from_bytes(before, "little") ^ int.from_bytes(after, "little")).to_bytes(len(after), "little")
    return (found.span() for found in re.finditer(rb"[^\0]+", spots))


def zeros(size: int) -> memoryview:
    """Zeroed bytes, which cost nothing until they are used. A fork of the host copies them: Python's default shares."""
    if sys.platform == "win32":
        return memoryview(mmap.mmap(-1, size))
    return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class _Closed(bytearray):
    """The permissions of a space that has been closed: none, and whoever looks is told. Another thread may be at work."""

    def __getitem__(self, index: Any) -> Any:
        raise ValueError("the guest's memory has been given back: its process is closed")

    def __setitem__(self, index: Any, value: Any) -> None:
        self[index]


class AddressSpace:
    """Guest memory of ``limit`` bytes of addresses (a multiple of 4096), of which at most ``budget`` bytes are mapped.

    ``buffer`` is the whole of it as a writable memoryview of bytes, without checks: for code that has checked.
    ``permissions`` has a byte for each page: :class:`Access` bits, :data:`WATCHED`, :data:`MAPPED`, :data:`USED`.
    """

    def __init__(self, limit: int, *, budget: int | None = None, buffer: memoryview | None = None) -> None:
        if limit <= 0 or limit % PAGE or limit > MAX_LIMIT:
            raise ValueError(f"limit must be a multiple of {PAGE} up to 4 GiB, not {limit:#x}")
        self.limit = limit
        self.budget = limit if budget is None else budget
        self.mapped = 0
        self.permissions = bytearray(limit >> PAGE_SHIFT)
        self.buffer = buffer if buffer is not None else zeros(limit)
        self._watchers: list[Callable[[int, int], None]] = []
        #: Whether accesses would be quicker elsewhere, where another guest is now: see jit.space.
        self.displaced = False
        #: What is shared with other spaces.
        self.shared: list[SharedRun] = []
        #: What is a copy of something: those that made it keep this, to make it anew.
        self.copied: list[CopiedRun] = []

    # -- mapping -------------------------------------------------------------------------------------------------

    def map(self, start: int, length: int, access: Access) -> None:
        """Map pages of zeros at ``start``, replacing what was there. Both numbers are multiples of 4096.

        Raises OutOfMemory when the budget is exceeded, ValueError for a range outside the space.
        """
        first, last = self._pages(start, length)
        fresh = len(self.permissions[first:last].translate(None, _MAPPED_STATES)) * PAGE
        if self.mapped + fresh > self.budget:
            raise OutOfMemory(
                f"mapping {length:#x} bytes at {start:#010x} exceeds the guest's {self.budget:#x} bytes of memory"
            )
        self._before_change(first, last)
        self._unshare(first, last)
        self._clear(first, last)
        self.mapped += fresh
        self.permissions[first:last] = bytes([_mapped_state(access)]) * (last - first)
        self._apply(first, last)

    def protect(self, start: int, length: int, access: Access) -> None:
        """Change the permissions of mapped pages. Raises MemoryFault at the first page that is not mapped."""
        first, last = self._pages(start, length)
        if self.permissions[first:last].translate(None, _MAPPED_STATES):
            missing = next(page for page in range(first, last) if not self.permissions[page] & MAPPED)
            raise MemoryFault(missing << PAGE_SHIFT, access)
        self._before_change(first, last)
        self.permissions[first:last] = bytes([_mapped_state(access)]) * (last - first)
        for run in self.shared:
            if run.shared.end is not None and run.first < last and first < run.last:
                self._hide(run)
        self._apply(first, last)

    def unmap(self, start: int, length: int) -> None:
        """Remove pages; pages that are not mapped are left as they are."""
        first, last = self._pages(start, length)
        self._before_change(first, last)
        self._unshare(first, last)
        states = self.permissions[first:last]
        self.mapped -= (len(states) - len(states.translate(None, _MAPPED_STATES))) * PAGE
        self.permissions[first:last] = states.translate(_UNMAPPED)
        self._apply(first, last)

    def map_shared(
        self, start: int, length: int, access: Access, shared: Shared, offset: int, *, fixed: bool = False
    ) -> None:
        """Map pages of memory that other spaces may have, too, from byte ``offset`` of it on. ``fixed``: see
        :class:`SharedRun`. Raises what :meth:`map` raises, and OutOfMemory where the host cannot do it."""
        self.map(start, length, access)
        run = SharedRun(start >> PAGE_SHIFT, (start + length) >> PAGE_SHIFT, shared, offset, fixed)
        try:
            self._share(run)
        except OutOfMemory:
            self.unmap(start, length)
            raise
        self.shared.append(run)
        shared.spaces.add(self)
        if shared.end is not None:
            self._hide(run)
            self._apply(run.first, run.last)

    def exchange(self, run: SharedRun) -> None:
        """Let the pages of a run that is mapped here be another one's of the same pages; their rights stay. Raises
        OutOfMemory. Whoever has the old one keeps what is in it."""
        index = next(i for i, there in enumerate(self.shared) if (there.first, there.last) == (run.first, run.last))
        self._before_change(run.first, run.last)
        self._share(run)
        self.shared[index] = run
        run.shared.spaces.add(self)

    def meet_end(self, shared: Shared) -> None:
        """The end of something that is mapped here has moved."""
        for run in tuple(self.shared):
            if run.shared is shared:
                self._before_change(run.first, run.last)
                self._hide(run)
                self._apply(run.first, run.last)

    def _hide(self, run: SharedRun) -> None:
        """Let pages behind the end have no rights, and the others those that they should have."""
        end = run.shared.end or 0
        first = min(max(run.first + ((page_ceil(end) - run.offset) >> PAGE_SHIFT), run.first), run.last)
        permissions = self.permissions
        permissions[run.first : first] = permissions[run.first : first].translate(_COME_WITHIN)
        permissions[first : run.last] = permissions[first : run.last].translate(_GONE_BEYOND)

    def find_free(self, length: int, *, low: int, high: int) -> int | None:
        """The highest start of ``length`` unmapped bytes within [low, high), or None. Top-down, as Linux places mmap."""
        need = page_ceil(length) >> PAGE_SHIFT
        run = 0
        for page in range(min(high, self.limit) // PAGE - 1, page_ceil(low) // PAGE - 1, -1):
            run = 0 if self.permissions[page] & MAPPED else run + 1
            if run == need:
                return page << PAGE_SHIFT
        return None

    def is_mapped(self, start: int, length: int) -> bool:
        """Whether every page of the range is mapped, with whatever permission."""
        first, last = self._pages(page_floor(start), page_ceil(start + length) - page_floor(start))
        return not self.permissions[first:last].translate(None, _MAPPED_STATES)

    def is_free(self, start: int, length: int) -> bool:
        """Whether no byte of a range of whole pages is mapped."""
        return not self.permissions[start >> PAGE_SHIFT : start + length >> PAGE_SHIFT].translate(None, _FREE_STATES)

    def shared_at(self, address: int) -> tuple[Shared, int] | None:
        """What memory shared with other spaces is mapped at an address, and the offset there; None for private memory."""
        page = address >> PAGE_SHIFT
        for run in self.shared:
            if run.first <= page < run.last:
                return run.shared, run.offset + address - (run.first << PAGE_SHIFT)
        return None

    def regions(self) -> list[tuple[int, int, Access]]:
        """What is mapped, in order: (start, end, access) for each run of pages with equal permissions."""
        found, start = [], 0
        for state, pages in runs(self.permissions.translate(HELD_STATES)):
            end = start + (pages << PAGE_SHIFT)
            if state:
                found.append((start, end, Access(state & 7)))
            start = end
        return found

    # -- everything at once --------------------------------------------------------------------------------------

    def capture(self, *, base: bool = False) -> Contents:
        """What the space holds now. ``base`` says that :meth:`restore` will bring it back to this, perhaps often, which is
        then to cost no more than what has changed by then."""
        return Contents(bytes(self.permissions.translate(HELD_STATES)), self.mapped, self._pieces())

    def restore(self, contents: Contents) -> None:
        """Make the space hold ``contents`` and nothing else. What was derived from code stays where that is the same,
        rights included.

        Raises ValueError for the contents of a space of another size, OutOfMemory when the budget is exceeded.
        """
        self._check_fits(contents)
        wanted = contents.permissions
        self.mapped = contents.mapped
        self._unshare(0, len(self.permissions))
        same = bytearray(wanted)
        for first, last in _differences(self.permissions.translate(_UNWATCHED), wanted):
            self._before_change(first, last)
            self._unshare(first, last)
            self._clear(first, last)
            same[first:last] = bytes(last - first)
            self.permissions[first:last] = wanted[first:last]
            self._apply(first, last)
        for start, data in contents.pieces:
            self._replace(start, data)
        for first, last in _differences(same, bytes(len(same))):
            for start in range(first << PAGE_SHIFT, last << PAGE_SHIFT, PIECE):
                length = min(PIECE, (last << PAGE_SHIFT) - start)
                self._replace(start, contents.read(start, length))

    def _share(self, run: SharedRun) -> None:
        """Let mapped pages be shared memory. Raises OutOfMemory."""
        if sys.platform == "win32":
            raise OutOfMemory("this host has no memory that can be shared")
        _shared.lay(self.buffer, run.first << PAGE_SHIFT, (run.last - run.first) << PAGE_SHIFT, run)

    def _unshare(self, first: int, last: int) -> None:
        """Let pages be nobody else's, whatever they hold then."""
        for low, high in [(max(run.first, first), min(run.last, last)) for run in self.shared]:
            if low < high:
                self._lay_private(low, high)
        if self.shared:
            self._cut_shared(first, last)
        if self.copied:
            self.copied = _shared.cut(self.copied, first, last, PAGE)

    def _cut_shared(self, first: int, last: int) -> None:
        """Know nothing of shared pages any more, and let them go where nobody else has them."""
        gone = [
            (
                run.shared,
                run.offset + ((max(run.first, first) - run.first) << PAGE_SHIFT),
                min(run.last, last) - max(run.first, first),
            )
            for run in self.shared
            if run.first < last and first < run.last
        ]
        self.shared = _shared.cut(self.shared, first, last, PAGE)
        for shared, offset, pages in gone:
            shared.release(offset, offset + (pages << PAGE_SHIFT))

    def _lay_private(self, first: int, last: int) -> None:
        """Replace pages of shared memory by others."""
        _shared.lay(self.buffer, first << PAGE_SHIFT, (last - first) << PAGE_SHIFT, None)

    def _check_fits(self, contents: Contents) -> None:
        if len(contents.permissions) != len(self.permissions):
            size = len(contents.permissions) << PAGE_SHIFT
            raise ValueError(f"contents of {size:#x} bytes of addresses, not {self.limit:#x}")
        if contents.mapped > self.budget:
            raise OutOfMemory(f"{contents.mapped:#x} bytes exceed the guest's {self.budget:#x} bytes of memory")

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """All mapped bytes in pieces, but for those that are zero."""
        for start, end, _ in self.regions():
            for here in range(start, end, PIECE):
                piece = self.load(here, min(PIECE, end - here))
                if piece != _ZEROS[: len(piece)]:
                    yield here, piece

    def _replace(self, address: int, data: bytes | memoryview) -> None:
        """Store those pages of ``data`` that are not there already."""
        data = bytes(data)
        if self.load(address, len(data)) == data:
            return
        here, end = address, address + len(data)
        while here < end:
            stop = min((here & -PAGE) + PAGE, end)
            piece = data[here - address : stop - address]
            if self.load(here, stop - here) != piece:
                self.store(here, piece)
            here = stop

    # -- checked access ------------------------------------------------------------------------------------------

    def check(self, address: int, length: int, access: Access) -> None:
        """Raise MemoryFault unless every byte of the range permits ``access``. An empty range is always allowed.

        The range must not wrap: one that passes the limit faults at the limit.
        """
        if length == 0:
            return
        if address < 0 or length < 0 or address >= self.limit:
            raise MemoryFault(address, access)
        permitting = _PERMITTING[access]
        first = address >> PAGE_SHIFT
        states = self.permissions[first : (address + length - 1 >> PAGE_SHIFT) + 1]
        if states.translate(None, permitting):
            page = first + next(i for i, state in enumerate(states) if state not in permitting)
            raise MemoryFault(max(address, page << PAGE_SHIFT), access)
        if address + length > self.limit:
            raise MemoryFault(self.limit, access)

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes; raises MemoryFault."""
        self.check(address, length, Access.READ)
        return bytes(self.buffer[address : address + length])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store ``data``; all of it or, with MemoryFault, nothing."""
        length = len(data)
        self.check(address, length, Access.WRITE)
        if length:
            self._before_change(address >> PAGE_SHIFT, (address + length - 1 >> PAGE_SHIFT) + 1)
            self.buffer[address : address + length] = data

    def view(self, address: int, length: int, access: Access = Access.READ) -> memoryview:
        """The range itself, without a copy, good until the guest runs on: then the pages may be gone, which on the native
        engine ends the process that touches them. With WRITE, derived code is dropped now, not at later stores."""
        end = address + length
        first, last = address >> PAGE_SHIFT, (end - 1 >> PAGE_SHIFT) + 1
        # As nearly always: nothing is to be refused, and no derived code to be dropped.
        ready = 0 <= address < end <= self.limit and not self.permissions[first:last].translate(None, _READY[access])
        if not ready:
            self.check(address, length, access)
        if not int(access) & _WRITE:
            return self.buffer[address:end].toreadonly()
        if not ready and length:
            self._before_change(first, last)
        return self.buffer[address:end]

    def read_string(self, address: int, *, most: int = 1 << 20) -> bytes:
        """The bytes up to a zero byte. Raises MemoryFault, or ValueError when there is none within ``most`` bytes."""
        found = bytearray()
        while len(found) < most:
            here = address + len(found)
            count = min(PAGE - here % PAGE, most - len(found))
            chunk = self.read(here, count)
            end = chunk.find(0)
            if end >= 0:
                return bytes(found + chunk[:end])
            found += chunk
        raise ValueError(f"no end of string within {most} bytes of {address:#010x}")

    def load(self, address: int, length: int) -> bytes:
        """The host's own look at memory, whatever its permissions, as long as it is mapped; raises MemoryFault."""
        self._check_mapped(address, length, Access.READ)
        return self._host_read(address, length)

    def store(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """The host's own write, whatever the permissions, as a loader needs it; raises MemoryFault if not mapped."""
        length = len(data)
        self._check_mapped(address, length, Access.WRITE)
        if length:
            self._before_change(address >> PAGE_SHIFT, (address + length - 1 >> PAGE_SHIFT) + 1)
            self._host_write(address, data)

    def read_u8(self, address: int) -> int:
        """One byte; raises MemoryFault."""
        if address < self.limit and self.permissions[address >> PAGE_SHIFT] & 1:
            return self.buffer[address]
        raise MemoryFault(address, Access.READ)

    def read_u16(self, address: int) -> int:
        """A little-endian 16-bit word; raises MemoryFault."""
        if address & (PAGE - 1) > PAGE - 2 or address >= self.limit or not self.permissions[address >> PAGE_SHIFT] & 1:
            self.check(address, 2, Access.READ)
        return int(_U16.unpack_from(self.buffer, address)[0])

    def read_u32(self, address: int) -> int:
        """A little-endian 32-bit word; raises MemoryFault."""
        if address & (PAGE - 1) > PAGE - 4 or address >= self.limit or not self.permissions[address >> PAGE_SHIFT] & 1:
            self.check(address, 4, Access.READ)
        return int(_U32.unpack_from(self.buffer, address)[0])

    def read_u64(self, address: int) -> int:
        """A little-endian 64-bit word; raises MemoryFault."""
        self.check(address, 8, Access.READ)
        return int(_U64.unpack_from(self.buffer, address)[0])

    def read_words(self, address: int, count: int) -> tuple[int, ...]:
        """So many little-endian 32-bit words, a few at most; raises MemoryFault."""
        size = 4 * count
        if (
            address & (PAGE - 1) > PAGE - size
            or address >= self.limit
            or not self.permissions[address >> PAGE_SHIFT] & 1
        ):
            self.check(address, size, Access.READ)
        return _WORDS[count].unpack_from(self.buffer, address)

    def write_u8(self, address: int, value: int) -> None:
        """Store the low byte of ``value``; raises MemoryFault."""
        if address < self.limit and self.permissions[address >> PAGE_SHIFT] & (2 | WATCHED) == 2:
            self.buffer[address] = value & 0xFF
        else:
            self.write(address, bytes([value & 0xFF]))

    def write_u16(self, address: int, value: int) -> None:
        """Store the low 16 bits of ``value``; raises MemoryFault."""
        self.write(address, _U16.pack(value & 0xFFFF))

    def write_u32(self, address: int, value: int) -> None:
        """Store the low 32 bits of ``value``; raises MemoryFault."""
        if (
            address & (PAGE - 1) <= PAGE - 4
            and address < self.limit
            and self.permissions[address >> PAGE_SHIFT] & (2 | WATCHED) == 2
        ):
            _U32.pack_into(self.buffer, address, value & 0xFFFF_FFFF)
        else:
            self.write(address, _U32.pack(value & 0xFFFF_FFFF))

    def write_u64(self, address: int, value: int) -> None:
        """Store the low 64 bits of ``value``; raises MemoryFault."""
        self.write(address, _U64.pack(value & 0xFFFF_FFFF_FFFF_FFFF))

    def fetch(self, address: int, most: int) -> bytes:
        """Up to ``most`` bytes of code from ``address`` on, ending where execute permission ends (perhaps empty)."""
        end = min(address + most, self.limit)
        here, permissions = address, self.permissions
        while here < end and permissions[here >> PAGE_SHIFT] & _EXECUTE:
            here = (here & -PAGE) + PAGE
        stop = min(here, end)
        return self._host_read(address, stop - address) if stop > address else b""

    # -- code that depends on content ----------------------------------------------------------------------------

    def add_watcher(self, watcher: Callable[[int, int], None]) -> None:
        """Call ``watcher(first_page, last_page)`` (half-open) before watched pages among them change or lose rights.

        By the time of the call the pages are no longer watched.
        """
        self._watchers.append(watcher)

    def remove_watcher(self, watcher: Callable[[int, int], None]) -> None:
        """Undo :meth:`add_watcher`, of which an exception may have left nothing to undo."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def is_watched(self, page: int) -> bool:
        """Whether the page is watched: then it does not change before the watchers are told."""
        return page < len(self.permissions) and self.permissions[page] & WATCHED != 0

    def watch(self, first_page: int, last_page: int) -> None:
        """Mark pages as having derived code (half-open range of page numbers)."""
        permissions = self.permissions
        changed = False
        for page in range(first_page, last_page):
            state = permissions[page]
            if not state & WATCHED:
                permissions[page] = state | WATCHED
                changed = changed or state & _WRITE != 0
        if changed:
            self._apply(first_page, last_page)

    def touch(self, first_page: int, last_page: int) -> None:
        """Drop all code derived from these pages, as if they were about to change."""
        self._before_change(first_page, last_page)

    def _before_change(self, first: int, last: int) -> None:
        states = self.permissions[first:last]
        alike = last - first > _MANY_PAGES and states == _alike(states[0], last - first)
        if not (states[:1] if alike else states).translate(None, _UNWATCHED_STATES):
            return
        self.permissions[first:last] = states.translate(_UNWATCHED)
        self._apply(first, last)
        for watcher in tuple(self._watchers):
            watcher(first, last)

    # -- what an engine's own space overrides --------------------------------------------------------------------

    def _apply(self, first: int, last: int) -> None:
        """Make the permissions of these pages effective outside this object (the native engine: mprotect)."""

    def _clear(self, first: int, last: int) -> None:
        """Make pages read as zeros."""
        for page in range(first, last):
            if self.permissions[page] & USED:
                self.buffer[page << PAGE_SHIFT : (page + 1) << PAGE_SHIFT] = bytes(PAGE)

    def _host_read(self, address: int, length: int) -> bytes:
        return bytes(self.buffer[address : address + length])

    def _host_write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        self.buffer[address : address + len(data)] = data

    def close(self) -> None:
        """Give the memory back. The space must not be used afterwards."""
        if self.permissions and self.shared:
            self._cut_shared(0, len(self.permissions))
        self.permissions = _Closed()
        self._watchers.clear()

    def _check_mapped(self, address: int, length: int, access: Access) -> None:
        """Raise MemoryFault, naming ``access``, at the first byte of the range that is not mapped."""
        if length == 0:
            return
        if address < 0 or length < 0:
            raise MemoryFault(address, access)
        first, last = address >> PAGE_SHIFT, (address + length - 1 >> PAGE_SHIFT) + 1
        states = self.permissions[first:last]
        if len(states) == last - first and not states.translate(None, _MAPPED_STATES):
            return
        for page in range(first, last):
            if page << PAGE_SHIFT >= self.limit or not self.permissions[page] & MAPPED:
                raise MemoryFault(max(address, page << PAGE_SHIFT), access)

    def _pages(self, start: int, length: int) -> tuple[int, int]:
        if start % PAGE or length % PAGE or start < 0 or length < 0 or start + length > self.limit:
            raise ValueError(f"pages [{start:#x}, {start + length:#x}) are not within [0, {self.limit:#x})")
        return start >> PAGE_SHIFT, (start + length) >> PAGE_SHIFT
