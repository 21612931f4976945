"""Event counters (eventfd(2)): counters of the host, which nobody else has a descriptor of."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any, Final

from vx32py._anonymous import HostAnonymousFile
from vx32py._errors import CallError
from vx32py._readiness import POLLERR, READABLE, WRITABLE, events_of
from vx32py._wait import Waiter, WouldBlock

_NUMBER: Final = struct.Struct("<Q")
_MOST: Final = (1 << 64) - 2


class EventCounter(HostAnonymousFile):
    """A number to which writes add; a read takes all of it, or (a semaphore) one. Raises OSError."""

    records = True

    def __init__(self, value: int, flags: int, *, semaphore: bool) -> None:
        super().__init__(os.O_RDWR | flags)
        self.semaphore = semaphore
        self.fd = self._make(value)

    def _make(self, value: int) -> int:
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if self.semaphore else 0)
        fd = os.eventfd(min(value, 0xFFFF_FFFF), flags)
        if value > 0xFFFF_FFFF:
            os.write(fd, _NUMBER.pack(value - 0xFFFF_FFFF))
        return fd

    def read(self, view: memoryview, waiter: Waiter) -> int:
        if len(view) < _NUMBER.size:
            raise CallError(errno.EINVAL)
        try:
            value = os.eventfd_read(self.fd)
        except BlockingIOError:
            if self.nonblocking:
                raise CallError(errno.EAGAIN) from None
            raise WouldBlock(self._can_read) from None
        _NUMBER.pack_into(view, 0, value)
        return _NUMBER.size

    def put(self, view: memoryview, waiter: Waiter) -> int:
        if len(view) < _NUMBER.size:
            raise CallError(errno.EINVAL)
        data = bytes(view[: _NUMBER.size])
        if _NUMBER.unpack(data)[0] > _MOST:
            raise CallError(errno.EINVAL)
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            if self.nonblocking:
                raise CallError(errno.EAGAIN) from None
            addend = _NUMBER.unpack(data)[0]
            raise WouldBlock(lambda: self.value + addend <= _MOST) from None

    def _can_read(self) -> bool:
        return bool(events_of(self.fd) & (READABLE | POLLERR))

    @property
    def value(self) -> int:
        """The number."""
        with open(f"/proc/self/fdinfo/{self.fd}", encoding="ascii") as file:
            return next(int(line.split()[1], 16) for line in file if line.startswith("eventfd-count:"))

    def poll(self) -> int:
        return events_of(self.fd) & (READABLE | WRITABLE | POLLERR)

    def hold(self) -> int:
        return self.value

    def go_back(self, held: int) -> bool:
        fresh = self._make(held)
        if self.references:
            os.dup2(fresh, self.fd, inheritable=False)
            os.close(fresh)
        else:
            self.fd = fresh
        return True

    def copy(self, held: int, copies: dict[object, Any]) -> EventCounter:
        return EventCounter(held, self.flags & ~os.O_ACCMODE, semaphore=self.semaphore)
