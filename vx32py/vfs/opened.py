"""Open files that stand for a place in the name space: directories, and what O_PATH opens."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from typing import Final

from vx32py._descriptors import OpenFile, Status
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._wait import Waiter
from vx32py.vfs.host import O_PATH, HostNode
from vx32py.vfs.nodes import Entry, Node
from vx32py.vfs.walk import Location, Mount

#: struct linux_dirent64 and linux_dirent of i386, without the name.
_DIRENT64: Final = struct.Struct("<QqHB")
_DIRENT: Final = struct.Struct("<IIH")


class PathFile(OpenFile):
    """A file opened with O_PATH: a place, of which nothing can be read or written."""

    def __init__(self, location: Location, flags: int = 0) -> None:
        super().__init__(O_PATH | flags & (os.O_DIRECTORY | os.O_NOFOLLOW))
        self.location: Location = location

    @property
    def readable(self) -> bool:
        return False

    @property
    def writable(self) -> bool:
        return False

    def read_at(self, view: memoryview, offset: int) -> int:
        raise CallError(errno.EBADF)

    def write_at(self, view: memoryview, offset: int) -> int:
        raise CallError(errno.EBADF)

    def seek(self, offset: int, whence: int) -> int:
        raise CallError(errno.EBADF)

    def truncate(self, size: int) -> None:
        raise CallError(errno.EBADF)

    def status(self) -> Status:
        return self.location.node.status()

    def copy(self, held: object, copies: object) -> PathFile:
        return PathFile(self.location, self.flags)


class DirectoryFile(OpenFile):
    """An open directory. Its entries are numbered as they are read: a position is a number, and to go back is to read the
    directory again. Where directories are changed meanwhile that is all that POSIX asks for."""

    def __init__(self, location: Location, flags: int = 0) -> None:
        super().__init__(os.O_RDONLY | os.O_DIRECTORY | flags & os.O_NONBLOCK)
        self.location: Location = location
        self.position = 0
        self._entries: Iterator[Entry] | None = None
        self._next: Entry | None = None

    def read(self, view: memoryview, waiter: Waiter) -> int:
        raise CallError(errno.EISDIR)

    def read_at(self, view: memoryview, offset: int) -> int:
        raise CallError(errno.EISDIR)

    def hold(self) -> tuple[int, Location]:
        return self.position, self.location

    def go_back(self, held: tuple[int, Location]) -> bool:
        self.position, self.location = held
        self._entries = None
        return True

    def copy(self, held: tuple[int, Location], copies: object) -> DirectoryFile:
        other = DirectoryFile(held[1], self.flags)
        other.position = held[0]
        return other

    def close(self) -> None:
        self._entries = self._next = None

    def seek(self, offset: int, whence: int) -> int:
        position = offset + (self.position if whence == os.SEEK_CUR else 0)
        if whence not in (os.SEEK_SET, os.SEEK_CUR) or position < 0:
            raise CallError(errno.EINVAL)
        if position != self.position or not position:
            self.position = position
            self._entries = None
        return position

    def status(self) -> Status:
        return self.location.node.status()

    def next_entry(self) -> Entry | None:
        """The entry at the position, without moving on."""
        if self._entries is None:
            self._entries = self._all()
            for _ in range(self.position):
                if next(self._entries, None) is None:
                    break
            self._next = next(self._entries, None)
        return self._next

    def move_on(self) -> None:
        """To the entry after."""
        assert self._entries is not None
        self._next = next(self._entries, None)
        self.position += 1

    def dirents(self, count: int, *, old: bool = False) -> bytes:
        """As many entries as go into ``count`` bytes, in Linux's form (getdents64, or i386's getdents). Raises CallError,
        EINVAL where not even one does."""
        out = bytearray()
        while (entry := self.next_entry()) is not None:
            name, ino, kind = entry
            text = os.fsencode(name) + b"\0"
            size = (_DIRENT.size + len(text) + 4) & -4 if old else (_DIRENT64.size + len(text) + 7) & -8
            if len(out) + size > count:
                if not out:
                    raise CallError(errno.EINVAL)
                break
            self.move_on()
            if old:
                head = _DIRENT.pack(ino & 0xFFFF_FFFF, self.position & 0x7FFF_FFFF, size)
                out += head + text.ljust(size - _DIRENT.size - 1, b"\0") + bytes([kind >> 12])
            else:
                out += _DIRENT64.pack(ino, self.position, size, kind >> 12) + text.ljust(size - _DIRENT64.size, b"\0")
        return bytes(out)

    def _all(self) -> Iterator[Entry]:
        here = self.location
        yield ".", here.node.status().ino, stat.S_IFDIR
        try:
            above = here.parent().node.status().ino
        except CallError:
            above = here.node.status().ino
        yield "..", above, stat.S_IFDIR
        mounts: dict[str, Mount] = here.mount.under.get(here.node.key(), {}) if here.mount.under else {}
        for name, mount in mounts.items():
            yield name, mount.root.status().ino, mount.root.kind
        for entry in here.node.entries():
            if entry[0] not in mounts:
                yield entry


class OpenedNode(Node):
    """What /proc/self/fd leads to for a file that is in no directory: a pipe, a standard stream."""

    __slots__ = ("file", "kind")

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.kind = stat.S_IFMT(file.status().mode)

    def status(self) -> Status:
        return self.file.status()

    def open(self, flags: int) -> OpenFile:
        """The very same open file; what it was not opened for cannot be had."""
        wanted = flags & os.O_ACCMODE
        if wanted == os.O_ACCMODE:
            raise CallError(errno.EINVAL)  # as of a pipe: there is no such end
        if (wanted != os.O_WRONLY and not self.file.readable) or (wanted != os.O_RDONLY and not self.file.writable):
            raise CallError(errno.EACCES)
        return self.file


def location_of(file: OpenFile) -> Location:
    """Where an open file is; for one that is in no directory, a place of its own. Raises CallError."""
    location = file.location
    if isinstance(location, Location):
        return location
    if isinstance(location, Mount) and isinstance(file, HostFile) and isinstance(location.root, HostNode):
        root = location.root
        try:
            fd = os.open(f"/proc/self/fd/{file.fd}", O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error
        return Location(location, HostNode(root.tree, root.view, fd))
    node = OpenedNode(file)
    return Location(Mount(node), node)


def name_of(file: OpenFile) -> str:
    """What readlink of /proc/self/fd/N says of an open file."""
    location = file.location
    if location is not None:
        try:
            return location_of(file).path()
        except CallError:
            return "/ (deleted)"
    try:
        status = file.status()
    except (CallError, OSError):
        return "anon_inode:[unknown]"
    kind = stat.S_IFMT(status.mode)
    if kind == stat.S_IFIFO:
        return f"pipe:[{status.ino}]"
    if kind == stat.S_IFSOCK:
        return f"socket:[{status.ino}]"
    if file.is_terminal():
        return "/dev/tty"
    return "/dev/null" if kind == stat.S_IFCHR else f"anon_inode:[{type(file).__name__.lower()}]"
