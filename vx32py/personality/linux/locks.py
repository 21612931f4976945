"""File locks between the processes of a guest: POSIX ranges, those of open files, and whole files (flock).

Nobody else sees them: not the host, and no other guest.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py._wait import WouldBlock

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._process import Process
    from vx32py.vfs.locks import Owner

F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8
#: struct flock and flock64 of i386: type, whence, start, length, process.
_FLOCK: Final = struct.Struct("<hhiii")
_FLOCK64: Final = struct.Struct("<hhqqi")
_LAST: Final = (1 << 63) - 1


def _owner(process: Process, file: OpenFile, *, own: bool) -> Owner:
    return file if own else process.pid


def _range(process: Process, file: OpenFile, address: int, *, wide: bool, own: bool) -> tuple[int, int, int]:
    """Type, first byte and last byte of what a structure asks for. Raises CallError."""
    layout = _FLOCK64 if wide else _FLOCK
    kind, whence, start, length, pid = layout.unpack(process.memory.read(address, layout.size))
    if own and pid:
        raise CallError(errno.EINVAL)
    if whence == os.SEEK_CUR:
        start += file.seek(0, os.SEEK_CUR)
    elif whence == os.SEEK_END:
        start += file.status().size
    elif whence != os.SEEK_SET:
        raise CallError(errno.EINVAL)
    if length < 0:
        start, length = start + length, -length
    if start < 0 or kind not in (F_RDLCK, F_WRLCK, F_UNLCK):
        raise CallError(errno.EINVAL)
    last = start + length - 1 if length else _LAST
    if last > _LAST:
        raise CallError(errno.EOVERFLOW)
    return kind, start, last


def _key(file: OpenFile) -> tuple[int, int]:
    status = file.status()
    return status.dev, status.ino


def look(process: Process, file: OpenFile, address: int, *, wide: bool, own: bool) -> int:
    """F_GETLK: the lock that is in the way, or that there is none."""
    kind, start, last = _range(process, file, address, wide=wide, own=own)
    if kind == F_UNLCK:
        raise CallError(errno.EINVAL)
    table = process.files.space.locks
    held = table.conflict(_key(file), _owner(process, file, own=own), start, last, exclusive=kind == F_WRLCK)
    layout = _FLOCK64 if wide else _FLOCK
    if held is None:
        process.memory.write(address, struct.pack("<h", F_UNLCK))
        return 0
    length = 0 if held.last == _LAST else held.last - held.start + 1
    pid = held.owner if isinstance(held.owner, int) else -1
    try:
        packed = layout.pack(F_WRLCK if held.exclusive else F_RDLCK, os.SEEK_SET, held.start, length, pid)
    except struct.error:
        raise CallError(errno.EOVERFLOW) from None
    process.memory.write(address, packed)
    return 0


def change(process: Process, file: OpenFile, address: int, *, wide: bool, waits: bool, own: bool) -> int:
    """F_SETLK, F_SETLKW: lock or unlock a range."""
    kind, start, last = _range(process, file, address, wide=wide, own=own)
    if (kind == F_RDLCK and not file.readable) or (kind == F_WRLCK and not file.writable):
        raise CallError(errno.EBADF)
    table, key, owner = process.files.space.locks, _key(file), _owner(process, file, own=own)
    table.is_alive = process.files.space.is_alive
    if kind != F_UNLCK:
        exclusive = kind == F_WRLCK

        def in_the_way() -> bool:
            return table.conflict(key, owner, start, last, exclusive=exclusive) is not None

        if in_the_way():
            if not waits:
                raise CallError(errno.EAGAIN)
            if isinstance(owner, int) and table.would_deadlock(key, owner, start, last, exclusive=exclusive):
                raise CallError(errno.EDEADLK)
            table.waiting[owner] = key, start, last, exclusive
            raise WouldBlock(lambda: not in_the_way())
    table.waiting.pop(owner, None)
    table.put(key, owner, start, last, exclusive=None if kind == F_UNLCK else kind == F_WRLCK)
    return 0


def flock(process: Process, file: OpenFile, operation: int) -> None:
    """flock(2)."""
    wanted = operation & ~LOCK_NB
    if wanted not in (LOCK_SH, LOCK_EX, LOCK_UN):
        raise CallError(errno.EINVAL)
    if wanted != LOCK_UN and not file.readable and not file.writable:
        raise CallError(errno.EBADF)
    table, key = process.files.space.locks, ("flock", *_key(file))
    if wanted == LOCK_UN:
        table.put(key, file, 0, _LAST, exclusive=None)
        return
    exclusive = wanted == LOCK_EX

    def in_the_way() -> bool:
        return table.conflict(key, file, 0, _LAST, exclusive=exclusive) is not None

    if in_the_way():
        if operation & LOCK_NB:
            raise CallError(errno.EAGAIN)
        raise WouldBlock(lambda: not in_the_way())
    table.put(key, file, 0, _LAST, exclusive=exclusive)


def closing(process: Process, fd: int) -> None:
    """A process that closes any descriptor of a file gives back its POSIX locks on it (fcntl(2))."""
    if process.files.has_locks and fd in process.descriptors:
        file = process.descriptors.get(fd)
        process.files.space.locks.put(_key(file), process.pid, 0, _LAST, exclusive=None)
