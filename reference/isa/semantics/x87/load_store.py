"""x87 loads and stores: FLD FST FSTP of reals, FILD FIST FISTP FISTTP of integers, FBLD FBSTP of decimals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reference import floating
from reference.floating import DOUBLE, EXTENDED, SINGLE, Format, Kind, Real, Rounding, round_real
from reference.isa.instruction import Register
from reference.isa.semantics.integer.multiply import signed
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.x87 import state as x87
from reference.isa.semantics.x87.state import Control, Result

_FORMATS: Final = {4: SINGLE, 8: DOUBLE}
#: Unmasked exceptions that keep a result from memory.
_PREVENTING: Final = x87.PREVENTING | x87.OVERFLOW | x87.UNDERFLOW


# -- loads -------------------------------------------------------------------------------------------------------------


def load(m: Machine, op: Operation, result: Result) -> int:
    """Push what was loaded, if there is room. A denormal exception does not prevent that, masked or not; an empty source
    counts before a full stack."""
    if not x87.empty(m, 7) and result is not x87.STACK_UNDERFLOW:
        result = x87.STACK_OVERFLOW
    if x87.conclude(m, op, result) or result.exceptions == x87.DENORMAL:
        x87.push(m, result.bits)
    return op.next


def _widened(of: Control, source: Format, bits: int) -> Result:
    """A real of 32 or 64 bits in a register: exact, but a signalling NaN becomes quiet."""
    value = source.unpack(bits)
    found = x87.not_a_number(value)
    if found is not None:
        return found
    if value.kind is Kind.INFINITY:
        return Result(EXTENDED.infinity(value.sign))
    return x87.rounded(of, value, x87.denormals(value))


@semantics("fld")
def fld(m: Machine, op: Operation) -> int:
    """Push a real. Of 80 bits, or from a register, any bits will do."""
    x87.begin(m, op)
    source = op.operands[0]
    if isinstance(source, Register):
        missing = x87.empty(m, source.number)
        return load(m, op, x87.STACK_UNDERFLOW if missing else Result(x87.read(m, source.number)))
    if op.size == 10:
        return load(m, op, Result(op.load()))
    return load(m, op, _widened(x87.control(m), _FORMATS[op.size], op.load()))


@semantics("fild")
def fild(m: Machine, op: Operation) -> int:
    """Push a signed integer."""
    x87.begin(m, op)
    return load(m, op, _from_integer(signed(op.load(), op.sign)))


def _from_integer(value: int, sign: int = 0) -> Result:
    found = round_real(floating.exact(sign or int(value < 0), abs(value), 0), EXTENDED, Rounding.NEAREST)
    return Result(found.bits)


@semantics("fbld")
def fbld(m: Machine, op: Operation) -> int:
    """Push a decimal number: eighteen digits, two a byte, and the sign in the highest bit (section 4.7).

    Digits above nine are undefined, and count as what they are.
    """
    x87.begin(m, op)
    bits = op.load()
    value = sum((bits >> 4 * digit & 0xF) * 10**digit for digit in range(18))
    return load(m, op, _from_integer(value, bits >> 79))


# -- stores ------------------------------------------------------------------------------------------------------------


def _narrowed(of: Control, target: Format, value: Real) -> Result:
    """A register as a real of 32 or 64 bits."""
    if value.kind is Kind.UNSUPPORTED:
        return Result(target.indefinite, x87.INVALID)
    if value.nan:
        return Result(target.nan(value.sign, value.significand), x87.INVALID if value.kind is Kind.SIGNALLING else 0)
    if value.kind is Kind.INFINITY:
        return Result(target.infinity(value.sign))
    found = round_real(value, target, of.rounding)
    exceptions = int(found.exceptions) | (x87.UNDERFLOW if found.tiny and not of.masked & x87.UNDERFLOW else 0)
    prevented = exceptions & ~of.masked & _PREVENTING
    return Result(0, prevented) if prevented else Result(found.bits, exceptions, found.up)


def _store(*, pop: bool) -> Callable[[Machine, Operation], int]:
    """ST(0) to memory or to ST(i)."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        target = op.operands[0]
        missing = x87.empty(m, 0)
        if isinstance(target, Register):
            result = x87.STACK_UNDERFLOW if missing else Result(x87.read(m, 0))
            if x87.conclude(m, op, result):
                x87.write(m, target.number, result.bits)
                if pop:
                    x87.pop(m)
            return op.next
        if op.size == 10:
            result = x87.STACK_UNDERFLOW if missing else Result(x87.read(m, 0))
        elif missing:
            result = Result(_FORMATS[op.size].indefinite, x87.STACK_UNDERFLOW.exceptions)
        else:
            result = _narrowed(x87.control(m), _FORMATS[op.size], x87.unpack(m, 0))
        return _to_memory(m, op, result, pop=pop)

    return run


def _to_memory(m: Machine, op: Operation, result: Result, *, pop: bool) -> int:
    """Store, unless an unmasked exception forbids it; a fault of the store leaves everything as it was."""
    prevented = result.exceptions & ~x87.control(m).masked & _PREVENTING
    if prevented:
        op.modify()  # nothing is stored, but it must be possible
    else:
        op.store(result.bits)
    x87.conclude(m, op, result)
    if pop and not prevented:
        x87.pop(m)
    return op.next


semantics("fst")(_store(pop=False))
semantics("fstp")(_store(pop=True))


def _store_integer(*, pop: bool, truncate: bool = False) -> Callable[[Machine, Operation], int]:
    """ST(0) as a signed integer; where it does not fit, the most negative one, which is the integer indefinite."""

    def run(m: Machine, op: Operation) -> int:
        x87.begin(m, op)
        indefinite = Result(op.sign, x87.INVALID)
        if x87.empty(m, 0):
            return _to_memory(m, op, Result(op.sign, x87.STACK_UNDERFLOW.exceptions), pop=pop)
        value = x87.unpack(m, 0)
        if value.kind in (Kind.ZERO, Kind.FINITE):
            rounding = Rounding.ZERO if truncate else x87.control(m).rounding
            result = _integer(value, rounding, -op.sign, op.sign - 1, indefinite)
        else:
            result = indefinite
        return _to_memory(m, op, Result(result.bits & op.mask, result.exceptions, result.up), pop=pop)

    return run


def _integer(value: Real, rounding: Rounding, least: int, most: int, indefinite: Result) -> Result:
    """A finite value as an integer within these bounds; ``bits`` is that integer, or the indefinite one's."""
    if value.kind is Kind.FINITE and floating.magnitude(value) > 64:
        return indefinite
    found, inexact, up = floating.round_to_integer(value, rounding)
    if not least <= found <= most:
        return indefinite
    return Result(found, x87.PRECISION if inexact else 0, up)


semantics("fist")(_store_integer(pop=False))
semantics("fistp")(_store_integer(pop=True))
semantics("fisttp")(_store_integer(pop=True, truncate=True))

#: The largest decimal number, and the decimal indefinite (SDM volume 1, table 4-4).
_LARGEST_DECIMAL: Final = 10**18 - 1
_DECIMAL_INDEFINITE: Final = 0xFFFF_C000_0000_0000_0000


@semantics("fbstp")
def fbstp(m: Machine, op: Operation) -> int:
    """ST(0) as a decimal number."""
    x87.begin(m, op)
    if x87.empty(m, 0):
        return _to_memory(m, op, Result(_DECIMAL_INDEFINITE, x87.STACK_UNDERFLOW.exceptions), pop=True)
    result = Result(_DECIMAL_INDEFINITE, x87.INVALID)
    value = x87.unpack(m, 0)
    if value.kind in (Kind.ZERO, Kind.FINITE):
        found = _integer(value, x87.control(m).rounding, -_LARGEST_DECIMAL, _LARGEST_DECIMAL, result)
        if found is not result:
            digits = int(str(abs(found.bits)), 16)
            result = Result(value.sign << 79 | digits, found.exceptions, found.up)
    return _to_memory(m, op, result, pop=True)
