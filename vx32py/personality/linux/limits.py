"""Limits and scheduling, as a guest sees them (kernel/sys.c, kernel/sched/syscalls.c): it can lower its limits, and of those the
number of descriptors, memory and the size of files take effect; it has one processor, and the scheduler is the sandbox's.

What the sandbox limits is the hard limit, for every user.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final, Self

from reference.records import dataclass, field
from vx32py._calls import signed
from vx32py._errors import CallError
from vx32py.personality.linux import cputime, ids, pending, siginfo, signals
from vx32py.personality.linux.layouts import TIMESPEC, TIMESPEC64
from vx32py.personality.linux.table import MASK32, TABLE, call

if TYPE_CHECKING:
    from vx32py._descriptors import OpenFile
    from vx32py._group import ThreadGroup
    from vx32py._process import Process
    from vx32py._task import Task

RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_NOFILE = 1, 2, 3, 4, 6, 7
RLIMIT_AS, RLIMIT_SIGPENDING, RLIMIT_NICE, RLIMIT_RTPRIO = 9, 11, 13, 14
RLIM_NLIMITS: Final = 16
INFINITY: Final = (1 << 64) - 1
RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD = 0, -1, 1
#: Policies of sched_setscheduler: OTHER, FIFO, RR, BATCH, IDLE; with the flag SCHED_RESET_ON_FORK. The real-time ones.
_POLICIES: Final = frozenset({0, 1, 2, 3, 5})
_REALTIME: Final = frozenset({1, 2})
_RESET_ON_FORK: Final = 0x4000_0000
_DEADLINE: Final = 6
PRIO_PROCESS, PRIO_PGRP, PRIO_USER = 0, 1, 2
_SCHED_ATTR_BYTES: Final = 48


@dataclass
class Limits:
    """``set``: resource → (soft, hard), where the process has set any. ``nice``: -20 to 19. ``policy``: SCHED_…"""

    set: dict[int, tuple[int, int]] = field(default_factory=dict)
    nice: int = 0
    policy: int = 0

    per_thread: ClassVar[bool] = False

    def fork(self) -> Self:
        """A child's."""
        return type(self)(dict(self.set), self.nice, self.policy)

    def execute(self) -> Self:
        """That of another program."""
        return self


def limit(process: Task, resource: int) -> tuple[int, int]:
    """Soft and hard limit of a resource. Raises CallError(EINVAL)."""
    if resource >= RLIM_NLIMITS:
        raise CallError(errno.EINVAL)
    found = process.state(Limits).set.get(resource)
    return found or (_of_sandbox(process, resource),) * 2


def _of_sandbox(process: Task, resource: int) -> int:
    layout, budget = process.layout, process.engine.space.budget
    known = {
        RLIMIT_DATA: budget,
        RLIMIT_STACK: layout.stack_end - layout.stack_start,
        RLIMIT_CORE: 0,
        RLIMIT_NPROC: process.family.most,
        RLIMIT_NOFILE: process.sandbox.open_files,
        RLIMIT_AS: budget,
        RLIMIT_SIGPENDING: pending.MOST_QUEUED,
        RLIMIT_NICE: 0,
        RLIMIT_RTPRIO: 0,
    }
    return known.get(resource, INFINITY)


def file_size(process: Task) -> int | None:
    """How large a process may make files, None for no limit."""
    limits: Limits | None = process.group.states.get(Limits)
    if limits is None or RLIMIT_FSIZE not in limits.set:
        return None
    soft = limits.set[RLIMIT_FSIZE][0]
    return None if soft == INFINITY else soft


def writable(process: Task, file: OpenFile, count: int, *, at: int | None = None) -> int:
    """How many of ``count`` bytes may be written to a file, at an offset or (None) its position, so that it does not become
    larger than it may (generic_write_check_limits). Raises CallError(EFBIG), and sends SIGXFSZ, where that is none."""
    most = file_size(process)
    if most is None or not count or not file.writable or not stat.S_ISREG((status := file.status()).mode):
        return count
    if file.flags & os.O_APPEND:
        at = status.size
    elif at is None:
        at = file.seek(0, os.SEEK_CUR)
    if at >= most:
        raise _too_large(process)
    return min(count, most - at)


def tell_of_rest(process: Task, file: OpenFile, *, at: int | None = None) -> None:
    """Not all of what was to be spliced to a file has found room: the kernel tries the rest, and its signal comes although the
    call returns what was written."""
    with suppress(CallError):
        writable(process, file, 1, at=at)


def check_growth(process: Task, before: int, size: int) -> None:
    """Whether a file may be made larger (inode_newsize_ok). Raises CallError(EFBIG), and sends SIGXFSZ."""
    most = file_size(process)
    if most is not None and before < size > most:
        raise _too_large(process)


def _too_large(process: Task) -> CallError:
    signals.send_to_thread(process, process, siginfo.SIGXFSZ, siginfo.SI_USER)
    return CallError(errno.EFBIG)


def _set_limit(process: Task, resource: int, soft: int, hard: int) -> None:
    """Raises CallError."""
    if resource >= RLIM_NLIMITS or soft > hard:
        raise CallError(errno.EINVAL)
    _, before = limit(process, resource)
    if hard > before:
        if resource != RLIMIT_NOFILE and ids.of(process).privileged and hard <= _of_sandbox(process, resource):
            pass
        else:
            raise CallError(errno.EPERM)
    if resource == RLIMIT_NOFILE:
        process.descriptors.most = soft
    process.state(Limits).set[resource] = soft, hard
    if resource == RLIMIT_FSIZE:
        for task in process.group.tasks:
            task.limits_changed()


def _wide(value: int) -> int:
    return INFINITY if value == MASK32 else value


@call(191, "ugetrlimit")
def ugetrlimit(process: Process, resource: int, limit_out: int) -> None:
    """A limit, soft and hard."""
    soft, hard = limit(process, resource)
    process.memory.write(limit_out, struct.pack("<II", min(soft, MASK32), min(hard, MASK32)))


@call(76, "getrlimit")
def getrlimit(process: Process, resource: int, limit_out: int) -> None:
    """The same with signed numbers."""
    soft, hard = limit(process, resource)
    process.memory.write(limit_out, struct.pack("<II", min(soft, MASK32 >> 1), min(hard, MASK32 >> 1)))


@call(75, "setrlimit")
def setrlimit(process: Process, resource: int, new_limit: int) -> None:
    """Set a limit."""
    soft, hard = struct.unpack("<II", process.memory.read(new_limit, 8))
    _set_limit(process, resource, _wide(soft), _wide(hard))


@call(340, "prlimit64")
def prlimit64(process: Process, pid: int, resource: int, new_limit: int, old_limit_out: int) -> None:
    """The same with 64 bits, both at once, of any process."""
    new = struct.unpack("<QQ", process.memory.read(new_limit, 16)) if new_limit else None
    task = process.family.tasks.get(pid) if pid else process
    if task is None or not task.alive:
        raise CallError(errno.ESRCH)
    if task.group is not process.group and not ids.may_signal(process, task.group):
        raise CallError(errno.EPERM)
    old = limit(task, resource)
    if new is not None:
        _set_limit(task, resource, *new)
    if old_limit_out:
        process.memory.write(old_limit_out, struct.pack("<QQ", *old))


@call(77, "getrusage")
def getrusage(process: Process, who: int, usage_out: int) -> None:
    """Processor time; everything else is 0."""
    match signed(who):
        case 0:
            used = cputime.of_group(process.group)
        case -1:
            used = cputime.of_children(process.group)
        case 1:
            used = cputime.of_thread(process)
        case _:
            raise CallError(errno.EINVAL)
    process.memory.write(usage_out, cputime.usage(used))


# -- the scheduler -----------------------------------------------------------------------------------------------


def _scheduled(process: Process, pid: int) -> Task:
    """A thread by its number, 0 for this one. Raises CallError."""
    if signed(pid) < 0:
        raise CallError(errno.EINVAL)
    task = process.family.tasks.get(pid) if pid else process
    if task is None or not task.alive:
        raise CallError(errno.ESRCH)
    return task


@call(242, "sched_getaffinity")
def sched_getaffinity(process: Process, pid: int, size: int, mask_out: int) -> int:
    """One processor."""
    if size < 4 or size % 4:
        raise CallError(errno.EINVAL)
    _scheduled(process, pid)
    process.memory.write_u32(mask_out, 1)
    return 4


@call(241, "sched_setaffinity")
def sched_setaffinity(process: Process, pid: int, size: int, mask: int) -> None:
    """Accepted if it names the one processor."""
    first = process.memory.read_u8(mask) if size else 0
    _scheduled(process, pid)
    if not first & 1:
        raise CallError(errno.EINVAL)


@call(318, "getcpu")
def getcpu(process: Process, cpu_out: int, node_out: int) -> None:
    """Processor 0 of node 0."""
    for address in (cpu_out, node_out):
        if address:
            process.memory.write_u32(address, 0)


@call(158, "sched_yield")
def sched_yield(process: Process) -> None:
    """Let the others run."""
    process.give_way()


@call(154, "sched_setparam")
def sched_setparam(process: Process, pid: int, param: int) -> None:
    """Priority 0 is the only one."""
    if not param:
        raise CallError(errno.EINVAL)
    priority = process.memory.read_u32(param)
    _scheduled(process, pid)
    if priority:
        raise CallError(errno.EINVAL)


@call(155, "sched_getparam")
def sched_getparam(process: Process, pid: int, param_out: int) -> None:
    """Priority 0."""
    if not param_out:
        raise CallError(errno.EINVAL)
    _scheduled(process, pid)
    process.memory.write_u32(param_out, 0)


@call(156, "sched_setscheduler")
def sched_setscheduler(process: Process, pid: int, policy: int, param: int) -> None:
    """Set one of the policies without priorities, which all mean the same."""
    if signed(policy) < 0 or not param:
        raise CallError(errno.EINVAL)
    priority = process.memory.read_u32(param)
    task, wanted = _scheduled(process, pid), policy & ~_RESET_ON_FORK
    if (
        wanted not in _POLICIES
        or (wanted in _REALTIME) != (0 < priority < 100)
        or (wanted not in _REALTIME and priority)
    ):
        raise CallError(errno.EINVAL)
    if wanted in _REALTIME:
        raise CallError(errno.EPERM)
    task.state(Limits).policy = policy


@call(157, "sched_getscheduler")
def sched_getscheduler(process: Process, pid: int) -> int:
    """The policy: SCHED_OTHER, unless it has been set."""
    return _scheduled(process, pid).state(Limits).policy


@call(159, "sched_get_priority_max")
def sched_get_priority_max(process: Process, policy: int) -> int:
    """The highest priority of a policy."""
    return _priority(policy, 99)


@call(160, "sched_get_priority_min")
def sched_get_priority_min(process: Process, policy: int) -> int:
    """The lowest priority of a policy."""
    return _priority(policy, 1)


def _priority(policy: int, realtime: int) -> int:
    if policy not in _POLICIES and policy != _DEADLINE:
        raise CallError(errno.EINVAL)
    return realtime if policy in _REALTIME else 0


@call(161, "sched_rr_get_interval")
def sched_rr_get_interval(process: Process, pid: int, time_out: int) -> None:
    """How long a turn is: as long as nobody else wants one."""
    _scheduled(process, pid)
    process.memory.write(time_out, TIMESPEC.pack(0, 0))


@call(423, "sched_rr_get_interval_time64")
def sched_rr_get_interval_time64(process: Process, pid: int, time_out: int) -> None:
    """The same with a 64-bit timespec."""
    _scheduled(process, pid)
    process.memory.write(time_out, TIMESPEC64.pack(0, 0))


@call(351, "sched_setattr")
def sched_setattr(process: Process, pid: int, attributes: int, flags: int) -> None:
    """The same as sched_setscheduler and setpriority."""
    if not attributes or signed(pid) < 0 or flags:
        raise CallError(errno.EINVAL)
    size, policy, _flags, nice, priority = struct.unpack("<IIQiI", process.memory.read(attributes, 24))
    if size < _SCHED_ATTR_BYTES and size:
        raise CallError(errno.E2BIG)
    if policy in _REALTIME or policy == _DEADLINE:
        raise CallError(errno.EPERM)
    if policy not in _POLICIES or priority:
        raise CallError(errno.EINVAL)
    limits = _scheduled(process, pid).state(Limits)
    if nice < limits.nice and not ids.of(process).privileged:
        raise CallError(errno.EPERM)
    limits.policy, limits.nice = policy, _clamp(nice)


@call(352, "sched_getattr")
def sched_getattr(process: Process, pid: int, attributes_out: int, size: int, flags: int) -> None:
    """The policy and the nice value."""
    if not attributes_out or signed(pid) < 0 or size < _SCHED_ATTR_BYTES or flags:
        raise CallError(errno.EINVAL)
    limits = _scheduled(process, pid).state(Limits)
    packed = struct.pack("<IIQiI", _SCHED_ATTR_BYTES, limits.policy, 0, limits.nice, 0)
    process.memory.write(attributes_out, packed.ljust(_SCHED_ATTR_BYTES, b"\0"))


# -- nice values -------------------------------------------------------------------------------------------------


def _clamp(nice: int) -> int:
    return max(-20, min(nice, 19))


def _meant(process: Process, which: int, who: int) -> list[ThreadGroup]:
    """The processes that getpriority and setpriority are about. Raises CallError."""
    everybody = [group for group in process.family.processes.values() if group.alive]
    if which == PRIO_PROCESS:
        task = process.family.tasks.get(who) if who else process
        found = [task.group] if task is not None and task.alive else []
    elif which == PRIO_PGRP:
        found = [group for group in everybody if group.pgid == (who or process.group.pgid)]
    elif which == PRIO_USER:
        user = who or ids.of(process).real
        found = [group for group in everybody if ids.of_group(group).real == user]
    else:
        raise CallError(errno.EINVAL)
    if not found:
        raise CallError(errno.ESRCH)
    return found


def _limits_of(group: ThreadGroup) -> Limits:
    found: Limits | None = group.states.get(Limits)
    if found is None:
        found = group.states[Limits] = Limits()
    return found


@call(96, "getpriority")
def getpriority(process: Process, which: int, who: int) -> int:
    """The lowest nice value, as the kernel returns it: 20 - nice."""
    return 20 - min(_limits_of(group).nice for group in _meant(process, which, who))


@call(97, "setpriority")
def setpriority(process: Process, which: int, who: int, nice: int) -> None:
    """Set a nice value; only user 0 may lower it. It changes nothing."""
    wanted = _clamp(signed(nice))
    for group in _meant(process, which, who):
        limits = _limits_of(group)
        if wanted < limits.nice and not ids.of(process).privileged:
            raise CallError(errno.EACCES)
        limits.nice = wanted


@call(34, "nice")
def nice(process: Process, increment: int) -> None:
    """Add to the nice value."""
    limits = process.state(Limits)
    wanted = _clamp(limits.nice + max(-40, min(signed(increment), 40)))
    if wanted < limits.nice and not ids.of(process).privileged:
        raise CallError(errno.EPERM)
    limits.nice = wanted


TABLE.hooks.limits_writes = lambda task: file_size(task) is not None
