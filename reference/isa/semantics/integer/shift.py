"""Shifts and rotations: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD, and the flagless SHLX SHRX SARX RORX.

The count is taken modulo 32 whatever the operand size; a count of zero changes neither flags nor operand, yet still
writes it as far as faults go. OF is defined for single-bit shifts only. For longer ones it tells here, as on current
processors, whether the last single-bit step changed the sign, or for SHR and SHRD the two highest bits differ.
"""

from __future__ import annotations

from reference.flags import CF
from reference.isa.semantics.integer.multiply import signed
from reference.isa.semantics.integer.status import after_shift, with_carry_overflow
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EFLAGS, MASK32


@semantics("shl")
def shl(m: Machine, op: Operation) -> int:
    """Left; the last bit out goes to CF."""
    value, count = op.modify(), op.source() & 31
    if count:
        result = value << count & op.mask
        op.store(result)
        carry = value << count - 1 & op.sign
        flags = m.words[EFLAGS]
        m.words[EFLAGS] = after_shift(flags, result, op.sign, carry, (result & op.sign) ^ carry)
    return op.next


@semantics("shr")
def shr(m: Machine, op: Operation) -> int:
    """Right, filled with zeros; OF is the sign before a single-bit shift."""
    value, count = op.modify(), op.source() & 31
    if count:
        result = value >> count
        op.store(result)
        carry = value >> count - 1 & 1
        overflow = (result ^ result << 1) & op.sign
        m.words[EFLAGS] = after_shift(m.words[EFLAGS], result, op.sign, carry, overflow)
    return op.next


@semantics("sar")
def sar(m: Machine, op: Operation) -> int:
    """Right, filled with the sign; OF is cleared."""
    value, count = signed(op.modify(), op.sign), op.source() & 31
    if count:
        result = value >> count & op.mask
        op.store(result)
        m.words[EFLAGS] = after_shift(m.words[EFLAGS], result, op.sign, value >> count - 1 & 1, 0)
    return op.next


@semantics("rol")
def rol(m: Machine, op: Operation) -> int:
    """Left around; CF is the lowest bit of the result. A multiple of the width changes no bit, but still CF and OF."""
    value, count = op.modify(), op.source() & 31
    if count:
        turn = count % op.bits
        result = (value << turn | value >> op.bits - turn) & op.mask
        op.store(result)
        carry = result & 1
        m.words[EFLAGS] = with_carry_overflow(m.words[EFLAGS], carry, carry ^ bool(result & op.sign))
    return op.next


@semantics("ror")
def ror(m: Machine, op: Operation) -> int:
    """Right around; CF is the highest bit of the result, OF whether the two highest differ."""
    value, count = op.modify(), op.source() & 31
    if count:
        turn = count % op.bits
        result = (value >> turn | value << op.bits - turn) & op.mask
        op.store(result)
        overflow = (result ^ result << 1) & op.sign
        m.words[EFLAGS] = with_carry_overflow(m.words[EFLAGS], result & op.sign, overflow)
    return op.next


@semantics("rcl")
def rcl(m: Machine, op: Operation) -> int:
    """Left around through CF, which is the bit above the highest."""
    value, count = op.modify(), op.source() & 31
    flags = m.words[EFLAGS]
    if count:
        ring = op.bits + 1
        turn = count % ring
        whole = (flags & CF) << op.bits | value
        whole = (whole << turn | whole >> ring - turn) & (1 << ring) - 1
        result, carry = whole & op.mask, whole >> op.bits
        op.store(result)
        m.words[EFLAGS] = with_carry_overflow(flags, carry, carry ^ bool(result & op.sign))
    return op.next


@semantics("rcr")
def rcr(m: Machine, op: Operation) -> int:
    """Right around through CF."""
    value, count = op.modify(), op.source() & 31
    flags = m.words[EFLAGS]
    if count:
        ring = op.bits + 1
        turn = count % ring
        whole = (flags & CF) << op.bits | value
        whole = (whole >> turn | whole << ring - turn) & (1 << ring) - 1
        result = whole & op.mask
        op.store(result)
        m.words[EFLAGS] = with_carry_overflow(flags, whole >> op.bits, (result ^ result << 1) & op.sign)
    return op.next


def _double_count(op: Operation) -> int:
    """The count of a double shift. Beyond 16 on words Intel leaves the result undefined; here it is modulo 16."""
    count = op.third() & 31
    return count if count <= op.bits else count % op.bits


@semantics("shld")
def shld(m: Machine, op: Operation) -> int:
    """Left, filled from the highest bits of the source."""
    value, filler, count = op.modify(), op.source(), _double_count(op)
    if count:
        result = (value << count | filler >> op.bits - count) & op.mask
        op.store(result)
        carry = value << count - 1 & op.sign
        flags = m.words[EFLAGS]
        m.words[EFLAGS] = after_shift(flags, result, op.sign, carry, (result & op.sign) ^ carry)
    return op.next


@semantics("shrd")
def shrd(m: Machine, op: Operation) -> int:
    """Right, filled from the lowest bits of the source."""
    value, filler, count = op.modify(), op.source(), _double_count(op)
    if count:
        result = (value >> count | filler << op.bits - count) & op.mask
        op.store(result)
        overflow = (result ^ result << 1) & op.sign
        m.words[EFLAGS] = after_shift(m.words[EFLAGS], result, op.sign, value >> count - 1 & 1, overflow)
    return op.next


@semantics("shlx")
def shlx(m: Machine, op: Operation) -> int:
    """SHL of the second operand by the third, to the first, without flags."""
    op.store(op.source() << (op.third() & 31) & MASK32)
    return op.next


@semantics("shrx")
def shrx(m: Machine, op: Operation) -> int:
    """SHR likewise."""
    op.store(op.source() >> (op.third() & 31))
    return op.next


@semantics("sarx")
def sarx(m: Machine, op: Operation) -> int:
    """SAR likewise."""
    op.store(signed(op.source(), op.sign) >> (op.third() & 31) & MASK32)
    return op.next


@semantics("rorx")
def rorx(m: Machine, op: Operation) -> int:
    """ROR likewise."""
    value, turn = op.source(), op.third() & 31
    op.store((value >> turn | value << 32 - turn) & MASK32)
    return op.next
