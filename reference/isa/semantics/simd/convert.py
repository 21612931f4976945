"""Conversions: between floating-point values and integers of 32 bits, and between floating-point formats.

SDM volume 1, section 11.4.1.6, and volume 2, CVT*, VCVTPH2PS and VCVTPS2PH.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from reference.floating import DOUBLE, HALF, SINGLE, Format, Rounding, from_integer, round_to_integer
from reference.isa.instruction import File, Register
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.packed.lanes import S32
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.simd.form import LANES
from reference.isa.semantics.simd.lane import INFINITY, QUIET, ZEROS, Result, first_nan, operand, rounded
from reference.isa.semantics.simd.mxcsr import DENORMAL, INVALID, PRECISION, Control, control, settle
from reference.registers import MASK32


class Conversion(NamedTuple):
    """What becomes of one value, and the widths in bits that it has before and after."""

    source: int
    target: int
    lane: Callable[[int, Control], Result]


# -- of one value ------------------------------------------------------------------------------------------------------


def _from_integer(target: Format) -> Conversion:
    """Integers have no special values; those of more bits than the significand are rounded."""

    def lane(bits: int, rule: Control) -> Result:
        return rounded(from_integer((bits ^ S32.sign) - S32.sign), target, rule)

    return Conversion(S32.bits, target.bits, lane)


def _to_integer(source: Format, *, truncate: bool = False) -> Conversion:
    """What is not an integer of 32 bits after rounding is invalid, and becomes the lowest one ("integer indefinite")."""

    def lane(bits: int, rule: Control) -> Result:
        value = operand(bits, source, rule)
        if value.kind >= INFINITY:
            return S32.sign, INVALID
        integer, inexact, _ = round_to_integer(value, Rounding.ZERO if truncate else rule.rounding)
        if not S32.lowest <= integer <= S32.highest:
            return S32.sign, INVALID
        return integer & MASK32, PRECISION if inexact else 0

    return Conversion(source.bits, S32.bits, lane)


def _between(source: Format, target: Format) -> Conversion:
    """A NaN keeps the high bits of its payload. Denormals of the half format are like any other value: DAZ leaves them
    alone, and nothing reports them (SDM volume 1, section 14.4)."""

    def lane(bits: int, rule: Control) -> Result:
        value = source.unpack(bits)
        if value.kind >= QUIET:
            return first_nan([value], target)
        denormal = 0
        if value.denormal and source is not HALF:
            if rule.daz:
                value = ZEROS[value.sign]
            else:
                denormal = DENORMAL
        bits, exceptions = rounded(value, target, rule)
        return bits, denormal | exceptions

    return Conversion(source.bits, target.bits, lane)


def _convert(m: Machine, op: Operation, conversion: Conversion, rule: Control, count: int, source: int) -> int:
    """The lowest ``count`` values of a source, converted; exceptions are settled."""
    bits = count * conversion.source
    results, exceptions = [], 0
    for value in LANES[conversion.source].split(source & (1 << bits) - 1, bits // 8):
        result, raised = conversion.lane(value, rule)
        results.append(result)
        exceptions |= raised
    if exceptions:
        settle(m, op, exceptions)
    return LANES[conversion.target].join(results)


# -- forms -------------------------------------------------------------------------------------------------------------


def _packed(name: str, conversion: Conversion) -> None:
    """As many values as a vector has room for where they are wider. A narrower result stands in the lower half of the
    destination, and the upper half is cleared."""
    widest = max(conversion.source, conversion.target)

    def run(m: Machine, op: Operation) -> int:
        count = 8 * (op.instruction.vector_length or 16) // widest
        op.store(_convert(m, op, conversion, control(m), count, op.source()))
        return op.next

    semantics(name, "v" + name)(run)


def _scalar(name: str, conversion: Conversion) -> None:
    """One value to the lowest lane; the rest of the destination is that of the first source."""
    mask = (1 << conversion.target) - 1

    def run(m: Machine, op: Operation) -> int:
        first, second = op.two_sources()
        op.store(first & ~mask | _convert(m, op, conversion, control(m), 1, second))
        return op.next

    semantics(name, "v" + name)(run)


def _to_general_register(name: str, conversion: Conversion) -> None:
    def run(m: Machine, op: Operation) -> int:
        op.store(_convert(m, op, conversion, control(m), 1, op.source()))
        return op.next

    semantics(name, "v" + name)(run)


def _with_mmx(name: str, conversion: Conversion) -> None:
    """Two values from or to an MMX register, or from memory. Of an XMM destination the rest stays.

    An instruction that names an MMX register has taken over the x87 registers even if it then traps; one with a memory
    operand in its place leaves them alone.
    """
    mask = (1 << 2 * conversion.target) - 1

    def run(m: Machine, op: Operation) -> int:
        rest, source = op.load(), op.source()
        if any(isinstance(operand, Register) and operand.file is File.MMX for operand in op.operands):
            m.enter_mmx()
        op.store(rest & ~mask | _convert(m, op, conversion, control(m), 2, source))
        return op.next

    semantics(name)(run)


_packed("cvtdq2ps", _from_integer(SINGLE))
_packed("cvtdq2pd", _from_integer(DOUBLE))
_scalar("cvtsi2ss", _from_integer(SINGLE))
_scalar("cvtsi2sd", _from_integer(DOUBLE))
_with_mmx("cvtpi2ps", _from_integer(SINGLE))
_with_mmx("cvtpi2pd", _from_integer(DOUBLE))

for _name, _truncate in (("cvt", False), ("cvtt", True)):
    _packed(_name + "ps2dq", _to_integer(SINGLE, truncate=_truncate))
    _packed(_name + "pd2dq", _to_integer(DOUBLE, truncate=_truncate))
    _to_general_register(_name + "ss2si", _to_integer(SINGLE, truncate=_truncate))
    _to_general_register(_name + "sd2si", _to_integer(DOUBLE, truncate=_truncate))
    _with_mmx(_name + "ps2pi", _to_integer(SINGLE, truncate=_truncate))
    _with_mmx(_name + "pd2pi", _to_integer(DOUBLE, truncate=_truncate))

_packed("cvtps2pd", _between(SINGLE, DOUBLE))
_packed("cvtpd2ps", _between(DOUBLE, SINGLE))
_scalar("cvtss2sd", _between(SINGLE, DOUBLE))
_scalar("cvtsd2ss", _between(DOUBLE, SINGLE))


# -- the half format ---------------------------------------------------------------------------------------------------

_FROM_HALF: Final = _between(HALF, SINGLE)
_TO_HALF: Final = _between(SINGLE, HALF)


@semantics("vcvtph2ps")
def vcvtph2ps(m: Machine, op: Operation) -> int:
    """Values of the half format, one for each lane of the destination."""
    op.store(_convert(m, op, _FROM_HALF, control(m), op.size * 8 // _FROM_HALF.target, op.source()))
    return op.next


@semantics("vcvtps2ph")
def vcvtps2ph(m: Machine, op: Operation) -> int:
    """To the half format, rounded as the immediate's low two bits say, or as MXCSR says with bit 2; FTZ does not count.

    A destination in memory that cannot be written faults before exceptions of the values count.
    """
    op.modify()
    rule, choice = control(m), op.third()
    rule = rule._replace(rounding=rule.rounding if choice & 4 else Rounding(choice & 3), flush=False)
    count = op.instruction.vector_length * 8 // _TO_HALF.source
    op.store(_convert(m, op, _TO_HALF, rule, count, op.source()))
    return op.next
