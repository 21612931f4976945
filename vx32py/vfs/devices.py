"""What is in /dev: the devices that do nothing but give and take bytes, and the process's own open files.

null, zero and full are the host's, so that the engine may read and write them by itself. Random bytes are the host's, too,
or, where a guest is to be the same in every run, its clock's.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from vx32py._descriptors import OpenFile, Status
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._wait import Waiter
from vx32py.vfs.nodes import FixedDirectory, LinkNode, Node, inode_of

if TYPE_CHECKING:
    from vx32py._clock import Clock
    from vx32py.vfs.namespace import NameSpace

#: Minor numbers of the memory devices, of which the major is 1 (Documentation/admin-guide/devices.txt).
_HOST_DEVICES: Final = {"null": 3, "zero": 5, "full": 7}
ZERO_DEVICE: Final = os.makedev(1, 5)
_RANDOM: Final = {"random": 8, "urandom": 9}
_LINKS: Final = {
    "stdin": b"/proc/self/fd/0", "stdout": b"/proc/self/fd/1", "stderr": b"/proc/self/fd/2", "fd": b"/proc/self/fd",
}  # fmt: skip
_MOST: Final = 1 << 20


class _Device(Node):
    """A character device. ``number`` as in st_rdev."""

    __slots__ = ("name", "number", "space")
    kind = stat.S_IFCHR

    def __init__(self, space: NameSpace, name: str, number: int) -> None:
        self.space = space
        self.name = name
        self.number = number

    @property
    def read_only(self) -> bool:
        return False  # what is written goes nowhere

    def status(self) -> Status:
        return Status(stat.S_IFCHR | 0o666, dev=5, ino=inode_of(self.name), uid=0, gid=0, rdev=self.number)

    def path(self) -> str:
        return "/" + self.name

    def chmod(self, mode: int) -> None:
        raise CallError(errno.EPERM)

    def chown(self, uid: int, gid: int) -> None:
        raise CallError(errno.EPERM)

    def utime(self, accessed: int | None, modified: int | None) -> None:
        raise CallError(errno.EPERM)


class _HostDevice(_Device):
    __slots__ = ()

    def open(self, flags: int) -> OpenFile:
        wanted = flags & os.O_ACCMODE
        try:
            fd = os.open(f"/dev/{self.name}", wanted | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error
        found = os.fstat(fd)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != self.number:
            os.close(fd)  # an odd host: a plain file of this name is none of the guest's
            raise CallError(errno.ENXIO)
        return HostFile(fd, flags & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK), owned=True)


class _RandomDevice(_Device):
    __slots__ = ()

    def open(self, flags: int) -> OpenFile:
        task = self.space.current()
        clock = task.clock if task is not None else None
        if clock is not None and clock.virtual:
            return RandomFile(clock, flags, self.status())
        return HostRandomFile(os.open("/dev/urandom", os.O_RDONLY | os.O_CLOEXEC), flags & os.O_ACCMODE, owned=True)


class HostRandomFile(HostFile):
    """Random bytes of the host, who does not need any of a guest's: what is written goes nowhere."""

    def put(self, view: memoryview, waiter: Waiter) -> int:
        return len(view)

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        return sum(map(len, views))

    def write_at(self, view: memoryview, offset: int) -> int:
        return len(view)


class RandomFile(OpenFile):
    """Made-up random bytes."""

    def __init__(self, clock: Clock, flags: int, status: Status) -> None:
        super().__init__(flags & (os.O_ACCMODE | os.O_NONBLOCK))
        self._clock = clock
        self._status = status

    def read(self, view: memoryview, waiter: Waiter) -> int:
        piece = self._clock.random(min(len(view), _MOST))
        view[: len(piece)] = piece
        return len(piece)

    def read_at(self, view: memoryview, offset: int) -> int:
        piece = self._clock.random(min(len(view), _MOST))
        view[: len(piece)] = piece
        return len(piece)

    def put(self, view: memoryview, waiter: Waiter) -> int:
        return len(view)

    def write_at(self, view: memoryview, offset: int) -> int:
        return len(view)

    def seek(self, offset: int, whence: int) -> int:
        return 0

    def status(self) -> Status:
        return self._status


class _Terminal(_Device):
    """The terminal that a standard stream of the process leads to, if one does."""

    __slots__ = ()

    def open(self, flags: int) -> OpenFile:
        task = self.space.current()
        wanted = flags & os.O_ACCMODE
        if wanted == os.O_ACCMODE:
            raise CallError(errno.EINVAL)
        for file in task.streams if task is not None else ():
            fits = (wanted == os.O_WRONLY or file.readable) and (wanted == os.O_RDONLY or file.writable)
            if fits and file.is_terminal():
                return file
        raise CallError(errno.ENXIO)


def make_devices(space: NameSpace) -> Node:
    """The directory."""
    nodes: dict[str, Node] = {}
    for name, minor in _HOST_DEVICES.items():
        nodes[name] = _HostDevice(space, name, os.makedev(1, minor))
    for name, minor in _RANDOM.items():
        nodes[name] = _RandomDevice(space, name, os.makedev(1, minor))
    nodes["tty"] = _Terminal(space, "tty", os.makedev(5, 0))
    for name, text in _LINKS.items():
        nodes[name] = LinkNode(text, inode_of(name))
    return FixedDirectory(inode_of("/dev"), nodes)
