"""Waiting for many descriptors: epoll."""

from __future__ import annotations

import errno
import os
import struct
import time
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._clock import VirtualClock
from vx32py._epoll import EpollFile
from vx32py._errors import CallError
from vx32py._readiness import POLLIN
from vx32py._wait import WouldBlock
from vx32py.personality.linux.layouts import timespec
from vx32py.personality.linux.polling import masked
from vx32py.personality.linux.table import call
from vx32py.vfs.opened import PathFile

if TYPE_CHECKING:
    from vx32py._process import Process

EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3
#: struct epoll_event, which is packed on x86.
EVENT: Final = struct.Struct("<IQ")
#: EP_MAX_EVENTS; and how many are told at a time, which is enough for anybody.
MOST_EVENTS: Final = 0x7FFF_FFFF // EVENT.size
_TOLD: Final = 4096


@call(254, "epoll_create")
def epoll_create(process: Process, size: int) -> int:
    """A new set."""
    if signed(size) <= 0:
        raise CallError(errno.EINVAL)
    return epoll_create1(process, 0)


@call(329, "epoll_create1")
def epoll_create1(process: Process, flags: int) -> int:
    """The same with flags."""
    if flags & ~os.O_CLOEXEC:
        raise CallError(errno.EINVAL)
    try:
        file = EpollFile()
    except OSError as error:
        raise CallError(errno.ENFILE) from error
    return process.descriptors.install(file, close_on_exec=bool(flags))


@call(255, "epoll_ctl")
def epoll_ctl(process: Process, epfd: int, operation: int, fd: int, event: int) -> None:
    """Put a file in, take it out, or change what is waited for."""
    events, data = EVENT.unpack(process.memory.read(event, EVENT.size)) if operation != EPOLL_CTL_DEL else (0, 0)
    epoll, file = process.descriptors.get(epfd), process.descriptors.get(fd)
    if isinstance(file, PathFile) or isinstance(epoll, PathFile):
        raise CallError(errno.EBADF)
    if file is epoll or not isinstance(epoll, EpollFile):
        raise CallError(errno.EINVAL)
    match operation:
        case 1:  # EPOLL_CTL_ADD
            epoll.add(fd, file, events, data)
        case 2:  # EPOLL_CTL_DEL
            epoll.remove(fd, file)
        case 3:  # EPOLL_CTL_MOD
            epoll.modify(fd, file, events, data)
        case _:
            raise CallError(errno.EINVAL)


@call(256, "epoll_wait")
def epoll_wait(process: Process, epfd: int, events_out: int, most: int, milliseconds: int) -> int:
    """Wait for events; how many there are."""
    timeout = signed(milliseconds)
    return _wait(process, epfd, events_out, most, None if timeout < 0 else timeout / 1000)


@call(319, "epoll_pwait")
def epoll_pwait(
    process: Process, epfd: int, events_out: int, most: int, milliseconds: int, mask: int, mask_size: int
) -> int:
    """The same with a signal mask."""
    with masked(process, mask, mask_size):
        return epoll_wait(process, epfd, events_out, most, milliseconds)


@call(441, "epoll_pwait2")
def epoll_pwait2(
    process: Process, epfd: int, events_out: int, most: int, timeout: int, mask: int, mask_size: int
) -> int:
    """The same with a 64-bit timespec."""
    seconds = timespec(process, timeout, wide=True)
    with masked(process, mask, mask_size):
        return _wait(process, epfd, events_out, most, seconds)


def _wait(process: Process, epfd: int, events_out: int, most: int, seconds: float | None) -> int:
    if not 0 < most <= MOST_EVENTS:
        raise CallError(errno.EINVAL)
    most = min(most, _TOLD)
    epoll = process.descriptors.get(epfd)
    if not isinstance(epoll, EpollFile):
        raise CallError(errno.EINVAL)
    found = epoll.take(most, process)
    if not found and seconds != 0:
        if seconds is not None and isinstance(process.clock, VirtualClock):
            process.give_way()
            process.clock.elapsed += int(seconds * 1e9)
            found = epoll.take(most, process)
        else:
            left = process.wait(seconds) if seconds is not None else None
            if left is None or left > 0:
                deadline = None if left is None else time.monotonic() + left
                fds = ((epoll.fd, POLLIN),) if epoll.outside else ()
                raise WouldBlock(lambda: bool(epoll.poll(process)), deadline, fds, restart=False)
    process.memory.write(events_out, b"".join(EVENT.pack(*event) for event in found))
    return len(found)
