"""Moves: MOV MOVZX MOVSX MOVBE XCHG BSWAP LEA XLAT, CMOVcc SETcc, the sign extensions of the accumulator."""

from __future__ import annotations

from collections.abc import Callable

from reference.isa.semantics.integer.multiply import signed
from reference.isa.semantics.integer.status import CONDITIONS
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation, size_of
from reference.isa.semantics.registry import semantics
from reference.registers import EAX, EDX, EFLAGS, MASK32


@semantics("mov", "movnti")
def mov(m: Machine, op: Operation) -> int:
    """Source to destination. To and from a segment register a selector goes, zero-extended into a wide register."""
    op.store(op.source())
    return op.next


@semantics("movzx")
def movzx(m: Machine, op: Operation) -> int:
    """Source, zeros above it, to destination."""
    op.store(op.source())
    return op.next


@semantics("movsx")
def movsx(m: Machine, op: Operation) -> int:
    """Source, copies of its sign above it, to destination."""
    op.store(signed(op.source(), 1 << 8 * size_of(op.operands[1]) - 1) & op.mask)
    return op.next


def swap_bytes(value: int, size: int) -> int:
    """``value`` with its ``size`` bytes in reverse."""
    return int.from_bytes(value.to_bytes(size, "little"), "big")


@semantics("movbe")
def movbe(m: Machine, op: Operation) -> int:
    """MOV between register and memory, bytes in reverse."""
    op.store(swap_bytes(op.source(), op.size))
    return op.next


@semantics("bswap")
def bswap(m: Machine, op: Operation) -> int:
    """Bytes in reverse, in place."""
    op.store(swap_bytes(op.load(), op.size))
    return op.next


@semantics("xchg")
def xchg(m: Machine, op: Operation) -> int:
    """Both operands, exchanged."""
    a, b = op.modify(), op.source()
    op.store(b)  # first: the address may depend on the register
    op.store_source(a)
    return op.next


@semantics("lea")
def lea(m: Machine, op: Operation) -> int:
    """The offset of the memory operand, which is not accessed."""
    op.store(op.address() & op.mask)
    return op.next


@semantics("xlat")
def xlat(m: Machine, op: Operation) -> int:
    """AL becomes the byte at DS:[EBX + AL]; the operand names [EBX]."""
    words = m.words
    offset = op.address() + (words[EAX] & 0xFF) & (MASK32 if op.instruction.address_size == 4 else 0xFFFF)
    words[EAX] = words[EAX] & ~0xFF | m.load(op.segment, offset, 1)
    return op.next


def _conditional_move(holds: Callable[[int], int]) -> Callable[[Machine, Operation], int]:
    """The source is read, and may fault, whether or not it is moved."""

    def cmov(m: Machine, op: Operation) -> int:
        value = op.source()
        if holds(m.words[EFLAGS]):
            op.store(value)
        return op.next

    return cmov


def _conditional_set(holds: Callable[[int], int]) -> Callable[[Machine, Operation], int]:
    """1 or 0."""

    def setcc(m: Machine, op: Operation) -> int:
        op.store(1 if holds(m.words[EFLAGS]) else 0)
        return op.next

    return setcc


for _name, _holds in CONDITIONS.items():
    semantics(f"cmov{_name}")(_conditional_move(_holds))
    semantics(f"set{_name}")(_conditional_set(_holds))


@semantics("cwde")
def cwde(m: Machine, op: Operation) -> int:
    """AX to EAX, sign-extended. With a 16-bit operand it is CBW: AL to AX."""
    words = m.words
    if op.size == 4:
        words[EAX] = signed(words[EAX] & 0xFFFF, 0x8000) & MASK32
    else:
        words[EAX] = words[EAX] & 0xFFFF_0000 | signed(words[EAX] & 0xFF, 0x80) & 0xFFFF
    return op.next


@semantics("cdq")
def cdq(m: Machine, op: Operation) -> int:
    """EDX becomes the sign of EAX. With a 16-bit operand it is CWD: DX becomes the sign of AX."""
    words = m.words
    words[EDX] = words[EDX] & ~op.mask | (op.mask if words[EAX] & op.sign else 0)
    return op.next
