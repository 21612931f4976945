"""Carry-less multiplication: PCLMULQDQ and VPCLMULQDQ."""

from __future__ import annotations

from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics


def product(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), whose coefficients are bits."""
    result = 0
    while b:
        lowest = b & -b
        result ^= a * lowest
        b ^= lowest
    return result


@semantics("pclmulqdq", "vpclmulqdq")
def pclmulqdq(m: Machine, op: Operation) -> int:
    """The product of one half of each source: bits 0 and 4 of the immediate take the upper ones."""
    a, b, halves = (op.source(), op.third(), op.fourth()) if op.vex else (op.load(), op.source(), op.third())
    if halves & 1:
        a >>= 64
    if halves & 0x10:
        b >>= 64
    half = (1 << 64) - 1
    op.store(product(a & half, b & half))
    return op.next
