"""Calls on what is to be known of a file: its state, mode, owner and times, and the file system that it is in."""

from __future__ import annotations

import errno
import time
from stat import S_ISREG
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed, signed64
from vx32py._descriptors import Status
from vx32py._errors import CallError
from vx32py.personality.common import path_argument
from vx32py.personality.linux import layouts, limits
from vx32py.personality.linux.layouts import SECOND
from vx32py.personality.linux.paths import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, locate, start_of
from vx32py.personality.linux.table import MASK32, call
from vx32py.vfs.nodes import FileSystemStatus
from vx32py.vfs.opened import PathFile, location_of

if TYPE_CHECKING:
    from struct import Struct

    from vx32py._descriptors import OpenFile
    from vx32py._process import Process
    from vx32py.vfs.walk import Location

AT_EACCESS: Final = 0x200
AT_NO_AUTOMOUNT: Final = 0x800
AT_STATX_SYNC_TYPE: Final = 0x6000
_STATX_RESERVED: Final = 0x8000_0000
#: utimensat's nanoseconds that are none.
UTIME_NOW, UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE


# -- stat ------------------------------------------------------------------------------------------------------------


@call(106, "stat")
def stat(process: Process, path: int, stat_out: int) -> None:
    """The state of a file, in the old structure."""
    _store_old(process, stat_out, process.files.status(path_argument(process, path)))


@call(107, "lstat")
def lstat(process: Process, path: int, stat_out: int) -> None:
    """The same of a symbolic link itself."""
    _store_old(process, stat_out, process.files.status(path_argument(process, path), follow=False))


@call(108, "fstat")
def fstat(process: Process, fd: int, stat_out: int) -> None:
    """The same of an open file."""
    _store_old(process, stat_out, process.descriptors.get(fd).status())


@call(18, "oldstat")
def oldstat(process: Process, path: int, stat_out: int) -> None:
    """The state of a file, in the oldest structure."""
    _store_oldest(process, stat_out, process.files.status(path_argument(process, path)))


@call(84, "oldlstat")
def oldlstat(process: Process, path: int, stat_out: int) -> None:
    """The same of a symbolic link itself."""
    _store_oldest(process, stat_out, process.files.status(path_argument(process, path), follow=False))


@call(28, "oldfstat")
def oldfstat(process: Process, fd: int, stat_out: int) -> None:
    """The same of an open file."""
    _store_oldest(process, stat_out, process.descriptors.get(fd).status())


@call(195, "stat64")
def stat64(process: Process, path: int, stat_out: int) -> None:
    """The state of a file."""
    process.memory.write(stat_out, layouts.stat64(process.files.status(path_argument(process, path))))


@call(196, "lstat64")
def lstat64(process: Process, path: int, stat_out: int) -> None:
    """The same of a symbolic link itself."""
    status = process.files.status(path_argument(process, path), follow=False)
    process.memory.write(stat_out, layouts.stat64(status))


@call(197, "fstat64")
def fstat64(process: Process, fd: int, stat_out: int) -> None:
    """The state of an open file."""
    process.memory.write(stat_out, layouts.stat64(process.descriptors.get(fd).status()))


@call(300, "fstatat64")
def fstatat64(process: Process, directory_fd: int, path: int, stat_out: int, flags: int) -> None:
    """The state of a file relative to a directory, or of the descriptor itself."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH):
        raise CallError(errno.EINVAL)
    process.memory.write(stat_out, layouts.stat64(_status_at(process, directory_fd, path, flags)))


@call(383, "statx")
def statx(process: Process, directory_fd: int, path: int, flags: int, mask: int, statx_out: int) -> None:
    """The same in the newest structure."""
    allowed = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE
    if flags & ~allowed or flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE or mask & _STATX_RESERVED:
        raise CallError(errno.EINVAL)
    process.memory.write(statx_out, layouts.statx(_status_at(process, directory_fd, path, flags)))


def _status_at(process: Process, directory_fd: int, path: int, flags: int) -> Status:
    name = path_argument(process, path) if path or not flags & AT_EMPTY_PATH else ""
    if not name and flags & AT_EMPTY_PATH:
        if directory_fd == AT_FDCWD:
            return process.files.status(".")
        return process.descriptors.get(directory_fd).status()
    start = start_of(process, directory_fd, name)
    return process.files.status(name, follow=not flags & AT_SYMLINK_NOFOLLOW, start=start)


def _store_old(process: Process, address: int, status: Status) -> None:
    try:
        process.memory.write(address, layouts.stat(status))
    except OverflowError:
        raise CallError(errno.EOVERFLOW) from None


def _store_oldest(process: Process, address: int, status: Status) -> None:
    try:
        process.memory.write(address, layouts.oldest_stat(status))
    except OverflowError:
        raise CallError(errno.EOVERFLOW) from None


# -- access, mode, owner ---------------------------------------------------------------------------------------------


@call(33, "access")
def access(process: Process, path: int, mode: int) -> None:
    """Whether a path can be read, written, executed."""
    _access(process, AT_FDCWD, path, mode, 0)


@call(307, "faccessat")
def faccessat(process: Process, directory_fd: int, path: int, mode: int) -> None:
    """The same, relative to a directory."""
    _access(process, directory_fd, path, mode, 0)


@call(439, "faccessat2")
def faccessat2(process: Process, directory_fd: int, path: int, mode: int, flags: int) -> None:
    """The same with flags; real and effective users are one."""
    if flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise CallError(errno.EINVAL)
    _access(process, directory_fd, path, mode, flags)


def _access(process: Process, directory_fd: int, path: int, mode: int, flags: int) -> None:
    if mode & ~7:
        raise CallError(errno.EINVAL)
    name, follow = path_argument(process, path), not flags & AT_SYMLINK_NOFOLLOW
    found = locate(process, directory_fd, name, follow=follow, empty=bool(flags & AT_EMPTY_PATH))
    process.files.check_access(found.node, mode)


@call(15, "chmod")
def chmod(process: Process, path: int, mode: int) -> None:
    """Change permission bits."""
    process.files.chmod(path_argument(process, path), mode & 0o7777)


@call(306, "fchmodat")
def fchmodat(process: Process, directory_fd: int, path: int, mode: int) -> None:
    """The same, relative to a directory."""
    name = path_argument(process, path)
    process.files.chmod(name, mode & 0o7777, start=start_of(process, directory_fd, name))


@call(452, "fchmodat2")
def fchmodat2(process: Process, directory_fd: int, path: int, mode: int, flags: int) -> None:
    """The same with flags: of a symbolic link itself, or of an open file where the path is empty."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise CallError(errno.EINVAL)
    name, follow = path_argument(process, path), not flags & AT_SYMLINK_NOFOLLOW
    found = locate(process, directory_fd, name, follow=follow, empty=bool(flags & AT_EMPTY_PATH))
    process.files.chmod_location(found, mode & 0o7777)


@call(94, "fchmod")
def fchmod(process: Process, fd: int, mode: int) -> None:
    """The same of an open file."""
    process.files.chmod_location(_opened(process, fd), mode & 0o7777)


@call(212, "chown32")
def chown32(process: Process, path: int, uid: int, gid: int) -> None:
    """Change owner and group."""
    _chown(process, locate(process, AT_FDCWD, path_argument(process, path), follow=True), uid, gid)


@call(198, "lchown32")
def lchown32(process: Process, path: int, uid: int, gid: int) -> None:
    """The same of a symbolic link itself."""
    _chown(process, locate(process, AT_FDCWD, path_argument(process, path), follow=False), uid, gid)


@call(207, "fchown32")
def fchown32(process: Process, fd: int, uid: int, gid: int) -> None:
    """The same of an open file."""
    _chown(process, _opened(process, fd), uid, gid)


@call(298, "fchownat")
def fchownat(process: Process, directory_fd: int, path: int, uid: int, gid: int, flags: int) -> None:
    """The same, relative to a directory."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise CallError(errno.EINVAL)
    name, follow = path_argument(process, path), not flags & AT_SYMLINK_NOFOLLOW
    found = locate(process, directory_fd, name, follow=follow, empty=bool(flags & AT_EMPTY_PATH))
    _chown(process, found, uid, gid)


@call(182, "chown")
def chown(process: Process, path: int, uid: int, gid: int) -> None:
    """chown32 with numbers of 16 bits."""
    chown32(process, path, _wide(uid), _wide(gid))


@call(16, "lchown")
def lchown(process: Process, path: int, uid: int, gid: int) -> None:
    """lchown32 with numbers of 16 bits."""
    lchown32(process, path, _wide(uid), _wide(gid))


@call(95, "fchown")
def fchown(process: Process, fd: int, uid: int, gid: int) -> None:
    """fchown32 with numbers of 16 bits."""
    fchown32(process, fd, _wide(uid), _wide(gid))


def _wide(number: int) -> int:
    return MASK32 if number & 0xFFFF == 0xFFFF else number & 0xFFFF


def _chown(process: Process, found: Location, uid: int, gid: int) -> None:
    process.files.chown(found, -1 if uid == MASK32 else uid, -1 if gid == MASK32 else gid)


def _opened(process: Process, fd: int) -> Location:
    """Where an open file is that can be changed by its descriptor."""
    file: OpenFile = process.descriptors.get(fd)
    if isinstance(file, PathFile):
        raise CallError(errno.EBADF)
    return location_of(file)


# -- size and times --------------------------------------------------------------------------------------------------


@call(92, "truncate")
def truncate(process: Process, path: int, size: int) -> None:
    """Set the size of a file."""
    _truncate(process, path, signed(size))


@call(193, "truncate64")
def truncate64(process: Process, path: int, size_low: int, size_high: int) -> None:
    """Set the size of a file."""
    _truncate(process, path, signed64(size_low, size_high))


def _truncate(process: Process, path: int, size: int) -> None:
    if size < 0:
        raise CallError(errno.EINVAL)
    name = path_argument(process, path)
    if limits.file_size(process) is not None:
        status = process.files.status(name)
        if S_ISREG(status.mode):
            process.files.access(name, 2)  # whether it may be written to comes first
            limits.check_growth(process, status.size, size)
    process.files.truncate(name, size)


@call(30, "utime")
def utime(process: Process, path: int, times: int) -> None:
    """Set the times, in seconds; to now without any."""
    given = [(second, 0) for second in _pairs(process, layouts.TIMESPEC, times, 1)[0]] if times else []
    _utime(process, AT_FDCWD, path, given, follow=True)


@call(271, "utimes")
def utimes(process: Process, path: int, times: int) -> None:
    """Set the times, in microseconds."""
    futimesat(process, AT_FDCWD, path, times)


@call(299, "futimesat")
def futimesat(process: Process, directory_fd: int, path: int, times: int) -> None:
    """The same, relative to a directory."""
    pairs = _pairs(process, layouts.TIMEVAL, times, 2) if times else []
    if any(not 0 <= microseconds < 10**6 for _, microseconds in pairs):
        raise CallError(errno.EINVAL)
    _utime(process, directory_fd, path, [(second, part * 1000) for second, part in pairs], follow=True)


@call(320, "utimensat")
def utimensat(process: Process, directory_fd: int, path: int, times: int, flags: int) -> None:
    """Set the times, in nanoseconds; to now, or leave them."""
    _utimensat(process, directory_fd, path, _pairs(process, layouts.TIMESPEC, times, 2) if times else [], flags)


@call(412, "utimensat_time64")
def utimensat_time64(process: Process, directory_fd: int, path: int, times: int, flags: int) -> None:
    """The same with seconds of 64 bits."""
    _utimensat(process, directory_fd, path, _pairs(process, layouts.TIMESPEC64, times, 2) if times else [], flags)


def _utimensat(process: Process, directory_fd: int, path: int, pairs: list[tuple[int, int]], flags: int) -> None:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise CallError(errno.EINVAL)
    if any(not (0 <= part < SECOND or part in (UTIME_NOW, UTIME_OMIT)) for _, part in pairs):
        raise CallError(errno.EINVAL)
    if pairs and all(part == UTIME_OMIT for _, part in pairs):
        return
    _utime(process, directory_fd, path, pairs, follow=not flags & AT_SYMLINK_NOFOLLOW, flags=flags)


def _pairs(process: Process, layout: Struct, address: int, count: int) -> list[tuple[int, int]]:
    data = process.memory.read(address, count * layout.size)
    return [(pair[0], pair[1]) for pair in layout.iter_unpack(data)]


def _utime(
    process: Process, directory_fd: int, path: int, pairs: list[tuple[int, int]], *, follow: bool, flags: int = 0
) -> None:
    if not path and directory_fd != AT_FDCWD:
        found = _opened(process, directory_fd)
    else:
        name = path_argument(process, path)
        found = locate(process, directory_fd, name, follow=follow, empty=bool(flags & AT_EMPTY_PATH))
    now = time.time_ns()
    times: list[int | None] = []
    for second, part in pairs or [(0, UTIME_NOW)] * 2:
        times.append(now if part == UTIME_NOW else None if part == UTIME_OMIT else second * SECOND + part)
    only_now = all(part == UTIME_NOW for _, part in pairs)
    process.files.utime(found, times[0], times[1], now=only_now)


# -- file systems ----------------------------------------------------------------------------------------------------


@call(99, "statfs")
def statfs(process: Process, path: int, statfs_out: int) -> None:
    """The state of the file system that a file is in, in the old structure."""
    _store_statfs(process, statfs_out, process.files.filesystem(path_argument(process, path)))


@call(100, "fstatfs")
def fstatfs(process: Process, fd: int, statfs_out: int) -> None:
    """The same of an open file."""
    _store_statfs(process, statfs_out, location_of(process.descriptors.get(fd)).node.filesystem())


@call(268, "statfs64")
def statfs64(process: Process, path: int, size: int, statfs_out: int) -> None:
    """The same in a structure of ``size`` bytes."""
    name = path_argument(process, path)
    _check_statfs_size(size)
    process.memory.write(statfs_out, layouts.statfs64(process.files.filesystem(name)))


@call(269, "fstatfs64")
def fstatfs64(process: Process, fd: int, size: int, statfs_out: int) -> None:
    """The same of an open file."""
    file = process.descriptors.get(fd)
    _check_statfs_size(size)
    process.memory.write(statfs_out, layouts.statfs64(location_of(file).node.filesystem()))


def _check_statfs_size(size: int) -> None:
    if size not in (layouts.STATFS64.size, layouts.STATFS64.size + 4):  # with and without padding at the end
        raise CallError(errno.EINVAL)


def _store_statfs(process: Process, address: int, status: FileSystemStatus) -> None:
    try:
        process.memory.write(address, layouts.statfs(status))
    except OverflowError:
        raise CallError(errno.EOVERFLOW) from None


# -- extended attributes: there are none -----------------------------------------------------------------------------


@call(226, "setxattr")
@call(229, "getxattr")
@call(232, "listxattr")
@call(235, "removexattr")
def path_xattr(process: Process, path: int) -> None:
    """No file system here has extended attributes."""
    locate(process, AT_FDCWD, path_argument(process, path), follow=True)
    raise CallError(errno.EOPNOTSUPP)


@call(227, "lsetxattr")
@call(230, "lgetxattr")
@call(233, "llistxattr")
@call(236, "lremovexattr")
def link_xattr(process: Process, path: int) -> None:
    """The same of a symbolic link itself."""
    locate(process, AT_FDCWD, path_argument(process, path), follow=False)
    raise CallError(errno.EOPNOTSUPP)


@call(228, "fsetxattr")
@call(231, "fgetxattr")
@call(234, "flistxattr")
@call(237, "fremovexattr")
def open_xattr(process: Process, fd: int) -> None:
    """The same of an open file."""
    process.descriptors.get(fd)
    raise CallError(errno.EOPNOTSUPP)
