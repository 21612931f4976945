"""Files of memory, as memfd_create makes them, and seals, which forbid for good what may be done with them (mm/memfd.c).

They are files of a tree of their own, which all processes of a guest have together.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final
from weakref import WeakKeyDictionary

from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._wait import Waiter
from vx32py.vfs.content import TreeFile
from vx32py.vfs.namespace import NameSpace
from vx32py.vfs.tree import Inode, Tree

F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC = 1, 2, 4, 8, 16, 32
_ALL_SEALS: Final = 63
_NO_WRITES: Final = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE
_MOST_FILES: Final = 4096
#: The number of the kernel's own tmpfs, as far as one can be told.
_DEVICE: Final = 1

_trees: Final[WeakKeyDictionary[NameSpace, Tree]] = WeakKeyDictionary()


class MemoryInode(Inode):
    """A file of memory. ``seals``: F_SEAL_…"""

    __slots__ = ("seals",)

    def __init__(self, tree: Tree, ino: int) -> None:
        super().__init__(tree, stat.S_IFREG, ino)
        self.seals = 0

    def opened(self, flags: int) -> MemoryFile:
        assert self.content is not None
        return MemoryFile(self, self.tree.store.open(self.content, flags), flags)


class MemoryFile(TreeFile):
    """It, open."""

    @property
    def memory(self) -> MemoryInode:
        """The inode, which has the seals."""
        assert isinstance(self.inode, MemoryInode)
        return self.inode

    def put(self, view: memoryview, waiter: Waiter) -> int:
        at = os.fstat(self.fd).st_size if self.flags & os.O_APPEND else self.seek(0, os.SEEK_CUR)
        self._check(at + len(view))
        return super().put(view, waiter)

    def write_at(self, view: memoryview, offset: int) -> int:
        self._check((os.fstat(self.fd).st_size if self.flags & os.O_APPEND else offset) + len(view))
        return super().write_at(view, offset)

    def truncate(self, size: int) -> None:
        now, seals = os.fstat(self.fd).st_size, self.memory.seals
        if (size < now and seals & F_SEAL_SHRINK) or (size > now and seals & F_SEAL_GROW):
            raise CallError(errno.EPERM)
        super().truncate(size)

    def allocate(self, offset: int, count: int) -> None:
        if offset + count > os.fstat(self.fd).st_size and self.memory.seals & F_SEAL_GROW:
            raise CallError(errno.EPERM)
        super().allocate(offset, count)

    def check_change(self) -> None:
        if self.memory.seals & _NO_WRITES:
            raise CallError(errno.EPERM)

    def _check(self, end: int) -> None:
        self.check_change()
        if end > os.fstat(self.fd).st_size and self.memory.seals & F_SEAL_GROW:
            raise CallError(errno.EPERM)

    def copy(self, held: object, copies: object) -> HostFile | None:
        """None: its seals are not to be got rid of, and its memory is another process's."""
        return None


def make(space: NameSpace, size: int, mode: int, seals: int) -> MemoryFile:
    """A new one, empty. ``size``: how many bytes all of them have room for. Raises CallError."""
    tree = _trees.get(space)
    if tree is None:
        tree = _trees[space] = Tree(space.view, _DEVICE, size, _MOST_FILES, 0o777)
    tree.quota.take_file()
    tree.last_inode += 1
    inode = MemoryInode(tree, tree.last_inode)
    inode.own, inode.links, inode.mode, inode.seals = True, 0, mode, seals
    inode.uid, inode.gid = tree.view.uid, tree.view.gid
    try:
        inode.content = tree.store.new()
        return inode.opened(os.O_RDWR)
    except BaseException:
        tree.quota.files_left += 1
        raise


def seals_of(file: OpenFile) -> int:
    """F_GET_SEALS. Raises CallError(EINVAL) for a file that cannot have any."""
    if not isinstance(file, MemoryFile):
        raise CallError(errno.EINVAL)
    return file.memory.seals


def add_seals(file: OpenFile, more: int) -> None:
    """F_ADD_SEALS. Raises CallError."""
    if not isinstance(file, MemoryFile) or more & ~_ALL_SEALS:
        raise CallError(errno.EINVAL)
    memory, mapping = file.memory, file.mapping
    if not file.writable or memory.seals & F_SEAL_SEAL:
        raise CallError(errno.EPERM)
    if more & F_SEAL_WRITE and mapping is not None and mapping.can_be_stored:
        raise CallError(errno.EBUSY)
    if more & F_SEAL_EXEC and memory.mode & 0o111:
        more |= F_SEAL_SHRINK | F_SEAL_GROW | _NO_WRITES
    memory.seals |= more
