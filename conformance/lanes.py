"""Values for the lanes of vectors and for x87 registers: where rounding, overflow, signs and widths turn over.

A pool holds values of one kind in *families* of four, which belong together: a value, its neighbour, its negative,
something half as large. Drawn from the whole pool, lanes meet every kind of operand; drawn from one family, they meet each
other: equal operands, neighbours, sums that cancel.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from conformance.dice import U16, U64

#: The lower half of each lane, in units of a pool: what can be changed without changing exponents.
LOWER_HALF: Final = {
    "b": 0x0F0F_0F0F, "w": 0x00FF_00FF, "half": 0x00FF_00FF, "d": 0xFFFF, "single": 0xFFFF, "q": 0xFFFF_FFFF,
    "double": 0xFFFF_FFFF,
}  # fmt: skip

#: Unsigned numbers of the width of a lane.
Lanes: TypeAlias = npt.NDArray[Any]

FAMILY: Final = 4
FAMILIES: Final = 1024
#: Values in a pool.
POOL: Final = FAMILY * FAMILIES
#: Pools of each kind: making one takes a twentieth of a second.
VARIANTS: Final = 4

#: Integer values of which conversions make boundaries.
_INTEGER_EDGES: Final = (
    7, 8, 15, 16, 31, 32, 63, 64,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Format:
    """A binary interchange format (IEEE 754, section 3.4)."""

    bits: int
    fraction: int

    @property
    def exponent(self) -> int:
        """The largest exponent field: that of infinities and NaNs."""
        return (1 << self.bits - 1 - self.fraction) - 1

    @property
    def bias(self) -> int:
        """What is added to an exponent."""
        return self.exponent >> 1

    def make(self, sign: int, exponent: int, fraction: int) -> int:
        """The bits of a value, with a biased exponent that is brought into range."""
        exponent = min(max(exponent, 0), self.exponent)
        return sign << self.bits - 1 | exponent << self.fraction | fraction & (1 << self.fraction) - 1


HALF: Final = Format(16, 10)
SINGLE: Final = Format(32, 23)
DOUBLE: Final = Format(64, 52)
_FORMATS: Final = (HALF, SINGLE, DOUBLE)

#: Kinds of lanes, and the bytes of one.
KINDS: Final = {"b": 1, "w": 2, "d": 4, "q": 8, "half": 2, "single": 4, "double": 8}


def _fractions(fmt: Format, rng: random.Random) -> int:
    """Fractions that matter: none, all, one bit, a run of bits, halfway between two values of a narrower format."""
    width = fmt.fraction
    kind = rng.randrange(8)
    if kind == 0:
        return 0
    if kind == 1:
        return (1 << width) - 1
    if kind == 2:
        return 1 << rng.randrange(width)
    if kind == 3:
        low = rng.randrange(width)
        return (1 << rng.randrange(low, width + 1)) - (1 << low)
    if kind == 4:
        narrower = [other.fraction for other in _FORMATS if other.fraction < width] or [width // 2]
        half = 1 << width - rng.choice(narrower) - 1
        return rng.getrandbits(width) // (2 * half) * (2 * half) + half + rng.choice((-1, 0, 0, 1))
    if kind == 5:
        return rng.getrandbits(width) & -(1 << rng.randrange(width))
    return rng.getrandbits(width)


def _exponents(fmt: Format, rng: random.Random) -> int:
    """Biased exponents at the ends of this format and of the others, at the ends of integers, and about one."""
    kind = rng.randrange(8)
    bias = fmt.bias
    if kind == 0:
        return rng.choice((0, 0, 1, 2))
    if kind == 1:
        return fmt.exponent - rng.randrange(3)
    if kind == 2:
        other = rng.choice(_FORMATS)
        return bias + rng.choice((other.bias, 1 - other.bias, 1 - other.bias - other.fraction)) + rng.randrange(-2, 3)
    if kind == 3:
        return bias + rng.choice(_INTEGER_EDGES) + rng.randrange(-2, 1)
    if kind == 4:
        return bias + fmt.fraction + rng.randrange(-2, 3)
    if kind == 5:
        return rng.randrange(fmt.exponent + 1)
    if kind == 6:
        return bias // 2 + rng.randrange(-2, 3) if rng.randrange(2) else bias + bias // 2 + rng.randrange(-2, 3)
    return bias + rng.randrange(-3, 4)


def _special(fmt: Format, rng: random.Random) -> int:
    """Zeros, infinities, NaNs of both kinds, the ends of the denormals, one."""
    quiet = 1 << fmt.fraction - 1
    exponent, fraction = rng.choice((
        (0, 0), (0, 0), (0, 1), (0, quiet), (0, -1), (1, 0), (fmt.exponent - 1, -1), (fmt.exponent, 0), (fmt.exponent, 0),
        (fmt.exponent, quiet), (fmt.exponent, quiet | rng.getrandbits(fmt.fraction)), (fmt.exponent, 1),
        (fmt.exponent, rng.getrandbits(fmt.fraction) & quiet - 1 or 1), (fmt.bias, 0), (fmt.bias, 0), (fmt.bias - 1, 0),
    ))  # fmt: skip
    return fmt.make(rng.randrange(2), exponent, fraction)


def _float_family(fmt: Format, rng: random.Random) -> list[int]:
    mask = (1 << fmt.bits) - 1
    kind = rng.randrange(5)
    if kind == 0:
        first = _special(fmt, rng)
    elif kind == 1:
        first = rng.getrandbits(fmt.bits)
    else:
        first = fmt.make(rng.randrange(2), _exponents(fmt, rng), _fractions(fmt, rng))
    sign = 1 << fmt.bits - 1
    # A neighbour; the negative; about half, a third, or the value where it meets the last bit of the first.
    lower = max((first & sign - 1) - (rng.choice((1, 2, fmt.fraction, fmt.fraction + 1)) << fmt.fraction), 0)
    return [first, first + rng.choice((1, -1)) & mask, first ^ sign, first & sign | lower | rng.getrandbits(2)]


def _integer_family(bits: int, rng: random.Random) -> list[int]:
    mask = (1 << bits) - 1
    edges = [0, 1, mask, mask - 1, 1 << bits - 1, (1 << bits - 1) - 1, (1 << bits - 1) + 1]
    edges += [(1 << bits // 2) - 1, 1 << bits // 2, (1 << bits // 2 - 1) - 1, mask ^ mask >> bits // 2]
    kind = rng.randrange(4)
    if kind == 0:
        first = rng.choice(edges)
    elif kind == 1:
        first = rng.getrandbits(rng.randint(1, bits))
    elif kind == 2:
        first = rng.randrange(2 * bits)  # counts of shifts, numbers of lanes
    else:
        first = rng.getrandbits(bits)
    return [first, first + rng.choice((1, -1)) & mask, -first & mask, first ^ mask]


def unit_size(kind: str) -> int:
    """Bytes of what a pool holds: a lane, or as many as make four bytes."""
    return max(KINDS[kind], 4)


@cache
def pool(kind: str, variant: int = 0) -> Lanes:
    """A pool of a kind of lane: :data:`POOL` unsigned numbers, each a lane or several small ones; families stand
    together."""
    rng = random.Random(f"{kind} {variant}")  # noqa: S311 - reproducible, not secret
    size, unit = KINDS[kind], unit_size(kind)
    formats = {"half": HALF, "single": SINGLE, "double": DOUBLE}
    values: list[int] = []
    for _ in range(FAMILIES):
        together = [0] * FAMILY
        for lane in range(unit // size):
            family = _float_family(formats[kind], rng) if kind in formats else _integer_family(8 * size, rng)
            together = [whole | each << 8 * size * lane for whole, each in zip(together, family, strict=True)]
        values += together
    return np.array(values, dtype=f"<u{unit}")


# -- x87 -------------------------------------------------------------------------------------------------------------

_EXTENDED_BIAS: Final = 0x3FFF
_INTEGER_BIT: Final = 1 << 63


def _extended_mantissa(rng: random.Random) -> int:
    """Sixty-four bits, the highest usually set; with the halfway points of 24 and 53 bits."""
    kind = rng.randrange(8)
    if kind == 0:
        return _INTEGER_BIT
    if kind == 1:
        return (1 << 64) - 1
    if kind == 2:
        return _INTEGER_BIT | 1 << rng.randrange(63)
    if kind == 3:
        half = 1 << 63 - rng.choice((24, 53))
        return (rng.getrandbits(64) | _INTEGER_BIT) // (2 * half) * (2 * half) + half + rng.choice((-1, 0, 0, 1))
    if kind == 4:
        return (rng.getrandbits(64) | _INTEGER_BIT) & -(1 << rng.randrange(64))
    return rng.getrandbits(64) | _INTEGER_BIT


def _extended_exponent(rng: random.Random) -> int:
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice((0, 1, 2, 3, 0x7FFC, 0x7FFD, 0x7FFE))
    if kind == 1:
        edge = rng.choice((127, -126, -149, 1023, -1022, -1074))
        return _EXTENDED_BIAS + edge + rng.randrange(-2, 3)
    if kind == 2:
        return _EXTENDED_BIAS + rng.choice(_INTEGER_EDGES) + rng.randrange(-2, 1)
    if kind == 3:
        return rng.randrange(0x7FFF)
    if kind == 4:
        return _EXTENDED_BIAS + rng.randrange(-70, 70)
    return _EXTENDED_BIAS + rng.randrange(-4, 5)


def _extended_special(rng: random.Random) -> tuple[int, int]:
    """Zeros, infinities, NaNs, and what only the x87 has: pseudo-denormals, unnormals, pseudo-NaNs and -infinities."""
    fraction = rng.getrandbits(62)
    return rng.choice((
        (0, 0), (0, 0), (0, 1), (0, _INTEGER_BIT >> 1), (0, _INTEGER_BIT - 1), (0, fraction),
        (0, _INTEGER_BIT), (0, _INTEGER_BIT | fraction),
        (0x7FFF, _INTEGER_BIT), (0x7FFF, _INTEGER_BIT), (0x7FFF, _INTEGER_BIT | _INTEGER_BIT >> 1),
        (0x7FFF, _INTEGER_BIT | _INTEGER_BIT >> 1 | fraction), (0x7FFF, _INTEGER_BIT | (fraction >> 1 or 1)),
        (0x7FFF, 0), (0x7FFF, fraction or 1), (rng.randrange(1, 0x7FFF), fraction), (rng.randrange(1, 0x7FFF), 0),
    ))  # fmt: skip


def _extended_family(rng: random.Random) -> list[int]:
    sign = rng.randrange(2) << 15
    if rng.randrange(4) == 0:
        exponent, mantissa = _extended_special(rng)
    else:
        exponent, mantissa = _extended_exponent(rng), _extended_mantissa(rng)
    first = (sign | exponent) << 64 | mantissa
    # The distance at which the bits of one just reach those of the other, or just do not.
    lower = max(exponent - rng.choice((1, 2, 62, 63, 64, 65, 66)), 1)
    other = (sign | lower) << 64 | _extended_mantissa(rng)
    return [first, first ^ 1 if rng.randrange(2) else first ^ 3, first ^ 1 << 79, other]


@cache
def extended_pool(variant: int = 0) -> tuple[U64, U16]:
    """80-bit reals, :data:`POOL` of them in families: their mantissas, and their signs and exponents."""
    rng = random.Random(f"extended {variant}")  # noqa: S311 - reproducible, not secret
    values: list[int] = []
    for _ in range(FAMILIES):
        values += _extended_family(rng)
    mantissas = np.array([value & (1 << 64) - 1 for value in values], dtype="<u8")
    return mantissas, np.array([value >> 64 for value in values], dtype="<u2")
