"""fcntl, flock: flags of descriptors and open files, locks."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py._hostfile import HostFile, Transfers
from vx32py._pipes import PIPE_BYTES, PipeEnd
from vx32py.personality.linux import locks
from vx32py.personality.linux.table import call
from vx32py.vfs.opened import PathFile

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._process import Process

O_LARGEFILE: Final = 0o100000
O_ASYNC: Final = 0o20000
O_NOATIME: Final = 0o1000000
#: What F_SETFL may change (fs/fcntl.c, SETFL_MASK), without O_DIRECT, which not every file system has.
_CHANGEABLE: Final = os.O_APPEND | os.O_NONBLOCK | O_ASYNC | O_NOATIME

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG = range(
    12
)
F_GETLK64, F_SETLK64, F_SETLKW64, F_SETOWN_EX, F_GETOWN_EX = range(12, 17)
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
F_SETLEASE, F_GETLEASE, F_NOTIFY = 1024, 1025, 1026
F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS = 1030, 1031, 1032, 1033, 1034
F_UNLCK: Final = 2
MOST_SIGNALS: Final = 64
#: What may be done with a file opened with O_PATH (open(2)).
_OF_PATHS: Final = frozenset({F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL})


@call(55, "fcntl")
def fcntl(process: Process, fd: int, command: int, argument: int) -> int:
    """Duplicates, flags and locks of 32 bits."""
    if command in (F_GETLK64, F_SETLK64, F_SETLKW64, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW):
        process.descriptors.get(fd)
        raise CallError(errno.EINVAL)
    return fcntl64(process, fd, command, argument)


@call(221, "fcntl64")
def fcntl64(process: Process, fd: int, command: int, argument: int) -> int:
    """Duplicates, flags and locks."""
    descriptors = process.descriptors
    file = descriptors.get(fd)
    if isinstance(file, PathFile) and command not in _OF_PATHS:
        raise CallError(errno.EBADF)
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
            return file.flags | (O_LARGEFILE if file.named and not isinstance(file, PathFile) else 0)
        case 4:  # F_SETFL
            set_flags(file, file.flags & ~_CHANGEABLE | argument & _CHANGEABLE)
            return 0
        case 5 | 12 | 36:  # F_GETLK, F_GETLK64, F_OFD_GETLK
            return locks.look(process, file, argument, wide=command != F_GETLK, own=command == F_OFD_GETLK)
        case 6 | 7 | 13 | 14 | 37 | 38:  # F_SETLK, F_SETLKW, F_SETLK64, F_SETLKW64, F_OFD_SETLK, F_OFD_SETLKW
            waits, wide = command in (F_SETLKW, F_SETLKW64, F_OFD_SETLKW), command not in (F_SETLK, F_SETLKW)
            return locks.change(process, file, argument, wide=wide, waits=waits, own=command >= F_OFD_GETLK)
        case _:
            return _rare(process, file, command, argument)


def _rare(process: Process, file: OpenFile, command: int, argument: int) -> int:
    notice = process.files.space.notices
    match command:
        case 8:  # F_SETOWN: who gets SIGIO, which nobody sends
            notice[file] = (signed(argument), notice.get(file, (0, 0))[1])
            return 0
        case 9:  # F_GETOWN
            return notice.get(file, (0, 0))[0]
        case 10:  # F_SETSIG
            if argument > MOST_SIGNALS:
                raise CallError(errno.EINVAL)
            notice[file] = (notice.get(file, (0, 0))[0], argument)
            return 0
        case 11:  # F_GETSIG
            return notice.get(file, (0, 0))[1]
        case 15:  # F_SETOWN_EX
            kind, number = struct.unpack("<ii", process.memory.read(argument, 8))
            if kind not in (0, 1, 2):
                raise CallError(errno.EINVAL)
            notice[file] = (-number if kind == 2 else number, notice.get(file, (0, 0))[1])
            return 0
        case 16:  # F_GETOWN_EX
            number = notice.get(file, (0, 0))[0]
            process.memory.write(argument, struct.pack("<ii", 2 if number < 0 else 1, abs(number)))
            return 0
        case 1024:  # F_SETLEASE
            raise CallError(errno.EAGAIN)
        case 1025:  # F_GETLEASE
            return F_UNLCK
        case 1032 if isinstance(file, PipeEnd):  # F_GETPIPE_SZ
            return file.size
        case 1031 if isinstance(file, PipeEnd):  # F_SETPIPE_SZ
            return file.resize(argument)
        case 1032 | 1031 if _is_pipe(file):  # of the application's, or a FIFO: of one size
            if command == F_SETPIPE_SZ and argument > PIPE_BYTES:
                raise CallError(errno.EPERM)
            return PIPE_BYTES
        case 1031 | 1032:
            raise CallError(errno.EBADF)
        case 1033:  # F_ADD_SEALS
            from vx32py.vfs import memfd

            memfd.add_seals(file, argument)
            return 0
        case 1034:  # F_GET_SEALS
            from vx32py.vfs import memfd

            return memfd.seals_of(file)
    raise CallError(errno.EINVAL)


def _is_pipe(file: OpenFile) -> bool:
    return isinstance(file, HostFile) and file.transfers is Transfers.PIPE


def set_flags(file: OpenFile, flags: int) -> None:
    """Change the flags of an open file; what the engine writes by itself is appended by the host."""
    if isinstance(file, HostFile) and file.owned and (file.flags ^ flags) & os.O_APPEND:
        import fcntl as host

        held = host.fcntl(file.fd, host.F_GETFL)
        host.fcntl(file.fd, host.F_SETFL, held & ~os.O_APPEND | flags & os.O_APPEND)
    file.flags = flags


@call(143, "flock")
def flock(process: Process, fd: int, operation: int) -> None:
    """Lock a whole open file, shared or alone, or give the lock back."""
    file = process.descriptors.get(fd)
    if isinstance(file, PathFile):
        raise CallError(errno.EBADF)
    locks.flock(process, file, operation)
