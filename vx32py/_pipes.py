"""Pipes between processes of a family: pipes of the host, which nobody else has an end of.

So what the kernel says of a pipe goes for the guest's, to the last byte: how much fits, what is written at a stroke, what
poll tells. And the engine can read and write them by itself. But no write ever meets a pipe without readers, for which the
kernel would send the host process a signal: the guest's ends are counted here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from typing import Any, Final, Protocol

from reference.weak import WeakGroup
from vx32py._descriptors import OpenFile, Status
from vx32py._errors import CallError
from vx32py._hostfile import HOST_ERRORS, Transfers, bytes_available
from vx32py._readiness import POLLERR, POLLHUP, READABLE, WRITABLE, events_of
from vx32py._wait import Waiter, WouldBlock

#: How much a pipe holds before its writers wait, unless it is told otherwise; and the most that it may hold (pipe(7)).
PIPE_BYTES: Final = 65536
MOST_PIPE_BYTES: Final = 1 << 20
#: So many pipes of this process may hold more than their guests believe: see :meth:`Pipe.widen`.
MOST_WIDE: Final = 64
#: What one read takes out at most when a pipe is copied.
_EVERYTHING: Final = 2 * MOST_PIPE_BYTES

READ, WRITE = 0, 1
_SET_SIZE: Final = getattr(fcntl, "F_SETPIPE_SZ", 1031)


class PipeUser(Protocol):
    """Who may write into a pipe without asking."""

    def pipe_broken(self, pipe: Pipe) -> None:
        """It has no readers any more."""


class Pipe:
    """What the two ends of a pipe share: the host's descriptors, and how many ends of either side the guests have open.
    Raises OSError where the host has none left."""

    def __init__(self, content: bytes = b"") -> None:
        #: None for an end that nobody has.
        self.fds: list[int | None] = [None, None]
        self.ends = [0, 0]
        self.users: WeakGroup[PipeUser] = WeakGroup()
        #: What the guests believe that it holds, and whether they have said so.
        self.size = PIPE_BYTES
        self._told = False
        #: Whether a writer has had to wait.
        self._full = False
        self._make()
        if content:
            self.fill(content)

    def _make(self) -> None:
        # Not os.pipe2, which not every host has.
        self.fds[:] = os.pipe()
        for fd in self.fds:
            assert fd is not None
            os.set_blocking(fd, False)

    def opened(self, side: int) -> None:
        """There is one end more on a side. Raises OSError."""
        if self.fds[side] is None:
            other = self.fds[1 - side]
            if other is None:
                self._make()
            else:
                self.fds[side] = self._other_end(other, side)
        self.ends[side] += 1

    @staticmethod
    def _other_end(fd: int, side: int) -> int:
        return os.open(f"/proc/self/fd/{fd}", (os.O_RDONLY, os.O_WRONLY)[side] | os.O_NONBLOCK | os.O_CLOEXEC)

    def closed(self, side: int) -> None:
        """There is one end less on a side."""
        self.ends[side] -= 1
        if self.ends[side]:
            return
        if side == READ:
            for user in self.users:
                user.pipe_broken(self)
        self._drop(side)

    def only(self, side: int) -> None:
        """Let the other side be closed, if no end of it is open."""
        if not self.ends[1 - side]:
            self._drop(1 - side)

    def _drop(self, side: int) -> None:
        fd, self.fds[side] = self.fds[side], None
        if fd is not None:
            os.close(fd)
        if self.fds == [None, None]:
            _wide.discard(self)

    def resize(self, size: int) -> int:
        """Make it hold so much, or somewhat more; how much. Raises OSError."""
        self.size = self._set_size(size)
        self._told = True
        _wide.discard(self)
        return self.size

    def widen(self) -> bool:
        """A writer would wait, and not for the first time, so somebody reads: let it hold more than it did, so that tasks take
        turns less often; whether it does. A writer that does not wait, or that nobody reads, never finds out."""
        if self._told or self in _wide or len(_wide) >= MOST_WIDE:
            return False
        if not self._full:
            self._full = True
            return False
        try:
            self._set_size(MOST_PIPE_BYTES)
        except OSError:  # of all the pipes of a user (pipe(7))
            return False
        _wide.add(self)
        return True

    def _set_size(self, size: int) -> int:
        fd = self.fds[WRITE] if self.fds[WRITE] is not None else self.fds[READ]
        assert fd is not None
        return fcntl.fcntl(fd, _SET_SIZE, size)

    def content(self) -> bytes:
        """What is in it, which stays there. Raises OSError."""
        source = self.fds[READ]
        if source is None:
            return b""
        found = bytearray()
        while True:
            try:
                piece = os.read(source, _EVERYTHING)
            except BlockingIOError:
                break
            if not piece:
                break
            found += piece
        if found:
            self.fill(found)
        return bytes(found)

    def fill(self, content: bytes | bytearray) -> None:
        """Put ``content`` into the empty pipe. Raises OSError."""
        if len(content) > self.size:
            self._set_size(len(content))
        target = self.fds[WRITE]
        if target is not None:
            os.write(target, content)
            return
        source = self.fds[READ]
        assert source is not None
        target = self._other_end(source, WRITE)
        try:
            os.write(target, content)
        finally:
            os.close(target)

    def empty(self) -> None:
        """Throw away what is in it. Raises OSError."""
        source = self.fds[READ]
        while source is not None:
            try:
                if not os.read(source, _EVERYTHING):
                    return
            except BlockingIOError:
                return

    @property
    def broken(self) -> bool:
        """Whether there are no readers."""
        return not self.ends[READ]


#: The pipes that hold more than their guests believe.
_wide: Final[weakref.WeakSet[Pipe]] = weakref.WeakSet()


class PipeEnd(OpenFile):
    """Either end. A snapshot holds what is in the pipe."""

    named = False
    watched = True
    side = READ
    transfers = Transfers.PIPE

    def __init__(self, pipe: Pipe, flags: int) -> None:
        super().__init__((os.O_RDONLY, os.O_WRONLY)[self.side] | flags)
        self.pipe = pipe
        pipe.opened(self.side)

    @property
    def fd(self) -> int:
        """The host's descriptor."""
        fd = self.pipe.fds[self.side]
        assert fd is not None
        return fd

    def host_descriptor(self) -> int | None:
        return self.fd

    def poll(self) -> int:
        return events_of(self.fd)

    def status(self) -> Status:
        return Status.of(os.fstat(self.fd))

    def available(self) -> int:
        return bytes_available(self.fd)

    @property
    def size(self) -> int:
        """How much fits in (F_GETPIPE_SZ)."""
        return self.pipe.size

    def resize(self, size: int) -> int:
        """Make it hold so much, or somewhat more; how much. Raises CallError."""
        if size > MOST_PIPE_BYTES:
            raise CallError(errno.EPERM if size <= 1 << 31 else errno.EINVAL)
        with HOST_ERRORS:
            return self.pipe.resize(max(size, 1))

    def close(self) -> None:
        self.pipe.closed(self.side)

    def hold(self) -> bytes:
        return self.pipe.content()

    def go_back(self, held: bytes) -> bool:
        if not self.references:
            self.pipe.opened(self.side)
        self.pipe.empty()
        if held:
            self.pipe.fill(held)
        return True

    def copy(self, held: bytes, copies: dict[object, Any]) -> PipeEnd:
        pipe = copies.get(self.pipe)
        if pipe is None:
            pipe = copies[self.pipe] = Pipe(held)
        other = type(self)(pipe, self.flags & ~os.O_ACCMODE)
        pipe.only(self.side)
        return other


class PipeReader(PipeEnd):
    """The end of a pipe that is read."""

    def read(self, view: memoryview, waiter: Waiter) -> int:
        try:
            return os.readv(self.fd, [view])
        except BlockingIOError:
            pass
        if self.nonblocking:
            raise CallError(errno.EAGAIN)
        raise WouldBlock(self._can_read)

    def _can_read(self) -> bool:
        return bool(events_of(self.fd) & (READABLE | POLLHUP))


class PipeWriter(PipeEnd):
    """The end of a pipe that is written. A write that is too large for it goes on as it is emptied."""

    side = WRITE

    def put(self, view: memoryview, waiter: Waiter) -> int:
        return self.write_vector([view], waiter)

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        done, total = waiter.progress, sum(map(len, views))
        while done < total:
            if self.pipe.broken:
                raise CallError(errno.EPIPE)
            try:
                done += os.writev(self.fd, without_first(views, done))
            except BlockingIOError:
                if self.nonblocking:
                    if done:
                        return done
                    raise CallError(errno.EAGAIN) from None
                if self.pipe.widen():
                    continue
                waiter.progress = done
                raise WouldBlock(self._can_write) from None
        waiter.progress = 0  # a call may write more than once
        return total

    def _can_write(self) -> bool:
        return self.pipe.broken or bool(events_of(self.fd) & (WRITABLE | POLLERR))


def without_first(views: list[memoryview], count: int) -> list[memoryview]:
    """What is left of several pieces after their first ``count`` bytes."""
    if not count:
        return views
    rest = []
    for view in views:
        if count < len(view):
            rest.append(view[count:])
        count = max(count - len(view), 0)
    return rest


def make_pipe(flags: int = 0) -> tuple[PipeReader, PipeWriter]:
    """The two ends of a new pipe. Raises CallError(ENFILE)."""
    try:
        pipe = Pipe()
    except OSError as error:
        raise CallError(errno.ENFILE) from error
    return PipeReader(pipe, flags), PipeWriter(pipe, flags)
