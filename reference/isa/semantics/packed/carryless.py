"""Carry-less multiplication: PCLMULQDQ and VPCLMULQDQ."""

from __future__ import annotations

from reference.isa.semantics.packed.form import two_sources_control
from reference.isa.semantics.packed.lanes import MASK64


def product(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), whose coefficients are bits."""
    result = 0
    while b:
        lowest = b & -b
        result ^= a * lowest
        b ^= lowest
    return result


@two_sources_control("pclmulqdq", "vpclmulqdq")
def pclmulqdq(a: int, b: int, halves: int, size: int) -> int:
    """The product of one half of each source: bits 0 and 4 of the immediate take the upper ones."""
    if halves & 1:
        a >>= 64
    if halves & 0x10:
        b >>= 64
    return product(a & MASK64, b & MASK64)
