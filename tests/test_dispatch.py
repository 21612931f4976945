"""What the dispatcher promises of translation itself: the bytes that were checked are the bytes that run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import needs
import pytest
from asm import assemble

from jit.engine import JitEngine
from reference.dispatch import TranslatingEngine
from reference.memory import AddressSpace
from reference.model import TranslatedEngine
from reference.translator import Fragment
from reference.traps import Access, Vector

CODE = 0x1_0000
LIMIT = 1 << 20


def new_engine(name: str) -> TranslatingEngine:
    if name == "translated":
        return TranslatedEngine(AddressSpace(LIMIT))
    needs.engine(name)
    return JitEngine(limit=LIMIT)


@pytest.fixture(params=["translated", "jit"])
def engine(request: pytest.FixtureRequest) -> Iterator[TranslatingEngine]:
    made = new_engine(request.param)
    made.space.map(CODE, 0x2000, Access.READ | Access.WRITE | Access.EXECUTE)
    made.cpu.eip = CODE
    yield made
    made.close()


def during_translation(engine: TranslatingEngine, number: int, action: Callable[[], None]) -> None:
    """Do something between the copy of the guest's code and its translation, as another thread of the guest might."""
    translate = engine._translate
    calls = 0

    def wrapper(code: bytes, eip: int, offset: int) -> Fragment:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return translate(code, eip, offset)

    engine._translate = wrapper  # type: ignore[method-assign]


PROGRAM = "mov eax, 1; test eax, eax; jmp 1f; .balign 64; 1: mov ecx, 1; int3"


@pytest.mark.parametrize("fragment", [1, 2])
@pytest.mark.parametrize("changed", [0, 64])
@pytest.mark.parametrize("start", [CODE, CODE + 0xFFE, CODE + 0x1000 - 65])
def test_code_that_changes_while_it_is_translated_runs_as_changed(
    engine: TranslatingEngine, fragment: int, changed: int, start: int
) -> None:
    """Whether the page holds fragments already or not, and across two pages."""
    engine.space.store(start, assemble(PROGRAM))
    engine.cpu.eip = start
    during_translation(engine, fragment, lambda: engine.space.store(start + changed + 1, b"\x02"))
    assert engine.run().number == Vector.BREAKPOINT
    assert engine.cpu.eax == (2 if changed == 0 and fragment == 1 else 1)
    assert engine.cpu.ecx == (2 if changed == 64 else 1)


def test_a_second_fragment_of_a_page_is_dropped_with_the_first(engine: TranslatingEngine) -> None:
    engine.space.store(CODE, assemble(PROGRAM))
    for value in (1, 7, 9):
        engine.space.store(CODE + 1, bytes([value]))
        engine.space.store(CODE + 65, bytes([value + 1]))
        engine.cpu.eip = CODE
        assert engine.run().number == Vector.BREAKPOINT
        assert (engine.cpu.eax, engine.cpu.ecx) == (value, value + 1)


def test_a_page_loses_and_regains_the_right_to_execute(engine: TranslatingEngine) -> None:
    engine.space.store(CODE, assemble(PROGRAM))
    assert engine.run().number == Vector.BREAKPOINT
    engine.space.protect(CODE, 0x1000, Access.READ | Access.WRITE)
    engine.cpu.eip = CODE
    trap = engine.run()
    assert (trap.number, trap.address) == (Vector.PAGE_FAULT, CODE)
    engine.space.protect(CODE, 0x1000, Access.RX)
    assert engine.run().number == Vector.BREAKPOINT
