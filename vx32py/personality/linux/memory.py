"""Memory: brk, mmap and their kin (mm/mmap.c, mm/mremap.c, mm/madvise.c).

A private mapping of a file is a copy of it, made when it is mapped. What is mapped shared is memory of its own
(:mod:`reference.shared`), which processes have together; for a file see :mod:`.filemaps`.
"""

from __future__ import annotations

import errno
import stat
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from reference.errors import OutOfMemory
from reference.memory import HELD_STATES, MAPPED, PAGE, PAGE_SHIFT, AddressSpace, page_ceil, page_floor, rights_of, runs
from reference.records import replace
from reference.shared import CopiedRun, Shared, SharedRun
from reference.traps import Access
from vx32py._descriptors import BytesFile, OpenFile
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._loader import LOWEST
from vx32py.personality import common
from vx32py.personality.linux import filemaps
from vx32py.personality.linux.limits import INFINITY, RLIMIT_AS, RLIMIT_DATA, Limits
from vx32py.personality.linux.table import MASK32, call
from vx32py.vfs.devices import ZERO_DEVICE
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
MADV_DONTNEED, MADV_FREE, MADV_REMOVE = 4, 8, 9
#: Advice that Linux knows (include/uapi/asm-generic/mman-common.h), but for MADV_WIPEONFORK, which is a promise.
_ADVICE: Final = frozenset({*range(5), *range(8, 18), *range(19, 26)})
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
MCL_ONFAULT: Final = 4

#: Where libraries may begin, and how large they may be.
LIBRARIES: Final = 0x0010_0000
_MOST_OF_LIBRARY: Final = 16 << 20

_FREE: Final = bytes(0 if state & MAPPED else 1 for state in range(256))


@call(45, "brk", native="linux_brk")
def brk(process: Process, end: int) -> int:
    """Move the end of the heap. Returns where it is afterwards, which tells a failure."""
    if process.layout.heap <= end <= process.layout.heap_limit:
        with suppress(OutOfMemory, CallError):
            _check_limits(process, page_ceil(end) - page_ceil(process.heap_end), data=True)
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
    file = opened = None
    if flags & MAP_SHARED and access & Access.EXECUTE:
        flags = flags & ~MAP_SHARED_VALIDATE | MAP_PRIVATE  # code that others could change unnoticed
    if not flags & MAP_ANONYMOUS:
        file = opened = _mappable(process, fd, writable=bool(flags & MAP_SHARED and protection & 2))
        if stat.S_ISCHR(opened.status().mode):
            file = None  # /dev/zero: memory of nobody else's, as if there were no file
    start = _place(process, address, size, flags, of_file=file is not None)
    private = flags & MAP_SHARED_VALIDATE == MAP_PRIVATE
    _check_limits(process, _fresh(space, start, size), data=private and bool(access & Access.WRITE))
    offset = page_offset << PAGE_SHIFT
    fixed = not private and opened is not None and not _may_change(opened, now=bool(access & Access.WRITE))
    if not private:
        if len({run.shared for run in space.shared}) >= process.sandbox.open_files:
            raise CallError(errno.ENOMEM)  # each takes descriptors of the host's
        shared = Shared(size) if file is None else filemaps.mapping(process, file, offset, offset + size)
        if shared is not None:
            space.map_shared(start, size, access, shared, 0 if file is None else offset, fixed=fixed)
            if isinstance(shared, filemaps.MappedFile):
                shared.can_be_stored |= not fixed
            if access & Access.WRITE:
                filemaps.allow_stores(space, start, start + size)
            return start
    if file is None:
        space.map(start, size, access)
    else:
        _map_copy(space, start, size, access, CopiedRun(start >> PAGE_SHIFT, 0, file, offset, fixed))
    return start


def _mappable(process: Process, fd: int, *, writable: bool) -> OpenFile:
    """What a descriptor stands for, if that can be mapped: a file, or /dev/zero. Raises CallError."""
    file = process.descriptors.get(fd)
    if isinstance(file, PathFile):
        raise CallError(errno.EBADF)
    if not file.readable or (writable and not file.writable):
        raise CallError(errno.EACCES)
    if isinstance(file, HostFile | BytesFile):
        status = file.status()
        if stat.S_ISREG(status.mode) or (stat.S_ISCHR(status.mode) and status.rdev == ZERO_DEVICE):
            return file
    raise CallError(errno.ENODEV)


def _may_change(file: OpenFile, *, now: bool) -> bool:
    """Whether a shared mapping of a file can ever be stored to. Raises CallError(EPERM) for one that seals forbid ``now``."""
    if not file.writable:
        return False
    try:
        if isinstance(file, HostFile):
            file.check_change()
    except CallError:
        if now:
            raise
        return False
    return True


def _map_copy(space: AddressSpace, start: int, size: int, access: Access, run: CopiedRun) -> None:
    """Map what a file has, from the offset of a run on that begins at ``start``."""
    space.map(start, size, Access.RW)
    try:
        with space.view(start, size, Access.WRITE) as view:
            done = 0
            while done < size and (count := run.source.read_at(view[done:], run.offset + done)):
                done += count
        if access != Access.RW:
            space.protect(start, size, access)
    except BaseException:
        space.unmap(start, size)
        raise
    space.copied.append(replace(run, last=(start + size) >> PAGE_SHIFT))


def _fresh(space: AddressSpace, start: int, size: int) -> int:
    """How much more will be mapped, in bytes."""
    return space.permissions[start >> PAGE_SHIFT : (start + size) >> PAGE_SHIFT].translate(_FREE).count(1) << PAGE_SHIFT


def _check_limits(process: Process, grown: int, *, data: bool) -> None:
    """Whether a process that has set itself limits may have so many bytes more, of ``data``: private ones that can be
    written. Raises CallError(ENOMEM)."""
    limits = process.state(Limits).set
    if grown <= 0 or not limits:
        return
    space = process.engine.space
    if space.mapped + grown > limits.get(RLIMIT_AS, (INFINITY,))[0]:
        raise CallError(errno.ENOMEM)
    most = limits.get(RLIMIT_DATA, (INFINITY,))[0]
    if data and most < space.mapped + grown:
        held = sum(end - start for start, end, access in space.regions() if access & Access.WRITE)
        shared = sum((run.last - run.first) << PAGE_SHIFT for run in space.shared)
        if held - shared + grown > most:
            raise CallError(errno.ENOMEM)


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
    size = _mapped_head(space, address, page_ceil(length))
    if access & Access.WRITE:
        filemaps.allow_stores(space, address, address + size)
    if size:
        space.protect(address, size, access)
    if size < page_ceil(length):
        raise CallError(errno.ENOMEM)


def _mapped_head(space: AddressSpace, start: int, size: int) -> int:
    """How many bytes from ``start`` on are mapped without a hole."""
    hole = space.permissions[start >> PAGE_SHIFT : (start + size) >> PAGE_SHIFT].translate(_FREE).find(1)
    return size if hole < 0 else hole << PAGE_SHIFT


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
    access = rights_of(space.permissions[address >> PAGE_SHIFT])
    shared = _shared_run(space, address, old_size)
    if not flags & MREMAP_FIXED:
        if size <= old_size:
            filemaps.write_back(process, address + size, address + old_size)
            space.unmap(address + size, old_size - size)
            return address
        grown = size - old_size
        _check_limits(process, grown, data=bool(access & Access.WRITE))
        if address + size <= process.layout.map_end and space.is_free(address + old_size, grown):
            if shared is not None:
                _map_more(process, address + old_size, grown, access, replace(shared, offset=shared.offset + old_size))
            else:
                space.map(address + old_size, grown, access)
            return address
        if not flags & MREMAP_MAYMOVE:
            raise CallError(errno.ENOMEM)
        target = _place(process, 0, size, 0)
    else:
        if new_address < address + old_size and address < new_address + size:
            raise CallError(errno.EINVAL)
        target = _place(process, new_address, size, MAP_FIXED)
    if shared is not None:
        _map_more(process, target, size, access, shared)
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


def _shared_run(space: AddressSpace, start: int, size: int) -> SharedRun | None:
    """What shared memory is mapped at a range, as one run; None for private memory. Raises CallError(EFAULT) where it is not
    all of one kind."""
    first, last, whole = start >> PAGE_SHIFT, (start + size) >> PAGE_SHIFT, None
    for run in sorted(space.shared, key=lambda run: run.first):
        if run.last <= first or last <= run.first:
            continue
        here = max(run.first, first)
        offset = run.offset + ((here - run.first) << PAGE_SHIFT)
        if whole is None:
            whole = SharedRun(here, here, run.shared, offset, run.fixed)
        if whole.last != here or whole.shared is not run.shared or offset != whole.offset + (here - first) * PAGE:
            raise CallError(errno.EFAULT)
        whole = replace(whole, last=min(run.last, last))
    if whole is not None and (whole.first != first or whole.last != last):
        raise CallError(errno.EFAULT)
    return whole


def _map_more(process: Process, start: int, size: int, access: Access, run: SharedRun) -> None:
    """Map shared memory from the offset of a run on."""
    if isinstance(run.shared, filemaps.MappedFile):
        run.shared.have(None, run.offset, run.offset + size)
    else:
        run.shared.grow(run.offset + size)
    process.engine.space.map_shared(start, size, access, run.shared, run.offset, fixed=run.fixed)


@call(219, "madvise")
def madvise(process: Process, address: int, length: int, advice: int) -> None:
    """MADV_DONTNEED makes pages what they were when they were mapped; other advice is taken and nothing done."""
    if advice not in _ADVICE or address % PAGE:
        raise CallError(errno.EINVAL)
    space = process.engine.space
    start, end = min(address, space.limit), min(address + page_ceil(length), space.limit)
    for first, last, access in _runs(space, start, end) if advice in (MADV_DONTNEED, MADV_REMOVE) else ():
        private = _private_parts(space, first, last)
        if advice == MADV_REMOVE:
            raise CallError(errno.EINVAL if private else errno.EOPNOTSUPP)
        for here, stop in private:
            _renew(space, here, stop, access)
    if end < address + page_ceil(length) or not space.is_mapped(start, end - start):
        raise CallError(errno.ENOMEM)


def _renew(space: AddressSpace, start: int, end: int, access: Access) -> None:
    """Let private pages be what they were when they were mapped; those of a file that nobody has open any more stay."""
    copied = [run for run in space.copied if run.first << PAGE_SHIFT < end and start < run.last << PAGE_SHIFT]
    for run in sorted(copied, key=lambda run: run.first):
        low, high = max(run.first << PAGE_SHIFT, start), min(run.last << PAGE_SHIFT, end)
        if start < low:
            space.map(start, low - start, access)
        if run.source.references:
            offset = run.offset + low - (run.first << PAGE_SHIFT)
            _map_copy(space, low, high - low, access, replace(run, first=low >> PAGE_SHIFT, offset=offset))
        start = high
    if start < end:
        space.map(start, end - start, access)


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
    if address % PAGE or flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) or (flags & MS_ASYNC and flags & MS_SYNC):
        raise CallError(errno.EINVAL)
    end = address + page_ceil(length)
    filemaps.write_back(process, address, end)
    _check_mapped(process, address, end)


@call(150, "mlock")
@call(151, "munlock")
def mlock(process: Process, address: int, length: int) -> None:
    """Nothing to be done, where the range is mapped: a guest's memory is the host's to keep or to swap."""
    _check_mapped(process, page_floor(address), page_ceil(address + length))


@call(376, "mlock2")
def mlock2(process: Process, address: int, length: int, flags: int) -> None:
    """The same with flags."""
    if flags & ~1:  # MLOCK_ONFAULT
        raise CallError(errno.EINVAL)
    mlock(process, address, length)


@call(152, "mlockall")
def mlockall(process: Process, flags: int) -> None:
    """Nothing to be done."""
    if not flags or flags & ~7 or flags == MCL_ONFAULT:
        raise CallError(errno.EINVAL)


@call(153, "munlockall")
def munlockall(process: Process) -> None:
    """Nothing to be done."""


@call(218, "mincore")
def mincore(process: Process, address: int, length: int, pages: int) -> None:
    """Which pages are in memory: all that are mapped, as far as a guest can tell."""
    if address % PAGE:
        raise CallError(errno.EINVAL)
    end = address + page_ceil(length)
    process.memory.check(pages, (end - address) >> PAGE_SHIFT, writable=True)
    _check_mapped(process, address, end)
    process.memory.write(pages, b"\1" * ((end - address) >> PAGE_SHIFT))


def _check_mapped(process: Process, start: int, end: int) -> None:
    """Whether whole pages are mapped. Raises CallError(ENOMEM)."""
    space = process.engine.space
    if end > space.limit or not space.is_mapped(start, end - start):
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
    found, here = [], start
    for state, pages in runs(space.permissions[start >> PAGE_SHIFT : end >> PAGE_SHIFT].translate(HELD_STATES)):
        stop = here + (pages << PAGE_SHIFT)
        if state:
            found.append((here, stop, rights_of(state)))
        here = stop
    return found


def _range(space: AddressSpace, address: int, length: int) -> tuple[int, int]:
    """A page-aligned range, cut off at the end of the space. Raises CallError(EINVAL)."""
    if address % PAGE or length == 0 or address + length > MASK32:
        raise CallError(errno.EINVAL)
    start = min(address, space.limit)
    return start, min(start + page_ceil(length), space.limit) - start
