"""splice, tee, vmsplice: bytes between a pipe and anything else, by copying.

What is taken out of a pipe and cannot be put where it should go goes back to where it was; nobody sees it in between.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed64
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._pipes import PipeEnd, PipeReader, PipeWriter
from vx32py._wait import WouldBlock
from vx32py.personality import common
from vx32py.personality.linux import files, limits
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

SPLICE_F_NONBLOCK: Final = 2
_FLAGS: Final = 0xF
#: Bytes at a time: what a pipe holds at most.
_PIECE: Final = 1 << 20


@call(313, "splice")
def splice(
    process: Process, source_fd: int, source_at: int, target_fd: int, target_at: int, count: int, flags: int
) -> int:
    """Move bytes, one end at least being a pipe; at offsets that are moved, or at the positions."""
    if not count:
        return 0
    if flags & ~_FLAGS:
        raise CallError(errno.EINVAL)
    source, target = process.descriptors.get(source_fd), process.descriptors.get(target_fd)
    if not source.readable or not target.writable:
        raise CallError(errno.EBADF)
    if (isinstance(source, PipeEnd) and source_at) or (isinstance(target, PipeEnd) and target_at):
        raise CallError(errno.ESPIPE)
    count = min(count, _PIECE)
    if isinstance(source, PipeReader):
        if isinstance(target, PipeWriter):
            if source.pipe is target.pipe:
                raise CallError(errno.EINVAL)
            return _between(process, source, target, count, flags)
        return _out_of(process, source, target, target_at, count, flags)
    if isinstance(target, PipeWriter):
        return _into(process, source, source_at, target, count, flags)
    raise CallError(errno.EINVAL)


@call(315, "tee")
def tee(process: Process, source_fd: int, target_fd: int, count: int, flags: int) -> int:
    """Copy from one pipe to another, leaving it where it is."""
    if flags & ~_FLAGS:
        raise CallError(errno.EINVAL)
    if not count:
        return 0
    source, target = process.descriptors.get(source_fd), process.descriptors.get(target_fd)
    if not source.readable or not target.writable:
        raise CallError(errno.EBADF)
    if not isinstance(source, PipeReader) or not isinstance(target, PipeWriter) or source.pipe is target.pipe:
        raise CallError(errno.EINVAL)
    if not _wait_for_both(process, source, target, flags):
        return 0
    return os.write(target.fd, source.pipe.content()[: _room(target, min(count, _PIECE))])


@call(316, "vmsplice")
def vmsplice(process: Process, fd: int, vector: int, count: int, flags: int) -> int:
    """Write buffers into a pipe, or read from it."""
    if flags & ~_FLAGS:
        raise CallError(errno.EINVAL)
    file = process.descriptors.get(fd)
    if not isinstance(file, PipeEnd):
        raise CallError(errno.EBADF)
    buffers = common.vector_argument(process, vector, count)
    if flags & SPLICE_F_NONBLOCK and not file.ready(write=file.writable):
        raise CallError(errno.EAGAIN)
    if isinstance(file, PipeReader):
        return common.read_vector(process, fd, buffers)
    try:
        return common.write_vector(process, fd, buffers)
    except CallError as error:
        raise files.broken_pipe(process, error) from None


def _wait_for_both(process: Process, source: PipeReader, target: PipeWriter, flags: int) -> bool:
    """Wait until there is something in one pipe and room in the other one; False at the end of the first. Raises CallError,
    WouldBlock."""
    if target.pipe.broken:
        raise files.broken_pipe(process, CallError(errno.EPIPE))
    if not source.available() and not source.pipe.ends[1]:
        return False
    if source.available() and target.ready(write=True):
        return True
    if flags & SPLICE_F_NONBLOCK or source.nonblocking or target.nonblocking:
        raise CallError(errno.EAGAIN)
    raise WouldBlock(lambda: target.pipe.broken or (source.ready(write=False) and target.ready(write=True)))


def _room(target: PipeWriter, count: int) -> int:
    """As much of ``count`` as a pipe takes in whole pages, or what is written at a stroke."""
    return min(count, max(target.size - target.available(), 0) & -4096 or 4096)


def _between(process: Process, source: PipeReader, target: PipeWriter, count: int, flags: int) -> int:
    if not _wait_for_both(process, source, target, flags):
        return 0
    data = os.read(source.fd, _room(target, count))
    try:
        put = os.write(target.fd, data)
    except BlockingIOError:
        put = 0
    _put_back(source, data[put:])
    return put


def _put_back(source: PipeReader, data: bytes) -> None:
    """Put bytes back to where they have been read, before all others."""
    if data:
        rest = source.pipe.content()
        source.pipe.empty()
        source.pipe.fill(data + rest)


def _out_of(process: Process, source: PipeReader, target: OpenFile, target_at: int, count: int, flags: int) -> int:
    offset = _offset(process, target_at, target) if target_at else None
    if target.flags & os.O_APPEND:
        raise CallError(errno.EINVAL)
    if not source.available():
        if not source.pipe.ends[1]:
            return 0
        if flags & SPLICE_F_NONBLOCK or source.nonblocking:
            raise CallError(errno.EAGAIN)
        raise WouldBlock(lambda: source.ready(write=False))
    if offset is None and not target.ready(write=True):
        if target.nonblocking:
            raise CallError(errno.EAGAIN)
        fd = target.host_descriptor()
        raise WouldBlock(lambda: target.ready(write=True), fds=((fd, 4),) if fd is not None and target.outside else ())
    allowed = limits.writable(process, target, min(count, source.available()), at=offset)
    data = os.read(source.fd, count)
    put = 0
    nonblocking, target.flags = target.flags, target.flags | os.O_NONBLOCK
    try:
        with memoryview(data)[:allowed] as view:
            put = target.write(view, process) if offset is None else target.write_at(view, offset)
    except CallError as error:
        raise files.broken_pipe(process, error) from None
    finally:
        target.flags = nonblocking
        _put_back(source, data[put:])
    if put == allowed < len(data):
        limits.tell_of_rest(process, target, at=None if offset is None else offset + put)
    if offset is not None:
        process.memory.write_u64(target_at, offset + put)
    return put


def _into(process: Process, source: OpenFile, source_at: int, target: PipeWriter, count: int, flags: int) -> int:
    offset = _offset(process, source_at, source) if source_at else None
    if target.pipe.broken:
        raise files.broken_pipe(process, CallError(errno.EPIPE))
    if not target.ready(write=True):
        if flags & SPLICE_F_NONBLOCK or target.nonblocking:
            raise CallError(errno.EAGAIN)
        raise WouldBlock(lambda: target.ready(write=True))
    buffer = bytearray(_room(target, count))
    with memoryview(buffer) as view:
        got = source.read(view, process) if offset is None else source.read_at(view, offset)
    put = os.write(target.fd, buffer[:got]) if got else 0
    if offset is not None:
        process.memory.write_u64(source_at, offset + put)
    elif put < got:
        source.seek(put - got, os.SEEK_CUR)
    return put


def _offset(process: Process, at: int, file: OpenFile) -> int:
    process.memory.check(at, 8, writable=True)
    offset = signed64(process.memory.read_u32(at), process.memory.read_u32(at + 4))
    if offset < 0:
        raise CallError(errno.EINVAL)
    file.seek(0, os.SEEK_CUR)  # ESPIPE where there are no offsets
    return offset
