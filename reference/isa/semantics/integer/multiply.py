"""Multiplication and division: MUL IMUL MULX DIV IDIV.

The double-width operand is AX for bytes, else DX:AX or EDX:EAX. A quotient that does not fit is a divide error like a
division by zero, and nothing has changed then (SDM volume 2, DIV and IDIV).
"""

from __future__ import annotations

from reference.isa.semantics.integer.status import with_carry_overflow
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EAX, EDX, EFLAGS, MASK32
from reference.traps import GuestTrap, Vector, processor_trap


def signed(value: int, sign: int) -> int:
    """The two's complement value of ``value``, whose sign bit is ``sign``."""
    return (value ^ sign) - sign


def _put_double(m: Machine, op: Operation, low: int, high: int) -> None:
    """``low`` to AL, AX or EAX and ``high`` to AH, DX or EDX."""
    words, mask = m.words, op.mask
    if op.size == 1:
        words[EAX] = words[EAX] & 0xFFFF_0000 | high << 8 | low
    else:
        words[EAX] = words[EAX] & ~mask | low
        words[EDX] = words[EDX] & ~mask | high


def _double(m: Machine, op: Operation) -> int:
    """AX, DX:AX or EDX:EAX as one number."""
    if op.size == 1:
        return m.words[EAX] & 0xFFFF
    return (m.words[EDX] & op.mask) << op.bits | m.words[EAX] & op.mask


@semantics("mul")
def mul(m: Machine, op: Operation) -> int:
    """Accumulator times operand, unsigned; CF and OF tell whether the upper half is not zero."""
    product = (m.words[EAX] & op.mask) * op.load()
    high = product >> op.bits
    _put_double(m, op, product & op.mask, high)
    m.words[EFLAGS] = with_carry_overflow(m.words[EFLAGS], high, high)
    return op.next


@semantics("imul")
def imul(m: Machine, op: Operation) -> int:
    """One operand: accumulator times operand. Two: first times second. Three: second times third. All signed.

    CF and OF tell whether the product does not fit the operand size.
    """
    sign, mask = op.sign, op.mask
    count = len(op.operands)
    if count == 1:
        a, b = m.words[EAX] & mask, op.load()
    elif count == 2:
        a, b = op.load(), op.source()
    else:
        a, b = op.source(), op.third()
    product = signed(a, sign) * signed(b, sign)
    lost = product != signed(product & mask, sign)
    if count == 1:
        _put_double(m, op, product & mask, product >> op.bits & mask)
    else:
        op.store(product & mask)
    m.words[EFLAGS] = with_carry_overflow(m.words[EFLAGS], lost, lost)
    return op.next


@semantics("mulx")
def mulx(m: Machine, op: Operation) -> int:
    """EDX times the third operand to first:second, no flags; the upper half wins where both are one register."""
    product = m.words[EDX] * op.third()
    op.store_source(product & MASK32)
    op.store(product >> 32)
    return op.next


@semantics("div")
def div(m: Machine, op: Operation) -> int:
    """Double-width accumulator by operand, unsigned: quotient to its low half, remainder to its high half."""
    divisor = op.load()
    dividend = _double(m, op)
    if divisor == 0 or dividend // divisor > op.mask:
        raise GuestTrap(processor_trap(Vector.DIVIDE_ERROR, op.eip))
    quotient, remainder = divmod(dividend, divisor)
    _put_double(m, op, quotient, remainder)
    return op.next


@semantics("idiv")
def idiv(m: Machine, op: Operation) -> int:
    """DIV, signed: the quotient is rounded towards zero, and the remainder has the dividend's sign."""
    divisor = signed(op.load(), op.sign)
    dividend = signed(_double(m, op), op.sign << op.bits)
    if divisor == 0:
        raise GuestTrap(processor_trap(Vector.DIVIDE_ERROR, op.eip))
    quotient, remainder = divmod(abs(dividend), abs(divisor))
    if (dividend < 0) != (divisor < 0):
        quotient = -quotient
    if dividend < 0:
        remainder = -remainder
    if not -op.sign <= quotient < op.sign:
        raise GuestTrap(processor_trap(Vector.DIVIDE_ERROR, op.eip))
    _put_double(m, op, quotient & op.mask, remainder & op.mask)
    return op.next
