"""What is in the files of a guest's own file systems, and how much of it there may be.

The bytes of each file are a file of the host's, in a private temporary directory that is removed with the guest. So they
take no memory of this process, they can be mapped and read without Python, and only files that are open have descriptors.
"""

from __future__ import annotations

import errno
import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from vx32py._descriptors import Status
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._wait import Waiter
from vx32py.vfs.nodes import HOST_ERRORS

if TYPE_CHECKING:
    from vx32py.vfs.tree import Inode

_SHOWN_FLAGS: Final = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC
_HOST_FLAGS: Final = os.O_ACCMODE | os.O_APPEND | os.O_SYNC
#: Bytes that are copied between two looks at nothing in particular: copying must not take memory.
_PIECE: Final = 16 << 20


class Quota:
    """How many bytes and files may still be made. Bytes are those of the files' sizes: a hole counts, too."""

    __slots__ = ("bytes_left", "files_left", "most_bytes", "most_files")

    def __init__(self, most_bytes: int, most_files: int) -> None:
        self.most_bytes = self.bytes_left = most_bytes
        self.most_files = self.files_left = most_files

    def take(self, count: int) -> None:
        """So many bytes more (or fewer). Raises CallError(ENOSPC)."""
        if count > self.bytes_left and count > 0:
            raise CallError(errno.ENOSPC)
        self.bytes_left -= count

    def take_file(self) -> None:
        """A file more. Raises CallError(ENOSPC)."""
        if self.files_left <= 0:
            raise CallError(errno.ENOSPC)
        self.files_left -= 1


class Store:
    """The temporary directory, made when the first file is; a file in it has a number."""

    def __init__(self) -> None:
        self._directory = ""
        self._last = 0
        self._remove: Any = None

    def _next(self) -> int:
        if not self._directory:
            import shutil
            import tempfile

            with HOST_ERRORS:
                self._directory = tempfile.mkdtemp(prefix="vx32py-files-")
            self._remove = weakref.finalize(self, _remove_tree, shutil.rmtree, self._directory, os.getpid())
        self._last += 1
        return self._last

    def new(self) -> int:
        """An empty file. Raises CallError."""
        number = self._next()
        with HOST_ERRORS:
            os.close(os.open(self.path(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return number

    def new_fifo(self) -> str:
        """Where the host has a FIFO that has just been made. Raises CallError."""
        path = self.path(self._next())
        with HOST_ERRORS:
            os.mkfifo(path, 0o600)
        return path

    def path(self, number: int) -> str:
        """Where the host has a file."""
        return f"{self._directory}/{number}"

    def open(self, number: int, flags: int) -> int:
        """A descriptor of a file. Raises CallError."""
        with HOST_ERRORS:
            return os.open(self.path(number), flags & _HOST_FLAGS | os.O_CLOEXEC | os.O_NOFOLLOW)

    def remove(self, number: int) -> None:
        """It is needed no more; who has it open still has it."""
        os.unlink(self.path(number))


def _remove_tree(rmtree: Any, directory: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked child of the application's has a copy of the Store, but not the directory
        rmtree(directory, ignore_errors=True)


def copy_bytes(source: int, target: int, count: int) -> None:
    """Copy the beginning of a file to another one. Raises CallError."""
    with HOST_ERRORS:
        done = 0
        while done < count:
            try:
                step = os.copy_file_range(source, target, min(count - done, _PIECE))
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                    raise
                step = os.sendfile(target, source, None, min(count - done, _PIECE))
            if not step:
                break
            done += step


class TreeFile(HostFile):
    """An open file of a file system of the guest's own. The engine may read it by itself, writing is counted."""

    reads_natively = True

    def __init__(self, inode: Inode, fd: int, flags: int) -> None:
        super().__init__(fd, flags & _SHOWN_FLAGS, owned=True)
        self.inode = inode
        inode.opens += 1

    def put(self, view: memoryview, waiter: Waiter) -> int:
        with HOST_ERRORS:
            at = os.fstat(self.fd).st_size if self.flags & os.O_APPEND else os.lseek(self.fd, 0, os.SEEK_CUR)
        return super().put(self._room(view, at), waiter)

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        total = 0
        for view in views:
            try:
                count = self.put(view, waiter)
            except CallError:
                if not total:
                    raise
                break
            total += count
            if count < len(view):
                break
        return total

    def write_at(self, view: memoryview, offset: int) -> int:
        at = os.fstat(self.fd).st_size if self.flags & os.O_APPEND else offset
        return super().write_at(self._room(view, at), offset)

    def _room(self, view: memoryview, at: int) -> memoryview:
        """As much of what is to be written as there is room for, which is then taken. Raises CallError(ENOSPC, EFBIG)."""
        size, quota = os.fstat(self.fd).st_size, self.inode.tree.quota
        grows = at + len(view) - size
        if grows <= 0:
            return view
        if grows > quota.bytes_left:
            room = size + quota.bytes_left - at
            if room <= 0 or not len(view):
                raise CallError(errno.ENOSPC)
            view, grows = view[:room], quota.bytes_left
        quota.take(grows)
        return view

    def truncate(self, size: int) -> None:
        with HOST_ERRORS:
            self.inode.tree.quota.take(size - os.fstat(self.fd).st_size)
            os.ftruncate(self.fd, size)
        self.changed(0, 0)

    def allocate(self, offset: int, count: int) -> None:
        """See that there is room for so many bytes from ``offset`` on. Raises CallError."""
        with HOST_ERRORS:
            self.inode.tree.quota.take(max(0, offset + count - os.fstat(self.fd).st_size))
            os.posix_fallocate(self.fd, offset, count)
        self.changed(0, 0)

    def status(self) -> Status:
        return self.inode.status()

    def close(self) -> None:
        if self.owned:
            super().close()
            self.inode.closed()

    def go_back(self, held: Any) -> bool:
        if not self.references:
            self.inode.opens += 1
        return super().go_back(held)

    def copy(self, held: Any, copies: dict[object, Any]) -> HostFile | None:
        if held.fd is None:
            return None
        other = TreeFile(self.inode, self._open_again(held.fd), self.flags)
        if held.position is not None:
            os.lseek(other.fd, held.position, os.SEEK_SET)
        return other
