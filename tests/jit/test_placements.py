"""Guest memory at linear address zero or elsewhere, code segments with base zero or their own: nobody can tell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product

import pytest
from asm import assemble
from machine import CODE, DATA, LIMIT, STACK_TOP

from jit.engine import JitEngine, available
from reference.memory import PAGE
from reference.traps import Access, Trap, Vector

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

PLACEMENTS = list(product((True, False), (True, False)))
NAMES = [f"data {'at zero' if zero else 'based'}, code {'based' if based else 'at zero'}" for zero, based in PLACEMENTS]


@pytest.fixture(params=PLACEMENTS, ids=NAMES)
def engine(request: pytest.FixtureRequest) -> Iterator[JitEngine]:
    prefer_zero, based_code = request.param
    made = JitEngine(limit=LIMIT, prefer_zero=prefer_zero, based_code=based_code)
    assert prefer_zero or made.processor.space.base != 0
    made.space.map(CODE, 4 * PAGE, Access.RWX)
    made.space.map(DATA, 2 * PAGE, Access.RW)
    made.space.map(STACK_TOP - 2 * PAGE, 2 * PAGE, Access.RW)
    made.cpu.eip, made.cpu.esp = CODE, STACK_TOP - 64
    yield made
    made.close()


def run(engine: JitEngine, text: str) -> Trap:
    engine.space.store(CODE, assemble(text))
    return engine.run()


def test_calls_returns_and_indirect_jumps_arrive(engine: JitEngine) -> None:
    trap = run(
        engine,
        f"""
            mov ecx, 100
            mov dword ptr [{DATA}], {CODE + 0x80}
        again:
            call direct
            call dword ptr [{DATA}]
            mov eax, {CODE + 0x80}
            call eax
            loop again
            int3
        .org 0x60
        direct:
            inc edx
            ret
        .org 0x80
            inc ebx
            jmp back
        back:
            ret
        """,
    )
    assert trap.number == Vector.BREAKPOINT
    assert (engine.cpu.ecx, engine.cpu.edx, engine.cpu.ebx) == (0, 100, 200)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("mov eax, [0x50000]", (0x50000, Access.READ)),
        ("mov [0x50004], eax", (0x50004, Access.WRITE)),
        (f"mov eax, [{LIMIT}]", (0, Access.NONE)),
        (f"mov eax, [{LIMIT - 1}]", (0, Access.NONE)),
        ("mov eax, [-4]", (0, Access.NONE)),
    ],
)
def test_fault_addresses_are_the_guests(engine: JitEngine, access: str, expected: tuple[int, Access]) -> None:
    trap = run(engine, f"inc ecx; {access}")
    assert (trap.number, trap.eip) == (Vector.PAGE_FAULT, CODE + 1)
    assert (trap.address, trap.access) == expected


def test_stores_into_code_take_effect(engine: JitEngine) -> None:
    trap = run(engine, f"mov ecx, 3; again: inc eax; mov byte ptr [{CODE + 5}], 0x48; dec ecx; jnz again; int3")
    assert trap.number == Vector.BREAKPOINT
    assert engine.cpu.eax == 0xFFFF_FFFF  # once up, twice down


def test_string_instructions_cover_what_the_host_sees(engine: JitEngine) -> None:
    data = bytes(range(256)) * 16
    engine.space.write(DATA, data)
    trap = run(engine, f"mov esi, {DATA}; mov edi, {DATA + PAGE}; mov ecx, {PAGE // 4}; rep movsd; int3")
    assert trap.number == Vector.BREAKPOINT
    copied = engine.space.read(DATA + PAGE, PAGE)
    assert hashlib.sha256(copied).digest() == hashlib.sha256(data).digest()


def test_single_steps_are_exact(engine: JitEngine) -> None:
    engine.space.store(CODE, assemble("inc eax; call f; f: pop edx; jmp over; nop; over: ret"))
    seen = [engine.step().eip - CODE for _ in range(4)]
    assert seen == [1, 6, 7, 10]
