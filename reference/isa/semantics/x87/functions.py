"""Transcendental x87 instructions: F2XM1 FYL2X FYL2XP1 FPTAN FPATAN FSIN FCOS FSINCOS, and the constants.

Processors promise an error below one unit in the last place (SDM volume 1, section 8.3.10), not which of the two nearest
results it is. Here it is the correctly rounded one, as the rounding control says. Angles are reduced by the same
approximation of pi as on processors (:data:`reference.transcendental.PI_66`), so that large ones agree too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference import floating
from reference import transcendental as functions
from reference.floating import EXTENDED, Kind, Real, Rounding, exact
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.x87 import state as x87
from reference.isa.semantics.x87.arithmetic import numbers, unary
from reference.isa.semantics.x87.load_store import load
from reference.isa.semantics.x87.state import Control, Result

#: Bits behind the point of the constants.
_BITS: Final = 200
_ONE: Final = exact(0, 1, 0)


def _inexact(of: Control, value: Real, exceptions: int) -> Result:
    """A result that counts as inexact even where it happens not to be, and then as an underflow if it is denormal."""
    found = x87.rounded(of, value, exceptions)
    if found.exceptions & x87.PRECISION:
        return found
    tiny = floating.magnitude(value) < EXTENDED.smallest
    return found._replace(exceptions=found.exceptions | x87.PRECISION | (x87.UNDERFLOW if tiny else 0))


# -- constants ---------------------------------------------------------------------------------------------------------


def _constant(value: Real) -> Callable[[Machine, Operation], int]:
    """Push a number, rounded as the control word says, which is not called inexact."""
    bits = [floating.round_real(value, EXTENDED, rounding).bits for rounding in Rounding]

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        return load(m, op, Result(bits[x87.control(m).rounding]))

    return run


_LN2: Final = functions.natural_logarithm(2, _BITS)
_LN10: Final = functions.natural_logarithm(10, _BITS)

for _name, _value in (
    ("fldz", exact(0, 0, 0)),
    ("fld1", _ONE),
    ("fldpi", exact(0, functions.pi(_BITS), -_BITS)),
    ("fldln2", exact(0, _LN2, -_BITS)),
    ("fldl2e", exact(0, (1 << 2 * _BITS) // _LN2, -_BITS)),
    ("fldl2t", exact(0, (_LN10 << _BITS) // _LN2, -_BITS)),
    ("fldlg2", exact(0, (_LN2 << _BITS) // _LN10, -_BITS)),
):
    semantics(_name)(_constant(_value))


# -- powers and logarithms ---------------------------------------------------------------------------------------------


@numbers
def _power_minus_1(of: Control, exceptions: int, x: Real) -> Result:
    """2 ** x - 1. Beyond -1 and 1 it is undefined, and processors leave x as it is."""
    if x.kind is Kind.ZERO:
        return Result(EXTENDED.zero(x.sign))
    if x.kind is Kind.INFINITY:
        return Result(EXTENDED.one(1) if x.sign else EXTENDED.infinity(0))
    inside = floating.compare(x._replace(sign=0), _ONE) <= 0
    return _inexact(of, functions.power_minus_1(x) if inside else x, exceptions)


semantics("f2xm1")(unary(_power_minus_1))


def _times_logarithm(of: Control, exceptions: int, y: Real, sign: int, log: Callable[[], Real] | None) -> Result:
    """y times a logarithm of this sign, which is infinite where there is no ``log``."""
    sign ^= y.sign
    if y.kind is Kind.INFINITY or log is None:
        return Result(EXTENDED.infinity(sign), exceptions)
    if y.kind is Kind.ZERO:
        return Result(EXTENDED.zero(sign), exceptions)
    return _inexact(of, floating.multiply(y, log()), exceptions)


@numbers
def _y_log_x(of: Control, exceptions: int, y: Real, x: Real) -> Result:
    """y * log2(x)."""
    if x.kind is Kind.ZERO:
        if y.kind is Kind.ZERO:
            return x87.INVALID_RESULT
        divided = x87.DIVIDE_BY_ZERO if y.kind is Kind.FINITE else 0
        return Result(EXTENDED.infinity(y.sign ^ 1), divided or exceptions)
    if x.sign:
        return x87.INVALID_RESULT
    if x.kind is Kind.INFINITY:
        return x87.INVALID_RESULT if y.kind is Kind.ZERO else _times_logarithm(of, exceptions, y, 0, None)
    order = floating.compare(x, _ONE)
    if order == 0:
        return x87.INVALID_RESULT if y.kind is Kind.INFINITY else Result(EXTENDED.zero(y.sign), exceptions)
    return _times_logarithm(of, exceptions, y, int(order < 0), lambda: functions.logarithm(x))


@numbers
def _y_log_x_plus_1(of: Control, exceptions: int, y: Real, x: Real) -> Result:
    """y * log2(x + 1). From -1 downwards it is undefined, and processors give x."""
    if x.kind is Kind.ZERO:
        if y.kind is Kind.INFINITY:
            return x87.INVALID_RESULT
        return Result(EXTENDED.zero(x.sign ^ y.sign), exceptions)
    if x.kind is Kind.INFINITY:
        if x.sign or y.kind is Kind.ZERO:
            return x87.INVALID_RESULT
        return _times_logarithm(of, exceptions, y, 0, None)
    if y.kind is Kind.FINITE and x.sign and floating.compare(x._replace(sign=0), _ONE) >= 0:
        return _inexact(of, x, exceptions)
    return _times_logarithm(of, exceptions, y, x.sign, lambda: functions.logarithm_plus_1(x))


@numbers
def _angle(of: Control, exceptions: int, y: Real, x: Real) -> Result:
    """The angle of the point (x, y)."""
    if y.kind is Kind.ZERO or (x.kind is Kind.INFINITY and y.kind is not Kind.INFINITY):
        eighths = 4 if x.sign else 0
    elif x.kind is Kind.ZERO or (y.kind is Kind.INFINITY and x.kind is not Kind.INFINITY):
        eighths = 2
    elif x.kind is Kind.INFINITY:
        eighths = 3 if x.sign else 1
    else:
        return _inexact(of, functions.arctangent(y, x), exceptions)
    if not eighths:
        return Result(EXTENDED.zero(y.sign), exceptions)
    return _inexact(of, exact(y.sign, functions.pi(_BITS) * eighths | 1, -_BITS - 2), exceptions)


def _two_to_one(operate: Callable[[Control, Real, Real], Result]) -> Callable[[Machine, Operation], int]:
    """A function of ST(1) and ST(0), to ST(1), which becomes ST(0)."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        if x87.empty(m, 0) or x87.empty(m, 1):
            result = x87.STACK_UNDERFLOW
        else:
            result = operate(x87.control(m), x87.unpack(m, 1), x87.unpack(m, 0))
        if x87.conclude(m, op, result):
            x87.write(m, 1, result.bits)
            x87.pop(m)
        return op.next

    return run


semantics("fyl2x")(_two_to_one(_y_log_x))
semantics("fyl2xp1")(_two_to_one(_y_log_x_plus_1))
semantics("fpatan")(_two_to_one(_angle))


# -- angles ------------------------------------------------------------------------------------------------------------

#: Angles from 2 ** 63 on are not reduced: C2 says so, and nothing else happens.
_LARGEST_ANGLE: Final = 63


def _sine(of: Control, exceptions: int, x: Real) -> Result:
    if x.kind is Kind.ZERO:
        return Result(EXTENDED.zero(x.sign), exceptions)
    turns, rest = functions.quarter_turns(x)
    found = functions.cosine(rest) if turns & 1 else functions.sine(rest)
    return _inexact(of, floating.negate(found) if turns & 2 else found, exceptions)


def _cosine(of: Control, exceptions: int, x: Real) -> Result:
    if x.kind is Kind.ZERO:
        return Result(EXTENDED.one(0), exceptions)
    turns, rest = functions.quarter_turns(x)
    found = functions.sine(rest) if turns & 1 else functions.cosine(rest)
    return _inexact(of, floating.negate(found) if turns + 1 & 2 else found, exceptions)


def _tangent(of: Control, exceptions: int, x: Real) -> Result:
    if x.kind is Kind.ZERO:
        return Result(EXTENDED.zero(x.sign), exceptions)
    turns, rest = functions.quarter_turns(x)
    found = functions.tangent(rest)
    if turns & 1:
        found = floating.negate(floating.divide(_ONE, found))
    return _inexact(of, found, exceptions)


def _one(of: Control, exceptions: int, x: Real) -> Result:
    return Result(EXTENDED.one(0), exceptions)


def _of_angle(*operations: Callable[[Control, int, Real], Result]) -> Callable[[Machine, Operation], int]:
    """ST(0) becomes a function of the angle in it; that of another is pushed. C1 tells how the first was rounded."""
    functions_of_numbers = [numbers(_of_finite_angle(operate)) for operate in operations]

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        if x87.empty(m, 0):
            results = [x87.STACK_UNDERFLOW] * len(operations)
        elif len(operations) > 1 and not x87.empty(m, 7):
            results = [x87.STACK_OVERFLOW] * len(operations)
        else:
            x, of = x87.unpack(m, 0), x87.control(m)
            if x.kind is Kind.FINITE and floating.magnitude(x) >= _LARGEST_ANGLE:
                x87.conclude(m, op, Result(0))
                x87.set_condition(m, x87.C2, True)
                return op.next
            results = [operate(of, x) for operate in functions_of_numbers]
        exceptions = 0
        for result in results:
            exceptions |= result.exceptions
        if x87.conclude(m, op, results[0]._replace(exceptions=exceptions)):
            x87.write(m, 0, results[0].bits)
            for result in results[1:]:
                x87.push(m, result.bits)
        x87.set_condition(m, x87.C2, False)
        return op.next

    return run


def _of_finite_angle(operate: Callable[[Control, int, Real], Result]) -> Callable[[Control, int, Real], Result]:
    return lambda of, exceptions, x: x87.INVALID_RESULT if x.kind is Kind.INFINITY else operate(of, exceptions, x)


semantics("fsin")(_of_angle(_sine))
semantics("fcos")(_of_angle(_cosine))
semantics("fsincos")(_of_angle(_sine, _cosine))
semantics("fptan")(_of_angle(_tangent, _one))
