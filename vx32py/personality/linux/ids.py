"""Who a process is: users, groups and capabilities (credentials(7), kernel/sys.c, kernel/groups.c, kernel/capability.c).

All of it is made up. Where the sandbox shows its guest as user 0 it may become whoever it likes, and back, as far as these
calls tell; the host knows nothing of it, and what the guest may do is its sandbox's decision.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, ClassVar, Final, Self

from reference.records import dataclass, field
from vx32py._calls import signed
from vx32py._descriptors import GUEST_ID
from vx32py._errors import CallError
from vx32py.personality.linux.table import MASK32, call

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._process import Process
    from vx32py._task import Task

#: For "leave it as it is".
SAME: Final = MASK32
#: What 16-bit calls tell of a number that they cannot tell (DEFAULT_OVERFLOWUID).
_OVERFLOW: Final = 65534
_MOST_GROUPS: Final = 65536
#: _LINUX_CAPABILITY_VERSION_1 to 3, and how many sets of 32 bits they have. All capabilities that there are.
_VERSIONS: Final = {0x1998_0330: 1, 0x2007_1026: 2, 0x2008_0522: 2}
_CURRENT_VERSION: Final = 0x2008_0522
_ALL: Final = (1 << 41) - 1


@dataclass
class Identity:
    """Real, effective and saved user and group, those for files, and supplementary groups. ``capabilities``: effective,
    permitted, inheritable."""

    users: list[int] = field(default_factory=lambda: [GUEST_ID] * 3)
    groups: list[int] = field(default_factory=lambda: [GUEST_ID] * 3)
    file_user: int = GUEST_ID
    file_group: int = GUEST_ID
    others: list[int] = field(default_factory=list)
    capabilities: tuple[int, int, int] = (0, 0, 0)

    per_thread: ClassVar[bool] = False

    @property
    def real(self) -> int:
        """The real user."""
        return self.users[0]

    @property
    def privileged(self) -> bool:
        """Whether it is user 0, who may be anybody."""
        return self.users[1] == 0

    def fork(self) -> Self:
        """A child's."""
        return type(self)(
            list(self.users), list(self.groups), self.file_user, self.file_group, list(self.others), self.capabilities
        )

    def execute(self) -> Self:
        """That of another program."""
        found = self.fork()
        found.users[2], found.groups[2] = found.users[1], found.groups[1]
        return found


def of(task: Task) -> Identity:
    """Who a thread's process is."""
    found: Identity | None = task.group.states.get(Identity)
    if found is None:
        user: int = getattr(task.sandbox, "uid", GUEST_ID)
        group: int = getattr(task.sandbox, "gid", user)
        every = _ALL if user == 0 else 0
        found = Identity([user] * 3, [group] * 3, user, group, [], (every, every, 0))
        task.group.states[Identity] = found
    return found


def of_group(group: ThreadGroup) -> Identity:
    """Who a process is, also when it has ended."""
    leader = group.leader
    found: Identity | None = group.states.get(Identity)
    return found or (of(leader) if leader is not None else Identity())


def may_signal(process: Task, target: ThreadGroup) -> bool:
    """Whether a process may send signals to another one (kill_ok_by_cred)."""
    mine, other = of(process), of_group(target)
    return mine.privileged or not {mine.users[0], mine.users[1]}.isdisjoint({other.users[0], other.users[2]})


def _short(number: int) -> int:
    return number if number <= 0xFFFF else _OVERFLOW


def _long(number: int) -> int:
    """A 16-bit number as 32-bit calls have it."""
    number &= 0xFFFF
    return SAME if number == 0xFFFF else number


@call(199, "getuid32")
def getuid(process: Process) -> int:
    """The real user."""
    return of(process).users[0]


@call(200, "getgid32")
def getgid(process: Process) -> int:
    """The real group."""
    return of(process).groups[0]


@call(201, "geteuid32")
def geteuid(process: Process) -> int:
    """The effective user."""
    return of(process).users[1]


@call(202, "getegid32")
def getegid(process: Process) -> int:
    """The effective group."""
    return of(process).groups[1]


@call(24, "getuid")
def getuid16(process: Process) -> int:
    """The real user."""
    return _short(getuid(process))


@call(47, "getgid")
def getgid16(process: Process) -> int:
    """The real group."""
    return _short(getgid(process))


@call(49, "geteuid")
def geteuid16(process: Process) -> int:
    """The effective user."""
    return _short(geteuid(process))


@call(50, "getegid")
def getegid16(process: Process) -> int:
    """The effective group."""
    return _short(getegid(process))


def _tell(process: Process, numbers: list[int], addresses: tuple[int, ...], *, short: bool) -> None:
    for number, address in zip(numbers, addresses, strict=True):
        if short:
            process.memory.write_u16(address, _short(number))
        else:
            process.memory.write_u32(address, number)


@call(209, "getresuid32")
def getresuid(process: Process, real_out: int, effective_out: int, saved_out: int) -> None:
    """Real, effective and saved user."""
    _tell(process, of(process).users, (real_out, effective_out, saved_out), short=False)


@call(211, "getresgid32")
def getresgid(process: Process, real_out: int, effective_out: int, saved_out: int) -> None:
    """Real, effective and saved group."""
    _tell(process, of(process).groups, (real_out, effective_out, saved_out), short=False)


@call(165, "getresuid")
def getresuid16(process: Process, real_out: int, effective_out: int, saved_out: int) -> None:
    """Real, effective and saved user."""
    _tell(process, of(process).users, (real_out, effective_out, saved_out), short=True)


@call(171, "getresgid")
def getresgid16(process: Process, real_out: int, effective_out: int, saved_out: int) -> None:
    """Real, effective and saved group."""
    _tell(process, of(process).groups, (real_out, effective_out, saved_out), short=True)


# -- changes -----------------------------------------------------------------------------------------------------


def _after_change(identity: Identity, was_privileged: bool) -> None:
    """The numbers for files follow the effective ones; who stops being user 0 has no capabilities any more (setuid(2))."""
    identity.file_user, identity.file_group = identity.users[1], identity.groups[1]
    _, permitted, inheritable = identity.capabilities
    if 0 not in identity.users:
        identity.capabilities = 0, 0, inheritable
    elif was_privileged and not identity.privileged:
        identity.capabilities = 0, permitted, inheritable
    elif not was_privileged and identity.privileged:
        identity.capabilities = permitted, permitted, inheritable


def _set_one(identity: Identity, numbers: list[int], wanted: int) -> None:
    if wanted == SAME:
        raise CallError(errno.EINVAL)
    privileged = identity.privileged
    if privileged:
        numbers[:] = [wanted] * 3
    elif wanted in (numbers[0], numbers[2]):
        numbers[1] = wanted
    else:
        raise CallError(errno.EPERM)
    _after_change(identity, privileged)


def _set_two(identity: Identity, numbers: list[int], real: int, effective: int) -> None:
    old, privileged = list(numbers), identity.privileged
    if not privileged and (real not in (SAME, *old[:2]) or effective not in (SAME, *old)):
        raise CallError(errno.EPERM)
    if real != SAME:
        numbers[0] = real
    if effective != SAME:
        numbers[1] = effective
    if real != SAME or effective not in (SAME, old[0]):
        numbers[2] = numbers[1]
    _after_change(identity, privileged)


def _set_three(identity: Identity, numbers: list[int], wanted: tuple[int, int, int]) -> None:
    privileged = identity.privileged
    if not privileged and not set(wanted) <= {SAME, *numbers}:
        raise CallError(errno.EPERM)
    numbers[:] = [old if new == SAME else new for old, new in zip(numbers, wanted, strict=True)]
    _after_change(identity, privileged)


@call(213, "setuid32")
def setuid(process: Process, user: int) -> None:
    """Be another user."""
    identity = of(process)
    _set_one(identity, identity.users, user)


@call(214, "setgid32")
def setgid(process: Process, group: int) -> None:
    """Be of another group."""
    identity = of(process)
    _set_one(identity, identity.groups, group)


@call(203, "setreuid32")
def setreuid(process: Process, real: int, effective: int) -> None:
    """Set the real and the effective user."""
    identity = of(process)
    _set_two(identity, identity.users, real, effective)


@call(204, "setregid32")
def setregid(process: Process, real: int, effective: int) -> None:
    """Set the real and the effective group."""
    identity = of(process)
    _set_two(identity, identity.groups, real, effective)


@call(208, "setresuid32")
def setresuid(process: Process, real: int, effective: int, saved: int) -> None:
    """Set real, effective and saved user."""
    identity = of(process)
    _set_three(identity, identity.users, (real, effective, saved))


@call(210, "setresgid32")
def setresgid(process: Process, real: int, effective: int, saved: int) -> None:
    """Set real, effective and saved group."""
    identity = of(process)
    _set_three(identity, identity.groups, (real, effective, saved))


@call(23, "setuid")
def setuid16(process: Process, user: int) -> None:
    """The same with 16 bits."""
    setuid(process, _long(user))


@call(46, "setgid")
def setgid16(process: Process, group: int) -> None:
    """The same with 16 bits."""
    setgid(process, _long(group))


@call(70, "setreuid")
def setreuid16(process: Process, real: int, effective: int) -> None:
    """The same with 16 bits."""
    setreuid(process, _long(real), _long(effective))


@call(71, "setregid")
def setregid16(process: Process, real: int, effective: int) -> None:
    """The same with 16 bits."""
    setregid(process, _long(real), _long(effective))


@call(164, "setresuid")
def setresuid16(process: Process, real: int, effective: int, saved: int) -> None:
    """The same with 16 bits."""
    setresuid(process, _long(real), _long(effective), _long(saved))


@call(170, "setresgid")
def setresgid16(process: Process, real: int, effective: int, saved: int) -> None:
    """The same with 16 bits."""
    setresgid(process, _long(real), _long(effective), _long(saved))


@call(215, "setfsuid32")
def setfsuid(process: Process, user: int) -> int:
    """The user for files, if it may be set; who it was."""
    identity = of(process)
    old = identity.file_user
    if user in identity.users or (identity.privileged and user != SAME):
        identity.file_user = user
    return old


@call(216, "setfsgid32")
def setfsgid(process: Process, group: int) -> int:
    """The group for files, if it may be set; which it was."""
    identity = of(process)
    old = identity.file_group
    if group in identity.groups or (identity.privileged and group != SAME):
        identity.file_group = group
    return old


@call(138, "setfsuid")
def setfsuid16(process: Process, user: int) -> int:
    """The same with 16 bits."""
    return _short(setfsuid(process, _long(user)))


@call(139, "setfsgid")
def setfsgid16(process: Process, group: int) -> int:
    """The same with 16 bits."""
    return _short(setfsgid(process, _long(group)))


# -- supplementary groups and capabilities -----------------------------------------------------------------------


@call(205, "getgroups32")
def getgroups(process: Process, count: int, groups_out: int) -> int:
    """The supplementary groups; how many there are."""
    return _tell_groups(process, count, groups_out, of(process).others, "I")


@call(80, "getgroups")
def getgroups16(process: Process, count: int, groups_out: int) -> int:
    """The same with 16 bits."""
    return _tell_groups(process, count, groups_out, [_short(g) for g in of(process).others], "H")


def _tell_groups(process: Process, count: int, groups_out: int, groups: list[int], letter: str) -> int:
    if signed(count) < 0 or 0 < count < len(groups):
        raise CallError(errno.EINVAL)
    if count:
        process.memory.write(groups_out, struct.pack(f"<{len(groups)}{letter}", *groups))
    return len(groups)


@call(206, "setgroups32")
def setgroups(process: Process, count: int, groups: int) -> None:
    """Set the supplementary groups."""
    _take_groups(process, count, groups, "I")


@call(81, "setgroups")
def setgroups16(process: Process, count: int, groups: int) -> None:
    """The same with 16 bits."""
    _take_groups(process, count, groups, "H")


def _take_groups(process: Process, count: int, groups: int, letter: str) -> None:
    identity = of(process)
    if not identity.privileged:
        raise CallError(errno.EPERM)
    if count > _MOST_GROUPS:
        raise CallError(errno.EINVAL)
    layout = struct.Struct(f"<{count}{letter}")
    identity.others = sorted(layout.unpack(process.memory.read(groups, layout.size))) if count else []


def _capability_header(process: Process, header: int) -> tuple[int, int] | None:
    """How many sets of 32 bits, and which process; None for a version that does not exist, after telling the current one."""
    version, pid = struct.unpack("<Ii", process.memory.read(header, 8))
    if version not in _VERSIONS:
        process.memory.write_u32(header, _CURRENT_VERSION)
        return None
    return _VERSIONS[version], pid


@call(184, "capget")
def capget(process: Process, header: int, data_out: int) -> None:
    """The capabilities of a process."""
    found = _capability_header(process, header)
    if found is None:
        if data_out:
            raise CallError(errno.EINVAL)
        return
    words, pid = found
    if pid < 0:
        raise CallError(errno.EINVAL)
    task = process.family.tasks.get(pid) if pid else process
    if task is None:
        raise CallError(errno.ESRCH)
    if data_out:
        sets = of(task).capabilities
        packed = b"".join(struct.pack("<3I", *(s >> 32 * word & MASK32 for s in sets)) for word in range(words))
        process.memory.write(data_out, packed)


@call(185, "capset")
def capset(process: Process, header: int, data: int) -> None:
    """Set one's capabilities, to no more than there are."""
    found = _capability_header(process, header)
    if found is None:
        raise CallError(errno.EINVAL)
    words, pid = found
    if pid not in (0, process.pid, process.tid):
        raise CallError(errno.EPERM)
    sets = [0, 0, 0]
    for index, value in enumerate(struct.unpack(f"<{3 * words}I", process.memory.read(data, 12 * words))):
        sets[index % 3] |= value << 32 * (index // 3)
    effective, permitted, inheritable = (s & _ALL for s in sets)
    identity = of(process)
    _, old_permitted, old_inheritable = identity.capabilities
    if permitted & ~old_permitted or effective & ~permitted or inheritable & ~(old_inheritable | old_permitted):
        raise CallError(errno.EPERM)
    identity.capabilities = effective, permitted, inheritable
