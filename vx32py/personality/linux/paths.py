"""Calls on names: opening, making, removing, renaming. A path leads into what the sandbox grants, or to -ENOENT."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py.personality.common import path_argument
from vx32py.personality.linux.table import call
from vx32py.vfs.host import O_PATH
from vx32py.vfs.opened import location_of

if TYPE_CHECKING:
    from vx32py._process import Process
    from vx32py.vfs.walk import Location, Walker

AT_FDCWD: Final = 0xFFFF_FF9C
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_REMOVEDIR: Final = 0x200
AT_SYMLINK_FOLLOW: Final = 0x400
AT_EMPTY_PATH: Final = 0x1000
O_LARGEFILE: Final = 0o100000
#: O_TMPFILE without the O_DIRECTORY that is part of it.
O_TMPFILE_ALONE: Final = 0o20000000
#: What O_PATH goes together with.
PATH_FLAGS: Final = os.O_DIRECTORY | os.O_NOFOLLOW | O_PATH | os.O_CLOEXEC


def start_of(process: Process, fd: int, path: str) -> Location | None:
    """Where a path relative to ``fd`` starts; None for the working directory, and for an absolute path, to which the
    descriptor does not matter. Raises CallError(EBADF)."""
    if fd == AT_FDCWD or path.startswith("/"):
        return None
    return location_of(process.descriptors.get(fd))


def locate(process: Process, fd: int, path: str, *, follow: bool, empty: bool = False) -> Location:
    """What a path relative to ``fd`` leads to; with ``empty`` (AT_EMPTY_PATH), an empty one to what ``fd`` stands for. Raises
    CallError."""
    if not path and empty:
        return process.files.here if fd == AT_FDCWD else location_of(process.descriptors.get(fd))
    return process.files.locate(path, follow=follow, start=start_of(process, fd, path))


@call(5, "open")
def open_(process: Process, path: int, flags: int, mode: int) -> int:
    """Open a file or directory."""
    return _open(process, AT_FDCWD, path, flags, mode)


@call(8, "creat")
def creat(process: Process, path: int, mode: int) -> int:
    """Make a file, or empty one."""
    return _open(process, AT_FDCWD, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)


@call(295, "openat")
def openat(process: Process, directory_fd: int, path: int, flags: int, mode: int) -> int:
    """Open relative to a directory."""
    return _open(process, directory_fd, path, flags, mode)


def _open(process: Process, directory_fd: int, path: int, flags: int, mode: int) -> int:
    name = path_argument(process, path)
    if flags & O_PATH:
        flags &= PATH_FLAGS
    check_flags(flags)
    return open_path(process, name, flags, mode, start_of(process, directory_fd, name))


def check_flags(flags: int) -> None:
    """What no way to open lets pass (build_open_flags). Raises CallError(EINVAL)."""
    if flags & os.O_DIRECTORY and flags & os.O_CREAT:
        raise CallError(errno.EINVAL)
    if flags & O_TMPFILE_ALONE and (not flags & os.O_DIRECTORY or flags & os.O_ACCMODE == os.O_RDONLY):
        raise CallError(errno.EINVAL)


def open_path(
    process: Process, name: str, flags: int, mode: int, start: Location | None, walker: Walker | None = None
) -> int:
    """Open what is there and give it a descriptor. Raises CallError."""
    flags &= ~O_LARGEFILE  # Linux's other flags have the same values on i386 and x86-64
    mode &= ~process.files.umask & 0o7777
    file = process.files.open(name, flags, mode, start=start, walker=walker)
    return process.descriptors.install(file, close_on_exec=bool(flags & os.O_CLOEXEC))


@call(85, "readlink")
def readlink(process: Process, path: int, buffer: int, count: int) -> int:
    """Where a symbolic link points."""
    return _readlink(process, AT_FDCWD, path, buffer, count)


@call(305, "readlinkat")
def readlinkat(process: Process, directory_fd: int, path: int, buffer: int, count: int) -> int:
    """The same, relative to a directory; of a link opened with O_PATH where the path is empty."""
    return _readlink(process, directory_fd, path, buffer, count)


def _readlink(process: Process, directory_fd: int, path: int, buffer: int, count: int) -> int:
    if signed(count) <= 0:
        raise CallError(errno.EINVAL)
    name = path_argument(process, path)
    found = locate(process, directory_fd, name, follow=False, empty=directory_fd != AT_FDCWD)
    try:
        target = found.node.readlink()[:count]
    except CallError as error:
        raise CallError(error.errno if name else errno.ENOENT) from None
    process.memory.write(buffer, target)
    return len(target)


@call(183, "getcwd")
def getcwd(process: Process, buffer: int, count: int) -> int:
    """The working directory; its length with the zero byte."""
    text = os.fsencode(process.files.getcwd()) + b"\0"
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
    process.files.enter(location_of(process.descriptors.get(fd)))


@call(39, "mkdir")
def mkdir(process: Process, path: int, mode: int) -> None:
    """Make a directory."""
    mkdirat(process, AT_FDCWD, path, mode)


@call(296, "mkdirat")
def mkdirat(process: Process, directory_fd: int, path: int, mode: int) -> None:
    """The same, relative to a directory."""
    name = path_argument(process, path)
    mode &= ~process.files.umask & 0o1777
    process.files.mkdir(name, mode, start=start_of(process, directory_fd, name))


@call(14, "mknod")
def mknod(process: Process, path: int, mode: int, device: int) -> None:
    """Make an empty file, a FIFO or a socket; devices are refused."""
    mknodat(process, AT_FDCWD, path, mode, device)


@call(297, "mknodat")
def mknodat(process: Process, directory_fd: int, path: int, mode: int, _device: int) -> None:
    """The same, relative to a directory."""
    name = path_argument(process, path)
    mode &= ~(process.files.umask & 0o777) & 0xFFFF
    process.files.mknod(name, mode, start=start_of(process, directory_fd, name))


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
    if flags & ~AT_REMOVEDIR:
        raise CallError(errno.EINVAL)
    name = path_argument(process, path)
    start = start_of(process, directory_fd, name)
    process.files.remove(name, directory=bool(flags & AT_REMOVEDIR), start=start)


@call(9, "link")
def link(process: Process, path: int, new_path: int) -> None:
    """Give a file another name."""
    linkat(process, AT_FDCWD, path, AT_FDCWD, new_path, 0)


@call(303, "linkat")
def linkat(process: Process, old_fd: int, path: int, new_fd: int, new_path: int, flags: int) -> None:
    """The same, relative to directories; perhaps what a symbolic link points to, or an open file."""
    if flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH):
        raise CallError(errno.EINVAL)
    name, new_name = path_argument(process, path), path_argument(process, new_path)
    follow, empty = bool(flags & AT_SYMLINK_FOLLOW), bool(flags & AT_EMPTY_PATH)
    source = locate(process, old_fd, name, follow=follow, empty=empty)
    process.files.link_location(source, new_name, start_of(process, new_fd, new_name))


@call(83, "symlink")
def symlink(process: Process, content: int, path: int) -> None:
    """Make a symbolic link."""
    symlinkat(process, content, AT_FDCWD, path)


@call(304, "symlinkat")
def symlinkat(process: Process, content: int, directory_fd: int, path: int) -> None:
    """The same, relative to a directory."""
    text, name = path_argument(process, content), path_argument(process, path)
    process.files.symlink(text, name, start=start_of(process, directory_fd, name))


@call(38, "rename")
def rename(process: Process, path: int, new_path: int) -> None:
    """Rename."""
    renameat2(process, AT_FDCWD, path, AT_FDCWD, new_path, 0)


@call(302, "renameat")
def renameat(process: Process, old_fd: int, path: int, new_fd: int, new_path: int) -> None:
    """Rename, relative to directories."""
    renameat2(process, old_fd, path, new_fd, new_path, 0)


@call(353, "renameat2")
def renameat2(process: Process, old_fd: int, path: int, new_fd: int, new_path: int, flags: int) -> None:
    """The same, perhaps without replacing what is there, or exchanging both."""
    name, new_name = path_argument(process, path), path_argument(process, new_path)
    process.files.rename(
        name,
        new_name,
        old_start=start_of(process, old_fd, name),
        new_start=start_of(process, new_fd, new_name),
        flags=flags,
    )


@call(60, "umask")
def umask(process: Process, mask: int) -> int:
    """Which permission bits new files do not get; the mask before."""
    before, process.files.umask = process.files.umask, mask & 0o777
    return before
