"""Rules of SSE and AVX arithmetic that are easily got wrong, one by one, with the values that the manual or a processor
gives. Every engine keeps them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import host_cpu
import pytest
from asm import assemble
from one_instruction import DATA, DATA_END, After, Bench, image, register

from reference.traps import Access, Vector

ONE, TWO, INFINITY, NEGATIVE = 0x3F80_0000, 0x4000_0000, 0x7F80_0000, 0x8000_0000
QUIET, OTHER_QUIET, SIGNALLING = 0x7FC0_0001, 0x7FC0_0022, 0x7F80_0333
INDEFINITE = 0xFFC0_0000
DENORMAL, SMALLEST, LARGEST = 0x0000_0001, 0x0080_0000, 0x7F7F_FFFF

IE, DE, ZE, OE, UE, PE = (1 << bit for bit in range(6))
DEFAULT, DAZ, FTZ = 0x1F80, 1 << 6, 1 << 15


def unmask(*exceptions: int) -> int:
    """The default MXCSR without the masks of some exceptions."""
    return DEFAULT & ~sum(exception << 7 for exception in exceptions)


@pytest.fixture
def bench(engine_name: str) -> Iterator[Bench]:
    if engine_name == "jit" and host_cpu.lacks("sse4_1", "avx", "fma", "f16c"):
        pytest.skip("the processor lacks SSE4.1, AVX, FMA or F16C")
    with Bench(engine_name) as bench:
        yield bench


def scalars(bench: Bench, text: str, first: int, second: int, third: int = 0, mxcsr: int = DEFAULT) -> tuple[int, int]:
    """The low 32 bits of XMM1 after an instruction on XMM1, XMM2 and XMM3, and the flags of MXCSR."""
    after = bench.run(assemble(text), fp=image(xmm1=first, xmm2=second, xmm3=third, mxcsr=mxcsr))
    assert after.trap is None
    return register(after.fp, "xmm1") & 0xFFFF_FFFF, register(after.fp, "mxcsr") & 0x3F


def lanes(*values: int) -> int:
    return int.from_bytes(struct.pack(f"<{len(values)}I", *values), "little")


def expect_simd_error(after: After) -> None:
    assert after.trap is not None
    assert after.trap[0] == Vector.SIMD_ERROR


@pytest.mark.parametrize(
    ("first", "second", "result", "flags"),
    [
        (QUIET, OTHER_QUIET, QUIET, 0),
        (ONE, OTHER_QUIET, OTHER_QUIET, 0),
        (QUIET, SIGNALLING, QUIET, IE),
        (SIGNALLING, QUIET, SIGNALLING | 0x40_0000, IE),
        (QUIET, DENORMAL, QUIET, 0),
        (INFINITY, INFINITY | NEGATIVE, INDEFINITE, IE),
        (INFINITY, DENORMAL, INFINITY, DE),
    ],
)
def test_nans_before_invalid_before_denormal(bench: Bench, first: int, second: int, result: int, flags: int) -> None:
    assert scalars(bench, "addss xmm1, xmm2", first, second) == (result, flags)


def test_division_by_zero_hides_a_denormal(bench: Bench) -> None:
    assert scalars(bench, "divss xmm1, xmm2", DENORMAL, NEGATIVE) == (INFINITY | NEGATIVE, ZE)
    assert scalars(bench, "divss xmm1, xmm2", DENORMAL, 0, mxcsr=DEFAULT | DAZ) == (INDEFINITE, IE)


@pytest.mark.parametrize("name", ["minss", "maxss"])
@pytest.mark.parametrize(
    ("first", "second", "flags"),
    [
        (QUIET, ONE, IE),
        (ONE, QUIET, IE),
        (ONE, SIGNALLING, IE),
        (0, NEGATIVE, 0),
        (NEGATIVE, 0, 0),
    ],
)
def test_minimum_and_maximum_prefer_the_second(bench: Bench, name: str, first: int, second: int, flags: int) -> None:
    """A NaN is not even quieted."""
    assert scalars(bench, f"{name} xmm1, xmm2", first, second) == (second, flags)


@pytest.mark.parametrize(
    ("order", "result"),
    [("132", QUIET), ("213", OTHER_QUIET), ("231", OTHER_QUIET)],
)
def test_fused_multiply_add_prefers_the_multiplicand(bench: Bench, order: str, result: int) -> None:
    assert scalars(bench, f"vfmadd{order}ss xmm1, xmm2, xmm3", QUIET, OTHER_QUIET, 0x7FC0_0333) == (result, 0)


def test_fused_multiply_add_of_infinity_zero_and_a_nan_is_valid(bench: Bench) -> None:
    text = "vfmadd231ss xmm1, xmm2, xmm3"
    assert scalars(bench, text, QUIET, INFINITY, 0) == (QUIET, 0)
    assert scalars(bench, text, ONE, INFINITY, 0) == (INDEFINITE, IE)


def test_negation_leaves_nans_alone(bench: Bench) -> None:
    assert scalars(bench, "vfnmsub231ss xmm1, xmm2, xmm3", QUIET, ONE, ONE) == (QUIET, 0)


@pytest.mark.parametrize(
    ("first", "second", "result", "flags", "flushed"),
    [
        (0x3F7F_FFFF, SMALLEST + 1, SMALLEST, PE, False),  # rounded up to the smallest even with an unlimited exponent
        (0x00FF_FFFF, 0x3F00_0000, SMALLEST, UE | PE, True),  # only because its exponent is limited
        (SMALLEST + 1, 0x3F00_0000, 0x0040_0000, UE | PE, True),
        (SMALLEST, 0x3F00_0000, 0x0040_0000, 0, True),  # exact
    ],
)
def test_results_are_tiny_after_rounding(
    bench: Bench, first: int, second: int, result: int, flags: int, flushed: bool
) -> None:
    assert scalars(bench, "mulss xmm1, xmm2", first, second) == (result, flags)
    flushed_result = (0, UE | PE) if flushed else (result, flags)
    assert scalars(bench, "mulss xmm1, xmm2", first, second, mxcsr=DEFAULT | FTZ) == flushed_result


@pytest.mark.parametrize(
    ("first", "second", "unmasked", "flags"),
    [
        (LARGEST, TWO, OE, OE),  # exact but for its exponent
        (LARGEST, LARGEST, OE, OE | PE),
        (SMALLEST, 0x3F00_0000, UE, UE),  # exact, and tiny nevertheless
        (SMALLEST + 1, 0x3F00_0000, UE, UE),
        (SMALLEST + 1, 0x3F00_0001, UE, UE | PE),
        (SMALLEST + 1, 0x3F00_0000, PE, UE | PE),
    ],
)
def test_unmasked_overflow_and_underflow_ignore_the_range(
    bench: Bench, first: int, second: int, unmasked: int, flags: int
) -> None:
    mxcsr = unmask(unmasked) | FTZ * (unmasked == UE)
    after = bench.run(assemble("mulss xmm1, xmm2"), fp=image(xmm1=first, xmm2=second, mxcsr=mxcsr))
    expect_simd_error(after)
    assert register(after.fp, "mxcsr") == mxcsr | flags
    assert register(after.fp, "xmm1") == first


@pytest.mark.parametrize(
    ("unmasked", "flags", "traps"),
    [
        ((), IE | DE | OE | PE, False),
        ((IE,), IE | DE, True),
        ((DE,), IE | DE, True),
        ((OE,), IE | DE | OE | PE, True),
        ((ZE,), IE | DE | OE | PE, False),
    ],
)
def test_what_operands_show_keeps_the_rest_from_happening(
    bench: Bench, unmasked: tuple[int, ...], flags: int, traps: bool
) -> None:
    """One lane each: a signalling NaN, a denormal, overflow, an inexact sum."""
    fp = image(
        xmm1=lanes(SIGNALLING, DENORMAL, LARGEST, ONE),
        xmm2=lanes(ONE, 0, LARGEST, 0x3380_0001),
        mxcsr=unmask(*unmasked),
    )
    after = bench.run(assemble("addps xmm1, xmm2"), fp=fp)
    assert register(after.fp, "mxcsr") == unmask(*unmasked) | flags
    assert (after.trap is not None) == traps
    if traps:
        assert register(after.fp, "xmm1") == register(fp, "xmm1")


def test_a_dot_product_traps_step_by_step(bench: Bench) -> None:
    """An inexact product traps before infinities of opposite signs meet in the sum."""
    operands = {"xmm1": lanes(ONE + 1, INFINITY, INFINITY | NEGATIVE, 0), "xmm2": lanes(ONE + 1, ONE, ONE, 0)}
    text = assemble("dpps xmm1, xmm2, 0xff")
    after = bench.run(text, fp=image(mxcsr=unmask(IE), **operands))
    expect_simd_error(after)
    assert register(after.fp, "mxcsr") & 0x3F == IE | PE
    after = bench.run(text, fp=image(mxcsr=unmask(PE), **operands))
    expect_simd_error(after)
    assert register(after.fp, "mxcsr") & 0x3F == PE


@pytest.mark.parametrize("immediate", [0x08, 0x30, 0xFF])
def test_only_vex_has_more_than_eight_predicates(bench: Bench, immediate: int) -> None:
    code = assemble("cmpss xmm1, xmm2, 0")[:-1] + bytes([immediate])
    plain = assemble(f"cmpss xmm1, xmm2, {immediate & 7}")
    for first, second in ((ONE, ONE), (ONE, TWO), (TWO, ONE), (ONE, QUIET)):
        fp = image(xmm1=first, xmm2=second)
        assert bench.run(code, fp=fp) == bench.run(plain, fp=fp)
    assert scalars(bench, "vcmpss xmm1, xmm1, xmm2, 8", ONE, QUIET) == (0xFFFF_FFFF, 0)  # equal or unordered
    assert scalars(bench, "vcmpss xmm1, xmm1, xmm2, 0x18", ONE, QUIET) == (0xFFFF_FFFF, IE)


@pytest.mark.parametrize(
    ("value", "rounded", "truncated"),
    [
        (0x41DF_FFFF_FFDF_FFFF, (0x7FFF_FFFF, PE), (0x7FFF_FFFF, PE)),  # 2^31 - 0.5 less a bit
        (0x41DF_FFFF_FFE0_0000, (NEGATIVE, IE), (0x7FFF_FFFF, PE)),  # 2^31 - 0.5
        (0xC1E0_0000_0010_0000, (NEGATIVE, PE), (NEGATIVE, PE)),  # -2^31 - 0.5
        (0xC1E0_0000_0020_0000, (NEGATIVE, IE), (NEGATIVE, IE)),  # -2^31 - 1
        (0x7FF8_0000_0000_0000, (NEGATIVE, IE), (NEGATIVE, IE)),
        (0x0000_0000_0000_0001, (0, PE), (0, PE)),  # a denormal, which nobody reports
    ],
)
def test_conversions_to_integers_at_their_ends(
    bench: Bench, value: int, rounded: tuple[int, int], truncated: tuple[int, int]
) -> None:
    for text, expected in (("cvtsd2si eax, xmm1", rounded), ("cvttsd2si eax, xmm1", truncated)):
        after = bench.run(assemble(text), fp=image(xmm1=value))
        assert (after.words[0], register(after.fp, "mxcsr") & 0x3F) == expected


def test_halves_ignore_daz_and_ftz(bench: Bench) -> None:
    mxcsr = DEFAULT | DAZ | FTZ
    assert scalars(bench, "vcvtph2ps xmm1, xmm2", 0, 1, mxcsr=mxcsr) == (0x3380_0000, 0)
    assert scalars(bench, "vcvtps2ph xmm1, xmm2, 0", 0, 0x3300_0001, mxcsr=mxcsr) == (1, UE | PE)
    assert scalars(bench, "vcvtps2ph xmm1, xmm2, 0", 0, DENORMAL, mxcsr=mxcsr) == (0, 0)


def test_a_fault_of_the_destination_comes_before_exceptions(bench: Bench) -> None:
    text = assemble("vcvtps2ph [eax], xmm1, 0")
    after = bench.run(text, fp=image(xmm1=SIGNALLING, mxcsr=unmask(IE)), eax=DATA_END - 4)
    assert after.trap is not None
    assert after.trap[0] == Vector.PAGE_FAULT
    assert after.trap[2:4] == (DATA_END, Access.WRITE)
    assert register(after.fp, "mxcsr") == unmask(IE)


@pytest.mark.parametrize("text", ["cvtpi2ps xmm1, mm2", "cvtpi2pd xmm1, mm2", "cvtps2pi mm2, xmm1"])
def test_an_mmx_register_makes_all_of_them_mmx_registers(bench: Bench, text: str) -> None:
    after = bench.run(assemble(text), fp=image(fsw=3 << 11))
    assert after.fp[2:5] == b"\x00\x00\xff"


@pytest.mark.parametrize("text", ["cvtpi2ps xmm1, mm2", "cvtps2pi mm2, xmm1"])
def test_so_it_does_where_the_conversion_traps(bench: Bench, text: str) -> None:
    fp = image(fsw=3 << 11, xmm1=0x3FC0_0000, st7=b"\xff\xff\xff\x7f" * 2 + b"\xff\xff", mxcsr=unmask(PE))
    after = bench.run(assemble(text), fp=fp)
    expect_simd_error(after)
    assert after.fp[2:5] == b"\x00\x00\xff"


@pytest.mark.parametrize("name", ["cvtpi2ps", "cvtpi2pd"])
def test_memory_in_its_place_leaves_the_x87_alone(bench: Bench, name: str) -> None:
    """Not even a pending exception counts."""
    fp = image(fcw=0x037E, fsw=3 << 11 | 0x8081, ftw=0x42)
    after = bench.run(assemble(f"{name} xmm1, [eax]"), fp=fp, eax=DATA)
    assert after.trap is None
    assert after.fp[:5] == fp[:5]


def test_approximations_know_their_special_values(bench: Bench) -> None:
    mxcsr = 0  # nothing is masked, and nothing is raised
    for value, reciprocal, of_root in (
        (0, INFINITY, INFINITY),
        (NEGATIVE, INFINITY | NEGATIVE, INFINITY | NEGATIVE),
        (DENORMAL, INFINITY, INFINITY),
        (DENORMAL | NEGATIVE, INFINITY | NEGATIVE, INFINITY | NEGATIVE),
        (INFINITY, 0, 0),
        (INFINITY | NEGATIVE, NEGATIVE, INDEFINITE),
        (SIGNALLING, SIGNALLING | 0x40_0000, SIGNALLING | 0x40_0000),
        (LARGEST | NEGATIVE, NEGATIVE, INDEFINITE),
    ):
        assert scalars(bench, "rcpss xmm1, xmm2", 0, value, mxcsr=mxcsr) == (reciprocal, 0)
        assert scalars(bench, "rsqrtss xmm1, xmm2", 0, value, mxcsr=mxcsr) == (of_root, 0)
