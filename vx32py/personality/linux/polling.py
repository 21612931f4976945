"""Waiting for descriptors: poll, select and their variants."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final

from reference.errors import MemoryFault
from vx32py._calls import signed
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._readiness import ALWAYS, POLLNVAL, wait_for_events
from vx32py.personality import common
from vx32py.personality.linux import layouts, signals
from vx32py.personality.linux.layouts import timespec
from vx32py.personality.linux.table import call
from vx32py.vfs.opened import PathFile

if TYPE_CHECKING:
    from vx32py._process import Process

POLLFD: Final = struct.Struct("<ihH")


@call(168, "poll")
def poll(process: Process, fds: int, count: int, milliseconds: int) -> int:
    """Wait for events; how many descriptors have some."""
    timeout = signed(milliseconds)
    return _poll(process, fds, count, None if timeout < 0 else timeout / 1000)


@call(309, "ppoll")
def ppoll(process: Process, fds: int, count: int, timeout: int, mask: int, mask_size: int) -> int:
    """The same with a timespec and a signal mask."""
    return _ppoll(process, (fds, count), timeout, (mask, mask_size), wide=False)


@call(414, "ppoll_time64")
def ppoll_time64(process: Process, fds: int, count: int, timeout: int, mask: int, mask_size: int) -> int:
    """The same with a 64-bit timespec."""
    return _ppoll(process, (fds, count), timeout, (mask, mask_size), wide=True)


def _ppoll(process: Process, fds: tuple[int, int], timeout: int, mask: tuple[int, int], *, wide: bool) -> int:
    seconds = timespec(process, timeout, wide=wide)
    with masked(process, *mask):
        found = _poll(process, *fds, seconds)
    _tell_time_left(process, timeout, seconds, layouts.TIMESPEC64 if wide else layouts.TIMESPEC)
    return found


def _poll(process: Process, fds: int, count: int, seconds: float | None) -> int:
    if count > common.MAX_SELECT:
        raise CallError(errno.EINVAL)
    process.memory.check(fds, 8 * count, writable=True)
    entries = list(struct.iter_unpack("<ihH", process.memory.read(fds, 8 * count)))
    wanted: list[tuple[OpenFile, int]] = []
    where: list[int] = []
    results = [0] * count
    for index, (fd, events, _) in enumerate(entries):
        if fd < 0:
            continue
        file = process.descriptors.get(fd) if fd in process.descriptors else None
        if file is None or isinstance(file, PathFile):
            results[index] = POLLNVAL
            continue
        wanted.append((file, events & 0xFFFF | ALWAYS))
        where.append(index)
    found = wait_for_events(process, wanted, 0 if any(results) else seconds)
    for index, events in zip(where, found, strict=True):
        results[index] = events
    packed = b"".join(POLLFD.pack(e[0], e[1], r) for e, r in zip(entries, results, strict=True))
    process.memory.write(fds, packed)
    return sum(1 for result in results if result)


@call(142, "_newselect")
def newselect(process: Process, count: int, readable: int, writable: int, exceptional: int, timeout: int) -> int:
    """Wait for descriptors below ``count``; ``timeout`` is a timeval, where the time that is left is put."""
    seconds = None
    if timeout:
        whole, microseconds = layouts.TIMEVAL.unpack(process.memory.read(timeout, layouts.TIMEVAL.size))
        if whole < 0 or microseconds < 0:
            raise CallError(errno.EINVAL)
        seconds = whole + microseconds / 1e6
    found = common.select_descriptors(process, count, (readable, writable, exceptional), seconds)
    _tell_time_left(process, timeout, seconds, layouts.TIMEVAL)
    return found


@call(82, "select")
def old_select(process: Process, arguments: int) -> int:
    """The same with its five arguments in memory."""
    return newselect(process, *struct.unpack("<5I", process.memory.read(arguments, 20)))


@call(308, "pselect6")
def pselect6(
    process: Process, count: int, readable: int, writable: int, exceptional: int, timeout: int, mask: int
) -> int:
    """The same with a timespec, and the address and size of a signal mask at ``mask``."""
    return _pselect(process, count, (readable, writable, exceptional), timeout, mask, wide=False)


@call(413, "pselect6_time64")
def pselect6_time64(
    process: Process, count: int, readable: int, writable: int, exceptional: int, timeout: int, mask: int
) -> int:
    """The same with a 64-bit timespec."""
    return _pselect(process, count, (readable, writable, exceptional), timeout, mask, wide=True)


def _pselect(process: Process, count: int, sets: tuple[int, int, int], timeout: int, mask: int, *, wide: bool) -> int:
    seconds = timespec(process, timeout, wide=wide)
    address, size = struct.unpack("<II", process.memory.read(mask, 8)) if mask else (0, 0)
    with masked(process, address, size):
        found = common.select_descriptors(process, count, sets, seconds)
    _tell_time_left(process, timeout, seconds, layouts.TIMESPEC64 if wide else layouts.TIMESPEC)
    return found


def masked(process: Process, address: int, size: int) -> signals.TemporaryMask:
    """A context in which the signal mask at ``address`` is in place of the thread's own, also while the call waits; none for
    a null pointer. Raises CallError(EINVAL)."""
    return signals.TemporaryMask(process, signals.mask_argument(process, address, size))


def _tell_time_left(process: Process, address: int, seconds: float | None, layout: struct.Struct) -> None:
    """What is left of a wait replaces its time-out (poll_select_finish of fs/select.c), where that can be written."""
    if seconds is None:
        return
    left = max(process.wait(seconds), 0.0) if seconds else 0.0
    whole = int(left)
    part = int((left - whole) * (10**6 if layout is layouts.TIMEVAL else layouts.SECOND))
    try:
        process.memory.write(address, layout.pack(min(whole, 0x7FFF_FFFF), part))
    except MemoryFault:
        return
