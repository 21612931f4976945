"""rfork(2): new processes, and groups of one's own (/sys/src/9/port/sysproc.c, sysrfork)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from vx32py._errors import CallError
from vx32py._group import ThreadGroup
from vx32py.plan9 import headroom, memory
from vx32py.plan9.errors import Ebadarg, Enoprocs, Error
from vx32py.plan9.groups import EnvGroup, FdGroup, Group, RendezvousGroup
from vx32py.plan9.proc import Proc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reference.shared import SharedRun
    from vx32py.plan9.namespace import NameGroup

RFNAMEG, RFENVG, RFFDG, RFNOTEG, RFPROC, RFMEM, RFNOWAIT = (1 << bit for bit in range(7))
RFCNAMEG, RFCENVG, RFCFDG, RFREND, RFNOMNT = (1 << bit for bit in range(10, 15))
_Groups: TypeAlias = "tuple[FdGroup, NameGroup, EnvGroup, RendezvousGroup]"
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
        before = proc.fds, proc.names, proc.env, proc.rendezvous
        _join(proc, _groups(proc, flags), flags)
        _leave(before)
        return 0
    return _new_process(proc, flags).pid


def _groups(proc: Proc, flags: int) -> _Groups:
    """Descriptors, names, environment and meetings as the flags say: others, or the same once more. Raises Error."""
    made: list[Any] = []
    kinds = (proc.fds, RFFDG, RFCFDG), (proc.names, RFNAMEG, RFCNAMEG), (proc.env, RFENVG, RFCENVG)
    try:
        for group, copied, empty in kinds:
            made.append(group.clone() if flags & copied else group.empty() if flags & empty else group.share())
    except Error:
        _leave(made)
        raise
    fds, names, env = made
    return fds, names, env, RendezvousGroup() if flags & RFREND else proc.rendezvous.share()


def _leave(groups: Iterable[Group]) -> None:
    for group in groups:
        group.leave()


def _join(proc: Proc, groups: _Groups, flags: int) -> None:
    proc.fds, proc.names, proc.env, proc.rendezvous = groups
    if flags & RFNOMNT:
        proc.names.noattach = True
    if flags & RFNOTEG:
        proc.note_group.members.remove(proc)
        proc.note_group.leave()
        proc.note_group = proc.kernel.new_note_group()
        proc.note_group.members.append(proc)


def _new_process(proc: Proc, flags: int) -> Proc:
    kernel = proc.kernel
    if len(kernel.family.processes) >= kernel.family.most or not headroom.is_there():
        raise Error(Enoprocs)
    space, layout = proc.engine.space, proc.mm.layout
    kernel.check_room(layout.stack_end - layout.stack_start if flags & RFMEM else space.mapped)
    groups = _groups(proc, flags)
    try:
        code = proc.engine.leave_code()
        engine, mm, stack = memory.share(proc) if flags & RFMEM else memory.copy(proc)
    except BaseException as error:
        _leave(groups)
        if isinstance(error, CallError | OSError):  # the host has no room, or no descriptors
            raise Error(Enoprocs) from None
        raise
    parent = kernel.boot if flags & RFNOWAIT else proc.group
    group = ThreadGroup(kernel.family, parent, kernel.family.next_number)
    child = Proc(kernel, engine, mm, creator=proc, group=group)
    try:
        _equip(child, proc, groups, flags, stack)
        child.begin_as_copy()
    except BaseException:
        child.kill("killed")
        raise
    child.engine.take_code(code)
    return child


def _equip(child: Proc, proc: Proc, groups: _Groups, flags: int, stack: SharedRun | None) -> None:
    """Give a child what it has of its parent."""
    child.stack = stack
    memory.write_pid(child)
    child.segments = memory.copy_segments(proc, shared=bool(flags & RFMEM))
    child.waited_for = not flags & RFNOWAIT
    proc.child_count += child.waited_for
    child.notes = proc.notes.copy()
    child.attention = bool(child.notes.pending)
    child.slash, child.dot = proc.slash.incref(), proc.dot.incref()
    child.note_group = proc.note_group.share()
    child.note_group.members.append(child)
    _join(child, groups, flags)
