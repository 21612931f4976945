"""What the personalities share: checked reads and writes, paths, waiting for children and for descriptors.

Every pointer is checked before anything happens: a buffer for exactly its bytes, and a read before it takes anything from
its source. Structures are copied out once and used from the copy.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, Final

from reference.errors import MemoryFault
from reference.memory import page_ceil, page_floor
from reference.traps import Access
from vx32py import _execution
from vx32py._errors import BadImage, CallError, LimitExceeded
from vx32py._module import MAX_FILE
from vx32py._pipes import PipeEnd
from vx32py._pipes import make_pipe as open_pipe
from vx32py._readiness import POLLERR, POLLHUP, POLLPRI, POLLRDBAND, POLLWRBAND, READABLE, WRITABLE, wait_for_events
from vx32py._wait import WouldBlock
from vx32py.vfs.walk import MAX_PATH

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._group import ThreadGroup
    from vx32py._process import Process

#: The most strings and bytes that exec takes.
MAX_STRINGS: Final = 4096
MAX_STRING_BYTES: Final = 1 << 20
#: MAX_ARG_STRLEN.
MAX_STRING: Final = 1 << 17
#: FD_SETSIZE.
MAX_SELECT: Final = 1024
#: What makes a descriptor readable, writable and exceptional (fs/select.c).
_SELECTED: Final = (READABLE | POLLRDBAND | POLLHUP | POLLERR, WRITABLE | POLLWRBAND | POLLERR, POLLPRI)
#: IOV_MAX.
MAX_VECTOR: Final = 1024
#: No call reads or writes more at a time (MAX_RW_COUNT of the kernel), so that a count is never taken for an error.
MAX_TRANSFER: Final = 0x7FFF_F000
#: What all buffers of one call may hold together: the result must not look like an error.
MAX_VECTOR_BYTES: Final = 0x7FFF_FFFF


def read_descriptor(process: Process, fd: int, buffer: int, count: int) -> int:
    """read(2), straight into guest memory."""
    file = process.descriptors.get(fd)
    if not file.readable:
        raise CallError(errno.EBADF)
    with process.memory.view(buffer, count, writable=True) as view:
        return file.read(view, process) if count or file.records else 0


def write_descriptor(process: Process, fd: int, data: int, count: int) -> int:
    """write(2), straight from guest memory."""
    file = process.descriptors.get(fd)
    if not file.writable:
        raise CallError(errno.EBADF)
    with process.memory.view(data, count) as view:
        return file.write(view, process) if count else 0


def vector_argument(process: Process, vector: int, count: int) -> list[tuple[int, int]]:
    """An array of struct iovec, copied out: (address, length) of each buffer. Raises CallError(EINVAL)."""
    if count > MAX_VECTOR:
        raise CallError(errno.EINVAL)
    words = struct.unpack(f"<{2 * count}I", process.memory.read(vector, 8 * count))
    if any(length > MAX_VECTOR_BYTES for length in words[1::2]):
        raise CallError(errno.EINVAL)
    return list(zip(words[::2], words[1::2], strict=True))


def read_vector(process: Process, fd: int, buffers: list[tuple[int, int]]) -> int:
    """readv(2). Every buffer is checked before the first one is filled: where there is a byte that the guest may not write,
    a file is read up to there; from a stream nothing is taken that has no room before it."""
    file = process.descriptors.get(fd)
    if not file.readable:
        raise CallError(errno.EBADF)
    buffers, fault = reachable(process, buffers, writable=True)
    if fault is not None and not _is_cut(file, sum(length for _, length in buffers)):
        raise fault
    total = 0
    for address, length in buffers:
        if total and not file.ready(write=False):
            break  # something has been read: the call returns it rather than wait for more
        with process.memory.view(address, length, writable=True) as view:
            count = file.read(view, process) if length else 0
        total += count
        if count < length:
            break
    return total


def write_vector(process: Process, fd: int, buffers: list[tuple[int, int]]) -> int:
    """writev(2). Every buffer is checked before the first one is written: where there is a byte that the guest may not read,
    a file gets what is before it, a pipe whole pages of that, and other streams nothing."""
    file = process.descriptors.get(fd)
    if not file.writable:
        raise CallError(errno.EBADF)
    buffers, fault = reachable(process, buffers, writable=False)
    if fault is not None:
        if not is_plain(file):
            whole = sum(length for _, length in buffers) if isinstance(file, PipeEnd) else 0
            buffers = first_bytes(buffers, page_floor(whole))
        if not buffers:
            raise fault
    views = [process.memory.view(address, length) for address, length in buffers if length]
    try:
        return file.write_vector(views, process) if views else 0
    finally:
        for view in views:
            view.release()


def reachable(
    process: Process, buffers: list[tuple[int, int]], *, writable: bool
) -> tuple[list[tuple[int, int]], MemoryFault | None]:
    """As much of these buffers as the guest may read (write) and one call transfers, and what is wrong with the next byte; None
    where they are all in reach."""
    found, room = [], MAX_TRANSFER
    for address, wanted in buffers:
        length = min(wanted, room)
        room -= length
        try:
            process.memory.check(address, length, writable=writable)
        except MemoryFault as fault:
            if fault.address > address:
                found.append((address, fault.address - address))
            return found, fault
        if length:
            found.append((address, length))
    return found, None


def first_bytes(buffers: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """The first ``count`` bytes of some buffers."""
    found = []
    for address, length in buffers:
        if count:
            found.append((address, min(length, count)))
            count -= found[-1][1]
    return found


def is_plain(file: OpenFile) -> bool:
    """Whether the kernel copies to and from it byte by byte, up to the first that is out of reach: files and devices."""
    kind = stat.S_IFMT(file.status().mode)
    return kind in (stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFCHR and not file.is_terminal())


def _is_cut(file: OpenFile, room: int) -> bool:
    """Whether a read into a buffer of which only ``room`` bytes are in reach goes on: for a file with these bytes, for a stream
    if it has no more to give than these. Raises CallError."""
    if is_plain(file):
        return room > 0 or not file.available()
    try:
        return room > 0 and not (file.ready(write=False) and file.available() > room)
    except CallError:  # of messages: they are taken whole
        return False


def check_vector(process: Process, buffers: list[tuple[int, int]], *, writable: bool) -> None:
    """Whether the guest may read (write) all of these buffers. Raises MemoryFault, CallError(EINVAL)."""
    total = 0
    for address, length in buffers:
        process.memory.check(address, length, writable=writable)
        total += length
        if total > MAX_VECTOR_BYTES:
            raise CallError(errno.EINVAL)


def set_heap_end(process: Process, wanted: int) -> None:
    """Map or unmap pages between the old and the new end of the heap. Raises CallError(ENOMEM) and OutOfMemory."""
    layout, space = process.layout, process.engine.space
    old, new = page_ceil(process.heap_end), page_ceil(wanted)
    if new > layout.heap_limit:
        raise CallError(errno.ENOMEM)
    if new > old:
        if not space.is_free(old, new - old):
            raise CallError(errno.ENOMEM)
        space.map(old, new - old, Access.RW)
    elif new < old:
        space.unmap(new, old - new)
    process.heap_end = wanted


def path_argument(process: Process, address: int) -> str:
    """A path, copied out of guest memory. Raises CallError(ENAMETOOLONG)."""
    try:
        return os.fsdecode(process.memory.read_string(address, most=MAX_PATH))
    except ValueError:
        raise CallError(errno.ENAMETOOLONG) from None


def string_array(process: Process, address: int) -> list[bytes]:
    """A zero-terminated array of pointers to strings, copied out. Raises CallError(E2BIG)."""
    found: list[bytes] = []
    room = MAX_STRING_BYTES
    while pointer := process.memory.read_u32(address + 4 * len(found)):
        try:
            found.append(process.memory.read_string(pointer, most=min(room, MAX_STRING)))
        except ValueError:
            raise CallError(errno.E2BIG) from None
        room -= len(found[-1]) + 1
        if len(found) > MAX_STRINGS or room <= 0:
            raise CallError(errno.E2BIG)
    return found


def make_pipe(process: Process, fds: int, flags: int = 0) -> int:
    """pipe2(2): two descriptors, stored at ``fds``."""
    process.memory.check(fds, 8, writable=True)
    reader, writer = open_pipe(flags & os.O_NONBLOCK)
    close_on_exec = bool(flags & os.O_CLOEXEC)
    try:
        first = process.descriptors.install(reader, close_on_exec=close_on_exec)
    except CallError:
        writer.close()
        raise
    try:
        second = process.descriptors.install(writer, close_on_exec=close_on_exec)
    except CallError:
        process.descriptors.close(first)
        raise
    process.memory.write_u32(fds, first)
    process.memory.write_u32(fds + 4, second)
    return 0


def wait_for_child(process: Process, pid: int, status: int, *, no_hang: bool) -> int:
    """waitpid(2); ``pid`` signed: a child's number, or -1 (0, or any other negative number) for any child."""
    if status:
        process.memory.check(status, 4, writable=True)

    def candidates() -> list[ThreadGroup]:
        return [child for child in process.children() if pid <= 0 or child.pid == pid]

    def ended() -> list[ThreadGroup]:
        return [child for child in candidates() if not child.alive]

    if not candidates():
        raise CallError(errno.ECHILD)
    gone = ended()
    if not gone:
        if no_hang:
            process.give_way()  # or a parent that polls would keep its children from running
            gone = ended()
            if not gone:
                return 0
        else:
            raise WouldBlock(lambda: bool(ended()))
    child = gone[0]
    if status:
        process.memory.write_u32(status, child.wait_status)
    child.reap()
    return child.pid


def execute(process: Process, path: int, argv: int, envp: int | None) -> int:
    """execve(2) from a granted file; an ``envp`` of None keeps the environment. Returns in the new program."""
    name = path_argument(process, path)
    arguments = string_array(process, argv) if argv else []
    environment = string_array(process, envp) if envp else [] if envp is not None else process.environment
    return execute_path(process, name, arguments, environment)


def execute_path(process: Process, path: str, arguments: list[bytes], environment: list[bytes]) -> int:
    """What execve(2) does. Returns in the new program."""
    budget, first = process.engine.space.budget, process.family.program
    try:
        module, complete = process.sandbox.programs.find(
            process.files, path, given := arguments or [b""], min(MAX_FILE, budget)
        )
        place = process.files.locate(path if complete is given else os.fsdecode(complete[0]))
        # By content: a program of many names, such as busybox, may run itself by any of them.
        if not process.sandbox.allow_exec and (first is None or module.data != first.data):
            raise CallError(errno.EACCES)
        _execution.execute(process, module, complete, environment)
        process.mm.executable = place
    except BadImage:
        raise CallError(errno.ENOEXEC) from None
    except LimitExceeded as error:
        raise CallError(errno.E2BIG if error.limit == "arguments" else errno.ENOMEM) from None
    return 0


def select_descriptors(process: Process, count: int, addresses: tuple[int, int, int], seconds: float | None) -> int:
    """select(2): three bit maps of 32-bit words at ``addresses`` (0: none), for descriptors below ``count``."""
    if count > MAX_SELECT:
        raise CallError(errno.EINVAL)
    size = (count + 31) // 32 * 4
    sets = []
    for address in addresses:
        if address:
            process.memory.check(address, size, writable=True)
        sets.append(int.from_bytes(process.memory.read(address, size), "little") if address else 0)
    fds = [fd for fd in range(count) if (sets[0] | sets[1] | sets[2]) >> fd & 1]
    wanted = []
    for fd in fds:
        events = 0
        for mask, bits in zip(_SELECTED, sets, strict=True):
            events |= mask if bits >> fd & 1 else 0
        wanted.append((process.descriptors.get(fd), events))
    results = [0, 0, 0]
    for fd, events in zip(fds, wait_for_events(process, wanted, seconds), strict=True):
        for index, mask in enumerate(_SELECTED):
            results[index] |= bool(events & mask and sets[index] >> fd & 1) << fd
    for address, bits in zip(addresses, results, strict=True):
        if address:
            process.memory.write(address, bits.to_bytes(size, "little"))
    return sum(bits.bit_count() for bits in results)
