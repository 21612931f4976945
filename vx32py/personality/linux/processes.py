"""Processes: waiting for children, and who one is. Numbers are the sandbox's own."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py._descriptors import GUEST_ID
from vx32py._errors import CallError
from vx32py.personality import common
from vx32py.personality.linux.table import MASK32, call

if TYPE_CHECKING:
    from vx32py._process import Process

WNOHANG: Final = 1


@call(7, "waitpid")
def waitpid(process: Process, pid: int, status_out: int, options: int) -> int:
    """Wait for a child."""
    return common.wait_for_child(process, signed(pid), status_out, no_hang=bool(options & WNOHANG))


@call(114, "wait4")
def wait4(process: Process, pid: int, status_out: int, options: int, usage_out: int) -> int:
    """The same; what the child used is not known."""
    if usage_out:
        process.memory.write(usage_out, bytes(72))
    return waitpid(process, pid, status_out, options)


@call(224, "gettid", native="thread_number")
def gettid(process: Process) -> int:
    """The thread's number."""
    return process.tid


@call(20, "getpid", native="process_number")
@call(65, "getpgrp")
@call(66, "setsid")
def getpid(process: Process) -> int:
    """The process's number, which is its thread's, group's and session's, too."""
    return process.pid


@call(132, "getpgid")
@call(147, "getsid")
def getpgid(process: Process, pid: int) -> int:
    """A process's group is the process."""
    if pid and pid not in process.family.processes:
        raise CallError(errno.ESRCH)
    return pid or process.pid


@call(57, "setpgid")
def setpgid(process: Process, pid: int, group: int) -> None:
    """Accepted."""


@call(64, "getppid")
def getppid(process: Process) -> int:
    """The parent's number; 1 where the host is the parent."""
    return process.parent.pid if process.parent is not None and process.parent.alive else 1


@call(24, "getuid", native="user_number")
@call(47, "getgid", native="user_number")
@call(49, "geteuid", native="user_number")
@call(50, "getegid", native="user_number")
@call(199, "getuid32", native="user_number")
@call(200, "getgid32", native="user_number")
@call(201, "geteuid32", native="user_number")
@call(202, "getegid32", native="user_number")
def getuid(process: Process) -> int:
    """A made-up user, who is nobody special."""
    return GUEST_ID


@call(209, "getresuid32")
@call(211, "getresgid32")
def getresuid(process: Process, real_out: int, effective_out: int, saved_out: int) -> None:
    """The same user three times."""
    for address in (real_out, effective_out, saved_out):
        process.memory.write_u32(address, GUEST_ID)


@call(213, "setuid32")
@call(214, "setgid32")
def setuid(process: Process, wanted: int) -> None:
    """Nobody can become somebody else."""
    if wanted != GUEST_ID:
        raise CallError(errno.EPERM)


@call(203, "setreuid32")
@call(204, "setregid32")
def setreuid(process: Process, real: int, effective: int) -> None:
    """Nobody can become somebody else."""
    if not {real, effective} <= {GUEST_ID, MASK32}:
        raise CallError(errno.EPERM)


@call(208, "setresuid32")
@call(210, "setresgid32")
def setresuid(process: Process, real: int, effective: int, saved: int) -> None:
    """Nobody can become somebody else."""
    if not {real, effective, saved} <= {GUEST_ID, MASK32}:
        raise CallError(errno.EPERM)


@call(205, "getgroups32")
def getgroups(process: Process, count: int, groups_out: int) -> int:
    """No other groups."""
    return 0
