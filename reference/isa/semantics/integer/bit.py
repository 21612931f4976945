"""Bits: BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, BLSI BLSR BLSMSK BEXTR BZHI PDEP PEXT, CRC32."""

from __future__ import annotations

from collections.abc import Callable

from reference.flags import AF, CF, OF, PF, SF, STATUS, ZF
from reference.isa.instruction import Immediate, Memory
from reference.isa.semantics.integer.multiply import signed
from reference.isa.semantics.integer.status import PARITY, after_logic, with_carry, with_carry_zero
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation, size_of
from reference.isa.semantics.registry import semantics
from reference.registers import EFLAGS, MASK32


def _bit_test(change: Callable[[int, int], int] | None) -> Callable[[Machine, Operation], int]:
    """A bit to CF, then ``change(value, bit)``.

    A bit offset in a register is signed and reaches beyond a memory operand: it moves the address by whole operands
    (SDM volume 2, BT, and section 3.1.1.9). An immediate one counts modulo the operand size.
    """

    def test_bit(m: Machine, op: Operation) -> int:
        index = op.source()
        bit = 1 << index % op.bits
        if isinstance(op.operands[0], Memory):
            offset = op.address()
            if not isinstance(op.operands[1], Immediate):
                offset += signed(index, op.sign) // op.bits * op.size
            offset &= MASK32 if op.operands[0].address_size == 4 else 0xFFFF
            if change is None:
                value = m.load(op.segment, offset, op.size)
            else:
                value = m.claim(op.segment, offset, op.size)
                m.store(op.segment, offset, op.size, change(value, bit))
        else:
            value = op.load()
            if change is not None:
                op.store(change(value, bit))
        m.words[EFLAGS] = with_carry(m.words[EFLAGS], value & bit)
        return op.next

    return test_bit


semantics("bt")(_bit_test(None))
semantics("bts")(_bit_test(lambda value, bit: value | bit))
semantics("btr")(_bit_test(lambda value, bit: value & ~bit))
semantics("btc")(_bit_test(lambda value, bit: value ^ bit))


@semantics("bsf")
def bsf(m: Machine, op: Operation) -> int:
    """The number of the lowest one; without any, ZF, and the destination keeps its value as on every processor."""
    value = op.source()
    index = (value & -value).bit_length() - 1 if value else 0
    if value:
        op.store(index)
    _after_scan(m, value, index)
    return op.next


@semantics("bsr")
def bsr(m: Machine, op: Operation) -> int:
    """The number of the highest one, likewise."""
    value = op.source()
    index = value.bit_length() - 1 if value else 0
    if value:
        op.store(index)
    _after_scan(m, value, index)
    return op.next


def _after_scan(m: Machine, value: int, index: int) -> None:
    m.words[EFLAGS] = m.words[EFLAGS] & ~STATUS | PARITY[index] | (0 if value else ZF)


@semantics("tzcnt")
def tzcnt(m: Machine, op: Operation) -> int:
    """Zeros below the lowest one; the operand size, and CF, where there is none. ZF tells whether the count is zero."""
    value = op.source()
    count = (value & -value).bit_length() - 1 if value else op.bits
    op.store(count)
    m.words[EFLAGS] = with_carry_zero(m.words[EFLAGS], not value, not count)
    return op.next


@semantics("lzcnt")
def lzcnt(m: Machine, op: Operation) -> int:
    """Zeros above the highest one, likewise."""
    value = op.source()
    count = op.bits - value.bit_length()
    op.store(count)
    m.words[EFLAGS] = with_carry_zero(m.words[EFLAGS], not value, not count)
    return op.next


@semantics("popcnt")
def popcnt(m: Machine, op: Operation) -> int:
    """The number of ones; ZF for none, all other status flags cleared."""
    value = op.source()
    op.store(value.bit_count())
    m.words[EFLAGS] = m.words[EFLAGS] & ~(OF | SF | AF | CF | PF | ZF) | (0 if value else ZF)
    return op.next


@semantics("blsi")
def blsi(m: Machine, op: Operation) -> int:
    """The lowest one alone; CF tells whether there was one."""
    value = op.source()
    result = value & -value
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign, CF if value else 0)
    return op.next


@semantics("blsr")
def blsr(m: Machine, op: Operation) -> int:
    """All but the lowest one; CF tells that there was none."""
    value = op.source()
    result = value & (value - 1 & MASK32)
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign, 0 if value else CF)
    return op.next


@semantics("blsmsk")
def blsmsk(m: Machine, op: Operation) -> int:
    """Ones up to and including the lowest one; CF tells that there was none, and then all are ones."""
    value = op.source()
    result = value ^ (value - 1 & MASK32)
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign, 0 if value else CF)
    return op.next


@semantics("bextr")
def bextr(m: Machine, op: Operation) -> int:
    """The field of the second operand whose first bit and length are the third's low two bytes."""
    value, control = op.source(), op.third()
    result = value >> (control & 0xFF) & (1 << (control >> 8 & 0xFF)) - 1
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign)
    return op.next


@semantics("bzhi")
def bzhi(m: Machine, op: Operation) -> int:
    """The second operand without the bits from the third's low byte on; CF tells that the number is beyond the width."""
    value, index = op.source(), op.third() & 0xFF
    result = value & (1 << index) - 1
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign, CF if index >= op.bits else 0)
    return op.next


@semantics("pdep")
def pdep(m: Machine, op: Operation) -> int:
    """The low bits of the second operand, spread over the ones of the third."""
    value, mask, result = op.source(), op.third(), 0
    while mask:
        lowest = mask & -mask
        if value & 1:
            result |= lowest
        value >>= 1
        mask ^= lowest
    op.store(result)
    return op.next


@semantics("pext")
def pext(m: Machine, op: Operation) -> int:
    """The bits of the second operand at the ones of the third, pushed together."""
    value, mask, result, place = op.source(), op.third(), 0, 1
    while mask:
        lowest = mask & -mask
        if value & lowest:
            result |= place
        place <<= 1
        mask ^= lowest
    op.store(result)
    return op.next


#: The CRC-32C polynomial 0x11EDC6F41, bits reversed (SDM volume 2, CRC32).
_CASTAGNOLI = 0x82F6_3B78


@semantics("crc32")
def crc32(m: Machine, op: Operation) -> int:
    """One more operand into a CRC-32C. Without the inversions at start and end, which are the program's."""
    remainder = op.load() ^ op.source()
    for _ in range(8 * size_of(op.operands[1])):
        remainder = remainder >> 1 ^ (_CASTAGNOLI if remainder & 1 else 0)
    op.store(remainder)
    return op.next
