"""Waiting for descriptors: poll, select and their variants."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py.personality import common
from vx32py.personality.linux import layouts
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

POLLIN, POLLOUT, POLLNVAL, POLLRDNORM, POLLWRNORM = 1, 4, 0x20, 0x40, 0x100
_READ: Final = POLLIN | POLLRDNORM
_WRITE: Final = POLLOUT | POLLWRNORM


@call(168, "poll")
def poll(process: Process, fds: int, count: int, milliseconds: int) -> int:
    """Wait for events; how many descriptors have some."""
    timeout = signed(milliseconds)
    return _poll(process, fds, count, None if timeout < 0 else timeout / 1000)


@call(309, "ppoll")
def ppoll(process: Process, fds: int, count: int, timeout: int) -> int:
    """The same with a timespec (and a signal mask, without meaning here)."""
    return _poll(process, fds, count, timespec(process, timeout))


@call(414, "ppoll_time64")
def ppoll_time64(process: Process, fds: int, count: int, timeout: int) -> int:
    """The same with a 64-bit timespec."""
    return _poll(process, fds, count, timespec(process, timeout, wide=True))


def _poll(process: Process, fds: int, count: int, seconds: float | None) -> int:
    if count > common.MAX_SELECT:
        raise CallError(errno.EINVAL)
    process.memory.check(fds, 8 * count, writable=True)
    entries = list(struct.iter_unpack("<ihh", process.memory.read(fds, 8 * count)))
    wanted: list[tuple[OpenFile, bool, bool]] = []
    where: list[int] = []
    results = [0] * count
    for index, (fd, events, _) in enumerate(entries):
        if fd < 0:
            continue
        if fd not in process.descriptors:
            results[index] = POLLNVAL
            continue
        wanted.append((process.descriptors.get(fd), bool(events & _READ), bool(events & _WRITE)))
        where.append(index)
    found = common.wait_for_files(process, wanted, 0 if any(results) else seconds)
    for index, (can_read, can_write) in zip(where, found, strict=True):
        events = entries[index][1]
        results[index] = (events & _READ if can_read else 0) | (events & _WRITE if can_write else 0)
    packed = b"".join(struct.pack("<ihh", e[0], e[1], r) for e, r in zip(entries, results, strict=True))
    process.memory.write(fds, packed)
    return sum(1 for result in results if result)


@call(142, "_newselect")
def newselect(process: Process, count: int, readable: int, writable: int, exceptional: int, timeout: int) -> int:
    """Wait for descriptors below ``count``; ``timeout`` is a timeval."""
    seconds = None
    if timeout:
        whole, microseconds = layouts.TIMEVAL.unpack(process.memory.read(timeout, layouts.TIMEVAL.size))
        if whole < 0 or microseconds < 0:
            raise CallError(errno.EINVAL)
        seconds = whole + microseconds / 1e6
    return common.select_descriptors(process, count, (readable, writable, exceptional), seconds)


@call(82, "select")
def old_select(process: Process, arguments: int) -> int:
    """The same with its five arguments in memory."""
    return newselect(process, *struct.unpack("<5I", process.memory.read(arguments, 20)))


@call(308, "pselect6")
def pselect6(process: Process, count: int, readable: int, writable: int, exceptional: int, timeout: int) -> int:
    """The same with a timespec (and a signal mask, without meaning here)."""
    seconds = timespec(process, timeout)
    return common.select_descriptors(process, count, (readable, writable, exceptional), seconds)


@call(413, "pselect6_time64")
def pselect6_time64(process: Process, count: int, readable: int, writable: int, exceptional: int, timeout: int) -> int:
    """The same with a 64-bit timespec."""
    seconds = timespec(process, timeout, wide=True)
    return common.select_descriptors(process, count, (readable, writable, exceptional), seconds)


def timespec(process: Process, address: int, *, wide: bool = False) -> float | None:
    """Seconds from a timespec, None for a null pointer. Raises CallError(EINVAL)."""
    if not address:
        return None
    layout = layouts.TIMESPEC64 if wide else layouts.TIMESPEC
    seconds, nanoseconds = layout.unpack(process.memory.read(address, layout.size))
    if seconds < 0 or not 0 <= nanoseconds < layouts.SECOND:
        raise CallError(errno.EINVAL)
    # More than a century is for ever, and beyond what the host's clock functions take.
    return float(min(seconds, 1 << 32) + nanoseconds / layouts.SECOND)
