"""Floating-point arithmetic of SSE to SSE4.1 and AVX: ADD SUB MUL DIV SQRT, ADDSUB HADD HSUB, DPPS DPPD, ROUND.

SDM volume 2 on each of them; volume 1, appendix E, has results and exceptions by operand.
"""

from __future__ import annotations

from functools import cache

from reference import floating
from reference.floating import Format, Real, Rounding, exact, round_real, round_to_integer
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import Semantics, semantics
from reference.isa.semantics.simd.form import (
    LANES,
    PACKED,
    SCALAR,
    binary,
    packed,
    packed_binary,
    scalar,
    unary,
)
from reference.isa.semantics.simd.lane import (
    INFINITIES,
    INFINITY,
    NO_RESULT,
    QUIET,
    ZERO,
    ZEROS,
    Lane,
    Result,
    arithmetic,
    first_nan,
    operand,
)
from reference.isa.semantics.simd.mxcsr import DIVIDE_BY_ZERO, PRECISION, Control, control, settle

# -- on numbers --------------------------------------------------------------------------------------------------------


def _add(a: Real, b: Real, rounding: Rounding) -> tuple[Real, int]:
    """Infinities of opposite signs have no sum."""
    if a.kind is INFINITY:
        return NO_RESULT if b.kind is INFINITY and a.sign != b.sign else (a, 0)
    if b.kind is INFINITY:
        return b, 0
    return floating.add(a, b, rounding), 0


def _subtract(a: Real, b: Real, rounding: Rounding) -> tuple[Real, int]:
    return _add(a, floating.negate(b), rounding)


def _multiply(a: Real, b: Real, _: Rounding) -> tuple[Real, int]:
    """Infinity and zero have no product."""
    if a.kind is INFINITY or b.kind is INFINITY:
        return NO_RESULT if a.kind is ZERO or b.kind is ZERO else (INFINITIES[a.sign ^ b.sign], 0)
    return floating.multiply(a, b), 0


def _divide(a: Real, b: Real, _: Rounding) -> tuple[Real, int]:
    """Nor have two infinities, or two zeros, a quotient."""
    sign = a.sign ^ b.sign
    if a.kind is INFINITY:
        return NO_RESULT if b.kind is INFINITY else (INFINITIES[sign], 0)
    if b.kind is INFINITY:
        return ZEROS[sign], 0
    if b.kind is ZERO:
        return NO_RESULT if a.kind is ZERO else (INFINITIES[sign], DIVIDE_BY_ZERO)
    return floating.divide(a, b), 0


def _square_root(a: Real, _: Rounding) -> tuple[Real, int]:
    """The root of a negative zero is that zero."""
    if a.sign and a.kind is not ZERO:
        return NO_RESULT
    return (a if a.kind is INFINITY else floating.square_root(a)), 0


add = arithmetic(_add)
subtract = arithmetic(_subtract)
multiply = arithmetic(_multiply)

binary("add", add)
binary("sub", subtract)
binary("mul", multiply)
binary("div", arithmetic(_divide))
unary("sqrt", arithmetic(_square_root))


# -- across lanes ------------------------------------------------------------------------------------------------------


def _horizontal(form: Format, lane: Lane) -> Semantics:
    """Neighbours combined: in each 128 bits first those of the first source, then those of the second."""
    row = LANES[form.bits]

    def run(m: Machine, op: Operation) -> int:
        first, second = op.two_sources()
        lanes: list[int] = []
        for a, b in zip(row.blocks(first, op.size), row.blocks(second, op.size), strict=True):
            lanes += a + b
        return packed(m, op, form, (lane,), row.join(lanes[0::2]), row.join(lanes[1::2]))

    return run


def _dot_product(form: Format) -> Semantics:
    """The sum of the products that the immediate's high half selects, to the lanes that its low half selects.

    It takes several steps, each with exceptions of its own: all products, then sums of neighbours until one is left in
    each 128 bits. A trap in one step keeps those of the next from their exceptions.
    """
    row = LANES[form.bits]
    width = 16 // row.size

    def run(m: Machine, op: Operation) -> int:
        first, second = op.two_sources()
        chosen = op.control()
        rule = control(m)

        def step(lane: Lane, pairs: list[tuple[int, int]], selected: int = -1) -> list[int]:
            results, exceptions = [], 0
            for number, (a, b) in enumerate(pairs):
                bits, raised = lane(form, rule, a, b) if selected >> number % width & 1 else (0, 0)
                results.append(bits)
                exceptions |= raised
            settle(m, op, exceptions)
            return results

        pairs = list(zip(row.split(first, op.size), row.split(second, op.size), strict=True))
        terms = step(multiply, pairs, chosen >> 4)
        while 16 * len(terms) > op.size:
            terms = step(add, list(zip(terms[0::2], terms[1::2], strict=True)))
        op.store(row.join([term if chosen >> number & 1 else 0 for term in terms for number in range(width)]))
        return op.next

    return run


for _suffix, _form in PACKED.items():
    semantics("addsub" + _suffix, "vaddsub" + _suffix)(packed_binary(_form, subtract, add))
    semantics("hadd" + _suffix, "vhadd" + _suffix)(_horizontal(_form, add))
    semantics("hsub" + _suffix, "vhsub" + _suffix)(_horizontal(_form, subtract))
    semantics("dp" + _suffix, "vdp" + _suffix)(_dot_product(_form))


# -- rounding to integers ----------------------------------------------------------------------------------------------


@cache
def _round(choice: int) -> Lane:
    """The lane of ROUND with an immediate: a rounding in the low two bits, or MXCSR's with bit 2; bit 3 keeps inexact
    results from being reported. Denormal operands never are (SDM volume 2, ROUNDPD)."""

    def lane(form: Format, rule: Control, bits: int) -> Result:
        value = operand(bits, form, rule)
        if value.kind >= QUIET:
            return first_nan([value], form)
        if value.kind is INFINITY:
            return bits, 0
        rounding = rule.rounding if choice & 4 else Rounding(choice & 3)
        integer, inexact, _ = round_to_integer(value, rounding)
        result = round_real(exact(value.sign, abs(integer), 0), form, rounding)
        return result.bits, PRECISION if inexact and not choice & 8 else 0

    return lane


def _round_packed(form: Format) -> Semantics:
    return lambda m, op: packed(m, op, form, (_round(op.third() & 15),), op.source())


def _round_scalar(form: Format) -> Semantics:
    def run(m: Machine, op: Operation) -> int:
        first, second = op.two_sources()
        return scalar(m, op, form, _round(op.control() & 15), first, second)

    return run


for _suffix, _form in PACKED.items():
    semantics("round" + _suffix, "vround" + _suffix)(_round_packed(_form))
for _suffix, _form in SCALAR.items():
    semantics("round" + _suffix, "vround" + _suffix)(_round_scalar(_form))
