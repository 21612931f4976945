"""The transcendental x87 instructions: within one unit in the last place of the processor, special cases to the bit; and the
functions behind them against constants and identities that do not come from here."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

import needs
import pytest
from x87_cases import BIAS, FUNCTIONS, INTEGER_BIT, ONE, SIGN, X87_ROWS, Draw, distance, registers_of, status_of

from conformance.case import Case
from conformance.oracles.engines import EngineBench, bench_of
from conformance.outcome import Outcome, differences, report
from reference import transcendental
from reference.engines import ReferenceEngine
from reference.floating import EXTENDED, Kind, Real, Rounding, exact, round_real
from reference.policy import Policy

#: C1 says which way the result was rounded, which depends on how exact the processor's own approximation is.
C1, C2 = 0x200, 0x400
ROWS = {row.mnemonic: row for row in X87_ROWS if row.mnemonic in FUNCTIONS}
#: Processors compute tangents of small angles less well than everything else.
MOST_INEXACT = {"fptan": 0.2}


@pytest.fixture(scope="module")
def benches() -> Iterator[tuple[EngineBench, EngineBench]]:
    needs.engine("jit")
    processor = bench_of("jit", Policy.everything(), low_memory=False)
    reference = EngineBench(ReferenceEngine)
    yield processor, reference
    processor.close()
    reference.close()


# -- arguments ---------------------------------------------------------------------------------------------------------


def near_quarter_turn(draw: Draw) -> int:
    """The nearest number to a multiple of a quarter turn or an eighth, or one of its neighbours."""
    multiple = draw.rng.getrandbits(draw.rng.randrange(1, 61)) | 1
    angle = multiple * draw.rng.choice((transcendental.pi(192), transcendental.PI_66 << 128)) // draw.rng.choice((2, 4))
    shift = angle.bit_length() - 64
    return draw.sign() | BIAS + 63 + shift - 192 << 64 | min((angle >> shift) + draw.rng.randrange(3), (1 << 64) - 1)


def angle(draw: Draw) -> tuple[int, ...]:
    kind = draw.rng.randrange(5)
    if kind == 0:
        return (draw.finite(-80, 63),)
    if kind == 1:
        return (draw.finite(-16382, -60),)
    return (draw.finite(-3, 4) if kind == 2 else near_quarter_turn(draw),)


def point(draw: Draw) -> tuple[int, ...]:
    low, high = draw.rng.choice(((-70, 63), (-2, 3), (-16382, 16384)))
    return draw.finite(low, high), draw.finite(low, high)


def exponent_of_two(draw: Draw) -> tuple[int, ...]:
    return (draw.finite(*draw.rng.choice(((-80, 0), (-3, 0), (-16382, -60)))),)


def logarithm(draw: Draw) -> tuple[int, ...]:
    kind = draw.rng.randrange(4)
    if kind == 0:
        x = ONE | draw.rng.getrandbits(draw.rng.randrange(1, 60))
    elif kind == 1:
        x = ONE - (1 << 64) | (1 << 64) - 1 - draw.rng.getrandbits(draw.rng.randrange(1, 60))
    else:
        x = draw.finite(*draw.rng.choice(((-2, 2), (-16382, 16384)))) & ~SIGN
    return x, draw.finite(*draw.rng.choice(((-70, 63), (-16382, 16384))))


def logarithm_plus_1(draw: Draw) -> tuple[int, ...]:
    x = draw.finite(*draw.rng.choice(((-70, -2), (-4, -2), (-16382, -60))))
    return x, draw.finite(*draw.rng.choice(((-70, 63), (-16382, 16384))))


ARGUMENTS: dict[str, Callable[[Draw], tuple[int, ...]]] = {
    "f2xm1": exponent_of_two, "fyl2x": logarithm, "fyl2xp1": logarithm_plus_1, "fpatan": point,
    "fsin": angle, "fcos": angle, "fsincos": angle, "fptan": angle,
}  # fmt: skip


def test_every_function_is_compared() -> None:
    assert set(ARGUMENTS) == set(ROWS) == FUNCTIONS


def all_masked(draw: Draw, case: Case) -> Case:
    """The case with enough registers and room on the stack, and nothing else than its arguments that could go wrong."""
    fp = bytearray(case.fp or b"")
    fp[0:5] = (0x37F | draw.rng.getrandbits(2) << 10).to_bytes(2, "little") + b"\0\0\x03"
    return Case(case.label, case.code, case.words, case.memory, 0, fp=bytes(fp))


def worst_of(processor: Outcome, reference: Outcome) -> int:
    """The distance of ST(0) or ST(1), whichever is the greater; everything else but C1 must be equal."""
    assert processor.fp is not None
    assert reference.fp is not None
    one, other = bytearray(processor.fp), bytearray(reference.fp)
    assert (status_of(one) ^ status_of(other)) & ~C1 == 0, f"{status_of(one):04x} or {status_of(other):04x}"
    found = max(distance(a, b) for a, b in zip(registers_of(one, 2), registers_of(other, 2), strict=True))
    assert registers_of(one)[2:] == registers_of(other)[2:]
    assert (processor.words, processor.trap, one[4]) == (reference.words, reference.trap, other[4])
    return found


@pytest.mark.ldt
@pytest.mark.parametrize("mnemonic", ARGUMENTS)
def test_results_are_within_one_unit_of_the_processor_s(
    benches: tuple[EngineBench, EngineBench], mnemonic: str
) -> None:
    """And nearly always equal, in all roundings: both are close to the true value."""
    draw, found = Draw(mnemonic), Counter[int]()
    for _ in range(2000):
        case = all_masked(draw, draw.case(ROWS[mnemonic], ARGUMENTS[mnemonic](draw)))
        distance_ = worst_of(benches[0].run(case), benches[1].run(case))
        assert distance_ <= 1, (
            f"{distance_} units: {case.label} {[f'{bits:020x}' for bits in registers_of(case.fp or b'')[:2]]}"
        )
        found[distance_] += 1
    assert found[1] <= MOST_INEXACT.get(mnemonic, 0.06) * found.total(), found


@pytest.mark.ldt
@pytest.mark.parametrize("mnemonic", ARGUMENTS)
def test_special_cases_agree_with_the_processor(benches: tuple[EngineBench, EngineBench], mnemonic: str) -> None:
    """Operands of every kind, masked or not, with too few or too many registers, beyond the domain of the function."""
    draw = Draw(f"special {mnemonic}")
    for _ in range(1500):
        case = draw.case(ROWS[mnemonic])
        processor, reference = (bench.run(case) for bench in benches)
        found = differences(case, processor, reference)
        if found and processor.fp is not None and reference.fp is not None:
            pairs = zip(registers_of(processor.fp, 2), registers_of(reference.fp, 2), strict=True)
            if all(a == b or distance(a, b) <= 1 for a, b in pairs):
                found = [text for text in found if not text.startswith(("st0", "st1"))]
                if (status_of(processor.fp) ^ status_of(reference.fp)) in (0, C1):
                    found = [text for text in found if not text.startswith("fsw")]
        assert not found, report(case, found)


# -- without the processor ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> Iterator[EngineBench]:
    bench = EngineBench(ReferenceEngine)
    yield bench
    bench.close()


def run(bench: EngineBench, mnemonic: str, *registers: int, control: int = 0x37F) -> tuple[int, list[int]]:
    """Status word and registers after an instruction without a memory operand."""
    draw = Draw(0)
    row = next(row for row in X87_ROWS if row.mnemonic == mnemonic)
    case = draw.case(row, registers)
    fp = bytearray(case.fp or b"")
    fp[0:5] = control.to_bytes(2, "little") + b"\0\0" + bytes([(1 << len(registers)) - 1])
    outcome = bench.run(Case(case.label, case.code, case.words, (), 0, fp=bytes(fp)))
    assert outcome.fp is not None
    return status_of(outcome.fp), registers_of(outcome.fp)


@pytest.mark.parametrize(
    ("mnemonic", "bits"),
    [
        # Significands as printed in the tables of mathematical constants, to 64 bits.
        ("fld1", ONE), ("fldz", 0),
        ("fldpi", 0x4000_C90F_DAA2_2168_C235), ("fldl2t", 0x4000_D49A_784B_CD1B_8AFE),
        ("fldl2e", 0x3FFF_B8AA_3B29_5C17_F0BC), ("fldlg2", 0x3FFD_9A20_9A84_FBCF_F799),
        ("fldln2", 0x3FFE_B172_17F7_D1CF_79AC),
    ],
)  # fmt: skip
def test_constants(reference: EngineBench, mnemonic: str, bits: int) -> None:
    status, registers = run(reference, mnemonic)
    assert (status, registers[0]) == (0x3800, bits)


def test_constants_are_rounded_as_the_control_word_says(reference: EngineBench) -> None:
    assert run(reference, "fldpi", control=0xF7F)[1][0] == 0x4000_C90F_DAA2_2168_C234
    assert run(reference, "fldl2t", control=0xB7F)[1][0] == 0x4000_D49A_784B_CD1B_8AFF


def test_pi_of_processors_is_pi_cut_to_66_bits() -> None:
    assert transcendental.pi(64) == transcendental.PI_66
    assert transcendental.PI_66.bit_length() == 66


def test_sine_of_pi_shows_the_pi_of_66_bits(reference: EngineBench) -> None:
    """What is left of the nearest number to pi is a quarter of a unit of its last place, instead of 0.234 of it."""
    status, registers = run(reference, "fsin", 0x4000_C90F_DAA2_2168_C235)
    assert registers[0] == SIGN | BIAS - 64 << 64 | INTEGER_BIT
    assert status & 0x3F == 0x20


@pytest.mark.parametrize("mnemonic", ["fsin", "fcos", "fsincos", "fptan"])
def test_large_angles_are_left_to_the_program(reference: EngineBench, mnemonic: str) -> None:
    large = BIAS + 63 << 64 | INTEGER_BIT
    status, registers = run(reference, mnemonic, large)
    assert status & (C2 | 0x3F) == C2
    assert registers[0] == large
    assert not run(reference, mnemonic, large - 1)[0] & C2


def value_of(real: Real) -> Fraction:
    """A finite value exactly."""
    value = Fraction(real.significand) * Fraction(2) ** real.exponent
    return -value if real.sign else value


def from_float(value: float) -> Real:
    """A finite value of the host's format exactly."""
    numerator, denominator = abs(value).as_integer_ratio()
    return exact(int(value < 0), numerator, 1 - denominator.bit_length())


def close(found: Real, expected: float) -> bool:
    """To the accuracy of the host's mathematical library."""
    return math.isclose(value_of(found), expected, rel_tol=2e-15)


@pytest.mark.parametrize("exponent", [-60, -30, -8, -3, -1])
def test_functions_agree_with_the_host_s_library(exponent: int) -> None:
    rng = random.Random(exponent)
    for _ in range(100):
        x = rng.uniform(1, 2) * rng.choice((-1, 1)) * 2.0**exponent
        real = from_float(x)
        if abs(x) < 0.8:
            assert close(transcendental.sine(real), math.sin(x))
            assert close(transcendental.cosine(real), math.cos(x))
            assert close(transcendental.tangent(real), math.tan(x))
        assert close(transcendental.power_minus_1(real), math.expm1(x * math.log(2)))
        if x > -0.9:
            assert close(transcendental.logarithm_plus_1(real), math.log1p(x) / math.log(2))
        y = rng.uniform(-4, 4)
        assert close(transcendental.arctangent(from_float(y), real), math.atan2(y, x))
        assert close(transcendental.arctangent(real, from_float(y)), math.atan2(x, y))
        if abs(y) > 1.5:
            assert close(transcendental.logarithm(from_float(abs(y))), math.log2(abs(y)))


def test_pi_of_180_bits() -> None:
    """The digits that every table has."""
    assert str(transcendental.pi(180) * 10**50 >> 180) == "314159265358979323846264338327950288419716939937510"
    assert str(transcendental.natural_logarithm(10, 180) * 10**40 >> 180) == "23025850929940456840179914546843642076011"


@pytest.mark.parametrize("smallness", [10, 69, 70, 71, 90, 139, 140, 141, 142, 400, 16000])
def test_small_arguments_are_rounded_to_the_right_side(smallness: int) -> None:
    """Where the series begins with x alone, only the next term says in which direction the result is not x."""
    x = exact(0, INTEGER_BIT | 12345, -63 - smallness)
    bits = EXTENDED.pack(0, x.significand, x.exponent)

    def steps(found: Real, rounding: Rounding) -> int:
        return round_real(found, EXTENDED, rounding).bits - bits

    if smallness > 69:
        assert [steps(transcendental.sine(x), rounding) for rounding in Rounding] == [0, -1, 0, -1]
        assert [steps(transcendental.tangent(x), rounding) for rounding in Rounding] == [0, 0, 1, 0]
        assert [steps(transcendental.arctangent(x, exact(0, 1, 0)), rounding) for rounding in Rounding] == [
            0,
            -1,
            0,
            -1,
        ]
    one = EXTENDED.one(0)
    assert round_real(transcendental.cosine(x), EXTENDED, Rounding.DOWN).bits < one
    assert round_real(transcendental.cosine(x), EXTENDED, Rounding.UP).bits <= one


def test_powers_of_two_have_exact_logarithms() -> None:
    for exponent in (-16445, -64, -1, 0, 1, 63, 16383):
        found = transcendental.logarithm(exact(0, 1, exponent))
        assert value_of(found) == exponent
        assert (found.kind is Kind.ZERO) == (exponent == 0)


def test_logarithm_and_power_are_each_other_s_inverse() -> None:
    """To more bits than a register has."""
    rng = random.Random(5)
    for _ in range(200):
        x = exact(0, INTEGER_BIT | rng.getrandbits(63), -64)  # from one half to one
        power = transcendental.power_minus_1(transcendental.logarithm(x))
        assert abs(value_of(power) + 1 - value_of(x)) < Fraction(1, 1 << 150)
        angle_ = transcendental.arctangent(x, exact(0, 1, 0))
        assert abs(value_of(transcendental.tangent(angle_)) - value_of(x)) < Fraction(1, 1 << 150)
        sine, cosine = (value_of(function(x)) for function in (transcendental.sine, transcendental.cosine))
        assert abs(sine * sine + cosine * cosine - 1) < Fraction(1, 1 << 150)
