"""Open files and the descriptor table of a guest.

An :class:`OpenFile` is what POSIX calls an open file description: it has the position, and several descriptors (of
several processes, after fork) can share it. What it reads into and writes from is guest memory itself, without copies.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Final, Protocol

from reference.records import dataclass
from vx32py._errors import CallError
from vx32py._wait import Waiter, WouldBlock

#: The user and group that a guest believes to be.
GUEST_ID: Final = 1000
#: How much a pipe holds before its writers wait (pipe(7)).
PIPE_BYTES: Final = 65536
#: A write of at most this many bytes to a host pipe that is ready does not block (pipe(7), PIPE_BUF).
PIPE_ATOMIC: Final = 4096
#: /dev/null, /dev/zero and /dev/full of Linux (Documentation/admin-guide/devices.txt).
_PROMPT_DEVICES: Final = frozenset(1 << 8 | minor for minor in (3, 5, 7))


@dataclass(frozen=True, slots=True)
class Status:
    """What stat tells. ``mode`` as in Linux's st_mode, times in nanoseconds since the epoch."""

    mode: int
    size: int = 0
    dev: int = 1
    ino: int = 1
    nlink: int = 1
    uid: int = GUEST_ID
    gid: int = GUEST_ID
    rdev: int = 0
    blksize: int = 4096
    blocks: int = 0
    atime: int = 0
    mtime: int = 0
    ctime: int = 0

    @classmethod
    def of(cls, host: os.stat_result) -> Status:
        """The host's answer, with the host's user and group shown as the guest's own and every other one as 0."""
        return cls(
            mode=host.st_mode,
            size=host.st_size,
            dev=host.st_dev,
            ino=host.st_ino,
            nlink=host.st_nlink,
            uid=GUEST_ID if host.st_uid == os.getuid() else 0,
            gid=GUEST_ID if host.st_gid == os.getgid() else 0,
            rdev=host.st_rdev,
            blksize=host.st_blksize,
            blocks=host.st_blocks,
            atime=host.st_atime_ns,
            mtime=host.st_mtime_ns,
            ctime=host.st_ctime_ns,
        )


class OpenFile:
    """Base of everything that a descriptor can stand for; by itself it can do nothing.

    ``flags`` are the status flags that the guest sees, with Linux's values; ``references`` counts descriptors.
    """

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.references = 0

    @property
    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY

    @property
    def nonblocking(self) -> bool:
        """Whether reads and writes fail with EAGAIN instead of waiting."""
        return bool(self.flags & os.O_NONBLOCK)

    def read(self, view: memoryview, waiter: Waiter) -> int:
        """Read into ``view``; the number of bytes, 0 at the end. Raises CallError."""
        raise CallError(errno.EINVAL)

    def write(self, view: memoryview, waiter: Waiter) -> int:
        """Write ``view``; the number of bytes. Raises CallError."""
        raise CallError(errno.EINVAL)

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        """Write several pieces as one, as writev does: where it cannot take them all, what it took counts."""
        total = 0
        for view in views:
            if total and not self.ready(write=True):
                break
            count = self.write(view, waiter)
            total += count
            if count < len(view):
                break
        return total

    def read_at(self, view: memoryview, offset: int) -> int:
        """Read from ``offset`` without moving. Raises CallError, ESPIPE where there are no offsets."""
        raise CallError(errno.ESPIPE)

    def write_at(self, view: memoryview, offset: int) -> int:
        """Write at ``offset`` without moving. Raises CallError, ESPIPE where there are no offsets."""
        raise CallError(errno.ESPIPE)

    def seek(self, offset: int, whence: int) -> int:
        """Move, and return the new position. Raises CallError, ESPIPE where there is none."""
        raise CallError(errno.ESPIPE)

    def truncate(self, size: int) -> None:
        """Set the size. Raises CallError."""
        raise CallError(errno.EINVAL)

    def status(self) -> Status:
        """What fstat tells."""
        return Status(stat.S_IFIFO | 0o600)

    def ready(self, *, write: bool) -> bool:
        """Whether a read (or write) would not wait."""
        return True

    def is_terminal(self) -> bool:
        """Whether it is a terminal."""
        return False

    def host_descriptor(self) -> int | None:
        """The host's descriptor behind it, for waiting on several at once."""
        return None

    def close(self) -> None:
        """Called when the last descriptor is gone."""


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


class HostFile(OpenFile):
    """A descriptor of the host: a standard stream passed through, or a file from a granted directory."""

    def __init__(self, fd: int, flags: int, *, owned: bool, append: bool = False) -> None:
        """``owned``: close ``fd`` with the last reference."""
        super().__init__(flags | (os.O_APPEND if append else 0))
        self.fd = fd
        self.owned = owned
        status = os.fstat(fd)
        self.transfers = Transfers.of(status)
        self._waits = self.transfers not in (Transfers.PROMPT, Transfers.LASTING)

    def read(self, view: memoryview, waiter: Waiter) -> int:
        if self._waits:
            if self.nonblocking and not self.ready(write=False):
                raise CallError(errno.EAGAIN)
            waiter.wait_for_descriptor(self.fd, write=False)
        try:
            return os.readv(self.fd, [view])
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error

    def write(self, view: memoryview, waiter: Waiter) -> int:
        if self._waits and (waiter.limited or self.nonblocking):
            if self.nonblocking and not self.ready(write=True):
                raise CallError(errno.EAGAIN)
            waiter.wait_for_descriptor(self.fd, write=True)
            view = view[:PIPE_ATOMIC]
        try:
            return os.write(self.fd, view)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        if self._waits and (waiter.limited or self.nonblocking):
            return super().write_vector(views, waiter)
        try:
            return os.writev(self.fd, views)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error

    def read_at(self, view: memoryview, offset: int) -> int:
        try:
            return os.preadv(self.fd, [view], offset)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error

    def write_at(self, view: memoryview, offset: int) -> int:
        try:
            return os.pwrite(self.fd, view, offset)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error

    def seek(self, offset: int, whence: int) -> int:
        try:
            return os.lseek(self.fd, offset, whence)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self.fd, size)
        except OSError as error:
            raise CallError(error.errno or errno.EIO) from error

    def status(self) -> Status:
        return Status.of(os.fstat(self.fd))

    def ready(self, *, write: bool) -> bool:
        if not self._waits:
            return True
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT if write else select.POLLIN)
        return bool(poll.poll(0))

    def is_terminal(self) -> bool:
        return os.isatty(self.fd)

    def host_descriptor(self) -> int | None:
        return self.fd if self._waits else None

    def close(self) -> None:
        if self.owned:
            self.owned = False
            os.close(self.fd)


class BytesFile(OpenFile):
    """Bytes to read, as a regular file that cannot be written."""

    def __init__(self, data: bytes | bytearray | memoryview, *, ino: int = 1) -> None:
        super().__init__(os.O_RDONLY)
        self.data = memoryview(data).cast("B").toreadonly()
        self.position = 0
        self.ino = ino

    def read(self, view: memoryview, waiter: Waiter) -> int:
        count = self.read_at(view, self.position)
        self.position += count
        return count

    def read_at(self, view: memoryview, offset: int) -> int:
        if offset < 0:
            raise CallError(errno.EINVAL)
        piece = self.data[offset : offset + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int) -> int:
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: len(self.data)}
        if whence not in bases or bases[whence] + offset < 0:
            raise CallError(errno.EINVAL)
        self.position = bases[whence] + offset
        return self.position

    def status(self) -> Status:
        size = len(self.data)
        return Status(stat.S_IFREG | 0o444, size, ino=self.ino, blocks=(size + 511) // 512)


class Pipe:
    """What the two ends of a pipe share."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.readers = 1
        self.writers = 1


class PipeReader(OpenFile):
    """The end of a pipe that is read."""

    def __init__(self, pipe: Pipe, flags: int = 0) -> None:
        super().__init__(os.O_RDONLY | flags)
        self.pipe = pipe

    def read(self, view: memoryview, waiter: Waiter) -> int:
        if not len(view):
            return 0
        if not self.ready(write=False):
            if self.nonblocking:
                raise CallError(errno.EAGAIN)
            raise WouldBlock(lambda: self.ready(write=False))
        count = min(len(view), len(self.pipe.buffer))
        view[:count] = self.pipe.buffer[:count]
        del self.pipe.buffer[:count]
        return count

    def ready(self, *, write: bool) -> bool:
        return bool(self.pipe.buffer) or not self.pipe.writers

    def close(self) -> None:
        self.pipe.readers -= 1


class PipeWriter(OpenFile):
    """The end of a pipe that is written. As soon as the pipe is not full it takes a whole write, or PIPE_BYTES of it."""

    def __init__(self, pipe: Pipe, flags: int = 0) -> None:
        super().__init__(os.O_WRONLY | flags)
        self.pipe = pipe

    def write(self, view: memoryview, waiter: Waiter) -> int:
        if not self.pipe.readers:
            raise CallError(errno.EPIPE)
        if not self.ready(write=True):
            if self.nonblocking:
                raise CallError(errno.EAGAIN)
            raise WouldBlock(lambda: self.ready(write=True))
        piece = view[:PIPE_BYTES]
        self.pipe.buffer += piece
        return len(piece)

    def ready(self, *, write: bool) -> bool:
        return len(self.pipe.buffer) < PIPE_BYTES or not self.pipe.readers

    def close(self) -> None:
        self.pipe.writers -= 1


class TableWatcher(Protocol):
    """Wants to know which file a descriptor stands for."""

    def descriptor_changed(self, fd: int, file: OpenFile | None) -> None:
        """``fd`` stands for ``file`` from now on, or for none."""


class Descriptors:
    """The descriptor table of one process: at most ``most`` open at a time, each with its close-on-exec flag."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._watcher: TableWatcher | None = None
        self._files: dict[int, OpenFile] = {}
        self.close_on_exec: set[int] = set()

    def get(self, fd: int) -> OpenFile:
        """The open file behind a descriptor. Raises CallError(EBADF)."""
        file = self._files.get(fd)
        if file is None:
            raise CallError(errno.EBADF)
        return file

    def install(self, file: OpenFile, *, lowest: int = 0, close_on_exec: bool = False) -> int:
        """Give ``file`` the lowest free descriptor from ``lowest`` on. Raises CallError(EMFILE)."""
        for fd in range(lowest, self.most):
            if fd not in self._files:
                self.install_at(fd, file, close_on_exec=close_on_exec)
                return fd
        if not file.references:
            file.close()
        raise CallError(errno.EMFILE)

    def install_at(self, fd: int, file: OpenFile, *, close_on_exec: bool = False) -> None:
        """Make ``fd`` stand for ``file``, closing what it stood for. Raises CallError(EBADF) for a number too high."""
        if not 0 <= fd < self.most:
            raise CallError(errno.EBADF)
        file.references += 1
        if fd in self._files:
            self.close(fd)
        self._files[fd] = file
        if self._watcher is not None:
            self._watcher.descriptor_changed(fd, file)
        if close_on_exec:
            self.close_on_exec.add(fd)

    def close(self, fd: int) -> None:
        """Free a descriptor; the last one of a file closes it. Raises CallError(EBADF)."""
        file = self.get(fd)
        del self._files[fd]
        if self._watcher is not None:
            self._watcher.descriptor_changed(fd, None)
        self.close_on_exec.discard(fd)
        file.references -= 1
        if file.references == 0:
            file.close()

    def watch(self, watcher: TableWatcher) -> None:
        """Tell ``watcher`` of every descriptor, now and when it changes."""
        self._watcher = watcher
        for fd, file in self._files.items():
            watcher.descriptor_changed(fd, file)

    def clone(self) -> Descriptors:
        """The table of a forked process: other descriptors, the same open files."""
        other = Descriptors(self.most)
        for fd, file in self._files.items():
            other.install_at(fd, file, close_on_exec=fd in self.close_on_exec)
        return other

    def close_for_exec(self) -> None:
        """Free every descriptor that is marked close-on-exec."""
        for fd in tuple(self.close_on_exec):
            self.close(fd)

    def close_all(self) -> None:
        """Free every descriptor."""
        for fd in tuple(self._files):
            self.close(fd)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._files))

    def __contains__(self, fd: int) -> bool:
        return fd in self._files

    def __len__(self) -> int:
        return len(self._files)
