"""Decimal arithmetic in AL and AX: DAA DAS AAA AAS AAM AAD (SDM volume 2)."""

from __future__ import annotations

from reference.flags import AF, CF, STATUS
from reference.isa.instruction import Immediate
from reference.isa.semantics.integer.status import after_logic, sign_zero_parity
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EAX, EFLAGS
from reference.traps import GuestTrap, Vector, processor_trap


def _decimal_adjust(m: Machine, direction: int) -> None:
    """DAA (+1) and DAS (-1): six units and six tens where a digit has overflowed."""
    words = m.words
    old, flags = words[EAX] & 0xFF, words[EFLAGS]
    al, carry, adjust = old, 0, 0
    if old & 0xF > 9 or flags & AF:
        al += 6 * direction
        carry = flags & CF or (al < 0 or al > 0xFF)
        adjust = AF
    if old > 0x99 or flags & CF:
        al += 0x60 * direction
        carry = CF
    al &= 0xFF
    words[EAX] = words[EAX] & ~0xFF | al
    words[EFLAGS] = flags & ~STATUS | sign_zero_parity(al, 0x80) | adjust | (CF if carry else 0)


@semantics("daa")
def daa(m: Machine, op: Operation) -> int:
    """Correct AL after the addition of two packed numbers."""
    _decimal_adjust(m, 1)
    return op.next


@semantics("das")
def das(m: Machine, op: Operation) -> int:
    """Correct AL after a subtraction."""
    _decimal_adjust(m, -1)
    return op.next


def _ascii_adjust(m: Machine, correction: int) -> None:
    """AAA (AX + 0x106) and AAS (AX - 0x106): one digit stays in AL, the carry goes to AH."""
    words = m.words
    ax, flags = words[EAX] & 0xFFFF, words[EFLAGS]
    status = 0
    if ax & 0xF > 9 or flags & AF:
        ax += correction
        status = AF | CF
    words[EAX] = words[EAX] & 0xFFFF_0000 | ax & 0xFF0F
    words[EFLAGS] = flags & ~STATUS | sign_zero_parity(ax & 0xF, 0x80) | status


@semantics("aaa")
def aaa(m: Machine, op: Operation) -> int:
    """Correct AL after the addition of two digits."""
    _ascii_adjust(m, 0x106)
    return op.next


@semantics("aas")
def aas(m: Machine, op: Operation) -> int:
    """Correct AL after a subtraction."""
    _ascii_adjust(m, -0x106)
    return op.next


def _base(op: Operation) -> int:
    """The immediate, which is ten in every assembler and anything in the encoding."""
    operand = op.operands[0]
    assert isinstance(operand, Immediate)
    return operand.value


@semantics("aam")
def aam(m: Machine, op: Operation) -> int:
    """AL in two digits to AH and AL; a divide error for base zero."""
    base = _base(op)
    if base == 0:
        raise GuestTrap(processor_trap(Vector.DIVIDE_ERROR, op.eip))
    high, low = divmod(m.words[EAX] & 0xFF, base)
    m.words[EAX] = m.words[EAX] & 0xFFFF_0000 | high << 8 | low
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], low, 0x80)
    return op.next


@semantics("aad")
def aad(m: Machine, op: Operation) -> int:
    """Two digits in AH and AL to AL."""
    ax = m.words[EAX] & 0xFFFF
    low = (ax >> 8) * _base(op) + ax & 0xFF
    m.words[EAX] = m.words[EAX] & 0xFFFF_0000 | low
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], low, 0x80)
    return op.next
