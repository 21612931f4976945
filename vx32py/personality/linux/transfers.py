"""Calls that move bytes between files without the guest's memory, or see to it that they stay: copies, room, syncing."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed, signed64
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError, LimitExceeded
from vx32py._hostfile import HostFile, Transfers
from vx32py._wait import Interrupted, WouldBlock
from vx32py.personality.linux import limits
from vx32py.personality.linux.table import call
from vx32py.vfs.content import TreeFile
from vx32py.vfs.host import KERNEL
from vx32py.vfs.opened import DirectoryFile, PathFile

if TYPE_CHECKING:
    from vx32py._process import Process

#: Bytes that are moved at a time, and by one call: between calls the guest can be stopped.
PIECE: Final = 1 << 18
MOST_AT_ONCE: Final = 64 << 20
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE = 1, 2, 0x10
_NR_FALLOCATE: Final = {"x86_64": 285, "aarch64": 47}
POSIX_FADV_LAST: Final = 5


def _move(process: Process, source: OpenFile, at: int, target: OpenFile, to: int | None, count: int) -> int:
    """Copy bytes from an offset to another one, or (None) to where the target's position is. How many."""
    done = _move_on_host(process, source, at, target, to, count)
    buffer = bytearray(min(count - done, PIECE))
    while done < count:
        with memoryview(buffer) as whole, whole[: min(count - done, PIECE)] as view:
            try:
                got = source.read_at(view, at + done)
                if not got:
                    break
                allowed = limits.writable(process, target, got, at=None if to is None else to + done)
                with view[:allowed] as piece:
                    put = target.write(piece, process) if to is None else target.write_at(piece, to + done)
            except WouldBlock:
                if not done:
                    raise
                done += process.progress  # of this piece, which has gone out
                break
            except (CallError, Interrupted, LimitExceeded):
                if not done:
                    raise
                break
        done += put
        if put < got:
            if put == allowed:
                limits.tell_of_rest(process, target, at=None if to is None else to + done)
            break
    return done


def _move_on_host(process: Process, source: OpenFile, at: int, target: OpenFile, to: int | None, count: int) -> int:
    """The same, done by the host's kernel, which needs no memory for it. 0 where these are not files that it can do it
    with, or it does not; and less where it cannot go on. Then the rest remains to be done or refused."""
    if not isinstance(source, HostFile) or type(target) is not HostFile or target.meter is not None:
        return 0
    if any(file.transfers is not Transfers.LASTING or file.mapping is not None for file in (source, target)):
        return 0
    if limits.file_size(process) is not None:
        return 0
    try:
        if to is None:
            return os.sendfile(target.fd, source.fd, at, count)
        return os.copy_file_range(source.fd, target.fd, count, at, to)
    except OSError:
        return 0


@call(377, "copy_file_range")
def copy_file_range(
    process: Process, source_fd: int, source_at: int, target_fd: int, target_at: int, count: int, flags: int
) -> int:
    """Copy from one file to another; at offsets that are moved, or at the positions."""
    source, target = process.descriptors.get(source_fd), process.descriptors.get(target_fd)
    if not source.readable or not target.writable or target.flags & os.O_APPEND:
        raise CallError(errno.EBADF)
    for file in (source, target):
        mode = file.status().mode
        if not stat.S_ISREG(mode):
            raise CallError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL)
    if flags:
        raise CallError(errno.EINVAL)
    starts = [
        file.seek(0, os.SEEK_CUR) if not at else signed64(*_words(process, at))
        for file, at in ((source, source_at), (target, target_at))
    ]
    for at in (source_at, target_at):
        if at:
            process.memory.check(at, 8, writable=True)
    if min(starts) < 0:
        raise CallError(errno.EINVAL)
    one, other = source.status(), target.status()
    count = limits.writable(process, target, min(count, MOST_AT_ONCE), at=starts[1])
    if (one.dev, one.ino) == (other.dev, other.ino) and starts[0] < starts[1] + count and starts[1] < starts[0] + count:
        raise CallError(errno.EINVAL)
    done = _move(process, source, starts[0], target, starts[1], count)
    for file, at, start in ((source, source_at, starts[0]), (target, target_at, starts[1])):
        if at:
            process.memory.write_u64(at, start + done)
        else:
            file.seek(start + done, os.SEEK_SET)
    return done


def _words(process: Process, address: int) -> tuple[int, int]:
    value = process.memory.read_u64(address)
    return value & 0xFFFF_FFFF, value >> 32


@call(187, "sendfile")
def sendfile(process: Process, target_fd: int, source_fd: int, offset: int, count: int) -> int:
    """Copy from a file to anything, from an offset of 32 bits that is moved, or from the position."""
    if offset:
        process.memory.check(offset, 4, writable=True)
    start = signed(process.memory.read_u32(offset)) if offset else None
    done, end = _sendfile(process, target_fd, source_fd, start, count)
    if offset:
        if end > 0x7FFF_FFFF:
            raise CallError(errno.EOVERFLOW)
        process.memory.write_u32(offset, end)
    return done


@call(239, "sendfile64")
def sendfile64(process: Process, target_fd: int, source_fd: int, offset: int, count: int) -> int:
    """The same with an offset of 64 bits."""
    if offset:
        process.memory.check(offset, 8, writable=True)
    start = signed64(*_words(process, offset)) if offset else None
    done, end = _sendfile(process, target_fd, source_fd, start, count)
    if offset:
        process.memory.write_u64(offset, end)
    return done


def _sendfile(process: Process, target_fd: int, source_fd: int, start: int | None, count: int) -> tuple[int, int]:
    """How many bytes, and the offset behind them."""
    source, target = process.descriptors.get(source_fd), process.descriptors.get(target_fd)
    if not source.readable or not target.writable:
        raise CallError(errno.EBADF)
    if target.flags & os.O_APPEND or isinstance(source, DirectoryFile):
        raise CallError(errno.EINVAL)
    try:
        at = source.seek(0, os.SEEK_CUR) if start is None else start
    except CallError:
        raise CallError(errno.EINVAL if start is None else errno.ESPIPE) from None
    if at < 0:
        raise CallError(errno.EINVAL)
    done = _move(process, source, at, target, None, min(count, MOST_AT_ONCE))
    if start is None:
        source.seek(at + done, os.SEEK_SET)
    return done, at + done


@call(324, "fallocate")
def fallocate(
    process: Process, fd: int, mode: int, offset_low: int, offset_high: int, count_low: int, count_high: int
) -> None:
    """See that there is room, or make a hole."""
    file = process.descriptors.get(fd)
    offset, count = signed64(offset_low, offset_high), signed64(count_low, count_high)
    if offset < 0 or count <= 0:
        raise CallError(errno.EINVAL)
    known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE
    if mode & ~known or mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) == FALLOC_FL_PUNCH_HOLE:
        raise CallError(errno.EOPNOTSUPP)
    if not file.writable or isinstance(file, PathFile):
        raise CallError(errno.EBADF)
    if not isinstance(file, HostFile) or not stat.S_ISREG(file.status().mode):
        raise CallError(errno.ESPIPE if stat.S_ISFIFO(file.status().mode) else errno.ENODEV)
    size = file.status().size
    if offset + count >= 1 << 63:
        raise CallError(errno.EFBIG)
    if not mode & FALLOC_FL_KEEP_SIZE:
        limits.check_growth(process, size, offset + count)
    if mode & FALLOC_FL_PUNCH_HOLE:
        _host_fallocate(file, mode, offset, count)
    elif mode & FALLOC_FL_ZERO_RANGE:
        end = min(size, offset + count) if mode & FALLOC_FL_KEEP_SIZE else offset + count
        if end > size:
            file.truncate(end)
        if end > offset:
            _host_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, end - offset)
    elif mode & FALLOC_FL_KEEP_SIZE:
        return  # room behind the end is taken when it is written to
    elif isinstance(file, TreeFile):
        file.allocate(offset, count)
    else:
        if file.meter is not None:
            file.meter.take(max(0, offset + count - size))
        _host_fallocate(file, 0, offset, count)


def _host_fallocate(file: HostFile, mode: int, offset: int, count: int) -> None:
    number = _NR_FALLOCATE.get(os.uname().machine)
    if number is None:
        raise CallError(errno.EOPNOTSUPP)
    import ctypes

    file.check_change()
    result = KERNEL.call(number, file.fd, mode, ctypes.c_long(offset), ctypes.c_long(count))
    if result < 0:
        raise CallError(-result)
    file.changed(offset, count)


@call(250, "fadvise64")
def fadvise64(process: Process, fd: int, _low: int, _high: int, _count: int, advice: int) -> None:
    """Advice is taken, and nothing done."""
    _advise(process, fd, advice)


@call(272, "fadvise64_64")
def fadvise64_64(
    process: Process, fd: int, _low: int, _high: int, _count_low: int, _count_high: int, advice: int
) -> None:
    """The same with a longer count."""
    _advise(process, fd, advice)


def _advise(process: Process, fd: int, advice: int) -> None:
    file = process.descriptors.get(fd)
    if isinstance(file, PathFile):
        raise CallError(errno.EBADF)
    if stat.S_ISFIFO(file.status().mode):
        raise CallError(errno.ESPIPE)
    if advice > POSIX_FADV_LAST:
        raise CallError(errno.EINVAL)


@call(225, "readahead")
def readahead(process: Process, fd: int) -> None:
    """The host reads ahead as it likes."""
    file = process.descriptors.get(fd)
    if not file.readable:
        raise CallError(errno.EBADF)
    if not stat.S_ISREG(file.status().mode):
        raise CallError(errno.EINVAL)


@call(36, "sync")
def sync(process: Process) -> None:
    """The guest's files need no syncing with a disk that it knows of."""


@call(118, "fsync")
@call(148, "fdatasync")
def fsync(process: Process, fd: int) -> None:
    """See that what was written is on the disk, if it is a granted file of the host's."""
    file = process.descriptors.get(fd)
    if isinstance(file, PathFile):
        raise CallError(errno.EBADF)
    if isinstance(file, HostFile) and stat.S_ISREG(file.status().mode):
        if file.writable and not isinstance(file, TreeFile):
            try:
                os.fdatasync(file.fd)
            except OSError as error:
                raise CallError(error.errno or errno.EIO) from error
    elif not isinstance(file, (DirectoryFile, TreeFile)):
        raise CallError(errno.EINVAL)


@call(344, "syncfs")
def syncfs(process: Process, fd: int) -> None:
    """The same of a whole file system."""
    if isinstance(process.descriptors.get(fd), PathFile):
        raise CallError(errno.EBADF)


@call(314, "sync_file_range")
def sync_file_range(
    process: Process, fd: int, offset_low: int, offset_high: int, count_low: int, count_high: int, flags: int
) -> None:
    """The same of a part of a file."""
    file = process.descriptors.get(fd)
    if flags & ~7 or min(signed64(offset_low, offset_high), signed64(count_low, count_high)) < 0:
        raise CallError(errno.EINVAL)
    if not stat.S_ISREG(file.status().mode):
        raise CallError(errno.ESPIPE)
