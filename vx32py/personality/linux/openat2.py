"""openat2: open with a structure that says how the path may be walked (fs/open.c, build_open_flags)."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from reference.memory import PAGE
from vx32py._errors import CallError
from vx32py.personality.common import path_argument
from vx32py.personality.linux import paths
from vx32py.personality.linux.table import call
from vx32py.vfs.host import O_PATH
from vx32py.vfs.resolve import (
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    RestrictedWalker,
)

if TYPE_CHECKING:
    from vx32py._process import Process

#: struct open_how: flags, mode, resolve.
_HOW: Final = struct.Struct("<QQQ")
#: VALID_OPEN_FLAGS of include/linux/fcntl.h; O_DSYNC, FASYNC, O_DIRECT and O_NOATIME among them.
_FLAGS: Final = (
    os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_NOCTTY | os.O_TRUNC | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC | os.O_DSYNC
    | 0o20000 | 0o40000 | paths.O_LARGEFILE | os.O_DIRECTORY | os.O_NOFOLLOW | 0o1000000 | os.O_CLOEXEC | O_PATH
    | paths.O_TMPFILE_ALONE
)  # fmt: skip
_MAKES: Final = os.O_CREAT | paths.O_TMPFILE_ALONE
_SCOPED: Final = RESOLVE_BENEATH | RESOLVE_IN_ROOT
_RESOLVE: Final = (
    RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED
)


@call(437, "openat2")
def openat2(process: Process, directory_fd: int, path: int, how: int, size: int) -> int:
    """Open, perhaps without following links, or leaving a directory or a mount."""
    flags, mode, resolve = _how(process, how, size)
    if flags & ~_FLAGS or resolve & ~_RESOLVE or resolve & _SCOPED == _SCOPED:
        raise CallError(errno.EINVAL)
    if mode & ~0o7777 if flags & _MAKES else mode:
        raise CallError(errno.EINVAL)
    paths.check_flags(flags)
    if flags & O_PATH and flags & ~paths.PATH_FLAGS:
        raise CallError(errno.EINVAL)
    if resolve & RESOLVE_CACHED and flags & (_MAKES | os.O_TRUNC):
        raise CallError(errno.EAGAIN)  # all else is at hand
    name = path_argument(process, path)
    start, walker = paths.start_of(process, directory_fd, name), None
    if resolve:
        root = process.files.space.root
        if resolve & RESOLVE_BENEATH:
            root = start or process.files.here  # of an absolute path nothing is looked at
        elif resolve & RESOLVE_IN_ROOT:
            root = paths.start_of(process, directory_fd, "") or process.files.here
        walker = RestrictedWalker(root, resolve)
    return paths.open_path(process, name, flags, mode, start, walker)


def _how(process: Process, address: int, size: int) -> tuple[int, int, int]:
    """The structure, of which later versions may have more, that has to be zero (copy_struct_from_user). Raises
    CallError(EINVAL, E2BIG)."""
    if size < _HOW.size:
        raise CallError(errno.EINVAL)
    if size > PAGE:
        raise CallError(errno.E2BIG)
    content = process.memory.read(address, size)
    if any(content[_HOW.size :]):
        raise CallError(errno.E2BIG)
    flags, mode, resolve = _HOW.unpack_from(content)
    return flags, mode, resolve
