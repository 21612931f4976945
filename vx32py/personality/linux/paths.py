"""Calls on paths. A path leads into what the sandbox grants, or to -ENOENT."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed, signed64
from vx32py._descriptors import Status
from vx32py._errors import CallError
from vx32py.personality.common import path_argument
from vx32py.personality.linux import layouts
from vx32py.personality.linux.files import O_LARGEFILE, start_directory
from vx32py.personality.linux.table import LinuxState, call

if TYPE_CHECKING:
    from vx32py._process import Process

AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_REMOVEDIR: Final = 0x200
AT_EMPTY_PATH: Final = 0x1000
O_PATH: Final = 0o10000000


@call(5, "open")
def open_(process: Process, path: int, flags: int, mode: int) -> int:
    """Open a file or directory."""
    return _open(process, path, flags, mode, None)


@call(8, "creat")
def creat(process: Process, path: int, mode: int) -> int:
    """Make a file, or empty one."""
    return _open(process, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode, None)


@call(295, "openat")
def openat(process: Process, directory_fd: int, path: int, flags: int, mode: int) -> int:
    """Open relative to a directory."""
    return _open(process, path, flags, mode, _start(process, directory_fd, path))


def _open(process: Process, path: int, flags: int, mode: int, start: str | None) -> int:
    name = path_argument(process, path)
    flags &= ~(O_LARGEFILE | O_PATH)  # Linux's other flags have the same values on i386 and x86-64
    file = process.files.open(name, flags, mode & ~process.state(LinuxState).umask & 0o777, start=start)
    return process.descriptors.install(file, close_on_exec=bool(flags & os.O_CLOEXEC))


@call(33, "access")
def access(process: Process, path: int, mode: int) -> None:
    """Whether a path can be read, written, executed."""
    process.files.access(path_argument(process, path), mode)


@call(307, "faccessat")
@call(439, "faccessat2")
def faccessat(process: Process, directory_fd: int, path: int, mode: int) -> None:
    """The same, relative to a directory."""
    process.files.access(path_argument(process, path), mode, start=_start(process, directory_fd, path))


@call(85, "readlink")
def readlink(process: Process, path: int, buffer: int, count: int) -> int:
    """Where a symbolic link points."""
    return _readlink(process, path, buffer, count, None)


@call(305, "readlinkat")
def readlinkat(process: Process, directory_fd: int, path: int, buffer: int, count: int) -> int:
    """The same, relative to a directory."""
    return _readlink(process, path, buffer, count, _start(process, directory_fd, path))


def _readlink(process: Process, path: int, buffer: int, count: int, start: str | None) -> int:
    if signed(count) <= 0:
        raise CallError(errno.EINVAL)
    target = process.files.readlink(path_argument(process, path), start=start)[:count]
    process.memory.write(buffer, target)
    return len(target)


@call(106, "stat")
def stat(process: Process, path: int, stat_out: int) -> None:
    """The state of a file, in the old structure."""
    _store_old(process, stat_out, process.files.status(path_argument(process, path)))


@call(107, "lstat")
def lstat(process: Process, path: int, stat_out: int) -> None:
    """The same of a symbolic link itself."""
    _store_old(process, stat_out, process.files.status(path_argument(process, path), follow=False))


@call(195, "stat64")
def stat64(process: Process, path: int, stat_out: int) -> None:
    """The state of a file."""
    process.memory.write(stat_out, layouts.stat64(process.files.status(path_argument(process, path))))


@call(196, "lstat64")
def lstat64(process: Process, path: int, stat_out: int) -> None:
    """The same of a symbolic link itself."""
    status = process.files.status(path_argument(process, path), follow=False)
    process.memory.write(stat_out, layouts.stat64(status))


@call(300, "fstatat64")
def fstatat64(process: Process, directory_fd: int, path: int, stat_out: int, flags: int) -> None:
    """The state of a file relative to a directory, or of the descriptor itself."""
    process.memory.write(stat_out, layouts.stat64(_status_at(process, directory_fd, path, flags)))


@call(383, "statx")
def statx(process: Process, directory_fd: int, path: int, flags: int, mask: int, statx_out: int) -> None:
    """The same in the newest structure."""
    process.memory.write(statx_out, layouts.statx(_status_at(process, directory_fd, path, flags)))


def _status_at(process: Process, directory_fd: int, path: int, flags: int) -> Status:
    name = path_argument(process, path) if path else ""
    if not name and flags & AT_EMPTY_PATH:
        if signed(directory_fd) == -100:
            return process.files.status(".")
        return process.descriptors.get(directory_fd).status()
    start = None if name.startswith("/") else start_directory(process, directory_fd)
    return process.files.status(name, follow=not flags & AT_SYMLINK_NOFOLLOW, start=start)


def _store_old(process: Process, address: int, status: Status) -> None:
    try:
        process.memory.write(address, layouts.stat(status))
    except OverflowError:
        raise CallError(errno.EOVERFLOW) from None


@call(183, "getcwd")
def getcwd(process: Process, buffer: int, count: int) -> int:
    """The working directory; its length with the zero byte."""
    text = os.fsencode(process.files.cwd) + b"\0"
    if len(text) > count:
        raise CallError(errno.ERANGE)
    process.memory.write(buffer, text)
    return len(text)


@call(12, "chdir")
def chdir(process: Process, path: int) -> None:
    """Change the working directory."""
    process.files.chdir(path_argument(process, path))


@call(133, "fchdir")
def fchdir(process: Process, fd: int) -> None:
    """Change it to an open directory."""
    start = start_directory(process, fd)
    process.files.chdir(start if start is not None else ".")


@call(39, "mkdir")
def mkdir(process: Process, path: int, mode: int) -> None:
    """Make a directory."""
    process.files.mkdir(path_argument(process, path), mode & ~process.state(LinuxState).umask)


@call(296, "mkdirat")
def mkdirat(process: Process, directory_fd: int, path: int, mode: int) -> None:
    """The same, relative to a directory."""
    start = _start(process, directory_fd, path)
    process.files.mkdir(path_argument(process, path), mode & ~process.state(LinuxState).umask, start=start)


@call(40, "rmdir")
def rmdir(process: Process, path: int) -> None:
    """Remove an empty directory."""
    process.files.remove(path_argument(process, path), directory=True)


@call(10, "unlink")
def unlink(process: Process, path: int) -> None:
    """Remove a file."""
    process.files.remove(path_argument(process, path), directory=False)


@call(301, "unlinkat")
def unlinkat(process: Process, directory_fd: int, path: int, flags: int) -> None:
    """Either, relative to a directory."""
    start = _start(process, directory_fd, path)
    process.files.remove(path_argument(process, path), directory=bool(flags & AT_REMOVEDIR), start=start)


@call(9, "link")
def link(process: Process, path: int, new_path: int) -> None:
    """Give a file another name."""
    process.files.link(path_argument(process, path), path_argument(process, new_path))


@call(83, "symlink")
def symlink(process: Process, content: int, path: int) -> None:
    """Make a symbolic link."""
    process.files.symlink(path_argument(process, content), path_argument(process, path))


@call(38, "rename")
def rename(process: Process, path: int, new_path: int) -> None:
    """Rename."""
    process.files.rename(path_argument(process, path), path_argument(process, new_path))


@call(302, "renameat")
def renameat(process: Process, old_fd: int, path: int, new_fd: int, new_path: int) -> None:
    """Rename, relative to directories."""
    process.files.rename(
        path_argument(process, path),
        path_argument(process, new_path),
        old_start=_start(process, old_fd, path),
        new_start=_start(process, new_fd, new_path),
    )


@call(353, "renameat2")
def renameat2(process: Process, old_fd: int, path: int, new_fd: int, new_path: int, flags: int) -> None:
    """The same without flags."""
    if flags:
        raise CallError(errno.EINVAL)
    renameat(process, old_fd, path, new_fd, new_path)


@call(15, "chmod")
def chmod(process: Process, path: int, mode: int) -> None:
    """Change permission bits."""
    process.files.chmod(path_argument(process, path), mode)


@call(306, "fchmodat")
def fchmodat(process: Process, directory_fd: int, path: int, mode: int) -> None:
    """The same, relative to a directory."""
    start = _start(process, directory_fd, path)
    process.files.chmod(path_argument(process, path), mode, start=start)


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
    process.files.truncate(path_argument(process, path), size)


@call(60, "umask")
def umask(process: Process, mask: int) -> int:
    """Which permission bits new files do not get; the mask before."""
    state = process.state(LinuxState)
    before, state.umask = state.umask, mask & 0o777
    return before


def _start(process: Process, fd: int, path: int) -> str | None:
    """Where a path starts; the descriptor does not matter to an absolute one."""
    return None if process.memory.read(path, 1) == b"/" else start_directory(process, fd)
