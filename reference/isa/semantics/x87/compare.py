"""x87 comparisons: FCOM FUCOM FICOM FTST into the condition codes, FCOMI FUCOMI into EFLAGS, FXAM, FCMOVcc.

A comparison tells what it has found even where an exception is not masked; only nothing is popped then. (By the manual it
tells nothing after an unmasked invalid operation.) Instructions with EFLAGS leave C1 alone, stack faults apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference import floating
from reference.flags import CF, PF, STATUS, ZF
from reference.floating import Kind, Real
from reference.isa.instruction import Memory, Register
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.x87 import state as x87
from reference.isa.semantics.x87.arithmetic import memory_operand
from reference.isa.semantics.x87.state import C0, C1, C2, C3, Result
from reference.registers import EFLAGS

#: What a comparison gives, as condition codes. As flags, C0 is CF, C2 is PF and C3 is ZF (SDM volume 1, section 8.3.6).
_GREATER, _LESS, _EQUAL, _UNORDERED = 0, C0, C3, C0 | C2 | C3
_FLAGS: Final = {_GREATER: 0, _LESS: CF, _EQUAL: ZF, _UNORDERED: CF | PF | ZF}


def _compare(a: Real, b: Real, *, quiet: bool) -> tuple[Result, int]:
    """How a compares to b. A quiet NaN is an invalid operand unless the comparison is ``quiet``."""
    found = x87.not_a_number(a, b)
    if found is not None:
        return Result(0, found.exceptions if quiet else x87.INVALID), _UNORDERED
    order = floating.compare(a, b)
    return Result(0, x87.denormals(a, b)), _EQUAL if not order else _LESS if order < 0 else _GREATER


def _comparison(
    *, quiet: bool = False, integer: bool = False, pops: int = 0, flags: bool = False
) -> Callable[[Machine, Operation], int]:
    """ST(0) with memory or with ST(i); ST(1) where the instruction names none."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        other = op.operands[-1] if op.operands else None
        if isinstance(other, Memory):
            missing, b = x87.empty(m, 0), memory_operand(op, integer=integer)
        else:
            number = other.number if isinstance(other, Register) else 1
            missing, b = x87.empty(m, 0) or x87.empty(m, number), x87.unpack(m, number)
        if missing:
            result, conditions = x87.STACK_UNDERFLOW, _UNORDERED
        else:
            result, conditions = _compare(x87.unpack(m, 0), b, quiet=quiet)
        completed = x87.conclude(m, op, result, keep_c1=flags and not missing)
        if flags:
            m.words[EFLAGS] = m.words[EFLAGS] & ~STATUS | _FLAGS[conditions]
        else:
            x87.set_conditions(m, conditions)
        if completed:
            x87.pop(m, pops)
        return op.next

    return run


semantics("fcom")(_comparison())
semantics("fcomp")(_comparison(pops=1))
semantics("fcompp")(_comparison(pops=2))
semantics("fucom")(_comparison(quiet=True))
semantics("fucomp")(_comparison(quiet=True, pops=1))
semantics("fucompp")(_comparison(quiet=True, pops=2))
semantics("ficom")(_comparison(integer=True))
semantics("ficomp")(_comparison(integer=True, pops=1))
semantics("fcomi")(_comparison(flags=True))
semantics("fcomip")(_comparison(flags=True, pops=1))
semantics("fucomi")(_comparison(flags=True, quiet=True))
semantics("fucomip")(_comparison(flags=True, quiet=True, pops=1))


@semantics("ftst")
def ftst(m: Machine, op: Operation) -> int:
    """Compare ST(0) with zero."""
    x87.begin(m, op)
    if x87.empty(m, 0):
        result, conditions = x87.STACK_UNDERFLOW, _UNORDERED
    else:
        result, conditions = _compare(x87.unpack(m, 0), Real(Kind.ZERO, 0), quiet=False)
    x87.conclude(m, op, result)
    x87.set_conditions(m, conditions)
    return op.next


#: What FXAM says of a register.
_CLASSES: Final = {
    Kind.UNSUPPORTED: 0,
    Kind.QUIET: C0,
    Kind.SIGNALLING: C0,
    Kind.FINITE: C2,
    Kind.INFINITY: C2 | C0,
    Kind.ZERO: C3,
}
_EMPTY_CLASS, _DENORMAL_CLASS = C3 | C0, C3 | C2


@semantics("fxam")
def fxam(m: Machine, op: Operation) -> int:
    """What ST(0) is, in C3, C2 and C0; its sign, even of an empty register, in C1."""
    x87.begin(m, op)
    value = x87.unpack(m, 0)
    found = _DENORMAL_CLASS if value.denormal else _CLASSES[value.kind]
    if x87.empty(m, 0):
        found = _EMPTY_CLASS
    x87.point(m, op)
    x87.set_conditions(m, found | (C1 if value.sign else 0))
    return op.next


def _move_if(mask: int, wanted: bool) -> Callable[[Machine, Operation], int]:
    """ST(0) becomes ST(i) if any of these flags is set, or if none is."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        source = op.operands[1]
        assert isinstance(source, Register)
        if x87.empty(m, 0) or x87.empty(m, source.number):
            result = x87.STACK_UNDERFLOW
        else:
            chosen = source.number if bool(m.words[EFLAGS] & mask) == wanted else 0
            result = Result(x87.read(m, chosen))
        if x87.conclude(m, op, result, keep_c1=not result.exceptions):
            x87.write(m, 0, result.bits)
        return op.next

    return run


for _name, _mask in (("b", CF), ("e", ZF), ("be", CF | ZF), ("u", PF)):
    semantics(f"fcmov{_name}")(_move_if(_mask, True))
    semantics(f"fcmovn{_name}")(_move_if(_mask, False))
