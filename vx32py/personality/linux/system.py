"""The system and its limits, as a guest sees them: one processor, the sandbox's memory, a made-up kernel."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py.personality.linux import layouts
from vx32py.personality.linux.table import MASK32, ThreadState, call

if TYPE_CHECKING:
    from vx32py._process import Process

#: struct new_utsname: sysname, nodename, release, version, machine, domainname.
_UNAME: Final = ("Linux", "guest", "6.1.0", "#1", "i686", "(none)")
RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_AS = 2, 3, 4, 6, 7, 9
RLIM_NLIMITS: Final = 16
INFINITY: Final = (1 << 64) - 1
PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NAME, PR_GET_NAME = 1, 3, 4, 15, 16
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
#: A thread's name, without the zero byte behind it (TASK_COMM_LEN).
NAME_BYTES: Final = 15
#: No call gives more at a time: the guest asks again.
MOST_RANDOM: Final = 1 << 20


@call(122, "uname")
def uname(process: Process, name_out: int) -> None:
    """Names of system and machine."""
    process.memory.write(name_out, b"".join(text.encode().ljust(65, b"\0") for text in _UNAME))


@call(116, "sysinfo")
def sysinfo(process: Process, info_out: int) -> None:
    """Time since the start, memory and processes."""
    space = process.engine.space
    packed = struct.pack(
        "<i3I6IHHIII8x", process.clock.monotonic() // layouts.SECOND & 0x7FFF_FFFF, 0, 0, 0,
        min(space.budget, MASK32), min(space.budget - space.mapped, MASK32), 0, 0, 0, 0,
        len(process.family.processes), 0, 0, 0, 1,
    )  # fmt: skip
    process.memory.write(info_out, packed)


def limit(process: Process, resource: int) -> int:
    """The limit of a resource. Raises CallError(EINVAL)."""
    if resource >= RLIM_NLIMITS:
        raise CallError(errno.EINVAL)
    layout = process.layout
    known = {
        RLIMIT_DATA: process.engine.space.budget,
        RLIMIT_STACK: layout.stack_end - layout.stack_start,
        RLIMIT_CORE: 0,
        RLIMIT_NPROC: process.family.most,
        RLIMIT_NOFILE: process.descriptors.most,
        RLIMIT_AS: process.engine.space.budget,
    }
    return known.get(resource, INFINITY)


@call(76, "getrlimit")
@call(191, "ugetrlimit")
def getrlimit(process: Process, resource: int, limit_out: int) -> None:
    """A limit, soft and hard."""
    value = min(limit(process, resource), MASK32)
    process.memory.write(limit_out, struct.pack("<II", value, value))


@call(75, "setrlimit")
def setrlimit(process: Process, resource: int, new_limit: int) -> None:
    """Accepted, without effect: limits are the host's business."""
    limit(process, resource)
    process.memory.check(new_limit, 8)


@call(340, "prlimit64")
def prlimit64(process: Process, pid: int, resource: int, new_limit: int, old_limit_out: int) -> None:
    """The same with 64 bits, for this process."""
    if pid not in (0, process.pid):
        raise CallError(errno.ESRCH)
    value = limit(process, resource)
    if new_limit:
        process.memory.check(new_limit, 16)
    if old_limit_out:
        process.memory.write(old_limit_out, struct.pack("<QQ", value, value))


@call(77, "getrusage")
def getrusage(process: Process, who: int, usage_out: int) -> None:
    """Processor time; everything else is 0."""
    microseconds = process.clock.cpu() // 1000
    process.memory.write(usage_out, struct.pack("<ii64x", microseconds // 10**6 & 0x7FFF_FFFF, microseconds % 10**6))


@call(242, "sched_getaffinity")
def sched_getaffinity(process: Process, pid: int, size: int, mask_out: int) -> int:
    """One processor."""
    if size < 4 or size % 4:
        raise CallError(errno.EINVAL)
    process.memory.write_u32(mask_out, 1)
    return 4


@call(241, "sched_setaffinity")
def sched_setaffinity(process: Process, pid: int, size: int, mask: int) -> None:
    """Accepted if it names the one processor."""
    if not size or not process.memory.read_u8(mask) & 1:
        raise CallError(errno.EINVAL)


@call(318, "getcpu")
def getcpu(process: Process, cpu_out: int, node_out: int) -> None:
    """Processor 0 of node 0."""
    for address in (cpu_out, node_out):
        if address:
            process.memory.write_u32(address, 0)


@call(158, "sched_yield")
def sched_yield(process: Process) -> None:
    """Let the other processes run."""
    process.give_way()


@call(155, "sched_getparam")
def sched_getparam(process: Process, pid: int, param_out: int) -> None:
    """Priority 0."""
    process.memory.write_u32(param_out, 0)


@call(157, "sched_getscheduler")
def sched_getscheduler(process: Process, pid: int) -> int:
    """SCHED_OTHER."""
    return 0


@call(96, "getpriority")
def getpriority(process: Process, which: int, who: int) -> int:
    """Nice value 0, as the kernel returns it: 20 - nice."""
    return 20


@call(97, "setpriority")
@call(34, "nice")
def setpriority(process: Process) -> None:
    """Accepted."""


@call(172, "prctl")
def prctl(process: Process, option: int, argument: int) -> int:
    """The process's name and a few flags."""
    state = process.state(ThreadState)
    if option == PR_SET_NAME:
        try:
            state.name = process.memory.read_string(argument, most=NAME_BYTES)
        except ValueError:  # it is longer, and cut off
            state.name = process.memory.read(argument, NAME_BYTES)
    elif option == PR_GET_NAME:
        process.memory.write(argument, (state.name or os.fsencode(process.module.name)[:NAME_BYTES]).ljust(16, b"\0"))
    elif option in (PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS):
        return 1
    elif option not in (PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS):
        raise CallError(errno.EINVAL)
    return 0


@call(384, "arch_prctl")
def arch_prctl(process: Process, option: int, argument: int) -> int:
    """Nothing of it exists on i386."""
    raise CallError(errno.EINVAL)


@call(136, "personality")
def personality(process: Process, persona: int) -> int:
    """PER_LINUX, and it stays."""
    return 0


@call(375, "membarrier")
def membarrier(process: Process, command: int, flags: int) -> int:
    """Supports nothing beyond the question what it supports."""
    if command:
        raise CallError(errno.EINVAL)
    return 0


@call(355, "getrandom")
def getrandom(process: Process, buffer: int, count: int, flags: int) -> int:
    """Random bytes: the host's, or reproducible ones under a policy without the TIME group."""
    if flags & ~7:
        raise CallError(errno.EINVAL)
    process.memory.check(buffer, count, writable=True)
    data = process.clock.random(min(count, MOST_RANDOM))
    process.memory.write(buffer, data)
    return len(data)
