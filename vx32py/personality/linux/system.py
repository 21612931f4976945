"""The system as a guest sees it, a made-up kernel with the sandbox's memory; settings of processes; random numbers."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, ClassVar, Final, Self

from reference.records import dataclass
from vx32py._errors import CallError
from vx32py.personality.linux import ids, layouts
from vx32py.personality.linux.pending import of_process
from vx32py.personality.linux.table import MASK32, ThreadState, call

if TYPE_CHECKING:
    from vx32py._process import Process

#: struct new_utsname: sysname, nodename, release, version, machine, domainname; the old one has no domain name, and the
#: oldest 8 bytes for each.
_SYSTEM, _RELEASE, _VERSION, _MACHINE, _DOMAIN = "Linux", "6.1.0", "#1", "i686", "(none)"
_CAPABILITIES: Final = 41
_TIMER_SLACK: Final = 50_000
#: A thread's name, without the zero byte behind it (TASK_COMM_LEN).
NAME_BYTES: Final = 15
#: Commands of membarrier: GLOBAL, GLOBAL_EXPEDITED and the registration for it; PRIVATE_EXPEDITED and PRIVATE_EXPEDITED_SYNC_CORE,
#: whose registrations are the bits beside them.
_MEMBARRIER_QUERY, _MEMBARRIER_SHARED, _MEMBARRIER_PRIVATE, _MEMBARRIER_SYNC_CORE = 0, 7, 0x28, 0x20
#: No call gives more at a time: the guest asks again.
MOST_RANDOM: Final = 1 << 20


@dataclass
class Settings:
    """What prctl and personality set for a process, to be asked for again. ``subreaper``: descendants whose parent ends
    become its children. ``barriers``: which kinds of membarrier it has registered for."""

    dumpable: int = 1
    keep_capabilities: int = 0
    no_new_privileges: int = 0
    subreaper: bool = False
    no_huge_pages: int = 0
    timer_slack: int = _TIMER_SLACK
    persona: int = 0
    barriers: int = 0

    per_thread: ClassVar[bool] = False

    def fork(self) -> Self:
        """A child's."""
        return type(self)(
            self.dumpable, self.keep_capabilities, self.no_new_privileges, False, self.no_huge_pages, self.timer_slack,
            self.persona, self.barriers,
        )  # fmt: skip

    def execute(self) -> Self:
        """That of another program."""
        self.dumpable, self.keep_capabilities, self.barriers = 1, 0, 0
        return self


def _names(process: Process, size: int, count: int) -> bytes:
    texts = (_SYSTEM, process.sandbox.hostname, _RELEASE, _VERSION, _MACHINE, _DOMAIN)[:count]
    return b"".join(os.fsencode(text)[: size - 1].ljust(size, b"\0") for text in texts)


@call(122, "uname")
def uname(process: Process, name_out: int) -> None:
    """Names of system and machine."""
    process.memory.write(name_out, _names(process, 65, 6))


@call(109, "olduname")
def olduname(process: Process, name_out: int) -> None:
    """The same without the domain's."""
    process.memory.write(name_out, _names(process, 65, 5))


@call(59, "oldolduname")
def oldolduname(process: Process, name_out: int) -> None:
    """The same in eight characters each."""
    process.memory.write(name_out, _names(process, 9, 5))


@call(116, "sysinfo")
def sysinfo(process: Process, info_out: int) -> None:
    """Time since the start, memory and processes."""
    space = process.engine.space
    uptime = -(-process.clock.monotonic() // layouts.SECOND)  # the kernel rounds up (do_sysinfo)
    packed = struct.pack(
        "<i3I6IHHIII8x", uptime & 0x7FFF_FFFF, 0, 0, 0,
        min(space.budget, MASK32), min(space.budget - space.mapped, MASK32), 0, 0, 0, 0,
        len(process.family.processes) & 0xFFFF, 0, 0, 0, 1,
    )  # fmt: skip
    process.memory.write(info_out, packed)


@call(172, "prctl")
def prctl(process: Process, option: int, argument: int, third: int, fourth: int, fifth: int) -> int:
    """Settings of the process, and the thread's name."""
    settings, signals, state = process.state(Settings), of_process(process.group), process.state(ThreadState)
    match option:
        case 1 if argument <= 64:  # PR_SET_PDEATHSIG
            signals.parent_death_signal = argument
        case 2:  # PR_GET_PDEATHSIG
            process.memory.write_u32(argument, signals.parent_death_signal)
        case 3:  # PR_GET_DUMPABLE
            return settings.dumpable
        case 4 if argument <= 1:  # PR_SET_DUMPABLE
            settings.dumpable = argument
        case 7:  # PR_GET_KEEPCAPS
            return settings.keep_capabilities
        case 8 if argument <= 1:  # PR_SET_KEEPCAPS
            settings.keep_capabilities = argument
        case 13 | 21:  # PR_GET_TIMING: statistical; PR_GET_SECCOMP: no filter
            return 0
        case 14 if argument == 0:  # PR_SET_TIMING
            pass
        case 15:  # PR_SET_NAME
            try:
                state.name = process.memory.read_string(argument, most=NAME_BYTES)
            except ValueError:  # it is longer, and cut off
                state.name = process.memory.read(argument, NAME_BYTES)
        case 16:  # PR_GET_NAME
            name = state.name or os.fsencode(process.module.name)[:NAME_BYTES]
            process.memory.write(argument, name.ljust(NAME_BYTES + 1, b"\0"))
        case 23 if argument < _CAPABILITIES:  # PR_CAPBSET_READ
            return 1
        case 24 if argument < _CAPABILITIES:  # PR_CAPBSET_DROP
            if not ids.of(process).privileged:
                raise CallError(errno.EPERM)
        case 25:  # PR_GET_TSC: enabled
            process.memory.write_u32(argument, 1)
        case 29:  # PR_SET_TIMERSLACK
            settings.timer_slack = argument or _TIMER_SLACK
        case 30:  # PR_GET_TIMERSLACK
            return settings.timer_slack
        case 35:  # PR_SET_MM
            raise CallError(errno.EPERM)
        case 36:  # PR_SET_CHILD_SUBREAPER
            settings.subreaper = bool(argument)
        case 37:  # PR_GET_CHILD_SUBREAPER
            process.memory.write_u32(argument, settings.subreaper)
        case 38 if (argument, third, fourth, fifth) == (1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
            settings.no_new_privileges = 1
        case 39 if (argument, third, fourth, fifth) == (0, 0, 0, 0):  # PR_GET_NO_NEW_PRIVS
            return settings.no_new_privileges
        case 41 if (third, fourth, fifth) == (0, 0, 0):  # PR_SET_THP_DISABLE
            settings.no_huge_pages = int(bool(argument))
        case 42 if (argument, third, fourth, fifth) == (0, 0, 0, 0):  # PR_GET_THP_DISABLE
            return settings.no_huge_pages
        case _:  # PR_SET_SECCOMP among them: a filter that does not filter would be worse than none
            raise CallError(errno.EINVAL)
    return 0


@call(384, "arch_prctl")
def arch_prctl(process: Process, option: int, argument: int) -> int:
    """Nothing of it exists on i386."""
    raise CallError(errno.EINVAL)


@call(136, "personality")
def personality(process: Process, persona: int) -> int:
    """The personality: what was set, PER_LINUX at first. It changes nothing."""
    settings = process.state(Settings)
    before = settings.persona
    if persona != MASK32:
        settings.persona = persona
    return before


@call(375, "membarrier")
def membarrier(process: Process, command: int, flags: int, _processor: int) -> int:
    """A barrier for all threads (membarrier(2)): they take turns, so there is nothing to be done but to keep to the rules: what is
    private is to be registered for before."""
    settings = process.state(Settings)
    if flags:
        raise CallError(errno.EINVAL)
    if command == _MEMBARRIER_QUERY:
        return _MEMBARRIER_SHARED | _MEMBARRIER_PRIVATE | _MEMBARRIER_PRIVATE << 1
    if command in (_MEMBARRIER_PRIVATE & ~_MEMBARRIER_SYNC_CORE, _MEMBARRIER_SYNC_CORE):
        if not settings.barriers & command:
            raise CallError(errno.EPERM)
    elif command.bit_count() == 1 and command & _MEMBARRIER_PRIVATE << 1:
        settings.barriers |= command >> 1
    elif command.bit_count() != 1 or not command & _MEMBARRIER_SHARED:
        raise CallError(errno.EINVAL)
    return 0


@call(355, "getrandom")
def getrandom(process: Process, buffer: int, count: int, flags: int) -> int:
    """Random bytes: the host's, or reproducible ones under a policy without the TIME group."""
    if flags & ~7 or flags & 6 == 6:  # GRND_RANDOM and GRND_INSECURE say the opposite of each other
        raise CallError(errno.EINVAL)
    process.memory.check(buffer, count, writable=True)
    data = process.clock.random(min(count, MOST_RANDOM))
    process.memory.write(buffer, data)
    return len(data)
