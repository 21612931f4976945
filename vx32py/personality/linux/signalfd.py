"""Signals that are read from a descriptor (signalfd(2), fs/signalfd.c): those that are pending for whoever reads, be it the
process that made the descriptor or another one that has it."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Any, Final

from vx32py._anonymous import AnonymousFile
from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py._readiness import POLLIN
from vx32py._task import Task
from vx32py._wait import Waiter, WouldBlock
from vx32py.personality.linux import siginfo
from vx32py.personality.linux.pending import of_process, of_thread
from vx32py.personality.linux.signals import SIGSET_BYTES
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._process import Process

_CREATE: Final = 0xFFFF_FFFF
#: struct signalfd_siginfo: signo, errno, code, pid, uid, fd, tid, band, overrun, trapno, status, int; ptr, utime, stime, addr;
#: addr_lsb, syscall, call_addr and arch.
_INFO: Final = struct.Struct("<IiiIIiIIIIiiQQQQH2xiQI28x")
#: Signals that have codes of their own, how many there are, and what belongs to those (kernel/signal.c, sig_sicodes).
_CODES: Final = {
    siginfo.SIGILL: 11, siginfo.SIGFPE: 15, siginfo.SIGSEGV: 10, siginfo.SIGBUS: 5, siginfo.SIGTRAP: 6, siginfo.SIGIO: 6,
    siginfo.SIGCHLD: 6, siginfo.SIGSYS: 2,
}  # fmt: skip
_SI_SIGIO: Final = -5
_POLL_CODES: Final = 6


class SignalFd(AnonymousFile):
    """Signals of ``mask``."""

    records = True

    def __init__(self, mask: int, flags: int) -> None:
        super().__init__(os.O_RDWR | flags)
        self.mask = mask

    def read(self, view: memoryview, waiter: Waiter) -> int:
        assert isinstance(waiter, Task)
        room = len(view) // _INFO.size
        if not room:
            raise CallError(errno.EINVAL)
        done = 0
        while done < room and (info := take(waiter, self.mask)):
            view[done * _INFO.size : (done + 1) * _INFO.size] = described(info)
            done += 1
        if done:
            return done * _INFO.size
        if self.nonblocking:
            raise CallError(errno.EAGAIN)
        raise WouldBlock(lambda: bool(_pending(waiter) & self.mask))

    def seen_by(self, task: object) -> OpenFile:
        return _Seen(self, task) if isinstance(task, Task) else self

    def poll(self) -> int:
        return 0  # there is nobody whose signals it could tell of

    def hold(self) -> int:
        return self.mask

    def go_back(self, held: int) -> bool:
        self.mask = held
        return True

    def copy(self, held: int, copies: dict[object, Any]) -> SignalFd:
        return SignalFd(held, self.flags & ~os.O_ACCMODE)


class _Seen(OpenFile):
    """The same for one thread."""

    def __init__(self, file: SignalFd, task: Task) -> None:
        super().__init__(file.flags)
        self._file, self._task = file, task

    @property
    def arrivals(self) -> int:  # type: ignore[override]
        return of_thread(self._task).pending.arrivals + of_process(self._task.group).pending.arrivals

    def poll(self) -> int:
        return POLLIN if _pending(self._task) & self._file.mask else 0


def _pending(task: Task) -> int:
    return of_thread(task).pending.bits | of_process(task.group).pending.bits


def take(task: Task, mask: int) -> bytes:
    """The next signal of ``mask`` that is pending for a thread, as a siginfo; nothing where there is none."""
    found = of_thread(task).pending.take(mask) or of_process(task.group).pending.take(mask)
    if found is None:
        return b""
    _, info, source = found
    return info if source is None else source.collected(info)  # type: ignore[attr-defined]


def described(info: bytes) -> bytes:
    """A siginfo as a struct signalfd_siginfo (signalfd_copyinfo)."""
    number, error, code = struct.unpack_from("<iii", info)
    pid, uid, value = struct.unpack_from("<III", info, 12)
    fields = dict.fromkeys(("pid", "uid", "fd", "tid", "band", "overrun", "trapno", "status", "int", "ptr", "addr"), 0)
    if 0 < code <= _CODES.get(number, 0) and number == siginfo.SIGCHLD:
        fields.update(pid=pid, uid=uid, status=_signed(value))
    elif 0 < code <= _CODES.get(number, 0) and number not in (siginfo.SIGIO, siginfo.SIGSYS):
        fields.update(addr=pid)
    elif code == _SI_SIGIO or (0 < code <= _POLL_CODES):
        fields.update(band=pid, fd=_signed(uid))
    elif code == siginfo.SI_TIMER:
        fields.update(tid=pid, overrun=uid, ptr=value, int=_signed(value))
    elif code < 0:
        fields.update(pid=pid, uid=uid, ptr=value, int=_signed(value))
    else:
        fields.update(pid=pid, uid=uid)
    return _INFO.pack(
        number, error, code, fields["pid"], fields["uid"], fields["fd"], fields["tid"], fields["band"], fields["overrun"],
        fields["trapno"], fields["status"], fields["int"], fields["ptr"], 0, 0, fields["addr"], 0, 0, 0, 0,
    )  # fmt: skip


def _signed(word: int) -> int:
    return word - (1 << 32) if word & 0x8000_0000 else word


@call(321, "signalfd")
def signalfd(process: Process, fd: int, mask: int, size: int) -> int:
    """A descriptor to read signals from, or other signals for one."""
    return signalfd4(process, fd, mask, size, 0)


@call(327, "signalfd4")
def signalfd4(process: Process, fd: int, mask: int, size: int, flags: int) -> int:
    """The same with flags."""
    if size != SIGSET_BYTES:
        raise CallError(errno.EINVAL)
    wanted = process.memory.read_u64(mask) & ~siginfo.UNBLOCKABLE
    if flags & ~(os.O_CLOEXEC | os.O_NONBLOCK):
        raise CallError(errno.EINVAL)
    if fd == _CREATE:
        made = SignalFd(wanted, flags & os.O_NONBLOCK)
        return process.descriptors.install(made, close_on_exec=bool(flags & os.O_CLOEXEC))
    file = process.descriptors.get(fd)
    if not isinstance(file, SignalFd):
        raise CallError(errno.EINVAL)
    file.mask = wanted
    return fd


assert _INFO.size == 128
