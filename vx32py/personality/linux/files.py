"""Calls on descriptors: reading and writing, positions, duplicates, flags, the state of what is open."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed, signed64
from vx32py._errors import CallError
from vx32py._files import DirectoryFile
from vx32py._pipes import PipeEnd
from vx32py.personality import common
from vx32py.personality.linux import layouts
from vx32py.personality.linux.signals import SIGPIPE, is_default
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

#: No call reads or writes more at a time (MAX_RW_COUNT), so that a count is never taken for an error.
MOST: Final = 0x7FFF_F000

F_DUPFD_CLOEXEC: Final = 1030
O_LARGEFILE: Final = 0o100000


@call(3, "read", native="read")
def read(process: Process, fd: int, buffer: int, count: int) -> int:
    """Read at most ``count`` bytes."""
    return common.read_descriptor(process, fd, buffer, _count(process, buffer, count, writable=True))


@call(4, "write", native="write")
def write(process: Process, fd: int, data: int, count: int) -> int:
    """Write at most ``count`` bytes."""
    try:
        return common.write_descriptor(process, fd, data, _count(process, data, count, writable=False))
    except CallError as error:
        raise broken_pipe(process, error) from None


@call(145, "readv")
def readv(process: Process, fd: int, vector: int, count: int) -> int:
    """Read into several buffers."""
    return common.read_vector(process, fd, common.vector_argument(process, vector, count))


@call(146, "writev")
def writev(process: Process, fd: int, vector: int, count: int) -> int:
    """Write from several buffers."""
    try:
        return common.write_vector(process, fd, common.vector_argument(process, vector, count))
    except CallError as error:
        raise broken_pipe(process, error) from None


@call(180, "pread64")
def pread64(process: Process, fd: int, buffer: int, count: int, offset_low: int, offset_high: int) -> int:
    """Read at an offset."""
    file = process.descriptors.get(fd)
    offset = signed64(offset_low, offset_high)
    if not file.readable:
        raise CallError(errno.EBADF)
    if offset < 0:
        raise CallError(errno.EINVAL)
    with process.memory.view(buffer, min(count, MOST), writable=True) as view:
        return file.read_at(view, offset)


@call(181, "pwrite64")
def pwrite64(process: Process, fd: int, data: int, count: int, offset_low: int, offset_high: int) -> int:
    """Write at an offset."""
    file = process.descriptors.get(fd)
    offset = signed64(offset_low, offset_high)
    if not file.writable:
        raise CallError(errno.EBADF)
    if offset < 0:
        raise CallError(errno.EINVAL)
    with process.memory.view(data, min(count, MOST)) as view:
        return file.write_at(view, offset)


@call(6, "close")
def close(process: Process, fd: int) -> None:
    """Free a descriptor."""
    process.descriptors.close(fd)


@call(436, "close_range")
def close_range(process: Process, first: int, last: int, flags: int) -> None:
    """Free descriptors ``first`` to ``last``, or (flag 4) mark them close-on-exec."""
    if first > last or flags & ~6:
        raise CallError(errno.EINVAL)
    for fd in tuple(process.descriptors):
        if first <= fd <= last:
            if flags & 4:
                process.descriptors.close_on_exec.add(fd)
            else:
                process.descriptors.close(fd)


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
    if whence > 2:
        raise CallError(errno.EINVAL)
    return file.seek(offset, whence)


@call(41, "dup")
def dup(process: Process, fd: int) -> int:
    """Another descriptor for the same open file."""
    return process.descriptors.install(process.descriptors.get(fd))


@call(63, "dup2")
def dup2(process: Process, fd: int, new_fd: int) -> int:
    """The same, with a given number."""
    file = process.descriptors.get(fd)
    if new_fd != fd:
        process.descriptors.install_at(new_fd, file)
    return new_fd


@call(330, "dup3")
def dup3(process: Process, fd: int, new_fd: int, flags: int) -> int:
    """The same, perhaps with close-on-exec."""
    file = process.descriptors.get(fd)
    if new_fd == fd or flags & ~os.O_CLOEXEC:
        raise CallError(errno.EINVAL)
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


@call(55, "fcntl")
@call(221, "fcntl64")
def fcntl(process: Process, fd: int, command: int, argument: int) -> int:
    """Duplicates and flags. Locks are granted: there is nobody to hold them."""
    descriptors = process.descriptors
    file = descriptors.get(fd)
    match command:
        case 0 | 1030:  # F_DUPFD, F_DUPFD_CLOEXEC
            if argument >= descriptors.most:
                raise CallError(errno.EINVAL)
            return descriptors.install(file, lowest=argument, close_on_exec=command == F_DUPFD_CLOEXEC)
        case 1:  # F_GETFD
            return int(fd in descriptors.close_on_exec)
        case 2:  # F_SETFD
            (descriptors.close_on_exec.add if argument & 1 else descriptors.close_on_exec.discard)(fd)
            return 0
        case 3:  # F_GETFL
            return file.flags | O_LARGEFILE
        case 4:  # F_SETFL
            changeable = os.O_NONBLOCK | os.O_APPEND
            file.flags = file.flags & ~changeable | argument & changeable
            return 0
        case 6 | 7 | 13 | 14:  # F_SETLK, F_SETLKW and their 64-bit forms
            return 0
        case 1031 if isinstance(file, PipeEnd):  # F_SETPIPE_SZ
            return file.resize(signed(argument))
        case 1032 if isinstance(file, PipeEnd):  # F_GETPIPE_SZ
            return file.size
    raise CallError(errno.EINVAL)


@call(108, "fstat")
def fstat(process: Process, fd: int, stat_out: int) -> None:
    """The state of an open file, in the old structure."""
    try:
        process.memory.write(stat_out, layouts.stat(process.descriptors.get(fd).status()))
    except OverflowError:
        raise CallError(errno.EOVERFLOW) from None


@call(197, "fstat64")
def fstat64(process: Process, fd: int, stat_out: int) -> None:
    """The state of an open file."""
    process.memory.write(stat_out, layouts.stat64(process.descriptors.get(fd).status()))


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
    if size < 0 or not file.writable:
        raise CallError(errno.EINVAL)
    file.truncate(size)


@call(118, "fsync")
@call(148, "fdatasync")
@call(94, "fchmod")
@call(207, "fchown32")
def accept_descriptor(process: Process, fd: int) -> None:
    """Nothing to be done, for an open descriptor."""
    process.descriptors.get(fd)


@call(143, "flock")
def flock(process: Process, fd: int, operation: int) -> None:
    """Locks are granted: there is nobody to hold them."""
    process.descriptors.get(fd)


@call(250, "fadvise64")
@call(272, "fadvise64_64")
def fadvise(process: Process, fd: int) -> None:
    """Advice is taken, and nothing done."""
    process.descriptors.get(fd)


@call(220, "getdents64")
def getdents64(process: Process, fd: int, buffer: int, count: int) -> int:
    """Directory entries: d_ino, d_off, d_reclen, d_type, the name."""
    directory = _directory(process, fd)
    process.memory.check(buffer, count, writable=True)
    out = bytearray()
    while directory.position < len(directory.entries):
        name, ino, kind = directory.entries[directory.position]
        text = os.fsencode(name) + b"\0"
        size = (19 + len(text) + 7) & -8
        if len(out) + size > count:
            if not out:
                raise CallError(errno.EINVAL)
            break
        directory.position += 1
        out += struct.pack("<QqHB", ino, directory.position, size, kind >> 12) + text.ljust(size - 19, b"\0")
    process.memory.write(buffer, out)
    return len(out)


def _directory(process: Process, fd: int) -> DirectoryFile:
    file = process.descriptors.get(fd)
    if not isinstance(file, DirectoryFile):
        raise CallError(errno.ENOTDIR)
    return file


def start_directory(process: Process, fd: int) -> str | None:
    """The directory that a path relative to ``fd`` starts in; None for AT_FDCWD, the working directory."""
    return None if signed(fd) == -100 else _directory(process, fd).path


def _count(process: Process, address: int, count: int, *, writable: bool) -> int:
    if count > MOST:
        process.memory.check(address, count, writable=writable)
    return min(count, MOST)


def broken_pipe(process: Process, error: CallError) -> CallError:
    """A write without a reader ends a process that has not said otherwise (signal(7), SIGPIPE)."""
    if error.errno == errno.EPIPE and is_default(process, SIGPIPE):
        process.exit_by_signal(SIGPIPE)
    return error
