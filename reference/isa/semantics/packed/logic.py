"""Bit operations on vectors, tests that set flags, and sign bits gathered into a general register.

AND, OR and XOR of "floating-point values" are operations on bits like those of integers: they differ in nothing but the
name, and in the group of their encoding.
"""

from __future__ import annotations

from reference.flags import CF, STATUS, ZF
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation, size_of
from reference.isa.semantics.packed.form import two_sources
from reference.isa.semantics.packed.lanes import S8, S32, S64, U32, U64, Lanes
from reference.isa.semantics.registry import Semantics, semantics
from reference.registers import EFLAGS


@two_sources("pand", "vpand", "andps", "vandps", "andpd", "vandpd")
def pand(a: int, b: int, size: int) -> int:
    """First AND second."""
    return a & b


@two_sources("pandn", "vpandn", "andnps", "vandnps", "andnpd", "vandnpd")
def pandn(a: int, b: int, size: int) -> int:
    """NOT first, AND second."""
    return ~a & b


@two_sources("por", "vpor", "orps", "vorps", "orpd", "vorpd")
def por(a: int, b: int, size: int) -> int:
    """First OR second."""
    return a | b


@two_sources("pxor", "vpxor", "xorps", "vxorps", "xorpd", "vxorpd")
def pxor(a: int, b: int, size: int) -> int:
    """First XOR second."""
    return a ^ b


# -- tests -----------------------------------------------------------------------------------------------------------


def _test(m: Machine, op: Operation, considered: int) -> int:
    """ZF: the operands have no one in common. CF: the second has none that the first lacks. The others are cleared."""
    a, b = op.load(), op.source() & considered
    m.words[EFLAGS] = m.words[EFLAGS] & ~STATUS | (0 if a & b else ZF) | (0 if ~a & b else CF)
    return op.next


@semantics("ptest", "vptest")
def ptest(m: Machine, op: Operation) -> int:
    """All bits."""
    return _test(m, op, op.mask)


def _test_signs(lanes: Lanes) -> Semantics:
    """The sign bits only."""
    signs = {size: lanes.join([lanes.sign] * (size // lanes.size)) for size in (16, 32)}
    return lambda m, op: _test(m, op, signs[op.size])


semantics("vtestps")(_test_signs(U32))
semantics("vtestpd")(_test_signs(U64))


# -- sign bits -------------------------------------------------------------------------------------------------------


def _signs(lanes: Lanes) -> Semantics:
    """The sign of each lane as a bit of a general register."""

    def run(m: Machine, op: Operation) -> int:
        mask = 0
        for number, lane in enumerate(lanes.split(op.source(), size_of(op.operands[1]))):
            if lane < 0:
                mask |= 1 << number
        op.store(mask)
        return op.next

    return run


semantics("pmovmskb", "vpmovmskb")(_signs(S8))
semantics("movmskps", "vmovmskps")(_signs(S32))
semantics("movmskpd", "vmovmskpd")(_signs(S64))
