"""Sockets of a guest: what all of them have, and TCP and UDP, which are sockets of the host where a network is granted.

A host's socket never waits: the guest's O_NONBLOCK and time-outs are its own affair. Where it may connect and send to is
decided on the very bytes that are then passed on.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import os
import stat
import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from vx32py._descriptors import OpenFile, Status
from vx32py._errors import CallError
from vx32py._hostfile import HOST_ERRORS, bytes_available
from vx32py._pipes import without_first
from vx32py._readiness import POLLERR, POLLHUP, POLLIN, POLLOUT, READABLE, WRITABLE, events_of
from vx32py._wait import WouldBlock

if TYPE_CHECKING:
    from vx32py._network import Network
    from vx32py._task import Task

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET = 1, 2, 3, 5
MSG_PEEK, MSG_CTRUNC, MSG_TRUNC, MSG_DONTWAIT, MSG_WAITALL = 0x2, 0x8, 0x20, 0x40, 0x100
MSG_NOSIGNAL: Final = 0x4000
_SOCKADDR_IN: Final = struct.Struct("!4s8x")
_SOCKADDR_IN6: Final = struct.Struct("=4s16s4s")
#: What the host is asked for at most in one go.
MOST_AT_ONCE: Final = 4 << 20

#: What comes with data: the sender's address as the guest gets it, open files, and MSG_ flags.
Extra = tuple[bytes | None, list[OpenFile], int]


class Socket(OpenFile):
    """A socket: ``family``, ``kind`` (its type) and ``protocol`` as in socket(2). ``host`` is the host's, whose events are its
    own. Time-outs in seconds, None for ever."""

    named = False

    def __init__(self, host: _socket.socket, family: int, kind: int, protocol: int, flags: int) -> None:
        super().__init__(os.O_RDWR | flags)
        host.setblocking(False)
        self.host = host
        self.family = family
        self.kind = kind
        self.protocol = protocol
        self.receive_timeout: float | None = None
        self.send_timeout: float | None = None
        self.listening = False

    # -- as a file -----------------------------------------------------------------------------------------------

    def read(self, view: memoryview, waiter: Any) -> int:
        return self.receive([view], 0, waiter)[0]

    def put(self, view: memoryview, waiter: Any) -> int:
        return self.send([view], 0, waiter)

    def write_vector(self, views: list[memoryview], waiter: Any) -> int:
        return self.send(views, 0, waiter)

    def poll(self) -> int:
        return events_of(self.host.fileno())

    def host_descriptor(self) -> int | None:
        return self.host.fileno()

    def available(self) -> int:
        return bytes_available(self.host.fileno())

    def status(self) -> Status:
        return Status(stat.S_IFSOCK | 0o777, ino=os.fstat(self.host.fileno()).st_ino)

    def close(self) -> None:
        self.host.close()

    def go_back(self, held: Any) -> bool:
        return bool(self.references)

    def copy(self, held: Any, copies: dict[object, Any]) -> OpenFile | None:
        return None

    # -- what personalities do -----------------------------------------------------------------------------------

    def bind(self, address: bytes, task: Task) -> None:
        """Give it a name. Raises CallError."""
        raise NotImplementedError

    def connect(self, address: bytes, task: Task) -> None:
        """Connect it. Raises CallError, WouldBlock."""
        raise NotImplementedError

    def listen(self, backlog: int, task: Task) -> None:
        """Let it take connections. Raises CallError."""
        raise NotImplementedError

    def accept(self, flags: int, task: Task) -> tuple[Socket, bytes]:
        """Take one: a new socket with these file flags, and whose address it is. Raises CallError, WouldBlock."""
        raise NotImplementedError

    def own_address(self) -> bytes:
        """Its name. Raises CallError."""
        raise NotImplementedError

    def peer_address(self) -> bytes:
        """The name of the other end. Raises CallError(ENOTCONN)."""
        raise NotImplementedError

    def shutdown(self, how: int) -> None:
        """Close it for reading, writing or both (0, 1, 2). Raises CallError."""
        with HOST_ERRORS:
            self.host.shutdown(how)

    def send(
        self,
        views: Sequence[memoryview],
        flags: int,
        task: Task,
        address: bytes | None = None,
        rights: Sequence[OpenFile] = (),
    ) -> int:
        """Send; how much. Raises CallError, WouldBlock."""
        raise NotImplementedError

    def receive(self, views: Sequence[memoryview], flags: int, task: Task) -> tuple[int, Extra]:
        """Receive; how much, and what came with it. Raises CallError, WouldBlock."""
        raise NotImplementedError

    # -- for derived classes -------------------------------------------------------------------------------------

    def wait(
        self, task: Task, events: int, timeout: float | None, ready: Callable[[], bool] | None = None
    ) -> WouldBlock:
        """What to raise to wait. Raises CallError(EAGAIN) when the time is up."""
        deadline = None
        if timeout is not None:
            left = task.wait(timeout)
            if left <= 0:
                raise CallError(errno.EAGAIN)
            deadline = time.monotonic() + left
        fd = self.host.fileno()
        if ready is None:
            mask = (READABLE if events & POLLIN else 0) | (WRITABLE if events & POLLOUT else 0) | POLLERR | POLLHUP

            def ready() -> bool:
                return bool(events_of(fd) & mask)

        return WouldBlock(ready, deadline, ((fd, events),) if self.outside else (), restart=timeout is None)

    def must_not_wait(self, flags: int) -> bool:
        """Whether a call with these MSG_ flags fails rather than wait."""
        return self.nonblocking or bool(flags & MSG_DONTWAIT)

    def send_all(
        self, views: Sequence[memoryview], flags: int, task: Task, send: Callable[[Sequence[memoryview]], int]
    ) -> int:
        """Send a stream's bytes by ``send``, all of them unless it must not wait. Raises CallError, WouldBlock."""
        done, total = task.progress, sum(map(len, views))
        while True:
            try:
                done += send(_at_most(without_first(list(views), done), MOST_AT_ONCE))
            except BlockingIOError:
                if self.must_not_wait(flags):
                    if done:
                        return done
                    raise CallError(errno.EAGAIN) from None
                task.progress = done
                try:
                    raise self.wait(task, POLLOUT, self.send_timeout) from None
                except CallError:
                    if not done:
                        raise
                    return done
            except OSError as error:
                if done:
                    return done
                raise CallError(error.errno or errno.EIO) from error
            if done >= total:
                task.progress = 0  # a call may send more than once
                return done

    def receive_some(
        self,
        views: Sequence[memoryview],
        flags: int,
        task: Task,
        receive: Callable[[Sequence[memoryview]], tuple[int, Any, int]],
    ) -> tuple[int, Any, int]:
        """Receive by ``receive`` (how much, from whom, MSG_ flags), with MSG_WAITALL of a stream all. Raises CallError,
        WouldBlock."""
        total, done, source, told = sum(map(len, views)), task.progress, None, 0
        everything = bool(flags & MSG_WAITALL) and self.kind == SOCK_STREAM and not flags & MSG_PEEK
        while True:
            try:
                count, source, told = receive(without_first(list(views), done))
            except BlockingIOError:
                if self.must_not_wait(flags):
                    if done:
                        return done, source, told
                    raise CallError(errno.EAGAIN) from None
                task.progress = done
                try:
                    raise self.wait(task, POLLIN, self.receive_timeout) from None
                except CallError:
                    if not done:
                        raise
                    return done, source, told
            except OSError as error:
                if done:
                    return done, source, told
                raise CallError(error.errno or errno.EIO) from error
            done += count
            if not count or not everything or done >= total:
                task.progress = 0
                return done, source, told


def _at_most(views: Sequence[memoryview], most: int) -> list[memoryview]:
    found = []
    for view in views:
        if most <= 0:
            break
        found.append(view[:most])
        most -= len(view)
    return found


class InetSocket(Socket):
    """TCP or UDP. ``network`` says where to. Raises OSError."""

    outside = True

    def __init__(
        self, network: Network, host: _socket.socket, family: int, kind: int, protocol: int, flags: int
    ) -> None:
        super().__init__(host, family, kind, protocol, flags)
        self.network = network
        #: What its bind asked for.
        self._bound: tuple[str, int] = ("0.0.0.0" if family == AF_INET else "::", 0)  # noqa: S104

    @classmethod
    def make(cls, network: Network, family: int, kind: int, protocol: int, flags: int) -> InetSocket:
        """A new one. Raises CallError."""
        with HOST_ERRORS:
            return cls(network, _socket.socket(family, kind, protocol), family, kind, protocol, flags)

    def _address(self, raw: bytes) -> tuple[Any, ...]:
        """Python's form of a struct sockaddr_in or sockaddr_in6. Raises CallError."""
        least = 16 if self.family == AF_INET else 24
        if len(raw) < least:
            raise CallError(errno.EINVAL)
        family, port = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:4], "big")
        if family != self.family:
            raise CallError(errno.EAFNOSUPPORT)
        if family == AF_INET:
            return _socket.inet_ntop(AF_INET, raw[4:8]), port
        scope = int.from_bytes(raw[24:28], "little") if len(raw) >= 28 else 0
        flow = int.from_bytes(raw[4:8], "big") & 0xFFFFF
        return _socket.inet_ntop(AF_INET6, raw[8:24]), port, flow, scope

    def _raw(self, address: tuple[Any, ...] | None) -> bytes:
        if not address:
            return b""
        head = self.family.to_bytes(2, "little") + int(address[1]).to_bytes(2, "big")
        if self.family == AF_INET:
            return head + _SOCKADDR_IN.pack(_socket.inet_pton(AF_INET, address[0]))
        number = _socket.inet_pton(AF_INET6, address[0].partition("%")[0])
        return head + _SOCKADDR_IN6.pack(address[2].to_bytes(4, "big"), number, address[3].to_bytes(4, "little"))

    def bind(self, address: bytes, task: Task) -> None:
        wanted = self._address(address)
        if not self.network.may_bind(self.family, self.kind, wanted[0], wanted[1]):
            raise CallError(errno.EACCES)
        with HOST_ERRORS:
            self.host.bind(wanted)
        self._bound = wanted[0], wanted[1]

    def connect(self, address: bytes, task: Task) -> None:
        if len(address) >= 2 and address[:2] == bytes(2):
            _disconnect(self.host.fileno())
            return
        wanted = self._destination(address)
        if task.progress and not events_of(self.host.fileno()) & (WRITABLE | POLLERR | POLLHUP):
            raise self._still_connecting(task)
        # Made again it tells how the attempt that is under way has ended.
        error = self.host.connect_ex(wanted)
        if error == errno.EINPROGRESS and not self.nonblocking:
            task.progress = 1
            raise self._still_connecting(task)
        if error:
            raise CallError(error)

    def _still_connecting(self, task: Task) -> WouldBlock:
        try:
            return self.wait(task, POLLOUT, self.send_timeout)
        except CallError:
            raise CallError(errno.EINPROGRESS) from None

    def _destination(self, address: bytes) -> tuple[Any, ...]:
        wanted = self._address(address)
        if not self.network.may_connect(self.family, self.kind, wanted[0], wanted[1]):
            raise CallError(errno.EACCES)
        return wanted

    def listen(self, backlog: int, task: Task) -> None:
        if self.kind == SOCK_STREAM and not self.network.may_listen(self.family, self.kind, *self._bound):
            raise CallError(errno.EACCES)
        with HOST_ERRORS:
            self.host.listen(backlog)
        self.listening = True

    def accept(self, flags: int, task: Task) -> tuple[Socket, bytes]:
        if not self.listening:
            raise CallError(errno.EOPNOTSUPP if self.kind != SOCK_STREAM else errno.EINVAL)
        try:
            with HOST_ERRORS:
                fd, address = self.host._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except CallError as error:
            if error.errno != errno.EAGAIN or self.nonblocking:
                raise
            raise self.wait(task, POLLIN, self.receive_timeout) from None
        host = _socket.socket(self.family, self.kind, self.protocol, fd)
        return InetSocket(self.network, host, self.family, self.kind, self.protocol, flags), self._raw(address)

    def own_address(self) -> bytes:
        with HOST_ERRORS:
            return self._raw(self.host.getsockname())

    def peer_address(self) -> bytes:
        with HOST_ERRORS:
            return self._raw(self.host.getpeername())

    def send(
        self,
        views: Sequence[memoryview],
        flags: int,
        task: Task,
        address: bytes | None = None,
        rights: Sequence[OpenFile] = (),
    ) -> int:
        if rights:
            raise CallError(errno.EINVAL)
        if self.kind == SOCK_STREAM:
            return self.send_all(views, flags, task, lambda left: self.host.sendmsg(left, (), MSG_NOSIGNAL))
        target = () if address is None else (self._destination(address),)
        try:
            with HOST_ERRORS:
                return self.host.sendmsg(views, (), MSG_NOSIGNAL, *target)
        except CallError as error:
            if error.errno != errno.EAGAIN or self.must_not_wait(flags):
                raise
            raise self.wait(task, POLLOUT, self.send_timeout) from None

    def receive(self, views: Sequence[memoryview], flags: int, task: Task) -> tuple[int, Extra]:
        passed = flags & (MSG_PEEK | MSG_TRUNC)

        def receive(left: Sequence[memoryview]) -> tuple[int, Any, int]:
            count, _, told, address = self.host.recvmsg_into(left, 0, passed)
            return count, address, told

        count, source, told = self.receive_some(views, flags, task, receive)
        address = self._raw(source) if self.kind == SOCK_DGRAM else None
        return count, (address, [], told & MSG_TRUNC)


def _disconnect(fd: int) -> None:
    """connect(2) with AF_UNSPEC, which Python does not offer. Raises CallError."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.connect(fd, bytes(16), 16):
        raise CallError(ctypes.get_errno())
