"""x87 arithmetic: FADD FSUB FMUL FDIV in all their forms, FSQRT, FRNDINT, FSCALE, FXTRACT, FPREM, FPREM1, FCHS, FABS.

Only the first four and FSQRT round to the precision of the control word; everything else has the full 64 bits (SDM
volume 1, section 8.1.5.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference import floating
from reference.floating import DOUBLE, EXTENDED, SINGLE, Kind, Real, Rounding
from reference.isa.instruction import Memory, Register
from reference.isa.semantics.integer.multiply import signed
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.x87 import state as x87
from reference.isa.semantics.x87.state import Control, Result

Binary = Callable[[Control, Real, Real], Result]
Unary = Callable[[Control, Real], Result]


def numbers(operate: Callable[..., Result]) -> Callable[..., Result]:
    """``operate(of, exceptions, …)`` for operands that are numbers.

    Of the exceptions that prevent a result only one is raised: invalid operation, then division by zero, then denormal.
    """

    def operate_on(of: Control, *operands: Real) -> Result:
        found = x87.not_a_number(*operands)
        if found is not None:
            return found
        exceptions = x87.denormals(*operands)
        result = operate(of, exceptions, *operands)
        if result.exceptions & (x87.INVALID | x87.DIVIDE_BY_ZERO):
            return result
        return Result(0, exceptions) if exceptions & ~of.masked else result

    return operate_on


# -- the four operations -----------------------------------------------------------------------------------------------


@numbers
def _add(of: Control, exceptions: int, a: Real, b: Real) -> Result:
    """a + b."""
    if a.kind is Kind.INFINITY or b.kind is Kind.INFINITY:
        if a.kind is b.kind and a.sign != b.sign:
            return x87.INVALID_RESULT
        return Result(EXTENDED.infinity(a.sign if a.kind is Kind.INFINITY else b.sign), exceptions)
    return x87.rounded(of, floating.add(a, b, of.rounding), exceptions, precision=of.precision)


@numbers
def _subtract(of: Control, exceptions: int, a: Real, b: Real) -> Result:
    """a - b."""
    return _add(of, a, floating.negate(b))


@numbers
def _multiply(of: Control, exceptions: int, a: Real, b: Real) -> Result:
    """a * b."""
    if a.kind is Kind.INFINITY or b.kind is Kind.INFINITY:
        if a.kind is Kind.ZERO or b.kind is Kind.ZERO:
            return x87.INVALID_RESULT
        return Result(EXTENDED.infinity(a.sign ^ b.sign), exceptions)
    return x87.rounded(of, floating.multiply(a, b), exceptions, precision=of.precision)


@numbers
def _divide(of: Control, exceptions: int, a: Real, b: Real) -> Result:
    """a / b."""
    sign = a.sign ^ b.sign
    if a.kind is b.kind and a.kind in (Kind.INFINITY, Kind.ZERO):
        return x87.INVALID_RESULT
    if a.kind is Kind.INFINITY:
        return Result(EXTENDED.infinity(sign), exceptions)
    if b.kind is Kind.INFINITY:
        return Result(EXTENDED.zero(sign), exceptions)
    if b.kind is Kind.ZERO:
        return Result(EXTENDED.infinity(sign), x87.DIVIDE_BY_ZERO)
    return x87.rounded(of, floating.divide(a, b), exceptions, precision=of.precision)


def _reversed(operate: Binary) -> Binary:
    return lambda of, a, b: operate(of, b, a)


def memory_operand(op: Operation, *, integer: bool) -> Real:
    """What a memory operand stands for: a signed integer, or a real of 32 or 64 bits."""
    if integer:
        return floating.from_integer(signed(op.load(), op.sign))
    return (SINGLE if op.size == 4 else DOUBLE).unpack(op.load())


def _binary(operate: Binary, *, integer: bool = False, pop: bool = False) -> Callable[[Machine, Operation], int]:
    """ST(0) with memory, ST(0) with ST(i), or ST(i) with ST(0): the first operand is the destination."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        target = op.operands[0]
        if isinstance(target, Memory):
            number, missing, other = 0, x87.empty(m, 0), memory_operand(op, integer=integer)
        else:
            source = op.operands[1]
            assert isinstance(target, Register)
            assert isinstance(source, Register)
            number, missing = target.number, x87.empty(m, target.number) or x87.empty(m, source.number)
            other = x87.unpack(m, source.number)
        result = x87.STACK_UNDERFLOW if missing else operate(x87.control(m), x87.unpack(m, number), other)
        if x87.conclude(m, op, result):
            x87.write(m, number, result.bits)
            if pop:
                x87.pop(m)
        return op.next

    return run


for _name, _operate in (
    ("add", _add),
    ("sub", _subtract),
    ("subr", _reversed(_subtract)),
    ("mul", _multiply),
    ("div", _divide),
    ("divr", _reversed(_divide)),
):
    semantics(f"f{_name}")(_binary(_operate))
    semantics(f"f{_name}p")(_binary(_operate, pop=True))
    semantics(f"fi{_name}")(_binary(_operate, integer=True))


# -- functions of one operand ------------------------------------------------------------------------------------------


def unary(operate: Unary) -> Callable[[Machine, Operation], int]:
    """A function of ST(0), to ST(0)."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        result = x87.STACK_UNDERFLOW if x87.empty(m, 0) else operate(x87.control(m), x87.unpack(m, 0))
        if x87.conclude(m, op, result):
            x87.write(m, 0, result.bits)
        return op.next

    return run


@numbers
def _square_root(of: Control, exceptions: int, a: Real) -> Result:
    if a.kind is not Kind.ZERO and a.sign:
        return x87.INVALID_RESULT
    if a.kind is Kind.INFINITY:
        return Result(EXTENDED.infinity(0), exceptions)
    return x87.rounded(of, floating.square_root(a), exceptions, precision=of.precision)


@numbers
def _round_to_integer(of: Control, exceptions: int, a: Real) -> Result:
    """To an integer, which has the sign of the operand also where it is zero."""
    if a.kind is Kind.INFINITY:
        return Result(EXTENDED.infinity(a.sign))
    value, inexact, up = floating.round_to_integer(a, of.rounding)
    result = x87.rounded(of, floating.exact(a.sign, abs(value), 0))
    return Result(result.bits, exceptions | (x87.PRECISION if inexact else 0), up)


semantics("fsqrt")(unary(_square_root))
semantics("frndint")(unary(_round_to_integer))


def _sign(change: Callable[[int], int]) -> Callable[[Machine, Operation], int]:
    """A change to the sign of ST(0), whatever that is."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        result = x87.STACK_UNDERFLOW if x87.empty(m, 0) else Result(change(x87.read(m, 0)))
        if x87.conclude(m, op, result):
            x87.write(m, 0, result.bits)
        return op.next

    return run


semantics("fchs")(_sign(lambda bits: bits ^ 1 << 79))
semantics("fabs")(_sign(lambda bits: bits & ~(1 << 79)))


# -- exponents ---------------------------------------------------------------------------------------------------------

#: A scale beyond which every finite number overflows or underflows, scaled result or not.
_FAR: Final = 1 << 17


@numbers
def _scale(of: Control, exceptions: int, a: Real, b: Real) -> Result:
    """a * 2 ** b, b rounded towards zero."""
    if b.kind is Kind.INFINITY:
        if a.kind is (Kind.INFINITY if b.sign else Kind.ZERO):
            return x87.INVALID_RESULT
        return Result(EXTENDED.zero(a.sign) if b.sign else EXTENDED.infinity(a.sign), exceptions)
    if a.kind is Kind.INFINITY:
        return Result(EXTENDED.infinity(a.sign), exceptions)
    if b.kind is Kind.FINITE and floating.magnitude(b) > 17:
        by = -_FAR if b.sign else _FAR
    else:
        by = floating.round_to_integer(b, Rounding.ZERO)[0]
    return x87.rounded(of, a._replace(exponent=a.exponent + by), exceptions)


@semantics("fscale")
def fscale(m: Machine, op: Operation) -> int:
    """ST(0) times two to the power of ST(1) without its fraction."""
    x87.begin(m, op)
    if x87.empty(m, 0) or x87.empty(m, 1):
        result = x87.STACK_UNDERFLOW
    else:
        result = _scale(x87.control(m), x87.unpack(m, 0), x87.unpack(m, 1))
    if x87.conclude(m, op, result):
        x87.write(m, 0, result.bits)
    return op.next


def _extract(of: Control, a: Real) -> tuple[Result, Result]:
    """The exponent as a number, and the significand with exponent zero."""
    found = x87.not_a_number(a)
    if found is not None:
        return found, found
    if a.kind is Kind.INFINITY:
        return Result(EXTENDED.infinity(0)), Result(EXTENDED.infinity(a.sign))
    if a.kind is Kind.ZERO:
        return Result(EXTENDED.infinity(1), x87.DIVIDE_BY_ZERO), Result(EXTENDED.zero(a.sign))
    exponent = floating.magnitude(a)
    significand = a._replace(exponent=a.exponent - exponent)
    return x87.rounded(of, floating.from_integer(exponent), x87.denormals(a)), x87.rounded(of, significand)


@semantics("fxtract")
def fxtract(m: Machine, op: Operation) -> int:
    """ST(0) becomes its exponent, and its significand is pushed."""
    x87.begin(m, op)
    if x87.empty(m, 0):
        exponent = significand = x87.STACK_UNDERFLOW
    elif not x87.empty(m, 7):
        exponent = significand = x87.STACK_OVERFLOW
    else:
        exponent, significand = _extract(x87.control(m), x87.unpack(m, 0))
    if x87.conclude(m, op, exponent):
        x87.write(m, 0, exponent.bits)
        x87.push(m, significand.bits)
    return op.next


# -- remainders --------------------------------------------------------------------------------------------------------

#: The exponents of dividend and divisor differ by less than this, or the remainder is only a partial one.
_REACH: Final = 64


def _remainder(of: Control, a: Real, b: Real, *, nearest: bool) -> tuple[Result, int | None]:
    """a modulo b, and the condition codes: the quotient's low bits, or C2 where the remainder is only a partial one. None
    where there is no quotient: then C0 and C3, which are undefined, stay as they are.
    """
    found = x87.not_a_number(a, b)
    if found is not None:
        return found, None
    if a.kind is Kind.INFINITY or b.kind is Kind.ZERO:
        return x87.INVALID_RESULT, None
    exceptions = x87.denormals(a, b)
    if exceptions & ~of.masked:
        return Result(0, exceptions), None
    if a.kind is Kind.ZERO or b.kind is Kind.INFINITY:
        return x87.rounded(of, a, exceptions), 0
    distance = floating.magnitude(a) - floating.magnitude(b)
    low = min(a.exponent, b.exponent)
    if distance < _REACH:
        dividend, divisor = a.significand << a.exponent - low, b.significand << b.exponent - low
        quotient, rest = divmod(dividend, divisor)
        sign = a.sign
        if nearest and (2 * rest > divisor or (2 * rest == divisor and quotient & 1)):
            quotient, rest, sign = quotient + 1, divisor - rest, sign ^ 1
        conditions = (x87.C1 if quotient & 1 else 0) | (x87.C3 if quotient & 2 else 0) | (x87.C0 if quotient & 4 else 0)
        value = floating.exact(sign if rest else a.sign, rest, low)
        return x87.rounded(of, value, exceptions), conditions
    # Take away b times the highest bits of the quotient. The manual allows 32 to 63 of them; this is what processors take.
    step = distance - (32 | distance & 31)
    dividend, divisor = a.significand << a.exponent - low, b.significand << b.exponent - low + step
    value = floating.exact(a.sign, dividend % divisor, low)
    return x87.rounded(of, value, exceptions), x87.C2


def _partial_remainder(*, nearest: bool) -> Callable[[Machine, Operation], int]:
    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        if x87.empty(m, 0) or x87.empty(m, 1):
            result, conditions = x87.STACK_UNDERFLOW, None
        else:
            result, conditions = _remainder(x87.control(m), x87.unpack(m, 0), x87.unpack(m, 1), nearest=nearest)
        if x87.conclude(m, op, result):
            x87.write(m, 0, result.bits)
        if conditions is None:
            x87.set_condition(m, x87.C2, False)
        else:
            x87.set_conditions(m, conditions)
        return op.next

    return run


semantics("fprem")(_partial_remainder(nearest=False))
semantics("fprem1")(_partial_remainder(nearest=True))
