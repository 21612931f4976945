"""Moves between vector registers, memory and general registers, and the instructions that empty vector registers.

Whether a 16-byte operand must be aligned, and that a VEX-encoded move to an XMM register clears the upper half of the
YMM register, is a matter of binding (:mod:`reference.isa.semantics.operation`). Hints that data will not be used again
soon mean nothing here.
"""

from __future__ import annotations

from typing import Final

from reference.isa.instruction import Memory
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.packed.form import Binary, two_sources
from reference.isa.semantics.packed.lanes import MASK64
from reference.isa.semantics.registry import Semantics, semantics
from reference.registers import MASK32

# -- whole operands --------------------------------------------------------------------------------------------------

_WHOLE: Final = (
    "movaps", "movapd", "movups", "movupd", "movdqa", "movdqu", "lddqu", "movntps", "movntpd", "movntdq", "movntdqa",
)  # fmt: skip


@semantics(*_WHOLE, *("v" + mnemonic for mnemonic in _WHOLE), "movntq")
def move(m: Machine, op: Operation) -> int:
    """The source, as it is."""
    op.store(op.source())
    return op.next


# -- the lowest lane, zero-extended ----------------------------------------------------------------------------------


def _move_low(mask: int) -> Semantics:
    def run(m: Machine, op: Operation) -> int:
        op.store(op.source() & mask)
        return op.next

    return run


semantics("movd", "vmovd")(_move_low(MASK32))
semantics("movq", "vmovq", "movq2dq", "movdq2q")(_move_low(MASK64))


# -- scalars ---------------------------------------------------------------------------------------------------------


def _move_scalar(mask: int) -> Semantics:
    """From memory it is zero-extended; between registers it replaces the lowest lane, and the rest comes from the
    destination or, with VEX, from the first source."""

    def run(m: Machine, op: Operation) -> int:
        operands = op.operands
        if len(operands) == 3:
            op.store(op.source() & ~mask | op.third() & mask)
        elif isinstance(operands[0], Memory):
            op.store(op.source() & mask)
        elif isinstance(operands[1], Memory):
            op.store(op.source())
        else:
            op.store(op.load() & ~mask | op.source() & mask)
        return op.next

    return run


semantics("movss", "vmovss")(_move_scalar(MASK32))
semantics("movsd", "vmovsd")(_move_scalar(MASK64))


# -- halves of an XMM register ---------------------------------------------------------------------------------------


@two_sources("movhlps", "vmovhlps")
def movhlps(a: int, b: int, size: int) -> int:
    """The high half of the second source below that of the first."""
    return a & ~MASK64 | b >> 64


@two_sources("movlhps", "vmovlhps")
def movlhps(a: int, b: int, size: int) -> int:
    """The low half of the second source above that of the first."""
    return a & MASK64 | (b & MASK64) << 64


def _low_replaced(a: int, b: int, size: int) -> int:
    return a & ~MASK64 | b


def _move_half(place: int, combine: Binary) -> Semantics:
    """Between memory and the half at bit ``place``; the other half stays, or with VEX is that of the first source."""

    def run(m: Machine, op: Operation) -> int:
        if isinstance(op.operands[0], Memory):
            op.store(op.source() >> place & MASK64)
        else:
            op.store(combine(*op.two_sources(), op.size))
        return op.next

    return run


semantics("movlps", "vmovlps", "movlpd", "vmovlpd")(_move_half(0, _low_replaced))
semantics("movhps", "vmovhps", "movhpd", "vmovhpd")(_move_half(64, movlhps))


# -- empty registers -------------------------------------------------------------------------------------------------


@semantics("emms")
def emms(m: Machine, op: Operation) -> int:
    """All x87 registers become empty, and TOP zero (SDM volume 3, section 13.2)."""
    m.wait_for_x87(op.eip)
    m.enter_mmx()
    m.image[0] &= ~(0xFF << 32)
    return op.next


@semantics("vzeroupper")
def vzeroupper(m: Machine, op: Operation) -> int:
    """The upper halves of all YMM registers that a 32-bit program has."""
    for index in range(72, 88):
        m.image[index] = 0
    return op.next


@semantics("vzeroall")
def vzeroall(m: Machine, op: Operation) -> int:
    """All of them."""
    for index in (*range(20, 36), *range(72, 88)):
        m.image[index] = 0
    return op.next
