"""One lane: from encodings to the encoding of a result and the exceptions it raises, as SSE and AVX define both.

Arithmetic is defined on numbers (:mod:`reference.floating`). Around it, :func:`arithmetic` puts what all operations have
in common, in the order of precedence that the SDM gives (volume 1, sections 4.8.3.5, 4.9.2 and 11.5.2):

1. A NaN among the operands is the result, the first of them if there are several, quieted. Signalling ones are invalid.
2. An operation that has no result is invalid, and its result the indefinite NaN; one that divides by zero is infinite.
3. An operand that was denormal is reported, unless DAZ has made a zero of it.
4. The exact result is rounded. Masked overflow and underflow, and FTZ, decide what becomes of one out of range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference.floating import Format, Kind, Real, normalised, round_real
from reference.isa.semantics.simd.mxcsr import (
    DENORMAL,
    DIVIDE_BY_ZERO,
    INVALID,
    OVERFLOW,
    PRECISION,
    UNDERFLOW,
    Control,
)

#: The encoding of a result, and the exceptions.
Result = tuple[int, int]
#: ``lane(format, control, *operands)``
Lane = Callable[..., Result]
#: ``exact(*operands, rounding)``: the exact result for operands that are no NaNs, and either no exception, or INVALID,
#: or DIVIDE_BY_ZERO. The rounding matters for the sign of a zero only.
Exact = Callable[..., tuple[Real, int]]

ZERO: Final = Kind.ZERO
INFINITY: Final = Kind.INFINITY
QUIET: Final = Kind.QUIET
SIGNALLING: Final = Kind.SIGNALLING

POSITIVE_ZERO: Final = Real(ZERO, 0)
ZEROS: Final = (POSITIVE_ZERO, Real(ZERO, 1))
INFINITIES: Final = (Real(INFINITY, 0), Real(INFINITY, 1))
#: What an operation returns that has no result.
NO_RESULT: Final = (POSITIVE_ZERO, INVALID)


def arithmetic(operation: Exact) -> Lane:
    """The lane of an operation on numbers."""

    def lane(form: Format, control: Control, *encodings: int) -> Result:
        values = []
        denormal, special = 0, ZERO
        for bits in encodings:
            value = form.unpack(bits)
            if value.denormal:
                if control.daz:
                    value = ZEROS[value.sign]
                else:
                    denormal = DENORMAL
            elif value.kind > special:
                special = value.kind
            values.append(value)
        if special >= QUIET:
            return first_nan(values, form)
        result, exceptions = operation(*values, control.rounding)
        if exceptions == INVALID:
            return form.indefinite, INVALID
        if exceptions == DIVIDE_BY_ZERO:
            return form.infinity(result.sign), DIVIDE_BY_ZERO
        bits, exceptions = rounded(result, form, control)
        return bits, denormal | exceptions

    return lane


def operand(bits: int, form: Format, control: Control) -> Real:
    """An operand as the operation sees it: with DAZ, no denormal."""
    value = form.unpack(bits)
    return ZEROS[value.sign] if value.denormal and control.daz else value


def first_nan(values: list[Real], form: Format) -> Result:
    """The result of an operation with NaNs among its operands."""
    signalling = any(value.kind is SIGNALLING for value in values)
    first = next(value for value in values if value.kind >= QUIET)
    return form.nan(first.sign, first.significand), INVALID if signalling else 0


def rounded(value: Real, form: Format, control: Control) -> Result:
    """A zero, a finite value or an infinity as a result in a format.

    Underflow that is unmasked is raised for every tiny result, exact or not. It, and unmasked overflow, tell whether the
    result is inexact apart from its exponent: a handler may go on with the rounded significand (SDM volume 1, sections
    4.9.1.4 and 4.9.1.5).
    """
    if value.kind is INFINITY:
        return form.infinity(value.sign), 0
    result = round_real(value, form, control.rounding, flush=control.flush)
    exceptions = int(result.exceptions)
    reported = (UNDERFLOW if result.tiny else exceptions & OVERFLOW) & control.unmasked
    if reported:
        _, _, inexact, _ = normalised(value, form.precision, control.rounding)
        exceptions = reported | (PRECISION if inexact else 0)
    return result.bits, exceptions
