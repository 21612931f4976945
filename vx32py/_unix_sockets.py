"""Local sockets (unix(7)), between processes of one family only.

Bytes go through pairs of nameless sockets of the host, so that how much fits and what poll tells is the kernel's affair.
Names are the family's own, neither the host's file system nor its abstract names: an abstract name is bytes, and one in the
file system is the file that stands for it there. Open files that are sent along (SCM_RIGHTS) stay here, beside the bytes.

A socket for datagrams has an inbox, which all that send to it write into.
"""

from __future__ import annotations

import _socket
import errno
import os
import stat
import weakref
from collections import deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final

from vx32py import _epoll
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._hostfile import HOST_ERRORS
from vx32py._readiness import POLLIN, POLLOUT, WRITABLE, events_of
from vx32py._sockets import (
    AF_UNIX,
    MSG_CTRUNC,
    MSG_NOSIGNAL,
    MSG_PEEK,
    MSG_TRUNC,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    Extra,
    Socket,
)  # fmt: skip
from vx32py._wait import WouldBlock

if TYPE_CHECKING:
    from vx32py._family import Family
    from vx32py._task import Task

#: struct sockaddr_un: the family, and up to so many bytes of a name.
MOST_NAME: Final = 108
_FAMILY: Final = AF_UNIX.to_bytes(2, "little")
#: net.core.somaxconn.
MOST_BACKLOG: Final = 4096
#: SCM_MAX_FD.
MOST_RIGHTS: Final = 253


class Names:
    """The names of a family's local sockets: a key → who is bound to it."""

    def __init__(self) -> None:
        self.bound: dict[Hashable, UnixSocket] = {}
        self.next_automatic = 0


_names: Final[weakref.WeakKeyDictionary[Family, Names]] = weakref.WeakKeyDictionary()


def names_of(family: Family) -> Names:
    """The names of a family."""
    return _names.setdefault(family, Names())


class _Rights:
    """Open files under way: they count as used. ``position``: the byte, or message, that they came with; ``end``: behind
    the last byte that was sent at the same time."""

    def __init__(self, position: int, files: Sequence[OpenFile]) -> None:
        self.position = self.end = position
        self.files = list(files)
        for file in self.files:
            file.references += 1

    def copy(self) -> list[OpenFile]:
        """The files, which stay here as well."""
        return list(self.files)

    def drop(self) -> None:
        """They have arrived, or never will."""
        for file in self.files:
            file.references -= 1
            if not file.references:
                file.close()
        self.files = []


class UnixSocket(Socket):
    """A local socket. Raises OSError."""

    def __init__(self, host: _socket.socket, kind: int, flags: int, inbox: _socket.socket | None = None) -> None:
        super().__init__(host, AF_UNIX, kind, 0, flags)
        #: For datagrams: what is sent here comes out of ``host``.
        self.inbox = inbox
        self.name = b""
        self.credentials = 0
        self._key: Hashable = None
        self._names: Names | None = None
        self.peer: UnixSocket | None = None
        self.peer_name: bytes | None = None
        self.peer_process = 0
        #: Of a listening one: the socket that has its options (``host`` is a pipe then, which has what poll tells); who has connected, how many may, and where that is told.
        self.plain: _socket.socket | None = None
        self.waiting: deque[UnixSocket] = deque()
        self.bell: int | None = None
        self.backlog = 0
        #: How many bytes (or messages) have been sent here; who sent them; and files among them.
        self.sent = 0
        self._taken = 0
        self.senders: deque[UnixSocket] = deque()
        self.rights: deque[_Rights] = deque()
        if inbox is not None:
            inbox.setblocking(False)

    @classmethod
    def make(cls, kind: int, flags: int) -> UnixSocket:
        """A new one. Raises CallError."""
        with HOST_ERRORS:
            if kind == SOCK_DGRAM:
                host, inbox = _socket.socketpair(AF_UNIX, SOCK_DGRAM)
                return cls(host, kind, flags, inbox)
            return cls(_socket.socket(AF_UNIX, kind), kind, flags)

    @classmethod
    def pair(cls, kind: int, flags: int, pid: int) -> tuple[UnixSocket, UnixSocket]:
        """Two that are connected. Raises CallError."""
        with HOST_ERRORS:
            if kind == SOCK_DGRAM:
                ends = cls.make(kind, flags), cls.make(kind, flags)
            else:
                one, other = _socket.socketpair(AF_UNIX, kind)
                ends = cls(one, kind, flags), cls(other, kind, flags)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        for end in ends:
            end.peer_name, end.peer_process = b"", pid
        return ends

    # -- names ---------------------------------------------------------------------------------------------------

    def bind(self, address: bytes, task: Task) -> None:
        name = _name(address)
        if self.name:
            raise CallError(errno.EINVAL)
        names = names_of(task.family)
        if not name:
            while (self.kind, b"\0%05x" % names.next_automatic) in names.bound:
                names.next_automatic += 1
            name = b"\0%05x" % names.next_automatic
        key: Hashable
        if name[0]:
            key = _make_node(task, name)
        else:
            key = self.kind, name
            if key in names.bound:
                raise CallError(errno.EADDRINUSE)
        names.bound[key] = self
        self.name, self._key, self._names = name, key, names
        self.credentials = task.pid

    def _target(self, address: bytes, task: Task) -> UnixSocket:
        name = _name(address)
        if not name:
            raise CallError(errno.EINVAL if address[:2] == _FAMILY else errno.ECONNREFUSED)
        key = _node(task, name) if name[0] else (self.kind, name)
        found = names_of(task.family).bound.get(key)
        if found is None:
            raise CallError(errno.ECONNREFUSED)
        if found.kind != self.kind:
            raise CallError(errno.EPROTOTYPE)
        return found

    def own_address(self) -> bytes:
        return _address(self.name)

    def peer_address(self) -> bytes:
        if self.peer_name is None:
            raise CallError(errno.ENOTCONN)
        return _address(self.peer_name)

    # -- connections ---------------------------------------------------------------------------------------------

    def connect(self, address: bytes, task: Task) -> None:
        if self.kind == SOCK_DGRAM:
            if address[:2] == bytes(2):
                self.peer, self.peer_name = None, None
                return
            self.peer = self._target(address, task)
            self.peer_name = self.peer.name
            return
        if self.peer_name is not None:
            raise CallError(errno.EISCONN)
        if self.listening:
            raise CallError(errno.EINVAL)
        target = self._target(address, task)
        if not target.listening:
            raise CallError(errno.ECONNREFUSED)
        if len(target.waiting) > target.backlog:
            if self.nonblocking:
                raise CallError(errno.EAGAIN)
            raise WouldBlock(lambda: len(target.waiting) <= target.backlog or not target.listening)
        with HOST_ERRORS:
            one, other = _socket.socketpair(AF_UNIX, self.kind)
        self._replace(one.detach())
        accepted = UnixSocket(other, self.kind, 0)
        accepted.name, accepted.peer, accepted.peer_name = target.name, self, self.name
        accepted.peer_process = task.pid
        self.peer, self.peer_name, self.peer_process = accepted, target.name, target.credentials
        target.waiting.append(accepted)
        assert target.bell is not None
        os.write(target.bell, b"!")

    def listen(self, backlog: int, task: Task) -> None:
        if self.kind == SOCK_DGRAM:
            raise CallError(errno.EOPNOTSUPP)
        if not self.name or self.peer_name is not None:
            raise CallError(errno.EINVAL)
        self.backlog = min(backlog, MOST_BACKLOG)
        if self.listening:
            return
        with HOST_ERRORS:
            self.plain = _socket.socket(fileno=os.dup(self.host.fileno()))
            heard, self.bell = os.pipe()
        self._replace(heard)
        self.listening, self.credentials = True, task.pid

    def accept(self, flags: int, task: Task) -> tuple[Socket, bytes]:
        if not self.listening:
            raise CallError(errno.EOPNOTSUPP if self.kind == SOCK_DGRAM else errno.EINVAL)
        if not self.waiting:
            if self.nonblocking:
                raise CallError(errno.EAGAIN)
            raise self.wait(task, POLLIN, self.receive_timeout)
        os.read(self.host.fileno(), 1)
        accepted = self.waiting.popleft()
        accepted.flags |= flags
        return accepted, accepted.peer_address()

    def _replace(self, fd: int) -> None:
        """Another descriptor of the host's takes the place of the one there was, number and all."""
        os.dup2(fd, self.host.fileno(), inheritable=False)
        os.close(fd)
        os.set_blocking(self.host.fileno(), False)
        _epoll.tell_of_change(self)

    def close(self) -> None:
        if self._names is not None and self._names.bound.get(self._key) is self:
            del self._names.bound[self._key]
        self.listening = False
        super().close()
        for socket in (self.inbox, self.plain):
            if socket is not None:
                socket.close()
        if self.bell is not None:
            os.close(self.bell)
            self.bell = None
        for rights in self.rights:
            rights.drop()
        for waiting in self.waiting:
            waiting.close()
        self.rights.clear()
        self.waiting.clear()

    @property
    def closed(self) -> bool:
        """Whether it is there no more."""
        return self.host.fileno() < 0

    def read(self, view: memoryview, waiter: Any) -> int:
        count, (_, files, _) = self.receive([view], 0, waiter)
        drop_rights(files)
        return count

    # -- data ----------------------------------------------------------------------------------------------------

    def send(
        self,
        views: Sequence[memoryview],
        flags: int,
        task: Task,
        address: bytes | None = None,
        rights: Sequence[OpenFile] = (),
    ) -> int:
        if len(rights) > MOST_RIGHTS:
            raise CallError(errno.EINVAL)
        if self.kind == SOCK_DGRAM:
            return self._send_packet(views, flags, task, address, rights)
        if self.peer is None:
            raise CallError(errno.ENOTCONN)
        target = self.peer
        if self.kind == SOCK_SEQPACKET:
            return self._put_packet(self.host, target, views, flags, task, rights)
        with_data = _Rights(target.sent, rights if not task.progress else ())

        def send(left: Sequence[memoryview]) -> int:
            count = self.host.sendmsg(left, (), MSG_NOSIGNAL)
            if with_data.files and count and with_data not in target.rights:
                with_data.end += count
                target.rights.append(with_data)
            target.sent += count
            return count

        try:
            return self.send_all(views, flags, task, send)
        finally:
            if with_data not in target.rights or target.closed:
                with_data.drop()

    def _send_packet(
        self, views: Sequence[memoryview], flags: int, task: Task, address: bytes | None, rights: Sequence[OpenFile]
    ) -> int:
        if address is not None:
            target = self._target(address, task)
        elif self.peer is not None:
            target = self.peer
        else:
            raise CallError(errno.ENOTCONN)
        if target.inbox is None or target.closed:
            raise CallError(errno.ECONNREFUSED)
        count = self._put_packet(target.inbox, target, views, flags, task, rights)
        target.senders.append(self)
        return count

    def _put_packet(
        self,
        through: _socket.socket,
        target: UnixSocket,
        views: Sequence[memoryview],
        flags: int,
        task: Task,
        rights: Sequence[OpenFile],
    ) -> int:
        try:
            with HOST_ERRORS:
                count = through.sendmsg(views, (), MSG_NOSIGNAL)
        except CallError as error:
            if error.errno != errno.EAGAIN or self.must_not_wait(flags):
                raise
            fd = through.fileno()
            raise self.wait(
                task, POLLOUT, self.send_timeout, lambda: target.closed or bool(events_of(fd) & ~POLLIN & WRITABLE)
            ) from None
        if rights:
            target.rights.append(_Rights(target.sent, rights))
        target.sent += 1
        return count

    def receive(self, views: Sequence[memoryview], flags: int, task: Task) -> tuple[int, Extra]:
        if self.listening or (self.kind != SOCK_DGRAM and self.peer_name is None):
            raise CallError(errno.EINVAL)
        peek = flags & MSG_PEEK
        if self.kind != SOCK_STREAM:
            return self._receive_packet(views, flags, task)
        arrived: list[OpenFile] = []

        def receive(left: Sequence[memoryview]) -> tuple[int, Any, int]:
            if arrived:
                return 0, None, 0  # behind files that came with what has been received nothing more is
            count, _, _, _ = self.host.recvmsg_into(self._up_to_rights(left), 0, peek)
            if self.rights and self.rights[0].position < self._taken + count:
                arrived.extend(self._arrived(peek))
            if not peek:
                self._taken += count
            return count, None, 0

        count, _, _ = self.receive_some(views, flags, task, receive)
        return count, (b"" if self.peer_name is None else _address(self.peer_name), arrived, 0)

    def _up_to_rights(self, views: Sequence[memoryview]) -> list[memoryview]:
        """As much of ``views`` as is received in one go: nothing behind what the next files came with."""
        if not self.rights:
            return list(views)
        most, found = self.rights[0].end - self._taken, []
        for view in views:
            found.append(view[:most])
            most -= len(found[-1])
        return found

    def _arrived(self, peek: int) -> list[OpenFile]:
        """The files that come with what is received now; the caller owns them no more than the table that it puts them in
        does, or :func:`drop_rights`."""
        rights = self.rights[0] if peek else self.rights.popleft()
        files = rights.copy()
        if peek:
            for file in files:
                file.references += 1
        return files

    def _receive_packet(self, views: Sequence[memoryview], flags: int, task: Task) -> tuple[int, Extra]:
        peek = flags & MSG_PEEK

        def receive(left: Sequence[memoryview]) -> tuple[int, Any, int]:
            count, _, told, _ = self.host.recvmsg_into(left, 0, peek | flags & MSG_TRUNC)
            return count, None, told

        count, _, told = self.receive_some(views, flags, task, receive)
        source: bytes | None = None
        if self.kind == SOCK_DGRAM:
            sender = self.senders[0] if peek else self.senders.popleft()
            source = _address(sender.name)
        arrived: list[OpenFile] = []
        if self.rights and self.rights[0].position == self._taken:
            arrived = self._arrived(peek)
        if not peek and self._taken < self.sent:
            self._taken += 1
        return count, (source, arrived, told & (MSG_TRUNC | MSG_CTRUNC))

    def shutdown(self, how: int) -> None:
        if self.listening:
            raise CallError(errno.EINVAL)
        super().shutdown(how)


def drop_rights(files: Sequence[OpenFile]) -> None:
    """Files that were received (and count as used): nobody holds them on that account any more."""
    for file in files:
        file.references -= 1
        if not file.references:
            file.close()


def _address(name: bytes) -> bytes:
    return _FAMILY + name + (b"\0" if name and name[0] else b"")


def _name(address: bytes) -> bytes:
    """The name in a struct sockaddr_un: one in the file system up to its zero byte, an abstract one whole. Raises
    CallError."""
    if len(address) < 2 or len(address) > 2 + MOST_NAME:
        raise CallError(errno.EINVAL)
    if address[:2] != _FAMILY:
        raise CallError(errno.EINVAL)
    name = address[2:]
    return name if name[:1] == b"\0" else name.partition(b"\0")[0]


def _make_node(task: Task, name: bytes) -> Hashable:
    """Make the file that stands for a socket; its key. Raises CallError."""
    try:
        task.files.mknod(os.fsdecode(name), stat.S_IFSOCK | 0o755)
    except CallError as error:
        raise CallError(errno.EADDRINUSE if error.errno == errno.EEXIST else error.errno) from error
    return _node(task, name)


def _node(task: Task, name: bytes) -> Hashable:
    """What stands for a path: its file. Raises CallError."""
    status = task.files.status(os.fsdecode(name))
    return status.dev, status.ino
