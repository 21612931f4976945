"""Binary floating point in exact integer arithmetic: what x87, SSE, AVX, FMA and F16C compute with.

A finite number is an integer times a power of two, so an operation is done exactly on Python's integers and rounded once
(IEEE 754-2008, section 4.3; SDM volume 1, sections 4.8 and 11.5):

    bits --unpack--> Real --add, multiply, divide, …--> Real, exact --round_real--> Rounded: bits, exceptions

Operations here know neither NaNs nor infinities; what becomes of those differs between x87 and SSE and is decided there.
A quotient or a root that has no end is cut off and its last bit set ("sticky"), which rounds like the true value.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from functools import cached_property
from math import isqrt
from typing import Final, NamedTuple

from reference.records import dataclass


class Rounding(IntEnum):
    """The rounding control field of the x87 control word, of MXCSR and of some immediates (SDM volume 1, table 4-8)."""

    NEAREST = 0
    DOWN = 1
    UP = 2
    ZERO = 3


class Exceptions(IntFlag):
    """The exceptions in the order of the x87 status word and of MXCSR (SDM volume 1, section 4.9.1)."""

    NONE = 0
    INVALID = 1
    DENORMAL = 2
    DIVIDE_BY_ZERO = 4
    OVERFLOW = 8
    UNDERFLOW = 16
    PRECISION = 32


class Kind(IntEnum):
    """What an encoding stands for. UNSUPPORTED: an 80-bit pattern that no operation accepts (SDM, section 8.2.2)."""

    ZERO = 0
    FINITE = 1
    INFINITY = 2
    QUIET = 3
    SIGNALLING = 4
    UNSUPPORTED = 5


# The members under names of this module: to look one up in its class takes longer than to compute with it. Underflow and
# overflow that are masked come with a loss of precision.
_NEAREST, _DOWN, _UP, _TO_ZERO = Rounding
_ZERO, _FINITE, _INFINITY, _QUIET, _SIGNALLING, _UNSUPPORTED = Kind
_EXACT: Final = Exceptions.NONE
_INEXACT: Final = Exceptions.PRECISION
_UNDERFLOW: Final = Exceptions.UNDERFLOW | Exceptions.PRECISION
_OVERFLOW: Final = Exceptions.OVERFLOW | Exceptions.PRECISION


class Real(NamedTuple):
    """An unpacked value. Finite: ``(-1) ** sign * significand * 2 ** exponent``.

    A NaN's ``significand`` is its 64-bit significand in the extended format, whatever format it came from. ``denormal``
    tells that the encoding was one (pseudo-denormals included).
    """

    kind: Kind
    sign: int
    significand: int = 0
    exponent: int = 0
    denormal: bool = False

    @property
    def nan(self) -> bool:
        """Quiet or signalling."""
        return self.kind is _QUIET or self.kind is _SIGNALLING


class Rounded(NamedTuple):
    """A rounded result: ``bits`` in the format, the exceptions it raises, whether rounding has increased the magnitude.

    ``tiny`` tells that the result is below the normal range after rounding, exact or not: the condition of an unmasked
    underflow exception.
    """

    bits: int
    exceptions: Exceptions
    up: bool = False
    tiny: bool = False


@dataclass(frozen=True)
class Format:
    """A binary interchange format: ``exponent_bits``, and ``precision`` bits of significand, the integer bit included.

    ``explicit`` tells that the integer bit is stored, as in the 80-bit format.
    """

    name: str
    exponent_bits: int
    precision: int
    explicit: bool = False

    @cached_property
    def bits(self) -> int:
        """The width of an encoding."""
        return 1 + self.exponent_bits + self.stored

    @cached_property
    def stored(self) -> int:
        """Bits of the significand that are stored."""
        return self.precision if self.explicit else self.precision - 1

    @cached_property
    def bias(self) -> int:
        """What is added to an exponent for storing it; also the largest exponent."""
        return (1 << self.exponent_bits - 1) - 1

    @cached_property
    def smallest(self) -> int:
        """The exponent of the smallest normal number."""
        return 1 - self.bias

    @cached_property
    def special(self) -> int:
        """The stored exponent of infinities and NaNs."""
        return (1 << self.exponent_bits) - 1

    # -- encodings -----------------------------------------------------------------------------------------------------

    def zero(self, sign: int) -> int:
        """The encoding of a signed zero."""
        return sign << self.bits - 1

    def one(self, sign: int) -> int:
        """The encoding of 1 or -1."""
        return self.pack(sign, 1 << self.precision - 1, 1 - self.precision)

    def infinity(self, sign: int) -> int:
        """The encoding of an infinity."""
        integer = 1 << self.stored - 1 if self.explicit else 0
        return sign << self.bits - 1 | self.special << self.stored | integer

    def largest(self, sign: int) -> int:
        """The encoding of the largest finite number."""
        return sign << self.bits - 1 | self.special - 1 << self.stored | (1 << self.stored) - 1

    def nan(self, sign: int, significand: int) -> int:
        """The encoding of the quiet NaN with the highest bits of a 64-bit significand."""
        fraction = (significand | 3 << 62) >> 64 - self.precision
        if not self.explicit:
            fraction &= (1 << self.stored) - 1
        return sign << self.bits - 1 | self.special << self.stored | fraction

    @cached_property
    def indefinite(self) -> int:
        """The NaN that masked invalid operations give: negative, quiet, no payload."""
        return self.nan(1, 0)

    def unpack(self, bits: int) -> Real:
        """What an encoding stands for.

        >>> SINGLE.unpack(0x40490fdb).significand * 2.0 ** SINGLE.unpack(0x40490fdb).exponent
        3.1415927410125732
        """
        sign = bits >> self.bits - 1
        stored = bits >> self.stored & self.special
        fraction = bits & (1 << self.stored) - 1
        if self.explicit:
            return self._unpack_explicit(sign, stored, fraction)
        if stored == self.special:
            if not fraction:
                return Real(_INFINITY, sign)
            quiet = fraction >> self.stored - 1
            significand = (1 << self.stored | fraction) << 64 - self.precision
            return Real(_QUIET if quiet else _SIGNALLING, sign, significand)
        if stored:
            return Real(_FINITE, sign, 1 << self.stored | fraction, stored - self.bias - self.stored)
        if fraction:
            return Real(_FINITE, sign, fraction, self.smallest - self.stored, denormal=True)
        return Real(_ZERO, sign)

    def _unpack_explicit(self, sign: int, stored: int, significand: int) -> Real:
        """The 80-bit format (SDM volume 1, table 8-3): the integer bit must be there, but in denormals and zeros."""
        lowest = self.stored - 1
        integer = significand >> lowest
        if stored == self.special:
            if not integer:
                return Real(_UNSUPPORTED, sign, significand)  # pseudo-infinity, pseudo-NaN
            fraction = significand & (1 << lowest) - 1
            if not fraction:
                return Real(_INFINITY, sign)
            return Real(_QUIET if fraction >> lowest - 1 else _SIGNALLING, sign, significand)
        if stored:
            if not integer:
                return Real(_UNSUPPORTED, sign, significand)  # unnormal
            return Real(_FINITE, sign, significand, stored - self.bias - lowest)
        if significand:
            return Real(_FINITE, sign, significand, self.smallest - lowest, denormal=True)
        return Real(_ZERO, sign)

    def pack(self, sign: int, significand: int, exponent: int) -> int:
        """Encode ``significand * 2 ** exponent``, which must be representable.

        ``significand`` has ``precision`` bits, or fewer, and then ``exponent`` is the smallest there is.
        """
        normal = significand >> self.precision - 1
        stored = exponent + self.precision - 1 + self.bias if normal else 0
        if not self.explicit:
            significand &= (1 << self.stored) - 1
        return sign << self.bits - 1 | stored << self.stored | significand


HALF: Final = Format("half", 5, 11)
SINGLE: Final = Format("single", 8, 24)
DOUBLE: Final = Format("double", 11, 53)
EXTENDED: Final = Format("extended", 15, 64, explicit=True)


# -- exact operations on finite values ---------------------------------------------------------------------------------

#: Beyond this distance of exponents the smaller of two summands is no more than a sticky bit.
_FAR: Final = 320


def exact(sign: int, significand: int, exponent: int) -> Real:
    """A finite value or zero."""
    return Real(_FINITE if significand else _ZERO, sign, significand, exponent)


def negate(a: Real) -> Real:
    """-a."""
    return a._replace(sign=a.sign ^ 1)


def add(a: Real, b: Real, rounding: Rounding) -> Real:
    """a + b of finite values or zeros. The sign of a zero sum depends on the rounding (IEEE 754, section 6.3)."""
    if a.kind is _ZERO and b.kind is _ZERO:
        return Real(_ZERO, a.sign if a.sign == b.sign else int(rounding is _DOWN))
    if a.kind is _ZERO:
        return b
    if b.kind is _ZERO:
        return a
    distance = magnitude(a) - magnitude(b)
    if distance < 0:
        a, b, distance = b, a, -distance
    if distance > _FAR:  # b only decides how the sum is rounded
        low = a.exponent - _FAR // 2
        addend = 1
    else:
        low = min(a.exponent, b.exponent)
        addend = b.significand << b.exponent - low
    total = a.significand << a.exponent - low
    total += addend if a.sign == b.sign else -addend
    if not total:
        return Real(_ZERO, int(rounding is _DOWN))
    return Real(_FINITE, a.sign ^ (total < 0), abs(total), low)


def multiply(a: Real, b: Real) -> Real:
    """a * b of finite values or zeros."""
    return exact(a.sign ^ b.sign, a.significand * b.significand, a.exponent + b.exponent)


def divide(a: Real, b: Real) -> Real:
    """a / b of finite values, b not zero, to at least 66 bits and a sticky one."""
    if a.kind is _ZERO:
        return Real(_ZERO, a.sign ^ b.sign)
    shift = max(0, 66 + b.significand.bit_length() - a.significand.bit_length())
    quotient, remainder = divmod(a.significand << shift, b.significand)
    return exact(a.sign ^ b.sign, quotient << 1 | (remainder != 0), a.exponent - b.exponent - shift - 1)


def square_root(a: Real) -> Real:
    """The root of a positive finite value or of a zero, to at least 66 bits and a sticky one."""
    if a.kind is _ZERO:
        return a
    shift = max(0, 134 - a.significand.bit_length())
    shift += a.exponent - shift & 1
    radicand = a.significand << shift
    root = isqrt(radicand)
    return exact(0, root << 1 | (root * root != radicand), (a.exponent - shift) // 2 - 1)


def compare(a: Real, b: Real) -> int:
    """-1, 0 or 1 as a is less than, equal to or greater than b: finite values, zeros and infinities."""
    if a.kind is _ZERO and b.kind is _ZERO:
        return 0
    x, y = _ordered(a), _ordered(b)
    if x != y:
        return -1 if x < y else 1
    if a.kind is not _FINITE:
        return 0
    low = min(a.exponent, b.exponent)  # of the same magnitude: not far from each other
    difference = (a.significand << a.exponent - low) - (b.significand << b.exponent - low)
    return ((difference > 0) - (difference < 0)) * (-1 if a.sign else 1)


def _ordered(a: Real) -> int:
    """A number that orders values of different sign or magnitude."""
    if a.kind is _ZERO:
        return 0
    rank = 1 << 40 if a.kind is _INFINITY else magnitude(a) + (1 << 20)
    return -rank if a.sign else rank


def magnitude(a: Real) -> int:
    """The exponent of the highest bit of a finite value."""
    return a.exponent + a.significand.bit_length() - 1


# -- rounding ----------------------------------------------------------------------------------------------------------


def shift_rounded(significand: int, shift: int, sign: int, rounding: Rounding) -> tuple[int, bool, bool]:
    """``significand / 2 ** shift`` rounded to an integer: the integer, whether it is inexact, whether it went up.

    A negative ``shift`` is a multiplication.

    >>> shift_rounded(0b1011, 2, 0, Rounding.NEAREST)
    (3, True, True)
    """
    if shift <= 0:
        return significand << -shift, False, False
    kept, rest = significand >> shift, significand & (1 << shift) - 1
    if not rest:
        return kept, False, False
    if rounding is _NEAREST:
        half = 1 << shift - 1
        up = rest > half or (rest == half and bool(kept & 1))
    elif rounding is _TO_ZERO:
        up = False
    else:
        up = bool(sign) == (rounding is _DOWN)
    return kept + up, True, up


def normalised(value: Real, precision: int, rounding: Rounding) -> tuple[int, int, bool, bool]:
    """A finite value rounded to ``precision`` bits with an unlimited exponent.

    Its significand, with exactly so many bits, its exponent, whether it is inexact, whether its magnitude went up.
    """
    shift = value.significand.bit_length() - precision
    kept, inexact, up = shift_rounded(value.significand, shift, value.sign, rounding)
    if kept >> precision:
        kept, shift = kept >> 1, shift + 1
    return kept, value.exponent + shift, inexact, up


def round_real(
    value: Real, to: Format, rounding: Rounding, *, precision: int | None = None, flush: bool = False
) -> Rounded:
    """Round a finite value or zero to a format, with the results of masked exceptions (SDM volume 1, section 4.9.1).

    ``precision`` rounds the significand to fewer bits than the format has (x87 precision control), which does not change
    the range. ``flush`` makes zeros of results that are tiny (MXCSR.FTZ), inexact or not.
    """
    sign = value.sign
    if value.kind is _ZERO:
        return Rounded(to.zero(sign), _EXACT)
    width = to.precision if precision is None else precision
    kept, exponent, inexact, up = normalised(value, width, rounding)
    highest = exponent + width - 1
    if highest > to.bias:
        return _overflow(to, sign, rounding, width)
    if highest >= to.smallest:
        bits = to.pack(sign, kept << to.precision - width, exponent - (to.precision - width))
        return Rounded(bits, _INEXACT if inexact else _EXACT, up)
    if flush:
        return Rounded(to.zero(sign), _UNDERFLOW, tiny=True)
    lowest = to.smallest - (width - 1)  # the exponent of a denormal's last bit
    kept, inexact, up = shift_rounded(value.significand, lowest - value.exponent, sign, rounding)
    bits = to.pack(sign, kept << to.precision - width, lowest - (to.precision - width))
    return Rounded(bits, _UNDERFLOW if inexact else _EXACT, up, tiny=True)


def _overflow(to: Format, sign: int, rounding: Rounding, width: int) -> Rounded:
    """What is too large becomes infinite, or, where rounding points the other way, the largest number there is."""
    away = _DOWN if sign else _UP
    if rounding in (_NEAREST, away):
        return Rounded(to.infinity(sign), _OVERFLOW, up=True)
    spare = (1 << to.precision - width) - 1
    return Rounded(to.largest(sign) & ~spare, _OVERFLOW)


def round_to_integer(value: Real, rounding: Rounding) -> tuple[int, bool, bool]:
    """A finite value or zero as a signed integer, whether that is inexact, whether its magnitude went up."""
    if value.kind is _ZERO:
        return 0, False, False
    if -value.exponent > value.significand.bit_length() + 2:  # far below one: only that it is not zero counts
        value = exact(value.sign, 1, -2)
    magnitude_, inexact, up = shift_rounded(value.significand, -value.exponent, value.sign, rounding)
    return -magnitude_ if value.sign else magnitude_, inexact, up


def from_integer(value: int) -> Real:
    """An integer as a value."""
    return exact(int(value < 0), abs(value), 0)
