"""Guests whose floating-point exceptions are unmasked: every engine stops them at the same place in the same state."""

from __future__ import annotations

import math
import struct

import pytest
from asm import assemble
from machine import CODE, DATA, guest

from reference.engine import Engine
from reference.traps import Trap, Vector

#: Everything masked, round to nearest; the masks of single exceptions.
DEFAULT = 0x1F80
INVALID, DENORMAL, ZERO_DIVIDE, OVERFLOW, UNDERFLOW, PRECISION = (1 << bit for bit in range(7, 13))


def mxcsr(engine: Engine) -> int:
    return int.from_bytes(engine.cpu.fp[24:28], "little")


def set_mxcsr(engine: Engine, value: int) -> None:
    engine.cpu.fp[24:28] = value.to_bytes(4, "little")


def doubles(engine: Engine, register: int) -> tuple[float, float]:
    low, high = struct.unpack("<dd", engine.cpu.xmm(register))
    return low, high


def offset_of(text: str, instruction: str) -> int:
    """Where an instruction of a text begins."""
    return len(assemble(text[: text.index(instruction)].rstrip("; \n")))


def put(engine: Engine, *values: float) -> None:
    engine.space.store(DATA, struct.pack(f"<{len(values)}d", *values))


def expect_simd_error(engine: Engine, trap: Trap, at: int) -> None:
    assert (trap.number, trap.vector, trap.eip) == (Vector.SIMD_ERROR, Vector.SIMD_ERROR, CODE + at)
    assert engine.cpu.eip == CODE + at
    assert (trap.address, trap.access) == (0, 0)


DIVISION = f"""
    mov eax, 5; movupd xmm0, [{DATA}]; movupd xmm1, [{DATA + 16}]; add eax, 2
    divpd xmm0, xmm1
    inc eax; addpd xmm0, xmm0; int3
"""


@pytest.mark.parametrize(
    ("unmasked", "flags", "traps"),
    [
        (0, 0x24, False),  # a division by zero beside an inexact one
        (ZERO_DIVIDE, 0x04, True),  # known before the other is computed
        (PRECISION, 0x24, True),
        (ZERO_DIVIDE | PRECISION, 0x04, True),
        (INVALID | DENORMAL | OVERFLOW | UNDERFLOW, 0x24, False),
    ],
)
def test_a_trap_leaves_everything_but_the_flags(engine_name: str, unmasked: int, flags: int, traps: bool) -> None:
    with guest(engine_name, DIVISION) as engine:
        put(engine, 1.0, 1.0, 3.0, 0.0)
        set_mxcsr(engine, DEFAULT & ~unmasked)
        trap = engine.run()
        assert mxcsr(engine) == DEFAULT & ~unmasked | flags
        if traps:
            expect_simd_error(engine, trap, offset_of(DIVISION, "divpd"))
            assert doubles(engine, 0) == (1.0, 1.0)
            assert engine.cpu.eax == 7
        else:
            assert trap.number == Vector.BREAKPOINT
            assert doubles(engine, 0) == (2 / 3, float("inf"))
            assert engine.cpu.eax == 8


def test_a_guest_goes_on_where_it_stopped(engine_name: str) -> None:
    """The host masks the exception, as a handler would, and runs on; flags stay set."""
    with guest(engine_name, DIVISION) as engine:
        put(engine, 1.0, 1.0, 3.0, 0.0)
        set_mxcsr(engine, DEFAULT & ~ZERO_DIVIDE)
        expect_simd_error(engine, engine.run(), offset_of(DIVISION, "divpd"))
        set_mxcsr(engine, mxcsr(engine) | ZERO_DIVIDE)
        assert engine.run().number == Vector.BREAKPOINT
        assert doubles(engine, 0) == (2 / 3, float("inf"))
        assert mxcsr(engine) == DEFAULT | 0x24


def test_a_trap_can_be_stepped_into(engine_name: str) -> None:
    with guest(engine_name, DIVISION) as engine:
        put(engine, 1.0, 1.0, 3.0, 0.0)
        set_mxcsr(engine, DEFAULT & ~ZERO_DIVIDE)
        for _ in range(4):
            assert engine.step().number == Vector.SINGLE_STEP
        for _ in range(2):
            expect_simd_error(engine, engine.step(), offset_of(DIVISION, "divpd"))
        assert mxcsr(engine) == DEFAULT & ~ZERO_DIVIDE | 4


LOOP = f"""
    mov ecx, 2000; movsd xmm0, [{DATA}]
again:
    mulsd xmm0, [{DATA + 8}]; dec ecx; jnz again
    int3
"""


def test_a_loop_stops_at_its_first_overflow(engine_name: str) -> None:
    """2^(1023 - 1000) times two until it overflows: in code that has run, and been linked, a thousand times."""
    with guest(engine_name, LOOP) as engine:
        put(engine, 2.0**23, 2.0)
        set_mxcsr(engine, DEFAULT & ~OVERFLOW)
        trap = engine.run()
        expect_simd_error(engine, trap, 13)
        assert engine.cpu.ecx == 1000
        assert doubles(engine, 0)[0] == 2.0**1023
        assert mxcsr(engine) == DEFAULT & ~OVERFLOW | 8  # exact but for its exponent


def test_a_comparison_that_traps_leaves_the_flags(engine_name: str) -> None:
    text = f"stc; movsd xmm0, [{DATA}]; comisd xmm0, [{DATA + 8}]; int3"
    with guest(engine_name, text) as engine:
        put(engine, 1.0, float("nan"))
        set_mxcsr(engine, DEFAULT & ~INVALID)
        expect_simd_error(engine, engine.run(), offset_of(text, "comisd"))
        assert engine.cpu.eflags & 0x8D5 == 1
        assert mxcsr(engine) == DEFAULT & ~INVALID | 1


def test_unmasking_alone_raises_nothing(engine_name: str) -> None:
    """Unlike the x87's, flags that are set already trap only when an operation sets them again."""
    text = f"ldmxcsr [{DATA + 16}]; movsd xmm0, [{DATA}]; addsd xmm0, xmm0; int3"
    with guest(engine_name, text) as engine:
        put(engine, 1.0, 0.0)
        engine.space.store(DATA + 16, (0x3F).to_bytes(4, "little"))
        assert engine.run().number == Vector.BREAKPOINT
        assert mxcsr(engine) == 0x3F
        assert doubles(engine, 0)[0] == 2.0


def test_a_guest_keeps_its_roundings_to_itself(engine_name: str) -> None:
    """Neither its rounding nor its masks reach the host, and the host's do not reach it."""
    text = f"movsd xmm0, [{DATA}]; addsd xmm0, [{DATA + 8}]; divsd xmm0, [{DATA + 16}]; int3"
    with guest(engine_name, text) as engine:
        put(engine, 0.1, 0.2, 0.0)
        set_mxcsr(engine, 0xFFC0 & ~ZERO_DIVIDE)  # truncate, flush, and all but one masked
        expect_simd_error(engine, engine.run(), offset_of(text, "divsd"))
        assert doubles(engine, 0)[0] == 0.3
        tenth, fifth, smallest, ten, large = map(float, ("0.1", "0.2", "5e-324", "10", "1e308"))  # none of it folded
        assert tenth + fifth == 0.30000000000000004
        assert smallest / 2.0 == 0.0 < smallest / 1.0
        assert math.isinf(large * ten)
