"""Descriptors that stand for processes (pidfd_open(2), kernel/pid.c): they can be waited for, and signals sent by them, and a
number that has been given to somebody else meanwhile does no harm."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._descriptors import OpenFile, Status
from vx32py._errors import CallError
from vx32py._readiness import POLLHUP, READABLE
from vx32py.personality.linux import delivery, ids, siginfo
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._process import Process

PIDFD_NONBLOCK: Final = os.O_NONBLOCK
PIDFD_SIGNAL_THREAD_GROUP: Final = 2
_NSIG: Final = 64


class PidFd(OpenFile):
    """A process, for as long as somebody remembers it."""

    named = False

    def __init__(self, group: ThreadGroup, flags: int) -> None:
        super().__init__(os.O_RDWR | flags)
        self.group = group

    @property
    def is_reaped(self) -> bool:
        """Whether its parent has been told how it ended."""
        return self.group.family.processes.get(self.group.pid) is not self.group

    def poll(self) -> int:
        if self.is_reaped:
            return READABLE | POLLHUP
        return 0 if self.group.alive else READABLE

    @property
    def arrivals(self) -> int:  # type: ignore[override]
        return (not self.group.alive) + self.is_reaped

    def status(self) -> Status:
        return Status(0o600)

    def copy(self, held: object, copies: object) -> None:
        """None: another guest has other processes."""


@call(434, "pidfd_open")
def pidfd_open(process: Process, pid: int, flags: int) -> int:
    """A descriptor for a process."""
    if flags & ~PIDFD_NONBLOCK or signed(pid) <= 0:
        raise CallError(errno.EINVAL)
    group = process.family.processes.get(pid)
    if group is None:
        raise CallError(errno.EINVAL if pid in process.family.tasks else errno.ESRCH)
    return process.descriptors.install(PidFd(group, flags), close_on_exec=True)


@call(424, "pidfd_send_signal")
def pidfd_send_signal(process: Process, fd: int, number: int, info: int, flags: int) -> None:
    """Send a signal to the process that a descriptor stands for."""
    if flags & ~PIDFD_SIGNAL_THREAD_GROUP:
        raise CallError(errno.EINVAL)
    file = of_descriptor(process, fd)
    if info:
        content = process.memory.read(info, siginfo.INFO_BYTES)
        if int.from_bytes(content[:4], "little") != number:
            raise CallError(errno.EINVAL)
        copied = siginfo.made_up(content, number)
        code = siginfo.code(copied)
        if file.group is not process.group and (code >= 0 or code == siginfo.SI_TKILL):
            raise CallError(errno.EPERM)
    else:
        copied = siginfo.of_sender(number, siginfo.SI_USER, process.pid, ids.of(process).real)
    if file.is_reaped:
        raise CallError(errno.ESRCH)
    if number > _NSIG:
        raise CallError(errno.EINVAL)
    if not ids.may_signal(process, file.group):
        raise CallError(errno.EPERM)
    if number and not delivery.send(file.group, number, copied):
        raise CallError(errno.EAGAIN)


def of_descriptor(process: Process, fd: int) -> PidFd:
    """What a descriptor stands for. Raises CallError(EBADF) where that is no process."""
    file = process.descriptors.get(fd)
    if not isinstance(file, PidFd):
        raise CallError(errno.EBADF)
    return file
