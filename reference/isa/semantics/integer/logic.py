"""Bitwise logic: AND OR XOR NOT TEST ANDN."""

from __future__ import annotations

from reference.isa.semantics.integer.status import after_logic
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.registers import EFLAGS


@semantics("and")
def and_(m: Machine, op: Operation) -> int:
    """Destination & source."""
    result = op.modify() & op.source()
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign)
    return op.next


@semantics("or")
def or_(m: Machine, op: Operation) -> int:
    """Destination | source."""
    result = op.modify() | op.source()
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign)
    return op.next


@semantics("xor")
def xor(m: Machine, op: Operation) -> int:
    """Destination ^ source."""
    result = op.modify() ^ op.source()
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign)
    return op.next


@semantics("test")
def test(m: Machine, op: Operation) -> int:
    """AND that stores nothing."""
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], op.load() & op.source(), op.sign)
    return op.next


@semantics("not")
def not_(m: Machine, op: Operation) -> int:
    """All bits inverted; no flag changes."""
    op.store(op.modify() ^ op.mask)
    return op.next


@semantics("andn")
def andn(m: Machine, op: Operation) -> int:
    """The second operand inverted & the third."""
    result = ~op.source() & op.third()
    op.store(result)
    m.words[EFLAGS] = after_logic(m.words[EFLAGS], result, op.sign)
    return op.next
