"""rfork(2): new processes, and groups of one's own (/sys/src/9/port/sysproc.c, sysrfork)."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Final

from vx32py._errors import CallError
from vx32py._group import ThreadGroup
from vx32py.plan9 import memory
from vx32py.plan9.errors import Ebadarg, Enoprocs, Error
from vx32py.plan9.groups import EnvGroup, FdGroup, RendezvousGroup
from vx32py.plan9.proc import Proc

if TYPE_CHECKING:
    from vx32py._mm import Mm

RFNAMEG, RFENVG, RFFDG, RFNOTEG, RFPROC, RFMEM, RFNOWAIT = (1 << bit for bit in range(7))
RFCNAMEG, RFCENVG, RFCFDG, RFREND, RFNOMNT = (1 << bit for bit in range(10, 15))
#: No group can be both copied and empty.
_CONTRARY: Final = ((RFFDG, RFCFDG), (RFNAMEG, RFCNAMEG), (RFENVG, RFCENVG))


def rfork(proc: Proc, flags: int) -> int:
    """Carry out rfork: the number of the child, or 0. Raises Error, OutOfMemory."""
    for copied, empty in _CONTRARY:
        if flags & copied and flags & empty:
            raise Error(Ebadarg)
    if not flags & RFPROC:
        if flags & (RFMEM | RFNOWAIT):
            raise Error(Ebadarg)
        _change_groups(proc, flags)
        return 0
    return _new_process(proc, flags).pid


def _host_is_busy() -> bool:
    """Whether the host's process has so many descriptors open that the processes that there are may need the rest."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY:
        return False
    try:
        free = os.open("/", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    os.close(free)
    return free >= most - most // 8


def _change_groups(proc: Proc, flags: int) -> None:
    if flags & (RFFDG | RFCFDG):
        old, proc.fds = proc.fds, proc.fds.clone() if flags & RFFDG else FdGroup()
        old.leave()
    if flags & (RFNAMEG | RFCNAMEG):
        names = proc.names
        proc.names = names.clone() if flags & RFNAMEG else names.empty()
        names.leave()
    if flags & RFNOMNT:
        proc.names.noattach = True
    if flags & RFREND:
        rendezvous, proc.rendezvous = proc.rendezvous, RendezvousGroup()
        rendezvous.leave()
    if flags & (RFENVG | RFCENVG):
        env, proc.env = proc.env, proc.env.clone() if flags & RFENVG else EnvGroup()
        env.leave()
    if flags & RFNOTEG:
        proc.note_group.members.remove(proc)
        proc.note_group.leave()
        proc.note_group = proc.kernel.new_note_group()
        proc.note_group.members.append(proc)


def _new_process(proc: Proc, flags: int) -> Proc:
    kernel = proc.kernel
    if len(kernel.family.processes) >= kernel.family.most or _host_is_busy():
        raise Error(Enoprocs)
    code = proc.engine.leave_code()
    mm: Mm
    stack = None
    try:
        if flags & RFMEM:
            engine, stack = memory.share(proc)
            mm = proc.mm
        else:
            engine, mm = memory.copy(proc)
    except (CallError, OSError):  # the host has no room, or no descriptors
        proc.engine.take_code(code)
        raise Error(Enoprocs) from None
    parent = kernel.boot if flags & RFNOWAIT else proc.group
    group = ThreadGroup(kernel.family, parent, kernel.family.next_number)
    child = Proc(kernel, engine, mm, creator=proc, group=group)
    child.stack = stack
    memory.write_pid(child)
    child.segments = memory.copy_segments(proc, shared=bool(flags & RFMEM))
    child.waited_for = not flags & RFNOWAIT
    proc.child_count += child.waited_for
    child.notes = proc.notes.copy()
    child.attention = bool(child.notes.pending)
    child.slash, child.dot, child.names = proc.slash.incref(), proc.dot.incref(), proc.names.share()
    child.fds = proc.fds.share()
    child.env = proc.env.share()
    child.rendezvous = proc.rendezvous.share()
    child.note_group = proc.note_group.share()
    child.note_group.members.append(child)
    _change_groups(child, flags)
    child.begin_as_copy()
    child.engine.take_code(code)
    return child
