"""Address spaces of processes: made, copied, shared (rfork), grown (brk), and with segments attached (segattach).

Processes that share memory have one address space. Each has its own stack, a piece of shared memory that is mapped when its
turn comes; all else that they have is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reference.memory import PAGE, PAGE_SHIFT, page_ceil, page_floor
from reference.shared import Shared, SharedRun
from reference.traps import Access
from vx32py._mm import HeldMemory, Mm
from vx32py._parking import new_engine
from vx32py._snapshot import put_registers
from vx32py.plan9 import headroom
from vx32py.plan9.errors import Ebadarg, Einuse, Enovmem, Error, Esoverlap
from vx32py.plan9.loading import TOS, TOS_PID
from vx32py.plan9.segments import Kind, Segment, Size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reference.engine import Engine
    from reference.memory import AddressSpace
    from vx32py.plan9.proc import Proc

#: NSEG, without those that only the kernel uses.
MOST_SEGMENTS: Final = 10
#: Below the stack pointer nothing counts; but some programs are careless.
_BELOW_ESP: Final = 64 << 10
#: The longest attached segment.
_MOST_ATTACHED: Final = 1 << 29
#: So many processes that share memory have engines that are large and quick.
_MOST_LARGE: Final = 6


class Memory(Mm):
    """An address space; ``stack_owner`` is the process whose stack is mapped there, of several."""

    stack_owner: Proc | None = None

    def copy(self, space: AddressSpace) -> Memory:
        """The same of another space, with the same contents."""
        return Memory(space, self.module, self.layout)

    def take_stack(self, proc: Proc) -> None:
        """Map a process's stack. Raises OutOfMemory."""
        if self.stack_owner is not proc and proc.stack is not None:
            self.space.exchange(proc.stack)
            self.stack_owner = proc


def used_by_all(procs: Iterable[Proc]) -> int:
    """How many bytes processes have together: what is mapped, stacks that are not just now, and their programs."""
    spaces: dict[Mm, None] = {}
    programs, total = {}, 0
    for proc in procs:
        memory, stack = proc.mm, proc.stack
        programs[id(memory.module)] = len(memory.module.data)
        if memory not in spaces:
            spaces[memory] = None
            total += memory.parked.memory.contents.mapped if memory.parked is not None else memory.space.mapped
        elif stack is not None:
            total += stack.shared.size
    return total + sum(programs.values())


def copy(proc: Proc) -> tuple[Engine, Memory, None]:
    """Another address space, with the same contents, and an engine for it that stands where this one does. Raises CallError,
    OutOfMemory, OSError."""
    space = proc.engine.space
    headroom.require()
    engine = new_engine(proc, limit=space.limit, budget=space.budget)
    memory: Mm = proc.mm.copy(engine.space)
    assert isinstance(memory, Memory)
    try:
        proc.own_stack()
        held = HeldMemory.of(space)
        shared = tuple(run for run in held.shared if proc.stack is None or run.first != proc.stack.first)
        HeldMemory(held.contents, shared, held.copied).put_back(engine.space)
        put_registers(engine, proc.engine.cpu)
    except BaseException:
        engine.close()
        engine.space.close()
        raise
    return engine, memory, None


def share(proc: Proc) -> tuple[Engine, Memory, SharedRun]:
    """Another engine for the same address space, and a copy of the stack. Raises CallError, OutOfMemory, OSError."""
    space, users = proc.engine.space, len(proc.mm.users)
    headroom.require()
    engine = new_engine(proc, space=space, small=users >= _MOST_LARGE)
    try:
        proc.own_stack()
        layout = proc.mm.layout
        start, size = layout.stack_start, layout.stack_end - layout.stack_start
        used = max(start, page_floor(min(proc.registers.esp, layout.stack_end)) - _BELOW_ESP)
        content = space.load(used, layout.stack_end - used)
        memory = proc.mm
        assert isinstance(memory, Memory)
        if proc.stack is None:
            own = Shared(size)
            own.write(used - start, content)
            space.map_shared(start, size, Access.RW, own, 0)
            proc.stack = SharedRun(start >> PAGE_SHIFT, layout.stack_end >> PAGE_SHIFT, own, 0)
            memory.stack_owner = proc
        other = Shared(size)
        other.write(used - start, content)
        put_registers(engine, proc.engine.cpu)
    except BaseException:
        engine.leave_space()
        engine.close()
        raise
    return engine, memory, SharedRun(start >> PAGE_SHIFT, layout.stack_end >> PAGE_SHIFT, other, 0)


def write_pid(proc: Proc) -> None:
    """Put a child's number into its Tos structure."""
    number, below = proc.pid.to_bytes(4, "little"), TOS.size - TOS_PID
    if proc.stack is not None:
        shared = proc.stack.shared
        shared.write(shared.size - below, number)
    else:
        proc.engine.space.store(proc.stack_top - below, number)


# -- segments --------------------------------------------------------------------------------------------------------


def find(proc: Proc, address: int) -> Segment | None:
    """The segment at an address."""
    return next((each for each in proc.segments if each.base <= address < each.top), None)


def overlapping(proc: Proc, base: int, top: int, but: Segment | None = None) -> Segment | None:
    """A segment that has some of these pages."""
    return next((each for each in proc.segments if each is not but and each.base < top and base < each.top), None)


def change_top(proc: Proc, segment: Segment, address: int) -> int:
    """Let a segment end elsewhere (/sys/src/9/port/segment.c, ibrk). Where it begins, for address 0, else 0. Raises Error,
    OutOfMemory."""
    if address == 0:
        return segment.base
    if address < segment.base:
        # The bss may begin within the last page of the data.
        data = next((each for each in proc.segments if each.kind == "Data"), None)
        if segment.kind != "Bss" or data is None or address < data.base:
            raise Error(Enovmem)
        address = segment.base
    top, space = page_ceil(address), proc.engine.space
    if top < segment.top:
        if segment.size.users > 1:
            raise Error(Einuse)
        space.unmap(top, segment.top - top)
    elif top > segment.top:
        if top > space.limit:
            raise Error(Enovmem)
        if overlapping(proc, segment.base, top, segment) is not None:
            raise Error(Esoverlap)
        if segment.memory is not None:
            raise Error(Enovmem)
        proc.kernel.check_room(top - segment.top)
        space.map(segment.top, top - segment.top, Access.RWX)
    segment.size.top = top
    return 0


def attach(proc: Proc, kind: Kind, address: int, length: int) -> int:
    """A new segment; where it is. Raises Error, OutOfMemory."""
    space, size = proc.engine.space, page_ceil(length)
    if address >= proc.mm.layout.stack_end or size == 0:
        raise Error(Ebadarg)
    if size > _MOST_ATTACHED:
        raise Error(Enovmem)
    if len(proc.segments) >= MOST_SEGMENTS:
        raise Error(Enovmem)
    if address == 0:
        address = _hole(proc, size)
    address = page_floor(address)
    if address == 0 or address + size > space.limit or overlapping(proc, address, address + size) is not None:
        raise Error(Esoverlap)
    proc.kernel.check_room(size)
    memory = None
    if kind == "Shared":
        memory = Shared(size)
        space.map_shared(address, size, Access.RWX, memory, 0)
    else:
        space.map(address, size, Access.RWX)
    proc.segments.append(Segment(kind, address, Size(address + size), memory))
    return address


def _hole(proc: Proc, size: int) -> int:
    """The highest place below the stack for a segment. Raises Error."""
    there: Segment | None = next(each for each in proc.segments if each.kind == "Stack")
    address = 0
    while there is not None:
        address = there.base
        if size >= address:
            raise Error(Enovmem)
        address -= size
        there = overlapping(proc, address, address + size)
    return address


def detach(proc: Proc, address: int) -> None:
    """Do without a segment. Raises Error."""
    segment = find(proc, address)
    if segment is None or segment.kind == "Stack":
        raise Error(Ebadarg)
    proc.segments.remove(segment)
    leave(segment)
    drop(proc, segment, proc.mm)


def leave(segment: Segment) -> None:
    """A process does not have it any more."""
    segment.size.users -= 1


def drop(proc: Proc, segment: Segment, mm: Mm) -> None:
    """Let a segment's pages go where no other process in the address space has it."""
    if segment.kind == "Stack" or not mm.users or mm.parked is not None:
        return
    others = (each for user in mm.users if user is not proc for each in getattr(user, "segments", ()))
    if not any(each.size is segment.size for each in others):
        mm.space.unmap(segment.base, segment.top - segment.base)


def free(proc: Proc, address: int, length: int) -> None:
    """Let whole pages be zeros again. Raises Error, OutOfMemory."""
    start, end = page_ceil(address), page_floor(address + length)
    segment = find(proc, address)
    if segment is None or end > segment.top:
        raise Error(Ebadarg)
    if start >= end:
        return
    space = proc.engine.space
    if segment.readonly:
        return
    if any(run.first << PAGE_SHIFT < end and start < run.last << PAGE_SHIFT for run in space.shared):
        for here in range(start, end, PAGE):
            space.store(here, bytes(PAGE))
        return
    rights = Access(space.permissions[start >> PAGE_SHIFT] & 7)
    space.map(start, end - start, rights)


def copy_segments(proc: Proc, *, shared: bool) -> list[Segment]:
    """The segments of a child: the same, or of its own where they are not shared anyway."""
    found = []
    for segment in proc.segments:
        if segment.kind in ("Text", "Shared") or (shared and segment.kind != "Stack"):
            segment.size.users += 1
            found.append(Segment(segment.kind, segment.base, segment.size, segment.memory))
        else:
            found.append(Segment(segment.kind, segment.base, Size(segment.top)))
    return found
