"""FIFOs of a guest's own file systems: a pipe of the host's, in the private directory, behind each of them.

To open one end waits until somebody opens the other one (fifo(7)). Who waits has its descriptor already, so that what the
other end writes is not lost.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from vx32py._descriptors import OpenFile, Status
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._wait import Waiter, WouldBlock
from vx32py.vfs.nodes import HOST_ERRORS

if TYPE_CHECKING:
    from vx32py._task import Task
    from vx32py.vfs.tree import Inode

_READS, _WRITES = 1, 2
_SIDES: Final = {os.O_RDONLY: _READS, os.O_WRONLY: _WRITES, os.O_RDWR: _READS | _WRITES}


class _Fifo:
    """Who has it open, and who waits to: its sides, the descriptor that it will have, and how often the other side had
    been opened before. ``times`` counts that: who opens, writes and closes at once has been met all the same."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.opened = {_READS: 0, _WRITES: 0}
        self.times = {_READS: 0, _WRITES: 0}
        self.waiting: WeakKeyDictionary[Task, tuple[int, int, int]] = WeakKeyDictionary()

    def has(self, side: int) -> bool:
        """Whether somebody has this side, or waits for the other one."""
        return self.opened[side] > 0 or any(
            sides & side and task.alive and task.waiting is not None for task, (sides, _, _) in self.waiting.items()
        )

    def descriptor(self, flags: int) -> int:
        """A descriptor of the host's pipe, which never blocks."""
        with HOST_ERRORS:
            both = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return os.open(self.path, flags & os.O_ACCMODE | os.O_NONBLOCK | os.O_CLOEXEC)
            finally:
                os.close(both)


class FifoFile(HostFile):
    """An open end."""

    outside = False

    def __init__(self, inode: Inode, fifo: _Fifo, fd: int, flags: int) -> None:
        super().__init__(fd, flags & (os.O_ACCMODE | os.O_NONBLOCK), owned=True)
        self.inode = inode
        self.fifo = fifo
        self._count(1)
        inode.opens += 1

    def _count(self, change: int) -> None:
        for side in (_READS, _WRITES):
            if _SIDES[self.flags & os.O_ACCMODE] & side:
                self.fifo.opened[side] += change
                self.fifo.times[side] += change > 0

    def read(self, view: memoryview, waiter: Waiter) -> int:
        if not self.fifo.has(_WRITES) or self.nonblocking:
            with HOST_ERRORS:
                return os.readv(self.fd, [view])
        return super().read(view, waiter)

    def put(self, view: memoryview, waiter: Waiter) -> int:
        if not self.fifo.has(_READS):  # the kernel would send this process a signal
            raise CallError(errno.EPIPE)
        return super().put(view, waiter)

    def status(self) -> Status:
        return self.inode.status()

    def close(self) -> None:
        if self.owned:
            super().close()
            self._count(-1)
            self.inode.closed()

    def go_back(self, held: Any) -> bool:
        return self.references > 0

    def copy(self, held: Any, copies: dict[object, Any]) -> HostFile | None:
        return None


def open_fifo(inode: Inode, flags: int) -> OpenFile:
    """Open a FIFO. Raises CallError, WouldBlock."""
    if flags & os.O_ACCMODE not in _SIDES:
        raise CallError(errno.EINVAL)
    fifo = inode.extra
    if not isinstance(fifo, _Fifo):
        fifo = inode.extra = _Fifo(inode.tree.store.new_fifo())
    sides = _SIDES[flags & os.O_ACCMODE]
    task = inode.tree.current()
    pending = fifo.waiting.pop(task, None) if task is not None else None
    if pending is not None and pending[0] != sides:
        os.close(pending[1])
        pending = None
    other = _READS | _WRITES if sides == _READS | _WRITES else _READS ^ _WRITES ^ sides
    before = pending[2] if pending is not None else fifo.times.get(other, 0)
    there = sides == _READS | _WRITES or fifo.has(other) or fifo.times[other] != before
    if not there and flags & os.O_NONBLOCK:
        if sides == _WRITES:
            raise CallError(errno.ENXIO)
        there = True
    fd = pending[1] if pending is not None else fifo.descriptor(flags)
    if not there:
        if task is None:
            os.close(fd)
            raise CallError(errno.ENXIO)
        fifo.waiting[task] = sides, fd, before
        raise WouldBlock(lambda: fifo.has(other) or fifo.times[other] != before)
    return FifoFile(inode, fifo, fd, flags)
