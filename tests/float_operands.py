"""Operands for floating-point tests: encodings at which something turns over, and numbers that meet there."""

from __future__ import annotations

import random
from functools import cache

from reference.floating import Format

#: Integers around which conversions to and from 32 bits turn over.
INTEGERS = (0, 1, 2, 0xFF_FFFF, 0x100_0000, 0x100_0001, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFF, 0xFFFF_FFFE)


def encoding(form: Format, sign: int, stored: int, fraction: int) -> int:
    """Sign, stored exponent and fraction put together; the latter two are cut to what the format has."""
    exponent = min(max(stored, 0), form.special)
    integer = 1 << form.stored - 1 if form.explicit and exponent else 0
    return sign << form.bits - 1 | exponent << form.stored | integer | fraction & (1 << form.precision - 1) - 1


@cache
def special_values(form: Format) -> tuple[int, ...]:
    """Zeros, denormals, the ends of the range, one and its neighbours, infinities, NaNs, the ends of integers."""
    ones = (1 << form.precision - 1) - 1
    high = 1 << form.precision - 2
    positive = [
        *((0, fraction) for fraction in (0, 1, 2, high, ones - 1, ones)),
        *((1, fraction) for fraction in (0, 1, ones)),
        *((2, fraction) for fraction in (0, ones)),
        *((form.precision + offset, 0) for offset in (-2, -1, 0, 1, 2)),
        *((form.special - 1, fraction) for fraction in (0, ones - 1, ones)),
        (form.special - 2, ones),
        (form.special, 0),
        *((form.special, fraction) for fraction in (1, 0x123, high - 1, high, high | 1, high | 0x155, ones)),
        *((form.bias + exponent, fraction) for exponent in (-2, -1, 0, 1) for fraction in (0, 1, high, ones)),
    ]
    values = [encoding(form, sign, *value) for sign in (0, 1) for value in positive]
    for integer in (1, 2, 3, 1 << 15, 1 << 31, (1 << 31) - 1, (1 << 31) + 1, (1 << 24) - 1, (1 << 53) - 1, 1 << 63):
        for quarters in range(-3, 4):
            values += [_quarters(form, sign, 4 * integer + quarters) for sign in (0, 1)]
    return tuple(dict.fromkeys(values))


def _quarters(form: Format, sign: int, quarters: int) -> int:
    """A number of quarters, cut to the format's precision."""
    highest = quarters.bit_length() - 1
    return encoding(form, sign, highest - 2 + form.bias, quarters << form.precision - 1 >> highest)


def ordinary(form: Format, rng: random.Random) -> int:
    """A number of moderate size."""
    return encoding(form, rng.getrandbits(1), form.bias + rng.randrange(-4, 5), _fraction(form, rng))


def _fraction(form: Format, rng: random.Random) -> int:
    """Random, short, or next to a power of two, so that results can be exact or halfway."""
    width = form.precision - 1
    kind = rng.randrange(4)
    if kind == 0:
        return rng.getrandbits(width)
    if kind == 1:
        return rng.getrandbits(6) << width - 6
    return rng.getrandbits(4) if kind == 2 else (1 << width) - 1 - rng.getrandbits(3)


def anything(form: Format, rng: random.Random) -> int:
    """A special value, random bits, or an ordinary number."""
    kind = rng.randrange(4)
    if kind < 2:
        return rng.choice(special_values(form))
    if kind == 2:
        return ordinary(form, rng)
    return encoding(form, rng.getrandbits(1), rng.getrandbits(form.exponent_bits), rng.getrandbits(form.precision - 1))


def related(form: Format, first: int, rng: random.Random) -> int:
    """Another operand for which a sum cancels or is rounded, or a product or a quotient is at an end of the range."""
    stored = first >> form.stored & form.special
    kind = rng.randrange(6)
    if kind == 0:
        return first ^ rng.getrandbits(1) << form.bits - 1 ^ rng.getrandbits(2)
    if kind == 1:
        return _almost_reciprocal(form, first, rng)
    product_is_smallest = form.smallest + 2 * form.bias - stored
    exponent = (
        stored + rng.randrange(-form.precision - 2, form.precision + 3),
        product_is_smallest + rng.randrange(-form.precision - 2, 4),
        3 * form.bias - stored + rng.randrange(-2, 3),
        stored + rng.choice((-1, 1)) * form.bias + rng.randrange(-3, 4),
    )[kind - 2]
    return encoding(form, rng.getrandbits(1), exponent, _fraction(form, rng))


def _almost_reciprocal(form: Format, first: int, rng: random.Random) -> int:
    """A number whose product with the first is next to the smallest normal number, to one, or to infinity."""
    lowest = form.precision - 1
    exponent = (first >> form.stored & form.special) - form.bias
    significand = (1 << 2 * lowest + 1) // (1 << lowest | first & (1 << lowest) - 1)
    power = rng.choice((form.smallest, 0, form.bias + 1))
    stored = power - 1 - exponent + form.bias + (significand >> lowest + 1)
    return encoding(form, rng.getrandbits(1), stored, significand + rng.choice((-1, 0, 0, 1)))


def addend(form: Format, x: int, y: int, rng: random.Random) -> int:
    """A third operand that is about the product of the first two, or far enough from it to be all but lost."""
    exponent = (x >> form.stored & form.special) + (y >> form.stored & form.special) - form.bias
    lowest = form.precision - 1
    product = (1 << lowest | x & (1 << lowest) - 1) * (1 << lowest | y & (1 << lowest) - 1)
    carry = product >> 2 * lowest + 1
    fraction = product >> lowest + carry
    if rng.randrange(2):
        return encoding(form, rng.getrandbits(1), exponent + carry, fraction + rng.randrange(-1, 2))
    offset = rng.choice((0, -form.precision, form.precision, -2 * form.precision, 2 * form.precision))
    return encoding(form, rng.getrandbits(1), exponent + offset + rng.randrange(-3, 4), _fraction(form, rng))
