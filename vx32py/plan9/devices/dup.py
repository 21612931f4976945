"""``#d``: the descriptors of a process as files (dup(3)): to open one is to duplicate it; ``0ctl`` tells about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from vx32py.plan9.chan import DMDIR, ORDWR, OREAD, OTRUNC, Caller, Chan, open_mode
from vx32py.plan9.devices.nodes import Node, SingleDevice
from vx32py.plan9.errors import Ebadfd, Ebadusefd, Enonexist, Error

if TYPE_CHECKING:
    from vx32py.plan9.groups import FdGroup

_PERMISSIONS: Final = (0o400, 0o200, 0o600)
_LETTERS: Final = ("r ", "w ", "rw")
_MOST: Final = 10_000


class _File(Node):
    def __init__(self, fd: int, fds: FdGroup, root: Node) -> None:
        chan = _channel(fds, fd)
        super().__init__(str(fd), _PERMISSIONS[chan.mode], path=2 * fd + 1)
        self.fd = fd
        self._root = root

    def parent(self, caller: Caller) -> Node:
        return self._root

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        there = _channel(caller.fds, self.fd)
        wanted = open_mode(mode)
        if there.speaks_9p or (there.mode not in (ORDWR, wanted)) or (mode & OTRUNC and there.mode == OREAD):
            raise Error(Ebadusefd)
        return there.incref()


class _Ctl(Node):
    def __init__(self, fd: int, root: Node) -> None:
        super().__init__(f"{fd}ctl", 0o400, path=2 * fd + 2)
        self.fd = fd
        self._root = root

    def parent(self, caller: Caller) -> Node:
        return self._root

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        text = describe(_channel(caller.fds, self.fd), self.fd).encode(errors="surrogateescape")
        return text[offset : offset + count]


class _Root(Node):
    def child(self, caller: Caller, name: str) -> Node:
        number = name.removesuffix("ctl")
        if not (number.isascii() and number.isdigit() and len(number) <= 5 and str(int(number)) == number):
            raise Error(Enonexist)
        fd = int(number)
        if fd >= _MOST or fd not in {each for each, _ in caller.fds}:
            raise Error(Enonexist)
        return _File(fd, caller.fds, self) if name == number else _Ctl(fd, self)

    def children(self, caller: Caller) -> Iterable[Node]:
        for fd, _ in tuple(caller.fds):
            try:
                yield _File(fd, caller.fds, self)
                yield _Ctl(fd, self)
            except Error:
                continue  # closed meanwhile


def _channel(fds: FdGroup, fd: int) -> Chan:
    chan = fds.get(fd)
    if not isinstance(chan, Chan):
        raise Error(Ebadfd)
    return chan


def describe(chan: Chan, fd: int) -> str:
    """A line about a descriptor, as #d and /proc/n/fd have it (procfdprint)."""
    qid = chan.qid
    return (
        f"{fd:3d} {_LETTERS[chan.mode]} {chan.device.letter} {chan.dev:4d} ({qid.path:016x} {qid.version} {qid.type:02x}) "
        f"{8192:5d} {chan.offset:8d} {chan.path}\n"
    )


def dup_device() -> SingleDevice:
    """The device."""
    return SingleDevice("d", _Root("#d", 0o555 | DMDIR, path=0))
