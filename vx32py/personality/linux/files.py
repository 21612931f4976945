"""Calls on descriptors: reading and writing, positions, duplicates, pipes, sizes, directory entries."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, Final

from reference.errors import MemoryFault
from vx32py._calls import signed, signed64
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py.personality import common
from vx32py.personality.linux import limits, locks, signals
from vx32py.personality.linux.table import call
from vx32py.vfs.opened import DirectoryFile, PathFile

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._process import Process

CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC = 2, 4
#: preadv2, pwritev2 (include/uapi/linux/fs.h).
RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND = 1, 2, 4, 8, 16
SEEK_DATA, SEEK_HOLE = 3, 4
#: Bytes of directory entries that one call returns at most.
MOST_DIRENTS: Final = 1 << 18


@call(3, "read", native="read")
def read(process: Process, fd: int, buffer: int, count: int) -> int:
    """Read at most ``count`` bytes."""
    count = min(count, common.MAX_TRANSFER)
    try:
        return common.read_descriptor(process, fd, buffer, count)
    except MemoryFault:
        return common.read_vector(process, fd, [(buffer, count)])


@call(4, "write", native="write")
def write(process: Process, fd: int, data: int, count: int) -> int:
    """Write at most ``count`` bytes."""
    try:
        return _write(process, fd, data, min(count, common.MAX_TRANSFER))
    except CallError as error:
        raise broken_pipe(process, error) from None


def _write(process: Process, fd: int, data: int, count: int) -> int:
    if limits.file_size(process) is not None:
        count = limits.writable(process, process.descriptors.get(fd), count)
    try:
        return common.write_descriptor(process, fd, data, count)
    except MemoryFault:
        return common.write_vector(process, fd, [(data, count)])


@call(145, "readv")
def readv(process: Process, fd: int, vector: int, count: int) -> int:
    """Read into several buffers."""
    return common.read_vector(process, fd, common.vector_argument(process, vector, count))


@call(146, "writev")
def writev(process: Process, fd: int, vector: int, count: int) -> int:
    """Write from several buffers."""
    buffers = common.vector_argument(process, vector, count)
    if limits.file_size(process) is not None:
        total = sum(length for _, length in buffers)
        buffers = common.first_bytes(buffers, limits.writable(process, process.descriptors.get(fd), total))
    try:
        return common.write_vector(process, fd, buffers)
    except CallError as error:
        raise broken_pipe(process, error) from None


@call(180, "pread64")
def pread64(process: Process, fd: int, buffer: int, count: int, offset_low: int, offset_high: int) -> int:
    """Read at an offset."""
    return _transfer_at(process, fd, [(buffer, count)], signed64(offset_low, offset_high), write=False)


@call(181, "pwrite64")
def pwrite64(process: Process, fd: int, data: int, count: int, offset_low: int, offset_high: int) -> int:
    """Write at an offset."""
    return _transfer_at(process, fd, [(data, count)], signed64(offset_low, offset_high), write=True)


@call(333, "preadv")
def preadv(process: Process, fd: int, vector: int, count: int, offset_low: int, offset_high: int) -> int:
    """Read at an offset into several buffers."""
    return _vector_at(process, fd, (vector, count), signed64(offset_low, offset_high), write=False)


@call(334, "pwritev")
def pwritev(process: Process, fd: int, vector: int, count: int, offset_low: int, offset_high: int) -> int:
    """Write at an offset from several buffers."""
    return _vector_at(process, fd, (vector, count), signed64(offset_low, offset_high), write=True)


@call(378, "preadv2")
def preadv2(process: Process, fd: int, vector: int, count: int, offset_low: int, offset_high: int, flags: int) -> int:
    """The same with flags; at the position for an offset of -1."""
    if flags & ~(RWF_HIPRI | RWF_NOWAIT):
        raise CallError(errno.EOPNOTSUPP)
    offset = signed64(offset_low, offset_high)
    if offset == -1:
        return readv(process, fd, vector, count)
    return _vector_at(process, fd, (vector, count), offset, write=False)


@call(379, "pwritev2")
def pwritev2(process: Process, fd: int, vector: int, count: int, offset_low: int, offset_high: int, flags: int) -> int:
    """The same with flags; at the position for an offset of -1."""
    if flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND):
        raise CallError(errno.EOPNOTSUPP)
    offset = signed64(offset_low, offset_high)
    if flags & RWF_APPEND:
        offset = process.descriptors.get(fd).status().size
    elif offset == -1:
        return writev(process, fd, vector, count)
    return _vector_at(process, fd, (vector, count), offset, write=True)


def _file_at(process: Process, fd: int, offset: int, *, write: bool) -> OpenFile:
    """A file that is to be read or written at an offset. Raises CallError."""
    if offset < 0:
        raise CallError(errno.EINVAL)
    file = process.descriptors.get(fd)
    if not (file.writable if write else file.readable):
        raise CallError(errno.EBADF)
    return file


def _vector_at(process: Process, fd: int, vector: tuple[int, int], offset: int, *, write: bool) -> int:
    _file_at(process, fd, offset, write=write)
    return _transfer_at(process, fd, common.vector_argument(process, *vector), offset, write=write)


def _transfer_at(process: Process, fd: int, buffers: list[tuple[int, int]], offset: int, *, write: bool) -> int:
    """Read or write at an offset, as far as the buffers are in the guest's reach."""
    file = _file_at(process, fd, offset, write=write)
    buffers, fault = common.reachable(process, buffers, writable=not write)
    if not buffers:
        if fault is not None and (write or not common.is_plain(file) or offset < file.status().size):
            raise fault
        buffers = [(0, 0)]  # which still asks whether there are offsets
    if write and limits.file_size(process) is not None:
        allowed = limits.writable(process, file, sum(length for _, length in buffers), at=offset)
        buffers = common.first_bytes(buffers, allowed) or buffers
    total = 0
    for address, length in buffers:
        with process.memory.view(address, length, writable=not write) as view:
            try:
                count = file.write_at(view, offset + total) if write else file.read_at(view, offset + total)
            except CallError:
                if not total:
                    raise
                break
        total += count
        if count < length:
            break
    return total


@call(6, "close")
def close(process: Process, fd: int) -> None:
    """Free a descriptor."""
    locks.closing(process, fd)
    process.descriptors.close(fd)


@call(436, "close_range")
def close_range(process: Process, first: int, last: int, flags: int) -> None:
    """Free descriptors ``first`` to ``last``, or mark them close-on-exec."""
    if first > last or flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC):
        raise CallError(errno.EINVAL)
    for fd in tuple(process.descriptors):
        if first <= fd <= last:
            if flags & CLOSE_RANGE_CLOEXEC:
                process.descriptors.close_on_exec.add(fd)
            else:
                close(process, fd)


@call(19, "lseek")
def lseek(process: Process, fd: int, offset: int, whence: int) -> int:
    """Move; the new position, as far as 31 bits can tell it."""
    position = _seek(process, fd, signed(offset), whence)
    if position > 0x7FFF_FFFF:
        raise CallError(errno.EOVERFLOW)
    return position


@call(140, "_llseek")
def llseek(process: Process, fd: int, offset_high: int, offset_low: int, position_out: int, whence: int) -> None:
    """Move; the new position as 64 bits at ``position_out``."""
    process.memory.check(position_out, 8, writable=True)
    process.memory.write_u64(position_out, _seek(process, fd, signed64(offset_low, offset_high), whence))


def _seek(process: Process, fd: int, offset: int, whence: int) -> int:
    file = process.descriptors.get(fd)
    if whence > SEEK_HOLE:
        raise CallError(errno.EINVAL)
    if whence < SEEK_DATA or isinstance(file, HostFile):
        return file.seek(offset, whence)
    end = file.status().size
    if not 0 <= offset < end:
        raise CallError(errno.ENXIO if stat.S_ISREG(file.status().mode) else errno.EINVAL)
    return file.seek(offset if whence == SEEK_DATA else end, os.SEEK_SET)  # it is all data


@call(41, "dup")
def dup(process: Process, fd: int) -> int:
    """Another descriptor for the same open file."""
    return process.descriptors.install(process.descriptors.get(fd))


@call(63, "dup2")
def dup2(process: Process, fd: int, new_fd: int) -> int:
    """The same, with a given number."""
    file = process.descriptors.get(fd)
    if new_fd != fd:
        locks.closing(process, new_fd)
        process.descriptors.install_at(new_fd, file)
    return new_fd


@call(330, "dup3")
def dup3(process: Process, fd: int, new_fd: int, flags: int) -> int:
    """The same, perhaps with close-on-exec."""
    file = process.descriptors.get(fd)
    if new_fd == fd or flags & ~os.O_CLOEXEC:
        raise CallError(errno.EINVAL)
    locks.closing(process, new_fd)
    process.descriptors.install_at(new_fd, file, close_on_exec=bool(flags))
    return new_fd


@call(42, "pipe")
def pipe(process: Process, fds_out: int) -> int:
    """Two descriptors of a pipe."""
    return common.make_pipe(process, fds_out)


@call(331, "pipe2")
def pipe2(process: Process, fds_out: int, flags: int) -> int:
    """The same with flags."""
    if flags & ~(os.O_CLOEXEC | os.O_NONBLOCK):
        raise CallError(errno.EINVAL)
    return common.make_pipe(process, fds_out, flags)


@call(93, "ftruncate")
def ftruncate(process: Process, fd: int, size: int) -> None:
    """Set the size of an open file."""
    _truncate(process, fd, signed(size))


@call(194, "ftruncate64")
def ftruncate64(process: Process, fd: int, size_low: int, size_high: int) -> None:
    """Set the size of an open file."""
    _truncate(process, fd, signed64(size_low, size_high))


def _truncate(process: Process, fd: int, size: int) -> None:
    file = process.descriptors.get(fd)
    if isinstance(file, PathFile):
        raise CallError(errno.EBADF)
    if size < 0 or not file.writable:
        raise CallError(errno.EINVAL)
    if limits.file_size(process) is not None:
        limits.check_growth(process, file.status().size, size)
    file.truncate(size)


@call(141, "getdents")
def getdents(process: Process, fd: int, buffer: int, count: int) -> int:
    """Directory entries: d_ino, d_off, d_reclen, the name, d_type."""
    return _getdents(process, fd, buffer, count, old=True)


@call(220, "getdents64")
def getdents64(process: Process, fd: int, buffer: int, count: int) -> int:
    """Directory entries: d_ino, d_off, d_reclen, d_type, the name."""
    return _getdents(process, fd, buffer, count, old=False)


@call(89, "readdir")
def readdir(process: Process, fd: int, entry_out: int) -> int:
    """One directory entry: d_ino, d_offset, d_namlen, the name; 0 at the end."""
    directory = _directory(process, fd)
    entry = directory.next_entry()
    if entry is None:
        return 0
    text = os.fsencode(entry[0])
    process.memory.write(
        entry_out, struct.pack("<IIH", entry[1] & 0xFFFF_FFFF, directory.position, len(text)) + text + b"\0"
    )
    directory.move_on()
    return 1


def _getdents(process: Process, fd: int, buffer: int, count: int, *, old: bool) -> int:
    directory = _directory(process, fd)
    count = min(count, MOST_DIRENTS)
    if not directory.status().nlink:
        raise CallError(errno.ENOENT)
    process.memory.check(buffer, count, writable=True)
    out = directory.dirents(count, old=old)
    process.memory.write(buffer, out)
    return len(out)


def _directory(process: Process, fd: int) -> DirectoryFile:
    file = process.descriptors.get(fd)
    if not isinstance(file, DirectoryFile):
        raise CallError(errno.EBADF if isinstance(file, PathFile) else errno.ENOTDIR)
    return file


def broken_pipe(process: Process, error: CallError) -> CallError:
    """A write without a reader sends SIGPIPE (pipe(7))."""
    if error.errno == errno.EPIPE:
        signals.broken_pipe(process)
    return error
