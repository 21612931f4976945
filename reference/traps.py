"""Traps: every reason for which a guest stops, with the original vx32's numbers.

Numbers below 0x100 are the processor's vectors (SDM volume 3, section 6.3.1). The processor's general-protection (13)
and stack (12) faults, which is how a breach of a segment limit shows, are reported as page faults at address 0, as the
original did: hardware does not say which address it was. :attr:`Trap.vector` keeps the processor's own number.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

from reference.records import dataclass

#: Added to n for ``INT n``.
SOFTWARE_INTERRUPT: Final = 0x200
#: Added to n for a host signal n that no other trap describes.
HOST_SIGNAL: Final = 0x400


class Vector(IntEnum):
    """Trap numbers with a meaning of their own. ``INT n`` is ``SOFTWARE_INTERRUPT + n``."""

    DIVIDE_ERROR = 0x000
    DEBUG = 0x001
    BREAKPOINT = 0x003
    OVERFLOW = 0x004
    BOUND = 0x005
    INVALID_OPCODE = 0x006
    FP_OFF = 0x007
    STACK_FAULT = 0x00C
    GENERAL_PROTECTION = 0x00D
    PAGE_FAULT = 0x00E
    FP_ERROR = 0x010
    ALIGNMENT = 0x011
    SIMD_ERROR = 0x013
    IRQ = 0x100
    SYSCALL = 0x300
    SINGLE_STEP = 0x500


class Access(IntFlag):
    """What an access does, and what a page permits."""

    NONE = 0
    READ = 1
    WRITE = 2
    EXECUTE = 4
    RW = 3
    RX = 5
    RWX = 7


@dataclass(frozen=True, slots=True)
class Trap:
    """Why a guest stopped. The CPU then holds the exact state between two guest instructions.

    ``number`` as in :class:`Vector`. ``eip`` is the guest EIP that the CPU shows: of the instruction itself for faults,
    after it for system calls, software interrupts, breakpoints and INTO. ``address`` and ``access`` describe a page
    fault (0 and ``Access.NONE`` for a breach of a segment limit). ``vector`` is the processor's number where ``number``
    is normalised. ``detail`` says in words what the number does not, for instance which instruction was refused, and is
    no part of what engines must agree on.
    """

    number: int
    eip: int
    address: int = 0
    access: Access = Access.NONE
    vector: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        text = f"{describe(self.number)} at eip {self.eip:#010x}"
        if self.number == Vector.PAGE_FAULT:
            if self.vector in (Vector.GENERAL_PROTECTION, Vector.STACK_FAULT):
                text += ", outside the segment or not allowed"
            else:
                text += f", {str(self.access.name).lower()} of {self.address:#010x}"
        return f"{text}: {self.detail}" if self.detail else text

    def agrees_with(self, other: Trap) -> bool:
        """Whether two engines report the same trap: everything but ``detail``."""
        return (self.number, self.eip, self.address, self.access, self.vector) == (
            other.number,
            other.eip,
            other.address,
            other.access,
            other.vector,
        )


def page_fault(eip: int, address: int, access: Access, detail: str = "") -> Trap:
    """A page fault as every engine reports it."""
    return Trap(Vector.PAGE_FAULT, eip, address, access, Vector.PAGE_FAULT, detail)


def protection_fault(eip: int, detail: str = "", *, vector: Vector = Vector.GENERAL_PROTECTION) -> Trap:
    """A general-protection or stack fault (segment limit, misaligned vector operand), reported without an address."""
    return Trap(Vector.PAGE_FAULT, eip, 0, Access.NONE, vector, detail)


def processor_trap(vector: Vector, eip: int, detail: str = "") -> Trap:
    """Any other exception of the processor."""
    return Trap(vector, eip, 0, Access.NONE, vector, detail)


def describe(number: int) -> str:
    """A trap number in words.

    >>> describe(0x280)
    'software interrupt 0x80'
    """
    if number in Vector._value2member_map_:
        return Vector(number).name.lower().replace("_", " ")
    if SOFTWARE_INTERRUPT <= number < SOFTWARE_INTERRUPT + 0x100:
        return f"software interrupt {number - SOFTWARE_INTERRUPT:#x}"
    if HOST_SIGNAL <= number < HOST_SIGNAL + 0x100:
        return f"host signal {number - HOST_SIGNAL}"
    return f"trap {number:#x}"


class GuestTrap(Exception):
    """Raised inside an engine when an instruction traps; never leaves the engine. Carries the :class:`Trap`."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(str(trap))
        self.trap = trap
