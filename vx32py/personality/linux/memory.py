"""Memory: brk, mmap and their kin (mm/mmap.c, mm/mremap.c, mm/madvise.c).

A private mapping of a file is a copy of it, made when it is mapped. What is mapped shared is memory of its own
(:mod:`reference.shared`), which processes have together; for a file see :mod:`.filemaps`.
"""

from __future__ import annotations

import errno
import stat
import struct
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Final

from reference.errors import MemoryFault, OutOfMemory
from reference.memory import MAPPED, PAGE, PAGE_SHIFT, AddressSpace, page_ceil
from reference.shared import Shared
from reference.traps import Access
from vx32py._descriptors import BytesFile
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._loader import LOWEST
from vx32py.personality import common
from vx32py.personality.linux import filemaps
from vx32py.personality.linux.table import MASK32, call
from vx32py.vfs.opened import PathFile

if TYPE_CHECKING:
    from vx32py._process import Process

PROT_MASK: Final = 7  # PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4: the values of Access
PROT_IGNORED: Final = 8  # PROT_SEM
MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE = 1, 2, 3
MAP_FIXED: Final = 0x10
MAP_ANONYMOUS: Final = 0x20
MAP_FIXED_NOREPLACE: Final = 0x100000
MREMAP_MAYMOVE: Final = 1
MREMAP_FIXED: Final = 2
MADV_DONTNEED: Final = 4
#: What there is (madvise_behavior_valid).
_ADVICE: Final = frozenset({*range(5), *range(8, 26)})
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4

#: Where libraries may begin, and how large they may be.
LIBRARIES: Final = 0x0010_0000
_MOST_OF_LIBRARY: Final = 16 << 20

_FREE: Final = bytes(0 if state & MAPPED else 1 for state in range(256))


@call(45, "brk", native="linux_brk")
def brk(process: Process, end: int) -> int:
    """Move the end of the heap. Returns where it is afterwards, which tells a failure."""
    if process.layout.heap <= end <= process.layout.heap_limit:
        with suppress(OutOfMemory, CallError):
            common.set_heap_end(process, end)
    return process.heap_end


@call(90, "mmap")
def old_mmap(process: Process, arguments: int) -> int:
    """mmap with its six arguments in memory, the offset in bytes."""
    address, length, protection, flags, fd, offset = struct.unpack("<6I", process.memory.read(arguments, 24))
    if offset % PAGE:
        raise CallError(errno.EINVAL)
    return mmap(process, address, length, protection, flags, fd, offset >> PAGE_SHIFT)


@call(192, "mmap2")
def mmap(process: Process, address: int, length: int, protection: int, flags: int, fd: int, page_offset: int) -> int:
    """Map zeros or a copy of a file. The offset is in pages. Returns the address."""
    space, size = process.engine.space, page_ceil(length)
    if length == 0 or flags & MAP_SHARED_VALIDATE == 0:
        raise CallError(errno.EINVAL)
    access = access_of(protection)
    file = None
    if flags & MAP_SHARED and access & Access.EXECUTE:
        flags = flags & ~MAP_SHARED_VALIDATE | MAP_PRIVATE  # code that others could change unnoticed
    if not flags & MAP_ANONYMOUS:
        file = process.descriptors.get(fd)
        if isinstance(file, PathFile):
            raise CallError(errno.EBADF)
        if not isinstance(file, (HostFile, BytesFile)) or not stat.S_ISREG(file.status().mode):
            raise CallError(errno.ENODEV)
        if not file.readable:
            raise CallError(errno.EACCES)
        if flags & MAP_SHARED and protection & 2 and not file.writable:
            raise CallError(errno.EACCES)
    start = _place(process, address, size, flags, of_file=file is not None)
    if flags & MAP_SHARED_VALIDATE != MAP_PRIVATE and (file is None or file.writable or filemaps.known(process, file)):
        offset = page_offset << PAGE_SHIFT
        shared = Shared(size) if file is None else filemaps.mapping(process, file, offset + size)
        space.map_shared(start, size, access, shared, 0 if file is None else offset)
        return start
    space.map(start, size, access)
    if file is not None:
        content = bytearray(length)
        count = file.read_at(memoryview(content), page_offset << PAGE_SHIFT)
        space.store(start, memoryview(content)[:count])
    return start


def _place(process: Process, address: int, size: int, flags: int, *, of_file: bool = False) -> int:
    space, layout = process.engine.space, process.layout
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
        if address % PAGE:
            raise CallError(errno.EINVAL)
        if address < LOWEST:
            raise CallError(errno.EPERM)
        if address + size > space.limit:
            raise CallError(errno.ENOMEM)
        if flags & MAP_FIXED_NOREPLACE and not space.is_free(address, size):
            raise CallError(errno.EEXIST)
        return address
    hint = page_ceil(address)
    if hint >= LOWEST and hint + size <= layout.map_end and space.is_free(hint, size):
        return hint
    found = None
    if of_file and size <= _MOST_OF_LIBRARY:
        # Libraries below the program, close to it and to each other: then one table has entries for all of the code.
        found = find_free(space, size, low=LIBRARIES, high=process.module.start)
    if found is None:
        found = find_free(space, size, low=LOWEST, high=layout.map_end)
    if found is None:
        raise CallError(errno.ENOMEM)
    return found


@call(91, "munmap")
def munmap(process: Process, address: int, length: int) -> None:
    """Remove pages."""
    start, size = _range(process.engine.space, address, length)
    filemaps.write_back(process, start, start + size)
    process.engine.space.unmap(start, size)


@call(125, "mprotect")
def mprotect(process: Process, address: int, length: int, protection: int) -> None:
    """Change the rights of pages."""
    if address % PAGE:
        raise CallError(errno.EINVAL)
    access = access_of(protection)
    space = process.engine.space
    if length == 0:
        return
    if address + page_ceil(length) > space.limit:
        raise CallError(errno.ENOMEM)
    try:
        space.protect(address, page_ceil(length), access)
    except MemoryFault:
        raise CallError(errno.ENOMEM) from None


@call(163, "mremap")
def mremap(process: Process, address: int, old_length: int, length: int, flags: int, new_address: int) -> int:
    """Resize a mapping, in place or elsewhere. Returns its address."""
    space, old_size, size = process.engine.space, page_ceil(old_length), page_ceil(length)
    if address % PAGE or length == 0 or old_size == 0 or flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED):
        raise CallError(errno.EINVAL)
    if flags & MREMAP_FIXED and not flags & MREMAP_MAYMOVE:
        raise CallError(errno.EINVAL)
    if address + old_size > space.limit or not space.is_mapped(address, old_size):
        raise CallError(errno.EFAULT)
    access = Access(space.permissions[address >> PAGE_SHIFT] & 7)
    if not flags & MREMAP_FIXED:
        if size <= old_size:
            space.unmap(address + size, old_size - size)
            return address
        grown = size - old_size
        if address + size <= process.layout.map_end and space.is_free(address + old_size, grown):
            space.map(address + old_size, grown, access)
            return address
        if not flags & MREMAP_MAYMOVE:
            raise CallError(errno.ENOMEM)
        target = _place(process, 0, size, 0)
    else:
        if new_address < address + old_size and address < new_address + size:
            raise CallError(errno.EINVAL)
        target = _place(process, new_address, size, MAP_FIXED)
    found = space.shared_at(address)
    if found is not None and isinstance(found[0], Shared):
        shared, offset = found
        shared.grow(offset + size)
        space.map_shared(target, size, access, shared, offset)
        space.unmap(address, old_size)
        return target
    content = space.load(address, min(old_size, size))
    budget = space.budget
    space.budget = budget + min(old_size, size)  # for a moment both exist, and the guest gains nothing by it
    try:
        space.map(target, size, access)
    finally:
        space.budget = budget
    space.store(target, content)
    space.unmap(address, old_size)
    return target


@call(219, "madvise")
def madvise(process: Process, address: int, length: int, advice: int) -> None:
    """MADV_DONTNEED makes pages read as zeros again; all other advice is taken and nothing done."""
    if address % PAGE or advice not in _ADVICE:
        raise CallError(errno.EINVAL)
    start, size = _range(process.engine.space, address, length) if length else (address, 0)
    space = process.engine.space
    if not size:
        return
    if not space.is_mapped(start, size):
        raise CallError(errno.ENOMEM)
    if advice == MADV_DONTNEED:
        for first, last, access in _runs(space, start, start + size):
            for here, end in _private_parts(space, first, last):
                space.map(here, end - here, access)


def _private_parts(space: AddressSpace, start: int, end: int) -> list[tuple[int, int]]:
    """The parts of a range of whole pages that are not shared."""
    parts = [(start, end)]
    for run in space.shared:
        low, high = run.first << PAGE_SHIFT, run.last << PAGE_SHIFT
        parts = [each for a, b in parts for each in ((a, min(b, low)), (max(a, high), b)) if each[0] < each[1]]
    return parts


@call(144, "msync")
def msync(process: Process, address: int, length: int, flags: int) -> None:
    """Write what was stored in shared mappings of files back to them."""
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) or (flags & MS_ASYNC and flags & MS_SYNC):
        raise CallError(errno.EINVAL)
    accept_range(process, address, length)
    filemaps.write_back(process, address, address + page_ceil(length))


@call(150, "mlock")
@call(151, "munlock")
def accept_range(process: Process, address: int, length: int) -> None:
    """Nothing to be done, where the range is mapped."""
    if address % PAGE or address + length > process.engine.space.limit:
        raise CallError(errno.EINVAL)
    if not process.engine.space.is_mapped(address, length):
        raise CallError(errno.ENOMEM)


def access_of(protection: int) -> Access:
    """The rights that a protection asks for: what can be written or executed can be read. Raises CallError(EINVAL)."""
    if protection & ~(PROT_MASK | PROT_IGNORED):
        raise CallError(errno.EINVAL)
    access = Access(protection & PROT_MASK)
    return access | Access.READ if access & (Access.WRITE | Access.EXECUTE) else access


def find_free(space: AddressSpace, size: int, *, low: int, high: int) -> int | None:
    """The highest start of ``size`` unmapped bytes within [low, high), or None: what AddressSpace.find_free finds, for
    large spaces faster."""
    free = bytes(space.permissions[low >> PAGE_SHIFT : high >> PAGE_SHIFT]).translate(_FREE)
    found = free.rfind(b"\1" * (size >> PAGE_SHIFT))
    return None if found < 0 else low + (found << PAGE_SHIFT)


def _runs(space: AddressSpace, start: int, end: int) -> list[tuple[int, int, Access]]:
    """Mapped pages as runs of equal rights: (start, end, rights)."""
    rights = bytes(state & 7 for state in space.permissions[start >> PAGE_SHIFT : end >> PAGE_SHIFT])
    found, here = [], start
    for access, group in groupby(rights):
        length = sum(1 for _ in group) << PAGE_SHIFT
        found.append((here, here + length, Access(access)))
        here += length
    return found


def _range(space: AddressSpace, address: int, length: int) -> tuple[int, int]:
    """A page-aligned range, cut off at the end of the space. Raises CallError(EINVAL)."""
    if address % PAGE or length == 0 or address + length > MASK32:
        raise CallError(errno.EINVAL)
    start = min(address, space.limit)
    return start, min(start + page_ceil(length), space.limit) - start
