"""Fused multiply-add: the product is exact, and the sum is rounded once (SDM volume 1, section 14.5).

The digits in the names say which operands are multiplied and which is added: with 132 the first times the third plus the
second. Of several NaNs, the multiplicand is the result before the multiplier, and that before the addend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference import floating
from reference.floating import Format, Real, Rounding
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import Semantics, semantics
from reference.isa.semantics.simd.form import PACKED, SCALAR, packed, scalar
from reference.isa.semantics.simd.lane import INFINITIES, INFINITY, NO_RESULT, ZERO, Lane, arithmetic


def _fused(*, negate_product: int = 0, negate_addend: int = 0) -> Lane:
    """The lane of ±(x * y) ± z. Signs change after NaNs have been dealt with: a NaN keeps its sign."""

    def multiply_add(x: Real, y: Real, z: Real, rounding: Rounding) -> tuple[Real, int]:
        sign = x.sign ^ y.sign ^ negate_product
        addend = floating.negate(z) if negate_addend else z
        if x.kind is INFINITY or y.kind is INFINITY:
            opposite = z.kind is INFINITY and addend.sign != sign
            return NO_RESULT if x.kind is ZERO or y.kind is ZERO or opposite else (INFINITIES[sign], 0)
        if z.kind is INFINITY:
            return addend, 0
        product = floating.multiply(x, y)
        return floating.add(floating.negate(product) if negate_product else product, addend, rounding), 0

    return arithmetic(multiply_add)


_MADD: Final = _fused()
_MSUB: Final = _fused(negate_addend=1)
_NMADD: Final = _fused(negate_product=1)
_NMSUB: Final = _fused(negate_product=1, negate_addend=1)

#: By name: the lanes, which take turns beginning with the lowest.
_OPERATIONS: Final = {
    "vfmadd": (_MADD,),
    "vfmsub": (_MSUB,),
    "vfnmadd": (_NMADD,),
    "vfnmsub": (_NMSUB,),
    "vfmaddsub": (_MSUB, _MADD),
    "vfmsubadd": (_MADD, _MSUB),
}

Order = Callable[[Operation], tuple[int, int, int]]
#: Multiplicand, multiplier, addend; in the order that decides between NaNs.
_ORDERS: Final[dict[str, Order]] = {
    "132": lambda op: (op.load(), op.third(), op.source()),
    "213": lambda op: (op.source(), op.load(), op.third()),
    "231": lambda op: (op.source(), op.third(), op.load()),
}


def _packed(form: Format, lanes: tuple[Lane, ...], order: Order) -> Semantics:
    return lambda m, op: packed(m, op, form, lanes, *order(op))


def _scalar(form: Format, lane: Lane, order: Order) -> Semantics:
    """The other lanes stay those of the destination."""

    def run(m: Machine, op: Operation) -> int:
        return scalar(m, op, form, lane, op.load(), *order(op))

    return run


for _name, _lanes in _OPERATIONS.items():
    for _digits, _order in _ORDERS.items():
        for _suffix, _form in PACKED.items():
            semantics(_name + _digits + _suffix)(_packed(_form, _lanes, _order))
        if len(_lanes) == 1:
            for _suffix, _form in SCALAR.items():
                semantics(_name + _digits + _suffix)(_scalar(_form, _lanes[0], _order))
