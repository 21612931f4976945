"""Files that have names of their own until they are whole; and those that others have left behind.

Who writes such a file holds a lock on it (flock), of which the host's kernel lets go when the process ends, however that ends.
So one that nobody holds has been left by a process that is no more: by SIGKILL, or by a host that was switched off. Another
host that writes to the same folder over a network may have locks that cannot be seen from here: a name says which host it
belongs to.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from contextlib import suppress
from typing import Final

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A FIFO of such a name is not waited for, nor is a device opened for good: O_NONBLOCK, and nothing is read or written.
_OLD: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_HOST: Final = hashlib.sha256(os.fsencode(os.uname().nodename)).hexdigest()[:8]
_NAME: Final = re.compile(rf"\.vx32py-{_HOST}-[0-9a-f]{{16}}\.part")

#: Those of this process, with a descriptor of the folder that each is in.
_unfinished: Final[set[tuple[int, str]]] = set()


def new_name() -> str:
    """A name that nothing has, most probably, and that sorts with those of its kind."""
    return f".vx32py-{_HOST}-{os.urandom(8).hex()}.part"


def create(folder: int, name: str, mode: int = 0o600) -> int:
    """A new file of a name from :func:`new_name` in a folder: a descriptor for reading and writing, or -1 where another
    name is to be tried. Raises OSError."""
    _unfinished.add((folder, name))
    try:
        fd = os.open(name, _NEW, mode, dir_fd=folder)
    except BaseException:
        forget(folder, name)
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass
    except OSError:  # a file system without locks: then nobody has one
        return fd
    # Somebody has found it before it had its lock, and takes it away.
    os.close(fd)
    remove(folder, name)
    return -1


def forget(folder: int, name: str) -> None:
    """There is no file of this name any more."""
    _unfinished.discard((folder, name))


def remove(folder: int, name: str) -> None:
    """Take it away, if it is still there: it is called as nothing else is."""
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
    forget(folder, name)


def give_up() -> None:
    """Take away all of this process that are not whole. For one that is about to end, with threads that still write."""
    for folder, name in tuple(_unfinished):
        remove(folder, name)


def clear(folder: int) -> int:
    """Take away what processes that are no more have left in a folder; how many files that were. ``folder`` may be O_PATH.

    They are this user's files of such names, of this host, on which nobody has a lock. What cannot be looked at stays.
    """
    cleared = 0
    with suppress(OSError):
        readable = os.open(".", _FOLDER, dir_fd=folder)
        try:
            for name in os.listdir(readable):
                if name.startswith(".vx32py-") and _NAME.fullmatch(name):
                    cleared += _clear_one(readable, name)
        finally:
            os.close(readable)
    return cleared


def _clear_one(folder: int, name: str) -> bool:
    try:
        if not _is_ours(os.stat(name, dir_fd=folder, follow_symlinks=False)):
            return False
        fd = os.open(name, _OLD, dir_fd=folder)
    except OSError:
        return False
    try:
        found = os.fstat(fd)
        if not _is_ours(found):
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Under the lock: a name that is still this file's cannot become another one's, its owner being dead.
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (now.st_dev, now.st_ino) != (found.st_dev, found.st_ino):
            return False
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
