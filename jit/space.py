"""Guest memory that the processor sees: an address space over linear memory below 4 GiB.

Checks are those of :class:`reference.memory.AddressSpace`; what is added is that the permissions are also those of the
host's pages, so that a guest's own loads and stores meet them in hardware. Execute permission never reaches the host, and
pages with derived code are not writable there. Python may therefore touch the buffer only where the permissions allow it;
for the rest there is ``/proc/self/mem``.

A space that was begun from contents, or brought back to them, maps their image copy-on-write (:mod:`jit.image`). To bring
it back again is to undo what has been mapped, unmapped and protected since, which is on record here, and to undo stores, of
which the kernel has the record: whoever has written, the guest, this module, a view that somebody holds, a page that was
written is a private copy.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from jit import lending, lowmem, mappings, system
from jit.image import Image, image_of
from jit.pagemap import Scan
from jit.resting import Loan, Rest
from reference.contents import Contents
from reference.errors import OutOfMemory
from reference.memory import HELD_STATES, MAPPED, PAGE, PAGE_SHIFT, USED, WATCHED, AddressSpace, runs
from reference.shared import SharedRun
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
#: The permission byte of a page with derived code which its guest may write: the one kind whose content need not be what it
#: was. Code is derived from executable pages only, and all others of those are written with this module's help.
_WATCHED_AND_WRITABLE: Final = int(Access.RWX) | WATCHED | MAPPED | USED
#: For bytes.translate: 1 for a page with derived code.
_WATCHED: Final = bytes(bool(state & WATCHED) for state in range(256))

#: So many written pages are copied back one by one: the guest finds them ready. Where there are more, they are given
#: back to the system, and the guest gets those that it needs again one page fault at a time.
_MOST_COPIED: Final = 32
#: So many changes of mappings are recorded one by one.
_MOST_CHANGES: Final = 16
_ZERO_PAGE: Final = bytes(PAGE)
#: References to the window over a guest's memory when nobody has a view: a local variable's and those of asking for them.
_NO_VIEWS: Final = 2
_WRITE: Final = int(Access.WRITE)


def _watched_pages(permissions: bytearray) -> list[int]:
    """The pages with derived code."""
    watched = permissions.translate(_WATCHED)
    found, page = [], watched.find(1)
    while page >= 0:
        found.append(page)
        page = watched.find(1, page + 1)
    return found


def _boundaries(left: int, states: bytes | bytearray, right: int) -> int:
    """The number of changes of protection within consecutive pages and from and to their neighbours."""
    found = 0
    before = _PROTECTIONS[left]
    for state, _ in runs(states):
        protection = _PROTECTIONS[state]
        found += protection != before
        before = protection
    return found + (before != _PROTECTIONS[right])


class HostSpace(AddressSpace):
    """An address space at linear address ``base``. ``placement`` says where that is and why. Its memory is the ``loan``'s,
    and goes back some time after the space was closed and the last view of it has gone.

    ``program`` says for whom this space may leave its memory with what it was begun with.
    """

    def __init__(self, loan: Loan, *, budget: int | None = None, program: object = None) -> None:
        self.placement = placement = loan.placement
        self.base = placement.base
        window = (ctypes.c_ubyte * placement.limit).from_address(placement.base)
        # Views that the application still holds after close() must not meet unmapped memory: every view keeps `window`
        # alive, and with it the memory.
        window.loan = loan  # type: ignore[attr-defined]
        self._terms = loan.terms
        super().__init__(placement.limit, budget=budget, buffer=memoryview(window).cast("B"))
        self._lowest = placement.lowest
        self.displaced = placement.reason == lowmem.TAKEN
        self._program = program
        rest = loan.take_rest()
        #: What there is on the host of an earlier guest, whose image is loaded but not this guest's yet.
        self._rest = rest
        self._host = rest.host if rest is not None else bytearray(len(self.permissions))
        self._memory_file_owner = 0
        # What restore() can go back to cheaply, and what it was begun with; pages whose mapping or rights have changed
        # since, as (first, last); pages that were written although they cannot be.
        self._image: Image | None = None
        self._first_image: Image | None = None
        self._contents: Contents | None = None
        self._changes: list[tuple[int, int]] = []
        self._forced: set[int] = set()
        self._scan: Scan | None = None

    def map(self, start: int, length: int, access: Access) -> None:
        """As the specification has it; OutOfMemory also for pages that this placement cannot have."""
        if start < self._lowest and length:
            raise self._too_low(start)
        self._note_change(start, length)
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

    def protect(self, start: int, length: int, access: Access) -> None:
        """As the specification has it."""
        self._note_change(start, length)
        super().protect(start, length, access)

    def unmap(self, start: int, length: int) -> None:
        """As the specification has it."""
        self._note_change(start, length)
        super().unmap(start, length)

    def close(self) -> None:
        """Give the memory back, wiped; views that are still held read zeros from now on. Closing twice is fine."""
        if not self.permissions:
            return
        self._watchers.clear()
        rest = self._leave()
        super().close()
        lending.close_file(self._terms.file)
        window: Any = self.buffer.obj
        self.buffer = memoryview(b"")
        if sys.getrefcount(window) == _NO_VIEWS:
            if rest is not None:
                window.loan.leave(rest)
        else:
            # Somebody holds a view: leave pages that can be read and written, until the view goes.
            lowmem.renew(self.base + self._lowest, self.limit - self._lowest, system.READ | system.WRITE)

    def origin(self, page: int) -> Image | None:
        """The image that a page's content is from, if that is what the space was begun with, and if the content cannot have
        changed: its guest may not write it, and nobody has."""
        image = self._image
        if image is None or image is not self._first_image or not image.pages[page]:
            return None
        if self.permissions[page] & _WRITE or page in self._forced:
            return None
        return None if any(first <= page < last for first, last in self._changes) else image

    # -- everything at once ----------------------------------------------------------------------------------------

    def capture(self, *, base: bool = False) -> Contents:
        """As the specification has it. A base is mapped in place of what the memory was until now."""
        try:
            image = Image(self.limit, self._written())
            contents = Contents(bytes(self.permissions.translate(HELD_STATES)), self.mapped, image.pieces())
        except OSError:
            return super().capture(base=base)
        contents.backing = image
        if base and not self.shared and mappings.allow(2 * len(image.runs)):
            self._rest = None
            self._lay(self._lowest >> PAGE_SHIFT, len(self.permissions), image)
            self._begin(contents, image)
        return contents

    def restore(self, contents: Contents) -> None:
        """As the specification has it; what the space was last brought to, it is brought back to quickly."""
        if contents is not self._contents:
            self._check_fits(contents)
            if any(contents.permissions[: self._lowest >> PAGE_SHIFT]):
                raise self._too_low(next(p for p, state in enumerate(contents.permissions) if state) << PAGE_SHIFT)
            image = image_of(contents)
            self.mapped = contents.mapped
            self._unshare(0, len(self.permissions))
            if image is None:
                if self._rest is not None or self._image is not None:
                    # Not even pages that stay what they are: nobody would know any more that they are an image's.
                    self._before_change(0, len(self.permissions))
                    self._forget_contents()
                    self._discard_rest()
                super().restore(contents)
                return
            rest, self._rest = self._rest, None  # first: an exception may leave it half changed
            if rest is not None and rest.image is image:
                self.permissions[:] = contents.permissions
            else:
                self._drop_changed_code(contents, _watched_pages(self.permissions))
                watched = _watched_pages(self.permissions)
                self.permissions[:] = contents.permissions
                for page in watched:
                    self.permissions[page] |= WATCHED
                self._lay(self._lowest >> PAGE_SHIFT, len(self.permissions), image)
            if self._first_image is None:
                self._first_image = image
            self._begin(contents, image)
        else:
            assert self._image is not None
            self.mapped = contents.mapped
            self._unshare(0, len(self.permissions))
            self._drop_changed_code(contents, self._suspects())
            self._undo_changes(contents, self._image)
            self._undo_stores(contents, self._image)

    def _share(self, run: SharedRun) -> None:
        """As the specification has it, with the host's rights of each page."""
        _held = self._still_there()
        start = run.first
        for state, count in runs(self._host[run.first : run.last]):
            offset = run.offset + ((start - run.first) << PAGE_SHIFT)
            try:
                system.map_shared(
                    self.base + (start << PAGE_SHIFT), count << PAGE_SHIFT, _PROTECTIONS[state], run.shared.file, offset
                )
            except OSError as error:
                raise OutOfMemory(f"the host cannot map {count << PAGE_SHIFT:#x} bytes: {error}") from error
            start += count

    def _lay_private(self, first: int, last: int) -> None:
        """To be mapped anew: see :meth:`_clear`, and ``lowmem.renew`` for pages that are unmapped."""
        if self._host[first:last].strip(bytes([_ABSENT])):
            self._set_host_state(first, last, _ABSENT)

    # -- what the specification leaves to engines ------------------------------------------------------------------

    def _apply(self, first: int, last: int) -> None:
        self._still_there()
        wanted = self.permissions[first:last].translate(_HOST_STATES)
        now = self._host[first:last]
        if wanted == now:
            return
        if not wanted.strip(wanted[:1]) and not now.strip(now[:1]):
            self._set_host_state(first, last, wanted[0])
            return
        start = first
        for state, count in runs(wanted):
            end = start + count
            if self._host[start:end] != bytes([state]) * (end - start):
                self._set_host_state(start, end, state)
            start = end

    def _still_there(self) -> memoryview:
        """The memory, which is not given back as long as the caller holds this: another thread may close the space at any
        time, and what is at this place then is another guest's. Raises ValueError."""
        buffer = self.buffer
        if not buffer:
            raise ValueError("the guest's memory has been given back")
        return buffer

    def _set_host_state(self, first: int, last: int, state: int) -> None:
        _held = self._still_there()
        address, size = self.base + (first << PAGE_SHIFT), (last - first) << PAGE_SHIFT
        try:
            self._account(first, last, bytes([state]) * (last - first))
            if state == _ABSENT:
                lowmem.renew(address, size)
            else:
                system.mprotect(address, size, _PROTECTIONS[state])
        except OSError as error:
            raise self._lost(first, last, error) from error

    def _lay(self, first: int, last: int, image: Image | None) -> None:
        """Map pages anew, as their permissions say, with what the image has of them."""
        _held = self._still_there()
        states = self.permissions[first:last].translate(_HOST_STATES)
        try:
            self._account(first, last, states)
            lowmem.renew(self.base + (first << PAGE_SHIFT), (last - first) << PAGE_SHIFT)
            start = first
            for state, count in runs(states):
                end = start + count
                protection = _PROTECTIONS[state]
                from_image = (
                    image.map(start, end, self.base, protection) if image is not None and state != _ABSENT else 0
                )
                if protection != system.NONE and from_image < count:
                    system.mprotect(self.base + (start << PAGE_SHIFT), count << PAGE_SHIFT, protection)
                start = end
        except OSError as error:
            self._forget_contents()
            raise self._lost(first, last, error) from error

    def _lost(self, first: int, last: int, error: OSError) -> OutOfMemory:
        """The host has refused something, and whatever the pages are now, nobody may touch them."""
        self.mapped -= sum(PAGE for page in self.permissions[first:last] if page & MAPPED)
        self.permissions[first:last] = bytes([USED]) * (last - first)
        size = (last - first) << PAGE_SHIFT
        return OutOfMemory(f"the host cannot map {size:#x} bytes at {first << PAGE_SHIFT:#010x}: {error}")

    def _account(self, first: int, last: int, states: bytes | bytearray) -> None:
        """Note the states of pages, and what it means for the number of mappings. Raises OSError if they are too many."""
        before, host = self._host[first:last], self._host
        left, right = host[first - 1] if first else _ABSENT, host[last] if last < len(host) else _ABSENT
        more = _boundaries(left, states, right) - _boundaries(left, before, right)
        host[first:last] = states
        self._count(more)
        if more > 0 and not mappings.allow(0):
            raise OSError(errno.ENOMEM, f"guests may have {mappings.most()} mappings")

    def _count(self, more: int) -> None:
        self._terms.mappings += more
        mappings.change(more)

    def _clear(self, first: int, last: int) -> None:
        if self._host[first:last].strip(bytes([_ABSENT])):
            self._set_host_state(first, last, _ABSENT)

    def _host_read(self, address: int, length: int) -> bytes:
        held = self._still_there()
        if min(self._host[address >> PAGE_SHIFT : (address + length - 1 >> PAGE_SHIFT) + 1], default=0) >= _READABLE:
            return bytes(held[address : address + length])
        return os.pread(self._own_memory(), length, self.base + address)

    def _host_write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        held = self._still_there()
        length = len(data)
        if min(self._host[address >> PAGE_SHIFT : (address + length - 1 >> PAGE_SHIFT) + 1], default=0) >= _WRITABLE:
            held[address : address + length] = data
        else:
            if self._contents is not None:
                self._forced.update(range(address >> PAGE_SHIFT, (address + length - 1 >> PAGE_SHIFT) + 1))
            os.pwrite(self._own_memory(), data, self.base + address)

    def _own_memory(self) -> int:
        """A descriptor for /proc/self/mem, through which page protection does not count. It names the memory of the
        process that opened it: after a fork a new one is needed."""
        file = self._terms.file
        if not file or self._memory_file_owner != os.getpid():
            lending.close_file(file)
            self._memory_file_owner = os.getpid()
            file.extend(map(os.open, ("/proc/self/mem",), (os.O_RDWR | os.O_CLOEXEC,)))
        return file[0]

    # -- what contents the memory goes back to ---------------------------------------------------------------------

    def _begin(self, contents: Contents, image: Image) -> None:
        """The memory holds these contents, from the image."""
        self._forget_contents()
        self._contents, self._image = contents, image
        self._count(2 * len(image.runs))

    def _forget_contents(self) -> None:
        """The memory need not hold any more what it was brought to."""
        if self._image is not None:
            self._count(-2 * len(self._image.runs))
        self._contents = self._image = None
        self._changes.clear()
        self._forced.clear()

    def _discard_rest(self) -> None:
        """Begin with pages of zeros: this guest has no use for what another one has left, or for an image."""
        self._rest = None
        self._lay(self._lowest >> PAGE_SHIFT, len(self.permissions), None)

    def _note_change(self, start: int, length: int) -> None:
        """The mapping or the rights of pages are about to change. Raises ValueError when the space is closed."""
        self._still_there()
        if self._rest is not None:
            self._discard_rest()
        if self._contents is None:
            return
        first, last = max(start, 0) >> PAGE_SHIFT, min(start + length, self.limit) >> PAGE_SHIFT
        changes = self._changes
        if first >= last:
            return
        if changes and changes[-1][0] <= first <= changes[-1][1]:
            changes[-1] = changes[-1][0], max(changes[-1][1], last)
        elif len(changes) < _MOST_CHANGES:
            changes.append((first, last))
        else:
            changes[:] = [(min(first, *(low for low, _ in changes)), max(last, *(high for _, high in changes)))]

    def _suspects(self) -> list[int]:
        """Pages with derived code whose bytes may have changed since the memory held what it was brought to."""
        found = [page for page in self._forced if self.permissions[page] & WATCHED]
        page = self.permissions.find(_WATCHED_AND_WRITABLE)
        while page >= 0:
            found.append(page)
            page = self.permissions.find(_WATCHED_AND_WRITABLE, page + 1)
        return found

    def _drop_changed_code(self, contents: Contents, pages: list[int]) -> None:
        """Forget what was derived from those of the pages whose bytes or rights are about to change."""
        for page in pages:
            rights = self.permissions[page] & ~WATCHED == contents.permissions[page]
            if not rights or self._host_read(page << PAGE_SHIFT, PAGE) != contents.read(page << PAGE_SHIFT, PAGE):
                self._before_change(page, page + 1)

    def _undo_changes(self, contents: Contents, image: Image) -> None:
        """Map and protect as it was."""
        for first, last in self._changes:
            self._before_change(first, last)
            self.permissions[first:last] = contents.permissions[first:last]
            self._lay(first, last, image)
        self._changes.clear()

    def _undo_stores(self, contents: Contents, image: Image) -> None:
        """Give pages that were written the content that they had; their mappings are what they were."""
        if self._scan is None:
            self._scan = Scan()
        first, last = contents.pages
        base = self.base
        written = self._scan.own_pages(base + (first << PAGE_SHIFT), base + (last << PAGE_SHIFT), _MOST_COPIED)
        if written is None:
            self._forget_stores(contents, image)
            self._forced.clear()
            return
        buffer, source, host, filled = self.buffer, image.view, self._host, image.pages
        for low, high in written:
            for address in range(low - base, high - base, PAGE):
                page = address >> PAGE_SHIFT
                content = source[address : address + PAGE] if filled[page] else _ZERO_PAGE
                if host[page] == _WRITABLE:
                    buffer[address : address + PAGE] = content
                else:  # written by the host, or with derived code that is good
                    os.pwrite(self._own_memory(), content, base + address)
        self._forced.clear()

    def _forget_stores(self, contents: Contents, image: Image) -> None:
        """The same by giving all written pages back to the system, of which the guest can see afterwards nothing at
        all, not even from how long its stores take."""
        first, last = contents.pages
        try:
            system.forget(self.base + (first << PAGE_SHIFT), (last - first) << PAGE_SHIFT)
        except OSError:  # locked memory cannot be forgotten
            self._lay(self._lowest >> PAGE_SHIFT, len(self.permissions), image)

    def _written(self) -> Iterator[tuple[int, bytes | memoryview]]:
        """All mapped pages that may hold something but zeros."""
        scan = Scan().own_pages(self.base, self.base + self.limit, len(self.permissions))
        if scan is None:
            yield from self._pieces()
            return
        marks = bytearray(len(self.permissions) if self._image is None else self._image.pages)
        for low, high in scan:
            first, last = (low - self.base) >> PAGE_SHIFT, (high - self.base) >> PAGE_SHIFT
            marks[first:last] = b"\1" * (last - first)
        for run in self.shared:
            marks[run.first : run.last] = b"\1" * (run.last - run.first)
        for start, end, _ in self.regions():
            for found in re.finditer(b"\1+", marks[start >> PAGE_SHIFT : end >> PAGE_SHIFT]):
                here, length = start + (found.start() << PAGE_SHIFT), (found.end() - found.start()) << PAGE_SHIFT
                if min(self._host[here >> PAGE_SHIFT : (here + length) >> PAGE_SHIFT]) >= _READABLE:
                    yield here, self.buffer[here : here + length]
                else:
                    yield here, self._host_read(here, length)

    def _leave(self) -> Rest | None:
        """Make the memory for the next guest of the same program what it was when this one began, where that is little
        work."""
        rest, self._rest = self._rest, None
        contents, image = self._contents, self._image
        if rest is None and contents is not None and image is self._first_image and self._program is not None:
            assert image is not None
            try:
                self._unshare(0, len(self.permissions))
                self._undo_changes(contents, image)
                while (page := self.permissions.find(_WATCHED_AND_WRITABLE)) >= 0:
                    self._before_change(page, page + 1)
                self._forget_stores(contents, image)
            except (OutOfMemory, OSError):
                pass
            else:
                self._count(-2 * len(image.runs))  # until the next guest begins
                rest = Rest(self.placement, self._program, image, self._host, self._terms.mappings)
        return rest

    def _too_low(self, start: int) -> OutOfMemory:
        return OutOfMemory(f"a guest at linear address zero cannot map pages below {self._lowest:#x}, here {start:#x}")
