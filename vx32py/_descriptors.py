"""Open files and the descriptor table of a guest.

An :class:`OpenFile` is what POSIX calls an open file description: it has the position, and several descriptors (of
several processes, after fork) can share it. What it reads into and writes from is guest memory itself, without copies.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from reference.records import dataclass
from vx32py._errors import CallError, LimitExceeded
from vx32py._readiness import POLLERR, POLLHUP, READABLE, WRITABLE
from vx32py._wait import Waiter, WouldBlock

#: The user and group that a guest believes to be.
GUEST_ID: Final = 1000


#: What writev takes at a time of files that have no vectors.
MOST_JOINED: Final = 4 << 20


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
    def of(cls, host: os.stat_result, uid: int = GUEST_ID, gid: int = GUEST_ID) -> Status:
        """The host's answer, with the host's user and group shown as the guest's own and every other one as 0."""
        return cls(
            mode=host.st_mode,
            size=host.st_size,
            dev=host.st_dev,
            ino=host.st_ino,
            nlink=host.st_nlink,
            uid=uid if host.st_uid == os.getuid() else 0,
            gid=gid if host.st_gid == os.getgid() else 0,
            rdev=host.st_rdev,
            blksize=host.st_blksize,
            blocks=host.st_blocks,
            atime=host.st_atime_ns,
            mtime=host.st_mtime_ns,
            ctime=host.st_ctime_ns,
        )


class Meter:
    """How many bytes may still be written, to one file or to all that share it. ``limit`` is the limit's name,
    ``message`` what to say when it is passed."""

    __slots__ = ("left", "limit", "message")

    def __init__(self, limit: str, most: int, message: str) -> None:
        self.limit = limit
        self.left = most
        self.message = message

    def take(self, count: int) -> None:
        """So many bytes were written. Raises LimitExceeded."""
        if count > self.left:
            raise LimitExceeded(self.limit, self.message)
        self.left -= count


class OwnMeter(Meter):
    """One that belongs to a single file, and is part of its state."""

    __slots__ = ()


class OpenFile:
    """Base of everything that a descriptor can stand for; by itself it can do nothing.

    ``flags`` are the status flags that the guest sees, with Linux's values; ``references`` counts descriptors; ``meter``
    limits what is written. ``location`` is the place in the guest's name space from which it was opened, or the mount
    (:mod:`vx32py.vfs.walk`). ``outside``: whether somebody beyond the guest's family can make it readable or writable.

    A snapshot :meth:`hold` s a file's state and :meth:`go_back` to it, or makes a :meth:`copy` for another process.
    """

    outside = False
    #: Whether watchers of descriptor tables want to know of it: a native answer may be about it (:mod:`vx32py._native`).
    watched = False
    #: Whether it was opened by a name, as one of any size (O_LARGEFILE), which its flags then say.
    named = True

    #: Whether it is read in records, and a read of no bytes is refused, too.
    records = False

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.references = 0
        self.meter: Meter | None = None
        self.location: Any = None

    @property
    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE in (os.O_RDONLY, os.O_RDWR)  # and not the fourth, which is for neither

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)

    @property
    def nonblocking(self) -> bool:
        """Whether reads and writes fail with EAGAIN instead of waiting."""
        return bool(self.flags & os.O_NONBLOCK)

    def read(self, view: memoryview, waiter: Waiter) -> int:
        """Read into ``view``; the number of bytes, 0 at the end. Raises CallError."""
        raise CallError(errno.EINVAL)

    def write(self, view: memoryview, waiter: Waiter) -> int:
        """Write ``view``; the number of bytes. Raises CallError, and LimitExceeded when all has been written that may be."""
        meter = self.meter
        if meter is None:
            return self.put(view, waiter)
        before = waiter.progress  # which has been taken from the meter
        most = meter.left + before
        try:
            count = self.put(view[:most], waiter) if most else 0
        except WouldBlock:
            meter.left -= waiter.progress - before
            raise
        meter.left -= count - before
        if not meter.left and count < len(view):
            meter.take(1)
        return count

    def put(self, view: memoryview, waiter: Waiter) -> int:
        """What :meth:`write` does, without limits."""
        raise CallError(errno.EINVAL)

    def write_vector(self, views: list[memoryview], waiter: Waiter) -> int:
        """Write several pieces as one, as writev does: where it cannot take them all, what it took counts."""
        if len(views) == 1:
            return self.write(views[0], waiter)
        # In one piece, because the call may be made again from its beginning.
        data = bytearray()
        for view in views:
            data += view[: MOST_JOINED - len(data)]
        return self.write(memoryview(data), waiter)

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

    def poll(self) -> int:
        """The events that there are now, of all that poll(2) can tell; those of a regular file unless it says otherwise."""
        return READABLE | WRITABLE

    #: How often something has come that makes it ready, where that has no host's descriptor to tell (epoll's EPOLLET).
    arrivals = 0

    def seen_by(self, task: object) -> OpenFile:
        """Whose events count when ``task`` waits for it: its own, unless they differ from one process to the next."""
        return self

    def ready(self, *, write: bool) -> bool:
        """Whether a read (or write) would not wait."""
        return bool(self.poll() & (WRITABLE | POLLERR if write else READABLE | POLLHUP | POLLERR))

    def available(self) -> int:
        """How many bytes can be read at once (FIONREAD). Raises CallError(ENOTTY) where nobody knows."""
        raise CallError(errno.ENOTTY)

    def is_terminal(self) -> bool:
        """Whether it is a terminal."""
        return False

    def host_descriptor(self) -> int | None:
        """The host's descriptor behind it whose events are its own, if there is one: for waiting on several at once."""
        return None

    def close(self) -> None:
        """Called when the last descriptor is gone."""

    def hold(self) -> Any:
        """Its state, beside ``flags``: whatever :meth:`go_back` and :meth:`copy` need. Raises OSError."""

    def go_back(self, held: Any) -> bool:
        """Take that state again, also after the file was closed (without references). Whether that is possible. Raises
        OSError."""
        return True

    def copy(self, held: Any, copies: dict[object, Any]) -> OpenFile | None:
        """A file in that state for another process, None where there cannot be one. ``copies`` has what was copied
        for it before. What only the application knows is shared. Raises OSError."""
        return self


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

    def available(self) -> int:
        return max(len(self.data) - self.position, 0)

    def hold(self) -> int:
        return self.position

    def go_back(self, held: int) -> bool:
        self.position = held
        return True

    def copy(self, held: int, copies: dict[object, Any]) -> BytesFile:
        other = BytesFile(self.data, ino=self.ino)
        other.position = held
        return other

    def seek(self, offset: int, whence: int) -> int:
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: len(self.data)}
        if whence not in bases or bases[whence] + offset < 0:
            raise CallError(errno.EINVAL)
        self.position = bases[whence] + offset
        return self.position

    def status(self) -> Status:
        size = len(self.data)
        return Status(stat.S_IFREG | 0o444, size, ino=self.ino, blocks=(size + 511) // 512)


@dataclass(frozen=True, slots=True)
class HeldTable:
    """A descriptor table as it was: of ``table``, which file each descriptor stood for, and the files' states as (file,
    flags, what its meter had left, what it holds)."""

    table: Descriptors
    files: dict[int, OpenFile]
    close_on_exec: frozenset[int]
    states: tuple[tuple[OpenFile, int, int, Any], ...]


class TableWatcher(Protocol):
    """Wants to know which file a descriptor stands for."""

    def descriptor_changed(self, fd: int, file: OpenFile | None) -> None:
        """``fd`` stands for ``file`` from now on, or for none."""


class Descriptors:
    """The descriptor table of one process: at most ``most`` open at a time, each with its close-on-exec flag."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._watchers: list[TableWatcher] = []
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
        if file.watched:
            self._tell(fd, file)
        if close_on_exec:
            self.close_on_exec.add(fd)

    def close(self, fd: int) -> None:
        """Free a descriptor; the last one of a file closes it. Raises CallError(EBADF)."""
        file = self.get(fd)
        del self._files[fd]
        self._closed(fd, file)

    def _closed(self, fd: int, file: OpenFile) -> None:
        if file.watched:
            self._tell(fd, None)
        self.close_on_exec.discard(fd)
        file.references -= 1
        if file.references == 0:
            file.close()

    def watch(self, watcher: TableWatcher) -> None:
        """Tell ``watcher`` of every descriptor of a ``watched`` file, now and when it changes, until :meth:`unwatch`."""
        self._watchers.append(watcher)
        for fd, file in self._files.items():
            if file.watched:
                watcher.descriptor_changed(fd, file)

    def unwatch(self, watcher: TableWatcher) -> None:
        """Tell it no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def tell_of(self, identity: tuple[int, int]) -> None:
        """Tell the watchers again of every descriptor for a file with this device and inode of the host's."""
        for fd, file in self._files.items():
            if getattr(file, "identity", None) == identity:
                self._tell(fd, file)

    def _tell(self, fd: int, file: OpenFile | None) -> None:
        for watcher in self._watchers:
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
        """Free every descriptor. Also while another thread, or a signal handler, does."""
        for fd in tuple(self._files):
            file = self._files.pop(fd, None)
            if file is None:
                continue
            if file.watched or self.close_on_exec:
                self._closed(fd, file)
            else:
                file.references -= 1
                if file.references == 0:
                    file.close()

    # -- snapshots -----------------------------------------------------------------------------------------------

    def hold(self, *more: OpenFile) -> HeldTable:
        """The table as it is, with ``more`` files, which need not be in it. Raises OSError."""
        files = dict.fromkeys((*self._files.values(), *more))
        states = tuple((f, f.flags, f.meter.left if f.meter is not None else 0, f.hold()) for f in files)
        return HeldTable(self, dict(self._files), frozenset(self.close_on_exec), states)

    def go_back(self, held: HeldTable, places: Mapping[OpenFile, OpenFile] | None = None) -> None:
        """Be again what this table was; files that were closed since are opened again. What cannot be is left out.
        ``places``: which of the files have their places taken by others, which are as they are. Raises OSError."""
        wanted = held.files
        if places:
            wanted = {fd: places.get(file, file) for fd, file in wanted.items()}
        for file, flags, left, state in held.states:
            if places and file in places:
                continue
            file.flags = flags
            if not file.go_back(state):
                wanted = {fd: other for fd, other in wanted.items() if other is not file}
            if isinstance(file.meter, OwnMeter):
                file.meter.left = left
        if self._files != wanted:
            self._stand_for(wanted)
        self.close_on_exec = set(held.close_on_exec).intersection(wanted)

    def copy(self, held: HeldTable, copies: dict[object, Any], meter: Meter | None) -> None:
        """Be what another process's table was, with files of its own. ``copies``: which of its files are not to be
        copied, and what takes their places; it has all in the end. ``meter`` is for files that all processes share one for.
        Raises OSError."""
        for file, flags, left, state in held.states:
            if file in copies:
                continue
            other = copies[file] = file.copy(state, copies)
            if other is None or other is file:
                continue
            other.flags = flags
            if isinstance(other.meter, OwnMeter):
                other.meter.left = left
            elif file.meter is not None:
                other.meter = meter
        self._stand_for({fd: copies[file] for fd, file in held.files.items() if copies[file] is not None})
        self.close_on_exec = set(held.close_on_exec).intersection(self._files)

    def _stand_for(self, wanted: dict[int, OpenFile]) -> None:
        """Let each descriptor stand for the file that is wanted, and for nothing else."""
        if not self._files:  # of a guest that has exited
            for fd, file in wanted.items():
                file.references += 1
                self._files[fd] = file
                if file.watched:
                    self._tell(fd, file)
            return
        kept = tuple(wanted.values())
        for file in kept:
            file.references += 1  # it may be closed in one place before it is opened in another
        for fd in tuple(self._files):
            if wanted.get(fd) is not self._files[fd]:
                self.close(fd)
        for fd, file in wanted.items():
            if fd not in self._files:
                self.install_at(fd, file)
        for file in kept:
            file.references -= 1

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._files))

    def __contains__(self, fd: int) -> bool:
        return fd in self._files

    def __len__(self) -> int:
        return len(self._files)
