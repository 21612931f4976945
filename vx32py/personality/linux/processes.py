"""Processes: their numbers, waiting for children, process groups and sessions (kernel/exit.c, kernel/sys.c, credentials(7)).
All numbers are the jail's own."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from reference.records import dataclass
from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py._wait import WouldBlock
from vx32py.personality.linux import cputime, ids, pidfd, siginfo
from vx32py.personality.linux.pending import of_process
from vx32py.personality.linux.siginfo import CLD_CONTINUED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, SIGCHLD
from vx32py.personality.linux.table import call

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._process import Process

WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT = 1, 2, 4, 8, 0x0100_0000
WSTOPPED: Final = WUNTRACED
WNOTHREAD, WALL, WCLONE = 0x2000_0000, 0x4000_0000, 0x8000_0000
P_ALL, P_PID, P_PGID, P_PIDFD = 0, 1, 2, 3
#: Bytes of struct siginfo that waitid fills in.
_WAITID_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class News:
    """What has become of a child: CLD_… and the exit code or signal."""

    child: ThreadGroup
    code: int
    status: int

    @property
    def wait_status(self) -> int:
        """As waitpid tells it."""
        if self.code == CLD_EXITED:
            return self.status << 8
        if self.code == CLD_CONTINUED:
            return 0xFFFF
        return self.status << 8 | 0x7F if self.code == CLD_STOPPED else self.status


def _news(child: ThreadGroup, options: int) -> News | None:
    if not child.alive:
        if not options & WEXITED:
            return None
        if child.signal is not None:
            return News(child, CLD_KILLED, child.signal)
        return News(child, CLD_EXITED, child.exit_code or 0)
    code, status = of_process(child).news or (0, 0)
    wanted = WSTOPPED if code == CLD_STOPPED else WCONTINUED if code == CLD_CONTINUED else 0
    return News(child, code, status) if options & wanted else None


def _wait(process: Process, is_meant: Callable[[ThreadGroup], bool], options: int) -> News | None:
    """The next news of a child; None if there are none yet, and WNOHANG is set. Raises CallError(ECHILD)."""

    def look() -> News | None:
        return next((news for child in candidates() if (news := _news(child, options))), None)

    def candidates() -> list[ThreadGroup]:
        return [child for child in process.children() if is_meant(child) and is_of_kind(child)]

    def is_of_kind(child: ThreadGroup) -> bool:
        """Those who tell of their end by SIGCHLD, or (__WCLONE) the others (eligible_child)."""
        return bool(options & WALL) or bool(options & WCLONE) == (of_process(child).exit_signal != SIGCHLD)

    found = look()
    if found is None:
        if not candidates():
            raise CallError(errno.ECHILD)
        if not options & WNOHANG:
            raise WouldBlock(lambda: look() is not None or not candidates())
        process.give_way()  # or a parent that polls would keep its children from running
        found = look()
    return found


def _take(process: Process, news: News, options: int) -> bytes:
    """The news have been told, unless WNOWAIT is set; struct rusage of the child."""
    usage = cputime.usage(cputime.of_group(news.child))
    if not options & WNOWAIT:
        if news.code in (CLD_STOPPED, CLD_CONTINUED):
            of_process(news.child).news = None
        else:
            cputime.add_child(process.group, news.child)
            news.child.reap()
    return usage


@call(114, "wait4")
def wait4(process: Process, pid: int, status_out: int, options: int, usage_out: int) -> int:
    """Wait for a child."""
    wanted, own = signed(pid), process.group.pgid
    if options & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WCLONE | WALL):
        raise CallError(errno.EINVAL)
    if wanted == -(1 << 31):
        raise CallError(errno.ESRCH)
    if wanted > 0:
        news = _wait(process, lambda child: child.pid == wanted, options | WEXITED)
    elif wanted == -1:
        news = _wait(process, lambda child: True, options | WEXITED)
    else:
        news = _wait(process, lambda child: child.pgid == (-wanted or own), options | WEXITED)
    if news is None:
        return 0
    usage = _take(process, news, options)
    if status_out:
        process.memory.write_u32(status_out, news.wait_status)
    if usage_out:
        process.memory.write(usage_out, usage)
    return news.child.pid


@call(7, "waitpid")
def waitpid(process: Process, pid: int, status_out: int, options: int) -> int:
    """Wait for a child."""
    return wait4(process, pid, status_out, options, 0)


@call(284, "waitid")
def waitid(process: Process, kind: int, number: int, info_out: int, options: int, usage_out: int) -> None:
    """Wait for a child, as the options say; what has become of it as a siginfo."""
    every = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | WNOTHREAD | WCLONE | WALL
    if options & ~every or not options & (WEXITED | WSTOPPED | WCONTINUED):
        raise CallError(errno.EINVAL)
    wanted = signed(number)
    if kind == P_ALL:
        news = _wait(process, lambda child: True, options)
    elif kind == P_PID and wanted > 0:
        news = _wait(process, lambda child: child.pid == wanted, options)
    elif kind == P_PGID and wanted >= 0:
        news = _wait(process, lambda child: child.pgid == (wanted or process.group.pgid), options)
    elif kind == P_PIDFD and wanted >= 0:
        meant = pidfd.of_descriptor(process, number)
        never = meant.nonblocking and not options & WNOHANG
        news = _wait(process, lambda child: child is meant.group, options | (WNOHANG if never else 0))
        if news is None and never:
            raise CallError(errno.EAGAIN)
    else:
        raise CallError(errno.EINVAL)
    info = bytes(_WAITID_BYTES)
    if news is not None:
        info = siginfo.of_child(news.code, news.child.pid, ids.of_group(news.child).real, news.status)[:_WAITID_BYTES]
        usage = _take(process, news, options)
        if usage_out:
            process.memory.write(usage_out, usage)
    if info_out:
        process.memory.write(info_out, info)


# -- numbers, process groups and sessions -----------------------------------------------------------------------


def _find(process: Process, pid: int) -> ThreadGroup:
    """A process by its number, 0 for this one. Raises CallError(ESRCH)."""
    group = process.family.processes.get(pid) if pid else process.group
    if group is None:
        raise CallError(errno.ESRCH)
    return group


@call(224, "gettid", native="thread_number")
def gettid(process: Process) -> int:
    """The thread's number."""
    return process.tid


@call(20, "getpid", native="process_number")
def getpid(process: Process) -> int:
    """The process's number."""
    return process.pid


@call(64, "getppid")
def getppid(process: Process) -> int:
    """The parent's number; 1 where the host is the parent, or nobody any more."""
    return process.parent.pid if process.parent is not None and process.parent.alive else 1


@call(65, "getpgrp")
def getpgrp(process: Process) -> int:
    """The process's group."""
    return process.group.pgid


@call(132, "getpgid")
def getpgid(process: Process, pid: int) -> int:
    """A process's group."""
    return _find(process, pid).pgid


@call(147, "getsid")
def getsid(process: Process, pid: int) -> int:
    """A process's session."""
    return _find(process, pid).sid


@call(57, "setpgid")
def setpgid(process: Process, pid: int, pgid: int) -> None:
    """Move this process, or a child that has not executed another program yet, to a process group."""
    if signed(pgid) < 0:
        raise CallError(errno.EINVAL)
    target, me = _find(process, pid), process.group
    if target.parent is me:
        if target.sid != me.sid:
            raise CallError(errno.EPERM)
        if of_process(target).executed:
            raise CallError(errno.EACCES)
    elif target is not me:
        raise CallError(errno.ESRCH)
    if target.sid == target.pid:
        raise CallError(errno.EPERM)
    wanted = pgid or target.pid
    everybody = process.family.processes.values()
    if wanted != target.pid and not any(g.pgid == wanted and g.sid == me.sid for g in everybody):
        raise CallError(errno.EPERM)
    target.pgid = wanted


@call(66, "setsid")
def setsid(process: Process) -> int:
    """Begin a session; its number."""
    me = process.group
    if any(group.pgid == me.pid for group in process.family.processes.values()):
        raise CallError(errno.EPERM)
    me.sid = me.pgid = me.pid
    return me.pid


assert struct.calcsize("<6i") == _WAITID_BYTES
