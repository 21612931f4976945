"""Elementary functions of finite values in fixed-point integer arithmetic, for the transcendental x87 instructions.

Functions take and give :class:`reference.floating.Real`. What they give is correct to 180 bits and has its last bit set
("sticky"), or is exact where the true value is a short number. Rounding it to 64 bits is rounding the true value, unless
that is closer to the middle between two results than one part in 2^100.

The series are the plain ones (Taylor's, and that of the inverse hyperbolic tangent for logarithms), after an argument
reduction that makes them short. A fixed-point number of so many ``bits`` is an integer, to be divided by ``2 ** bits``.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Final

from reference.floating import Kind, Real, Rounding, add, exact, magnitude

#: Bits of fixed-point numbers behind the point, on top of those that the smallness of an argument costs.
_BITS: Final = 200
#: Arguments below 2 ** -_SMALL: the first term of the series is the result, and the second only says on which side of it
#: the true value is. (Of a series with odd powers only, that is; the others need twice as many bits.)
_SMALL: Final = 70

#: Pi as x87 processors know it for reducing angles: 66 bits, the last of which stands for 2 ** -64 (SDM volume 1, section
#: 8.3.8).
PI_66: Final = 0x3243F6A8885A308D3


# -- constants ---------------------------------------------------------------------------------------------------------


@cache
def pi(bits: int) -> int:
    """Pi, by Machin's formula."""
    spare = bits + 16
    return 4 * (4 * _arctangent_of_inverse(5, spare) - _arctangent_of_inverse(239, spare)) >> 16


def _arctangent_of_inverse(n: int, bits: int) -> int:
    power = (1 << bits) // n
    total, k = power, 1
    while power:
        power //= n * n
        k += 2
        total += -(power // k) if k & 2 else power // k
    return total


@cache
def natural_logarithm(n: int, bits: int) -> int:
    """The natural logarithm of an integer above 1: that of its highest bit, and that of the rest."""
    spare = bits + 16
    exponent = n.bit_length() - 1
    unit = 1 << exponent
    of_two = 2 * _inverse_hyperbolic_tangent((1 << spare) // 3, spare)
    rest = 2 * _inverse_hyperbolic_tangent((n - unit << spare) // (n + unit), spare)
    return exponent * of_two + rest >> 16


# -- series ------------------------------------------------------------------------------------------------------------


def _inverse_hyperbolic_tangent(z: int, bits: int) -> int:
    square, power, total, k = z * z >> bits, z, z, 1
    while power not in (0, -1):
        power = power * square >> bits
        k += 2
        total += power // k
    return total


def _exponential_minus_1(x: int, bits: int) -> int:
    term, total, k = x, x, 1
    while term not in (0, -1):
        k += 1
        term = (term * x >> bits) // k
        total += term
    return total


def _sine_and_cosine(x: int, bits: int) -> tuple[int, int]:
    """Of an angle from 0 to 1."""
    sums = [1 << bits, x, 0, 0]  # of the powers 0, 4, 8, … of x, the powers 1, 5, 9, …, and so on
    term, k = x, 1
    while term:
        k += 1
        term = (term * x >> bits) // k
        sums[k & 3] += term
    return sums[1] - sums[3], sums[0] - sums[2]


def _arctangent(t: int, bits: int) -> int:
    """Of a number from 0 to 1: halve the angle three times, then the series."""
    one = 1 << bits
    for _ in range(3):
        t = (t << bits) // (one + isqrt((one << bits) + t * t))
    square, power, total, k = t * t >> bits, t, t, 1
    while power:
        power = power * square >> bits
        k += 2
        total += -(power // k) if k & 2 else power // k
    return 8 * total


# -- between the two kinds of numbers ----------------------------------------------------------------------------------


def _fixed(value: Real, bits: int) -> int:
    """The magnitude of a value."""
    shift = value.exponent + bits
    return value.significand << shift if shift >= 0 else value.significand >> -shift


def _sticky(sign: int, fixed: int, bits: int) -> Real:
    return exact(sign, fixed << 1 | 1, -bits - 1)


def _bits_for(value: Real) -> int:
    return _BITS + max(0, -magnitude(value))


def _beside(value: Real, direction: int) -> Real:
    """A little less than the value in magnitude (-1), or a little more (1)."""
    return exact(value.sign, (value.significand << _BITS) + direction, value.exponent - _BITS)


def _is_power_of_two(value: Real) -> bool:
    return value.significand & value.significand - 1 == 0


# -- powers and logarithms ---------------------------------------------------------------------------------------------


def power_minus_1(x: Real) -> Real:
    """2 ** x - 1 for x from -1 to 1, not zero."""
    if magnitude(x) == 0:
        return exact(0, 1, 0) if not x.sign else exact(1, 1, -1)
    if magnitude(x) < -2 * _SMALL:
        return _sticky(x.sign, x.significand * natural_logarithm(2, _BITS), _BITS - x.exponent)
    bits = _bits_for(x)
    scaled = _fixed(x, bits) * natural_logarithm(2, bits) >> bits
    found = _exponential_minus_1(-scaled if x.sign else scaled, bits)
    return _sticky(x.sign, abs(found), bits)


def logarithm(x: Real) -> Real:
    """The logarithm of a positive value to base 2; exact for powers of two."""
    exponent = magnitude(x)
    if _is_power_of_two(x):
        return exact(int(exponent < 0), abs(exponent), 0)
    unit = 1 << x.significand.bit_length() - 1
    if 2 * x.significand > 3 * unit:  # nearer to the next power of two
        exponent, unit = exponent + 1, 2 * unit
    above = x.significand - unit
    bits = _BITS + unit.bit_length() - above.bit_length()
    mantissa = 2 * _inverse_hyperbolic_tangent((above << bits) // (x.significand + unit), bits)
    found = (exponent << bits) + (mantissa << bits) // natural_logarithm(2, bits)
    return _sticky(int(found < 0), abs(found), bits)


def logarithm_plus_1(x: Real) -> Real:
    """The logarithm of x + 1 to base 2, x above -1 and not zero."""
    if magnitude(x) >= -1:
        return logarithm(add(x, exact(0, 1, 0), Rounding.NEAREST))
    if magnitude(x) < -2 * _SMALL:
        quotient = (x.significand << 2 * _BITS) // natural_logarithm(2, _BITS)
        return _sticky(x.sign, quotient, _BITS - x.exponent)
    bits = _bits_for(x)
    value = -_fixed(x, bits) if x.sign else _fixed(x, bits)
    found = 2 * _inverse_hyperbolic_tangent((value << bits) // ((2 << bits) + value), bits)
    return _sticky(x.sign, abs((found << bits) // natural_logarithm(2, bits)), bits)


# -- angles ------------------------------------------------------------------------------------------------------------


def quarter_turns(x: Real) -> tuple[int, Real]:
    """The nearest multiple of a quarter turn, and the exact rest, by the processor's pi: 66 bits of it."""
    low = min(x.exponent, -65)
    angle, quarter = x.significand << x.exponent - low, PI_66 << -65 - low
    turns = (2 * angle + quarter) // (2 * quarter)
    rest = angle - turns * quarter
    return (-turns if x.sign else turns), exact(x.sign ^ (rest < 0), abs(rest), low)


def sine(x: Real) -> Real:
    """The sine of an angle of at most 1, not zero."""
    if magnitude(x) < -_SMALL:
        return _beside(x, -1)
    bits = _bits_for(x)
    return _sticky(x.sign, _sine_and_cosine(_fixed(x, bits), bits)[0], bits)


def cosine(x: Real) -> Real:
    """The cosine of an angle of at most 1; exact for zero."""
    if x.kind is Kind.ZERO:
        return exact(0, 1, 0)
    if magnitude(x) < -_SMALL:
        return _beside(exact(0, 1, 0), -1)
    return _sticky(0, _sine_and_cosine(_fixed(x, _BITS), _BITS)[1], _BITS)


def tangent(x: Real) -> Real:
    """The tangent of an angle of at most 1, not zero."""
    if magnitude(x) < -_SMALL:
        return _beside(x, 1)
    bits = _bits_for(x)
    sine_, cosine_ = _sine_and_cosine(_fixed(x, bits), bits)
    return _sticky(x.sign, (sine_ << bits) // cosine_, bits)


def arctangent(y: Real, x: Real) -> Real:
    """The angle of the point (x, y), neither of which is zero."""
    numerator, denominator = y._replace(sign=0), x._replace(sign=0)
    steep = _exceeds(numerator, denominator)
    if steep:
        numerator, denominator = denominator, numerator
    smallness = magnitude(denominator) - magnitude(numerator) + 1
    shift = numerator.exponent - denominator.exponent
    if smallness > _SMALL and not steep and not x.sign:
        spare = _BITS + denominator.significand.bit_length()
        quotient = (numerator.significand << spare) // denominator.significand
        return exact(y.sign, 2 * quotient - 1, shift - spare - 1)
    if steep or x.sign:
        smallness = 0  # it is added to a quarter or half turn
    bits = _BITS + max(0, smallness)
    shift += bits
    scaled = numerator.significand << shift if shift >= 0 else numerator.significand >> -shift
    angle = _arctangent(scaled // denominator.significand, bits)
    if steep:
        angle = pi(bits + 1) // 4 - angle
    if x.sign:
        angle = pi(bits) - angle
    return _sticky(y.sign, angle, bits)


def _exceeds(a: Real, b: Real) -> bool:
    if magnitude(a) != magnitude(b):
        return magnitude(a) > magnitude(b)
    low = min(a.exponent, b.exponent)
    return a.significand << a.exponent - low > b.significand << b.exponent - low
