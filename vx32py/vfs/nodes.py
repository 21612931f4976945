"""Nodes: what a name in a directory stands for. Every file system of a guest is made of them.

A node does its own operations; it knows nothing of paths, mounts or processes. What it cannot do fails with the error that
Linux has for it. Directories are asked for one name at a time, which is never empty, ``.``, ``..`` or with a slash.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from reference.records import dataclass
from vx32py._descriptors import GUEST_ID, BytesFile, OpenFile, Status
from vx32py._errors import CallError

#: The longest name (NAME_MAX), in bytes.
MAX_NAME: Final = 255
#: renameat2.
RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2

#: A directory's entry: name, inode number, type as in st_mode.
Entry: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class View:
    """The user and group that a guest believes to be. Files of the host's user are its own, all others root's; for a guest
    that believes to be root, everything is root's."""

    uid: int = GUEST_ID
    gid: int = GUEST_ID

    def of(self, host: os.stat_result) -> Status:
        """The host's answer as the guest sees it."""
        return Status.of(host, self.uid, self.gid)

    def check(self, status: Status, wanted: int) -> None:
        """Whether read (4), write (2) and execute (1) are permitted. Raises CallError(EACCES)."""
        if self.uid == 0:
            if wanted & 1 and not stat.S_ISDIR(status.mode) and not status.mode & 0o111:
                raise CallError(errno.EACCES)
            return
        shift = 6 if status.uid == self.uid else 3 if status.gid == self.gid else 0
        if wanted & ~(status.mode >> shift):
            raise CallError(errno.EACCES)

    def check_owner(self, status: Status) -> None:
        """Whether the guest may change what only an owner may. Raises CallError(EPERM)."""
        if self.uid not in (0, status.uid):
            raise CallError(errno.EPERM)


class FileSystemStatus(NamedTuple):
    """What statfs tells, in blocks of ``block`` bytes."""

    kind: int
    block: int = 4096
    blocks: int = 0
    free: int = 0
    available: int = 0
    files: int = 0
    files_free: int = 0
    flags: int = 0


class Node:
    """Base of all. ``kind`` is the type as in st_mode (S_IFREG, ...)."""

    __slots__ = ("__weakref__",)
    kind: int = stat.S_IFREG

    def status(self) -> Status:
        """What stat tells."""
        raise NotImplementedError

    def filesystem(self) -> FileSystemStatus:
        """What statfs tells."""
        return FileSystemStatus(0x01021994)

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed here."""
        return True

    def key(self) -> Hashable:
        """What a directory is known by among those that have mounts in them."""
        return self

    def is_root(self) -> bool:
        """Whether it is the root of its file system."""
        return False

    def parent(self) -> Node:
        """The directory that a directory is in. Raises CallError(ENOENT) where it has been removed."""
        raise CallError(errno.ENOENT)

    def path(self) -> str:
        """Its path within its file system: empty for the root, else beginning with a slash. Raises CallError(ENOENT)."""
        raise CallError(errno.ENOENT)

    def open(self, flags: int) -> OpenFile:
        """Open what is not a directory. Raises CallError."""
        raise CallError(errno.ENXIO)

    def readlink(self) -> bytes:
        """What a symbolic link says. Raises CallError(EINVAL)."""
        raise CallError(errno.EINVAL)

    def chmod(self, mode: int) -> None:
        """Change the permission bits. Raises CallError."""
        raise CallError(errno.EROFS)

    def chown(self, uid: int, gid: int) -> None:
        """Change owner and group, of which -1 stays. Raises CallError."""
        raise CallError(errno.EROFS)

    def utime(self, accessed: int | None, modified: int | None) -> None:
        """Change the times, in nanoseconds; None stays. Raises CallError."""
        raise CallError(errno.EROFS)

    # -- directories ---------------------------------------------------------------------------------------------

    def child(self, name: str) -> Node | None:
        """What has this name. Raises CallError."""
        return None

    def descend(self, names: list[str], under: Mapping[Hashable, Mapping[str, Any]]) -> tuple[Node, int] | None:
        """Where several names lead, and how many of them were used; None where they have to be asked for one by one,
        perhaps because a symbolic link is among them. ``under``: directories by their keys, and the names in them that
        are mounts. Raises CallError."""
        return None

    def entries(self) -> Iterator[Entry]:
        """What is in it, without ``.`` and ``..``. Raises CallError."""
        return iter(())

    def create(self, name: str, flags: int, mode: int) -> OpenFile:
        """Make a regular file and open it. Raises CallError."""
        raise CallError(errno.EROFS)

    def create_unnamed(self, flags: int, mode: int) -> OpenFile:
        """The same without a name (O_TMPFILE). Raises CallError."""
        raise CallError(errno.EOPNOTSUPP)

    def make(self, name: str, kind: int, mode: int, content: bytes = b"") -> None:
        """Make a directory, FIFO, socket, empty file, or a symbolic link that says ``content``. Raises CallError."""
        raise CallError(errno.EROFS)

    def remove(self, name: str, child: Node) -> None:
        """Remove a name that stands for ``child``. Raises CallError."""
        raise CallError(errno.EROFS)

    def link(self, name: str, node: Node) -> None:
        """Give ``node`` of the same file system a name here. Raises CallError."""
        raise CallError(errno.EROFS)

    def rename(self, name: str, target: Node, new_name: str, flags: int) -> None:
        """Give what has ``name`` here a name in ``target``. Raises CallError."""
        raise CallError(errno.EROFS)


class FixedDirectory(Node):
    """A directory that is always the same, or that only holds mounts."""

    __slots__ = ("ino", "nodes")
    kind = stat.S_IFDIR

    def __init__(self, ino: int, nodes: Mapping[str, Node] | None = None) -> None:
        self.ino = ino
        self.nodes = nodes or {}

    def status(self) -> Status:
        return Status(stat.S_IFDIR | 0o555, ino=self.ino, nlink=2, uid=0, gid=0)

    def child(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def entries(self) -> Iterator[Entry]:
        for name, node in self.nodes.items():
            yield name, node.status().ino, node.kind

    def is_root(self) -> bool:
        return True

    def path(self) -> str:
        return ""


class BytesNode(Node):
    """A file that consists of these bytes and cannot be changed."""

    __slots__ = ("data", "ino")

    def __init__(self, data: bytes, ino: int) -> None:
        self.data = data
        self.ino = ino

    def status(self) -> Status:
        size = len(self.data)
        return Status(stat.S_IFREG | 0o444, size, ino=self.ino, uid=0, gid=0, blocks=(size + 511) // 512)

    def open(self, flags: int) -> OpenFile:
        return BytesFile(self.data, ino=self.ino)

    def is_root(self) -> bool:
        return True

    def path(self) -> str:
        return ""


class LinkNode(Node):
    """A symbolic link that is always the same."""

    __slots__ = ("ino", "text")
    kind = stat.S_IFLNK

    def __init__(self, text: bytes, ino: int) -> None:
        self.text = text
        self.ino = ino

    def status(self) -> Status:
        return Status(stat.S_IFLNK | 0o777, len(self.text), ino=self.ino, uid=0, gid=0)

    def readlink(self) -> bytes:
        return self.text


class MagicLink(LinkNode):
    """A link of /proc that leads to an object, whatever names the object has. ``target`` is known to the walk alone."""

    __slots__ = ("target",)

    def __init__(self, text: bytes, ino: int, target: Any) -> None:
        """``target``: a :class:`vx32py.vfs.walk.Location`, or an OpenFile."""
        super().__init__(text, ino)
        self.target = target


def inode_of(text: str) -> int:
    """A made-up inode number that depends on a text alone."""
    number = 5381
    for byte in os.fsencode(text):
        number = (number * 33 + byte) & 0x7FFF_FFFF
    return number or 1


class HostErrors:
    """A context in which the host's error numbers become the guest's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, CallError):
            raise CallError(error.errno or errno.EIO) from error
        if isinstance(error, ValueError):  # a NUL or a lone surrogate in a name
            raise CallError(errno.EINVAL) from error


HOST_ERRORS: Final = HostErrors()


def check_name(name: str) -> None:
    """Raises CallError(ENAMETOOLONG)."""
    if len(name) > MAX_NAME or (not name.isascii() and len(os.fsencode(name)) > MAX_NAME):
        raise CallError(errno.ENAMETOOLONG)
