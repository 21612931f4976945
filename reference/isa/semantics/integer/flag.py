"""Single flags: CLC STC CMC CLD STD, LAHF SAHF."""

from __future__ import annotations

from reference.flags import CF, DF, OF, STATUS
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EAX, EFLAGS

#: What LAHF and SAHF carry: SF ZF AF PF CF.
_LOW_STATUS = STATUS & ~OF


@semantics("clc")
def clc(m: Machine, op: Operation) -> int:
    """CF off."""
    m.set_flag(CF, False)
    return op.next


@semantics("stc")
def stc(m: Machine, op: Operation) -> int:
    """CF on."""
    m.set_flag(CF, True)
    return op.next


@semantics("cmc")
def cmc(m: Machine, op: Operation) -> int:
    """CF inverted."""
    m.words[EFLAGS] ^= CF
    return op.next


@semantics("cld")
def cld(m: Machine, op: Operation) -> int:
    """Strings go up."""
    m.set_flag(DF, False)
    return op.next


@semantics("std")
def std(m: Machine, op: Operation) -> int:
    """Strings go down."""
    m.set_flag(DF, True)
    return op.next


@semantics("lahf")
def lahf(m: Machine, op: Operation) -> int:
    """The low byte of EFLAGS to AH; the fixed bit 1 reads as one."""
    low = m.words[EFLAGS] & _LOW_STATUS | 2
    m.words[EAX] = m.words[EAX] & ~0xFF00 | low << 8
    return op.next


@semantics("sahf")
def sahf(m: Machine, op: Operation) -> int:
    """SF ZF AF PF CF from AH."""
    m.words[EFLAGS] = m.words[EFLAGS] & ~_LOW_STATUS | m.words[EAX] >> 8 & _LOW_STATUS
    return op.next
