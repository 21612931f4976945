"""Open files that are the host's: a standard stream passed through, or a file from a granted directory."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import termios
import weakref
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Final, Protocol

from vx32py._descriptors import GUEST_ID, OpenFile, OwnMeter, Status
from vx32py._errors import CallError, LimitExceeded
from vx32py._readiness import POLLERR, POLLHUP, POLLIN, POLLOUT, READABLE, WRITABLE, events_of
from vx32py._wait import Interrupted, Waiter, WouldBlock

#: A write of at most this many bytes to a host pipe that is ready does not block (pipe(7), PIPE_BUF).
PIPE_ATOMIC: Final = 4096
#: More bytes than these are transferred in pieces, between which the guest can be stopped: some milliseconds each.
PIECE: Final = 4 << 20
#: The most that one call on an offset transfers.
_MOST_AT_OFFSET: Final = 8 * PIECE
#: /dev/null, /dev/zero and /dev/full of Linux (Documentation/admin-guide/devices.txt).
_PROMPT_DEVICES: Final = frozenset(1 << 8 | minor for minor in (3, 5, 7))
#: preadv2, pwritev2: at the file's own position, and rather EAGAIN than wait.
_OWN_POSITION: Final = -1
_NO_WAIT: Final = getattr(os, "RWF_NOWAIT", 0)
#: What a file can be opened again with.
_REOPEN_FLAGS: Final = os.O_ACCMODE | os.O_APPEND | os.O_SYNC


class Transfers(Enum):
    """How reads and writes of a host's file go. PROMPT: they are done in no time (/dev/null and its like). LASTING:
    they may take long, but wait for nobody (a regular file). PIPE, OTHER: they may wait for somebody."""

    PROMPT = "prompt"
    LASTING = "lasting"
    PIPE = "pipe"
    OTHER = "other"

    @classmethod
    def of(cls, status: os.stat_result) -> Transfers:
        """For the file with this state."""
        if stat.S_ISREG(status.st_mode):
            return cls.LASTING
        if stat.S_ISFIFO(status.st_mode):
            return cls.PIPE
        if sys.platform == "linux" and stat.S_ISCHR(status.st_mode) and status.st_rdev in _PROMPT_DEVICES:
            return cls.PROMPT
        return cls.OTHER


class Mapped(Protocol):
    """The memory of a file that is mapped shared. ``can_be_stored``: whether anybody has, or can give himself, the right
    to store there."""

    can_be_stored: bool

    def reading(self, start: int, count: int) -> None:
        """Bytes of the file are about to be read."""

    def written(self, start: int, count: int) -> None:
        """Bytes of the file were written, or its size has changed."""


#: What is mapped, by device and inode.
mapped: Final[weakref.WeakValueDictionary[tuple[int, int], Mapped]] = weakref.WeakValueDictionary()


class _Held:
    """What a snapshot has of a host's file: the position where there is one, and for a file that the guest has opened
    itself a descriptor, so that it is still there when the guest has closed its own."""

    __slots__ = ("__weakref__", "fd", "position")

    def __init__(self, position: int | None, owned: int | None) -> None:
        """``owned``: a descriptor to keep as long as this is there. Raises OSError."""
        self.position = position
        self.fd: int | None = None
        if owned is not None:
            self.fd = os.dup(owned)
            weakref.finalize(self, os.close, self.fd).atexit = False


class HostFile(OpenFile):
    """A descriptor of the host. ``owner``: the user and group as which the host's own are shown."""

    #: Whether the engine may read it by itself, also where a subclass looks at what is written.
    reads_natively = False

    outside = True
    watched = True

    def __init__(self, fd: int, flags: int, *, owned: bool, append: bool = False) -> None:
        """``owned``: close ``fd`` with the last reference."""
        super().__init__(flags | (os.O_APPEND if append else 0))
        self.fd = fd
        self.owned = owned
        self.owner = GUEST_ID, GUEST_ID
        status = os.fstat(fd)
        self.identity = status.st_dev, status.st_ino
        self.transfers = Transfers.of(status)
        self._waits = self.transfers not in (Transfers.PROMPT, Transfers.LASTING)
        self._no_wait = bool(_NO_WAIT) and self.transfers is Transfers.PIPE
        if mapped:
            self.changed(0, 0)  # it may have been cut off when it was opened

    @property
    def mapping(self) -> Mapped | None:
        """Its memory, if it is mapped shared."""
        return mapped.get(self.identity) if mapped else None

    def changed(self, start: int, count: int) -> None:
        """Bytes of it were written, or its size has changed: to be called by whoever uses ``fd`` for that."""
        mapping = self.mapping
        if mapping is not None:
            mapping.written(start, count)

    def check_change(self) -> None:
        """Whether its content may be changed. Raises CallError."""

    def read(self, view: memoryview, waiter: Waiter) -> int:
        if not self._waits:
            if (mapping := self.mapping) is not None:
                mapping.reading(os.lseek(self.fd, 0, os.SEEK_CUR), len(view))
            return _in_pieces(view, waiter, lambda piece: os.readv(self.fd, [piece]))
        if not self._can_read():
            if self.nonblocking:
                raise CallError(errno.EAGAIN)
            raise WouldBlock(self._can_read, fds=((self.fd, POLLIN),))
        with HOST_ERRORS:
            return os.readv(self.fd, [view])

    def _can_read(self) -> bool:
        return bool(events_of(self.fd) & (READABLE | POLLHUP | POLLERR))

    def _can_write(self) -> bool:
        return bool(events_of(self.fd) & (WRITABLE | POLLERR))

    def put(self, view: memoryview, waiter: Waiter) -> int:
        if not self._waits:
            count = _in_pieces(view, waiter, lambda piece: os.write(self.fd, piece))
            if mapped and self.mapping is not None:
                self.changed(os.lseek(self.fd, 0, os.SEEK_CUR) - count, count)
            return count
        done = waiter.progress
        while done < len(view):
            try:
                count = self._put_some(view[done:])
            except CallError:
                if not done:
                    raise
                break
            if not count:
                if self.nonblocking:
                    if done:
                        break
                    raise CallError(errno.EAGAIN)
                waiter.progress = done
                raise WouldBlock(self._can_write, fds=((self.fd, POLLOUT),))
            done += count
            if done < len(view):
                waiter.progress = done
                waiter.checkpoint()
        waiter.progress = 0  # a call may write more than once
        return done

    def _put_some(self, view: memoryview) -> int:
        """Write what there is room for; 0 where there is none."""
        with HOST_ERRORS:
            if self._no_wait:
                try:
                    return os.pwritev(self.fd, [view], _OWN_POSITION, _NO_WAIT)
                except BlockingIOError:
                    return 0
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                        raise
                    self._no_wait = False
            return os.write(self.fd, view[:PIPE_ATOMIC]) if self._can_write() else 0

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        if self._waits or self.meter is not None or self.mapping is not None or sum(map(len, views)) > PIECE:
            return super().write_vector(views, waiter)
        with HOST_ERRORS:
            return os.writev(self.fd, views)

    def read_at(self, view: memoryview, offset: int) -> int:
        if (mapping := self.mapping) is not None:
            mapping.reading(offset, len(view))
        with HOST_ERRORS:
            return os.preadv(self.fd, [view[:_MOST_AT_OFFSET]], offset)

    def write_at(self, view: memoryview, offset: int) -> int:
        meter, piece = self.meter, view[:_MOST_AT_OFFSET]
        if meter is not None and len(piece) and not meter.left:
            meter.take(1)
        with HOST_ERRORS:
            count = os.pwrite(self.fd, piece if meter is None else piece[: meter.left], offset)
        if meter is not None:
            meter.take(count)
        if mapped and self.mapping is not None:
            self.changed(os.fstat(self.fd).st_size - count if self.flags & os.O_APPEND else offset, count)
        return count

    def seek(self, offset: int, whence: int) -> int:
        with HOST_ERRORS:
            return os.lseek(self.fd, offset, whence)

    def truncate(self, size: int) -> None:
        with HOST_ERRORS:
            if self.meter is not None:
                self.meter.take(max(0, size - os.fstat(self.fd).st_size))
            os.ftruncate(self.fd, size)
        self.changed(0, 0)

    def status(self) -> Status:
        return Status.of(os.fstat(self.fd), *self.owner)

    def poll(self) -> int:
        return events_of(self.fd) if self._waits else super().poll()

    def available(self) -> int:
        if self.transfers is Transfers.LASTING:
            with HOST_ERRORS:
                return max(os.fstat(self.fd).st_size - os.lseek(self.fd, 0, os.SEEK_CUR), 0)
        return bytes_available(self.fd)

    def is_terminal(self) -> bool:
        return os.isatty(self.fd)

    def host_descriptor(self) -> int | None:
        return self.fd if self._waits else None

    def close(self) -> None:
        if self.owned:
            self.owned = False
            os.close(self.fd)

    # -- snapshots -----------------------------------------------------------------------------------------------

    def hold(self) -> _Held:
        position = os.lseek(self.fd, 0, os.SEEK_CUR) if self.transfers is Transfers.LASTING else None
        return _Held(position, self.fd if self.owned else None)

    def go_back(self, held: _Held) -> bool:
        if not self.references:
            if held.fd is not None:
                self.fd, self.owned = self._open_again(held.fd), True
            elif not self._is_there():
                return False
        if held.position is not None:
            os.lseek(self.fd, held.position, os.SEEK_SET)
        return True

    def copy(self, held: _Held, copies: dict[object, Any]) -> HostFile | None:
        if held.fd is None:
            if not self._is_there():
                return None
            other = HostFile(self.fd, self.flags, owned=False)
            if isinstance(self.meter, OwnMeter):
                other.meter = OwnMeter(self.meter.limit, self.meter.left, self.meter.message)
            return other
        other = HostFile(self._open_again(held.fd), self.flags, owned=True)
        other.owner, other.location = self.owner, self.location
        if held.position is not None:
            os.lseek(other.fd, held.position, os.SEEK_SET)
        return other

    def _is_there(self) -> bool:
        """Whether the application's descriptor still is what it was: it may have been closed, and its number be another
        file's now, which the guest must not have."""
        with suppress(OSError):
            status = os.fstat(self.fd)
            return (status.st_dev, status.st_ino) == self.identity
        return False

    def _open_again(self, fd: int) -> int:
        """Another descriptor of the same file, with a position of its own; where the host refuses that, with the same."""
        try:
            return os.open(f"/proc/self/fd/{fd}", self.flags & _REOPEN_FLAGS | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return os.dup(fd)


class _HostErrors:
    """A context in which the host's error numbers become the guest's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, LimitExceeded):
            raise CallError(error.errno or errno.EIO) from error


HOST_ERRORS: Final = _HostErrors()


def bytes_available(fd: int) -> int:
    """How many bytes can be read at once from a descriptor of the host. Raises CallError."""
    with HOST_ERRORS:
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def _in_pieces(view: memoryview, waiter: Waiter, transfer: Callable[[memoryview], int]) -> int:
    """Transfer all of it, or as much as goes before the guest has to stop."""
    with HOST_ERRORS:
        done = transfer(view[:PIECE])
    while PIECE <= done < len(view):
        try:
            waiter.checkpoint()
            with HOST_ERRORS:
                count = transfer(view[done : done + PIECE])
        except (CallError, Interrupted, LimitExceeded):
            break
        done += count
        if count < PIECE:
            break
    return done
