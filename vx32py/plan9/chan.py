"""Channels: what a descriptor, a directory and a place in a name space are to the kernel (/sys/src/9/port/chan.c).

A channel is a file of a device's: which device, which of its instances, which file (its qid), by which path it was found. One
that is open is counted, and ends when it is closed for the last time; one that is not goes when nobody knows it any more.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

from reference.weak import WeakGroup
from vx32py.plan9.errors import Ebadarg, Error
from vx32py.plan9.paths import Path

if TYPE_CHECKING:
    from vx32py.plan9.account import Account
    from vx32py.plan9.groups import EnvGroup, FdGroup
    from vx32py.plan9.namespace import MountHead, NameGroup
    from vx32py.plan9.stat import Dir
    from vx32py.plan9.waiting import Attendants, Running
    from vx32py.plan9.waiting import Result as Returned

#: Of qids, and eight bits above that of modes (stat(5)).
QTDIR: Final = 0x80
QTAPPEND: Final = 0x40
QTEXCL: Final = 0x20
QTMOUNT: Final = 0x10
QTAUTH: Final = 0x08
QTTMP: Final = 0x04
QTFILE: Final = 0
DMDIR: Final = 0x8000_0000
DMAPPEND: Final = 0x4000_0000
DMEXCL: Final = 0x2000_0000
DMTMP: Final = 0x0400_0000

#: Of open and create.
OREAD, OWRITE, ORDWR, OEXEC = range(4)
OTRUNC: Final = 16
OCEXEC: Final = 32
ORCLOSE: Final = 64
OEXCL: Final = 0x1000


class Qid(NamedTuple):
    """Which file of a server's: ``path`` is its number, ``version`` changes with its content, ``type`` has the QT bits."""

    path: int
    version: int = 0
    type: int = QTFILE


class Walked(NamedTuple):
    """How far a walk has come: a qid for each name; ``chan`` if that was all of them."""

    chan: Chan | None
    qids: Sequence[Qid]


class KernelView(Protocol):
    """What devices need of the kernel."""

    @property
    def attendants(self) -> Attendants: ...
    @property
    def account(self) -> Account: ...
    @property
    def devices(self) -> dict[str, Device]: ...
    @property
    def host(self) -> Caller:
        """The application itself."""

    def carry_out(self, running: Running[Returned], timeout: float) -> Returned:
        """Carry something out for the application. Raises Error."""


class Caller(Protocol):
    """On whose behalf something is done: a process, or somebody like it."""

    user: str
    names: NameGroup
    env: EnvGroup
    fds: FdGroup
    dot: Chan
    slash: Chan

    @property
    def pid(self) -> int: ...
    def note(self, text: str) -> None: ...
    @property
    def view(self) -> KernelView: ...


class HostUser(Protocol):
    """Who reads and writes descriptors of the host's on behalf of a process."""

    def withdraw(self, chan: Chan) -> None:
        """Not those of this channel any more."""


class HostDescriptor:
    """A descriptor of the host's that has the content of a file, and whose position is a channel's offset: to read the one is
    to read the other. No more than ``most`` bytes at a time; ``lasting``: it may take long. ``users`` do so."""

    __slots__ = ("fd", "lasting", "most", "users")

    def __init__(self, fd: int, most: int, *, lasting: bool) -> None:
        self.fd = fd
        self.most = most
        self.lasting = lasting
        self.users: WeakGroup[HostUser] = WeakGroup()


class Chan:
    """``device`` and ``dev`` (which instance), ``qid``, ``path``; ``aux`` is the device's own.

    Open: ``mode`` (OREAD, OWRITE, ORDWR), ``flags`` (all that was said when it was opened), ``offset``; of a directory also
    ``device_offset``, which is the device's where names were replaced by what is mounted there, and where in a union it is.
    """

    __slots__ = (
        "__weakref__", "_offset", "_speaks_9p", "aux", "connection", "dev", "device", "device_offset", "flags", "host",
        "is_mount_point", "is_open", "mode", "path", "qid", "references", "rock", "state", "union", "union_chan",
        "union_index",
    )  # fmt: skip

    def __init__(self, device: Device, dev: int, qid: Qid, aux: Any = None, path: Path | None = None) -> None:
        self.device = device
        self.dev = dev
        self.qid = qid
        self.aux = aux
        self.path = path if path is not None else Path("#" + device.letter)
        self.mode = OREAD
        self.flags = 0
        self.is_open = False
        self.references = 1
        #: What reads and writes of it come to on the host, if it is as simple as that.
        self.host: HostDescriptor | None = None
        self._offset = 0
        self.device_offset = 0
        #: Entries of a directory that were read from the device, and have not been given away (/sys/src/9/port/sysfile.c).
        self.rock: list[bytes] = []
        #: What a device remembers while it is open.
        self.state: Any = None
        #: It was found on a mount point.
        self.is_mount_point = False
        self._speaks_9p = False
        #: What speaks it (:class:`vx32py.plan9.ninep.connection.Connection`).
        self.connection: Any = None
        #: The directories of which it is one, to be read one after the other; which one, and its channel.
        self.union: MountHead | None = None
        self.union_index = 0
        self.union_chan: Chan | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """Which file it is, among all of a kernel."""
        return self.device.kind, self.dev, self.qid.path

    @property
    def offset(self) -> int:
        """Where the next read or write begins."""
        return self._offset if self.host is None else os.lseek(self.host.fd, 0, os.SEEK_CUR)

    @offset.setter
    def offset(self, offset: int) -> None:
        if self.host is None:
            self._offset = offset
        else:
            try:
                os.lseek(self.host.fd, offset, os.SEEK_SET)
            except OSError:  # too much for its file system
                self.keep_host()
                self._offset = offset

    @property
    def speaks_9p(self) -> bool:
        """Whether 9P is spoken there, and nobody else may read or write it (CMSG)."""
        return self._speaks_9p

    @speaks_9p.setter
    def speaks_9p(self, speaks: bool) -> None:
        self._speaks_9p = speaks
        if speaks:
            self.keep_host()

    def keep_host(self) -> None:
        """Reads and writes are the device's affair from now on."""
        if self.host is not None:
            offset, host = self.offset, self.host
            self.host, self._offset = None, offset
            for user in host.users:
                user.withdraw(self)

    @property
    def close_on_exec(self) -> bool:
        """Whether exec closes it."""
        return bool(self.flags & OCEXEC)

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return bool(self.qid.type & QTDIR)

    def incref(self) -> Self:
        """One reference more: the channel itself."""
        self.references += 1
        return self

    def close(self) -> None:
        """One reference less; the last one ends it, if it is open."""
        self.references -= 1
        if self.references == 0 and self.is_open:
            self.is_open = False
            if self.union_chan is not None:
                self.union_chan.close()
                self.union_chan = None
            self.connection = self.host = None
            self.device.clunk(self)

    def opened(self, mode: int) -> Chan:
        """It has been opened: the channel itself."""
        self.mode, self.flags, self.is_open, self.offset = open_mode(mode), mode, True, 0
        return self

    def rewind(self) -> None:
        """Begin at the beginning again, with a directory."""
        self.union_index, self.rock = 0, []
        if self.union_chan is not None:
            self.union_chan.close()
            self.union_chan = None

    def __repr__(self) -> str:
        return f"<Chan {self.device.letter}{self.dev} {self.qid.path:#x} {self.path}>"


#: The kind of files that servers have: ordinary ones.
SERVED: Final = "M"


class Device(ABC):
    """A kind of files, known by a letter after ``#``. All but :meth:`clunk` may wait, and raise Error."""

    letter: str
    #: Whether files, but not directories, can be read and written by plain functions, too: those below.
    is_plain = False

    @property
    def kind(self) -> str:
        """The letter that stat(2) tells. Programs take files that are not of the kind :data:`SERVED` for devices."""
        return self.letter

    @abstractmethod
    async def attach(self, caller: Caller, spec: str) -> Chan:
        """The root of an instance."""

    @abstractmethod
    async def walk(self, caller: Caller, chan: Chan, names: Sequence[str]) -> Walked:
        """Follow names; without names, another channel of the same file. An error if even the first one leads nowhere."""

    @abstractmethod
    async def open(self, caller: Caller, chan: Chan, mode: int) -> Chan:
        """Open it: the channel itself, or another one."""

    @abstractmethod
    async def create(self, caller: Caller, chan: Chan, name: str, mode: int, perm: int) -> Chan:
        """Make a file in this directory and open it; the channel becomes that of the file."""

    @abstractmethod
    async def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        """Up to ``count`` bytes; of a directory, whole entries."""

    @abstractmethod
    async def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        """Write; how much."""

    def read_plainly(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        """The same as :meth:`read`. Raises Error; and WouldBlock before it has changed anything, to be called again."""
        raise NotImplementedError

    def write_plainly(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        """The same as :meth:`write`. Raises Error; and WouldBlock before it has changed anything, to be called again."""
        raise NotImplementedError

    @abstractmethod
    async def stat(self, caller: Caller, chan: Chan) -> Dir:
        """What it is."""

    @abstractmethod
    async def wstat(self, caller: Caller, chan: Chan, changes: Dir) -> None:
        """Change what it is: what does not say to leave it as it is."""

    @abstractmethod
    async def remove(self, caller: Caller, chan: Chan) -> None:
        """Remove the file; the channel ends."""

    def stamp(self, chan: Chan) -> Hashable | None:
        """What is another one when the content of a file is another one; None where nothing is."""
        del chan
        return None

    def clunk(self, chan: Chan) -> None:
        """An open channel ends."""
        del chan


def open_mode(mode: int) -> int:
    """How a file that is opened with this mode can be used. Raises Error.

    >>> open_mode(OEXEC)
    0
    """
    mode &= ~(OTRUNC | OCEXEC | ORCLOSE)
    if mode > OEXEC:
        raise Error(Ebadarg)
    return OREAD if mode == OEXEC else mode


async def clone(caller: Caller, chan: Chan) -> Chan:
    """Another channel of the same file, with the same path. Raises Error."""
    walked = await chan.device.walk(caller, chan, ())
    assert walked.chan is not None
    walked.chan.path = chan.path
    return walked.chan
