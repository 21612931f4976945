"""Memory: brk and segments (brk(2), segattach(2), segbrk(2), segflush(2))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py._calls import signed
from vx32py.plan9 import memory
from vx32py.plan9.calls.table import call
from vx32py.plan9.errors import Ebadarg, Error

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc
    from vx32py.plan9.segments import Kind

#: The classes of segments that can be attached.
_CLASSES: Final[dict[str, Kind]] = {"shared": "Shared", "memory": "Memory"}


@call(24, "brk_")
def brk(proc: Proc, address: int) -> int:
    """Where the bss ends from now on; for address 0 where it begins."""
    segment = next((each for each in proc.segments if each.kind == "Bss"), None)
    if segment is None:
        raise Error(Ebadarg)
    return memory.change_top(proc, segment, address)


@call(12, "segbrk")
def segbrk(proc: Proc, inside: int, address: int) -> int:
    """The same of another segment."""
    segment = memory.find(proc, inside)
    if segment is None or segment.kind in ("Text", "Data", "Stack"):
        raise Error(Ebadarg)
    return memory.change_top(proc, segment, address)


@call(30, "segattach")
def segattach(proc: Proc, attributes: int, name: int, address: int, length: int) -> int:
    """A new segment of some class; where it is."""
    kind = _CLASSES.get(proc.string(name))
    if kind is None:
        raise Error(Ebadarg)
    return memory.attach(proc, kind, address, length)


@call(31, "segdetach")
def segdetach(proc: Proc, address: int) -> None:
    """Do without a segment."""
    memory.detach(proc, address)


@call(32, "segfree")
def segfree(proc: Proc, address: int, length: int) -> None:
    """Let pages be zeros again."""
    memory.free(proc, address, length)


@call(33, "segflush")
def segflush(proc: Proc, address: int, length: int) -> None:
    """Code has been written; translations of it go by themselves."""
    end = address + max(signed(length), 0)
    while address < end:
        segment = memory.find(proc, address)
        if segment is None:
            raise Error(Ebadarg)
        address = segment.top
