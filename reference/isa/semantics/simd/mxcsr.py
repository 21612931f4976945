"""MXCSR: what an SSE or AVX operation is told by it, and what the exceptions of the operation do to it and to the guest.

SDM volume 1, sections 10.2.3 and 11.5. An instruction computes all of its lanes before any of its exceptions counts, and
what it raises is what its lanes raise together. Three exceptions show in the operands, before anything is computed:
invalid operation, denormal operand, division by zero. If one of these is unmasked, nothing is computed, so that overflow,
underflow and precision leave no trace. After a trap the flags tell why, and the destination is what it was.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from reference.floating import Exceptions, Rounding
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.traps import GuestTrap, Vector, processor_trap

# The flags as plain integers: sets of them are made for every lane, and those of an IntFlag cost a microsecond each.
INVALID: Final = int(Exceptions.INVALID)
DENORMAL: Final = int(Exceptions.DENORMAL)
DIVIDE_BY_ZERO: Final = int(Exceptions.DIVIDE_BY_ZERO)
OVERFLOW: Final = int(Exceptions.OVERFLOW)
UNDERFLOW: Final = int(Exceptions.UNDERFLOW)
PRECISION: Final = int(Exceptions.PRECISION)

#: The exceptions that the operands alone decide about (SDM volume 1, section 4.9.2).
PRE_COMPUTATION: Final = INVALID | DENORMAL | DIVIDE_BY_ZERO

_DENORMALS_ARE_ZEROS: Final = 1 << 6
_MASKS: Final = 7
_ROUNDING: Final = 13
_FLUSH_TO_ZERO: Final = 1 << 15
_ALL: Final = 0x3F
#: Everything in MXCSR but the flags.
_CONTROL: Final = 0xFFC0
#: Where MXCSR stands in the XSAVE image, whose words have 64 bits; MXCSR_MASK is the upper half (SDM, section 13.4.1).
_INDEX: Final = 3


class Control(NamedTuple):
    """What MXCSR asks for.

    ``daz`` takes denormal operands for zeros. ``flush`` makes zeros of tiny results, whose loss counts as underflow: where
    that is unmasked, there is no result to flush. ``unmasked`` are the exceptions that trap.
    """

    rounding: Rounding
    daz: bool
    flush: bool
    unmasked: int


@cache
def _control(mxcsr: int) -> Control:
    return Control(
        rounding=Rounding(mxcsr >> _ROUNDING & 3),
        daz=bool(mxcsr & _DENORMALS_ARE_ZEROS),
        flush=bool(mxcsr & _FLUSH_TO_ZERO),
        unmasked=~(mxcsr >> _MASKS) & _ALL,
    )


def control(m: Machine) -> Control:
    """What MXCSR asks for now."""
    return _control(m.image[_INDEX] & _CONTROL)


def settle(m: Machine, op: Operation, exceptions: int) -> None:
    """Note the exceptions of an operation in MXCSR, and raise the trap if one of them is unmasked.

    To be called before the destination is stored.
    """
    unmasked = control(m).unmasked
    if exceptions & PRE_COMPUTATION & unmasked:
        exceptions &= PRE_COMPUTATION
    m.image[_INDEX] |= exceptions
    if exceptions & unmasked:
        raise GuestTrap(processor_trap(Vector.SIMD_ERROR, op.eip, op.instruction.mnemonic))
