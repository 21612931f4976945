"""RCP and RSQRT: a reciprocal, and that of a square root, to about 12 bits.

The SDM grants a relative error of 1.5 * 2^-12 and leaves the rest to the processor. So two processors may give different
results, and both may differ from ours, which is the exact value rounded to 12 bits. Special operands have exact results.
MXCSR has no say and learns nothing: denormals count as zeros, and a result that would be tiny is a zero (SDM volume 2,
RCPPS and RSQRTPS).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference.floating import Format, Real, Rounding, divide, exact, magnitude, normalised, square_root
from reference.isa.semantics.simd.form import unary
from reference.isa.semantics.simd.lane import INFINITY, QUIET, ZERO, Lane, Result
from reference.isa.semantics.simd.mxcsr import Control

#: The instructions whose results are approximate.
APPROXIMATE: Final = frozenset(
    prefix + name + suffix for prefix in ("", "v") for name in ("rcp", "rsqrt") for suffix in ("ps", "ss")
)
#: How far each may be from the exact value, relative to it.
RELATIVE_ERROR: Final = 1.5 * 2**-12

_PRECISION: Final = 12
_ONE: Final = exact(0, 1, 0)
#: From this power of two on a reciprocal is tiny. (The SDM leaves a little room around it.)
_TOO_LARGE: Final = 126


def _approximate(function: Callable[[Real], Real], *, negative: bool) -> Lane:
    """The lane of a function that falls from infinity at zero to zero at infinity; ``negative`` tells whether it is
    defined for negative values."""

    def lane(form: Format, rule: Control, bits: int) -> Result:
        value = form.unpack(bits)
        if value.kind >= QUIET:
            return form.nan(value.sign, value.significand), 0
        if value.kind is ZERO or value.denormal:
            return form.infinity(value.sign), 0
        if value.sign and not negative:
            return form.indefinite, 0
        if value.kind is INFINITY:
            return form.zero(value.sign), 0
        result = function(value)
        if result.kind is ZERO:
            return form.zero(value.sign), 0
        significand, exponent, _, _ = normalised(result, _PRECISION, Rounding.NEAREST)
        spare = form.precision - _PRECISION
        return form.pack(value.sign, significand << spare, exponent - spare), 0

    return lane


def _reciprocal(value: Real) -> Real:
    return exact(0, 0, 0) if magnitude(value) >= _TOO_LARGE else divide(_ONE, value)


unary("rcp", _approximate(_reciprocal, negative=True), ("ps", "ss"))
unary("rsqrt", _approximate(lambda value: divide(_ONE, square_root(value)), negative=False), ("ps", "ss"))
