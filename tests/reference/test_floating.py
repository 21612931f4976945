"""Floating point in integers: encodings against the host's own, every rounding against exact fractions."""

from __future__ import annotations

import ctypes
import math
import platform
import random
import struct
from fractions import Fraction
from itertools import product

import pytest
from float_operands import addend, anything, encoding, ordinary, related, special_values

from reference import floating
from reference.floating import (
    DOUBLE,
    EXTENDED,
    HALF,
    SINGLE,
    Exceptions,
    Format,
    Kind,
    Real,
    Rounding,
    exact,
    from_integer,
    normalised,
    round_real,
    round_to_integer,
)

FORMATS = (HALF, SINGLE, DOUBLE, EXTENDED)
#: The formats that the struct module knows.
CODES = {"half": "<e", "single": "<f", "double": "<d"}
#: Cases of each format and rounding.
MANY = 500


def host_value(form: Format, bits: int) -> float:
    """What the host takes an encoding for."""
    return float(struct.unpack(CODES[form.name], bits.to_bytes(form.bits // 8, "little"))[0])


def host_bits(form: Format, value: float) -> int:
    return int.from_bytes(struct.pack(CODES[form.name], value), "little")


def fraction(value: Real) -> Fraction:
    """A finite value or zero, exactly."""
    magnitude = value.significand * Fraction(2) ** value.exponent
    return -magnitude if value.sign else magnitude


def finite(form: Format, rng: random.Random, near: int | None = None) -> int:
    """A finite encoding or a zero, perhaps related to another."""
    while True:
        bits = anything(form, rng) if near is None else rng.choice((related(form, near, rng), anything(form, rng)))
        if form.unpack(bits).kind in (Kind.ZERO, Kind.FINITE):
            return bits


# -- an independent rounding -----------------------------------------------------------------------------------------------


def exponent_of(value: Fraction) -> int:
    """The power of two below or at a positive fraction."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= value else exponent - 1


def integer_of(value: Fraction, rounding: Rounding) -> int:
    """A fraction rounded to an integer."""
    if rounding is Rounding.NEAREST:
        return round(value)
    if rounding is Rounding.ZERO:
        return math.trunc(value)
    return math.floor(value) if rounding is Rounding.DOWN else math.ceil(value)


def at_quantum(value: Fraction, exponent: int, rounding: Rounding) -> Fraction:
    """The multiple of a power of two that a fraction is rounded to."""
    quantum = Fraction(2) ** exponent
    return integer_of(value / quantum, rounding) * quantum


def expected(
    value: Fraction, form: Format, rounding: Rounding, precision: int
) -> tuple[Fraction | None, Exceptions, bool]:
    """A fraction that is not zero, rounded as IEEE 754 says: the value, None if it is infinite, the masked exceptions, and
    whether it is tiny."""
    exponent = exponent_of(abs(value))
    unbounded = at_quantum(value, exponent - precision + 1, rounding)
    tiny = abs(unbounded) < Fraction(2) ** form.smallest
    result = at_quantum(value, max(exponent, form.smallest) - precision + 1, rounding)
    largest = (2 - Fraction(2) ** (1 - precision)) * Fraction(2) ** form.bias
    if abs(result) > largest:
        away = rounding in (Rounding.NEAREST, Rounding.UP if value > 0 else Rounding.DOWN)
        bound = largest if value > 0 else -largest
        return None if away else bound, Exceptions.OVERFLOW | Exceptions.PRECISION, False
    exceptions = Exceptions.NONE if result == value else Exceptions.PRECISION
    if tiny and result != value:
        exceptions |= Exceptions.UNDERFLOW
    return result, exceptions, tiny


def check_rounding(value: Real, true: Fraction, form: Format, rounding: Rounding, precision: int | None = None) -> None:
    """A value rounds as the fraction that it stands for does."""
    rounded = round_real(value, form, rounding, precision=precision)
    result, exceptions, tiny = expected(true, form, rounding, precision or form.precision)
    back = form.unpack(rounded.bits)
    assert back.sign == (true < 0)
    assert (rounded.exceptions, rounded.tiny) == (exceptions, tiny)
    if result is None:
        assert (back.kind, rounded.up) == (Kind.INFINITY, True)
    else:
        assert (fraction(back), rounded.up) == (result, abs(result) > abs(true))


# -- encodings -------------------------------------------------------------------------------------------------------------


def check_encoding(form: Format, bits: int) -> None:
    """An encoding stands for what the host takes it for, and is made again from that."""
    value, host = form.unpack(bits), host_value(form, bits)
    assert value.sign == (math.copysign(1, host) < 0)
    if value.nan:
        assert math.isnan(host)
        assert form.nan(value.sign, value.significand) == bits | 1 << form.precision - 2
        assert (value.kind is Kind.QUIET) == bool(bits >> form.precision - 2 & 1)
    elif value.kind is Kind.INFINITY:
        assert math.isinf(host)
        assert form.infinity(value.sign) == bits
    else:
        assert fraction(value) == Fraction(host)
        assert (value.kind is Kind.ZERO) == (host == 0)
        assert bits == (form.pack(value.sign, value.significand, value.exponent) if host else form.zero(value.sign))
        assert value.denormal == (0 < abs(Fraction(host)) < Fraction(2) ** form.smallest)


def test_every_half_encoding_is_read_as_the_host_reads_it() -> None:
    for bits in range(1 << 16):
        check_encoding(HALF, bits)


@pytest.mark.parametrize("form", [SINGLE, DOUBLE], ids=lambda form: form.name)
def test_encodings_are_read_as_the_host_reads_them(form: Format) -> None:
    rng = random.Random(f"encodings {form.name}")
    for bits in (*special_values(form), *(anything(form, rng) for _ in range(MANY))):
        check_encoding(form, bits)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "i686"), reason="long double is not the 80-bit format")
def test_extended_encodings_are_those_of_long_double() -> None:
    rng = random.Random("long double")
    for bits in (*special_values(DOUBLE), *(finite(DOUBLE, rng) for _ in range(MANY))):
        value = DOUBLE.unpack(bits)
        if value.nan:
            continue
        host = int.from_bytes(bytes(ctypes.c_longdouble(host_value(DOUBLE, bits)))[:10], "little")
        back = EXTENDED.unpack(host)
        assert (back.kind, back.sign) == (value.kind, value.sign)
        if value.kind is Kind.INFINITY:
            assert EXTENDED.infinity(value.sign) == host
        else:
            assert fraction(back) == fraction(value)
            assert round_real(value, EXTENDED, Rounding.NEAREST).bits == host


@pytest.mark.parametrize(
    ("exponent", "significand", "kind"),
    [
        (0, 0, Kind.ZERO),
        (0, 1, Kind.FINITE),
        (0, 1 << 63, Kind.FINITE),  # pseudo-denormal
        (1, 1 << 63, Kind.FINITE),
        (1, (1 << 63) - 1, Kind.UNSUPPORTED),  # unnormal
        (0x7FFE, 0, Kind.UNSUPPORTED),
        (0x7FFF, 0, Kind.UNSUPPORTED),  # pseudo-infinity
        (0x7FFF, 1, Kind.UNSUPPORTED),  # pseudo-NaN
        (0x7FFF, 1 << 63, Kind.INFINITY),
        (0x7FFF, 1 << 63 | 1, Kind.SIGNALLING),
        (0x7FFF, 3 << 62, Kind.QUIET),
    ],
)
def test_extended_encodings_have_their_kinds(exponent: int, significand: int, kind: Kind) -> None:
    value = EXTENDED.unpack(1 << 79 | exponent << 64 | significand)
    assert (value.kind, value.sign) == (kind, 1)
    assert value.denormal == (exponent == 0 and significand != 0)
    if value.denormal:
        assert fraction(value) == -significand * Fraction(2) ** (-16382 - 63)


@pytest.mark.parametrize(
    ("form", "indefinite", "largest"),
    [
        (HALF, 0xFE00, 0x7BFF),
        (SINGLE, 0xFFC0_0000, 0x7F7F_FFFF),
        (DOUBLE, 0xFFF8_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF),
        (EXTENDED, 0xFFFF_C000_0000_0000_0000, 0x7FFE_FFFF_FFFF_FFFF_FFFF),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_constants_of_a_format(form: Format, indefinite: int, largest: int) -> None:
    assert form.indefinite == indefinite
    assert form.largest(0) == largest
    assert form.largest(1) == largest | 1 << form.bits - 1


def test_a_nan_keeps_the_high_bits_of_its_payload_in_another_format() -> None:
    value = DOUBLE.unpack(0x7FF0_1234_5678_9ABC)
    assert value.kind is Kind.SIGNALLING
    assert SINGLE.nan(value.sign, value.significand) == 0x7FC0_91A2
    assert EXTENDED.nan(value.sign, value.significand) == 0x7FFF_C091_A2B3_C4D5_E000
    assert DOUBLE.nan(1, SINGLE.unpack(0x7F80_0001).significand) == 0xFFF8_0000_2000_0000


# -- rounding --------------------------------------------------------------------------------------------------------------


def values_to_round(form: Format, rng: random.Random) -> Real:
    """Numbers of about twice the precision of a format: halfway between two of its values, beside that, anywhere."""
    width = form.precision + rng.randrange(1, form.precision + 4)
    significand = rng.choice((
        rng.getrandbits(width),
        (rng.getrandbits(form.precision) << 1 | 1) << width - form.precision,
        ((rng.getrandbits(form.precision) << 1 | 1) << width - form.precision) + rng.choice((-1, 1)),
        (1 << width) - rng.getrandbits(2),
    ))  # fmt: skip
    significand = max(significand, 1)
    ends = (form.smallest, form.smallest - form.precision, form.bias, 0)
    exponent = rng.choice(ends) + rng.randrange(-4, 5) - significand.bit_length()
    return exact(rng.getrandbits(1), significand, exponent)


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_rounding_agrees_with_fractions(form: Format, rounding: Rounding) -> None:
    rng = random.Random(f"rounding {form.name} {rounding}")
    for _ in range(MANY):
        value = values_to_round(form, rng)
        check_rounding(value, fraction(value), form, rounding)


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("precision", [24, 53, 64])
def test_rounding_to_a_lower_precision_agrees_with_fractions(precision: int, rounding: Rounding) -> None:
    """Precision control of the x87: fewer bits, the same range."""
    rng = random.Random(f"precision {precision} {rounding}")
    for _ in range(MANY):
        value = values_to_round(EXTENDED, rng)
        check_rounding(value, fraction(value), EXTENDED, rounding, precision)


@pytest.mark.parametrize("form", [HALF, SINGLE, DOUBLE], ids=lambda form: form.name)
def test_rounding_to_nearest_agrees_with_the_host(form: Format) -> None:
    rng = random.Random(f"host {form.name}")
    for _ in range(MANY):
        value = values_to_round(form, rng)
        result = round_real(value, form, Rounding.NEAREST)
        try:
            host = host_bits(form, float(fraction(value)))
        except OverflowError:
            assert result.bits == form.infinity(value.sign)
            continue
        if form is DOUBLE or fraction(value) == Fraction(float(fraction(value))):  # the host has rounded once only
            assert result.bits == host


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_flushing_makes_zeros_of_what_is_tiny_only(form: Format) -> None:
    rng = random.Random(f"flush {form.name}")
    flushed = 0
    for rounding, _ in product(Rounding, range(MANY // 4)):
        value = values_to_round(form, rng)
        plain, result = round_real(value, form, rounding), round_real(value, form, rounding, flush=True)
        if plain.tiny:
            flushed += 1
            assert result.bits == form.zero(value.sign)
            assert result.exceptions == Exceptions.UNDERFLOW | Exceptions.PRECISION
            assert result.tiny
        else:
            assert result == plain
    assert flushed


@pytest.mark.parametrize("sign", [0, 1])
def test_zeros_are_rounded_to_zeros(sign: int) -> None:
    for form, rounding in product(FORMATS, Rounding):
        result = round_real(Real(Kind.ZERO, sign), form, rounding)
        assert (result.bits, result.exceptions, result.up, result.tiny) == (form.zero(sign), 0, False, False)


@pytest.mark.parametrize("rounding", list(Rounding))
def test_normalised_has_exactly_the_bits_asked_for(rounding: Rounding) -> None:
    rng = random.Random(f"normalised {rounding}")
    for _ in range(MANY):
        value, precision = values_to_round(SINGLE, rng), rng.randrange(1, 64)
        significand, exponent, inexact, up = normalised(value, precision, rounding)
        true = fraction(value)
        result = at_quantum(true, exponent_of(abs(true)) - precision + 1, rounding)
        assert significand.bit_length() == precision
        assert significand * Fraction(2) ** exponent == abs(result)
        assert (inexact, up) == (result != true, abs(result) > abs(true))


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_rounding_to_integers_agrees_with_fractions(form: Format, rounding: Rounding) -> None:
    rng = random.Random(f"integers {form.name} {rounding}")
    for _ in range(MANY // 2):
        value = form.unpack(finite(form, rng))
        integer, inexact, up = round_to_integer(value, rounding)
        true = fraction(value)
        assert integer == integer_of(true, rounding)
        assert (inexact, up) == (integer != true, abs(integer) > abs(true))


def test_integers_are_values() -> None:
    for integer in (0, 1, -1, 1 << 31, -(1 << 63), (1 << 64) - 1):
        assert fraction(from_integer(integer)) == integer


# -- operations ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_operations_agree_with_fractions(form: Format, rounding: Rounding) -> None:
    """Sum, product, quotient and fused multiply-add, rounded once."""
    rng = random.Random(f"operations {form.name} {rounding}")
    for _ in range(MANY):
        x = finite(form, rng)
        y = finite(form, rng, near=x)
        a, b = form.unpack(x), form.unpack(y)
        z = addend(form, x, y, rng)
        c = form.unpack(z if form.unpack(z).kind in (Kind.ZERO, Kind.FINITE) else x)
        results = [
            (floating.add(a, b, rounding), fraction(a) + fraction(b)),
            (floating.multiply(a, b), fraction(a) * fraction(b)),
            (floating.add(floating.multiply(a, b), c, rounding), fraction(a) * fraction(b) + fraction(c)),
        ]
        if b.kind is not Kind.ZERO:
            results.append((floating.divide(a, b), fraction(a) / fraction(b)))
        for result, true in results:
            assert (result.kind is Kind.ZERO) == (true == 0)
            if true:
                check_rounding(result, true, form, rounding)


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_roots_agree_with_fractions(form: Format, rounding: Rounding) -> None:
    """A rounded root is right if the radicand lies where its neighbours' squares say."""
    rng = random.Random(f"roots {form.name} {rounding}")
    for number in range(MANY):
        value = form.unpack(finite(form, rng))
        if number % 3 == 0:  # squares, and their neighbours
            root = round_real(form.unpack(ordinary(form, rng)), form, Rounding.NEAREST, precision=form.precision // 2)
            square = floating.multiply(form.unpack(root.bits), form.unpack(root.bits))
            value = form.unpack(round_real(square, form, Rounding.NEAREST).bits + rng.randrange(-1, 2))
        value = value._replace(sign=0)
        if value.kind is not Kind.FINITE:
            continue
        true = fraction(value)
        rounded = round_real(floating.square_root(value), form, rounding)
        result = fraction(form.unpack(rounded.bits))
        assert (rounded.exceptions == Exceptions.NONE) == (result * result == true)
        assert rounded.up == (result * result > true)
        quantum = Fraction(2) ** (exponent_of(result) - form.precision + 1)
        if rounding is Rounding.NEAREST:
            assert (result - quantum / 2) ** 2 < true < (result + quantum / 2) ** 2
        elif rounding is Rounding.UP:
            assert (result - quantum) ** 2 < true <= result**2
        else:
            assert result**2 <= true < (result + quantum) ** 2


def test_operations_on_doubles_agree_with_the_host() -> None:
    rng = random.Random("doubles")

    def check(result: Real, host: float) -> None:
        assert round_real(result, DOUBLE, Rounding.NEAREST).bits == host_bits(DOUBLE, host)

    for _ in range(4 * MANY):
        x = finite(DOUBLE, rng)
        y = finite(DOUBLE, rng, near=x)
        a, b, p, q = DOUBLE.unpack(x), DOUBLE.unpack(y), host_value(DOUBLE, x), host_value(DOUBLE, y)
        check(floating.add(a, b, Rounding.NEAREST), p + q)
        check(floating.add(a, floating.negate(b), Rounding.NEAREST), p - q)
        check(floating.multiply(a, b), p * q)
        if q:
            check(floating.divide(a, b), p / q)
        check(floating.square_root(a._replace(sign=0)), math.sqrt(abs(p)))
        assert floating.compare(a, b) == (p > q) - (p < q)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_comparison_agrees_with_fractions(form: Format) -> None:
    rng = random.Random(f"comparison {form.name}")
    for _ in range(MANY):
        x = finite(form, rng)
        a, b = form.unpack(x), form.unpack(finite(form, rng, near=x))
        p, q = fraction(a), fraction(b)
        assert floating.compare(a, b) == (p > q) - (p < q)
        for sign in (0, 1):
            infinity = Real(Kind.INFINITY, sign)
            assert floating.compare(a, infinity) == (1 if sign else -1)
            assert floating.compare(infinity, a) == (-1 if sign else 1)
    low, high = Real(Kind.INFINITY, 1), Real(Kind.INFINITY, 0)
    assert (floating.compare(low, high), floating.compare(high, low), floating.compare(low, low)) == (-1, 1, 0)


@pytest.mark.parametrize("rounding", list(Rounding))
def test_the_sign_of_a_zero_sum(rounding: Rounding) -> None:
    """IEEE 754, section 6.3: that of both if they agree, otherwise positive, but negative if rounding is downward."""
    opposite = int(rounding is Rounding.DOWN)
    zeros = Real(Kind.ZERO, 0), Real(Kind.ZERO, 1)
    ones = exact(0, 1, 0), exact(1, 4, -2)
    for a, b in (zeros, zeros[::-1], ones, ones[::-1]):
        assert floating.add(a, b, rounding) == (Kind.ZERO, opposite, 0, 0, False)
    for sign in (0, 1):
        assert floating.add(zeros[sign], zeros[sign], rounding).sign == sign
        assert floating.add(zeros[sign], ones[sign], rounding) == ones[sign]


def test_a_denormal_is_a_value_with_few_bits() -> None:
    value = SINGLE.unpack(encoding(SINGLE, 0, 0, 5))
    assert (value.significand, value.exponent, value.denormal) == (5, -149, True)
