"""x87 instructions that only move registers or the stack: FXCH FFREE FFREEP FINCSTP FDECSTP FNOP FWAIT."""

from __future__ import annotations

from collections.abc import Callable

from reference.isa.instruction import Register
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.x87 import state as x87
from reference.isa.semantics.x87.state import Result


@semantics("fxch")
def fxch(m: Machine, op: Operation) -> int:
    """Exchange ST(0) and ST(i); what is empty counts as indefinite."""
    x87.begin(m, op)
    other = op.operands[0]
    assert isinstance(other, Register)
    numbers = (0, other.number)
    missing = any(x87.empty(m, number) for number in numbers)
    first, second = (x87.INDEFINITE if x87.empty(m, number) else x87.read(m, number) for number in numbers)
    if x87.conclude(m, op, x87.STACK_UNDERFLOW if missing else Result(0)):
        x87.write(m, 0, second)
        x87.write(m, other.number, first)
    return op.next


def _free(*, pop: bool) -> Callable[[Machine, Operation], int]:
    """Mark ST(i) as empty; C1, which is undefined then, is cleared."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        target = op.operands[0]
        assert isinstance(target, Register)
        x87.conclude(m, op, Result(0))
        x87.release(m, target.number)
        if pop:
            x87.pop(m)
        return op.next

    return run


semantics("ffree")(_free(pop=False))
semantics("ffreep")(_free(pop=True))


def _move_top(by: int) -> Callable[[Machine, Operation], int]:
    """Change TOP, and no tag."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        x87.conclude(m, op, Result(0))
        x87.rotate(m, by)
        return op.next

    return run


semantics("fincstp")(_move_top(1))
semantics("fdecstp")(_move_top(-1))


@semantics("fnop")
def fnop(m: Machine, op: Operation) -> int:
    """No operation, but it waits, and is remembered as the last instruction."""
    x87.begin(m, op)
    x87.point(m, op)
    return op.next


@semantics("fwait")
def fwait(m: Machine, op: Operation) -> int:
    """Only wait for a pending exception."""
    x87.begin(m, op)
    return op.next
